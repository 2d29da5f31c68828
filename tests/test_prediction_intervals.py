"""Split conformal intervals: the rank by hand, and the coverage that theory promises."""

import math

import numpy as np
import pytest
import scipy.stats

from whet import prediction_intervals as ours


@pytest.mark.parametrize(
    ("n", "level", "rank"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.95, 19), (99, 0.9, 90), (100, 0.9, 91)]
)
def test_the_rank(n: int, level: float, rank: int) -> None:
    errors = np.random.default_rng(n).permutation(np.arange(1, n + 1)) * np.where(np.arange(n) % 2, -1, 1)
    assert ours.conformal_half_width(errors, np.zeros(n), level) == rank


def test_too_few_rows() -> None:
    assert ours.conformal_half_width(np.ones(8), np.zeros(8), 0.9) is None
    assert ours.conformal_half_width(np.ones(18), np.zeros(18), 0.95) is None
    assert ours.expected_coverage(8, 0.9) is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        ours.conformal_half_width([1.0], [0.0], 90)


def test_ends_and_measured_coverage() -> None:
    assert ours.prediction_ends([1.0, 3.0], 0.5).tolist() == [[0.5, 1.5], [2.5, 3.5]]
    found = ours.measured_coverage([1.0, 3.0, 5.0], [1.5, 3.0, 6.0], 0.5, 0.9)
    theirs = scipy.stats.binomtest(2, 3).proportion_ci(method="wilson")
    assert found.pop("interval") == pytest.approx([theirs.low, theirs.high])
    assert found == {"level": 0.9, "half_width": 0.5, "n": 3, "covered": 2, "coverage": 2 / 3}


@pytest.mark.parametrize("n", [20, 211])
def test_coverage_is_kept_on_average_and_spreads_as_a_beta(n: int) -> None:
    """Exact for any law of errors: the chance of a new error below the half width is beta distributed."""
    rng = np.random.default_rng(n)
    errors = rng.exponential(size=(4000, n))
    widths = [ours.conformal_half_width(row, np.zeros(n)) for row in errors]
    coverage = scipy.stats.expon.cdf(np.array(widths, float))
    rank = math.ceil((n + 1) * 0.9)
    assert coverage.mean() == pytest.approx(rank / (n + 1), abs=4 * coverage.std() / math.sqrt(4000))
    assert coverage.mean() >= 0.9 - 0.004
    ends = ours.expected_coverage(n)
    assert ends is not None
    inside = ((coverage >= ends[0]) & (coverage <= ends[1])).mean()
    assert inside == pytest.approx(0.95, abs=0.014)
