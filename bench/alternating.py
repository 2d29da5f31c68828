"""Sides that take turns, each run a process of its own, and what their runs say side by side."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Found = dict[str, list[dict[str, Any]]]  # of each side its runs, in order


def child(script: str, *words: object) -> dict[str, Any]:
    """Run a script of bench/ once more with these arguments, from the same folder; the last line that it
    prints is a JSON object."""
    command = [sys.executable, "-m", f"bench.{Path(script).stem}", *map(str, words)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def alternate(sides: Sequence[str], rounds: int, run: Callable[[str], dict[str, Any]]) -> Found:
    """A B A B ...: every side after another, so often. Each run is shown as it ends, but for its lists."""
    found: Found = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            row = run(side)
            found[side].append(row)
            shown = {key: value for key, value in row.items() if not isinstance(value, list)}
            print(json.dumps({"side": side, **shown}), file=sys.stderr, flush=True)
    return found


def values(rows: Iterable[dict[str, Any]], key: str) -> list[float]:
    return [row[key] for row in rows]


def median(rows: Iterable[dict[str, Any]], key: str) -> float:
    return statistics.median(values(rows, key))


def ratios(first: Iterable[dict[str, Any]], second: Iterable[dict[str, Any]], key: str) -> str:
    """First over second, of the runs that stood side by side."""
    return spread([a / b for a, b in zip(values(first, key), values(second, key), strict=True)])


def spread(numbers: Sequence[float], form: str = ".2f") -> str:
    """Median (least to most)."""
    low, middle, high = (f"{one(numbers):{form}}" for one in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"


def head(*cells: str) -> None:
    """The first two lines of a Markdown table."""
    print(f"\n| {' | '.join(cells)} |\n{'| --- ' * len(cells)}|")


def line(*cells: object) -> None:
    """One of its further lines."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
