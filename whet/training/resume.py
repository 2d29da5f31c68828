"""Checkpoints of a run: its whole state on the disk, so that resumed = uninterrupted, bit for bit.

    checkpoints/
      step-120-1/              step 120, one epoch evaluated; complete in itself
        training.json          numbers: progress, schedule, length of metrics.jsonl
        training.safetensors   weights and optimiser state
        best/                  the kept epoch so far, a model folder; absent in the first epoch
        checksums.json         sha256 of every file above
      step-84-1/               the one before, used where the newest is damaged
      last -> step-120-1
      best -> step-120-1/best

A checkpoint is written beside, fsynced and renamed; then `last` flips. Order and dropout masks are functions
of seed and step, so no generator state is needed.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, final

from safetensors.torch import load_file

from whet.artifact import save_model, write_tensors
from whet.checkpoints.loading import open_checkpoint
from whet.errors import CheckpointError
from whet.files import checksum, checksums, folder_beside, point, sync, write_json
from whet.training.events import Saved
from whet.training.state import Progress, TrainingState

_FORMAT = 3
_LEAST = 30.0  # seconds of training between two checkpoints
_SHARE = 0.05  # of the time that may go into writing them
_KEPT = 2


class Found(NamedTuple):
    """A checkpoint that is whole."""

    folder: Path
    progress: Progress
    restarts: int
    log_bytes: int  # of metrics.jsonl, when it was written
    beside: dict[str, Any]  # what else was saved with it


@final
class Checkpoints:
    """The checkpoints of one run, written by one process."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = folder
        self._log = log
        self._next = time.monotonic() + _LEAST

    @property
    def due(self) -> bool:
        """Whether enough time has gone by for saving to cost no more than a twentieth of it."""
        return time.monotonic() >= self._next

    def save(self, state: TrainingState, restarts: int, beside: Mapping[str, Any]) -> Saved:
        """Write the state and let `last` and `best` lead to it; restarts tells attempts apart, beside is what
        else one who goes on wants to know, as plain values.

        Raises OSError where the disk does not let it; the checkpoint before is then untouched."""
        began = time.monotonic()
        progress = state.progress
        folder = self._folder / f"step-{progress.step}-{progress.epochs_done}"
        try:
            if not folder.exists():
                self._write(state, folder, restarts, beside)
            point(self._folder / "last", folder.name)
            if state.best is not None:
                point(self._folder / "best", f"{folder.name}/best")
            self._prune(folder)
        finally:
            seconds = time.monotonic() - began
            wait = max(_LEAST, seconds / _SHARE)
            self._next = time.monotonic() + wait
        return Saved(progress.step, seconds, wait)

    def _write(self, state: TrainingState, folder: Path, restarts: int, beside_it: Mapping[str, Any]) -> None:
        with folder_beside(folder) as beside:
            write_tensors(beside / "training.safetensors", state.tensors())
            if state.best is not None:
                save_model(state.model, beside / "best", weights=state.best)
            log_bytes = 0
            if self._log.exists():
                sync(self._log)  # so that it is never shorter than is written here
                log_bytes = self._log.stat().st_size
            content = {
                "format": _FORMAT,
                "restarts": restarts,
                "log_bytes": log_bytes,
                "progress": state.progress.to_json(),
                "beside": dict(beside_it),
            }
            write_json(beside / "training.json", content)
            write_json(beside / "checksums.json", checksums(beside))

    def _prune(self, newest: Path) -> None:
        others = [path for path in _written(self._folder) if path != newest]
        for path in others[_KEPT - 1 :]:
            shutil.rmtree(path)

    def newest(self, restarts: int, say: Callable[[str], None]) -> Found | None:
        """The newest checkpoint of this attempt that is whole. Those of an attempt given up are removed, and
        damaged ones too, with a line each."""
        for folder in _written(self._folder):
            try:
                found = _checked(folder)
                if found.restarts == restarts:
                    return found
            except (CheckpointError, OSError) as error:
                say(f"Checkpoint {folder.name} is damaged ({error}) and is left out.")
            shutil.rmtree(folder, ignore_errors=True)
        return None

    def restore(self, state: TrainingState, found: Found) -> None:
        """Put a checkpoint back into the state of a new process."""
        tensors = load_file(found.folder / "training.safetensors")
        best = None
        if (found.folder / "best").exists():
            best = open_checkpoint(found.folder / "best").state(state.model.layout)
        state.restore(tensors, found.progress, best)


def _written(folder: Path) -> list[Path]:
    """Checkpoints, the newest first."""
    found: list[tuple[list[int], Path]] = []
    for path in folder.glob("step-*-*") if folder.exists() else ():
        numbers = path.name.split("-")[1:]
        if all(number.isdigit() for number in numbers):
            found.append(([int(number) for number in numbers], path))
    return [path for _, path in sorted(found, reverse=True)]


def _checked(folder: Path) -> Found:
    """Raises CheckpointError where any byte of it is not as it was written."""
    expected = _json(folder / "checksums.json")
    for name, digits in expected.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{name} is missing")
        if checksum(folder / name) != digits:
            raise CheckpointError(f"{name} does not match its checksum")
    if "training.json" not in expected or "training.safetensors" not in expected:
        raise CheckpointError("checksums.json is not whole")
    content = _json(folder / "training.json")
    if content.get("format") != _FORMAT:
        raise CheckpointError(f"format {content.get('format')}; this whet reads {_FORMAT}")
    try:
        progress = Progress.from_json(content["progress"])
        return Found(folder, progress, content["restarts"], content["log_bytes"], content["beside"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"training.json is another whet's ({error})") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} is no object")
    return content
