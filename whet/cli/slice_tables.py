"""Slices as a table, for people."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from whet.intervals import interval_text
from whet.slices import Slice

MOST_SHOWN = 8  # slices, and warnings


def print_slices(out: Console, slices: Sequence[Slice], share: str = "accuracy") -> None:
    """The worst slices, and a sentence for each that is worse than the rest; share is what their figure is
    called."""
    worse = [one for one in slices if one.difference is not None and one.difference < 0]
    if not worse:
        return
    shown = worse[:MOST_SHOWN]
    out.print(f"Worst slices ({len(shown)} of {len(slices)}, the most surely worse than the rest first):")
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("slice", "rows", share, "95% interval", "to the rest"):
        table.add_column(name, justify="left" if name == "slice" else "right")
    for one in shown:
        table.add_row(
            one.title,
            f"{one.n_rows:,}",
            f"{one.accuracy:.4f}",
            interval_text(one.interval),
            f"{one.difference:+.4f}",
        )
    out.print(table)
    warnings = [one.warning for one in worse if one.warning is not None]
    if not warnings:
        out.print("None of them is worse than the rest by more than chance does.")
    for warning in warnings[:MOST_SHOWN]:
        out.print(f"WARNING {warning}", soft_wrap=True)
    if len(warnings) > MOST_SHOWN:
        out.print(f"{len(warnings) - MOST_SHOWN} more such slices are in --json.")
