"""Where successive halving looks at a trial: at shares of its own schedule, none of them in a warm-up.

At the same share of their schedules two trials stand at the same share of their peak rates, whatever their
batch sizes and epochs; after the same number of epochs the one would have fallen to 0 and the other not.

Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020 (ASHA); as in optuna's pruner a
trial that is stopped is not taken up again.
"""

import math
from collections.abc import Iterable
from itertools import pairwise

from whet.config import TrainConfig
from whet.training.optimizer import Schedule

FACTOR = 2  # of the trials that come to a rung, about one in so many goes on
_FIRST = 25  # percent of the schedule


def first_rung(configs: Iterable[TrainConfig]) -> int | None:
    """Percent of a schedule: the first rung of a search over these configurations, behind the longest of
    their warm-ups; None where no room is left for one."""
    longest = max((math.ceil(100 * config.warmup) for config in configs), default=0)
    first = max(_FIRST, longest)
    return first if first < 100 else None


def rungs(first: int | None) -> list[int]:
    """All of them, in percent: each is `FACTOR` times the one before."""
    found = []
    while first is not None and first < 100:
        found.append(first)
        first *= FACTOR
    return found


def rung_steps(schedule: Schedule, percents: Iterable[int], n_head_steps: int = 0) -> dict[int, int]:
    """The step after which a trial of this schedule stands on each rung: step -> percent of the steps behind
    the first n_head_steps, which train the head alone and say little of the rest.

    Where the rate is rising, as at the beginning of a later stage, that is the step at which it is up; a rung
    that would be the end of the training is none. Two that meet are the higher one."""
    rises = [(start, end) for (start, low), (end, high) in pairwise(schedule.points) if high > low]
    found = {}
    for percent in percents:
        step = n_head_steps + max(1, math.ceil((schedule.n_steps - n_head_steps) * percent / 100))
        for start, end in rises:
            if start < step < end:
                step = math.ceil(end)
        if step < schedule.n_steps:
            found[step] = percent
    return found
