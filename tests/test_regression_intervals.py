"""Intervals of regression figures: closed formulas, edges, and how often they hold."""

import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import intervals, regression_metrics
from whet import regression_intervals as ours

_BENCH = Path(__file__).resolve().parents[1] / "bench" / "regression_coverage.py"


def _bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_regression_coverage", _BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_pearson_of_short_tailed_numbers_is_scipys() -> None:
    """Uniform numbers vary less than normal ones, so the normal formula, which is scipy's, is the floor."""
    rng = np.random.default_rng(0)
    true = rng.uniform(size=53)
    predicted = true + 0.2 * rng.uniform(size=53)
    theirs = scipy.stats.pearsonr(predicted, true).confidence_interval(0.95)
    assert ours.pearson_interval(predicted, true) == pytest.approx([theirs.low, theirs.high])


def test_pearson_of_heavy_tails_is_the_jackknifes() -> None:
    """On Fisher's scale, against leaving each row out."""
    rng = np.random.default_rng(1)
    true = rng.standard_t(5, size=800)
    predicted = true + rng.standard_t(5, size=800)
    found = ours.pearson_interval(predicted, true)
    rows = range(800)
    without = np.arctanh([np.corrcoef(np.delete(predicted, row), np.delete(true, row))[0, 1] for row in rows])
    deviation = math.sqrt(799 / 800 * ((without - without.mean()) ** 2).sum())
    assert found is not None
    assert np.ptp(np.arctanh(found)) == pytest.approx(2 * intervals.Z * deviation, rel=0.03)


def test_spearman_is_bonett_and_wrights() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(size=50)
    predicted = true + rng.normal(size=50)
    found = ours.spearman_interval(predicted, true)
    r = scipy.stats.spearmanr(predicted, true).statistic
    half = 1.959963984540054 * math.sqrt((1 + r**2 / 2) / 47)
    wanted = [math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)]
    assert found == pytest.approx(wanted)


def test_r2_is_the_jackknifes() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(size=800)
    predicted = true + rng.normal(size=800)
    found = ours.r2_interval(predicted, true)
    without = np.log(
        [
            1 - regression_metrics.r2(np.delete(predicted, row), np.delete(true, row))  # type: ignore[operator]
            for row in range(800)
        ]
    )
    deviation = math.sqrt(799 / 800 * ((without - without.mean()) ** 2).sum())
    assert found is not None
    assert np.ptp(np.log(1 - np.array(found))) == pytest.approx(2 * intervals.Z * deviation, rel=0.02)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000), st.sampled_from([0, 9]), st.sampled_from([0.0, 1.0]))
def test_every_interval_holds_its_figure(n: int, seed: int, decimals: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    true = np.round(rng.normal(size=n), decimals)
    predicted = np.round(true + noise * rng.normal(size=n), decimals)
    figures = regression_metrics.regression_metrics(predicted, true)
    found = ours.regression_intervals(predicted, true)
    json.dumps(found, allow_nan=False)
    assert set(found) == set(regression_metrics.FIGURES)
    for name, ends in found.items():
        if figures[name] is None:
            assert ends is None
        elif ends is not None:
            assert ends[0] - 1e-12 <= figures[name] <= ends[1] + 1e-12
            assert name not in ("pearson", "spearman") or -1 <= ends[0] <= ends[1] <= 1


def test_edges() -> None:
    true = np.arange(7.0)
    found = ours.regression_intervals(true, true)
    assert found["pearson"] == pytest.approx([1, 1])
    assert found["spearman"][0] < 0.95
    assert found["r2"] == [1, 1]
    assert found["mae"] == [0, 0]
    assert ours.regression_intervals([1.0, 2, 4], [1.0, 2, 3])["pearson"] is None
    assert ours.regression_intervals([1.0], [1.0])["mae"] is None


def _misses(shares: dict[str, float], margin: float) -> list[str]:
    return [name for name, share in shares.items() if name != "conformal" and abs(share - 0.95) > margin]


def test_intervals_cover() -> None:
    """300 sets: three standard errors beyond the 2.5 points that are allowed."""
    bench = _bench()
    population = bench.POPULATIONS["0 to 5 in tenths, as STS-B"]
    shares = bench.coverage(population, bench.truth(population, 200_000), 300, 300)
    assert not _misses(shares, 0.025 + 3 * 0.0126), shares
    assert shares["conformal"] == pytest.approx(0.9, abs=0.005)


def test_fisher_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variance of normal numbers, heavy tails miss the aim."""
    bench = _bench()
    population = bench.POPULATIONS["Student's t with 4 degrees"]
    known = bench.truth(population, 200_000)
    assert bench.coverage(population, known, 1000, 200)["pearson"] > 0.89
    monkeypatch.setattr(ours, "max", lambda *_: 1.0, raising=False)
    assert bench.coverage(population, known, 1000, 200)["pearson"] < 0.85
