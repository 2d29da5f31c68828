"""Exactly one label per text or pair of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from whet.examples import LabelPrediction
from whet.intervals import classification_intervals
from whet.metrics import classification_metrics
from whet.tasks.base import Task
from whet.tasks.objective import PLAIN, Objective


@final
@dataclass(frozen=True)
class Classification(Task):
    """Softmax over a fixed list of labels."""

    labels: tuple[str, ...]
    positive_label: str | None = None  # the label that binary precision, recall and F1 are about
    objective: Objective = PLAIN  # of training alone; not saved

    name: ClassVar[str] = "classification"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "mcc")

    @property
    def n_outputs(self) -> int:
        return len(self.labels)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.losses`."""
        return self.objective.losses(logits, targets)

    def weight(self, targets: Tensor) -> float:
        """See `Objective.weight`."""
        return self.objective.weight(targets)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Softmax of each row in float64: (n_texts, n_labels) -> (n_texts, n_labels)."""
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        normalised: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
        return normalised

    def decode(self, logits: np.ndarray, with_logits: bool = False) -> Sequence[LabelPrediction]:
        """The likeliest label of each row; of equals the first."""
        probabilities = self.probabilities(logits)
        best = probabilities.argmax(axis=1)
        return [
            LabelPrediction(
                label=self.labels[index],
                probability=row[index],
                probabilities=dict(zip(self.labels, row, strict=True)),
                logits=tuple(raw) if with_logits else None,
            )
            for index, row, raw in zip(best.tolist(), probabilities.tolist(), logits.tolist(), strict=True)
        ]

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.metrics.classification_metrics`."""
        return classification_metrics(self.probabilities(logits), targets, self.labels, self.positive_label)

    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.intervals.classification_intervals`."""
        return classification_intervals(self.probabilities(logits), targets, self.labels, self.positive_label)

    def to_json(self) -> Mapping[str, Any]:
        return {"labels": list(self.labels), "positive_label": self.positive_label}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Classification":
        return cls(tuple(saved["labels"]), saved.get("positive_label"))
