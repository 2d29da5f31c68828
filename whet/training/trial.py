"""One trial of a search: a training that is judged on dev as it goes, and keeps its log, not its model."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import torch

from whet.config import TrainConfig
from whet.errors import WhetError
from whet.features import Compute
from whet.runs import RunFolder
from whet.training.doctor import Collapsed, Doctor
from whet.training.events import Evaluated, Event, Listener, Looked, Note
from whet.training.logs import MetricsLog, RunLog
from whet.training.loop import fit, steps_per_epoch
from whet.training.prepare import Prepared
from whet.training.rungs import rung_steps, rungs
from whet.training.state import TrainingState, groups_of
from whet.training.stopping import Interruptions


class OutOfTime(Exception):
    """The time that the search has for trials is over."""


class _Halved(Exception):
    """Others stand better on this rung."""


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


@final
@dataclass(frozen=True)
class Ended:
    """How a trial ended."""

    state: Literal["complete", "stopped", "failed", "out of time"]
    score: float | None  # of dev, of the epoch that would be kept; greater is better
    noise: float | None  # how far two such scores may differ by chance
    step: int  # that it came to
    n_steps: int
    seconds: float  # all of it
    reason: str = ""


@final
class Trial:
    """Listens to a training, writes its log, and ends it on a rung where it is not good enough."""

    def __init__(
        self, prepared: Prepared, config: TrainConfig, folder: RunFolder, first_rung: int | None
    ) -> None:
        """folder is new; metrics.jsonl and train.log come to stand there."""
        self._prepared, self._config, self._first_rung = prepared, config, first_rung
        self._metrics, self._log = MetricsLog(folder.metrics), RunLog(folder.log)
        self._by = prepared.task.chosen_by(config)
        self._step, self._n_steps = 0, 0
        self._kept: tuple[float, float] | None = None

    def run(
        self,
        goes_on: Callable[[int, float], bool],
        pause: Callable[[], None],
        compute: Compute,
        listen: Listener,
    ) -> Ended:
        """Train. goes_on is asked on each rung, with its percent and dev's score; pause is called between
        steps and may raise OutOfTime. What is a mistake of this configuration ends this trial only."""
        began = time.monotonic()
        try:
            self._fit(goes_on, pause, compute, listen)
            return self._ended("complete", began)
        except _Halved as halved:
            return self._ended("stopped", began, str(halved))
        except OutOfTime as over:
            return self._ended("out of time", began, str(over))
        except Collapsed as collapsed:
            return self._ended("stopped", began, str(collapsed))
        except WhetError as error:
            return self._ended("failed", began, str(error))
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            return self._ended("failed", began, "the memory does not suffice for it")

    def _fit(
        self,
        goes_on: Callable[[int, float], bool],
        pause: Callable[[], None],
        compute: Compute,
        listen: Listener,
    ) -> None:
        prepared, config = self._prepared, self._config
        model, new = prepared.start(config, lambda text: None)
        schedule = prepared.plan(groups_of(model, new, config), config)
        state = TrainingState(model, new, config, schedule)
        n_head_steps = config.head_epochs * steps_per_epoch(len(prepared.train.store), config)
        steps = rung_steps(state.progress.schedule, rungs(self._first_rung), n_head_steps)
        doctor = Doctor(prepared.train.targets, prepared.task, config, may_restart=True)
        interruptions = Interruptions()

        def emit(event: Event) -> None:
            for listener in (self._metrics, self._log, listen):
                listener(event)
            for warning in doctor(event):
                emit(warning)
            if isinstance(event, Evaluated) and event.is_kept:
                self._kept = prepared.task.standing(event.metrics, self._by)
            if isinstance(event, Evaluated | Looked) and event.step in steps:
                percent = steps[event.step]
                score = prepared.task.standing(event.metrics, self._by)[0]
                if not (math.isfinite(score) and goes_on(percent, score)):
                    raise _Halved(f"at {percent}% others stand better")

        def between() -> None:
            self._step, self._n_steps = state.progress.step, state.progress.schedule.n_steps
            if interruptions.arrived is not None:
                interruptions.act()
            pause()

        with interruptions:
            fit(
                state,
                prepared.train,
                prepared.dev,
                config,
                prepared.precision,
                emit,
                between,
                steps,
                compute,
            )

    def _ended(
        self,
        state: Literal["complete", "stopped", "failed", "out of time"],
        began: float,
        reason: str = "",
    ) -> Ended:
        score, noise = (None, None) if self._kept is None or state == "failed" else self._kept
        seconds = time.monotonic() - began
        ended = Ended(state, score, noise, self._step, self._n_steps, seconds, reason)
        if reason:
            self._log(Note(f"{state.capitalize()} after step {self._step} of {self._n_steps}: {reason}"))
        return ended
