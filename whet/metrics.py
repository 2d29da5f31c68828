"""How good a classifier's answers are: counts first, then plain formulas over the counts.

Everything but ROC AUC and log loss is a function of the confusion matrix, and takes any number of leading
axes: a stack of resampled matrices (n_resamples, n_labels, n_labels) gives a stack of scores, which is how
evaluation.py draws its intervals. Counts are exact integers and the log loss is summed exactly, so a score
depends neither on the order of the rows nor on how they were cut into batches.

Undefined ratios (0 / 0) in precision, recall, F1 and MCC are 0, as with scikit-learn's `zero_division=0`;
an undefined ROC AUC is nan here and None in `classification_metrics`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

SUM_TOLERANCE = 1e-2
"""How far the probabilities of one text may sum away from 1: bf16 keeps 8 bits, so a long row strays."""


def confusion_matrix(true: ArrayLike, predicted: ArrayLike, n_labels: int) -> Counts:
    """Counts of (true label, predicted label).

    true, predicted (n,) integers in [0, n_labels) -> (n_labels, n_labels) int64; rows are the true labels.
    Matrices of parts add up to the matrix of the whole. ValueError: lengths that differ, values that are not
    integers or not in range.
    """
    return _confusion(true, _label_ids(predicted, n_labels, "predicted"), n_labels, n_labels)


def answered_confusion(true: ArrayLike, answers: ArrayLike, n_labels: int) -> Counts:
    """As `confusion_matrix`, where an answer may be -1, none: (n_labels, n_labels + 1) int64.

    The last column counts texts without an answer. Every figure here takes such a matrix too: a text without
    an answer counts as not right, is missed by its label's recall, and lowers no label's precision."""
    given = _label_ids(np.asarray(answers) + 1, n_labels + 1, "answers") - 1
    return _confusion(true, np.where(given < 0, n_labels, given), n_labels, n_labels + 1)


def _confusion(true: ArrayLike, predicted_ids: Counts, n_labels: int, n_columns: int) -> Counts:
    true_ids = _label_ids(true, n_labels, "true")
    if len(true_ids) != len(predicted_ids):
        raise ValueError(f"{len(true_ids)} true labels but {len(predicted_ids)} predicted ones")
    cells = np.bincount(true_ids * n_columns + predicted_ids, minlength=n_labels * n_columns)
    return cells.astype(np.int64, copy=False).reshape(n_labels, n_columns)


def accuracy(confusion: ArrayLike) -> Floats:
    """Share of the texts whose predicted label is the true one.

    confusion (..., n_labels, n_labels) integers -> (...) in [0, 1]. ValueError: a matrix without any text.
    """
    counts = _counts(confusion)
    return np.asarray(_right(counts) / _total(counts))


def precision_recall_f1(confusion: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each label against all the others; 0 where a ratio is 0 / 0.

    confusion (..., n_labels, n_labels) integers -> three arrays (..., n_labels) in [0, 1].
    F1 = 2 TP / (2 TP + FP + FN), the harmonic mean of the two (van Rijsbergen, Information Retrieval, 1979).
    """
    counts = _counts(confusion)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support = counts.sum(axis=-1)
    predicted = counts.sum(axis=-2)[..., : hits.shape[-1]]
    return _ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, support + predicted)


def macro_precision_recall_f1(confusion: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Unweighted means over all n_labels of the three numbers of `precision_recall_f1`.

    confusion (..., n_labels, n_labels) integers -> three arrays (...) in [0, 1].
    A label that is neither true nor predicted anywhere counts as 0: scikit-learn's
    `f1_score(average="macro", labels=<all labels>, zero_division=0)`. scikit-learn without `labels=` would
    leave such a label out of the mean.
    """
    precision, recall, f1 = precision_recall_f1(confusion)
    return (
        np.asarray(precision.mean(axis=-1)),
        np.asarray(recall.mean(axis=-1)),
        np.asarray(f1.mean(axis=-1)),
    )


def matthews_correlation(confusion: ArrayLike) -> Floats:
    """Matthews correlation coefficient, for any number of labels; 0 where undefined.

    confusion (..., n_labels, n_labels) integers -> (...) in [-1, 1].
    R_K of Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient",
    Computational Biology and Chemistry 28, 2004; for two labels it is Matthews' own (1975). Undefined where
    all texts have one true label, or all one predicted label. Exact in int64 up to 3e9 texts.
    ValueError: a matrix without any text.
    """
    counts = _counts(confusion)
    total = _total(counts)
    support = counts.sum(axis=-1)
    predicted = counts.sum(axis=-2)
    agreeing = support * predicted[..., : support.shape[-1]]
    covariance = _right(counts) * total - agreeing.sum(axis=-1)
    spread_true = total**2 - (support**2).sum(axis=-1)
    spread_predicted = total**2 - (predicted**2).sum(axis=-1)
    # One root of the product: two equal spreads then give back exactly that spread, and 1 stays 1.
    return _ratio(covariance, np.sqrt(spread_true.astype(np.float64) * spread_predicted))


def roc_auc(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Chance that a random positive is scored above a random negative; a tie counts one half.

    scores (n,) any real number type, higher meaning more positive; is_positive (n,) bool -> [0, 1], or nan
    where positives or negatives are missing. This is the Mann-Whitney statistic U / (positives x negatives):
    Hanley and McNeil, Radiology 143, 1982. U is counted in whole halves, so it is exact.
    ValueError: lengths that differ, a score that is nan, is_positive of another type than bool.
    """
    score = np.asarray(scores)
    positive = np.asarray(is_positive)
    if score.ndim != 1 or score.shape != positive.shape:
        raise ValueError(f"scores and is_positive must be (n,) both, not {score.shape} and {positive.shape}")
    if positive.dtype != np.bool_:
        raise ValueError(f"is_positive must be bool, not {positive.dtype}")
    if np.isnan(score).any():
        raise ValueError(f"score {int(np.isnan(score).argmax())} is nan, which has no rank")
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return math.nan
    values, place = np.unique(score, return_inverse=True)
    positives_at = np.bincount(place[positive], minlength=len(values))
    negatives_at = np.bincount(place[~positive], minlength=len(values))
    negatives_below = np.cumsum(negatives_at) - negatives_at
    twice_u = int((positives_at * (2 * negatives_below + negatives_at)).sum())
    return twice_u / (2 * n_positive * n_negative)


def roc_auc_per_label(probabilities: ArrayLike, true: ArrayLike) -> Floats:
    """ROC AUC of each label against the rest.

    probabilities (n, n_labels), true (n,) integers in [0, n_labels) -> (n_labels,), nan for a label that no
    text has or that all texts have. ValueError: misshapen or nan probabilities, labels out of range.
    """
    columns, true_ids = _scores_and_labels(probabilities, true)
    return np.array(
        [roc_auc(columns[:, label], true_ids == label) for label in range(columns.shape[1])], dtype=np.float64
    )


def roc_auc_one_vs_rest(probabilities: ArrayLike, true: ArrayLike) -> float:
    """Mean ROC AUC over the labels that have both texts of their own and texts of others.

    probabilities (n, n_labels), true (n,) integers in [0, n_labels) -> [0, 1], or nan where no label
    qualifies. Equals scikit-learn's `roc_auc_score(multi_class="ovr", average="macro")` where every label
    occurs; where one does not, scikit-learn has no answer and this is the mean over the others.
    ValueError: as `roc_auc_per_label`.
    """
    per_label = roc_auc_per_label(probabilities, true)
    defined = per_label[~np.isnan(per_label)]
    return float(defined.mean()) if len(defined) else math.nan


def log_loss(probabilities: ArrayLike, true: ArrayLike) -> float:
    """Mean negative log-likelihood of the true labels, in nats.

    probabilities (n, n_labels), each row summing to 1; true (n,) integers in [0, n_labels) -> [0, 36.05).
    A probability below float64's epsilon counts as that epsilon, as in scikit-learn, so that one text with
    probability 0 does not make the mean infinite. ValueError: no text, values that are not probabilities.
    """
    chances, true_ids = _scores_and_labels(probabilities, true)
    _require_probabilities(chances)
    given = chances[np.arange(len(true_ids)), true_ids].astype(np.float64)
    losses = -np.log(np.clip(given, np.finfo(np.float64).eps, 1.0))
    return math.fsum(losses.tolist()) / len(true_ids)


def classification_metrics(
    probabilities: ArrayLike,
    true: ArrayLike,
    labels: Sequence[str],
    positive_label: str | None = None,
    answers: ArrayLike | None = None,
) -> dict[str, Any]:
    """Every classification metric at once, as plain Python numbers that JSON can hold.

    probabilities (n, n_labels), each row summing to 1; true (n,) integers that index `labels`; answers (n,)
    the predicted ones, -1 for none, which counts as not right. Without answers the predicted label is the
    most probable one, the first of equals.

    Keys: n, accuracy, macro_precision, macro_recall, macro_f1 (over all `labels`), mcc, roc_auc (for two
    labels that of the positive one or else the second; for more the one-vs-rest mean; None where undefined),
    nll (nats a text); with a positive_label also precision, recall and f1, which are about it; per_class, a
    list of {label, precision, recall, f1, support, roc_auc} in the order of `labels`; confusion, nested
    lists with true labels as rows, of the texts that have an answer.

    ValueError: no text, shapes that do not fit, values that are not probabilities, a label named twice, a
    positive_label that is unknown or given where there are not two labels.
    """
    names = list(labels)
    if len(set(names)) != len(names):
        raise ValueError(f"a label is named twice: {names}")
    if positive_label is not None and len(names) != 2:
        raise ValueError(f"positive_label is for two labels, and there are {len(names)}")
    if positive_label is not None and positive_label not in names:
        raise ValueError(f"positive_label {positive_label!r} is not one of {names}")
    chances, true_ids = _scores_and_labels(probabilities, true)
    if chances.shape[1] != len(names):
        raise ValueError(f"probabilities have {chances.shape[1]} columns for {len(names)} labels")
    _require_probabilities(chances)

    predicted = chances.argmax(axis=1) if answers is None else answers
    confusion = answered_confusion(true_ids, predicted, len(names))
    precision, recall, f1 = precision_recall_f1(confusion)
    macro_precision, macro_recall, macro_f1 = macro_precision_recall_f1(confusion)
    auc_per_label = roc_auc_per_label(chances, true_ids)
    positive = names.index(positive_label) if positive_label is not None else 1
    auc = auc_per_label[positive] if len(names) == 2 else roc_auc_one_vs_rest(chances, true_ids)

    metrics: dict[str, Any] = {
        "n": len(true_ids),
        "accuracy": float(accuracy(confusion)),
        "macro_precision": float(macro_precision),
        "macro_recall": float(macro_recall),
        "macro_f1": float(macro_f1),
        "mcc": float(matthews_correlation(confusion)),
        "roc_auc": _none_if_nan(auc),
        "nll": log_loss(chances, true_ids),
    }
    if positive_label is not None:
        metrics["precision"] = float(precision[positive])
        metrics["recall"] = float(recall[positive])
        metrics["f1"] = float(f1[positive])
    support = confusion.sum(axis=1)
    metrics["per_class"] = [
        {
            "label": name,
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": int(support[i]),
            "roc_auc": _none_if_nan(auc_per_label[i]),
        }
        for i, name in enumerate(names)
    ]
    metrics["confusion"] = confusion[:, : len(names)].tolist()
    return metrics


def _label_ids(values: ArrayLike, n_labels: int, name: str) -> Counts:
    """Label ids as (n,) int64, each checked to be in [0, n_labels)."""
    if n_labels < 1:
        raise ValueError(f"n_labels must be at least 1, not {n_labels}")
    ids = np.asarray(values)
    if ids.ndim != 1:
        raise ValueError(f"{name} must be (n,), not {ids.shape}")
    if ids.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"{name} must hold integers, not {ids.dtype}")
    outside = (ids < 0) | (ids >= n_labels)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"{name}[{row}] is {int(ids[row])}, which is not in 0 to {n_labels - 1}")
    return ids.astype(np.int64, copy=False)


def _scores_and_labels(scores: ArrayLike, true: ArrayLike) -> tuple[NDArray[Any], Counts]:
    """Scores as (n, n_labels) of their own float type, and true labels (n,) that index their columns."""
    columns = np.asarray(scores)
    if columns.ndim != 2:
        raise ValueError(f"probabilities must be (n, n_labels), not {columns.shape}")
    true_ids = _label_ids(true, columns.shape[1], "true")
    if len(true_ids) != len(columns):
        raise ValueError(f"{len(columns)} rows of probabilities but {len(true_ids)} true labels")
    return columns, true_ids


def _require_probabilities(chances: NDArray[Any]) -> None:
    """chances (n, n_labels): at least one row, all finite, in [0, 1], each row summing to about 1."""
    if len(chances) == 0:
        raise ValueError("there is no text to score")
    # `not (inside)` rather than `outside`: a nan fails every comparison, and must not pass here.
    bad_value = ~((chances >= 0) & (chances <= 1)).all(axis=1)
    bad_sum = ~(np.abs(chances.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE)
    bad = bad_value | bad_sum
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"row {row} is not a set of probabilities (each in 0 to 1, together 1): {chances[row].tolist()}"
        )


def _counts(confusion: ArrayLike) -> Counts:
    """A confusion matrix, or a stack of them, as int64 (..., n_labels, n_labels or one more)."""
    counts = np.asarray(confusion)
    if counts.ndim < 2 or counts.shape[-2] == 0 or counts.shape[-1] - counts.shape[-2] not in (0, 1):
        raise ValueError(f"a confusion matrix must be (..., n_labels, n_labels), not {counts.shape}")
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"a confusion matrix must hold integers, not {counts.dtype}")
    if (counts < 0).any():
        raise ValueError("a confusion matrix cannot hold negative counts")
    return counts.astype(np.int64, copy=False)


def _right(counts: Counts) -> Counts:
    """Texts on the diagonal: (..., n_labels, n_labels) -> (...)."""
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1))


def _total(counts: Counts) -> Counts:
    """All texts: (..., n_labels, n_labels) -> (...), none of them zero."""
    total = np.asarray(counts.sum(axis=(-2, -1)))
    if (total == 0).any():
        raise ValueError("there is no text to score")
    return total


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """above / below in float64, and 0 where below is 0."""
    ratio: Floats = np.zeros(np.shape(below), dtype=np.float64)
    np.divide(above, below, out=ratio, where=below != 0)
    return ratio


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
