"""Exactly one label per text or pair of texts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from whet.calibration import calibration_figures, calibration_intervals, softmax
from whet.config import TrainConfig
from whet.data.columns import Columns
from whet.data.labels import encode_labels, label_names
from whet.data.table import Table
from whet.errors import ConfigError, DataError
from whet.examples import LabelPrediction
from whet.intervals import classification_intervals, wilson
from whet.metrics import classification_metrics
from whet.selective import COVERAGES, label_set_figures, selective_figures
from whet.tasks.base import Task
from whet.tasks.decision import NO_ANSWER, Decision
from whet.tasks.objective import PLAIN, Objective, divergence, make_objective

_SHOWN_LABELS = 8


@final
@dataclass(frozen=True)
class Classification(Task):
    """Softmax over a fixed list of labels."""

    labels: tuple[str, ...]
    positive_label: str | None = None  # the label that binary precision, recall and F1 are about
    objective: Objective = PLAIN  # of training alone; not saved
    decision: Decision = field(default_factory=Decision)

    name: ClassVar[str] = "classification"
    layout: ClassVar[str] = "text"
    problem_type: ClassVar[str | None] = "single_label_classification"
    pipeline: ClassVar[str] = "text-classification"
    opened_with: ClassVar[str] = "pipeline('text-classification', 'FOLDER')"
    figures: ClassVar[Mapping[str, str]] = {
        "accuracy": "accuracy",
        "macro_precision": "macro precision",
        "macro_recall": "macro recall",
        "macro_f1": "macro F1",
        "mcc": "MCC",
        "roc_auc": "ROC AUC",
        "nll": "loss",
    }
    headlines: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "mcc", "nll")
    loss: ClassVar[str] = "nll"
    has_classes: ClassVar[bool] = True
    choices: ClassVar[tuple[str, ...]] = ("mcc", "accuracy", "macro_f1", "loss")

    def __post_init__(self) -> None:
        """Raises ConfigError for fewer than two different labels."""
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ConfigError(f"labels {list(self.labels)}: name at least two, each once.")

    @classmethod
    def learn(cls, table: Table, columns: Columns, config: TrainConfig) -> "Classification":
        """The labels that the training table has."""
        assert columns.label is not None
        labels, positive = label_names([table], columns.label), config.positive_label
        if positive is not None and (len(labels) != 2 or positive not in labels):
            raise DataError(
                f"positive_label={positive}: it names one of two labels, and {table.source} has "
                f"{len(labels)}: {', '.join(labels[:20])}."
            )
        return cls(labels, positive)

    @classmethod
    def foreign(cls, problem_type: str | None, names: tuple[str, ...]) -> "Classification | None":
        """Two outputs or more, and not one yes or no for each."""
        is_another = len(names) < 2 or problem_type == "multi_label_classification"
        return None if is_another else cls(names)

    def read(self, table: Table, columns: Columns) -> np.ndarray:
        """Indices into the labels, (n_rows,) int64; -1 where a row has none."""
        assert columns.label is not None
        return encode_labels(table, columns.label, self.labels)

    def is_labelled(self, targets: np.ndarray) -> np.ndarray:
        found: np.ndarray = targets >= 0
        return found

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The labels themselves."""
        return targets

    def trained_on(self, targets: np.ndarray, config: TrainConfig) -> "Classification":
        """With the loss that the settings ask for."""
        return replace(self, objective=make_objective(config, targets, len(self.labels)))

    def describe(self) -> str:
        shown = ", ".join(self.labels[:_SHOWN_LABELS]) + (", ..." if len(self.labels) > _SHOWN_LABELS else "")
        return f"{len(self.labels)} labels: {shown}"

    def training_notes(self) -> tuple[str, ...]:
        """The class weights, where there are any."""
        weights = self.objective.label_weights
        if weights is None:
            return ()
        heaviest = sorted(zip(weights, self.labels, strict=True), key=lambda pair: -pair[0])
        shown = ", ".join(f"{label} {weight:.3g}" for weight, label in heaviest[:_SHOWN_LABELS])
        return (f"Class weights: {shown}{', ...' if len(heaviest) > _SHOWN_LABELS else ''}.",)

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.labels

    def standing(self, metrics: Mapping[str, Any], by: str) -> tuple[float, float]:
        """By chance: a binomial standard error of the accuracy, and nothing for the loss, which is a finer
        measure."""
        if by == "loss":
            return -float(metrics["nll"]), 0.0
        accuracy = float(metrics["accuracy"])
        return float(metrics[by]), math.sqrt(accuracy * (1 - accuracy) / metrics["n"])

    def of_guessing(self, targets: np.ndarray) -> tuple[float, float, float]:
        """Of the plain loss it is the entropy of the labels' shares."""
        counts = np.bincount(targets, minlength=len(self.labels))
        deviation = 0.0
        if self.objective == PLAIN:
            deviation = float(np.log(counts[targets] / len(targets)).std())
        return self.objective.of_guessing(counts), deviation, PLAIN.of_guessing(counts)

    def parse(self, labels: Sequence[str] | Tensor, n_texts: int) -> Tensor:
        """Names, or (n_texts,) int64 indices into the labels."""
        if not isinstance(labels, Tensor):
            unknown = sorted(set(labels) - set(self.labels))
            if unknown:
                raise ValueError(f"labels {unknown} are not among this model's: {', '.join(self.labels)}")
            labels = torch.tensor([self.labels.index(label) for label in labels], dtype=torch.long)
        if labels.shape != (n_texts,):
            raise ValueError(f"{n_texts} texts, and labels of shape {tuple(labels.shape)}")
        if labels.is_floating_point() or bool(((labels < 0) | (labels >= len(self.labels))).any()):
            raise ValueError(f"labels must be whole numbers from 0 to {len(self.labels) - 1}")
        return labels.long()

    def matched(self, table: Table, columns: Columns) -> tuple["Classification", tuple[str, ...]]:
        """LABEL_0, LABEL_1 ... answer to the numbers of a column that holds nothing else."""
        assert columns.label is not None
        numbers = tuple(str(i) for i in range(len(self.labels)))
        if self.labels != tuple(f"LABEL_{i}" for i in range(len(self.labels))):
            return self, ()
        if not set(label_names([table], columns.label)) <= set(numbers):
            return self, ()
        note = f"The model's labels have no names; '{columns.label}' holds numbers: matched by number."
        return replace(self, labels=numbers), (note,)

    @property
    def positive(self) -> int:
        """Of two labels, the index of the one that threshold and ROC AUC are about: positive_label, or else
        the second."""
        return 1 if self.positive_label is None else self.labels.index(self.positive_label)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.losses`."""
        return self.objective.losses(logits, targets)

    def disagreement(self, one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
        """See `divergence`."""
        return divergence(one, other)

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

    def classes(self, targets: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        return targets, self.labels

    def decode(
        self,
        logits: np.ndarray,
        with_logits: bool = False,
        coverage: float | None = None,
        rows: Sequence[Any] = (),
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
