"""Risk and coverage, label sets and thresholds against scikit-learn, brute force and simulation."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import selective

# ------------------------------------------------------------------ risk and coverage


def test_the_risk_coverage_curve_by_hand() -> None:
    confidence = np.array([0.9, 0.6, 0.8, 0.7])
    curve = selective.risk_coverage(confidence, [True, False, False, True])
    assert curve.errors.tolist() == [0, 1, 1, 2]
    assert curve.confidence.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert curve.accuracy(0.5) == 0.5
    assert curve.accuracy(0.51) == pytest.approx(2 / 3)


def test_ties_are_the_mean_over_their_orders() -> None:
    random = np.random.default_rng(3)
    confidence, is_right = np.round(random.random(23), 1), random.random(23) < 0.6
    areas = []
    for _ in range(4000):
        order = np.lexsort((random.random(23), -confidence))
        wrong = np.cumsum(~is_right[order]) / np.arange(1, 24)
        areas.append(wrong.mean())
    assert selective.risk_coverage(confidence, is_right).area == pytest.approx(np.mean(areas), abs=0.004)


@pytest.mark.parametrize(("n", "answered"), [(1, 1), (5, 4), (10, 8), (1000, 800), (7, 6)])
def test_how_many_rows_a_coverage_is(n: int, answered: int) -> None:
    found = selective.risk_coverage(np.linspace(0, 1, n), np.ones(n, bool))
    assert found.answered(0.8) == answered == math.ceil(Fraction(8, 10) * n)
    assert found.accuracy(0.8) == 1


def test_selective_figures_of_one_row() -> None:
    found = selective.selective_figures([1.0], [False])
    assert [one["accuracy"] for one in found["at"]] == [0, 0, 0]
    assert found["aurc"] == 1
    assert len(found["curve"]) == 20
    assert found["curve"][-1] == [1.0, 0.0]


# ------------------------------------------------------------------ label sets


@pytest.mark.parametrize("n", [1, 3, 4, 9, 18, 19, 20, 99, 307])
@pytest.mark.parametrize("coverage", selective.COVERAGES)
def test_the_conformal_quantile_is_the_order_statistic(n: int, coverage: float) -> None:
    random = np.random.default_rng(n)
    chances = random.dirichlet([1, 1, 1], n)
    true = random.integers(0, 3, n)
    scores = sorted(1 - chances[i, label] for i, label in enumerate(true))
    rank = math.ceil(Fraction(str(coverage)) * (n + 1))
    wanted = 1.0 if rank > n else scores[rank - 1]
    assert selective.conformal_quantile(chances, true, coverage) == wanted


def test_without_rows_a_set_holds_every_label() -> None:
    quantile = selective.conformal_quantile(np.empty((0, 3)), np.empty(0, np.int64), 0.8)
    assert selective.label_sets([[0.0, 1.0, 0.0]], quantile).all()


def test_a_set_is_never_empty() -> None:
    assert selective.label_sets([[0.4, 0.4, 0.2]], 0.1).tolist() == [[True, False, False]]
    assert selective.label_sets([[0.5, 0.5]], 0.5).tolist() == [[True, True]]


def _sets(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are not calibrated, and labels."""
    true = random.integers(0, 5, n)
    logits = random.normal(size=(n, 5))
    logits[np.arange(n), true] += 1.0
    raised = np.exp(3 * logits)
    return raised / raised.sum(axis=1, keepdims=True), true


def _mean_coverage(n: int, coverage: float, rank_shift: int = 0) -> float:
    random = np.random.default_rng(11)
    held = []
    for _ in range(600):
        chances, true = _sets(random, n)
        quantile = selective.conformal_quantile(chances, true, coverage)
        if rank_shift:
            scores = np.sort(1 - chances[np.arange(n), true])
            quantile = scores[max(np.searchsorted(scores, quantile) - rank_shift, 0)]
        held.append(selective.label_set_figures(*_sets(random, 300), quantile)["coverage"])
    return float(np.mean(held))


@pytest.mark.parametrize("coverage", selective.COVERAGES)
def test_sets_hold_the_true_label_as_often_as_promised(coverage: float) -> None:
    """On average over draws of dev and new rows, whatever the probabilities are like; not much more often."""
    found = _mean_coverage(39, coverage)
    assert coverage - 0.01 < found < coverage + 1 / 40 + 0.01


def test_a_quantile_too_low_is_noticed() -> None:
    assert _mean_coverage(39, 0.9, rank_shift=2) < 0.9 - 0.01


# ------------------------------------------------------------------ thresholds


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000), st.sampled_from([0, 1, 6]))
def test_thresholds_are_the_best_there_are(n: int, seed: int, digits: int) -> None:
    """Against scikit-learn's curve of all thresholds; with ties, and scores of 0 and 1."""
    random = np.random.default_rng(seed)
    positive = random.random(n) < 0.4
    scores = np.round(np.clip(random.normal(0.4, 0.3, n) + 0.2 * positive, 0, 1), digits)
    if not positive.any():
        assert selective.best_f1_threshold(scores, positive) == 0.5
        assert selective.precision_threshold(scores, positive, 0.5) is None
        return
    precision, recall, _ = sklearn.metrics.precision_recall_curve(positive, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    found = scores >= selective.best_f1_threshold(scores, positive)
    if not (scores[positive] == 0).any():  # a score of 0 is below every threshold
        assert sklearn.metrics.f1_score(positive, found) == pytest.approx(f1.max())
    for wanted in (0.5, 0.8, 1.0):
        threshold = selective.precision_threshold(scores, positive, wanted)
        reachable = recall[:-1][precision[:-1] >= wanted]
        if threshold is None:
            assert not (reachable > 0).any()
        elif not (scores[positive] == 0).any():
            found = scores >= threshold
            assert sklearn.metrics.precision_score(positive, found) >= wanted
            assert sklearn.metrics.recall_score(positive, found) == pytest.approx(reachable.max())


def test_a_threshold_lies_halfway_to_the_next_score() -> None:
    scores, positive = np.array([0.9, 0.7, 0.3]), np.array([True, True, False])
    assert selective.best_f1_threshold(scores, positive) == pytest.approx(0.5)
    assert selective.precision_threshold(scores, positive, 1.0) == pytest.approx(0.5)
    assert selective.best_f1_threshold([0.4, 0.6], [True, True]) == pytest.approx(0.2)


def test_one_vs_rest() -> None:
    chances = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    found = selective.one_vs_rest_thresholds(chances, [0, 1, 1], 1.0)
    assert found == [pytest.approx(0.65), pytest.approx(0.25), None]
    assert selective.one_vs_rest_thresholds(chances, [0, 1, 1], None)[2] == 0.5
