"""Exactly one label per text or pair of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from whet.calibration import calibration_figures, calibration_intervals, softmax
from whet.config import TrainConfig
from whet.examples import LabelPrediction
from whet.intervals import classification_intervals, wilson
from whet.metrics import classification_metrics
from whet.selective import COVERAGES, label_set_figures, selective_figures
from whet.tasks.base import Task
from whet.tasks.decision import NO_ANSWER, Decision
from whet.tasks.objective import PLAIN, Objective


@final
@dataclass(frozen=True)
class Classification(Task):
    """Softmax over a fixed list of labels."""

    labels: tuple[str, ...]
    positive_label: str | None = None  # the label that binary precision, recall and F1 are about
    objective: Objective = PLAIN  # of training alone; not saved
    decision: Decision = field(default_factory=Decision)

    name: ClassVar[str] = "classification"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "mcc")

    @property
    def n_outputs(self) -> int:
        return len(self.labels)

    @property
    def positive(self) -> int:
        """Of two labels, the index of the one that threshold and ROC AUC are about: positive_label, or else
        the second."""
        return 1 if self.positive_label is None else self.labels.index(self.positive_label)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.losses`."""
        return self.objective.losses(logits, targets)

    def weight(self, targets: Tensor) -> float:
        """See `Objective.weight`."""
        return self.objective.weight(targets)

    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "Classification":
        """See `Decision.fit`."""
        return replace(self, decision=Decision.fit(logits, targets, config, self.positive))

    def abstaining_below(self, probability: float | None) -> "Classification":
        """The same with another abstain_below; None leaves it as it is, 0 answers every row.

        Raises ConfigError for what is no probability."""
        if probability is None:
            return self
        return replace(self, decision=replace(self.decision, abstain_below=probability))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The calibrated ones, in float64: (n_texts, n_labels) -> (n_texts, n_labels)."""
        return self.decision.probabilities(logits)

    def answers(self, logits: np.ndarray) -> list[str | None]:
        """The label of each row, None where the rules say to give none: logits (n_texts, n_labels)."""
        found = self.decision.answers(self.probabilities(logits), self.positive).tolist()
        return [None if i == NO_ANSWER else self.labels[i] for i in found]

    def is_right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Which rows have the true label, (n_texts,) bool; one without an answer has not."""
        right: np.ndarray = self.decision.answers(self.probabilities(logits), self.positive) == targets
        return right

    def decode(
        self, logits: np.ndarray, with_logits: bool = False, coverage: float | None = None
    ) -> Sequence[LabelPrediction]:
        """The chosen label of each row, or none; with a coverage, the set of labels that holds the true one
        with this chance, the likeliest first."""
        chances = self.probabilities(logits)
        best = self.decision.best(chances, self.positive).tolist()
        silent = (self.decision.answers(chances, self.positive) == NO_ANSWER).tolist()
        sets: list[tuple[str, ...] | None] = [None] * len(best)
        if coverage is not None:
            taken = self.decision.label_sets(chances, coverage)
            order = np.argsort(-chances, axis=1, kind="stable")
            sets = [
                tuple(self.labels[i] for i in places if row[i])
                for row, places in zip(taken, order.tolist(), strict=True)
            ]
        return [
            LabelPrediction(
                label=None if is_silent else self.labels[index],
                probability=row[index],
                probabilities=dict(zip(self.labels, row, strict=True)),
                logits=tuple(raw) if with_logits else None,
                label_set=label_set,
            )
            for index, is_silent, row, raw, label_set in zip(
                best, silent, chances.tolist(), logits.tolist(), sets, strict=True
            )
        ]

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.metrics.classification_metrics`; of the labels that `decode` gives."""
        return classification_metrics(*self._scored(logits, targets))

    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.intervals.classification_intervals`."""
        return classification_intervals(*self._scored(logits, targets))

    def trust(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """calibration: temperature, fitted_rows, before (at temperature 1) and after, each with ece, brier
        and nll, and intervals of ece and brier, as of `whet.calibration`. selective: as of
        `whet.selective`, and answered: what abstaining does. label_sets: one entry a coverage, none where
        none were fitted."""
        chances = self.probabilities(logits)
        best = self.decision.best(chances, self.positive)
        is_right = best == targets
        answered = self.decision.answers(chances, self.positive) != NO_ANSWER
        n, n_answered, n_right = len(targets), int(answered.sum()), int((is_right & answered).sum())
        return {
            "calibration": {
                "temperature": self.decision.temperature,
                "fitted_rows": self.decision.n_rows,
                "before": calibration_figures(softmax(logits), targets),
                "after": calibration_figures(chances, targets),
                "intervals": calibration_intervals(chances, targets),
            },
            "selective": {
                **selective_figures(chances[np.arange(n), best], is_right),
                "answered": {
                    "abstain_below": self.decision.abstain_below,
                    "n": n_answered,
                    "share": n_answered / n,
                    "accuracy": n_right / n_answered if n_answered else None,
                    "interval": wilson(n_right, n_answered),
                    "accuracy_of_all": float(is_right.mean()),
                },
            },
            "label_sets": [
                {"level": level, **label_set_figures(chances, targets, quantile)}
                for level, quantile in zip(COVERAGES, self.decision.quantiles or (), strict=False)
            ],
        }

    def _scored(
        self, logits: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], str | None, np.ndarray]:
        chances = self.probabilities(logits)
        return (
            chances,
            targets,
            self.labels,
            self.positive_label,
            self.decision.answers(chances, self.positive),
        )

    def to_json(self) -> Mapping[str, Any]:
        return {
            "labels": list(self.labels),
            "positive_label": self.positive_label,
            "decision": self.decision.to_json(self.labels),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Classification":
        labels = tuple(saved["labels"])
        decision = Decision.from_json(saved.get("decision", {}), labels)
        positive = saved.get("positive_label")
        if positive is not None and (len(labels) != 2 or positive not in labels):
            raise ValueError(f"positive_label={positive!r} is not one of two labels")
        return cls(labels, positive, decision=decision)
