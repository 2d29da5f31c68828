"""What the settings change about a model before its first step."""

from collections.abc import Sequence

import torch
from torch import nn

from whet.config import TrainConfig
from whet.encoder.network import AnyEncoder, Encoder
from whet.errors import ConfigError
from whet.model import TextModel
from whet.training.lora import add_lora

_REINIT, _LORA = 1, 2  # so that what is drawn for one is not what is drawn for another


def outfit(model: TextModel, config: TrainConfig) -> None:
    """New top layers, LoRA's matrices, and layers that are computed again on the way back. The same each
    time. Raises ConfigError for what this encoder cannot do."""
    encoder = model.encoder
    if config.reinit_layers:
        _reinit(encoder, config.reinit_layers, config.seed + _REINIT)
    if config.lora_rank:
        add_lora(encoder, config.lora_rank, config.lora_alpha, config.seed + _LORA)
    if config.gradient_checkpointing == "on":
        encoder.recompute_layers()
    if config.dropout_samples > 1 and not isinstance(encoder, Encoder):
        raise ConfigError(
            f"dropout_samples={config.dropout_samples}: this encoder runs padded, through transformers' own "
            "module, whose head cannot be run by itself. Leave it out, or choose an encoder of `whet models`."
        )


def _reinit(encoder: AnyEncoder, n_layers: int, seed: int) -> None:
    """The top layers, and the pooler, as BERT's began (Zhang et al. 2021, "Revisiting few-sample BERT
    fine-tuning")."""
    layers = list(encoder.sequence)
    if n_layers > len(layers):
        raise ConfigError(
            f"reinit_layers={n_layers}: the encoder has {len(layers)} layers. Choose 0 to {len(layers)}."
        )
    top, below = layers[len(layers) - n_layers :], layers[: len(layers) - n_layers]
    if _parameters(top) & _parameters(below):
        raise ConfigError(
            f"reinit_layers={n_layers}: this encoder's layers share their weights, so that top layers alone "
            "cannot begin anew. Leave it out."
        )
    generator = torch.Generator().manual_seed(seed)
    for part in [*top, *([] if encoder.pooler is None else [encoder.pooler])]:
        for module in part.modules():
            _begin(module, encoder.spec.initializer_range, generator)


def _begin(module: nn.Module, deviation: float, generator: torch.Generator) -> None:
    """Matrices normal, biases 0, norms that change nothing."""
    with torch.no_grad():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 1:
                parameter.copy_(torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator))
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def _parameters(parts: Sequence[nn.Module]) -> set[int]:
    return {id(parameter) for part in parts for parameter in part.parameters()}
