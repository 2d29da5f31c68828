"""How a search shares out its time: trials first, and enough kept back to train the best again."""

from collections.abc import Sequence

BEST, SEEDS = 3, 3  # configurations that are trained again, and how often, where there is time
_MOST_KEPT_BACK = 0.5  # of the limit
_LONGER = 1.15  # than measured: other seeds, models that are written
_ENDING = 0.03  # of the limit, for the verdict and the pictures

# What is trained again, from the best to the least that is worth it: more configurations help to find a good
# one, more seeds to know that it is.
_PLANS = ((3, 3), (3, 2), (2, 3), (2, 2), (3, 1), (2, 1), (1, 3), (1, 2), (1, 1))


def kept_back(limit: float, run: float | None, look: float = 0.0) -> float:
    """Seconds of the limit that are not for trials; run is how long the default took, if that is known, look
    what a model's look at the estimate's rows takes, as a share of that."""
    most = _MOST_KEPT_BACK * limit
    if run is None:
        return most
    return min(most, run * ((BEST + 1) * SEEDS * _LONGER + _looks(SEEDS) * look) + _ENDING * limit)


def again(
    costs: Sequence[float], default: float, left: float, limit: float, look: float = 0.0
) -> tuple[int, int]:
    """How many of the best configurations are trained again, and how often each: (configurations, seeds).

    costs are seconds of one run of each, the best first, none of them the default, whose own is `default`
    and which is trained as often; left are the seconds that there are; look as in `kept_back`. (1, 1) where
    it all is too much; no configurations where there are none."""
    plans = [(n_best, n_seeds) for n_best, n_seeds in _PLANS if n_best <= len(costs)]
    for n_best, n_seeds in plans or [(0, n_seeds) for n_seeds in range(SEEDS, 0, -1)]:
        runs = _LONGER * n_seeds * (sum(costs[:n_best]) + default)
        if runs + _looks(n_seeds) * look * default <= left - _ENDING * limit:
            return n_best, n_seeds
    return min(1, len(costs)), 1


def share(
    left: float, limit: float, n_runs: int, n_seeds: int = 0, default: float = 0.0, look: float = 0.0
) -> float:
    """Seconds that each run of the training again may take, at the most; a longer one is shortened. What the
    verdict looks at in the end is taken off, but for half."""
    most = left - _ENDING * limit
    return max(max(most - _looks(n_seeds) * look * default, most / 2) / max(n_runs, 1), 1.0)


def _looks(n_seeds: int) -> int:
    """Of the default's models and the winner's at the estimate's rows."""
    return 2 * n_seeds
