"""The rate of a head that is trained alone: by the size of what it reads, which differs between encoders by
factors that no single rate suits (docs/benchmarks.md)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from whet.config import TrainConfig
from whet.encoder.device import computing
from whet.model import TextModel, evaluating
from whet.text.batches import cut_by_tokens, plan_epoch
from whet.text.store import Store
from whet.training.events import Listener, Note
from whet.training.gradient import Examples
from whet.training.state import TrainingState


def probe_factor(
    state: TrainingState, train: Examples, config: TrainConfig, precision: str, emit: Listener
) -> float:
    """What this stage's rates are multiplied by: where the whole encoder is frozen and probe_step is given,
    head_learning_rate times it is probe_step over the mean sum of absolute values of what the last layer
    reads of the first step's texts; else 1.

    A step of AdamW moves each weight by its rate at most (Kingma and Ba 2015, section 2.1), so what a linear
    layer says by the rate times the sum of absolute values of what it reads. The same each time, whether the
    encoder is computed once or not."""
    if config.probe_step is None or not state.is_encoder_frozen or config.head_learning_rate == 0:
        return 1.0
    texts = next(iter(plan_epoch(train.store, config.batch_size, config.seed, 1)))
    store = train.store.ensure(texts)
    pieces = cut_by_tokens(texts, store.lengths, config.tokens_per_pass)
    size = _size(state.model, store, pieces, precision)
    if size == 0:
        return 1.0
    rate = config.probe_step / size
    emit(Note(f"While the encoder is frozen, the head's rate rises to {rate:.2g} (probe_step)."))
    return rate / config.head_learning_rate


def _size(model: TextModel, store: Store, pieces: Sequence[np.ndarray], precision: str) -> float:
    """The mean over all rows of the sum of absolute values of what the head's last layer reads."""
    sizes: list[Tensor] = []

    def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes.append(inputs[0].double().abs().sum(-1))

    device = next(model.parameters()).device
    looking = model.head.classifier.register_forward_pre_hook(look)
    with looking, evaluating(model), torch.inference_mode(), computing(precision, device):
        for piece in pieces:
            model.logits(model.batch(store, piece, precision))
    return torch.cat(sizes).mean().item()
