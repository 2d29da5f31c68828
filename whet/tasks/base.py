"""What a task decides: the size of the head's output, the loss, and what a row of logits means."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from whet.config import TrainConfig


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
    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "Task":
        """The same task with its decision rules fitted on dev rows, to what the settings ask for.

        logits (n_texts, n_outputs) float64, targets (n_texts,); of no rows at all, with the rules that need
        none. A task reads the settings that are about it."""

    @abstractmethod
    def decode(
        self, logits: np.ndarray, with_logits: bool = False, coverage: float | None = None
    ) -> Sequence[Any]:
        """One typed prediction a row, by the decision rules: logits (n_texts, n_outputs) float64. With a
        coverage, also a set or interval that holds the truth with this chance."""

    @abstractmethod
    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """Every figure of the task: logits (n_texts, n_outputs) float64, targets (n_texts,) int64."""

    @abstractmethod
    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """95% intervals [low, high] under the names of `metrics`, from the same arguments."""

    @abstractmethod
    def trust(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """How far the predictions can be relied on, from the same arguments: named blocks that stand beside
        `metrics` in an evaluation. Not computed while training."""

    @abstractmethod
    def to_json(self) -> Mapping[str, Any]:
        """What `whet.json` keeps of the task, `TASKS[name].from_json` reads back."""

    @classmethod
    @abstractmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Task":
        """Raises KeyError or TypeError where something is missing."""
