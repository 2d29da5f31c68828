"""AdamW over groups of parameters, and the learning rate as a pure function of the step."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from whet.config import TrainConfig
from whet.training.groups import Group

_RATIO = 32  # the peak over the lowest rate of slanted triangles (Howard and Ruder 2018)


def parameter_group(group: Group, parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """A group as an optimiser takes it: `peak` is its rate, `names` are those of its parameters."""
    return {
        "name": group.title,
        "peak": group.rate,
        "lr": group.rate,
        "weight_decay": group.decay,
        "names": list(group.names),
        "params": list(parameters),
    }


@final
class AdamW:
    """Bias-corrected AdamW (Loshchilov and Hutter 2017), in one fused pass over the weights of each group.

    The steps are torch's own. Its class is not used: making one imports torch's compiler, a second of each
    start (torch 2.13). Names are those of torch's optimisers, so are the tensors of `state`."""

    def __init__(self, groups: Sequence[dict[str, Any]], config: TrainConfig) -> None:
        self.param_groups = list(groups)
        self.state: defaultdict[nn.Parameter, dict[str, Tensor]] = defaultdict(dict)
        self._betas, self._epsilon = (config.adam_beta1, config.adam_beta2), config.adam_epsilon

    def add_param_group(self, group: dict[str, Any]) -> None:
        """As `parameter_group` makes it."""
        self.param_groups.append(group)

    @torch.no_grad()
    def step(self, is_bad: Tensor) -> None:
        """Move what has a gradient, at its group's rate, unless `is_bad`, a float32 on the device, is 1: the
        fused pass reads it there."""
        for group in self.param_groups:
            moved = [one for one in group["params"] if one.grad is not None]
            if not moved:
                continue
            states = [self._state_of(one) for one in moved]
            adamw(
                moved,
                [one.grad for one in moved],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                found_inf=is_bad,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=self._epsilon,
                maximize=False,
            )

    def zero_grad(self) -> None:
        """No parameter has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state


Fall = Literal["line", "cosine"]


@final
@dataclass(frozen=True)
class Schedule:
    """The learning rate as a share of its peak: points (step, share), and straight lines between them, or
    half a cosine wherever it falls, of which the points tell how far it has come."""

    points: tuple[tuple[float, float], ...]
    fall: Fall = "line"

    @property
    def n_steps(self) -> int:
        return round(self.points[-1][0])

    def share(self, step: int) -> float:
        """Of the peak rate, at step 0, 1, ..."""
        line = self._line(step)
        if self.fall == "line":
            return line
        after = [i for i, (at, _) in enumerate(self.points) if at > step]
        if after and self.points[after[0]][1] < self.points[after[0] - 1][1]:
            return (1 - math.cos(math.pi * line)) / 2
        return line

    def ending_at(self, n_steps: int, step: int) -> "Schedule":
        """The same up to `step`, and what lies ahead of it pressed together to end at n_steps; where that is
        `step`, the end."""
        past = (*(point for point in self.points if point[0] < step), (float(step), self._line(step)))
        if n_steps <= step:
            return Schedule(past, self.fall)
        narrower = (n_steps - step) / (self.n_steps - step)
        ahead = tuple((step + (at - step) * narrower, share) for at, share in self.points if at > step)
        return Schedule((*past, *ahead), self.fall)

    def _line(self, step: int) -> float:
        steps, shares = zip(*self.points, strict=True)
        return float(np.interp(step, steps, shares))


def make_schedule(n_steps: int, config: TrainConfig, starts: Sequence[int] = (0,)) -> Schedule:
    """What the settings ask for: over the whole run, or from each of `starts`, the steps at which a stage of
    training begins (the first is 0), to the next."""
    over_stages = config.schedule_over == "stage" or config.head_epochs > 0
    begins = [start for start in starts if start < n_steps] if over_stages else [0]
    points: list[tuple[float, float]] = []
    for start, end in zip(begins, [*begins[1:], n_steps], strict=True):
        shape = _SHAPES[config.schedule](end - start, config.warmup)
        points += [(start + at, share) for at, share in shape]
    return Schedule(tuple(points), "cosine" if config.schedule == "cosine" else "line")


Points = tuple[tuple[float, float], ...]


def _up_and(n_steps: int, warmup: float, last: float) -> Points:
    """Up from 0 over the warm-up, then in a line to `last`."""
    rising = math.ceil(warmup * n_steps)
    if rising == 0:
        return ((0, 1.0), (n_steps, last))
    top = ((0, 0.0), (rising, 1.0))
    return top if rising == n_steps else (*top, (n_steps, last))


def _slanted(n_steps: int, warmup: float) -> Points:
    """Slanted triangular rates (Howard and Ruder 2018): the warm-up is their cut_frac."""
    return tuple((at, (1 + share * (_RATIO - 1)) / _RATIO) for at, share in _up_and(n_steps, warmup, 0.0))


_SHAPES: dict[str, Callable[[int, float], Points]] = {
    "linear": lambda n_steps, warmup: _up_and(n_steps, warmup, 0.0),
    "cosine": lambda n_steps, warmup: _up_and(n_steps, warmup, 0.0),
    "constant": lambda n_steps, warmup: _up_and(n_steps, warmup, 1.0),
    "slanted": _slanted,
}
