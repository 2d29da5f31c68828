"""The metrics against scikit-learn and scipy, to 1e-12, and the cases those leave undefined."""

import json
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import metrics

SIZES = [(1, 2), (2, 2), (3, 5), (13, 2), (17, 3), (101, 7), (499, 11)]  # texts, labels


def _close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.fixture(autouse=True)
def _quiet_oracle() -> Iterator[None]:
    """scikit-learn warns where it has no answer; those cases are stated here one by one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _cases() -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """(name, true, predicted, n_labels): random, absent labels, one predicted label, all right, all wrong."""
    random = np.random.default_rng(5)
    for n, k in SIZES:
        true = random.integers(0, k, n)
        yield f"random {n}x{k}", true, random.integers(0, k, n), k
        yield f"absent {n}x{k}", random.integers(0, max(k - 2, 1), n), random.integers(0, max(k - 1, 1), n), k
        yield f"one predicted {n}x{k}", true, np.full(n, k - 1), k
        yield f"right {n}x{k}", true, true, k
        yield f"wrong {n}x{k}", true, (true + 1) % k, k


CASES = [pytest.param(*case[1:], id=case[0]) for case in _cases()]


def _probabilities(random: np.random.Generator, n: int, k: int, *, ties: bool) -> np.ndarray:
    """(n, k), rows summing to 1. With ties, few distinct values, zeros among them."""
    raw = random.integers(0, 3, (n, k)) + 0.0 if ties else random.exponential(size=(n, k))
    raw[raw.sum(axis=1) == 0] = 1.0
    return raw / raw.sum(axis=1, keepdims=True)


# ------------------------------------------------------------------ functions of the confusion matrix


@pytest.mark.parametrize(("true", "predicted", "k"), CASES)
def test_confusion_and_what_follows_from_it(true: np.ndarray, predicted: np.ndarray, k: int) -> None:
    confusion = metrics.confusion_matrix(true, predicted, k)
    assert confusion.dtype == np.int64
    np.testing.assert_array_equal(confusion, oracle.confusion_matrix(true, predicted, labels=range(k)))
    _close(metrics.accuracy(confusion), oracle.accuracy_score(true, predicted))
    _close(metrics.matthews_correlation(confusion), oracle.matthews_corrcoef(true, predicted))
    check_per_class(metrics.precision_recall_f1, true, predicted, k)
    check_macro(metrics.macro_precision_recall_f1, true, predicted, k)


def check_per_class(score: Callable[..., Any], true: np.ndarray, predicted: np.ndarray, k: int) -> None:
    confusion = metrics.confusion_matrix(true, predicted, k)
    theirs = oracle.precision_recall_fscore_support(true, predicted, labels=range(k), zero_division=0)
    for ours, expected in zip(score(confusion), theirs[:3], strict=True):
        _close(ours, expected)


def check_macro(score: Callable[..., Any], true: np.ndarray, predicted: np.ndarray, k: int) -> None:
    confusion = metrics.confusion_matrix(true, predicted, k)
    theirs = oracle.precision_recall_fscore_support(
        true, predicted, labels=range(k), average="macro", zero_division=0
    )
    for ours, expected in zip(score(confusion), theirs[:3], strict=True):
        _close(ours, expected)


def test_planted_bugs_are_caught() -> None:
    """The checks above can fail: two plausible mistakes do not get past them."""
    random = np.random.default_rng(7)
    true, predicted = random.integers(0, 4, 31), random.integers(0, 5, 31)

    def swapped(confusion: np.ndarray) -> Any:
        return metrics.precision_recall_f1(confusion.T)

    def mean_over_seen_labels(confusion: np.ndarray) -> Any:
        seen = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
        return [values[seen].mean() for values in metrics.precision_recall_f1(confusion)]

    check_per_class(metrics.precision_recall_f1, true, predicted, 7)
    check_macro(metrics.macro_precision_recall_f1, true, predicted, 7)
    with pytest.raises(AssertionError):
        check_per_class(swapped, true, predicted, 7)
    with pytest.raises(AssertionError):
        check_macro(mean_over_seen_labels, true, predicted, 7)


def test_a_stack_of_matrices_gives_a_stack_of_scores() -> None:
    random = np.random.default_rng(11)
    stack = random.integers(0, 6, (3, 5, 7, 7))
    stack[0, 0, :, 1:] = 0  # one predicted label: undefined MCC and precisions
    for function in (
        metrics.accuracy,
        metrics.matthews_correlation,
        lambda c: metrics.precision_recall_f1(c)[2],
        lambda c: metrics.macro_precision_recall_f1(c)[2],
    ):
        together = function(stack)
        assert together.shape[:2] == (3, 5)
        for i in range(3):
            for j in range(5):
                np.testing.assert_array_equal(together[i, j], function(stack[i, j]))


def test_counts_stay_exact_at_a_billion_texts() -> None:
    confusion = np.array([[10**9, 3], [5, 10**9 + 7]])
    (a, b), (c, d) = confusion.astype(object)
    expected = (a * d - b * c) / math.sqrt((a + b) * (a + c) * (d + b) * (d + c))
    _close(metrics.matthews_correlation(confusion), expected)
    assert float(metrics.matthews_correlation(np.diag([10**9, 10**9 + 7, 3]))) == 1.0


# ------------------------------------------------------------------ ROC AUC


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [2, 3, 17, 101, 1009])
def test_roc_auc(n: int, ties: bool) -> None:
    random = np.random.default_rng(n)
    scores = random.integers(-2, 3, n) if ties else random.normal(size=n)
    positive = random.random(n) < 0.3
    positive[:2] = True, False
    ours = metrics.roc_auc(scores, positive)
    _close(ours, oracle.roc_auc_score(positive, scores))
    u = scipy.stats.mannwhitneyu(scores[positive], scores[~positive], method="asymptotic").statistic
    _close(ours, u / (positive.sum() * (~positive).sum()))
    ranks = scipy.stats.rankdata(scores)
    p = int(positive.sum())
    _close(ours, (ranks[positive].sum() - p * (p + 1) / 2) / (p * (n - p)))


def test_roc_auc_at_its_ends() -> None:
    positive = np.array([False, True, True, False, True])
    assert metrics.roc_auc(positive.astype(float), positive) == 1.0
    assert metrics.roc_auc(np.where(positive, -np.inf, np.inf), positive) == 0.0
    assert metrics.roc_auc(np.zeros(5), positive) == 0.5
    assert math.isnan(metrics.roc_auc(np.arange(5), np.ones(5, dtype=bool)))
    assert math.isnan(metrics.roc_auc(np.arange(5), np.zeros(5, dtype=bool)))
    assert math.isnan(metrics.roc_auc(np.zeros(0), np.zeros(0, dtype=bool)))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "k"), [(7, 3), (101, 5), (499, 7)])
def test_one_vs_rest(n: int, k: int, ties: bool) -> None:
    random = np.random.default_rng(n)
    probabilities = _probabilities(random, n, k, ties=ties)
    true = random.permutation(np.concatenate([np.arange(k), random.integers(0, k, n - k)]))
    expected = oracle.roc_auc_score(true, probabilities, multi_class="ovr", average="macro", labels=range(k))
    _close(metrics.roc_auc_one_vs_rest(probabilities, true), expected)


def test_one_vs_rest_leaves_out_absent_labels() -> None:
    random = np.random.default_rng(3)
    probabilities = _probabilities(random, 31, 5, ties=False)
    true = random.choice([0, 2, 3], 31)
    per_label = metrics.roc_auc_per_label(probabilities, true)
    np.testing.assert_array_equal(np.isnan(per_label), [False, True, False, False, True])
    expected = [oracle.roc_auc_score(true == label, probabilities[:, label]) for label in (0, 2, 3)]
    _close(metrics.roc_auc_one_vs_rest(probabilities, true), np.mean(expected))
    assert math.isnan(metrics.roc_auc_one_vs_rest(probabilities, np.full(31, 2)))


# ------------------------------------------------------------------ log loss


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_log_loss(n: int, k: int, ties: bool) -> None:
    random = np.random.default_rng(n)
    probabilities = _probabilities(random, n, k, ties=ties)
    true = random.integers(0, k, n)
    _close(metrics.log_loss(probabilities, true), oracle.log_loss(true, probabilities, labels=range(k)))


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    assert metrics.log_loss([[1.0, 0.0]], [1]) == pytest.approx(-math.log(2.0**-52), abs=1e-12)
    assert metrics.log_loss([[1.0, 0.0]], [0]) == 0.0
    assert metrics.log_loss(np.array([[1, 0]], dtype=np.float32), [1]) == metrics.log_loss([[1.0, 0.0]], [1])


# ------------------------------------------------------------------ all together


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, k) with many ties and zeros, and true labels (n,)."""
    k = draw(st.integers(2, 5))
    n = draw(st.integers(1, 23))
    rows = st.lists(st.integers(0, 4), min_size=k, max_size=k).filter(any)
    raw = np.array(draw(st.lists(rows, min_size=n, max_size=n)), dtype=np.float64)
    true = np.array(draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))
    return raw / raw.sum(axis=1, keepdims=True), true


@given(answers())
@settings(max_examples=60, deadline=None)
def test_everything_against_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, true = case
    n, k = probabilities.shape
    labels = [f"label {i}" for i in range(k)]
    ours = metrics.classification_metrics(probabilities, true, labels)
    predicted = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = oracle.classification_report(
            true, predicted, labels=range(k), target_names=labels, output_dict=True, zero_division=0
        )
        mcc = oracle.matthews_corrcoef(true, predicted)
    assert ours["n"] == n
    assert ours["confusion"] == oracle.confusion_matrix(true, predicted, labels=range(k)).tolist()
    _close(ours["accuracy"], oracle.accuracy_score(true, predicted))
    _close(ours["mcc"], mcc)
    _close(ours["nll"], oracle.log_loss(true, probabilities, labels=range(k)))
    for key in ("precision", "recall", "f1"):
        theirs = "f1-score" if key == "f1" else key
        _close(ours[f"macro_{key}"], report["macro avg"][theirs])
        _close([row[key] for row in ours["per_class"]], [report[label][theirs] for label in labels])
    assert [row["support"] for row in ours["per_class"]] == [report[label]["support"] for label in labels]
    assert [row["label"] for row in ours["per_class"]] == labels
    for i, row in enumerate(ours["per_class"]):
        if 0 < (true == i).sum() < n:
            _close(row["roc_auc"], oracle.roc_auc_score(true == i, probabilities[:, i]))
        else:
            assert row["roc_auc"] is None
    if len(set(true)) == k:
        pair = (true, probabilities[:, 1]) if k == 2 else (true, probabilities)
        _close(ours["roc_auc"], oracle.roc_auc_score(*pair, multi_class="ovr"))
    json.dumps(ours, allow_nan=False)


@given(answers(), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_rows_without_answer_against_scikit_learn(case: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """To scikit-learn, "no answer" is one more label, which no text has."""
    probabilities, true = case
    n, k = probabilities.shape
    labels = [f"label {i}" for i in range(k)]
    given_labels = np.random.default_rng(seed).integers(-1, k, n)
    ours = metrics.classification_metrics(probabilities, true, labels, answers=given_labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = oracle.classification_report(
            true, given_labels, labels=range(k), target_names=labels, output_dict=True, zero_division=0
        )
        mcc = oracle.matthews_corrcoef(true, given_labels)
        confusion = oracle.confusion_matrix(true, given_labels, labels=range(k))
    assert ours["confusion"] == confusion.tolist()
    _close(ours["accuracy"], oracle.accuracy_score(true, given_labels))
    _close(ours["mcc"], mcc)
    for key in ("precision", "recall", "f1"):
        theirs = "f1-score" if key == "f1" else key
        _close(ours[f"macro_{key}"], report["macro avg"][theirs])
        _close([row[key] for row in ours["per_class"]], [report[label][theirs] for label in labels])
    assert [row["support"] for row in ours["per_class"]] == np.bincount(true, minlength=k).tolist()


@given(answers(), st.randoms(use_true_random=False), st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_order_and_batching_do_not_matter(
    case: tuple[np.ndarray, np.ndarray], shuffler: Any, batch: int
) -> None:
    """Bit for bit: rows in another order and counted batch by batch, the same metrics."""
    probabilities, true = case
    n, k = probabilities.shape
    labels = [str(i) for i in range(k)]
    whole = metrics.classification_metrics(probabilities, true, labels)
    order = list(range(n))
    shuffler.shuffle(order)
    batches = [order[start : start + batch] for start in range(0, n, batch)]
    joined = np.concatenate([probabilities[rows] for rows in batches])
    joined_true = np.concatenate([true[rows] for rows in batches])
    assert metrics.classification_metrics(joined, joined_true, labels) == whole
    parts = [metrics.confusion_matrix(true[rows], probabilities[rows].argmax(axis=1), k) for rows in batches]
    assert sum(parts).tolist() == whole["confusion"]


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_two_labels_with_a_positive_one(positive: str) -> None:
    random = np.random.default_rng(17)
    probabilities = _probabilities(random, 53, 2, ties=False)
    true = random.integers(0, 2, 53)
    index = ["no", "yes"].index(positive)
    ours = metrics.classification_metrics(probabilities, true, ["no", "yes"], positive_label=positive)
    theirs = oracle.precision_recall_fscore_support(
        true, probabilities.argmax(axis=1), pos_label=index, average="binary"
    )
    _close([ours["precision"], ours["recall"], ours["f1"]], theirs[:3])
    _close(ours["roc_auc"], oracle.roc_auc_score(true == index, probabilities[:, index]))


def test_numbers_are_plain_python() -> None:
    ours = metrics.classification_metrics(np.eye(3, dtype=np.float32), [0, 1, 1], ["a", "b", "c"], None)
    assert json.loads(json.dumps(ours, allow_nan=False)) == ours
    assert type(ours["n"]) is int
    assert type(ours["accuracy"]) is float
    assert ours["per_class"][2]["roc_auc"] is None
    assert "f1" not in ours


def test_of_equals_the_first_label_is_predicted() -> None:
    ours = metrics.classification_metrics([[0.4, 0.4, 0.2]], [1], ["a", "b", "c"])
    assert ours["confusion"] == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert ours["roc_auc"] is None


# ------------------------------------------------------------------ misuse


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.confusion_matrix([0, 1], [0], 2), "2 true labels but 1 predicted"),
        (lambda: metrics.confusion_matrix([0, 2], [0, 1], 2), r"true\[1\] is 2, which is not in 0 to 1"),
        (lambda: metrics.confusion_matrix([0, 1], [0, -1], 2), r"predicted\[1\] is -1"),
        (lambda: metrics.confusion_matrix([0.0], [0], 2), "must hold integers"),
        (lambda: metrics.confusion_matrix([[0]], [0], 2), r"true must be \(n,\)"),
        (lambda: metrics.confusion_matrix([], [], 0), "n_labels must be at least 1"),
        (lambda: metrics.accuracy(np.zeros((2, 2), dtype=int)), "no text to score"),
        (lambda: metrics.matthews_correlation(np.zeros((2, 2), dtype=int)), "no text to score"),
        (lambda: metrics.accuracy(np.ones((3, 2), dtype=int)), "a confusion matrix must be"),
        (lambda: metrics.accuracy(np.ones((2, 2))), "must hold integers"),
        (lambda: metrics.accuracy(-np.ones((2, 2), dtype=int)), "negative"),
        (lambda: metrics.roc_auc([0.1, 0.2], [True]), "must be"),
        (lambda: metrics.roc_auc([0.1, 0.2], [0, 1]), "must be bool"),
        (lambda: metrics.roc_auc([0.1, math.nan], [True, False]), "score 1 is nan"),
        (lambda: metrics.roc_auc_one_vs_rest([0.1, 0.9], [0]), "probabilities must be"),
        (lambda: metrics.roc_auc_one_vs_rest([[0.1, 0.9]], [0, 1]), "1 rows of probabilities but 2"),
        (lambda: metrics.log_loss(np.zeros((0, 2)), []), "no text to score"),
        (lambda: metrics.log_loss([[0.5, 0.5], [2.0, -1.0]], [0, 1]), "row 1 is not a set of probabilities"),
        (lambda: metrics.log_loss([[0.7, 0.7]], [0]), "row 0 is not a set"),
        (lambda: metrics.log_loss([[math.nan, 0.7]], [0]), "row 0 is not a set"),
        (lambda: metrics.classification_metrics([[0.5, 0.5]], [0], ["a"]), "2 columns for 1 labels"),
        (lambda: metrics.classification_metrics([[0.5, 0.5]], [0], ["a", "a"]), "named twice"),
        (lambda: metrics.classification_metrics([[0.5, 0.5]], [0], ["a", "b"], "c"), "'c' is not one of"),
        (lambda: metrics.classification_metrics([[0.2, 0.3, 0.5]], [0], ["a", "b", "c"], "c"), "two labels"),
    ],
)
def test_misuse_is_a_value_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
