"""Those who listen to a training run: the progress bar, its plain form off a terminal, and the log."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from whet.training.events import Evaluated, Event, Note, StepDone, TrainingDone, TrainingStarted

_LINES_EVERY = 10.0  # seconds between lines off a terminal
_SMOOTHING = 0.95  # of the loss that is shown
_MOST_LOGGED = 1000  # steps in metrics.jsonl


def progress(stream: IO[str] | None = None) -> "LiveProgress | PlainProgress":
    """A live bar on a terminal, a line now and then elsewhere; by default on stderr."""
    stream = stream or sys.stderr
    return LiveProgress(stream) if stream.isatty() else PlainProgress(stream)


@final
class PlainProgress:
    """Notes as they come, a line every ten seconds, a line an evaluation."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._rate = _Rate()
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        self._rate(event)
        now = time.monotonic()
        match event:
            case Note():
                self._print(event.text)
            case TrainingStarted():
                self._last = now
            case StepDone() if now - self._last >= _LINES_EVERY:
                self._last = now
                self._print(f"step {event.step}/{self._rate.n_steps}  {self._rate.line()}")
            case Evaluated():
                self._last = now
                self._print(evaluation_line(event, self._rate.n_epochs))
            case TrainingDone():
                self._print(done_line(event))
            case _:
                pass

    def close(self) -> None:
        """Nothing is held open."""

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


@final
class LiveProgress:
    """A bar with step, loss, tokens a second, time left and the last dev score."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream, highlight=False)
        self._rate = _Rate()
        self._bar = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            console=self._console,
            expand=True,
        )
        self._task: TaskID | None = None
        self._score = ""

    def __call__(self, event: Event) -> None:
        self._rate(event)
        match event:
            case Note():
                self._console.print(event.text, markup=False, soft_wrap=True)
            case TrainingStarted():
                self._task = self._bar.add_task("", total=event.n_steps)
                self._bar.start()
            case StepDone() if self._task is not None:
                self._bar.update(
                    self._task, completed=event.step, description=self._rate.line() + self._score
                )
            case Evaluated():
                self._score = f"  dev {event.metrics['accuracy']:.3f}"
                self._bar.console.print(evaluation_line(event, self._rate.n_epochs), markup=False)
            case TrainingDone():
                self.close()
                self._console.print(done_line(event), markup=False)
            case _:
                pass

    def close(self) -> None:
        """Give the terminal back; also after an interruption."""
        self._bar.stop()


@final
class MetricsLog:
    """metrics.jsonl: one line for a logged step or an evaluation, written as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._every = 1
        self._steps = 0

    def __call__(self, event: Event) -> None:
        match event:
            case TrainingStarted():
                self._every = max(1, event.n_steps // _MOST_LOGGED)
            case StepDone() if event.step % self._every == 0:
                self._write({"event": "step", **vars(event)})
            case Evaluated():
                figures = {
                    name: value for name, value in event.metrics.items() if isinstance(value, float | int)
                }
                self._write(
                    {
                        "event": "evaluation",
                        "step": event.step,
                        "epoch": event.epoch,
                        "is_kept": event.is_kept,
                        "seconds": event.seconds,
                        "dev": figures,
                    }
                )
            case _:
                pass

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


class _Rate:
    """What the progress line says: smoothed loss, tokens a second, time left."""

    def __init__(self) -> None:
        self.n_steps = self.n_epochs = self._step = self._tokens = 0
        self._loss = self._weight = self._seconds = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case TrainingStarted():
                self.n_steps, self.n_epochs = event.n_steps, event.n_epochs
            case StepDone():
                self._loss = _SMOOTHING * self._loss + (1 - _SMOOTHING) * event.loss
                self._weight = _SMOOTHING * self._weight + 1 - _SMOOTHING
                self._step, self._seconds = event.step, event.seconds
                self._tokens += event.n_tokens
            case _:
                pass

    def line(self) -> str:
        left = self._seconds / self._step * (self.n_steps - self._step)
        rate = self._tokens / self._seconds if self._seconds else 0.0
        return f"loss {self._loss / self._weight:.3f}  {rate:,.0f} tokens/s  {clock(left)} left"


def evaluation_line(event: Evaluated, n_epochs: int) -> str:
    figures = event.metrics
    return (
        f"epoch {event.epoch}/{n_epochs}  dev accuracy {figures['accuracy']:.4f}  macro F1 "
        f"{figures['macro_f1']:.4f}  MCC {figures['mcc']:.4f}  loss {figures['nll']:.4f}"
        f"{'  (kept)' if event.is_kept else ''}"
    )


def done_line(event: TrainingDone) -> str:
    rate = event.n_tokens / event.seconds if event.seconds else 0.0
    steps = "1 step" if event.n_steps == 1 else f"{event.n_steps:,} steps"
    return (
        f"Trained {steps} in {clock(event.seconds)}: {rate:,.0f} tokens a second. "
        f"Kept epoch {event.best_epoch}."
    )


def clock(seconds: float) -> str:
    """65 -> 1:05; hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
