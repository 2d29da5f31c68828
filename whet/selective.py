"""Answers with a promise: leaving out unsure texts, label sets that hold the truth, thresholds by target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet.intervals import wilson
from whet.metrics import Counts, Floats

COVERAGES: Final = (0.8, 0.9, 0.95)
_CURVE_POINTS = 20
_LEAST = 1e-12  # threshold


@final
@dataclass(frozen=True)
class RiskCoverage:
    """The mistakes among the k surest texts, for every k."""

    errors: Floats  # (n,), entry k - 1 among the k surest; not whole where sure texts are equally sure
    confidence: Floats  # (n,) of the least sure of them

    def answered(self, coverage: float) -> int:
        """How many texts a coverage is: the share, rounded up, one at least."""
        return max(math.ceil(round(coverage * len(self.errors), 9)), 1)

    def accuracy(self, coverage: float) -> float:
        """Of the surest texts, a share `coverage` of all."""
        k = self.answered(coverage)
        return float(1 - self.errors[k - 1] / k)

    @property
    def area(self) -> float:
        """Mean over k of the share of mistakes among the k surest texts: the area under the risk-coverage
        curve (AURC; Geifman et al., ICLR 2019), 0 at best."""
        return float((self.errors / np.arange(1, len(self.errors) + 1)).mean())


def risk_coverage(confidence: ArrayLike, is_right: ArrayLike) -> RiskCoverage:
    """Order texts from the surest down: confidence (n,), is_right (n,) bool, n from 1.

    El-Yaniv and Wiener, JMLR 11, 2010. Of texts that are equally sure each has the same share of their
    mistakes, which is the mean over all their orders."""
    values, place, counts = np.unique(-np.asarray(confidence), return_inverse=True, return_counts=True)
    wrong = np.bincount(place, 1.0 - np.asarray(is_right, np.float64)) / counts
    return RiskCoverage(np.cumsum(np.repeat(wrong, counts)), -np.repeat(values, counts))


def selective_figures(confidence: ArrayLike, is_right: ArrayLike) -> dict[str, Any]:
    """What answering the surest texts only would give: confidence (n,), is_right (n,) bool.

    aurc; at: {coverage, accuracy, interval, confidence} at 0.8, 0.9 and 0.95; curve: [coverage, accuracy]
    at 20 coverages."""
    curve = risk_coverage(confidence, is_right)
    at = []
    for coverage in COVERAGES:
        k = curve.answered(coverage)
        accuracy = curve.accuracy(coverage)
        at.append(
            {
                "coverage": coverage,
                "accuracy": accuracy,
                "interval": wilson(k * accuracy, k),
                "confidence": float(curve.confidence[k - 1]),
            }
        )
    steps = [(i + 1) / _CURVE_POINTS for i in range(_CURVE_POINTS)]
    return {"aurc": curve.area, "at": at, "curve": [[step, curve.accuracy(step)] for step in steps]}


def conformal_quantile(probabilities: ArrayLike, targets: ArrayLike, coverage: float) -> float:
    """The bound of 1 - P(label) up to which a label set takes labels in, so that it holds the true one of a
    new text with chance `coverage` or more.

    The ceil((n + 1) coverage)-th smallest of the scores 1 - P(true label), 1 where that is beyond n: split
    conformal prediction (Vovk, Gammerman and Shafer, 2005; Lei et al., JASA 113, 2018) with the score of
    Sadinle, Lei and Wasserman, JASA 114, 2019. It holds for texts drawn as these were, on average over draws
    of both. probabilities (n, n_labels), targets (n,); n may be 0."""
    chances = np.asarray(probabilities, np.float64)
    n = len(chances)
    rank = math.ceil(round((n + 1) * coverage, 9))
    if rank > n:
        return 1.0
    scores = 1 - chances[np.arange(n), np.asarray(targets)]
    return float(np.partition(scores, rank - 1)[rank - 1])


def label_sets(probabilities: ArrayLike, quantile: float) -> NDArray[np.bool_]:
    """Which labels each text's set holds: probabilities (n, n_labels) -> (n, n_labels).

    Every label with 1 - P(label) up to `quantile`, and the likeliest (the first of equals) in any case: an
    empty set helps nobody, and more can only raise the coverage."""
    chances = np.asarray(probabilities, np.float64)
    taken: NDArray[np.bool_] = 1 - chances <= quantile
    taken[np.arange(len(chances)), chances.argmax(axis=1)] = True
    return taken


def label_set_figures(probabilities: ArrayLike, targets: ArrayLike, quantile: float) -> dict[str, Any]:
    """coverage (share of the texts whose set holds the true label), interval (95%, Wilson's), mean_size."""
    taken = label_sets(probabilities, quantile)
    n = len(taken)
    held = int(taken[np.arange(n), np.asarray(targets)].sum())
    return {"coverage": held / n, "interval": wilson(held, n), "mean_size": float(taken.sum() / n)}


def best_f1_threshold(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """The threshold t with the best F1 of "positive where the score is t or more"; 0.5 without positives.

    scores (n,) in [0, 1], is_positive (n,) bool. Of equally good ones the highest. It lies halfway to the
    next lower score, so that rounding cannot flip a text."""
    cut = _cuts(scores, is_positive)
    n_positive = int(np.asarray(is_positive).sum())
    if n_positive == 0:
        return 0.5
    f1 = 2 * cut.hits / (cut.taken + n_positive)
    return cut.threshold(int(f1.argmax()))


def precision_threshold(scores: ArrayLike, is_positive: ArrayLike, precision: float) -> float | None:
    """The threshold t with the largest recall at which "positive where the score is t or more" has this
    precision at least; None where no threshold has.

    Arguments, and where t lies, as of `best_f1_threshold`; of equal recalls the more precise. The precision
    is that on these texts; on others it is lower as often as not."""
    cut = _cuts(scores, is_positive)
    good = cut.hits >= precision * cut.taken - 1e-9
    if not (good & (cut.hits > 0)).any():
        return None
    most = cut.hits[good].max()
    return cut.threshold(int(np.flatnonzero(good & (cut.hits == most))[0]))


@final
@dataclass(frozen=True)
class _Cuts:
    """Every way to call the highest scores positive, from the strictest."""

    scores: Floats  # (n_cuts,) falling; the lowest that is taken
    taken: Counts  # (n_cuts,) texts called positive
    hits: Counts  # (n_cuts,) of them that are

    def threshold(self, which: int) -> float:
        lower = float(self.scores[which + 1]) if which + 1 < len(self.scores) else 0.0
        return max((float(self.scores[which]) + lower) / 2, _LEAST)


def _cuts(scores: ArrayLike, is_positive: ArrayLike) -> _Cuts:
    values, place, counts = np.unique(-np.asarray(scores), return_inverse=True, return_counts=True)
    hits = np.bincount(place, np.asarray(is_positive)).astype(np.int64)
    return _Cuts(-values, np.cumsum(counts), np.cumsum(hits))


def one_vs_rest_thresholds(
    probabilities: ArrayLike, targets: ArrayLike, precision: float | None
) -> Sequence[float | None]:
    """A threshold for each label against the others: with the best F1, or with this precision.

    probabilities (n, n_labels), targets (n,); see `best_f1_threshold` and `precision_threshold`."""
    chances, ids = np.asarray(probabilities), np.asarray(targets)
    return [
        best_f1_threshold(chances[:, label], ids == label)
        if precision is None
        else precision_threshold(chances[:, label], ids == label, precision)
        for label in range(chances.shape[1])
    ]
