"""Those who listen to a training run for people: the progress bar, and its plain form off a terminal."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from whet.training.events import (
    Evaluated,
    Event,
    Looked,
    Note,
    Replanned,
    StepDone,
    TrainingDone,
    TrainingStarted,
    Warned,
)

_LINES_EVERY = 10.0  # seconds between lines off a terminal
_SMOOTHING = 0.95  # of the loss that is shown


def progress(stream: IO[str] | None = None) -> "LiveProgress | PlainProgress":
    """A live bar on a terminal, a line now and then elsewhere; by default on stderr."""
    stream = stream or sys.stderr
    return LiveProgress(stream) if stream.isatty() else PlainProgress(stream)


@final
class PlainProgress:
    """Notes as they come, a line every ten seconds, a line an evaluation."""

    def __init__(self, stream: IO[str], stamp: Callable[[], str] = lambda: "") -> None:
        """stamp gives what each line begins with."""
        self._stream = stream
        self._stamp = stamp
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
            case Looked():
                self._last = now
                self._print(f"step {event.step}/{self._rate.n_steps}  dev {_figures(event.headline)}")
            case Warned():
                self._print(warning_line(event))
            case Replanned():
                self._print(replanned_line(event))
            case TrainingDone():
                self._print(done_line(event))
            case _:
                pass

    def close(self) -> None:
        """Nothing is held open."""

    def _print(self, line: str) -> None:
        print(self._stamp() + line, file=self._stream, flush=True)


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
                if self._task is not None:  # once more, or the next seed
                    self._bar.remove_task(self._task)
                    self._score = ""
                self._task = self._bar.add_task("", total=event.n_steps, completed=event.steps_done)
                self._bar.start()
            case StepDone() if self._task is not None:
                self._bar.update(
                    self._task, completed=event.step, description=self._rate.line() + self._score
                )
            case Evaluated():
                self._score = f"  dev {_told(next(iter(event.headline.values())), 3)}"
                self._bar.console.print(evaluation_line(event, self._rate.n_epochs), markup=False)
            case Warned():
                self._console.print(warning_line(event), markup=False, soft_wrap=True)
            case Replanned() if self._task is not None:
                self._bar.update(self._task, total=event.n_steps)
                self._console.print(replanned_line(event), markup=False, soft_wrap=True)
            case TrainingDone():
                self.close()
                self._console.print(done_line(event), markup=False)
            case _:
                pass

    def close(self) -> None:
        """Give the terminal back; also after an interruption."""
        self._bar.stop()


class _Rate:
    """What the progress line says: smoothed loss, tokens a second, time left."""

    def __init__(self) -> None:
        self.n_steps = self.n_epochs = self._step = self._tokens = 0
        self._loss = self._weight = self._seconds = self._before = 0.0
        self._n_head_steps, self._first = 0, (0, 0.0)  # step and seconds from which the pace is that to come

    def __call__(self, event: Event) -> None:
        match event:
            case TrainingStarted():
                self.n_steps, self.n_epochs = event.n_steps, event.n_epochs
                self._loss = self._weight = 0.0
                self._tokens, self._before = 0, event.seconds_done
                self._n_head_steps, self._first = event.n_head_steps, (0, 0.0)
            case Replanned():
                self.n_steps, self.n_epochs = event.n_steps, event.n_epochs
            case StepDone():
                self._loss = _SMOOTHING * self._loss + (1 - _SMOOTHING) * event.loss
                self._weight = _SMOOTHING * self._weight + 1 - _SMOOTHING
                self._step, self._seconds = event.step, event.seconds
                self._tokens += event.n_tokens
                if event.step <= self._n_head_steps:
                    self._first, self._tokens, self._before = (event.step, event.seconds), 0, event.seconds
            case _:
                pass

    def line(self) -> str:
        if self._step <= self._n_head_steps:
            return f"loss {self._loss / self._weight:.3f}  the head alone"
        step, seconds = self._first
        left = (self._seconds - seconds) / (self._step - step) * (self.n_steps - self._step)
        seconds = self._seconds - self._before
        rate = self._tokens / seconds if seconds else 0.0
        return f"loss {self._loss / self._weight:.3f}  {rate:,.0f} tokens/s  {clock(left)} left"


def evaluation_line(event: Evaluated, n_epochs: int) -> str:
    kept = "  (kept)" if event.is_kept else ""
    return f"epoch {event.epoch}/{n_epochs}  dev {_figures(event.headline)}{kept}"


def _figures(headline: Mapping[str, float | None]) -> str:
    return "  ".join(f"{title} {_told(value, 4)}" for title, value in headline.items())


def _told(value: float | None, digits: int) -> str:
    """- where a figure is not defined, as a correlation over one row."""
    return "-" if value is None else f"{value:.{digits}f}"


def warning_line(event: Warned) -> str:
    return f"Doctor, step {event.step}: {event.text}"


def replanned_line(event: Replanned) -> str:
    return f"The time limit is near: {event.n_steps:,} steps now, the rate falling to 0 by then."


def done_line(event: TrainingDone) -> str:
    rate = f": {event.n_tokens / event.seconds:,.0f} tokens a second" if event.n_tokens else ""
    steps = "1 step" if event.n_steps == 1 else f"{event.n_steps:,} steps"
    return f"Trained {steps} in {clock(event.seconds)}{rate}. Kept epoch {event.best_epoch}."


def clock(seconds: float) -> str:
    """65 -> 1:05; hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
