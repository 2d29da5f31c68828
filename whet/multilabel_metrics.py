"""How good the answers are where a text has any number of labels: counts first, then formulas over them.

A text has a probability and a yes or no for each label. Per label that is a two by two confusion matrix, and
micro, macro and per-label figures are functions of these; the same counts per text give the figures averaged
over samples. PR AUC here is average precision, which draws no lines between the points of the curve
(Davis and Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006, say why not to).

Undefined ratios (0 / 0) in precision, recall and F1 are 0, as with scikit-learn's `zero_division=0`. So a
text without labels that is rightly given none counts as 0, not 1, in the figures over samples; subset
accuracy and Hamming loss count it as right. An undefined PR AUC is nan here and None in `multilabel_metrics`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet.metrics import Counts, Floats, precision_recall_f1

Bools = NDArray[np.bool_]

RATIOS = ("precision", "recall", "f1")
EPSILON = float(np.finfo(np.float64).eps)


def multilabel_confusions(decided: ArrayLike, true: ArrayLike, samplewise: bool = False) -> Counts:
    """Two by two counts, [[neither, only decided], [only true, both]], of each label or of each text.

    decided, true (n, n_labels) bool -> (n_labels, 2, 2), or samplewise (n, 2, 2), int64. Equal to
    scikit-learn's `multilabel_confusion_matrix`. ValueError: shapes that differ, another type than bool.
    """
    given, wanted = _decisions_and_targets(decided, true)
    axis = 1 if samplewise else 0
    both = np.count_nonzero(given & wanted, axis=axis)
    n_given, n_wanted = np.count_nonzero(given, axis=axis), np.count_nonzero(wanted, axis=axis)
    neither = given.shape[axis] - n_given - n_wanted + both
    cells = np.stack([neither, n_given - both, n_wanted - both, both], axis=-1)
    return cells.astype(np.int64, copy=False).reshape(-1, 2, 2)


def positive_ratios(confusions: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of the second class of two: (..., 2, 2) integers -> three arrays (...)."""
    precision, recall, f1 = precision_recall_f1(confusions)
    return precision[..., 1], recall[..., 1], f1[..., 1]


def average_precision(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Sum over the thresholds, from the highest down, of precision times the recall gained.

    scores (n,) any real number type, higher meaning more positive; is_positive (n,) bool -> [0, 1], or nan
    without a positive. Equal scores are one threshold. Equal to scikit-learn's `average_precision_score`,
    which says 0 where this is nan. ValueError: lengths that differ, a score that is nan, another type.
    """
    score, positive = np.asarray(scores), np.asarray(is_positive)
    if score.ndim != 1 or score.shape != positive.shape:
        raise ValueError(f"scores and is_positive must be (n,) both, not {score.shape} and {positive.shape}")
    if positive.dtype != np.bool_:
        raise ValueError(f"is_positive must be bool, not {positive.dtype}")
    if np.isnan(score).any():
        raise ValueError(f"score {int(np.isnan(score).argmax())} is nan, which has no rank")
    if not positive.any():
        return math.nan
    hits, drawn = counts_by_threshold(score, positive)
    gained = np.diff(hits, prepend=0)
    return float((gained * (hits / drawn)).sum() / hits[-1])


def counts_by_threshold(score: NDArray[Any], positive: Bools) -> tuple[Counts, Counts]:
    """Positives, and all texts, with at least each distinct score, the highest score first.

    score, positive (n,), n > 0 -> two arrays (n_distinct,) int64."""
    order = np.argsort(score)[::-1]
    ranked = score[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # of equal scores
    return np.cumsum(positive[order], dtype=np.int64)[last], last + 1


def binary_cross_entropies(probabilities: ArrayLike, true: ArrayLike) -> Floats:
    """Cross-entropy of each text in nats, a mean over its labels: two arrays (n, n_labels) -> (n,) float64.

    A probability within float64's epsilon of the wrong end counts as that epsilon, as in scikit-learn."""
    chances, wanted = np.asarray(probabilities), np.asarray(true)
    given = np.where(wanted, chances, 1 - chances.astype(np.float64))
    return np.asarray(-np.log(np.clip(given, EPSILON, 1.0)).mean(axis=1))


def multilabel_metrics(
    probabilities: ArrayLike, decided: ArrayLike, true: ArrayLike, labels: Sequence[str]
) -> dict[str, Any]:
    """Every figure of a multi-label classifier at once, as plain Python numbers that JSON can hold.

    probabilities (n, n_labels) in [0, 1], decided and true (n, n_labels) bool, columns in the order of
    `labels`. What is decided is the caller's: probabilities against thresholds, say.

    Keys: n, micro_, macro_ and samples_ precision, recall and f1 (macro over all `labels`), subset_accuracy
    (all labels of a text right), hamming_loss (share of wrong decisions), micro_pr_auc (over all decisions),
    macro_pr_auc (mean over the labels that some text has; None where there is none), bce (nats a decision);
    per_class, a list of {label, precision, recall, f1, pr_auc, support, predicted} in the order of `labels`.

    ValueError: no text, shapes or types that do not fit, values that are not probabilities, a label named
    twice.
    """
    names = list(labels)
    chances, given, wanted = checked(probabilities, decided, true, len(names))
    if len(set(names)) != len(names):
        raise ValueError(f"a label is named twice: {names}")
    by_label = multilabel_confusions(given, wanted)
    precision, recall, f1 = positive_ratios(by_label)
    micro = positive_ratios(by_label.sum(axis=0))
    samples = positive_ratios(multilabel_confusions(given, wanted, samplewise=True))
    pr_auc = [average_precision(chances[:, i], wanted[:, i]) for i in range(len(names))]
    defined = [value for value in pr_auc if not math.isnan(value)]
    n_wrong = int(by_label[:, 0, 1].sum() + by_label[:, 1, 0].sum())

    metrics: dict[str, Any] = {"n": len(chances)}
    metrics |= {f"micro_{name}": float(ratio) for name, ratio in zip(RATIOS, micro, strict=True)}
    metrics |= {
        f"macro_{name}": float(ratio.mean())
        for name, ratio in zip(RATIOS, (precision, recall, f1), strict=True)
    }
    metrics |= {
        f"samples_{name}": math.fsum(ratio.tolist()) / len(ratio)
        for name, ratio in zip(RATIOS, samples, strict=True)
    }
    metrics |= {
        "subset_accuracy": float((given == wanted).all(axis=1).mean()),
        "hamming_loss": n_wrong / given.size,
        "micro_pr_auc": _none_if_nan(average_precision(chances.ravel(), wanted.ravel())),
        "macro_pr_auc": math.fsum(defined) / len(defined) if defined else None,
        "bce": math.fsum(binary_cross_entropies(chances, wanted).tolist()) / len(chances),
    }
    metrics["per_class"] = [
        {
            "label": name,
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "pr_auc": _none_if_nan(pr_auc[i]),
            "support": int(by_label[i, 1].sum()),
            "predicted": int(by_label[i, :, 1].sum()),
        }
        for i, name in enumerate(names)
    ]
    return metrics


def checked(
    probabilities: ArrayLike, decided: ArrayLike, true: ArrayLike, n_labels: int
) -> tuple[NDArray[Any], Bools, Bools]:
    """The three arrays (n, n_labels), n > 0. ValueError: shapes, types, values that are no probabilities."""
    chances = np.asarray(probabilities)
    given, wanted = _decisions_and_targets(decided, true)
    if chances.shape != given.shape or chances.shape[1] != n_labels:
        raise ValueError(
            f"probabilities {chances.shape}, decisions and targets {given.shape} must be (n, {n_labels}) all"
        )
    if len(chances) == 0 or n_labels == 0:
        raise ValueError("there is no text, or no label, to score")
    inside = ((chances >= 0) & (chances <= 1)).all(axis=1)  # nan fails every comparison
    if not inside.all():
        row = int(inside.argmin())
        raise ValueError(f"row {row} holds values that are no probabilities: {chances[row].tolist()}")
    return chances, given, wanted


def _decisions_and_targets(decided: ArrayLike, true: ArrayLike) -> tuple[Bools, Bools]:
    given, wanted = np.asarray(decided), np.asarray(true)
    if given.ndim != 2 or given.shape != wanted.shape:
        raise ValueError(
            f"decisions and targets must be (n, n_labels) both, not {given.shape} and {wanted.shape}"
        )
    if given.dtype != np.bool_ or wanted.dtype != np.bool_:
        raise ValueError(f"decisions and targets must be bool, not {given.dtype} and {wanted.dtype}")
    return given, wanted


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
