"""Averages of the weights over training, which may be better than the weights themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor

from whet.config import TrainConfig

EVERY = 10  # steps between two weights of a moving average


@final
class Average:
    """Of the weights that are trained; one that is trained later joins with what it then is."""

    def __init__(self, config: TrainConfig) -> None:
        self._kind, self._decay = config.averaging, config.ema_decay
        self._means: dict[str, Tensor] = {}  # by the parameter's name
        self._counts: dict[str, int] = {}  # weights in each

    def is_due_after_step(self, step: int) -> bool:
        """Whether the weights after this step, from 1, belong to it."""
        return self._kind == "ema" and step % EVERY == 0

    def is_due_after_epoch(self) -> bool:
        """Whether the weights at an epoch's end belong to it."""
        return self._kind == "mean"

    @property
    def differs(self) -> bool:
        """Whether it can be another than the weights: it holds several."""
        return any(count > 1 for count in self._counts.values())

    @torch.no_grad()
    def add(self, weights: Mapping[str, Tensor]) -> None:
        """One more. The mean of all (Izmailov et al. 2018, SWA), or a moving average, whose memory is short
        at first: of n weights before, (1 + n) / (10 + n) are left at most."""
        for name, weight in weights.items():
            n = self._counts.get(name, 0)
            if n == 0:
                self._means[name] = weight.detach().clone()
            else:
                left = min(self._decay, (1 + n) / (10 + n)) if self._kind == "ema" else n / (n + 1)
                self._means[name].lerp_(weight.detach(), 1 - left)
            self._counts[name] = n + 1

    @contextmanager
    def standing_in(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Meanwhile these parameters, by name, hold the average."""
        own = {name: weights[name].detach().clone() for name in self._means}
        with torch.no_grad():
            for name, mean in self._means.items():
                weights[name].copy_(mean)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in own.items():
                    weights[name].copy_(weight)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint needs."""
        counts = {f"count.{name}": torch.tensor(count) for name, count in self._counts.items()}
        return {f"mean.{name}": mean for name, mean in self._means.items()} | counts

    def restore(self, tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        """Put `tensors()` of an earlier process back; weights tell where they stand."""
        for name, weight in weights.items():
            if f"mean.{name}" in tensors:
                self._means[name] = tensors[f"mean.{name}"].to(weight.device, copy=True)
                self._counts[name] = int(tensors[f"count.{name}"])
