"""Split conformal intervals: the rank by hand, and the coverage that theory promises."""

import math

import numpy as np
import pytest
import scipy.stats

from whet import prediction_intervals as ours


def expected_coverage(n_held_out: int, level: float = ours.PREDICTION_LEVEL) -> list[float] | None:
    """Where the coverage of one half width from n_held_out rows lies with 95% chance; None without one.

    Over draws of the held-out rows it follows a beta distribution with parameters rank and n + 1 - rank, if
    errors have no ties (Vovk, "Conditional validity of inductive conformal predictors", ACML 2012). The level
    is kept on average; for one model from few rows it may be missed by this much."""
    rank = ours._rank(n_held_out, level)
    if rank > n_held_out:
        return None
    beta = scipy.stats.beta(rank, n_held_out + 1 - rank)
    return [float(beta.ppf(0.025)), float(beta.ppf(0.975))]


@pytest.mark.parametrize(
    ("n", "level", "rank"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.95, 19), (99, 0.9, 90), (100, 0.9, 91)]
)
def test_the_rank(n: int, level: float, rank: int) -> None:
    errors = np.random.default_rng(n).permutation(np.arange(1, n + 1)) * np.where(np.arange(n) % 2, -1, 1)
    assert ours.conformal_half_width(errors, np.zeros(n), level) == rank


def test_too_few_rows() -> None:
    assert ours.conformal_half_width(np.ones(8), np.zeros(8), 0.9) is None
    assert ours.conformal_half_width(np.ones(18), np.zeros(18), 0.95) is None
    assert expected_coverage(8, 0.9) is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        ours.conformal_half_width([1.0], [0.0], 90)


def test_ends_and_measured_coverage() -> None:
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
    ends = expected_coverage(n)
    assert ends is not None
    inside = ((coverage >= ends[0]) & (coverage <= ends[1])).mean()
    assert inside == pytest.approx(0.95, abs=0.014)
