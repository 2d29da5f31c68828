"""Checkpoints on the disk, without a training run; with one, see tests/acceptance/test_resume.py."""

from pathlib import Path

from tests.training.test_timing import warmup_then_linear
from whet.files import checksums, write_json
from whet.training.resume import Checkpoints
from whet.training.state import Progress


def write(folder: Path, restarts: int) -> Path:
    folder.mkdir(parents=True)
    progress = Progress(warmup_then_linear(10, 0.1), step=7).to_json()
    (folder / "training.safetensors").write_bytes(b"weights")
    content = {"format": 3, "restarts": restarts, "log_bytes": 3, "progress": progress, "beside": {}}
    write_json(folder / "training.json", content)
    write_json(folder / "checksums.json", checksums(folder))
    return folder


def test_checkpoints_of_an_attempt_that_was_given_up_are_removed(tmp_path: Path) -> None:
    """A process that dies while it begins once more leaves them; they would hide or displace the new ones."""
    old, new = write(tmp_path / "step-86-2", 0), write(tmp_path / "step-7-0", 1)
    said: list[str] = []
    found = Checkpoints(tmp_path, tmp_path / "metrics.jsonl").newest(1, said.append)
    assert found is not None
    assert (found.folder, found.progress.step, found.log_bytes) == (new, 7, 3)
    assert not old.exists()
    assert said == []


def test_nothing_whole_is_nothing(tmp_path: Path) -> None:
    (write(tmp_path / "step-3-0", 0) / "training.safetensors").write_bytes(b"weighty")
    said: list[str] = []
    assert Checkpoints(tmp_path, tmp_path / "metrics.jsonl").newest(0, said.append) is None
    assert len(said) == 1
    assert "training.safetensors does not match" in said[0]
