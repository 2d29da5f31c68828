"""The training loop, readable from top to bottom. It emits events and knows no listener."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from whet.config import TrainConfig
from whet.errors import TrainingError
from whet.features import Compute, Features, compute_features
from whet.predictor import NonFinite, Predictor
from whet.text.batches import plan_epoch
from whet.training.events import (
    Evaluated,
    Listener,
    Looked,
    Note,
    StepDone,
    TrainingDone,
    TrainingStarted,
)
from whet.training.frozen import Once, computed_once
from whet.training.gradient import Examples, accumulate, guilty
from whet.training.optimizer import Schedule, make_schedule
from whet.training.probe import probe_factor
from whet.training.state import TrainingState

_EPOCHS, _MOST_EPOCHS = 3, 10  # without a number from the user: the usual, and what min_steps can ask for


@final
class NonFiniteLoss(TrainingError):
    """A loss that is NaN or infinite; `texts` are indices into the training examples."""

    def __init__(self, step: int, texts: list[int]) -> None:
        super().__init__(f"step {step}: the loss is not finite")
        self.step = step
        self.texts = texts


@final
class NonFiniteDev(TrainingError):
    """Dev's texts get numbers that are not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"step {step}: what dev's texts get is not finite")
        self.step = step


def planned_epochs(n_texts: int, config: TrainConfig) -> int:
    """Those of the head alone, and `epochs`, or 3, or more where small data would give fewer than `min_steps`
    steps."""
    least = math.ceil(config.min_steps / steps_per_epoch(n_texts, config))
    return config.head_epochs + (config.epochs or max(_EPOCHS, min(least, _MOST_EPOCHS)))


def steps_per_epoch(n_texts: int, config: TrainConfig) -> int:
    """The last one may be smaller than the others."""
    return math.ceil(n_texts / config.batch_size)


def plan(
    n_texts: int, config: TrainConfig, stages: Sequence[int] = (1,), most_steps: float = math.inf
) -> Schedule:
    """Every step of the run; a time limit allows for most_steps. stages are the epochs in which one of
    training begins, see `beginnings`."""
    per_epoch = steps_per_epoch(n_texts, config)
    n_steps = min(planned_epochs(n_texts, config) * per_epoch, most_steps)
    return make_schedule(int(n_steps), config, [(epoch - 1) * per_epoch for epoch in stages])


def fit(
    state: TrainingState,
    train: Examples,
    dev: Examples | None,
    config: TrainConfig,
    precision: str,
    emit: Listener,
    pause: Callable[[], None],
    looks: Collection[int] = (),
    compute: Compute = compute_features,
) -> None:
    """Train from where `state` stands to the end of its schedule.

    An epoch's weights are kept where its dev score is not worse than the best one so far by more than a
    standard error (at the end of every epoch without dev). So a difference that may be noise goes to the
    epoch trained longer. `pause` is called wherever the state is whole: it may save it, shorten the
    schedule, or end the run by an exception; so may `emit`. precision is float32, bf16 or float64. After the
    steps of `looks`, dev is looked at beside the ends of epochs. `compute` gives what frozen layers make of
    the texts.
    Raises NonFiniteLoss at the first loss that is not finite, NonFiniteDev where dev is the first to see it.
    """
    progress = state.progress
    per_epoch = steps_per_epoch(len(train.store), config)
    n_steps = progress.schedule.n_steps
    n_epochs = math.ceil(n_steps / per_epoch)
    n_head_steps = min(config.head_epochs * per_epoch, n_steps)
    emit(TrainingStarted(n_steps, n_epochs, len(train.store), progress.step, progress.seconds, n_head_steps))
    pause()
    once: Once | None = None
    while progress.step < progress.schedule.n_steps or progress.epochs_done * per_epoch < progress.step:
        epoch = progress.epochs_done + 1
        done = progress.step - progress.epochs_done * per_epoch  # steps of this epoch, in an earlier sitting
        if state.begin(epoch) or once is None:
            once = computed_once(state, train, dev, epoch, n_epochs, config, precision, emit, pause, compute)
            state.rate_factor = probe_factor(state, train, config, precision, emit)
        state.train()
        for texts in islice(plan_epoch(train.store, config.batch_size, config.seed, epoch), done, None):
            if progress.step >= progress.schedule.n_steps:
                break
            emit(train_step(state, train, texts, epoch, config, precision, once.train))
            ends_epoch = progress.step in (epoch * per_epoch, progress.schedule.n_steps)
            if dev is not None and progress.step in looks and not ends_epoch:
                emit(_look(state, dev, epoch, precision, pause, once.dev))
            pause()
        evaluated = _evaluate(state, dev, epoch, config, precision, emit, pause, once.dev)
        progress.epochs_done = epoch
        if evaluated is not None:
            emit(evaluated)
        pause()
    progress.is_done = True
    emit(TrainingDone(progress.step, progress.n_tokens, progress.best_epoch, progress.seconds))


def train_step(
    state: TrainingState,
    train: Examples,
    texts: np.ndarray,
    epoch: int,
    config: TrainConfig,
    precision: str,
    features: Features | None = None,
) -> StepDone:
    """One step: its gradient, clipped, and AdamW at the schedule's rate."""
    began = time.perf_counter()
    progress = state.progress
    share = progress.schedule.share(progress.step)
    for group in state.optimizer.param_groups:
        group["lr"] = group["peak"] * share * state.rate_factor
    state.take_in(train.store.sequences(texts).ids)
    losses = accumulate(state.model, train, texts, progress.step + 1, config, precision, features)
    norm = _clip(state.trained.values(), config.clip_norm)
    total = torch.stack([loss.sum() for loss in losses]).sum()
    state.step(~(total + norm).isfinite())
    loss, gradient_norm = torch.stack([total, norm.to(total)]).tolist()  # all that waits for the device
    if not math.isfinite(loss + gradient_norm):
        bad = guilty(state.model, train, texts, progress.step + 1, config, precision)
        raise NonFiniteLoss(progress.step + 1, bad)
    n_tokens = int(train.store.lengths[texts].sum())
    progress.step += 1
    if state.average.is_due_after_step(progress.step):
        state.write_back()
        state.average.add(state.weights)
    progress.n_tokens += 0 if state.is_encoder_frozen else n_tokens
    progress.seconds += time.perf_counter() - began
    return StepDone(
        step=progress.step,
        epoch=epoch,
        loss=loss,
        gradient_norm=gradient_norm,
        learning_rate=config.peak_rate * share,
        head_learning_rate=config.head_learning_rate * share * state.rate_factor,
        n_texts=len(texts),
        n_tokens=n_tokens,
        seconds=progress.seconds,
    )


def _evaluate(
    state: TrainingState,
    dev: Examples | None,
    epoch: int,
    config: TrainConfig,
    precision: str,
    emit: Listener,
    pause: Callable[[], None],
    features: Features | None,
) -> Evaluated | None:
    """Look at dev, and keep the weights where that is due, or their average where dev likes it better."""
    state.write_back()
    if dev is None:
        state.keep(epoch)
        return None
    progress, task = state.progress, state.model.task
    by = task.chosen_by(config)
    metrics = _figures(state, dev, precision, pause, features)
    score, noise = task.standing(metrics, by)
    chosen: AbstractContextManager[None] = nullcontext()
    if state.average.is_due_after_epoch():
        state.average.add(state.weights)
    if state.average.differs:
        averaged: dict[str, Any] = {}
        with state.average.standing_in(state.weights), suppress(NonFiniteDev):
            averaged = _figures(state, dev, precision, lambda: None, features)
        if averaged and task.standing(averaged, by)[0] > score:
            emit(Note(f"Epoch {epoch}: dev finds the average of the weights better (by {by}); it stands in."))
            metrics, chosen = averaged, state.average.standing_in(state.weights)
            score, noise = task.standing(metrics, by)
    is_kept = score >= progress.best_score - noise
    if is_kept:
        with chosen:
            state.keep(epoch)
    progress.best_score = max(progress.best_score, score)
    headline = {task.figures[key]: metrics[key] for key in task.headlines}
    return Evaluated(progress.step, epoch, metrics, headline, is_kept, progress.seconds)


def _look(
    state: TrainingState,
    dev: Examples,
    epoch: int,
    precision: str,
    pause: Callable[[], None],
    features: Features | None,
) -> Looked:
    """Dev, and then training goes on as if nobody had looked."""
    state.write_back()
    metrics = _figures(state, dev, precision, pause, features)
    state.train()
    task, progress = state.model.task, state.progress
    headline = {task.figures[key]: metrics[key] for key in task.headlines}
    return Looked(progress.step, epoch, metrics, headline, progress.seconds)


def _figures(
    state: TrainingState,
    dev: Examples,
    precision: str,
    pause: Callable[[], None],
    features: Features | None,
) -> dict[str, Any]:
    """What dev says of the weights as they are. Raises NonFiniteDev."""
    try:
        logits = Predictor(state.model, precision).logits(dev.store, pause, features)
    except NonFinite:
        raise NonFiniteDev(state.progress.step) from None
    return state.model.task.scored_while_training(logits, dev.targets).metrics(logits, dev.targets)


def _clip(parameters: Iterable[Tensor], most: float) -> Tensor:
    """Scale the gradient down to norm `most` (0: leave it); -> its norm before, a scalar."""
    return torch.nn.utils.clip_grad_norm_(parameters, most if most > 0 else math.inf)
