"""Fitted thresholds: the best F1 by trying all, what rare labels get, and that fresh texts gain by it."""

import time

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from whet import thresholds as ours


def draw(n: int, shares: list[float], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and targets of labels with these shares; scores of the true ones lie 2 higher."""
    true = rng.random((n, len(shares))) < shares
    log_odds = 2 * (rng.normal(size=true.shape) + 2 * true) - 2 + np.log(shares)
    return 1 / (1 + np.exp(-log_odds)), true


def test_without_resampling_it_is_the_best_of_all() -> None:
    """Every text drawn exactly once: the best of scikit-learn's precision-recall curve, no text's score."""

    class Once:
        def poisson(self, counts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
            return np.broadcast_to(counts, shape)

    probabilities, true = draw(211, [0.3], np.random.default_rng(1))
    log_odds = np.log(probabilities / (1 - probabilities))[:, 0]
    found = ours._bagged(log_odds, true[:, 0], Once())  # type: ignore[arg-type]
    precision, recall, _ = precision_recall_curve(true[:, 0], log_odds)
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-9)).max()
    assert f1_score(true[:, 0], log_odds >= found) == pytest.approx(best)
    assert np.abs(log_odds - found).min() > 1e-4


def test_few_texts_get_the_pooled_threshold() -> None:
    probabilities, true = draw(997, [0.4, 0.3, 0.01, 0.2], np.random.default_rng(2))
    true[:, 3] = False
    found = ours.fit_thresholds(probabilities, true)
    support = true.sum(axis=0)
    assert found.weights == pytest.approx(support / (support + 5))
    assert found.values[3] == found.own[3] == pytest.approx(found.pooled)
    odds = [np.log(x / (1 - x)) for x in (found.values, found.own, np.full(4, found.pooled))]
    assert odds[0] == pytest.approx(found.weights * odds[1] + (1 - found.weights) * odds[2])


def test_the_pooled_threshold_is_the_best_for_macro_f1() -> None:
    probabilities, true = draw(61, [0.4, 0.2, 0.1], np.random.default_rng(3))
    found = ours.fit_thresholds(probabilities, true).pooled

    def score(at: float) -> float:
        return float(f1_score(true, probabilities >= at, average="macro", zero_division=0))

    assert score(found) == pytest.approx(max(map(score, np.unique(probabilities))), abs=1e-12)


def test_fresh_texts_gain() -> None:
    """Skewed labels, 300 texts to fit on: above each label's own best, which is above 0.5."""
    shares = [0.2, 0.1, 0.05, 0.03, 0.02, 0.015, 0.01, 0.01]
    scores: dict[str, list[float]] = {"fitted": [], "own": [], "half": []}
    for seed in range(20):
        rng = np.random.default_rng([7, seed])
        probabilities, true = draw(300, shares, rng)
        fresh, fresh_true = draw(5000, shares, rng)
        found = ours.fit_thresholds(probabilities, true)
        own = [_best(probabilities[:, i], true[:, i]) for i in range(len(shares))]
        for name, at in (("fitted", found.values), ("own", own), ("half", np.full(len(shares), 0.5))):
            decided = ours.decide(fresh, at)
            scores[name].append(f1_score(fresh_true, decided, average="macro", zero_division=0))
    gain = np.subtract(scores["fitted"], scores["own"])
    assert gain.mean() > 3 * gain.std() / 20**0.5
    assert np.mean(scores["own"]) > np.mean(scores["half"])


def _best(probabilities: np.ndarray, true: np.ndarray) -> float:
    if not true.any():
        return 0.5
    precision, recall, steps = precision_recall_curve(true, probabilities)
    return float(steps[(2 * precision * recall / np.maximum(precision + recall, 1e-9))[:-1].argmax()])


def test_edges() -> None:
    nothing = ours.fit_thresholds(np.full((5, 2), 0.3), np.zeros((5, 2), bool))
    assert nothing.values.tolist() == [0.5, 0.5]
    certain = ours.fit_thresholds(np.eye(3), np.eye(3, dtype=bool))
    assert (ours.decide(np.eye(3), certain.values) == np.eye(3)).all()
    alike = ours.fit_thresholds(np.full((4, 1), 0.2), np.ones((4, 1), bool))
    assert ours.decide(np.full((4, 1), 0.2), alike.values).all()
    with pytest.raises(ValueError, match="the targets bool"):
        ours.fit_thresholds(np.zeros((2, 2)), np.zeros((2, 2)))


def test_same_seed_same_thresholds_and_large_data_take_seconds() -> None:
    probabilities, true = draw(200_000, [0.3, 0.05, 0.001], np.random.default_rng(4))
    began = time.process_time()
    first = ours.fit_thresholds(probabilities, true)
    assert time.process_time() - began < 5
    again, other = ours.fit_thresholds(probabilities, true), ours.fit_thresholds(probabilities, true, 1)
    assert (first.values == again.values).all()
    assert (first.values != other.values).all()
    assert first.values[:2] == pytest.approx(other.values[:2], abs=0.02)
