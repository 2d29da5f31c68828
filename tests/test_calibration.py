"""Temperature, calibration error and Brier score against scikit-learn, scipy, closed formulas, simulation."""

import importlib.util
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import calibration

BENCH = Path(__file__).resolve().parents[1] / "bench" / "coverage.py"


def _draw(n: int, n_labels: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax at temperature `scale` is the true chance of each label, and labels drawn so."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, n_labels)) * 2
    chances = scipy.special.softmax(logits, axis=1)
    true = (random.random((n, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=n_labels - 1)
    return logits * scale, true


# ------------------------------------------------------------------ temperature


def test_softmax_is_scipys() -> None:
    logits = np.array([[1000.0, 999.0, -1000.0], [0.0, 0.0, 0.0], [-3.5, 2.0, 1e-9]])
    np.testing.assert_allclose(
        calibration.softmax(logits, 1.7), scipy.special.softmax(logits / 1.7, axis=1), atol=1e-15
    )


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_temperature_is_the_minimum(scale: float) -> None:
    """scipy's Nelder-Mead on a loss written with scipy's log_softmax."""
    logits, true = _draw(307, 5, 3, scale)

    def cost(log_t: np.ndarray) -> float:
        losses = -scipy.special.log_softmax(logits / math.exp(log_t[0]), axis=1)[np.arange(307), true]
        return float(losses.sum() + log_t[0] ** 2 / (2 * calibration.PRIOR_SD**2))

    best = scipy.optimize.minimize(cost, [0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    assert calibration.fit_temperature(logits, true) == pytest.approx(math.exp(best.x[0]), rel=1e-5)


def test_temperature_finds_the_one_that_data_were_drawn_with() -> None:
    for scale in (0.3, 1.0, 3.0):
        found = calibration.fit_temperature(*_draw(20_000, 3, 7, scale))
        assert found == pytest.approx(scale, rel=0.03)


def test_few_rows_leave_the_temperature_near_one() -> None:
    """Where all are right the likelihood alone would send T to 0."""
    right = np.array([[5.0, 0.0], [0.0, 4.0], [6.0, 0.0]] * 7)
    assert 0.5 < calibration.fit_temperature(right, right.argmax(axis=1)) < 1
    assert calibration.fit_temperature(np.empty((0, 3)), np.empty(0, np.int64)) == 1
    sure = np.array([[800.0, 0.0]] * 5)  # and all wrong: a loss of 800 nats each is worth any prior
    assert 1 < calibration.fit_temperature(sure, np.ones(5, np.int64)) <= 50
    for one in (0, 1):
        assert 0.5 < calibration.fit_temperature([[1.0, 0.0]], [one]) < 2
    assert calibration.fit_temperature([[2.0, 2.0]] * 9, [0] * 9) == pytest.approx(1, abs=1e-4)


# ------------------------------------------------------------------ Brier score


def test_brier_is_scikit_learns() -> None:
    logits, true = _draw(211, 5, 3)
    chances = calibration.softmax(logits)
    wanted = sklearn.metrics.brier_score_loss(true, chances, scale_by_half=False, labels=range(5))
    assert calibration.brier_losses(chances, true).mean() == pytest.approx(wanted, abs=1e-12)
    assert calibration.brier_losses([[0.0, 1.0], [1.0, 0.0]], [1, 1]).tolist() == [0, 2]


# ------------------------------------------------------------------ calibration error


def _ece_by_hand(confidence: np.ndarray, is_right: np.ndarray, n_bins: int) -> float:
    order = np.argsort(confidence)
    parts = np.array_split(order, min(n_bins, len(order)))
    return float(
        sum(len(part) * abs(confidence[part].mean() - is_right[part].mean()) for part in parts)
    ) / len(order)


@pytest.mark.parametrize("n", [1, 7, 15, 16, 307])
def test_calibration_error_by_hand(n: int) -> None:
    random = np.random.default_rng(n)
    confidence, is_right = random.random(n), random.random(n) < 0.7
    bins = calibration.confidence_bins(confidence, is_right)
    assert bins.sizes.max() - bins.sizes.min() <= 1
    assert bins.sizes.sum() == n
    assert bins.error == pytest.approx(_ece_by_hand(confidence, is_right, 15), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000), st.sampled_from([0, 1, 6]))
def test_the_order_of_rows_does_not_matter(n: int, seed: int, digits: int) -> None:
    """Also with ties, and probabilities of 0 and 1."""
    random = np.random.default_rng(seed)
    confidence, is_right = np.round(random.random(n), digits), random.random(n) < 0.5
    order = random.permutation(n)
    bins = calibration.confidence_bins(confidence, is_right)
    again = calibration.confidence_bins(confidence[order], is_right[order])
    assert again.error == pytest.approx(bins.error, abs=1e-12)
    low, high = calibration.error_interval(bins)
    assert 0 <= low <= bins.error <= high <= 1
    mean, most = calibration.error_if_calibrated(bins)
    assert 0 <= mean <= 1
    assert 0 <= most <= 1


def test_equal_confidences_are_one_group() -> None:
    bins = calibration.confidence_bins([0.9] * 40, [True] * 30 + [False] * 10)
    assert bins.error == pytest.approx(0.15, abs=1e-12)


def test_chance_alone_is_that_of_rows_drawn_one_by_one() -> None:
    random = np.random.default_rng(5)
    confidence = random.beta(4, 1, 400)
    bins = calibration.confidence_bins(confidence, confidence > 0)
    errors = [
        calibration.confidence_bins(confidence, random.random(400) < confidence).error for _ in range(2000)
    ]
    mean, most = calibration.error_if_calibrated(bins)
    assert mean == pytest.approx(np.mean(errors), rel=0.03)
    assert most == pytest.approx(np.quantile(errors, 0.95), rel=0.04)


def test_chance_alone_is_exceeded_by_one_set_in_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_N_DRAWS", 500)
    above = 0
    for seed in range(400):
        logits, true = _draw(200, 3, seed)
        chances = calibration.softmax(logits)
        bins = calibration.confidence_bins(chances.max(axis=1), chances.argmax(axis=1) == true)
        above += bins.error > calibration.error_if_calibrated(bins)[1]
    assert 0.02 < above / 400 < 0.085  # 0.05 within three standard errors


def _bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_coverage", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def _covered(bench: Any) -> float:
    """Share of 100 simulated sets of 300 rows whose interval holds the true error, 0.02."""
    population = bench.ECE_POPULATIONS["two labels, a little overconfident"]
    held, _, _ = bench.error_coverage(population, bench.true_error(population, 300_000), 300, 100)
    return float(held)


def test_intervals_of_the_calibration_error_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other populations do stands in docs/benchmarks.md."""
    monkeypatch.setattr(calibration, "_N_DRAWS", 300)
    assert _covered(_bench()) > 0.95 - 3 * 0.022


def test_an_interval_that_forgets_the_bias_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain bootstrap, which resamples around the gaps found as if they held no noise."""

    def plain(bins: calibration.Bins, seed: int = 0) -> list[float]:
        errors = calibration._resampled(bins, bins.accuracy - bins.confidence, seed)
        return [float(end) for end in np.quantile(errors, [0.025, 0.975])]

    bench = _bench()
    monkeypatch.setattr(bench, "error_interval", plain)
    assert _covered(bench) < 0.95 - 3 * 0.022


def test_figures_of_a_million_rows_take_seconds() -> None:
    logits, true = _draw(1_000_000, 2, 1)
    began = time.process_time()
    temperature = calibration.fit_temperature(logits, true)
    chances = calibration.softmax(logits, temperature)
    calibration.calibration_figures(chances, true)
    calibration.calibration_intervals(chances, true)
    assert time.process_time() - began < 15
