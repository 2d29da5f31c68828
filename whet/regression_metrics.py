"""How good predicted numbers are: Pearson's and Spearman's correlation, mean absolute and root mean squared
error, and R2.

A figure that is undefined is None, with the reason beside it: a correlation needs predictions and targets
that vary, R2 needs targets that vary. Numbers that differ by no more than float64's rounding do not vary.
"""

import math
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from whet.metrics import Floats

ROUNDING = 1e-13  # of the largest number; scipy's bound for a nearly constant input to `pearsonr`
FIGURES = ("pearson", "spearman", "mae", "rmse", "r2")


def pearson(predicted: ArrayLike, true: ArrayLike) -> float | None:
    """Pearson's correlation of two arrays (n,): [-1, 1], or None where one of them does not vary."""
    ours, theirs = checked(predicted, true)
    if is_constant(ours) or is_constant(theirs):
        return None
    first, second = standardised(ours), standardised(theirs)
    return min(max(float(first @ second) / len(first), -1.0), 1.0)


def spearman(predicted: ArrayLike, true: ArrayLike) -> float | None:
    """Spearman's correlation of two arrays (n,): Pearson's of the ranks; equals share their mean rank."""
    ours, theirs = checked(predicted, true)
    if is_constant(ours) or is_constant(theirs):
        return None
    return pearson(scipy.stats.rankdata(ours), scipy.stats.rankdata(theirs))


def mean_absolute_error(predicted: ArrayLike, true: ArrayLike) -> float:
    """Mean of |predicted - true|, in the targets' unit: two arrays (n,)."""
    ours, theirs = checked(predicted, true)
    return math.fsum(np.abs(ours - theirs).tolist()) / len(ours)


def root_mean_squared_error(predicted: ArrayLike, true: ArrayLike) -> float:
    """Root of the mean of (predicted - true) squared, in the targets' unit: two arrays (n,)."""
    ours, theirs = checked(predicted, true)
    return math.sqrt(math.fsum(((ours - theirs) ** 2).tolist()) / len(ours))


def r2(predicted: ArrayLike, true: ArrayLike) -> float | None:
    """1 - squared error / squared error of the targets' mean: two arrays (n,) -> at most 1, below 0 where the
    mean would do better; None where the targets do not vary. scikit-learn's `r2_score`."""
    ours, theirs = checked(predicted, true)
    if is_constant(theirs):
        return None
    centred = theirs - theirs.mean()
    largest = np.abs(centred).max()  # so that squares do not vanish
    return 1 - float((((ours - theirs) / largest) ** 2).sum() / ((centred / largest) ** 2).sum())


def regression_metrics(predicted: ArrayLike, true: ArrayLike) -> dict[str, Any]:
    """Every figure at once, as plain Python numbers that JSON can hold: predicted, true (n,) real numbers.

    Keys: n, pearson, spearman, mae, rmse (both in the targets' unit), r2; undefined, {figure: reason} for
    each that is None. ValueError: no text, lengths that differ, numbers that are not finite."""
    ours, theirs = checked(predicted, true)
    n = len(ours)
    return {
        "n": n,
        "pearson": pearson(ours, theirs),
        "spearman": spearman(ours, theirs),
        "mae": mean_absolute_error(ours, theirs),
        "rmse": root_mean_squared_error(ours, theirs),
        "r2": r2(ours, theirs),
        "undefined": _reasons(ours, theirs),
    }


def _reasons(predicted: Floats, true: Floats) -> dict[str, str]:
    if is_constant(true):
        why = "there is one row only" if len(true) == 1 else f"all targets are {true[0]:g}"
        return dict.fromkeys(("pearson", "spearman", "r2"), why)
    if is_constant(predicted):
        return dict.fromkeys(("pearson", "spearman"), f"all predictions are {predicted[0]:g}")
    return {}


def is_constant(values: Floats) -> bool:
    """Whether numbers (n,), n > 0, are equal up to rounding."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def standardised(values: Floats) -> Floats:
    """Numbers (n,) that vary, with mean 0 and standard deviation 1."""
    centred = values - values.mean()
    centred /= np.abs(centred).max()  # so that squares neither overflow nor vanish
    return np.asarray(centred / math.sqrt(float(centred @ centred) / len(values)))


def checked(predicted: ArrayLike, true: ArrayLike) -> tuple[Floats, Floats]:
    """Both as (n,) float64, n > 0. ValueError: other shapes, numbers that are not finite."""
    ours, theirs = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape:
        raise ValueError(f"predictions and targets must be (n,) both, not {ours.shape} and {theirs.shape}")
    if len(ours) == 0:
        raise ValueError("there is no text to score")
    for name, values in (("prediction", ours), ("target", theirs)):
        finite = np.isfinite(values)
        if not finite.all():
            row = int(finite.argmin())
            raise ValueError(f"{name} {row} is {values[row]}, which is no finite number")
    return ours, theirs
