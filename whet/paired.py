"""Is one model really better than another on the same texts? Paired tests over the texts.

All of it works on counts: texts with the same true label and the same two answers are alike, so what a
million of them cost is what their different triples cost.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from whet.intervals import Interval
from whet.metrics import (
    Counts,
    Floats,
    accuracy,
    macro_precision_recall_f1,
    matthews_correlation,
)

LEVEL: Final = 0.05
POWER: Final = 0.8
N_RESAMPLES: Final = 2000
N_SHUFFLES: Final = 9999
FEWER_SHUFFLES: Final = 999  # with more than MANY_CELLS different (true, first, second)
MANY_CELLS: Final = 20_000
_CELLS_AT_ONCE = 4_000_000
_Z = float(scipy.stats.norm.ppf(1 - LEVEL / 2))


METRICS: Final[Mapping[str, Callable[[ArrayLike], Floats]]] = {
    "accuracy": accuracy,
    "macro_f1": lambda confusion: macro_precision_recall_f1(confusion)[2],
    "mcc": matthews_correlation,
}


class Tested(NamedTuple):
    """What a test says of a second figure against a first."""

    difference: float  # second minus first
    interval: Interval  # 95%
    p: float  # two-sided
    test: str  # its name
    rows: float  # that a difference of this size takes to be found with 80% power; inf: no number does


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test: given that one is right, each is so with chance one half.

    McNemar, Psychometrika 12, 1947; binomial, as statsmodels' `mcnemar(exact=True)`."""
    n = only_first + only_second
    return min(1.0, 2 * float(scipy.stats.binom.cdf(min(only_first, only_second), n, 0.5))) if n else 1.0


def mcnemar_rows(share_first: float, share_second: float, level: float = LEVEL) -> float:
    """Texts for McNemar's test to find a difference with 80% power; inf where there is none.

    share_first, share_second: of all texts, those that only one model has right.
    n = (z_(1-level/2) sqrt(s) + z_(power) sqrt(s - d^2))^2 / d^2 with s their sum and d their difference:
    Connor, "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43, 1987, equation 3."""
    total, difference = share_first + share_second, share_second - share_first
    if difference == 0:
        return math.inf
    z, z_power = (float(scipy.stats.norm.ppf(q)) for q in (1 - level / 2, POWER))
    return (z * math.sqrt(total) + z_power * math.sqrt(total - difference**2)) ** 2 / difference**2


def paired_test(
    true: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    n_labels: int,
    metric: str,
    level: float = LEVEL,
    seed: int = 0,
) -> Tested:
    """McNemar's test of accuracy, approximate randomisation of macro_f1 and mcc; level is that of `rows`.

    true (n,) integers in [0, n_labels); first, second (n,) too, or -1 for no answer."""
    arrays = (true, first, second, n_labels)
    difference, interval, error = difference_interval(*arrays, metric, seed)
    if metric == "accuracy":
        only_first, only_second = only_one_right(true, first, second)
        n = len(np.asarray(true))
        rows = mcnemar_rows(only_first / n, only_second / n, level)
        return Tested(difference, interval, mcnemar(only_first, only_second), "exact McNemar", rows)
    p = randomisation(*arrays, metric, seed)
    rows = math.inf
    if difference:  # the standard error falls with the root of the rows
        z = float(scipy.stats.norm.ppf([1 - level / 2, POWER]).sum())
        rows = len(np.asarray(true)) * (z * error / difference) ** 2
    return Tested(difference, interval, p, "approximate randomisation", rows)


def only_one_right(true: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[int, int]:
    """Texts that only the first has right, and only the second; all (n,) integers."""
    right, other = np.equal(true, first), np.equal(true, second)
    return int((right & ~other).sum()), int((other & ~right).sum())


def difference_interval(
    true: ArrayLike, first: ArrayLike, second: ArrayLike, n_labels: int, metric: str, seed: int = 0
) -> tuple[float, Interval, float]:
    """metric of second minus that of first, its 95% interval, and its standard error.

    true, first, second (n,) integers in [0, n_labels). Accuracy: one text is added to each side of those
    that only one model has right, and the normal interval taken (Bonett and Price, J. Educ. Behav. Stat.
    37, 2012); else the paired bootstrap over texts, whose standard deviation gives the interval."""
    cells, counts = _triples(true, first, second, n_labels)
    score = METRICS[metric]
    n = int(counts.sum())
    difference = float(
        score(_confusions(cells, counts, 2, n_labels)) - score(_confusions(cells, counts, 1, n_labels))
    )
    if metric == "accuracy":
        only_first, only_second = only_one_right(true, first, second)
        a, b = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
        error = math.sqrt((a + b - (b - a) ** 2) / (n + 2))
        middle = b - a
    else:
        rng = np.random.default_rng(seed)
        drawn = []
        for size in _portions(N_RESAMPLES, len(counts) + n_labels**2):
            some = rng.multinomial(n, counts / n, size)
            drawn.append(
                score(_confusions(cells, some, 2, n_labels)) - score(_confusions(cells, some, 1, n_labels))
            )
        error, middle = float(np.concatenate(drawn).std(ddof=1)), difference
    low, high = max(middle - _Z * error, -2.0), min(middle + _Z * error, 2.0)
    return difference, [min(low, difference), max(high, difference)], error


def randomisation(
    true: ArrayLike, first: ArrayLike, second: ArrayLike, n_labels: int, metric: str, seed: int = 0
) -> float:
    """Two-sided p of approximate randomisation: the two answers to each text change places or do not.

    Arguments as of `difference_interval`. p = (1 + shuffles that differ as much) / (1 + shuffles): Noreen,
    Computer-Intensive Methods for Testing Hypotheses, 1989; for F1 Yeh, COLING 2000. Of k texts alike a
    binomial number changes places."""
    cells, counts = _triples(true, first, second, n_labels)
    score = METRICS[metric]
    differ = cells[:, 1] != cells[:, 2]
    swapped_cells = cells[differ][:, [0, 2, 1]]
    every = np.concatenate([cells, swapped_cells])
    base = score(_confusions(cells, counts, 2, n_labels)) - score(_confusions(cells, counts, 1, n_labels))
    rng = np.random.default_rng(seed)
    n_shuffles = N_SHUFFLES if len(cells) <= MANY_CELLS else min(N_SHUFFLES, FEWER_SHUFFLES)
    as_large = 0
    for size in _portions(n_shuffles, len(every) + n_labels**2):
        moved = rng.binomial(counts[differ], 0.5, (size, int(differ.sum())))
        kept = np.broadcast_to(counts, (size, len(counts))).copy()
        kept[:, differ] -= moved
        drawn = np.concatenate([kept, moved], axis=1)
        found = score(_confusions(every, drawn, 2, n_labels)) - score(_confusions(every, drawn, 1, n_labels))
        as_large += int((np.abs(found) >= abs(base) - 1e-12).sum())
    return (1 + as_large) / (1 + n_shuffles)


def _triples(true: ArrayLike, first: ArrayLike, second: ArrayLike, n_labels: int) -> tuple[Counts, Counts]:
    """The different (true, first, second) as (n_cells, 3), and how many texts have each: (n_cells,)."""
    width = n_labels + 1  # the last for no answer
    codes = (np.asarray(true, np.int64) * width + np.mod(first, width)) * width + np.mod(second, width)
    found, counts = np.unique(codes, return_counts=True)
    pairs, last = np.divmod(found, width)
    return np.stack([*np.divmod(pairs, width), last], axis=1), counts.astype(np.int64)


def _confusions(cells: Counts, counts: Counts, which: int, n_labels: int) -> Counts:
    """Of the answers in column `which`: counts (..., n_cells) -> (..., n_labels, n_labels + 1)."""
    width = n_labels + 1
    places = cells[:, 0] * width + cells[:, which]
    order = np.argsort(places, kind="stable")
    occupied, starts = np.unique(places[order], return_index=True)
    matrices = np.zeros((*counts.shape[:-1], n_labels * width), np.int64)
    matrices[..., occupied] = np.add.reduceat(counts[..., order], starts, axis=-1)
    return matrices.reshape(*counts.shape[:-1], n_labels, width)


def _portions(total: int, cells: int) -> list[int]:
    """total in portions of so many rows of cells that they fit into some 32 MB."""
    size = max(1, _CELLS_AT_ONCE // cells)
    return [min(size, total - first) for first in range(0, total, size)]
