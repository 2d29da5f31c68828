"""What a cross-validation found, for people: figures, and rows to look at."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from whet.cli.tables import console, figure, interval, plain_table
from whet.data.findings import quoted
from whet.data.wording import counted
from whet.runs import RunFolder
from whet.tasks import TASKS, Task

_MANY_ERRORS = 0.2  # of all rows; ten well-known test sets had 3% (Northcutt, Athalye, Mueller 2021)


def print_folds(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Nothing for a run that was not cross-validated."""
    if "cross_validation" not in manifest:
        return
    out, found = console(), manifest["cross_validation"]
    _print_figures(out, found, TASKS[manifest["task"]])
    _print_lists(out, RunFolder(folder), found)
    out.print(
        "Of new rows expect what cross-validation says of all rows, or a little more: the folds' models had "
        "fewer rows to learn from than the one below.",
        soft_wrap=True,
    )
    out.print("\nThe model itself, trained on all rows but dev's:")


def _print_figures(out: Console, found: Mapping[str, Any], task: type[Task]) -> None:
    """A row a fold, what they have in common, and all rows at once."""
    table = plain_table("cross-validation", "rows", *(task.figures[key] for key in task.headlines))
    for name, run in found["runs"].items():
        table.add_row(name, f"{run['rows']:,}", *(figure(run["test"][key]) for key in task.headlines))
    for name in found["failed"]:
        table.add_row(name, "", *("failed" for _ in task.headlines))
    table.add_section()
    for statistic in ("mean", "sd"):
        figures = (found["summary"][key][statistic] for key in task.headlines)
        table.add_row(statistic, "", *map(figure, figures))
    table.add_section()
    pooled = found["out_of_fold"]
    ends = pooled["intervals"]
    table.add_row("all rows", f"{pooled['n']:,}", *(figure(pooled[key]) for key in task.headlines))
    table.add_row("95% interval", "", *(interval(ends[key]) for key in task.headlines))
    out.print(table)


def _print_lists(out: Console, folder: RunFolder, found: Mapping[str, Any]) -> None:
    errors = found["label_errors"]
    share = errors["rows"] / found["out_of_fold"]["n"]
    rows = f"{counted(errors['rows'], 'row')} ({share:.1%})"
    out.print(f"Likely label errors: {rows}, likeliest first in {folder.label_errors}", soft_wrap=True)
    for row in errors["first"]:
        place = f"{row['file']}:{row['line']}" if "line" in row else f"{row['file']}, row {row['row']}"
        texts = " / ".join(quoted(row[name], 60) for name in ("text", "pair") if name in row)
        likelier = f"'{row['suggested']}' ({row['suggested_probability']:.0%})"
        out.print(f"  {place} {texts} is '{row['label']}'; likelier {likelier}", soft_wrap=True)
    if share > _MANY_ERRORS:
        out.print("So many are a sign of a weak model rather than of wrong labels; train it longer first.")
    out.print(f"The hardest of the other rows: {folder.hardest}", soft_wrap=True)
    out.print(
        f"Each row's answer by a model that was not trained on it: {folder.fold_predictions}", soft_wrap=True
    )
