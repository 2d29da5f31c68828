"""Which rows of a file to label next: what is passed over, what the model doubts, and what is chosen."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whet.api import listening, load
from whet.data.columns import Columns
from whet.data.labels import spelled_labels
from whet.data.lists import with_answers
from whet.data.readers import read_split_of, read_splits, read_table
from whet.data.splitting import text_groups
from whet.data.table import Table
from whet.data.texts import Texts, readable
from whet.data.wording import counted
from whet.errors import ConfigError, DataError, RunError, UsageError
from whet.runs import read_manifest
from whet.selection import spread_out, uncertainty, worth_a_look
from whet.training.events import Note
from whet.user_model import Model

_BETWEEN_NOTES = 10.0  # seconds
_PLACES = 4  # of what a person reads

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Say = Callable[[str], None]


@final
@dataclass(frozen=True)
class Selection:
    """Rows to label next, in the order of choice."""

    source: str
    n_candidates: int  # different texts without a label that they were chosen from
    label_column: str  # the one to fill in
    rows: tuple[Mapping[str, Any], ...]  # under `columns`
    columns: tuple[str, ...]  # the input's, the label's, line or row, predicted, probability, uncertainty
    notes: tuple[str, ...]


def select(
    model: str | os.PathLike[str] | Model,
    data: Any,
    *,
    rows: int = 100,
    seed: int = 0,
    text: str | None = None,
    pair: str | None = None,
    device: str = "auto",
    precision: str = "float32",
    quiet: bool = False,
) -> Selection:
    """Say which unlabelled rows of `data` to label next: those the model doubts, no two of them alike.

    data is what `train` takes. Rows that have a label, an empty text, or the text of another row or of the
    run's own data are passed over. Raises what `evaluate` raises, ConfigError for a number that cannot be,
    and DataError where no row is left."""
    opened = model if isinstance(model, Model) else load(model, device=device, precision=precision)
    opened.check_classifies()
    with listening(quiet, ()) as listen:
        return _selection(opened, data, rows, seed, text, pair, lambda line: listen(Note(line)))


def _selection(
    model: Model, data: Any, n_rows: int, seed: int, text: str | None, pair: str | None, say: Say
) -> Selection:
    problems = [f"rows={n_rows}: must be a whole number from 1 up."] if n_rows < 1 else []
    problems += [f"seed={seed}: must be a whole number from 0 up."] if seed < 0 else []
    if problems:
        raise ConfigError("\n".join(problems))
    if not model.module.task.has_classes:
        raise UsageError(f"select is for classification today, and the task is {model.module.task.name}.")
    table = read_table(data)
    columns = model.columns(table, text, pair)
    rows, notes = _candidates(model, table, columns)
    if len(rows) < n_rows:
        notes.append(f"Only {counted(len(rows), 'row')} can be chosen, and {n_rows:,} were asked for.")
    texts = Texts(table, columns, rows)
    predicted, probabilities, doubts = _answers(model, texts, say)
    looked_at = worth_a_look(doubts, n_rows)
    vectors = model.vectors(texts.some(looked_at))
    chosen = looked_at[spread_out(vectors, doubts[looked_at], n_rows, seed)]
    label = model.module.rules.label_column or "label"
    answers = [
        {
            "predicted": model.labels[predicted[i]],
            "probability": round(float(probabilities[i]), _PLACES),
            "uncertainty": round(float(doubts[i]), _PLACES),
        }
        for i in chosen
    ]
    written = tuple(_written(table, rows[chosen], label, answers))
    return Selection(table.source, len(rows), label, written, tuple(written[0]), tuple(notes))


def _candidates(model: Model, table: Table, columns: Columns) -> tuple[Int64s, list[str]]:
    """(n,) rows that may be chosen, and a line for each reason why others are not. Raises DataError where
    none may."""
    names = [name for name in (columns.text, columns.pair) if name is not None]
    own = [pc.fill_null(readable(table, name), "") for name in names]
    known, notes = _known_texts(model)
    stacked = [
        pa.chunked_array(
            [*column.chunks, *(chunk for part in known for chunk in part[i].chunks)], column.type
        )
        for i, column in enumerate(own)
    ]
    groups, known_groups = np.split(text_groups(stacked), [len(table)])
    label = model.module.rules.label_column
    is_labelled = np.zeros(len(table), np.bool_)
    if label in table.names:
        is_labelled = spelled_labels(table, label).is_valid().to_numpy()
    bare = [pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy() for column in own]
    reasons = (
        (is_labelled, f"a label in '{label}'"),
        (np.logical_and.reduce(bare), "an empty text"),
        (np.isin(groups, np.concatenate([known_groups, groups[is_labelled]])), "the text of a labelled row"),
        (_repeats(groups), "the text of an earlier row"),
    )
    is_left = np.ones(len(table), np.bool_)
    for mask, what in reasons:
        n = int((mask & is_left).sum())
        is_left &= ~mask
        if n:
            have = "has" if n == 1 else "have"
            notes.append(f"{counted(n, 'row')} of {table.source} {have} {what}: passed over.")
    if not is_left.any():
        raise DataError("\n".join([f"{table.source}: no row is left to choose from.", *notes]))
    return np.flatnonzero(is_left), notes


def _repeats(groups: Int64s) -> Bools:
    """Which rows, (n,), are not the first of their group. A group is passed over as a whole or not at all."""
    repeats = np.ones(len(groups), np.bool_)
    repeats[np.unique(groups, return_index=True)[1]] = False
    return repeats


def _known_texts(model: Model) -> tuple[list[tuple[pa.ChunkedArray, ...]], list[str]]:
    """The text columns of the labelled rows that the model's run was given, a part each file; and a line
    where they cannot be had."""
    if model.name is None:
        return [], []
    unknown = "so rows that it was trained on are not passed over."
    path = Path(model.name).expanduser()
    folder = next((one for one in (path, path.parent) if (one / "run.json").exists()), None)
    if folder is None:
        return [], [f"{model.name} is no run folder, {unknown}"]
    found = []
    try:
        manifest = read_manifest(folder)
        if manifest["named"]["data"] is None:
            return [], [f"{model.name} was trained on data in memory, {unknown}"]
        for table in _tables_of(manifest["named"]):
            column = manifest["columns"]
            if column["label"] not in table.names:  # GLUE's test files
                continue
            rows = spelled_labels(table, column["label"]).is_valid()
            names = [name for name in (column["text"], column["pair"]) if name is not None]
            found.append(tuple(pc.fill_null(readable(table, name).filter(rows), "") for name in names))
    except (KeyError, TypeError):
        return [], [f"{folder / 'run.json'} does not say what it was trained on, {unknown}"]
    except (DataError, RunError) as error:
        return [], [f"What {model.name} was trained on cannot be read, {unknown} ({error})"]
    return found, []


def _tables_of(named: Mapping[str, str | None]) -> Iterator[Table]:
    splits = read_splits(named["data"])
    yield from (table for table in (splits.train, splits.dev, splits.test) if table is not None)
    for split in ("dev", "test"):
        if named[split] is not None:
            yield read_split_of(named[split], split)


def _answers(model: Model, texts: Texts, say: Say) -> tuple[Int64s, npt.NDArray[Any], npt.NDArray[Any]]:
    """Of each text the likeliest label, its probability, and the model's uncertainty, (n,) each."""
    predicted = np.empty(len(texts), np.int64)
    probabilities, doubts = np.empty(len(texts), np.float32), np.empty(len(texts), np.float32)
    done, told = 0, time.monotonic()
    for found in model.windows(texts):
        here = slice(done, done + len(found))
        predicted[here], probabilities[here] = found.argmax(axis=1), found.max(axis=1)
        doubts[here] = uncertainty(found)
        done += len(found)
        if done < len(texts) and time.monotonic() - told > _BETWEEN_NOTES:
            told = time.monotonic()
            say(f"{done:,} of {len(texts):,} rows read")
    return predicted, probabilities, doubts


def _written(
    table: Table, rows: Int64s, label: str, answers: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """What is written of each row: the input's columns, an empty label to fill in, and the answers."""
    unit = "row" if table.first_lines is None else "line"
    given = table.take(rows).columns.to_pylist()
    for row, number, answer in zip(given, table.numbers(rows).tolist(), answers, strict=True):
        row.setdefault(label, None)
        yield with_answers(row, {unit: number, **answer})
