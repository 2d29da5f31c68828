"""How far a figure can be trusted where a number is predicted: 95% intervals beside each figure of
`regression_metrics.regression_metrics`.

The rows are seen as drawn at random, one by one. Each interval covers best in simulation
(bench/regression_coverage.py). Fisher's interval of Pearson's correlation is made for normal numbers: of
skewed or heavy-tailed ones it covers 57 to 82%, so its variance is measured here. Errors with a long tail
stay the hard case: with 50 rows RMSE's and R2's intervals then cover 82 to 91%.
"""

import math
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from whet.intervals import LEVEL, Interval, Z, loss_interval
from whet.regression_metrics import checked, pearson, r2, spearman, standardised


def pearson_interval(predicted: ArrayLike, true: ArrayLike) -> Interval | None:
    """Interval of Pearson's correlation of two arrays (n,); None where undefined, or n < 4.

    Symmetric on Fisher's z scale. The variance is the distribution-free one (Hawkins, "Using U statistics to
    derive the asymptotic distribution of Fisher's Z statistic", The American Statistician 43, 1989), but no
    less than that of normal numbers, 1 / (n - 3) (Fisher 1921)."""
    ours, theirs = checked(predicted, true)
    found = pearson(ours, theirs)
    if found is None or len(ours) < 4:
        return None
    if abs(found) == 1:
        return [found, found]
    first, second = standardised(ours), standardised(theirs)
    shares = first * second - found * (first**2 + second**2) / 2
    measured = float((shares**2).mean()) / (1 - found**2) ** 2
    return _fisher(found, math.sqrt(max(measured, 1.0) / (len(ours) - 3)))


def spearman_interval(predicted: ArrayLike, true: ArrayLike) -> Interval | None:
    """Interval of Spearman's correlation of two arrays (n,); None where undefined, or n < 4.

    Symmetric on Fisher's z scale with variance (1 + r^2 / 2) / (n - 3): Bonett and Wright, "Sample size
    requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 65, 2000. The same
    order counts as half of the smallest step below 1."""
    ours, theirs = checked(predicted, true)
    found, n = spearman(ours, theirs), len(ours)
    if found is None or n < 4:
        return None
    most = 1 - 6 / (n * (n**2 - 1))
    held = min(max(found, -most), most)
    low, high = _fisher(held, math.sqrt((1 + held**2 / 2) / (n - 3)))
    return [min(low, found), max(high, found)]


def r2_interval(predicted: ArrayLike, true: ArrayLike) -> Interval | None:
    """Interval of R2 of two arrays (n,); None where undefined.

    1 - R2 is a ratio of two means, whose logarithm has the variance of the delta method; with Student's t."""
    ours, theirs = checked(predicted, true)
    found, n = r2(ours, theirs), len(ours)
    if found is None:
        return None
    errors, around_mean = (ours - theirs) ** 2, (theirs - theirs.mean()) ** 2
    if not errors.any():
        return [found, found]
    shares = errors / errors.mean() - around_mean / around_mean.mean()
    t = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1))
    half = t * math.sqrt(float((shares**2).mean()) / (n - 1))
    return [1 - (1 - found) * math.exp(min(half, 700.0)), 1 - (1 - found) * math.exp(-half)]


def regression_intervals(predicted: ArrayLike, true: ArrayLike) -> dict[str, Any]:
    """95% intervals [low, high] under the names of `regression_metrics`, None where undefined.

    Takes what that takes. MAE and RMSE are a mean and the root of one: Hall's interval (`loss_interval`)."""
    ours, theirs = checked(predicted, true)
    squared = loss_interval((ours - theirs) ** 2)
    return {
        "pearson": pearson_interval(ours, theirs),
        "spearman": spearman_interval(ours, theirs),
        "mae": loss_interval(np.abs(ours - theirs)),
        "rmse": None if squared is None else [math.sqrt(end) for end in squared],
        "r2": r2_interval(ours, theirs),
    }


def _fisher(correlation: float, deviation: float) -> Interval:
    """correlation, inside (-1, 1), plus and minus Z deviations on Fisher's z scale."""
    middle = math.atanh(correlation)
    return [math.tanh(middle - Z * deviation), math.tanh(middle + Z * deviation)]
