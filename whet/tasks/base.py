"""What a task decides: the size of the head's output, the loss, and what a row of logits means."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor


class Task(ABC):
    """One kind of question about a text. No state here; a final class holds its own fields."""

    name: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]]  # what a progress line and a table show, the headline first

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Columns of the logits."""

    @abstractmethod
    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each text, in nats: logits (n_texts, n_outputs) any float, targets (n_texts,)
        -> (n_texts,), float32 or float64."""

    @abstractmethod
    def weight(self, targets: Tensor) -> float:
        """What the sum of losses is divided by: targets (n_texts,) -> their total weight."""

    @abstractmethod
    def decode(self, logits: np.ndarray, with_logits: bool = False) -> Sequence[Any]:
        """One typed prediction a row: logits (n_texts, n_outputs) float64."""

    @abstractmethod
    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """Every figure of the task: logits (n_texts, n_outputs) float64, targets (n_texts,) int64."""

    @abstractmethod
    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """95% intervals [low, high] under the names of `metrics`, from the same arguments."""

    @abstractmethod
    def to_json(self) -> Mapping[str, Any]:
        """What `whet.json` keeps of the task, `TASKS[name].from_json` reads back."""

    @classmethod
    @abstractmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Task":
        """Raises KeyError or TypeError where something is missing."""
