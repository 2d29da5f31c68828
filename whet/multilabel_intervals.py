"""How far a figure can be trusted where a text has any number of labels: 95% intervals beside each figure of
`multilabel_metrics.multilabel_metrics`.

The texts are seen as drawn at random, one by one; the decisions about one text hang together, and every
interval over several labels allows for it. Each covers best in simulation (bench/multilabel_coverage.py):
- precision, recall and F1 of one label, and subset accuracy, are shares of texts: Wilson's;
- micro figures, those over samples and Hamming loss are ratios of sums over texts: Wilson's with as many
  independent decisions as their measured variance is worth;
- macro figures come from resampled counts of each label, with the spread that labels share put back;
- PR AUC has the variance of leaving each text out in turn, drawn towards a formula where positives are few.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from whet.intervals import (
    LEVEL,
    N_RESAMPLES,
    Interval,
    Z,
    f1_interval,
    loss_interval,
    open_ended,
    wilson,
)
from whet.metrics import Counts, Floats
from whet.multilabel_metrics import (
    RATIOS,
    Bools,
    average_precision,
    binary_cross_entropies,
    checked,
    counts_by_threshold,
    multilabel_confusions,
    positive_ratios,
)

MOST_DECISIONS: Final = 4_000_000  # with more, the spread of micro PR AUC is measured on a sample and scaled
_HALF_TRUST = 15  # positives at which the measured variance of a PR AUC counts as much as the formula's


def ratio_interval(above: ArrayLike, below: ArrayLike) -> Interval | None:
    """Interval of sum(above) / sum(below) in [0, 1], both (n,) one number a text; None where below is 0.

    Wilson's interval for the number of independent trials that has the ratio's variance, with Student's t:
    Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts",
    Survey Methodology 24, 1998, with Wilson's instead of the exact interval. The variance is the linearised
    one of a ratio (Cochran, Sampling Techniques, 1977, section 6.4). Without any variance, as when all
    decisions are right, they count as independent."""
    upper, lower = np.asarray(above, np.float64), np.asarray(below, np.float64)
    total = float(lower.sum())
    if total == 0:
        return None
    ratio = min(float(upper.sum()) / total, 1.0)
    n = len(lower)
    variance = float(((upper - ratio * lower) ** 2).sum()) / total**2 * n / max(n - 1, 1)
    return _wilson_of(ratio, variance, n) or wilson(ratio * total, total)


def macro_intervals(decided: Bools, true: Bools, seed: int = 0) -> dict[str, Interval]:
    """Intervals of macro_precision, macro_recall and macro_f1: decided and true (n, n_labels) bool.

    Each label's four counts are drawn anew from what was found plus one text spread over the four, as
    `intervals.macro_and_mcc_intervals` does with its matrix. That makes labels independent; the spread is
    multiplied by what the labels' shared texts add to it (never by less than 1), by the delta method."""
    n, n_labels = true.shape
    cells = multilabel_confusions(decided, true).reshape(-1, 4)
    rng = np.random.default_rng(seed)
    resampled = np.zeros((3, N_RESAMPLES))
    for counts in cells:
        drawn = rng.multinomial(n, (counts + 0.25) / (n + 1), N_RESAMPLES)
        resampled += np.stack(positive_ratios(drawn.reshape(-1, 2, 2)))
    resampled /= n_labels
    found = [float(ratio.mean()) for ratio in positive_ratios(cells.reshape(-1, 2, 2))]
    # Four times the smoothed counts are whole numbers, and have the same ratios.
    smoothed = [float(ratio.mean()) for ratio in positive_ratios((4 * cells + 1).reshape(-1, 2, 2))]
    deviation, bias = resampled.std(axis=1), resampled.mean(axis=1) - smoothed
    both = decided & true
    numbers = ((both, decided), (both, true), (2 * both.astype(np.int8), decided.astype(np.int8) + true))
    intervals = {}
    for i, name in enumerate(RATIOS):
        spread = float(deviation[i]) * _shared_spread(*numbers[i])
        ends = open_ended(found[i], smoothed[i], spread, float(bias[i]), _student(n), 0.0, n)
        intervals[f"macro_{name}"] = ends
    return intervals


def _shared_spread(above: NDArray[Any], below: NDArray[Any]) -> float:
    """How many times wider the mean of ratios is than with independent labels: above, below (n, n_labels)."""
    share_sum, apart = np.zeros(len(above)), 0.0
    for upper, lower in zip(above.T, below.T, strict=True):
        total = int(lower.sum(dtype=np.int64))
        if total:
            shares = (upper - upper.sum(dtype=np.int64) / total * lower) / total
            share_sum += shares
            apart += float((shares**2).sum())
    return math.sqrt(max(float((share_sum**2).sum()) / apart, 1.0)) if apart > 0 else 1.0


def left_out_precisions(scores: NDArray[Any], is_positive: Bools) -> tuple[float, Floats]:
    """Average precision, and what it is without each text in turn: (n,), nan without the only positive.

    scores, is_positive (n,), at least one positive. Exact, in the time of one sort: leaving a text out
    takes one from the counts at every threshold that is not above its score."""
    distinct, place = np.unique(scores, return_inverse=True)
    place = len(distinct) - 1 - place  # the highest score first
    hits, drawn = counts_by_threshold(scores, is_positive)
    gained = np.diff(hits, prepend=0)
    n_positive = int(hits[-1])
    fewer = np.maximum(drawn - 1, 1)
    usual = gained * hits / drawn
    found = float(usual.sum()) / n_positive

    def from_here(values: Floats) -> Floats:
        """Sum over this and all lower thresholds."""
        return np.asarray(np.cumsum(values[::-1])[::-1])

    without_negative = found + from_here(gained * hits / fewer - usual) / n_positive
    change = from_here(gained * (hits - 1) / fewer - usual) - (hits - 1) / fewer
    without_positive = np.full(len(distinct), math.nan)
    if n_positive > 1:
        without_positive = (usual.sum() + change) / (n_positive - 1)
    return found, np.where(is_positive, without_positive[place], without_negative[place])


def pr_auc_intervals(
    probabilities: NDArray[Any], true: Bools
) -> tuple[list[Interval | None], Interval | None]:
    """Intervals of each label's PR AUC and of their mean; None for labels without a positive, or no label.

    probabilities, true (n, n_labels). The variance is the jackknife's (Efron and Stein, Annals of Statistics
    9, 1981), drawn for a label of few positives towards that of a share of its positives (Boyd, Eng and
    Page, "Area under the precision-recall curve", ECML PKDD 2013), and the interval is Wilson's. The mean's
    is moved by the jackknife's estimate of bias: few positives make a PR AUC too high."""
    n, n_labels = true.shape
    intervals: list[Interval | None] = []
    found, variances, measured, biases = [], [], [], []
    share_sum = np.zeros(n)
    for label in range(n_labels):
        n_positive = int(true[:, label].sum())
        if n_positive == 0:
            intervals.append(None)
            continue
        area, without = left_out_precisions(probabilities[:, label], true[:, label])
        variance = area * (1 - area) / n_positive
        if n_positive > 1:
            share_sum += without - without.mean()
            measured.append(float(((without - without.mean()) ** 2).sum()) * (n - 1) / n)
            biases.append((n - 1) * (float(without.mean()) - area))
            if variance > 0 and measured[-1] > 0:
                ratio = min(max(measured[-1] / variance, 0.1), 10.0)
                variance *= ratio ** (n_positive / (n_positive + _HALF_TRUST))
        intervals.append(_wilson_of(area, variance) or wilson(area * n_positive, n_positive))
        found.append(area)
        # Without a variance of its own a label still adds one to the mean: a quarter of a positive's.
        variances.append(max(variance, 0.25 / n_positive**2))
    if not found:
        return intervals, None
    mean = sum(found) / len(found)
    together = float((share_sum**2).sum()) * (n - 1) / n
    shared = max(together / sum(measured), 1.0) if sum(measured) > 0 else 1.0
    centre = min(max(mean - float(np.mean(biases or [0.0])), 1 / (4 * n)), 1 - 1 / (4 * n))
    ends = _wilson_of(centre, sum(variances) / len(found) ** 2 * shared)
    assert ends is not None
    return intervals, [min(ends[0], mean), max(ends[1], mean)]


def micro_pr_auc_interval(probabilities: NDArray[Any], true: Bools, seed: int = 0) -> Interval | None:
    """Interval of the PR AUC over all decisions, by the variance of leaving out each text's decisions, to
    first order the sum of leaving out each: two arrays (n, n_labels). None without a positive."""
    n, n_labels = true.shape
    chosen = np.arange(n)
    if n * n_labels > MOST_DECISIONS:
        n_rows = max(MOST_DECISIONS // n_labels, 2)
        chosen = np.sort(np.random.default_rng(seed).choice(n, n_rows, replace=False))
    some = true[chosen].ravel()
    n_positive = int(some.sum())
    if n_positive == 0:
        return None
    area, without = left_out_precisions(probabilities[chosen].ravel(), some)
    whole = area if len(chosen) == n else average_precision(probabilities.ravel(), true.ravel())
    shares = np.nan_to_num(without - area).reshape(len(chosen), n_labels).sum(axis=1)
    variance = float((shares**2).sum()) * len(chosen) / n
    n_all = n_positive if len(chosen) == n else int(true.sum())
    return _wilson_of(whole, variance, n) or wilson(whole * n_all, n_all)


def multilabel_intervals(
    probabilities: ArrayLike, decided: ArrayLike, true: ArrayLike, labels: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """95% intervals [low, high] under the names of `multilabel_metrics`, None where undefined.

    Takes what that takes. per_class is a list of {label, precision, recall, f1, pr_auc}. The same seed
    gives the same intervals. Of macro figures: labels that are absent by chance count as 0 in macro
    precision, recall and F1, and not at all in macro PR AUC. With fewer than some five texts for many of
    the labels their intervals therefore miss more often: 7 to 27 times of 100 for 28 skewed labels and 50
    texts, 5 to 16 for 300."""
    chances, given, wanted = checked(probabilities, decided, true, len(labels))
    n, n_labels = wanted.shape
    by_label = multilabel_confusions(given, wanted)
    both, n_given, n_wanted = (some.sum(axis=1) for some in (given & wanted, given, wanted))
    jaccard = ratio_interval(both, n_given + n_wanted - both)
    samples = positive_ratios(multilabel_confusions(given, wanted, samplewise=True))
    per_text = np.ones(n)
    areas, macro_area = pr_auc_intervals(chances, wanted)
    intervals: dict[str, Any] = {
        "micro_precision": ratio_interval(both, n_given),
        "micro_recall": ratio_interval(both, n_wanted),
        "micro_f1": None if jaccard is None else [2 * end / (1 + end) for end in jaccard],
        **macro_intervals(given, wanted, seed),
    }
    intervals |= {
        f"samples_{name}": ratio_interval(ratio, per_text)
        for name, ratio in zip(RATIOS, samples, strict=True)
    }
    intervals |= {
        "subset_accuracy": wilson(int((given == wanted).all(axis=1).sum()), n),
        "hamming_loss": ratio_interval((given != wanted).sum(axis=1), per_text * n_labels),
        "micro_pr_auc": micro_pr_auc_interval(chances, wanted, seed),
        "macro_pr_auc": macro_area,
        "bce": loss_interval(binary_cross_entropies(chances, wanted)),
    }
    intervals["per_class"] = [
        {"label": name, **_label_intervals(by_label[i]), "pr_auc": areas[i]} for i, name in enumerate(labels)
    ]
    return intervals


def _label_intervals(confusion: Counts) -> dict[str, Interval | None]:
    (_, only_given), (only_wanted, both) = (list(map(int, row)) for row in confusion)
    return {
        "precision": wilson(both, both + only_given),
        "recall": wilson(both, both + only_wanted),
        "f1": f1_interval(both, only_given + only_wanted),
    }


def _wilson_of(share: float, variance: float, n: int | None = None) -> Interval | None:
    """Wilson's interval of a share with this variance, with Student's t of n texts if given; None where
    there is no variance to go by."""
    if variance <= 0 or not 0 < share < 1:
        return None
    trials = share * (1 - share) / variance
    if n is not None:
        trials *= (Z / _student(n)) ** 2
    return wilson(share * trials, trials)


def _student(n: int) -> float:
    return float(scipy.stats.t.ppf((1 + LEVEL) / 2, max(n - 1, 1)))
