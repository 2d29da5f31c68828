"""Who runs which trial, with workers that die, wake up late and meet: a slot is filled once, never lost."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.acceptance import postgres
from whet.training import slots as module
from whet.training.slots import BEAT, MOST_DEATHS, SLOT, STOPPED, Slots, attempts
from whet.training.study import LOST, create_study, load_study

optuna = pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["journal", pytest.param("postgresql", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "journal":
        return str(tmp_path / "study.journal")
    url: str = request.getfixturevalue("database")
    if "s" in optuna.get_all_study_names(url):
        optuna.delete_study(study_name="s", storage=url)
    return url


def made(storage: str, n: int, home: str = "a", points: Any = None) -> Slots:
    study = create_study(storage, "s", {}, None)
    found = Slots(study, points or [{}] * n, home)
    found.fill()
    return found


def joined(storage: str, n: int, home: str) -> Slots:
    return Slots(load_study(storage, "s"), [{}] * n, home)


def done(slots: Slots) -> list[int]:
    """The slots of all attempts that ended well."""
    trials = slots._study.get_trials(deepcopy=False)
    return sorted(one.user_attrs[SLOT] for one in trials if one.state.name == "COMPLETE")


def await_beat(slots: Slots) -> int:
    """The next count of the first trial, however long a loaded machine takes."""
    before = slots._study.trials[0].user_attrs.get(BEAT, -1)
    limit = time.monotonic() + 60
    while (count := slots._study.trials[0].user_attrs.get(BEAT, -1)) == before:
        assert time.monotonic() < limit
        time.sleep(0.005)
    return int(count)


def test_each_slot_is_run_once_in_order(storage: str) -> None:
    slots = made(storage, 3)
    found = []
    while (trial := slots.take()) is not None:
        found.append(trial.user_attrs[SLOT])
        assert slots.end(trial, 1.0, "COMPLETE", {})
    assert found == [0, 1, 2]
    assert slots.n_open == 0
    slots.fill()
    assert len(slots._study.trials) == 3


def test_points_are_what_the_trials_begin_with(storage: str) -> None:
    slots = made(storage, 2, points=[{"x": 0.25}, {"x": 7.0}])
    first, second = slots.take(), slots.take()
    assert first is not None
    assert second is not None
    assert first.suggest_float("x", 0, 10) == 0.25
    assert second.suggest_float("x", 0, 10) == 7.0


def test_many_workers_share_the_slots(storage: str) -> None:
    n, counts, lock = 24, Counter[int](), threading.Lock()
    made(storage, n)

    def work(number: int) -> None:
        slots = joined(storage, n, f"worker {number}")
        while slots.n_open:
            trial = slots.take()
            if trial is None:
                continue
            with lock:
                counts[trial.user_attrs[SLOT]] += 1
            assert slots.end(trial, float(number), "COMPLETE", {})

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == Counter(range(n))
    assert done(joined(storage, n, "x")) == list(range(n))


def test_what_a_dead_process_of_this_folder_ran_is_run_again_at_once(storage: str) -> None:
    slots = made(storage, 2, "home")
    trial = slots.take()
    assert trial is not None
    value = trial.suggest_float("x", 0, 1)
    again = joined(storage, 2, "home").take()
    assert again is not None
    assert again.user_attrs[SLOT] == 1  # the queue goes on; the lost one is put behind it
    later = joined(storage, 2, "other")
    taken = later.take()
    assert taken is not None
    assert taken.user_attrs[SLOT] == 0
    assert taken.suggest_float("x", 0, 1) == value  # what was to be tried is tried


def test_a_worker_that_stops_counting_is_given_up(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(module, "BEAT_EVERY", 0.01)
    dead, slots = made(storage, 1, "a"), joined(storage, 1, "b")
    trial = dead.take()
    assert trial is not None
    with dead.alive(trial) as useless:
        for _ in range(4):
            assert slots.take() is None
            await_beat(dead)
            now += module.GIVEN_UP_AFTER + 1
        assert not useless.is_set()
    assert slots.take() is None  # the last beat is new
    now += module.GIVEN_UP_AFTER - 1
    assert slots.take() is None
    now += 2
    again = slots.take()
    assert again is not None
    assert again.user_attrs[SLOT] == 0
    # it wakes up: what it brings does not count, and it is told so
    assert not dead.end(trial, 9.0, "COMPLETE", {})
    with dead.alive(trial) as useless:
        assert useless.wait(30)
    assert slots.end(again, 1.0, "COMPLETE", {})
    assert [one.value for one in slots._study.trials if one.value is not None] == [1.0]


def test_a_closed_search_stops_those_at_work(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_EVERY", 0.05)
    slots = made(storage, 1)
    trial = slots.take()
    assert trial is not None
    with slots.alive(trial) as useless:
        assert not useless.wait(0.2)
        joined(storage, 1, "b").close()
        assert useless.wait(30)


def test_a_trial_that_kills_its_workers_is_given_up(storage: str) -> None:
    slots = made(storage, 1, points=[{"x": 0.5}])
    for _ in range(5):  # stopped by a person
        trial = slots.take()
        assert trial is not None
        slots.lose(trial, STOPPED)
    for _ in range(MOST_DEATHS):
        assert slots.n_open == 1
        trial = slots.take()
        assert trial is not None
        assert trial.suggest_float("x", 0, 1) == 0.5
        slots.lose(trial)
    assert slots.take() is None
    assert slots.n_open == 0
    (ended,) = attempts(slots._study.trials).values()
    assert ended.state.name == "FAIL"
    assert "processes died in it" in ended.user_attrs["ended"]["reason"]


def test_an_attempt_of_no_slot_whose_worker_died_is_nothing(storage: str) -> None:
    """Asked for when another worker had taken the last one, and killed before it stepped back."""
    slots = made(storage, 1)
    first = slots.take()
    assert first is not None
    stray = slots._study.ask()
    again = joined(storage, 1, "b")
    again.lose(stray)
    again.lose(first)
    found = again.take()
    assert found is not None
    assert found.user_attrs[SLOT] == 0


def test_two_that_fill_the_same_slot_run_it_once(storage: str) -> None:
    """As when both find at the same moment that its worker has died."""
    slots = made(storage, 1)
    for _ in range(2):
        slots._study.enqueue_trial({}, user_attrs={SLOT: 0})
    first = slots.take()
    assert first is not None
    other = joined(storage, 1, "b")
    assert other.take() is None
    assert slots.end(first, 1.0, "COMPLETE", {})
    assert other.take() is None
    assert other.n_open == 0
    assert done(slots) == [0]


def test_a_slot_whose_finder_died_before_filling_it_is_filled(storage: str) -> None:
    slots = made(storage, 1)
    trial = slots.take()
    assert trial is not None
    slots._study._storage.set_trial_user_attr(trial._trial_id, LOST, True)
    slots._study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert attempts(slots._study.trials) == {}
    assert slots.n_open == 1
    again = joined(storage, 1, "b").take()
    assert again is not None
    assert again.user_attrs[SLOT] == 0


def test_a_trial_that_failed_by_its_settings_is_not_run_again(storage: str) -> None:
    slots = made(storage, 1)
    trial = slots.take()
    assert trial is not None
    assert slots.end(trial, None, "FAIL", {"reason": "a rate too high"})
    assert slots.take() is None
    assert slots.n_open == 0


def test_a_line_that_a_dead_process_left_half_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    slots = made(str(path), 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 5, "worker_')
    trial = joined(str(path), 2, "b").take()
    assert trial is not None
    assert path.read_bytes().startswith(whole)
    assert b'"worker_{' not in path.read_bytes()
    assert slots.n_open == 2


def test_the_beat_counts_up(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_EVERY", 0.01)
    slots = made(storage, 1)
    trial = slots.take()
    assert trial is not None
    with slots.alive(trial):
        assert await_beat(slots) < await_beat(slots)


def test_what_a_lost_attempt_had_come_to_does_not_count_at_its_rung(storage: str) -> None:
    """Of 0.9, 0.8, 0.85 and 0.86 the best two go on; were 0.9 there twice, 0.86 would not."""
    study = create_study(storage, "s", {}, 25)
    slots = Slots(study, [{}] * 4, "home")
    slots.fill()

    def is_stopped(score: float) -> bool:
        trial = slots.take()
        assert trial is not None
        trial.report(score, 25)
        stopped = trial.should_prune()
        assert slots.end(trial, score, "PRUNED" if stopped else "COMPLETE", {})
        return stopped

    dead = slots.take()
    assert dead is not None
    dead.report(0.9, 25)
    assert not dead.should_prune()
    slots.lose(dead)
    assert [is_stopped(score) for score in (0.9, 0.8, 0.85, 0.86)] == [False, True, True, False]
