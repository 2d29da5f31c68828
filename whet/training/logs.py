"""What a training run writes down as it goes: metrics.jsonl for programs, train.log for people."""

import contextlib
import errno
import io
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

from whet.training.events import Evaluated, Event, Looked, Note, Saved, StepDone, TrainingStarted
from whet.training.listeners import PlainProgress

_MOST_LOGGED: Final = 1000  # steps in metrics.jsonl
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class _Lines:
    """A file that lines are appended to. Where the disk has no room for them they wait for the next ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = b""

    def append(self, text: str) -> None:
        self._held += text.encode("utf-8")
        try:
            self.flush()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise

    def flush(self) -> None:
        """Raises OSError where something still waits."""
        if not self._held:
            return
        with self.path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                if file.write(self._held) < len(self._held):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
        self._held = b""


@final
class MetricsLog:
    """metrics.jsonl: one line for a logged step or a look at dev, written as they come. One who reads it
    meanwhile takes what stands before the last newline: a system may show an appended line page by page.

    No time stands in it, so that a resumed run's is the same as an uninterrupted one's; times are in
    train.log."""

    def __init__(self, path: Path) -> None:
        self._lines = _Lines(path)
        self.aside = path.with_name("metrics.collapsed.jsonl")
        self._every = 1

    def __call__(self, event: Event) -> None:
        match event:
            case TrainingStarted():
                self._every = max(1, event.n_steps // _MOST_LOGGED)
            case StepDone() if event.step % self._every == 0:
                self._write({"event": "step", **_without_time(event)})
            case Evaluated() | Looked():
                figures = {
                    name: value for name, value in event.metrics.items() if isinstance(value, float | int)
                }
                self._write(
                    {
                        "event": "evaluation" if isinstance(event, Evaluated) else "look",
                        **_without_time(event),
                        "metrics": None,
                        "headline": None,
                        "dev": figures,
                    }
                )
            case _:
                pass

    def flush(self) -> None:
        """Raises OSError where lines still wait for room on the disk."""
        self._lines.flush()

    def cut(self, n_bytes: int) -> None:
        """Forget what was logged after a checkpoint was written."""
        if self._lines.path.exists():
            with self._lines.path.open("r+b") as file:
                file.truncate(min(n_bytes, file.seek(0, os.SEEK_END)))

    def set_aside(self) -> None:
        """Keep what an attempt that collapsed has logged under another name."""
        if self._lines.path.exists():
            self._lines.path.replace(self.aside)

    def _write(self, line: Mapping[str, Any]) -> None:
        kept = {key: value for key, value in line.items() if value is not None}
        self._lines.append(json.dumps(kept, ensure_ascii=False) + "\n")


@final
class RunLog:
    """train.log: what a person reads afterwards, with the time of day (UTC)."""

    def __init__(self, path: Path) -> None:
        self._lines = _Lines(path)
        self._held = io.StringIO()
        self._plain = PlainProgress(self._held, lambda: time.strftime("%Y-%m-%d %H:%M:%S  ", time.gmtime()))

    def __call__(self, event: Event) -> None:
        self._plain(event)
        if isinstance(event, Saved):
            took = f"checkpoint at step {event.step}, written in {event.seconds:.1f} s"
            self._plain(Note(f"{took}; the next in {event.next_in:.0f} s"))
        lines = self._held.getvalue()
        if lines:
            self._held.seek(0)
            self._held.truncate()
            self._lines.append(lines)


def _without_time(event: StepDone | Evaluated | Looked) -> dict[str, Any]:
    return {key: value for key, value in vars(event).items() if key != "seconds"}
