"""Any number of labels per text or pair of texts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from whet.config import TrainConfig
from whet.data.columns import Columns
from whet.data.labels import shown_labels
from whet.data.table import Table
from whet.data.targets import SEPARATORS, encode_label_sets, label_form, label_set_names, spelled_sets
from whet.errors import ConfigError, DataError
from whet.examples import MultilabelPrediction
from whet.multilabel_intervals import multilabel_intervals
from whet.multilabel_metrics import multilabel_metrics
from whet.tasks.base import Task
from whet.tasks.label_rules import LabelRules

_OF_ONE_LABEL = (  # settings that are about exactly one label a row
    "positive_label",
    "class_weights",
    "focal_gamma",
    "label_smoothing",
    "min_precision",
    "abstain_below",
)


@final
@dataclass(frozen=True)
class Multilabel(Task):
    """A yes or no for each of a fixed list of labels."""

    labels: tuple[str, ...]
    separator: str | None = None  # what joins labels in the training file; None where nothing does
    rules: LabelRules = field(default_factory=LabelRules)
    shares: tuple[float, ...] | None = None  # of the training texts, by label; not saved

    name: ClassVar[str] = "multilabel-classification"
    layout: ClassVar[str] = "text"
    problem_type: ClassVar[str | None] = "multi_label_classification"
    pipeline: ClassVar[str] = "text-classification"
    opened_with: ClassVar[str] = "pipeline('text-classification', 'FOLDER')"
    figures: ClassVar[Mapping[str, str]] = {
        "micro_precision": "micro precision",
        "micro_recall": "micro recall",
        "micro_f1": "micro F1",
        "macro_precision": "macro precision",
        "macro_recall": "macro recall",
        "macro_f1": "macro F1",
        "samples_f1": "F1 over texts",
        "micro_pr_auc": "micro PR AUC",
        "macro_pr_auc": "macro PR AUC",
        "subset_accuracy": "all labels right",
        "hamming_loss": "Hamming loss",
        "bce": "loss",
    }
    headlines: ClassVar[tuple[str, ...]] = ("macro_f1", "micro_f1", "macro_pr_auc", "bce")
    loss: ClassVar[str] = "bce"
    has_classes: ClassVar[bool] = False
    right_figure: ClassVar[str] = "subset_accuracy"
    not_here: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Task.not_here,
        "where a row has any number of labels": _OF_ONE_LABEL,
    }
    # PR AUC asks for no threshold, so its luck is that of the texts alone
    choices: ClassVar[tuple[str, ...]] = ("macro_pr_auc", "micro_pr_auc", "macro_f1", "micro_f1", "loss")

    def __post_init__(self) -> None:
        """Raises ConfigError for labels that are not there or named twice."""
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ConfigError(f"labels {list(self.labels)}: name at least one, each once.")

    @classmethod
    def learn(cls, table: Table, columns: Columns, config: TrainConfig) -> "Multilabel":
        """The labels that the training table has, and how they are written."""
        form = label_form([table], columns.labels, config.label_separator)
        return cls(label_set_names([table], form), form.separator)

    @classmethod
    def foreign(cls, problem_type: str | None, names: tuple[str, ...]) -> "Multilabel | None":
        """Where config.json says so; labels are given from 0.5 on."""
        return cls(names) if problem_type == cls.problem_type and names else None

    @classmethod
    def spelled(cls, table: Table, columns: Columns, config: TrainConfig) -> pa.ChunkedArray:
        return spelled_sets(table, label_form([table], columns.labels, config.label_separator))

    def read(self, table: Table, columns: Columns) -> np.ndarray:
        """(n_rows, n_labels) int8: 1 for each label of the row, 0 for the others; a row of -1 where it is
        unlabelled. The labels may be written in another way than in the training file."""
        form = label_form([table], columns.labels, self.separator)
        if len(form.columns) > 1 and set(form.columns) != set(self.labels):
            raise DataError(
                f"{table.source}: the label columns are {shown_labels(form.columns)}, and the labels of this "
                f"model {shown_labels(self.labels)}. Name a column for each label with --label, or one that "
                "holds lists."
            )
        sets = encode_label_sets(table, form, self.labels)
        found = sets.dense(np.arange(len(sets))).astype(np.int8)
        found[~sets.labelled] = -1
        return found

    def is_labelled(self, targets: np.ndarray) -> np.ndarray:
        found: np.ndarray = targets[:, 0] >= 0
        return found

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The rarest label of each row, so that rare labels are on both sides; n_labels where it has none."""
        counts = np.where(targets > 0, targets.sum(axis=0, dtype=np.int64), len(targets) + 1)
        found: np.ndarray = np.where((targets > 0).any(axis=1), counts.argmin(axis=1), targets.shape[1])
        return found

    def trained_on(self, targets: np.ndarray, config: TrainConfig) -> "Multilabel":
        """With the labels' shares, from which a new head begins. A label that none or all of the texts have
        counts as half a text away from that."""
        n = len(targets)
        shares = np.clip(targets.mean(axis=0, dtype=np.float64), 0.5 / n, 1 - 0.5 / n)
        return replace(self, shares=tuple(shares.tolist()))

    def first_bias(self) -> Tensor | None:
        """Log odds of the shares: training begins at the loss of guessing, and need not find out first that
        most labels are rare (Lin et al., "Focal loss for dense object detection", ICCV 2017, section 4.1)."""
        return None if self.shares is None else torch.logit(torch.tensor(self.shares, dtype=torch.float64))

    def describe(self) -> str:
        joined = "" if self.separator is None else f", joined by '{self.separator}'"
        return f"{len(self.labels)} labels, any number a row{joined}: {shown_labels(self.labels)}"

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.labels

    def standing(self, metrics: Mapping[str, Any], by: str) -> tuple[float, float]:
        """By chance: the figure taken as a share of the texts that have the label (as Boyd, Eng and Page do
        for PR AUC, ECML PKDD 2013), for a macro figure of independent labels; nothing for the loss."""
        if by == "loss":
            return -float(metrics["bce"]), 0.0
        if metrics[by] is None:  # no dev text has any label
            return -1.0, 0.0
        kind, _, name = by.partition("_")
        support = [(row[name], row["support"]) for row in metrics["per_class"] if row["support"]]
        if kind == "micro":
            value = float(metrics[by])
            return value, math.sqrt(value * (1 - value) / max(sum(n for _, n in support), 1))
        variance = sum(value * (1 - value) / n for value, n in support)
        return float(metrics[by]), math.sqrt(variance) / max(len(support), 1)

    def of_guessing(self, targets: np.ndarray) -> tuple[float, float, float]:
        """The mean over labels of their shares' entropies."""
        shares = targets.mean(axis=0, dtype=np.float64)
        with np.errstate(divide="ignore"):
            yes, no = -np.log(shares), -np.log1p(-shares)
        texts = np.where(targets > 0, yes, no).mean(axis=1)
        return float(texts.mean()), float(texts.std()), float(texts.mean())

    def parse(self, labels: Sequence[Sequence[str]] | Tensor, n_texts: int) -> Tensor:
        """A list of label names a text, or 0 and 1 as (n_texts, n_labels)."""
        if isinstance(labels, Tensor):
            found = labels
        else:
            places = {label: i for i, label in enumerate(self.labels)}
            unknown = {name for names in labels for name in names} - set(places)
            if unknown:
                raise ValueError(f"labels {sorted(unknown)} are none of {list(self.labels)}")
            found = torch.zeros(len(labels), len(self.labels), dtype=torch.int8)
            for row, names in enumerate(labels):
                found[row, [places[name] for name in names]] = 1
        if found.shape != (n_texts, len(self.labels)):
            raise ValueError(f"{n_texts} texts, {len(self.labels)} labels, and targets {tuple(found.shape)}")
        if not bool(((found == 0) | (found == 1)).all()):
            raise ValueError("targets must be 0 or 1")
        return found

    def matched(self, table: Table, columns: Columns) -> tuple["Multilabel", tuple[str, ...]]:
        """LABEL_0, LABEL_1 ... answer to the numbers of a column that holds nothing else."""
        numbers = tuple(str(i) for i in range(len(self.labels)))
        if self.labels != tuple(f"LABEL_{i}" for i in range(len(self.labels))):
            return self, ()
        names = label_set_names([table], label_form([table], columns.labels, self.separator))
        if not set(names) <= set(numbers):
            return self, ()
        note = f"The model's labels have no names; {columns.label_words} holds numbers: matched by number."
        return replace(self, labels=numbers), (note,)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy of each text, a mean over its labels: logits, targets (n_texts, n_labels)."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        cells = F.binary_cross_entropy_with_logits(wide, targets.to(wide.dtype), reduction="none")
        return cells.mean(dim=1)

    def disagreement(self, one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
        """A mean over the labels, each of which is a decision by itself."""
        one, other = (part if part.dtype == torch.float64 else part.float() for part in (one, other))
        return ((one.sigmoid() - other.sigmoid()) * (one - other)).mean(dim=1) / 2

    def weight(self, targets: Tensor) -> float:
        """The number of texts."""
        return float(len(targets))

    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "Multilabel":
        """See `LabelRules.fit`."""
        return replace(self, rules=LabelRules.fit(logits, targets > 0, config))

    def scored_while_training(self, logits: np.ndarray, targets: np.ndarray) -> "Multilabel":
        """With thresholds of these rows: from 0.5 on, early epochs would give no label at all."""
        return replace(self, rules=self.rules.with_thresholds(logits, targets > 0))

    def is_right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Which rows have all their labels and no other, (n_texts,) bool."""
        right: np.ndarray = (self.rules.given(self.rules.probabilities(logits)) == (targets > 0)).all(axis=1)
        return right

    def decode(
        self,
        logits: np.ndarray,
        with_logits: bool = False,
        coverage: float | None = None,
        rows: Sequence[Any] = (),
    ) -> Sequence[MultilabelPrediction]:
        """The labels that reach their thresholds. Raises ConfigError for a coverage: there are no sets."""
        if coverage is not None:
            raise ConfigError(
                f"label_sets={coverage:g}: {self.name} gives any number of labels as it is. Leave it out."
            )
        chances = self.rules.probabilities(logits)
        given = self.rules.given(chances).tolist()
        free = (sign for sign in SEPARATORS if not any(sign in label for label in self.labels))
        separator = self.separator or next(free, "|")
        return [
            MultilabelPrediction(
                labels=tuple(label for label, is_given in zip(self.labels, taken, strict=True) if is_given),
                probabilities=dict(zip(self.labels, row, strict=True)),
                logits=tuple(raw) if with_logits else None,
                separator=separator,
            )
            for taken, row, raw in zip(given, chances.tolist(), logits.tolist(), strict=True)
        ]

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.multilabel_metrics.multilabel_metrics`; of the labels that `decode` gives."""
        chances = self.rules.probabilities(logits)
        return multilabel_metrics(chances, self.rules.given(chances), targets > 0, self.labels)

    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.multilabel_intervals.multilabel_intervals`."""
        chances = self.rules.probabilities(logits)
        return multilabel_intervals(chances, self.rules.given(chances), targets > 0, self.labels)

    def trust(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """decisions: see `LabelRules.figures`."""
        return {"decisions": self.rules.figures(logits, targets > 0)}

    def to_json(self) -> Mapping[str, Any]:
        return {
            "labels": list(self.labels),
            "separator": self.separator,
            "decision": self.rules.to_json(self.labels),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Multilabel":
        labels, separator = tuple(saved["labels"]), saved["separator"]
        if separator is not None and (not isinstance(separator, str) or not separator):
            raise ValueError(f"separator={separator!r}")
        return cls(labels, separator, LabelRules.from_json(saved["decision"], labels))
