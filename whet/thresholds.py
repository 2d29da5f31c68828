"""From which probability on a label is given: thresholds fitted for F1, held together where labels are rare.

The threshold that is best on a few texts is mostly chance. So a label's own threshold is the mean over
resampled texts of the best one (bagging: Breiman, Machine Learning 24, 1996), and it is drawn towards the one
threshold that is best for all labels, by the weight n / (n + 5) for n texts of the label: the credibility
formula of Buehlmann, ASTIN Bulletin 4, 1967. Means are taken of log odds. bench/threshold_rules.py compares
rules on fresh texts; there 2, 5 and 10 did about equally well.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet.metrics import Floats
from whet.multilabel_metrics import Bools

HALF_TRUST = 5  # texts of a label at which its own threshold counts as much as the pooled one
N_RESAMPLES = 100
MOST_CANDIDATES = 2000  # thresholds tried a label, evenly spread over the texts that have it
SMALLEST = 1e-12  # probabilities are held this far away from 0 and 1, where log odds would be infinite
WITHOUT_TEXTS = 0.5


@final
@dataclass(frozen=True, eq=False)
class Thresholds:
    """The probability from which on each label is given, and how it came about."""

    values: Floats  # (n_labels,)
    own: Floats  # (n_labels,) before they were drawn together; the pooled one for a label without texts
    weights: Floats  # (n_labels,) in [0, 1), how much of `own` is in `values`
    pooled: float


def decide(probabilities: ArrayLike, thresholds: ArrayLike) -> Bools:
    """Which labels are given: probabilities (n, n_labels), thresholds (n_labels,) -> (n, n_labels) bool."""
    return np.asarray(np.asarray(probabilities) >= np.asarray(thresholds))


def fit_thresholds(probabilities: ArrayLike, true: ArrayLike, seed: int = 0) -> Thresholds:
    """Thresholds for the best macro F1: probabilities (n, n_labels) in [0, 1], true (n, n_labels) bool.

    Fit them on texts that the model was not trained on; F1 on those very texts is then a little too good.
    The same seed gives the same thresholds. ValueError: no text, shapes or types that do not fit."""
    chances, wanted = np.asarray(probabilities, np.float64), np.asarray(true)
    if chances.ndim != 2 or chances.shape != wanted.shape or wanted.dtype != np.bool_ or not wanted.size:
        raise ValueError(
            f"probabilities and targets must be (n, n_labels) both, the targets bool, "
            f"not {chances.shape} and {wanted.shape} {wanted.dtype}"
        )
    held = np.clip(chances, SMALLEST, 1 - SMALLEST)
    log_odds = np.log(held / (1 - held))
    support = np.count_nonzero(wanted, axis=0)
    pooled = _best_for_all(log_odds, wanted)
    own = np.full(len(support), pooled)
    for label in np.flatnonzero(support):
        rng = np.random.default_rng([seed, int(label)])
        own[label] = _bagged(log_odds[:, label], wanted[:, label], rng)
    weights = support / (support + HALF_TRUST)
    return Thresholds(
        _probability(weights * own + (1 - weights) * pooled),
        _probability(own),
        np.asarray(weights),
        float(_probability(np.float64(pooled))),
    )


def _best_for_all(log_odds: Floats, true: Bools) -> float:
    """The one threshold with the best macro F1."""
    candidates = _candidates(log_odds.ravel(), true.ravel())
    if not len(candidates):
        return float(np.log(WITHOUT_TEXTS / (1 - WITHOUT_TEXTS)))
    f1 = np.zeros(len(candidates))
    for scores, positive in zip(log_odds.T, true.T, strict=True):
        hits, others = _counts_from(candidates, scores, positive)
        f1 += 2 * hits / np.maximum(hits + others + np.count_nonzero(positive), 1)
    return float(candidates[f1.argmax()])


def _bagged(scores: Floats, positive: Bools, rng: np.random.Generator) -> float:
    """The mean of the best thresholds over resampled texts: scores, positive (n,).

    Each text is drawn a Poisson number of times (Oza and Russell, "Online bagging and boosting", 2001), so
    that texts between two candidates are one Poisson number, whatever n."""
    candidates = _candidates(scores, positive)
    hits, others = _counts_from(candidates, scores, positive)
    shape = (N_RESAMPLES, len(candidates))
    drawn_hits = np.cumsum(rng.poisson(np.diff(hits, prepend=0), shape), axis=1)
    drawn_others = np.cumsum(rng.poisson(np.diff(others, prepend=0), shape), axis=1)
    total = drawn_hits[:, -1:]  # the lowest candidate lies below every text of the label
    f1 = 2 * drawn_hits / np.maximum(drawn_hits + drawn_others + total, 1)
    usable = total[:, 0] > 0
    if not usable.any():
        usable[:] = True
    return float(candidates[f1.argmax(axis=1)][usable].mean())


def _candidates(scores: NDArray[Any], positive: Bools) -> Floats:
    """Thresholds worth trying, the highest first: between a positive's score and the next lower one.

    F1 only falls from one positive to the next, so nothing else can be best."""
    distinct = np.unique(scores)
    places = np.flatnonzero(np.isin(distinct, scores[positive]))[::-1]
    if len(places) > MOST_CANDIDATES:
        places = places[np.linspace(0, len(places) - 1, MOST_CANDIDATES).astype(np.int64)]
    lower = np.maximum(places - 1, 0)
    return np.asarray((distinct[places] + distinct[lower]) / 2, np.float64)


def _counts_from(
    candidates: Floats, scores: Floats, positive: Bools
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives and other texts with at least each candidate: (n_candidates,) int64 both."""
    counts = []
    for side in (positive, ~positive):
        ranked = np.sort(scores[side])
        counts.append(len(ranked) - np.searchsorted(ranked, candidates, "left"))
    return counts[0], counts[1]


def _probability(log_odds: Floats | np.float64) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))
