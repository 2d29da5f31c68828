"""How long training takes, from a few timed steps, and a schedule that fits a time limit."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import final

import numpy as np
import torch

from whet.config import TrainConfig
from whet.encoder.device import computing
from whet.encoder.network import Encoder
from whet.model import TextModel
from whet.text.batches import plan_epoch
from whet.training.events import Replanned
from whet.training.frozen import fits
from whet.training.gradient import Examples
from whet.training.loop import train_step
from whet.training.optimizer import Schedule
from whet.training.prepare import Prepared
from whet.training.state import Progress, TrainingState

_WINDOW = 16  # steps that the timed ones are chosen from
_TIMED = 5
_FITTED = 0.96  # share of a time limit that the first plan fills; machines slow down
_REFITTED = 0.99  # and a later one
_SMOOTHING = 0.95  # of the pace of steps, once there are twenty; until then it is their mean
_UNLIKE = 2  # first steps, in which memory grows
_WATCHED = 10  # steps before the pace is believed
_FORWARD = 1 / 3  # of a step's work, 2 of 6 operations a weight and token: what a frozen encoder takes
FINISHING = 2.0  # seconds for writing model and manifest
ENDING = "float32"  # what the kept epoch is scored in

RESTING = Schedule(((0, 0.0), (1, 0.0)))  # steps at rate 0 leave the weights exactly as they are


@final
@dataclass(frozen=True)
class Costs:
    """What training costs on this machine."""

    step: float  # seconds of a step of the mean length
    head_step: float  # of one in which the head alone is trained
    evaluation: float  # seconds of all of dev, once
    ending: float = 0.0  # of what is scored in the end: dev, test, what a task probes


def measure(state: TrainingState, prepared: Prepared, config: TrainConfig) -> Costs:
    """Time a few steps and a look at some texts. The state is at rest (`RESTING`) and is used up: its
    optimiser has seen these steps. What it trains is what its epoch trains.

    Steps of the first window are taken at even distances of their length, the longest once more before
    them, and a line of seconds over tokens is read at the mean number of tokens."""
    train, dev, precision = prepared.train, prepared.dev, prepared.precision
    state.train()
    window = list(islice(plan_epoch(train.store, config.batch_size, config.seed, 1), _WINDOW))
    window.sort(key=lambda texts: int(train.store.lengths[texts].sum()))
    chosen = np.unique(np.linspace(0, len(window) - 1, _TIMED).round().astype(int))[::-1]
    seconds, tokens = [], []
    for i in (chosen[0], *chosen):
        began = time.perf_counter()
        train_step(state, train, window[i], 1, config, precision)
        seconds.append(time.perf_counter() - began)
        tokens.append(int(train.store.lengths[window[i]].sum()))
    known = train.store.lengths[train.store.lengths > 0]
    mean_tokens = float(known.mean()) * min(config.batch_size, len(train.store))
    step = _on_line(np.array(tokens[1:]), np.array(seconds[1:]), mean_tokens)
    middle = window[chosen[len(chosen) // 2]]
    forward = _forward(state, train, middle, precision)
    in_the_end = forward if precision == ENDING else _forward(state, train, middle, ENDING)
    dev_tokens = 0 if dev is None else int(dev.store.ensure().lengths.sum())
    head_step = head_share(state.model, train, dev, config) * step
    return Costs(step, head_step, forward * dev_tokens, in_the_end * (dev_tokens + _more_tokens(prepared)))


def _more_tokens(prepared: Prepared) -> float:
    """Of the test rows, going by the mean of those of train, and of what the task probes dev by."""
    train, dev, data = prepared.train, prepared.dev, prepared.data
    known = train.store.lengths[train.store.lengths > 0]
    a_row = float(known.mean()) * len(train.store) / len(data.train.rows)
    probed = 0 if dev is None else prepared.task.n_probed_tokens(dev.store)
    return probed + (0.0 if data.test is None else a_row * len(data.test.rows))


def head_share(model: TextModel, train: Examples, dev: Examples | None, config: TrainConfig) -> float:
    """What a step of the head alone takes on average, as a share of a whole one: that of the frozen encoder's
    pass, of which there is one for all epochs of the head where it can be kept."""
    stores = [part.store for part in (train, dev) if part is not None]
    is_once = (
        config.head_epochs > 1 and isinstance(model.encoder, Encoder) and fits(model, stores, True, config)
    )
    return _FORWARD / config.head_epochs if is_once else _FORWARD


def _on_line(tokens: np.ndarray, seconds: np.ndarray, at: float) -> float:
    """Least squares; in proportion to the tokens where the line makes no sense."""
    if np.ptp(tokens) == 0:
        return float(np.median(seconds))
    slope, start = np.polyfit(tokens, seconds, 1)
    if slope <= 0 or start < 0:
        return float(seconds.sum() / tokens.sum() * at)
    return float(start + slope * at)


def _forward(state: TrainingState, train: Examples, texts: np.ndarray, precision: str) -> float:
    """Seconds a token in evaluation; the second of two looks."""
    device = next(state.model.parameters()).device
    state.model.eval()
    took = 0.0
    with torch.inference_mode(), computing(precision, device):
        for _ in range(2):
            began = time.perf_counter()
            state.model.logits(state.model.batch(train.store, texts, precision)).cpu()
            took = time.perf_counter() - began
    return took / int(train.store.lengths[texts].sum())


@final
class TimeLimit:
    """Keeps the schedule of a run within a number of seconds."""

    def __init__(
        self,
        seconds: float,
        began: float,
        steps_per_epoch: int,
        n_head_steps: int,
        costs: Costs,
    ) -> None:
        """began is when the run began, as of time.monotonic; costs are a first guess. The first n_head_steps
        train the head alone, which tells nothing of the others: they are not watched."""
        self._seconds, self._began, self._steps_per_epoch = seconds, began, steps_per_epoch
        self._n_head_steps = n_head_steps
        self._evaluation, self._head_step, self._ending = costs.evaluation, costs.head_step, costs.ending
        self._pace = 0.0  # seconds a step, saving included
        self._n_watched = 0  # steps
        self._last: tuple[int, int, float] | None = None  # step, epochs evaluated, when

    def fit(self, progress: Progress, costs: Costs, planned: Callable[[int], Schedule]) -> None:
        """Plan as many of the steps as there is time for, at least one; `planned` is the schedule of a number
        of steps."""
        n_steps = self._affordable(costs.step, _FITTED, 0, progress.schedule.n_steps)
        if n_steps < progress.schedule.n_steps:
            progress.schedule = planned(n_steps)

    def check(self, progress: Progress) -> Replanned | None:
        """Look at the clock after a step or an evaluation; shorten a schedule that would take too long."""
        self._watch(progress)
        n_steps = progress.schedule.n_steps
        if self._n_watched < _WATCHED or progress.step >= n_steps:
            return None
        if self._cost(self._pace, progress.step, n_steps) <= self._seconds:
            return None
        shorter = self._affordable(self._pace, _REFITTED, progress.step, n_steps - 1)
        progress.schedule = progress.schedule.ending_at(shorter, progress.step)
        return Replanned(shorter, math.ceil(shorter / self._steps_per_epoch))

    def _watch(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._last is not None:
            step, epochs, then = self._last
            if self._n_head_steps <= step < progress.step:
                self._n_watched += 1
                if self._n_watched > _UNLIKE:
                    weight = max(1 - _SMOOTHING, 1 / (self._n_watched - _UNLIKE))
                    self._pace += weight * (now - then - self._pace)
            elif progress.epochs_done > epochs:
                if step > self._n_head_steps:  # dev is as cheap as train while the encoder is frozen
                    self._evaluation = now - then
            else:
                return
        self._last = (progress.step, progress.epochs_done, now)

    def _cost(self, pace: float, step: int, n_steps: int) -> float:
        """Seconds from the beginning of the run to its end, if it ends at n_steps."""
        epochs = math.ceil(n_steps / self._steps_per_epoch) - step // self._steps_per_epoch
        of_head = max(min(n_steps, self._n_head_steps) - step, 0)
        ahead = of_head * self._head_step + (n_steps - step - of_head) * pace
        ahead += epochs * self._evaluation + self._ending + FINISHING
        return time.monotonic() - self._began + ahead

    def _affordable(self, pace: float, share: float, step: int, most: int) -> int:
        """The most steps, from step + (none yet: 1) to `most`, that end within a share of the limit."""
        low, high = max(step, 1), max(most, step, 1)
        while low < high:
            middle = (low + high + 1) // 2
            if self._cost(pace, step, middle) <= share * self._seconds:
                low = middle
            else:
                high = middle - 1
        return low
