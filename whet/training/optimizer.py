"""Parameter groups, AdamW, and the learning rate as a pure function of the step."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from whet.config import TrainConfig


def parameter_groups(model: nn.Module, new: Iterable[str], config: TrainConfig) -> list[dict[str, Any]]:
    """At most four groups: loaded or new, decayed or not; `name` says which, `peak` is the group's rate.

    Biases and LayerNorm, which are the vectors of a network, are not decayed (Devlin et al. 2018)."""
    made_new = set(new)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        is_new, decayed = name in made_new, parameter.ndim > 1
        title = f"{'head' if is_new else 'encoder'}{'' if decayed else ', no decay'}"
        peak = config.head_learning_rate if is_new else config.learning_rate
        decay = config.weight_decay if decayed else 0.0
        group = groups.setdefault(
            title, {"name": title, "peak": peak, "lr": peak, "weight_decay": decay, "params": []}
        )
        group["params"].append(parameter)
    return list(groups.values())


def make_optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.AdamW:
    """Bias-corrected AdamW (Loshchilov and Hutter 2017), in one fused pass over the weights."""
    return torch.optim.AdamW(
        groups, betas=(config.adam_beta1, config.adam_beta2), eps=config.adam_epsilon, fused=True
    )


def rate_factor(step: int, n_steps: int, warmup: float) -> float:
    """The share of the peak rate at step 0, 1, ...: up from 0 over ceil(warmup * n_steps) steps, then down
    in a line to 0 at n_steps; as transformers' get_linear_schedule_with_warmup."""
    rising = math.ceil(warmup * n_steps)
    if step < rising:
        return step / rising
    return max(0.0, (n_steps - step) / max(1, n_steps - rising))
