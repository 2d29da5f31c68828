"""Which labels are likely wrong: confident learning, from probabilities that were given out of fold.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", Journal of
Artificial Intelligence Research 70, 2021: how often label i stands where j belongs is counted among the
texts that the model is confident about, and as many texts are flagged as that makes likely. The rows and
their order are those of cleanlab 2.9's `find_label_issues(filter_by="prune_by_noise_rate",
return_indices_ranked_by="self_confidence")`; its other filters, and `num_to_remove_per_class`, are not here.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

TOLERANCE = 1e-6
"""cleanlab's: a probability this little below another counts as equal to it."""


@final
@dataclass(frozen=True)
class LabelErrors:
    """Rows whose given label is likely wrong, the least credible first."""

    rows: Int64s  # (n_errors,)
    suggested: Int64s  # (n_errors,) the likeliest label of each, never the given one


def label_errors(probabilities: Floats, given: Int64s) -> LabelErrors:
    """probabilities (n, k), each row by a model that was not trained on it; given (n,) labels in [0, k).

    Ordered by the probability of the given label. A label of one row is never flagged.
    ValueError: shapes that do not fit, or a label out of range."""
    n_labels = _checked(probabilities, given)
    of_given = probabilities[np.arange(len(given)), given]
    wrong = _wrong_counts(confident_joint(probabilities, given))
    flagged = np.zeros(len(given), np.bool_)
    for label in range(n_labels):
        rows = np.flatnonzero(given == label)
        if len(rows) < 2:
            continue
        for other in np.flatnonzero(wrong[label]):
            margin = probabilities[rows, other] - of_given[rows]
            flagged[rows[np.argsort(-margin)[: wrong[label, other]]]] = True
    flagged &= probabilities.max(axis=1) > of_given + TOLERANCE
    found = np.flatnonzero(flagged)
    found = found[np.argsort(of_given[found])]
    return LabelErrors(found, probabilities[found].argmax(axis=1))


def hardest_rows(probabilities: Floats, given: Int64s, left_out: Int64s, most: int) -> Int64s:
    """At most `most` rows of the highest loss, -log of the given label's probability, the highest first; none
    of `left_out`. Shapes as `label_errors`. ValueError as there."""
    _checked(probabilities, given)
    order = np.argsort(probabilities[np.arange(len(given)), given], kind="stable")
    hardest: Int64s = order[~np.isin(order, left_out)][:most]
    return hardest


def confident_joint(probabilities: Floats, given: Int64s) -> Int64s:
    """How many texts have label i and are likely of label j, (k, k); row i sums to the texts of label i.

    A text counts for the one label whose probability reaches that label's threshold, which is its mean
    probability over the texts given that label; where it reaches several, for the likeliest of all labels."""
    n_labels = probabilities.shape[1]
    n_given = np.bincount(given, minlength=n_labels)
    thresholds = np.array(
        [probabilities[given == label, label].mean() if n_given[label] else 2.0 for label in range(n_labels)]
    )
    is_confident = probabilities >= np.maximum(thresholds, 2 * TOLERANCE) - TOLERANCE
    n_confident = is_confident.sum(axis=1)
    likely = np.where(n_confident > 1, probabilities.argmax(axis=1), is_confident.argmax(axis=1))
    joint = np.zeros((n_labels, n_labels))  # (likely, given) here, so that sums round as cleanlab's
    np.add.at(joint, (likely[n_confident > 0], given[n_confident > 0]), 1)
    np.fill_diagonal(joint, joint.diagonal().clip(min=1))
    joint = (joint / joint.sum(axis=0) * n_given).T
    joint = joint / joint.sum() * len(given)
    return np.array([_rounded(row) for row in joint])


def _wrong_counts(joint: Int64s) -> Int64s:
    """(k, k) texts to flag; each label keeps one text at least, taken evenly from the others' counts."""
    kept = np.maximum(joint.diagonal(), 1)
    n_others = np.maximum(np.count_nonzero(joint, axis=1) - 1, 1)
    wrong = np.maximum(joint - ((kept - joint.diagonal()) / n_others)[:, None], 0)
    np.fill_diagonal(wrong, 0)
    counts: Int64s = wrong.astype(np.int64)
    return counts


def _rounded(row: Floats) -> Int64s:
    """Whole numbers of the same sum, by the largest remainders. row (k,), whose sum is whole."""
    whole = row.round()
    missing = int((row.sum().round() - whole.sum()).round())
    step = 1 if missing > 0 else -1
    whole[np.argsort(row - whole)[::-step][: abs(missing)]] += step
    return whole.astype(np.int64)


def _checked(probabilities: Floats, given: Int64s) -> int:
    if probabilities.ndim != 2 or given.shape != probabilities.shape[:1] or len(given) == 0:
        raise ValueError(f"probabilities {probabilities.shape} and labels {given.shape} do not fit")
    n_labels = int(probabilities.shape[1])
    if given.min() < 0 or given.max() >= n_labels:
        raise ValueError(f"labels must be in 0 to {n_labels - 1}")
    return n_labels
