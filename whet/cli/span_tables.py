"""Figures of entities and of answers, as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from whet.cli.tables import figure, interval, plain_table
from whet.data.wording import counted

_GROUPS = {"has_answer_": "with an answer", "no_answer_": "without an answer"}


def print_spans(out: Console, metrics: Mapping[str, Any]) -> None:
    """What `eval` shows of entities and answers, where there are some."""
    if "per_type" in metrics:
        out.print(_per_type(metrics))
        words = counted(metrics["n_words"], "word")
        out.print(
            f"Of {words}, {metrics['n_repaired']:,} had a predicted tag that did not fit, and was repaired."
        )
    if "best_f1" in metrics:
        out.print(_by_group(metrics))
        out.print(
            f"With a threshold chosen on these very rows: F1 {metrics['best_f1']:.4f}, exact match "
            f"{metrics['best_exact']:.4f}."
        )


def _per_type(metrics: Mapping[str, Any]) -> Table:
    """Figures of each type of entity."""
    table = plain_table("entities", "precision", "recall", "F1", "95% interval", "true", "found")
    for row, ends in zip(metrics["per_type"], metrics["intervals"]["per_type"], strict=True):
        precision, recall, f1 = (figure(row[key]) for key in ("precision", "recall", "f1"))
        counts = (f"{row['support']:,}", f"{row['found']:,}")
        table.add_row(row["type"] or "(no type)", precision, recall, f1, interval(ends["f1"]), *counts)
    return table


def _by_group(metrics: Mapping[str, Any]) -> Table:
    """Questions that have an answer, and those that have none."""
    table = plain_table("questions", "exact match", "F1", "95% interval", "number")
    for prefix, name in _GROUPS.items():
        if f"{prefix}f1" in metrics:
            ends = interval(metrics["intervals"][f"{prefix}f1"])
            exact, f1 = (figure(metrics[f"{prefix}{key}"]) for key in ("exact", "f1"))
            table.add_row(name, exact, f1, ends, f"{metrics[f'{prefix}total']:,}")
    return table
