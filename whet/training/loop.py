"""The training loop, readable from top to bottom. It emits events and knows no listener."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from whet.config import TrainConfig
from whet.encoder.device import computing
from whet.errors import TrainingError
from whet.model import TextModel
from whet.predictor import Predictor
from whet.text.batches import cut_by_tokens, pack_texts, plan_epoch
from whet.text.store import TokenStore
from whet.training.events import Evaluated, Listener, StepDone, TrainingDone, TrainingStarted
from whet.training.optimizer import make_optimizer, parameter_groups, rate_factor

_EPOCHS, _MOST_EPOCHS = 3, 10  # without a number from the user: the usual, and what min_steps can ask for


@final
@dataclass(frozen=True)
class Examples:
    """Tokenised texts with their targets."""

    store: TokenStore
    targets: np.ndarray  # (n_texts,) int64


@final
class NonFiniteLoss(TrainingError):
    """A loss that is NaN or infinite; `texts` are indices into the training examples."""

    def __init__(self, step: int, texts: list[int]) -> None:
        super().__init__(f"step {step}: the loss is not finite")
        self.step = step
        self.texts = texts


def n_epochs(n_texts: int, config: TrainConfig) -> int:
    """`epochs`, or 3, or more where small data would give fewer than `min_steps` steps."""
    if config.epochs is not None:
        return config.epochs
    steps = math.ceil(n_texts / config.batch_size)
    return max(_EPOCHS, min(math.ceil(config.min_steps / steps), _MOST_EPOCHS))


def fit(
    model: TextModel,
    new: frozenset[str],
    train: Examples,
    dev: Examples | None,
    config: TrainConfig,
    precision: str,
    emit: Listener,
    keep: Callable[[], None],
) -> TrainingDone:
    """Train `model` in place. `keep` is called at the end of each epoch whose dev score is not worse than the
    best one so far by more than a standard error (at the end of every epoch without dev); the last call is
    the model that the caller saves. So a difference that may be noise goes to the epoch trained longer.

    `new` names the parameters that take the head's rate; precision is float32, bf16 or float64.
    Raises NonFiniteLoss at the first loss that is not finite.
    """
    device = next(model.parameters()).device
    groups = parameter_groups(model, new, config)
    optimizer = make_optimizer(groups, config)
    parameters = [parameter for group in groups for parameter in group["params"]]
    epochs = n_epochs(len(train.store), config)
    n_steps = epochs * math.ceil(len(train.store) / config.batch_size)
    emit(TrainingStarted(n_steps, epochs, len(train.store)))

    step, n_tokens, seconds = 0, 0, 0.0
    best = -math.inf
    best_epoch = 0
    for epoch in range(1, epochs + 1):
        model.train()
        for texts in plan_epoch(train.store, config.batch_size, config.seed, epoch):
            began = time.perf_counter()
            factor = rate_factor(step, n_steps, config.warmup)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            step += 1
            loss = accumulate(model, train, texts, step, config, precision, device)
            norm = _clip(parameters, config.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            step_tokens = int(train.store.lengths[texts].sum())
            n_tokens += step_tokens
            seconds += time.perf_counter() - began
            emit(
                StepDone(
                    step=step,
                    epoch=epoch,
                    loss=loss,
                    gradient_norm=norm,
                    learning_rate=config.learning_rate * factor,
                    head_learning_rate=config.head_learning_rate * factor,
                    n_texts=len(texts),
                    n_tokens=step_tokens,
                    seconds=seconds,
                )
            )
        if dev is None:
            best_epoch = epoch
            keep()
            continue
        metrics = model.task.metrics(Predictor(model, precision).logits(dev.store), dev.targets)
        score, noise = _standing(metrics, config)
        is_kept = score >= best - noise
        if is_kept:
            best_epoch = epoch
            keep()
        best = max(best, score)
        emit(Evaluated(step, epoch, metrics, is_kept, seconds))
    done = TrainingDone(step, n_tokens, best_epoch, seconds)
    emit(done)
    return done


def accumulate(
    model: TextModel,
    train: Examples,
    texts: np.ndarray,
    step: int,
    config: TrainConfig,
    precision: str,
    device: torch.device,
) -> float:
    """Add the gradient of one step's mean loss to the parameters, piece by piece; -> that loss in nats.

    Each piece's sum is divided by the weight of the whole step, so where the pieces are cut cannot matter."""
    targets = torch.from_numpy(train.targets[texts])
    weight = model.task.weight(targets)
    total = 0.0
    done = 0
    for piece in cut_by_tokens(texts, train.store.lengths, config.tokens_per_pass):
        batch = pack_texts(train.store, piece, dropout=(config.seed, step)).to(device)
        piece_targets = targets[done : done + len(piece)].to(device)
        done += len(piece)
        with computing(precision, device):
            logits = model.logits(batch)
        losses = model.task.losses(logits, piece_targets)
        loss = losses.sum() / weight
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NonFiniteLoss(step, _guilty(losses, piece))
        loss.backward()
        total += value
    return total


def _guilty(losses: Tensor, piece: np.ndarray) -> list[int]:
    found: list[int] = piece[~losses.detach().isfinite().cpu().numpy()].tolist()
    return found


def _clip(parameters: list[Tensor], most: float) -> float:
    """Scale the gradient down to norm `most` (0: leave it); -> its norm before."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, most if most > 0 else math.inf)
    return float(norm)


def _standing(metrics: dict[str, Any], config: TrainConfig) -> tuple[float, float]:
    """What an epoch is chosen by, greater is better, and how far two of them may differ by chance: a
    binomial standard error of the accuracy, and nothing for the loss, which is a finer measure."""
    if config.choose_by == "loss":
        return -float(metrics["nll"]), 0.0
    accuracy = float(metrics["accuracy"])
    return float(metrics[config.choose_by]), math.sqrt(accuracy * (1 - accuracy) / metrics["n"])
