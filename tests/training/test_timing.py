"""A schedule that fits a time limit, by a clock that the test turns."""

import json
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from whet.config import make_config
from whet.training.optimizer import Schedule, make_schedule
from whet.training.state import Progress
from whet.training.timing import Costs, TimeLimit, _more_tokens


def warmup_then_linear(n_steps: int, warmup: float) -> Schedule:
    """The default's, as transformers' get_linear_schedule_with_warmup."""
    return make_schedule(n_steps, make_config({"warmup": warmup, "head_first": 0}))


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def run(
    clock: Clock,
    limit: float,
    pace: list[float],
    evaluation: float = 4.0,
    guess: float = 0.5,
    n_head_steps: int = 0,
) -> Progress:
    """A run whose steps take pace[0], pace[1] ... seconds, planned with `guess` seconds a step, those of the
    head with a tenth of it. A look at dev takes as much less while the head is trained alone."""
    began, per_epoch = clock.now, 100
    progress = Progress(warmup_then_linear(len(pace), 0.1))
    clock.now += 5.0  # reading
    costs = Costs(guess, guess / 10, evaluation, ending=evaluation)
    time_limit = TimeLimit(limit, began, per_epoch, n_head_steps, costs)
    time_limit.fit(progress, costs, lambda n: warmup_then_linear(n, 0.1))
    time_limit.check(progress)
    while progress.step < progress.schedule.n_steps:
        clock.now += pace[progress.step]
        progress.step += 1
        time_limit.check(progress)
        if progress.step % per_epoch == 0 or progress.step == progress.schedule.n_steps:
            clock.now += evaluation if progress.step > n_head_steps else evaluation / 10
            progress.epochs_done += 1
            time_limit.check(progress)
    clock.now += evaluation + 2.0
    clock.now, took = clock.now, clock.now - began
    progress.elapsed = took
    return progress


def test_a_limit_that_is_wide_changes_nothing(clock: Clock) -> None:
    progress = run(clock, 1000.0, [0.5] * 300)
    assert progress.schedule == warmup_then_linear(300, 0.1)


def test_a_narrow_limit_is_filled_and_kept(clock: Clock) -> None:
    progress = run(clock, 100.0, [0.5] * 300)
    assert 90 < progress.elapsed <= 100
    assert progress.schedule == warmup_then_linear(progress.step, 0.1)


@pytest.mark.parametrize("slower", [1.3, 2.0, 3.0])
def test_a_machine_that_slows_down_is_met_on_the_way(clock: Clock, slower: float) -> None:
    progress = run(clock, 100.0, [0.5] * 60 + [0.5 * slower] * 300)
    assert 85 < progress.elapsed <= 105
    assert progress.schedule.share(progress.step) == 0.0  # the rate falls to 0 all the same
    assert max(share for _, share in progress.schedule.points) == 1.0


def test_a_slow_beginning_leaves_the_warm_up_whole(clock: Clock) -> None:
    """Found by using it: one slow first step once cut the schedule in its warm-up, straight down to 0."""
    progress = run(clock, 100.0, [3.0, 2.0] + [0.5] * 300)
    assert 85 < progress.elapsed <= 105
    assert max(share for _, share in progress.schedule.points) == 1.0


def test_steps_of_changing_length(clock: Clock) -> None:
    progress = run(clock, 100.0, [0.2, 0.8] * 200)
    assert 85 < progress.elapsed <= 105


def test_a_checkpoint_keeps_the_schedule_that_was_fitted(clock: Clock) -> None:
    progress = run(clock, 100.0, [0.5] * 60 + [1.0] * 300)
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress


@pytest.mark.parametrize("slower", [1.0, 2.0])
def test_steps_of_the_head_alone_cost_and_tell_little(clock: Clock, slower: float) -> None:
    """Two hundred of them, and as many others as there is time for; a plan by their pace would run over."""
    progress = run(clock, 150.0, [0.05] * 200 + [0.5 * slower] * 300, n_head_steps=200)
    assert 130 < progress.elapsed <= 155
    assert progress.step > 300
    assert run(clock, 1000.0, [0.05] * 200 + [0.5] * 300, n_head_steps=200).step == 500
    assert run(clock, 17.0, [0.05] * 200 + [0.5] * 300, n_head_steps=200).step <= 200


def test_no_time_at_all_is_one_step(clock: Clock) -> None:
    assert run(clock, 1.0, [0.5] * 300).step == 1


def test_what_is_scored_in_the_end_is_kept_free_for() -> None:
    """Test rows go by the mean length of train's, windows and all; what a task probes comes on top."""
    lengths = np.array([10, 30, 0, 0])  # two are not tokenised yet
    prepared: Any = SimpleNamespace(
        train=SimpleNamespace(store=Sized(lengths)),
        dev=SimpleNamespace(store=None),
        task=SimpleNamespace(n_probed_tokens=lambda store: 7),
        data=SimpleNamespace(train=SimpleNamespace(rows=range(2)), test=SimpleNamespace(rows=range(5))),
    )
    assert _more_tokens(prepared) == 7 + 5 * 20 * 4 / 2
    prepared.data.test = None
    assert _more_tokens(prepared) == 7


def test_a_look_at_many_test_rows_shortens_the_schedule(clock: Clock) -> None:
    schedules = []
    for ending in (4.0, 40.0):
        progress = Progress(warmup_then_linear(300, 0.1))
        costs = Costs(0.5, 0.05, 4.0, ending)
        limit = TimeLimit(100.0, clock.now, 100, 0, costs)
        limit.fit(progress, costs, lambda n: warmup_then_linear(n, 0.1))
        schedules.append(progress.schedule.n_steps)
    assert schedules[0] - schedules[1] == pytest.approx(36 / 0.5, abs=10)


class Sized:
    def __init__(self, lengths: np.ndarray) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)
