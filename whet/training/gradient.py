"""The gradient of one step: its texts in pieces, their logits, and what is minimised."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from whet.config import TrainConfig
from whet.encoder.device import computing
from whet.encoder.dropout import keys_for_sites
from whet.encoder.network import SITES
from whet.encoder.packing import PackedBatch
from whet.features import Features
from whet.model import TextModel
from whet.text.batches import cut_by_tokens
from whet.text.store import Store


@final
@dataclass(frozen=True)
class Examples:
    """Tokenised texts with their targets."""

    store: Store
    targets: np.ndarray  # (n_texts, ...) as the task reads them
    rows: np.ndarray | None = None  # (n_texts,) which of their part's rows each is of; None: one each


def accumulate(
    model: TextModel,
    train: Examples,
    texts: np.ndarray,
    step: int,
    config: TrainConfig,
    precision: str,
    features: Features | None = None,
) -> list[Tensor]:
    """Add the gradient of one step's mean loss to the parameters, piece by piece; -> the losses that make it
    up, of each piece in nats, whose sum is that mean. What R-Drop adds to the gradient is not in them.

    Each piece's sum is divided by the weight of the whole step, so where the pieces are cut cannot matter."""
    most_tokens = config.tokens_per_pass // len(_seeds(config))
    store = train.store.ensure(texts).at(config.seed, step)
    pieces = cut_by_tokens(texts, store.lengths, most_tokens)
    targets = [model.task.tensor(train.targets[piece], store.marks(piece)) for piece in pieces]
    weight = sum(map(model.task.weight, targets))
    found = []
    for piece, wanted in zip(pieces, targets, strict=True):
        said = _logits(model, store, piece, step, config, precision, features)
        wanted = wanted.to(said[0][0].device)
        losses = _losses(model, said, wanted) / weight
        total = losses.sum()
        if config.r_drop:
            pairs = zip(*said, strict=True)
            apart = [model.task.disagreement(one, other, wanted).sum() for one, other in pairs]
            total = total + config.r_drop * torch.stack(apart).mean() / weight
        total.backward()
        found.append(losses.detach())
    return found


@torch.no_grad()
def guilty(
    model: TextModel, train: Examples, texts: np.ndarray, step: int, config: TrainConfig, precision: str
) -> list[int]:
    """Those of a step's texts (n,) whose loss is not finite when they are alone, since in a pack NaN goes
    through any mask, also into what was computed once; all of them where there is no such text."""
    found = []
    store = train.store.at(config.seed, step)
    for text in np.sort(texts):
        alone = np.array([text])
        targets = model.task.tensor(train.targets[alone], store.marks(alone))
        said = _logits(model, store, alone, step, config, precision, None)
        if not _losses(model, said, targets.to(said[0][0].device)).isfinite().all():
            found.append(int(text))
    return found or np.sort(texts).tolist()


def _seeds(config: TrainConfig) -> tuple[int, ...]:
    """Of the dropout of each pass."""
    return (config.seed, ~config.seed) if config.r_drop else (config.seed,)


def _logits(
    model: TextModel,
    store: Store,
    texts: np.ndarray,
    step: int,
    config: TrainConfig,
    precision: str,
    features: Features | None,
) -> list[list[Tensor]]:
    """Of some texts, in one pack: for each pass those of each mask of the head's dropout."""
    found = []
    for seed in _seeds(config):
        batch = model.batch(store, texts, precision, (seed, step))
        batch = batch if features is None else features.on(batch, texts)
        with computing(precision, batch.token_ids.device):
            found.append(_samples(model, batch, config.dropout_samples))
    return found


def _samples(model: TextModel, batch: PackedBatch, n: int) -> list[Tensor]:
    """The logits of a pack with n masks of the head's dropout, over one pass through the encoder."""
    if n == 1:
        return [model.logits(batch)]
    read = model.head.read(model.encoder, batch) if batch.read is None else batch.read
    apart = SITES * (model.encoder.spec.n_layers + 2)  # more than there are sites
    keys = [keys_for_sites(batch.dropout_keys, i * apart) for i in range(n)]
    return [model.logits(replace(batch, read=read, dropout_keys=own)) for own in keys]


def _losses(model: TextModel, said: list[list[Tensor]], targets: Tensor) -> Tensor:
    """The mean over all passes and masks: of each text, token that is read, or window, as the task has
    them."""
    losses = [model.task.losses(logits, targets) for one in said for logits in one]
    return sum(losses[1:], losses[0]) / len(losses)
