"""Is one way of training better than another? A test over texts and seeds.

The figure of a way of training is the mean over its seeds. Two things make it uncertain: other texts would
have been drawn, and other seeds. Both parts are estimated and added, as of a design in which every seed
answers every text. What a seed and a text have between them is in both, so it is taken out of one
(Cameron, Gelbach and Miller, "Robust inference with multiway clustering", JBES 29, 2011).

Few seeds know little of their own spread, so the quantile is Student's with the degrees of freedom of
Satterthwaite (Biometrics Bulletin 2, 1946) and Welch (Biometrika 34, 1947). A single model has no part for
seeds: what is said is then about that model. Size and power: bench/seeds_size.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from whet.intervals import Interval, open_ended
from whet.metrics import Floats, answered_confusion
from whet.paired import LEVEL, METRICS, POWER, Tested

TEST: Final = "t test over texts and seeds"
_NUMBERS_AT_ONCE = 4_000_000  # 32 MB


@final
@dataclass(frozen=True)
class Figure:
    """A metric of one way of training, or of one model."""

    by_seed: Floats  # (n_seeds,)
    influence: Floats  # (n_texts,) of each text on the mean over seeds, whose variance is theirs / n_texts
    seed_variance: float  # of the mean over seeds, by other seeds on these texts; 0 of one model
    shared_variance: float  # the part of it that other texts would change

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(self.by_seed.mean())


@final
@dataclass(frozen=True)
class Spread:
    """The variance of a figure, or of the difference of two."""

    texts: float
    seeds: float
    freedom: float  # degrees of freedom

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.texts + self.seeds)


def figure(true: ArrayLike, answers: Sequence[ArrayLike], n_labels: int, metric: str) -> Figure:
    """true (n,) integers in [0, n_labels); answers: those of each seed, (n,) too, or -1 for no answer."""
    found = [_influences(true, seed, n_labels, metric) for seed in answers]
    return figure_of(np.array([value for value, _ in found]), np.stack([parts for _, parts in found]))


def figure_of(by_seed: Floats, influences: Floats) -> Figure:
    """From a metric of each seed (n_seeds,), and the influence on it of each text, or of each group of texts
    that stands for one (n_seeds, n)."""
    mean: Floats = influences.mean(axis=0)
    n_seeds, n = influences.shape
    if n_seeds == 1 or n == 1:
        return Figure(by_seed, mean, 0.0, 0.0)
    between = influences - mean - influences.mean(axis=1, keepdims=True) + mean.mean()
    shared = float((between**2).sum()) / ((n_seeds - 1) * (n - 1)) / (n_seeds * n)
    return Figure(by_seed, mean, float(by_seed.var(ddof=1)) / n_seeds, shared)


def spread(one: Figure, other: Figure | None = None) -> Spread:
    """Of one figure, or of the other minus one; both are of the same texts."""
    sides = [one] if other is None else [one, other]
    influence = one.influence if other is None else other.influence - one.influence
    n = len(influence)
    texts = float(influence.var(ddof=1)) / n if n > 1 else 0.0
    seeds = sum(max(side.seed_variance - side.shared_variance, 0.0) for side in sides)
    known = texts**2 / max(n - 1, 1)
    known += sum(side.seed_variance**2 / max(len(side.by_seed) - 1, 1) for side in sides)
    freedom = (texts + seeds) ** 2 / known if known > 0 else 1.0
    return Spread(texts, seeds, min(max(freedom, 1.0), max(n - 1, 1)))


def value_interval(found: Figure, metric: str) -> Interval:
    """The 95% interval over texts and seeds, on a scale without ends (see `intervals.open_ended`)."""
    of = spread(found)
    low = -1.0 if metric == "mcc" else 0.0
    value = found.value
    return open_ended(value, value, of.error, 0.0, _quantile(of.freedom), low, len(found.influence))


def seeds_test(first: Figure, second: Figure, level: float = LEVEL) -> Tested:
    """Student's t of the difference; level is that of `rows`, which cannot make the seeds' part smaller."""
    of = spread(first, second)
    difference, n = second.value - first.value, len(first.influence)
    half = _quantile(of.freedom) * of.error
    interval = [max(difference - half, -2.0), min(difference + half, 2.0)]
    p = 2 * float(scipy.stats.t.sf(abs(difference) / of.error, of.freedom))
    wanted = float(scipy.stats.t.ppf([1 - level / 2, POWER], of.freedom).sum())  # standard errors
    left = (difference / wanted) ** 2 - of.seeds  # for the variance by texts
    return Tested(difference, interval, p, TEST, n * of.texts / left if left > 0 else math.inf)


def _quantile(freedom: float) -> float:
    return float(scipy.stats.t.ppf(1 - LEVEL / 2, freedom))


def _influences(true: ArrayLike, answers: ArrayLike, n_labels: int, metric: str) -> tuple[float, Floats]:
    """A metric, and each text's influence on it: (n - 1) times what it loses without the text, (n,).

    The jackknife (Tukey 1958; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11); of
    accuracy that is whether the text is right, less the accuracy. Texts of one cell of the confusion
    matrix are alike, so it is made cell by cell."""
    score = METRICS[metric]
    confusion = answered_confusion(true, answers, n_labels)
    value, n, width = float(score(confusion)), int(confusion.sum()), n_labels + 1
    codes = np.asarray(true, np.int64) * width + np.mod(answers, width)
    by_cell = np.zeros(confusion.size)
    if n > 1:
        occupied = np.flatnonzero(confusion)
        at_once = max(1, _NUMBERS_AT_ONCE // confusion.size)
        for start in range(0, len(occupied), at_once):
            cells = occupied[start : start + at_once]
            without = np.repeat(confusion[None], len(cells), axis=0)
            without.reshape(len(cells), -1)[np.arange(len(cells)), cells] -= 1
            by_cell[cells] = (n - 1) * (value - score(without))
    return value, by_cell[codes]
