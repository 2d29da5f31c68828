"""How a search shares out its time: closed formulas, and that the whole never passes the limit."""

import pytest

from whet.training.search_time import again, kept_back, share


def test_half_is_kept_back_until_the_default_is_known():
    assert kept_back(600, None) == 300
    assert kept_back(600, 200) == 300
    assert kept_back(10_000, 10) == pytest.approx(12 * 10 * 1.15 + 300)


def test_what_is_trained_again_is_what_there_is_time_for():
    assert again([10, 10, 10], 10, 1000, 1000) == (3, 3)
    assert again([10, 10, 10], 10, 100, 100) == (3, 2)
    assert again([10, 10, 10], 10, 50, 100) == (3, 1)
    assert again([10, 10, 10], 10, 27, 100) == (1, 1)
    assert again([10, 10, 10], 10, 1, 100) == (1, 1)
    assert again([10], 10, 1000, 1000) == (1, 3)
    assert again([], 10, 1000, 1000)[0] == 0


def test_looks_at_many_rows_are_kept_back_too():
    """Of a run of 10 s a look takes 4: two models on three seeds are 24 s."""
    assert kept_back(10_000, 10, 0.4) == pytest.approx(12 * 10 * 1.15 + 6 * 4 + 300)
    assert again([10, 10, 10], 10, 161, 100) == (3, 3)
    assert again([10, 10, 10], 10, 161, 100, 0.4) == (3, 2)
    assert share(100, 100, 4, 2, 10, 0.4) == pytest.approx((97 - 16) / 4)
    assert share(100, 100, 4, 2, 10, 99.0) == pytest.approx(97 / 2 / 4)


def test_where_nothing_but_the_default_is_left_it_gets_its_seeds():
    assert again([], 10, 1000, 1000) == (0, 3)
    assert again([], 10, 30, 100) == (0, 2)
    assert again([], 10, 1, 100) == (0, 1)


@pytest.mark.parametrize("left", [5.0, 60.0, 400.0, 3000.0])
def test_the_shares_of_all_runs_fit_into_what_is_left(left: float) -> None:
    n_best, n_seeds = again([20, 30, 40], 25, left, 3600)
    n_runs = (n_best + 1) * n_seeds
    each = share(left, 3600, n_runs)
    assert each * n_runs <= left or (each == 1.0 and left < n_runs + 0.03 * 3600)
