"""What GLUE makes of figures: over seeds, a score a task, and the average over tasks.

A task's score is the mean of its figures, and GLUE's average is the mean of the tasks' scores, as on the
leaderboard, which counts all nine. Papers mostly leave WNLI out, and report the mean of the other eight.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

WITHOUT = "WNLI"


def figure_over_seeds(key: str, part: str, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One figure of one dev file, from the metrics of each seed.

    -> figure, part, values by seed, mean, sd (n - 1; None of one seed), and interval (of one seed alone). A
    figure that is undefined for a seed, as a correlation with predictions that are all the same, makes mean
    and sd None."""
    values = {seed: metrics.get(key) for seed, metrics in runs.items()}
    known = [value for value in values.values() if value is not None]
    is_whole = len(known) == len(values)
    (first, *others) = runs.values()
    return {
        "figure": key,
        "part": part,
        "values": values,
        "mean": statistics.fmean(known) if is_whole else None,
        "sd": statistics.stdev(known) if is_whole and len(known) > 1 else None,
        "interval": None if others else first.get("intervals", {}).get(key),
    }


def score(figures: Sequence[Mapping[str, Any]]) -> float | None:
    """A task's: the mean of its figures' means; None where one of them is undefined."""
    means = [figure["mean"] for figure in figures]
    return None if None in means else statistics.fmean(means)


def averages(scores: Mapping[str, float | None]) -> dict[str, dict[str, Any] | None]:
    """GLUE's average of the tasks that have a score: of all, and without WNLI where it is among them.

    -> all, without_wnli: each value and tasks, or None where there is none."""
    known = {name: value for name, value in scores.items() if value is not None}
    others = {name: value for name, value in known.items() if name != WITHOUT}
    return {
        "all": _mean(known) if known else None,
        "without_wnli": _mean(others) if others and WITHOUT in known else None,
    }


def _mean(scores: Mapping[str, float]) -> dict[str, Any]:
    return {"value": statistics.fmean(scores.values()), "tasks": list(scores)}
