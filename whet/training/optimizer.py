"""Parameter groups, AdamW, and the learning rate as a pure function of the step."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import nn

from whet.config import TrainConfig


def parameter_groups(
    parameters: Mapping[str, nn.Parameter], new: Iterable[str], config: TrainConfig
) -> list[dict[str, Any]]:
    """At most four groups: loaded or new, decayed or not; `name` says which, `peak` is the group's rate,
    `names` are those of its parameters.

    Biases and LayerNorm, which are the vectors of a network, are not decayed (Devlin et al. 2018)."""
    made_new = set(new)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in parameters.items():
        is_new, decayed = name in made_new, parameter.ndim > 1
        title = f"{'head' if is_new else 'encoder'}{'' if decayed else ', no decay'}"
        peak = config.head_learning_rate if is_new else config.learning_rate
        decay = config.weight_decay if decayed else 0.0
        group = groups.setdefault(
            title, {"name": title, "peak": peak, "lr": peak, "weight_decay": decay, "names": [], "params": []}
        )
        group["names"].append(name)
        group["params"].append(parameter)
    return list(groups.values())


def make_optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.AdamW:
    """Bias-corrected AdamW (Loshchilov and Hutter 2017), in one fused pass over the weights."""
    return torch.optim.AdamW(
        groups, betas=(config.adam_beta1, config.adam_beta2), eps=config.adam_epsilon, fused=True
    )


@final
@dataclass(frozen=True)
class Schedule:
    """The learning rate as a share of its peak: straight lines between points (step, share)."""

    points: tuple[tuple[float, float], ...]

    @property
    def n_steps(self) -> int:
        return round(self.points[-1][0])

    def share(self, step: int) -> float:
        """Of the peak rate, at step 0, 1, ..."""
        steps, shares = zip(*self.points, strict=True)
        return float(np.interp(step, steps, shares))

    def ending_at(self, n_steps: int, step: int) -> "Schedule":
        """The same up to `step`, and what lies ahead of it pressed together to end at n_steps; where that is
        `step`, the end."""
        past = (*(point for point in self.points if point[0] < step), (float(step), self.share(step)))
        if n_steps <= step:
            return Schedule(past)
        narrower = (n_steps - step) / (self.n_steps - step)
        ahead = tuple((step + (at - step) * narrower, share) for at, share in self.points if at > step)
        return Schedule((*past, *ahead))


def warmup_then_linear(n_steps: int, warmup: float) -> Schedule:
    """Up from 0 over ceil(warmup * n_steps) steps, then down in a line to 0 at n_steps; as transformers'
    get_linear_schedule_with_warmup."""
    rising = math.ceil(warmup * n_steps)
    if rising == 0:
        return Schedule(((0, 1.0), (n_steps, 0.0)))
    top = ((0, 0.0), (rising, 1.0))
    return Schedule(top if rising == n_steps else (*top, (n_steps, 0.0)))
