"""The training loop, readable from top to bottom. It emits events and knows no listener."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import final

import numpy as np
import torch
from torch import Tensor

from whet.config import TrainConfig
from whet.encoder.device import computing
from whet.errors import TrainingError
from whet.model import TextModel
from whet.predictor import Predictor
from whet.text.batches import cut_by_tokens, plan_epoch
from whet.text.store import TokenStore
from whet.training.events import Evaluated, Listener, StepDone, TrainingDone, TrainingStarted
from whet.training.optimizer import Schedule, make_schedule
from whet.training.state import TrainingState

_EPOCHS, _MOST_EPOCHS = 3, 10  # without a number from the user: the usual, and what min_steps can ask for


@final
@dataclass(frozen=True)
class Examples:
    """Tokenised texts with their targets."""

    store: TokenStore
    targets: np.ndarray  # (n_texts, ...) as the task reads them


@final
class NonFiniteLoss(TrainingError):
    """A loss that is NaN or infinite; `texts` are indices into the training examples."""

    def __init__(self, step: int, texts: list[int]) -> None:
        super().__init__(f"step {step}: the loss is not finite")
        self.step = step
        self.texts = texts


def planned_epochs(n_texts: int, config: TrainConfig) -> int:
    """`epochs`, or 3, or more where small data would give fewer than `min_steps` steps."""
    if config.epochs is not None:
        return config.epochs
    least = math.ceil(config.min_steps / steps_per_epoch(n_texts, config))
    return max(_EPOCHS, min(least, _MOST_EPOCHS))


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
) -> None:
    """Train from where `state` stands to the end of its schedule.

    An epoch's weights are kept where its dev score is not worse than the best one so far by more than a
    standard error (at the end of every epoch without dev). So a difference that may be noise goes to the
    epoch trained longer. `pause` is called wherever the state is whole: it may save it, shorten the
    schedule, or end the run by an exception. precision is float32, bf16 or float64.
    Raises NonFiniteLoss at the first loss that is not finite.
    """
    progress = state.progress
    per_epoch = steps_per_epoch(len(train.store), config)
    n_steps = progress.schedule.n_steps
    n_epochs = math.ceil(n_steps / per_epoch)
    emit(TrainingStarted(n_steps, n_epochs, len(train.store), progress.step, progress.seconds))
    pause()
    while progress.step < progress.schedule.n_steps or progress.epochs_done * per_epoch < progress.step:
        epoch = progress.epochs_done + 1
        done = progress.step - progress.epochs_done * per_epoch  # steps of this epoch, in an earlier sitting
        state.begin(epoch)
        state.train()
        for texts in islice(plan_epoch(train.store, config.batch_size, config.seed, epoch), done, None):
            if progress.step >= progress.schedule.n_steps:
                break
            emit(train_step(state, train, texts, epoch, config, precision))
            pause()
        evaluated = _evaluate(state, dev, epoch, config, precision, pause)
        progress.epochs_done = epoch
        if evaluated is not None:
            emit(evaluated)
        pause()
    emit(TrainingDone(progress.step, progress.n_tokens, progress.best_epoch, progress.seconds))


def train_step(
    state: TrainingState, train: Examples, texts: np.ndarray, epoch: int, config: TrainConfig, precision: str
) -> StepDone:
    """One step: its gradient, clipped, and AdamW at the schedule's rate."""
    began = time.perf_counter()
    progress = state.progress
    share = progress.schedule.share(progress.step)
    for group in state.optimizer.param_groups:
        group["lr"] = group["peak"] * share
    state.take_in(train.store.sequences(texts).ids)
    losses = accumulate(state.model, train, texts, progress.step + 1, config, precision)
    norm = _clip(state.trained.values(), config.clip_norm)
    total = torch.stack([loss.sum() for loss in losses]).sum()
    state.step(~(total + norm).isfinite())
    loss, gradient_norm = torch.stack([total, norm.to(total)]).tolist()  # all that waits for the device
    if not math.isfinite(loss + gradient_norm):
        guilty = _guilty(state.model, train, texts, progress.step + 1, config, precision)
        raise NonFiniteLoss(progress.step + 1, guilty)
    n_tokens = int(train.store.lengths[texts].sum())
    progress.step += 1
    progress.n_tokens += n_tokens
    progress.seconds += time.perf_counter() - began
    return StepDone(
        step=progress.step,
        epoch=epoch,
        loss=loss,
        gradient_norm=gradient_norm,
        learning_rate=config.learning_rate * share,
        head_learning_rate=config.head_learning_rate * share,
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
    pause: Callable[[], None],
) -> Evaluated | None:
    """Look at dev, and keep the weights where that is due."""
    state.write_back()
    if dev is None:
        state.keep(epoch)
        return None
    progress, model = state.progress, state.model
    logits = Predictor(model, precision).logits(dev.store, pause)
    metrics = model.task.scored_while_training(logits, dev.targets).metrics(logits, dev.targets)
    score, noise = model.task.standing(metrics, model.task.chosen_by(config))
    is_kept = score >= progress.best_score - noise
    if is_kept:
        state.keep(epoch)
    progress.best_score = max(progress.best_score, score)
    headline = {model.task.figures[key]: metrics[key] for key in model.task.headlines}
    return Evaluated(progress.step, epoch, metrics, headline, is_kept, progress.seconds)


def accumulate(
    model: TextModel,
    train: Examples,
    texts: np.ndarray,
    step: int,
    config: TrainConfig,
    precision: str,
) -> list[Tensor]:
    """Add the gradient of one step's mean loss to the parameters, piece by piece; -> the losses that make it
    up, of each piece in nats, whose sum is that mean.

    Each piece's sum is divided by the weight of the whole step, so where the pieces are cut cannot matter."""
    pieces = cut_by_tokens(texts, train.store.ensure(texts).lengths, config.tokens_per_pass)
    targets = [model.task.tensor(train.targets[piece], train.store.marks(piece)) for piece in pieces]
    weight = sum(map(model.task.weight, targets))
    found = []
    for piece, wanted in zip(pieces, targets, strict=True):
        losses = _losses(model, train.store, piece, wanted, (config.seed, step), precision) / weight
        losses.sum().backward()
        found.append(losses.detach())
    return found


def _losses(
    model: TextModel,
    store: TokenStore,
    texts: np.ndarray,
    targets: Tensor,
    dropout: tuple[int, int],
    precision: str,
) -> Tensor:
    """Of some texts, in one pack: of each text, token that is read, or window, as the task has them."""
    batch = model.batch(store, texts, precision, dropout)
    with computing(precision, batch.token_ids.device):
        logits = model.logits(batch)
    return model.task.losses(logits, targets.to(logits.device))


@torch.no_grad()
def _guilty(
    model: TextModel, train: Examples, texts: np.ndarray, step: int, config: TrainConfig, precision: str
) -> list[int]:
    """Those of a step's texts (n,) whose loss is not finite when they are alone, since in a pack NaN goes
    through any mask; all of them where there is no such text."""
    found = []
    for text in np.sort(texts):
        alone = np.array([text])
        targets = model.task.tensor(train.targets[alone], train.store.marks(alone))
        losses = _losses(model, train.store, alone, targets, (config.seed, step), precision)
        if not losses.isfinite().all():
            found.append(int(text))
    return found or np.sort(texts).tolist()


def _clip(parameters: Iterable[Tensor], most: float) -> Tensor:
    """Scale the gradient down to norm `most` (0: leave it); -> its norm before, a scalar."""
    return torch.nn.utils.clip_grad_norm_(parameters, most if most > 0 else math.inf)
