"""GLUE's table: a row a figure, in points as published tables have them, and what is to be said of it."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from whet.cli.tables import console, plain_table
from whet.data.glue import BY_NAME, SUBMISSIONS
from whet.glue_scores import WITHOUT
from whet.glue_suite import SOURCE, GlueResults
from whet.tasks import TASKS
from whet.training.listeners import clock

_NAMES = {"f1": "F1"}  # of one label, so it stands not among the task's own
_EIGHT = len(BY_NAME) - 1


def print_glue(results: GlueResults) -> None:
    """The table, GLUE's average, what is missing, and where the files are."""
    out, record = console(), results.record
    out.print(_table(record))
    out.print("In points (x 100), on GLUE's dev files. Each epoch was chosen by rows held out of train.tsv.")
    failed = [f"{name} failed: {message}" for name, message in results.failed.items()]
    lines = [*_average_lines(record["averages"]), *_absent_lines(record), *_caveats(record), *failed]
    record_file, run = results.folder / "glue.json", results.folder / next(iter(record["tasks"]))
    for line in (
        *lines,
        *_submission_lines(results),
        f"Record: {record_file}; each task is a run, as {run}.",
    ):
        out.print(line, soft_wrap=True)


def _table(record: Mapping[str, Any]) -> Table:
    tasks, absent = record["tasks"], record["absent"]
    has_seeds = _has_seeds(tasks)
    spread = "sd" if has_seeds else "95% interval"
    table = plain_table("task", "figure", "mean" if has_seeds else "score", spread, "train", "dev", "time")
    for name in BY_NAME:
        if name in tasks and tasks[name]["status"] == "finished":
            one = tasks[name]
            sizes = [f"{one['train_rows']:,}", f"{one['dev_rows']:,}", clock(one["seconds"])]
            for place, figure in enumerate(one["figures"]):
                cells = (_title(name, figure), _points(figure["mean"]), _spread(figure, has_seeds))
                table.add_row("" if place else name, *cells, *([] if place else sizes))
        elif name in tasks:
            table.add_row(name, "failed", *("-" * 5))
        elif name in absent:
            table.add_row(name, "absent", *("-" * 5))
    return table


def _has_seeds(tasks: Mapping[str, Any]) -> bool:
    return any(len(figure["values"]) > 1 for one in tasks.values() for figure in one.get("figures", ()))


def _title(name: str, figure: Mapping[str, Any]) -> str:
    key = figure["figure"]
    title = _NAMES.get(key) or TASKS[BY_NAME[name].kind].figures[key]
    return f"{title}, {figure['part']}" if figure["part"] else title


def _points(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f}"


def _spread(figure: Mapping[str, Any], has_seeds: bool) -> str:
    ends = figure["interval"]
    if has_seeds:
        return "-" if figure["sd"] is None else f"{100 * figure['sd']:.1f}"
    return "-" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def _average_lines(averages: Mapping[str, Any]) -> list[str]:
    whole, without = averages["all"], averages["without_wnli"]
    if whole is None:
        return ["There is no average: no task has a score."]
    n, value = len(whole["tasks"]), _points(whole["value"])
    is_whole = n == len(BY_NAME)
    of = f"{n} of GLUE's {len(BY_NAME)} tasks ({', '.join(whole['tasks'])})"
    lines = [f"GLUE average, over all nine tasks: {value}." if is_whole else f"Average of {of}: {value}."]
    if without is not None:
        n = len(without["tasks"])
        of = "the eight tasks that papers report" if n == _EIGHT else f"{n} of those {_EIGHT} tasks"
        lines.append(f"Without {WITHOUT}, as papers mostly count, over {of}: {_points(without['value'])}.")
    if not is_whole:
        lines.append("GLUE's own average is of all nine; one of fewer compares with no published one.")
    return lines


def _absent_lines(record: Mapping[str, Any]) -> list[str]:
    absent = [f"{name} ({why})" for name, why in record["absent"].items() if name not in record["tasks"]]
    left = [name for name in BY_NAME if name not in record["tasks"] and name not in record["absent"]]
    lines = [f"Absent: {', '.join(absent)}."] if absent else []
    return lines + ([f"Not asked for: {', '.join(left)}."] if left else [])


def _caveats(record: Mapping[str, Any]) -> list[str]:
    tasks = {name: one for name, one in record["tasks"].items() if one["status"] == "finished"}
    lines = []
    if WITHOUT in tasks:
        share = tasks[WITHOUT]["majority_share"]
        lines.append(
            f"{WITHOUT}: dev is adversarial to train (its sentences come back with the other label), so what "
            f"is learnt misleads; always saying the commonest label gives {100 * share:.1f}, the bar to pass."
        )
    transferred = [name for name, one in tasks.items() if one["started_from"] == SOURCE]
    if transferred:
        lines.append(f"Started from the model of {SOURCE}, with new heads: {', '.join(transferred)}.")
    for name, one in tasks.items():
        if one["failed_seeds"]:
            lines.append(f"{name}: without the seeds that failed: {', '.join(one['failed_seeds'])}.")
        if "diagnostic" in one:
            found = one["diagnostic"]
            low, high = (100 * end for end in found["interval"])
            lines.append(
                f"Diagnostic set, {found['rows']:,} rows by the model of {name}: R3 {_points(found['r3'])} "
                f"({low:.1f} to {high:.1f}), the correlation of three classes."
            )
    return lines


def _submission_lines(results: GlueResults) -> list[str]:
    found = results.record["submission"]
    if not found["files"]:
        return ["No submission: no task that finished has a test file."]
    n = len(found["files"])
    line = f"Submission: {results.folder / 'submission.zip'}, {n} of {len(SUBMISSIONS)} files."
    if _has_seeds(results.record["tasks"]):
        line += " Each is of the model that held-out rows chose from the seeds."
    if found["missing"]:
        line += (
            f" The leaderboard takes a zip of all {len(SUBMISSIONS)} and no less; missing: "
            f"{', '.join(found['missing'])}. Take them from GLUE's sample submission."
        )
    return [line]
