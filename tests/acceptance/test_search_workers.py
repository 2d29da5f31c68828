"""Four workers of one search over PostgreSQL, one of them killed in the middle of a trial; issue 11."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import house, postgres

pytest.importorskip("optuna")
pytest.importorskip("psycopg2")

N_TRIALS = 16


@pytest.mark.slow
def test_four_workers_over_postgresql_lose_no_trial_and_run_none_twice(encoder: Path) -> None:
    texts, labels = house.sentences(120)
    rows = house.write_csv(Path("reviews.csv"), {"text": texts, "label": labels})
    with postgres.running() as url:
        shared = (
            rows, "--model", encoder, "--storage", url, "--study", "reviews", "--threads", "1",
            "--precision", "float32", "--set", "epochs=10", "--set", "batch_size=4",
        )  # fmt: skip
        space = ("--space", "learning_rate=1e-5..1e-2:log", "--trials", N_TRIALS)
        leader = house.spawn("search", *shared, *space, "--out", "leader")
        _wait(lambda: Path("leader/trials/000/metrics.jsonl").exists(), leader)
        helpers = [house.spawn("search", *shared, "--join", "--out", f"helper-{i}") for i in range(3)]
        killed = helpers[0]
        _wait(lambda: _n_begun("helper-0") >= 1 and _in_hand("helper-0") is not None, killed)
        killed.kill()
        killed.wait(30)
        lost = _in_hand("helper-0")
        for process in (*helpers[1:], leader):
            _, error = process.communicate(timeout=400)
            assert process.returncode == 0, error.decode()
        attempts = _attempts(url)

    found = json.loads(Path("leader/run.json").read_text())["search"]
    assert [one["number"] for one in found["trials"]] == list(range(N_TRIALS))
    assert all(one["state"] in ("complete", "stopped") for one in found["trials"])
    # of each slot one attempt that counts; those of the dead worker are marked, and nothing ran beside them
    counted = Counter(slot for slot, state, is_void in attempts if not is_void)
    assert counted == Counter(range(N_TRIALS))
    assert [slot for slot, state, is_void in attempts if is_void == "lost"] == [lost]
    # each trial's log stands in one place: that of the worker that ran it (and of the dead one, once more)
    places = Counter(
        int(path.parent.name)
        for folder in ("leader", "helper-0", "helper-1", "helper-2")
        for path in Path(folder).glob("trials/*/trial.json")
    )
    assert places == Counter(range(N_TRIALS))
    ran = {folder: _n_begun(folder) for folder in ("leader", "helper-1", "helper-2")}
    assert all(ran.values()), ran
    assert found["verdict"] is not None


def _n_begun(folder: str) -> int:
    return len(list(Path(folder).glob("trials/*/metrics.jsonl")))


def _in_hand(folder: str) -> int | None:
    """The trial that a worker runs now."""
    begun = {path.parent for path in Path(folder).glob("trials/*/metrics.jsonl")}
    done = {path.parent for path in Path(folder).glob("trials/*/trial.json")}
    return next((int(path.name) for path in begun - done), None)


def _wait(is_time: Any, process: Any) -> None:
    limit = time.monotonic() + 120
    while not is_time():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.02)


def _attempts(url: str) -> list[tuple[int | None, str, str]]:
    """Slot, state and mark of every trial that optuna knows."""
    import optuna

    study = optuna.load_study(study_name="reviews", storage=url)
    return [
        (
            one.user_attrs.get("slot"),
            one.state.name,
            next((mark for mark in ("lost", "surplus") if mark in one.user_attrs), ""),
        )
        for one in study.trials
    ]
