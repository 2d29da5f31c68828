"""Figures of predicted numbers against scipy and scikit-learn, and what is undefined."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import regression_metrics as ours


@settings(max_examples=80, deadline=None)
@given(
    st.integers(2, 80),
    st.integers(0, 10_000),
    st.sampled_from([0, 1, 9]),
    st.sampled_from([1e-160, 1, 1e9, 1e150]),
)
def test_every_figure_is_scipys_or_scikit_learns(n: int, seed: int, decimals: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    true = np.round(rng.normal(size=n) * 2, decimals)  # few decimals make ties
    predicted = np.round(true + rng.normal(size=n), decimals)
    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return
    found = ours.regression_metrics(predicted * unit, true * unit)
    json.dumps(found, allow_nan=False)
    assert found["n"] == n
    assert found["undefined"] == {}
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(predicted, true).statistic, abs=1e-12)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(predicted, true).statistic, abs=1e-12)
    assert found["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(true, predicted) * unit)
    if unit in (1, 1e9):
        wanted = sklearn.metrics.root_mean_squared_error(true, predicted) * unit
        assert found["rmse"] == pytest.approx(wanted)
        assert found["r2"] == pytest.approx(sklearn.metrics.r2_score(true, predicted))


def test_a_shift_far_from_zero() -> None:
    """The textbook's one-pass formula loses every digit here."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=97)
    predicted = true + rng.normal(size=97)
    wanted = scipy.stats.pearsonr(predicted, true).statistic
    assert ours.pearson(predicted + 1e8, true + 1e8) == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize(
    ("predicted", "true", "reasons"),
    [
        ([1.0, 2], [3.0, 3], dict.fromkeys(("pearson", "spearman", "r2"), "all targets are 3")),
        ([2.5, 2.5], [3.0, 4], dict.fromkeys(("pearson", "spearman"), "all predictions are 2.5")),
        ([2.5], [3.0], dict.fromkeys(("pearson", "spearman", "r2"), "there is one row only")),
        ([0.1 + 0.2, 0.3], [1.0, 2], dict.fromkeys(("pearson", "spearman"), "all predictions are 0.3")),
        ([0.0, 0], [0.0, 0], dict.fromkeys(("pearson", "spearman", "r2"), "all targets are 0")),
    ],
)
def test_what_is_undefined_says_why(
    predicted: list[float], true: list[float], reasons: dict[str, str]
) -> None:
    found = ours.regression_metrics(predicted, true)
    assert found["undefined"] == reasons
    assert {name for name in ours.FIGURES if found[name] is None} == set(reasons)


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        ([], [], "no text"),
        ([1.0], [1.0, 2], r"\(n,\) both"),
        ([[1.0]], [[1.0]], r"\(n,\) both"),
        ([1.0, math.nan], [1.0, 2], "prediction 1 is nan"),
        ([1.0, 2], [math.inf, 2], "target 0 is inf"),
    ],
)
def test_what_is_refused(predicted: list[float], true: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ours.regression_metrics(predicted, true)


def test_sts_b(shared_data: Path) -> None:
    """Real targets with many ties, against a crude prediction: the share of words in common."""
    lines = (shared_data / "glue" / "STS-B" / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    words = [(set(row[7].lower().split()), set(row[8].lower().split())) for row in rows]
    predicted = [len(one & two) / len(one | two) for one, two in words]
    true = [float(row[9]) for row in rows]
    found = ours.regression_metrics(predicted, true)
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(predicted, true).statistic)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(predicted, true).statistic)
