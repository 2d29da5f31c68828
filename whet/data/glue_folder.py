"""A folder of GLUE's tasks: what it holds of each, and whether all of it can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pyarrow as pa
import pyarrow.compute as pc

from whet.data.findings import quoted
from whet.data.glue import BY_NAME, NINE, PAIR, GlueTask, spelled_task
from whet.data.readers import stream_tables
from whet.data.table import Table
from whet.data.wording import listed
from whet.errors import DataError

_DIAGNOSTIC_FOLDERS = ("diagnostic", "diagnostics", "ax", "mnli")


@final
@dataclass(frozen=True)
class TaskFiles:
    """What a GLUE folder holds of one task."""

    task: GlueTask
    train: Path
    dev: tuple[Path, ...]  # one a part
    tests: Mapping[str, Path]  # by the name of the submission file; those that are there
    missing: str | None = None  # why it cannot be trained


@final
@dataclass(frozen=True)
class Diagnostic:
    """The diagnostic set, which has no training rows."""

    path: Path
    text: str
    pair: str
    label: str | None  # the column of its labels, where they are given


def find_tasks(folder: Path) -> dict[str, TaskFiles]:
    """All nine, with their files or with what is missing. Raises DataError for what is no GLUE folder."""
    if not folder.is_dir():
        what = "it is no folder" if folder.exists() else "there is no such folder"
        raise DataError(f"{folder}: {what}. Name the one that holds {_some()}.")
    folders = _folders(folder)
    if not set(folders) & set(BY_NAME):
        beside = sorted(path.name for path in folder.iterdir())
        is_one = bool({"train.tsv", "dev.tsv", "test.tsv", "dev_matched.tsv"} & set(beside))
        advice = "This looks like one task: name the folder above it" if is_one else "Name GLUE's folder"
        raise DataError(
            f"{folder}: this is no GLUE folder: it holds none of {_some()}, but "
            f"{listed(beside) or 'nothing'}. {advice}, or train one task with: whet train FILE"
        )
    return {task.name: _files(task, folders.get(task.name), folder) for task in NINE}


def find_diagnostic(folder: Path) -> Diagnostic | None:
    """GLUE's diagnostic set where the folder holds it; rather the file that has labels than the other."""
    known = {path.name.casefold(): path for path in folder.iterdir() if path.is_dir()}
    places = [known[name] for name in _DIAGNOSTIC_FOLDERS if name in known]
    for place in places:
        if (place / "diagnostic-full.tsv").is_file():
            return Diagnostic(place / "diagnostic-full.tsv", "Premise", "Hypothesis", "Label")
    for place in places:
        for name in ("diagnostic.tsv", "AX.tsv", "ax.tsv"):
            if (place / name).is_file():
                return Diagnostic(place / name, *PAIR, None)
    return None


def check_files(found: Sequence[TaskFiles], diagnostic: Diagnostic | None) -> None:
    """Read every row once, so that no task ends after hours at a broken file. Raises DataError, of all files
    at once."""
    problems = []
    for files in found:
        task = files.task
        texts = [name for name in (task.text, task.pair) if name]
        for path in (files.train, *files.dev):
            problems += _problem(path, texts, task.label, task.labels)
        for path in files.tests.values():
            problems += _problem(path, texts)
    if diagnostic is not None:
        texts, labels = [diagnostic.text, diagnostic.pair], BY_NAME["MNLI"].labels
        problems += _problem(diagnostic.path, texts, diagnostic.label, labels)
    if problems:
        raise DataError("\n".join(problems))


def _problem(
    path: Path, texts: Sequence[str], label: str | None = None, labels: Sequence[str] = ()
) -> list[str]:
    """What is wrong with a file, as a list of one; labels are all that its label column may hold, none for
    numbers."""
    try:
        for table in stream_tables(path):
            for column in (*texts, *([label] if label else [])):
                table.column(column)
            if label and labels:
                _check_labels(table, label, labels)
    except DataError as error:
        return [str(error)]
    return []


def _check_labels(table: Table, label: str, labels: Sequence[str]) -> None:
    found = table.strings(label)
    odd = pc.invert(
        pc.is_in(pc.utf8_trim_whitespace(found), value_set=pa.array(["", *labels], pa.large_string()))
    )
    if pc.any(odd).as_py():
        row = int(pc.index(odd, True).as_py())
        raise DataError(
            f"{table.place(row)}: label {quoted(found[row].as_py(), 40)} in column '{label}' is not one of "
            f"GLUE's ({', '.join(labels)}), which the leaderboard wants back. Fetch the file again, or train "
            "it with: whet train FILE"
        )


def _files(task: GlueTask, place: Path | None, folder: Path) -> TaskFiles:
    if place is None:
        return TaskFiles(task, folder, (), {}, f"no folder {task.name}")
    train, dev = place / "train.tsv", tuple(place / f"dev{part}.tsv" for part in task.parts)
    absent = [path.name for path in (train, *dev) if not path.is_file()]
    tests = {name: place / file for name, file in task.tests if (place / file).is_file()}
    missing = f"no {' and no '.join(absent)} in {place.name}" if absent else None
    return TaskFiles(task, train, dev, tests, missing)


def _folders(folder: Path) -> dict[str, Path]:
    paths = sorted(path for path in folder.iterdir() if path.is_dir())
    return {name: path for path in paths if (name := spelled_task(path.name)) is not None}


def _some() -> str:
    return ", ".join(BY_NAME)
