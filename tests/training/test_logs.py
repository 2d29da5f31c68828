"""What a run writes down, on a disk that fills up and one that loses bytes."""

from pathlib import Path

import pytest

from whet.training.events import Note, StepDone, TrainingStarted
from whet.training.logs import MetricsLog, RunLog


def step(number: int) -> StepDone:
    return StepDone(number, 1, 1.0, 1.0, 5e-5, 1e-3, 32, 100, 1.0)


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A log on a disk without room: Linux has a file for that."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    return path


def test_lines_wait_for_room(full: Path) -> None:
    log = MetricsLog(full)
    log(TrainingStarted(3, 1, 10))
    log(step(1))
    with pytest.raises(OSError, match="No space left"):
        log.flush()
    log(step(2))
    full.unlink()
    log(step(3))
    log.flush()
    assert [line.split(",")[1] for line in full.read_text().splitlines()] == [
        ' "step": 1', ' "step": 2', ' "step": 3'
    ]  # fmt: skip


def test_what_people_read_waits_too(full: Path) -> None:
    log = RunLog(full)
    log(Note("first"))
    full.unlink()
    log(Note("second"))
    assert [line.split("  ")[1] for line in full.read_text().splitlines()] == ["first", "second"]


def test_another_failure_is_told_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "gone" / "metrics.jsonl")
    log(TrainingStarted(3, 1, 10))
    with pytest.raises(FileNotFoundError):
        log(step(1))


def test_a_log_that_came_back_shorter_is_not_filled_up(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("{}\n{}\n")
    MetricsLog(path).cut(3)
    assert path.read_text() == "{}\n"
    MetricsLog(path).cut(20)
    assert path.read_text() == "{}\n"
