"""How far a figure can be trusted: a 95% interval beside each figure of `metrics.classification_metrics`.

Each figure has the interval that covers best in simulation (bench/coverage.py); all see the texts as drawn
at random, one by one, from all texts there could be:
- shares (accuracy, precision, recall) are Wilson's; F1 is a share in disguise;
- macro figures and MCC come from a bootstrap of the confusion matrix, on a scale without ends;
- ROC AUC is a score interval with DeLong's variance;
- the loss, a mean of skewed numbers, is Hall's.

No interval ends inside its figure: where a correction would push the figure out, the end is the figure.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from whet.metrics import (
    Counts,
    Floats,
    answered_confusion,
    macro_precision_recall_f1,
    matthews_correlation,
)

LEVEL: Final = 0.95
Z: Final = float(scipy.stats.norm.ppf((1 + LEVEL) / 2))
N_RESAMPLES: Final = 1000  # the spread is then known to 2%
MOST_SPREAD_LABELS: Final = 200  # with more, empty cells stay empty, and there are fewer resamples
_FEWER_RESAMPLES = 200
_CELLS_AT_ONCE = 4_000_000  # 32 MB
AUC_SAMPLE: Final = 100_000  # texts; with more, the spread is measured on so many and scaled
_HALF_TRUST = 15  # texts of the rarer side at which DeLong's variance counts as much as the formula's;
# fewer for a mean of several labels, of which the formula knows less
Interval = list[float]


def wilson(hits: float, n: float) -> Interval | None:
    """Interval of a share of n texts; None where n is 0.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927;
    scipy's `binomtest(...).proportion_ci(method="wilson")`."""
    if n == 0:
        return None
    share = hits / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return _around(share, max(middle - half, 0.0), min(middle + half, 1.0))


def f1_interval(hits: float, misses: float) -> Interval | None:
    """Interval of F1 = 2 TP / (2 TP + FP + FN); None where a label is neither true nor predicted.

    hits is TP, misses is FP + FN. F1 = 2 J / (1 + J) grows with J = TP / (TP + FP + FN), which is a share
    of the texts that have the label or are given it, so Wilson's interval of J is carried over."""
    found = wilson(hits, hits + misses)
    return None if found is None else [2 * end / (1 + end) for end in found]


def macro_and_mcc_intervals(confusion: ArrayLike, seed: int = 0) -> dict[str, Interval]:
    """Intervals of macro_precision, macro_recall, macro_f1 and mcc: confusion (n_labels, n_labels) integers,
    or one of `metrics.answered_confusion`.

    Drawing n texts anew is one multinomial draw of the cells, whatever n. One text spread over all cells
    keeps an empty cell possible (Agresti and Coull's idea for shares, The American Statistician 52, 1998).
    The resamples give spread and bias, and the interval is made on the logit's or Fisher's z scale by the
    delta method, with Student's t: percentiles of the resamples cover 91% at 50 texts."""
    counts = np.asarray(confusion, np.int64)
    n, n_labels = int(counts.sum()), len(counts)
    spread = n_labels <= MOST_SPREAD_LABELS
    if not counts[:, n_labels:].any():  # every text has an answer
        counts = counts[:, :n_labels]
    chances = (counts + spread / counts.size) / (n + spread)
    # Whole numbers for the smoothed matrix: every figure is the same for a multiple of the counts.
    smoothed = counts * counts.size + 1 if spread and n * counts.size < 2e9 else counts
    found, centre = _macro_and_mcc(counts), _macro_and_mcc(smoothed)  # (4,)
    resampled = _resampled(chances, n, N_RESAMPLES if spread else _FEWER_RESAMPLES, seed)  # (n_resamples, 4)
    deviation, bias = resampled.std(axis=0), resampled.mean(axis=0) - centre
    t = float(scipy.stats.t.ppf((1 + LEVEL) / 2, max(n - 1, 1)))
    names = ("macro_precision", "macro_recall", "macro_f1", "mcc")
    intervals = {}
    for i, name in enumerate(names):
        low = -1.0 if name == "mcc" else 0.0
        intervals[name] = open_ended(found[i], centre[i], deviation[i], bias[i], t, low, n)
    return intervals


def open_ended(
    found: float, centre: float, deviation: float, bias: float, t: float, low: float, n: int
) -> Interval:
    """found ± t deviations on the scale log((x - low) / (1 - x)), whose slope is taken at centre.

    For low = 0 that is the logit, for low = -1 twice Fisher's z. An end counts as a quarter of a text
    away from it."""
    edge = (1 - low) / (4 * n)
    held = min(max(found, low + edge), 1 - edge)
    centre = min(max(centre, low + edge), 1 - edge)
    slope = (1 - low) / ((centre - low) * (1 - centre))
    middle = math.log((held - low) / (1 - held)) - slope * bias
    ends = (middle - t * slope * deviation, middle + t * slope * deviation)
    return _around(found, *(low + (1 - low) / (1 + math.exp(-min(max(end, -700), 700))) for end in ends))


def _resampled(chances: Floats, n: int, n_resamples: int, seed: int) -> Floats:
    """The four figures of matrices drawn from chances, of a matrix' shape: (n_resamples, 4)."""
    rng = np.random.default_rng(seed)
    occupied = np.flatnonzero(chances)
    weights = chances.ravel()[occupied]
    at_once = max(1, _CELLS_AT_ONCE // chances.size)
    figures = []
    for first in range(0, n_resamples, at_once):
        n_matrices = min(at_once, n_resamples - first)
        cells = np.zeros((n_matrices, chances.size), np.int64)
        cells[:, occupied] = rng.multinomial(n, weights / weights.sum(), n_matrices)
        figures.append(_macro_and_mcc(cells.reshape(n_matrices, *chances.shape)))
    return np.concatenate(figures)


def _macro_and_mcc(confusion: Counts) -> Floats:
    """macro precision, recall, F1 and MCC of matrices: (...) -> (..., 4)."""
    return np.stack([*macro_precision_recall_f1(confusion), matthews_correlation(confusion)], axis=-1)


def roc_auc_intervals(
    probabilities: ArrayLike, true: ArrayLike, seed: int = 0
) -> tuple[list[Interval | None], Interval | None]:
    """Intervals of each label's ROC AUC against the rest, and of their mean; None where undefined.

    probabilities (n, n_labels), true (n,) integers. The variance of an AUC is DeLong, DeLong and
    Clarke-Pearson's (Biometrics 44, 1988), by each text's share in it, which holds for the mean too. The
    interval is every AUC that is within 1.96 standard errors, where the variance moves with the AUC as in
    Hanley and McNeil's formula (Radiology 143, 1982) in Newcombe's form (Statistics in Medicine 25, 2006,
    method 5). With few texts on one side DeLong's variance is drawn towards that formula, which has one
    where all pairs are in order."""
    chances, ids = np.asarray(probabilities), np.asarray(true)
    n = len(ids)
    n_labels = chances.shape[1]
    support = np.bincount(ids, minlength=n_labels)
    chosen = np.arange(n)
    if n > AUC_SAMPLE:
        chosen = np.sort(np.random.default_rng(seed).choice(n, AUC_SAMPLE, replace=False))
    some, some_ids = chances[chosen], ids[chosen]
    share_sum = np.zeros(len(chosen))
    intervals: list[Interval | None] = []
    aucs: list[float] = []
    sizes: list[tuple[int, int]] = []
    for label in range(n_labels):
        n_own = int(support[label])
        n_other = n - n_own
        if n_own == 0 or n_other == 0:
            intervals.append(None)
            continue
        if n <= AUC_SAMPLE:
            auc, shares = _auc_shares(some[:, label], some_ids == label)
        else:
            auc, _ = _auc_shares(chances[:, label], ids == label)
            own = some_ids == label
            shares = np.zeros(len(own))
            if 0 < own.sum() < len(own):
                shares = _auc_shares(some[:, label], own)[1]
        scale = len(chosen) / n
        intervals.append(_auc_interval(auc, float((shares**2).sum()) * scale, [(n_own, n_other)]))
        share_sum += shares
        aucs.append(auc)
        sizes.append((n_own, n_other))
    if not aucs:
        return intervals, None
    variance = float(((share_sum / len(aucs)) ** 2).sum()) * len(chosen) / n
    return intervals, _auc_interval(sum(aucs) / len(aucs), variance, sizes)


def _auc_shares(scores: NDArray[Any], is_positive: NDArray[np.bool_]) -> tuple[float, Floats]:
    """The AUC, and each text's share in its error, whose squares add up to DeLong's variance: (n,)."""
    own, other = np.sort(scores[is_positive]), np.sort(scores[~is_positive])
    below = np.empty(len(scores))  # placement: share of the other side that is in the right order
    for side, against, sign in ((is_positive, other, 1), (~is_positive, own, -1)):
        left = np.searchsorted(against, scores[side], "left")
        right = np.searchsorted(against, scores[side], "right")
        share = (left + right) / (2 * len(against))
        below[side] = share if sign == 1 else 1 - share
    auc = float(below[is_positive].mean())
    size = np.where(is_positive, len(own), len(other))
    return auc, (below - auc) / np.sqrt(size * np.maximum(size - 1, 1.0))


def _auc_interval(auc: float, variance: float, sizes: list[tuple[int, int]]) -> Interval:
    """Every AUC within Z standard errors of auc, by bisection; sizes are texts of (a label, the others)."""

    def formula(at: float) -> float:
        variances = [
            at
            * (1 - at)
            * (1 + ((own + other) / 2 - 1) * ((1 - at) / (2 - at) + at / (1 + at)))
            / (own * other)
            for own, other in sizes
        ]
        apart = sum(variances) / len(sizes) ** 2
        together = (sum(map(math.sqrt, variances)) / len(sizes)) ** 2
        alike = (
            1 / (len(sizes) - 1) if len(sizes) > 1 else 1.0
        )  # two labels have one AUC, more are less alike
        return (1 - alike) * apart + alike * together

    fewest = min(min(own, other) for own, other in sizes)
    usual = formula(auc)
    trust = _HALF_TRUST / max(len(sizes) - 1, 1)
    ratio = 1.0
    if variance > 0 and usual > 0 and fewest > 1:
        ratio = min(max(variance / usual, 0.1), 10.0) ** (fewest / (fewest + trust))
    ends = []
    for end in (0.0, 1.0):
        inside, outside = auc, end
        for _ in range(50):
            at = (inside + outside) / 2
            if abs(at - auc) <= Z * math.sqrt(ratio * formula(at)):
                inside = at
            else:
                outside = at
        ends.append((inside + outside) / 2)
    return _around(auc, *ends)


def loss_interval(losses: ArrayLike) -> Interval | None:
    """Interval of a mean of losses (n,), none negative; None of fewer than two.

    Hall, "On the removal of skewness by transformation", J. R. Statist. Soc. B 54, 1992: Student's t
    through a cubic that takes the skewness out of it. Without skewness it is Student's interval, which of
    a loss covers 82 to 93% at 50 texts."""
    values = np.asarray(losses, np.float64)
    n = len(values)
    if n < 2:
        return None
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    t = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1))
    skew = float((((values - mean) / deviation) ** 3).mean()) if deviation > 0 else 0.0
    ends = []
    for quantile in (t, -t):
        x = quantile / math.sqrt(n)
        if abs(skew) > 1e-6:
            x = 3 / skew * (math.cbrt(1 + skew * (x - skew / (6 * n))) - 1)
        ends.append(mean - x * deviation)
    return _around(mean, max(ends[0], 0.0), ends[1])


def classification_intervals(
    probabilities: ArrayLike,
    true: ArrayLike,
    labels: Sequence[str],
    positive_label: str | None = None,
    answers: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """95% intervals [low, high] under the names of `metrics.classification_metrics`, None where undefined.

    Takes what that takes. per_class is a list of {label, precision, recall, f1, roc_auc}. The same seed
    gives the same intervals. Of macro figures: with fewer than some five rows a label they lie too low,
    as the figures do, for a label that happens to be absent counts as 0."""
    chances, ids = np.asarray(probabilities), np.asarray(true)
    n_labels, n = len(labels), len(ids)
    confusion = answered_confusion(ids, chances.argmax(axis=1) if answers is None else answers, n_labels)
    hits, support, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    auc_per_label, auc = roc_auc_intervals(chances, ids, seed)
    positive = labels.index(positive_label) if positive_label is not None else 1
    given = chances[np.arange(n), ids].astype(np.float64)
    per_class = [
        {
            "label": name,
            "precision": wilson(int(hits[i]), int(predicted[i])),
            "recall": wilson(int(hits[i]), int(support[i])),
            "f1": f1_interval(int(hits[i]), int(support[i] + predicted[i] - 2 * hits[i])),
            "roc_auc": auc_per_label[i],
        }
        for i, name in enumerate(labels)
    ]
    intervals: dict[str, Any] = {
        "accuracy": wilson(int(hits.sum()), n),
        **macro_and_mcc_intervals(confusion, seed),
        "roc_auc": auc_per_label[positive] if n_labels == 2 else auc,
        "nll": loss_interval(-np.log(np.clip(given, np.finfo(np.float64).eps, 1.0))),
    }
    if positive_label is not None:
        intervals |= {name: per_class[positive][name] for name in ("precision", "recall", "f1")}
    return intervals | {"per_class": per_class}


def with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """A figure for people: 0.9200 (0.87 to 0.95). Runs of earlier versions have no intervals.

    The ends have two decimals, or more where the interval is narrow."""
    value, interval = metrics[name], metrics.get("intervals", {}).get(name)
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" ({interval_text(interval)})" if interval else "")


def interval_text(interval: Sequence[float]) -> str:
    """0.87 to 0.95; narrow ones with more decimals, 0.918 to 0.922."""
    low, high = interval
    width = high - low
    decimals = 2 if width <= 0 else min(max(2, -math.floor(math.log10(width))), 6)
    return f"{low:.{decimals}f} to {high:.{decimals}f}"


def _around(found: float, low: float, high: float) -> Interval:
    return [float(min(low, found)), float(max(high, found))]
