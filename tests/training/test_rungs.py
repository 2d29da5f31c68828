"""Rungs lie behind warm-ups, and a trial is stopped exactly where optuna's rule says so."""

import pytest

from whet.config import TrainConfig
from whet.training.optimizer import make_schedule
from whet.training.rungs import first_rung, rung_steps, rungs


def test_rungs_double_and_end_before_the_end():
    assert rungs(25) == [25, 50]
    assert rungs(41) == [41, 82]
    assert rungs(60) == [60]
    assert rungs(None) == []


def test_the_first_rung_is_behind_the_longest_warm_up():
    configs = [TrainConfig(warmup=0.1), TrainConfig(warmup=0.402)]
    assert first_rung(configs[:1]) == 25
    assert first_rung(configs) == 41
    assert first_rung([TrainConfig(warmup=1.0)]) is None


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "slanted"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.37, 0.9])
@pytest.mark.parametrize("n_steps", [1, 3, 40, 1009])
@pytest.mark.parametrize("starts", [(0,), (0, 11, 23)])
def test_no_rung_lies_where_the_rate_rises(
    schedule: str, warmup: float, n_steps: int, starts: tuple[int, ...]
) -> None:
    config = TrainConfig(schedule=schedule, warmup=warmup, schedule_over="stage")  # type: ignore[arg-type]
    plan = make_schedule(n_steps, config, starts)
    steps = rung_steps(plan, rungs(25))
    for step, percent in steps.items():
        assert percent / 100 * n_steps <= step < n_steps
        # the next step's rate is not above this one's, unless it is a new stage's
        assert plan.share(step + 1) <= plan.share(step) or {step, step + 1} & set(starts)
    if n_steps == 1009 and starts == (0,) and warmup <= 0.1:
        assert steps == {253: 25, 505: 50}


def test_rungs_are_shares_of_what_follows_the_head_alone():
    config = TrainConfig(warmup=0.1, head_first=2)
    plan = make_schedule(500, config, (0, 200))  # the second warm-up ends at 230
    assert rung_steps(plan, [25, 50], 200) == {275: 25, 350: 50}
    assert rung_steps(plan, [5], 200) == {230: 5}


def test_a_rung_in_a_later_warm_up_waits_for_its_end():
    config = TrainConfig(warmup=0.5, schedule_over="stage")
    plan = make_schedule(100, config, (0, 40))  # rises: 0 to 20 and 40 to 70
    assert rung_steps(plan, [25, 50]) == {25: 25, 70: 50}
    assert rung_steps(plan, [45, 60]) == {70: 60}
