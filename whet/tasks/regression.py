"""One number per text or pair of texts."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor

from whet.config import TrainConfig
from whet.data.columns import Columns
from whet.data.quantities import read_quantities
from whet.data.table import Table
from whet.errors import ConfigError
from whet.examples import ValuePrediction
from whet.intervals import loss_interval
from whet.prediction_intervals import conformal_half_width, measured_coverage
from whet.regression_intervals import regression_intervals
from whet.regression_metrics import regression_metrics
from whet.selective import COVERAGES
from whet.target_scale import TargetScale
from whet.tasks.base import Task

UNSCALED: Final = TargetScale(0.0, 1.0)
_STRATA = 10  # of about equal size, by value: a split holds out some of each


@final
@dataclass(frozen=True)
class Regression(Task):
    """A number, learnt in standard deviations from the training rows' mean by its squared error."""

    scale: TargetScale = UNSCALED
    half_widths: tuple[float | None, ...] = (None,) * len(COVERAGES)  # of intervals, at COVERAGES
    n_rows: int = 0  # that half_widths were fitted on
    decimal: str = "."  # the decimal sign of the training file

    name: ClassVar[str] = "regression"
    layout: ClassVar[str] = "text"
    problem_type: ClassVar[str | None] = "regression"
    pipeline: ClassVar[str] = "text-classification"
    opened_with: ClassVar[str] = "pipeline('text-classification', 'FOLDER')"
    figures: ClassVar[Mapping[str, str]] = {
        "pearson": "Pearson",
        "spearman": "Spearman",
        "mae": "MAE",
        "rmse": "RMSE",
        "r2": "R2",
        "mse": "loss",
    }
    headlines: ClassVar[tuple[str, ...]] = ("pearson", "spearman", "rmse", "mse")
    loss: ClassVar[str] = "mse"
    choices: ClassVar[tuple[str, ...]] = ("pearson", "spearman", "loss")
    has_classes: ClassVar[bool] = False

    @classmethod
    def learn(cls, table: Table, columns: Columns, config: TrainConfig) -> "Regression":
        """The decimal sign; the scale follows from the rows that are trained on."""
        assert columns.label is not None
        return cls(decimal=read_quantities(table, columns.label).decimal)

    @classmethod
    def foreign(cls, problem_type: str | None, names: tuple[str, ...]) -> "Regression | None":
        """A model with one output gives a number, unless that is a yes or no."""
        is_another = len(names) != 1 or problem_type == "multi_label_classification"
        return None if is_another else cls()

    def read(self, table: Table, columns: Columns) -> np.ndarray:
        """In the data's unit, (n_rows,) float64; nan where a row has none."""
        assert columns.label is not None
        return read_quantities(table, columns.label, self.decimal).values

    def is_labelled(self, targets: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.isfinite(targets)
        return found

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Tenths by value."""
        edges = np.quantile(targets, np.arange(1, _STRATA) / _STRATA)
        return np.searchsorted(edges, targets, side="right").astype(np.int64)

    def trained_on(self, targets: np.ndarray, config: TrainConfig) -> "Regression":
        """On the scale of these targets. Raises DataError for targets that do not vary."""
        return replace(self, scale=TargetScale.of(targets, "the training rows"))

    def describe(self) -> str:
        return "each with a number"

    @property
    def output_names(self) -> tuple[str, ...]:
        """As transformers calls the one output of a regression."""
        return ("LABEL_0",)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The squared error of each text on the scale of training: logits (n_texts, 1), targets (n_texts,)
        float64 in the data's unit."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        wanted = (targets - self.scale.mean) / self.scale.deviation
        return (wide[:, 0] - wanted.to(wide.dtype)) ** 2

    def disagreement(self, one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
        """The squared difference, as R-Drop has it for numbers."""
        one, other = (part if part.dtype == torch.float64 else part.float() for part in (one, other))
        return (one[:, 0] - other[:, 0]) ** 2

    def weight(self, targets: Tensor) -> float:
        """The number of texts."""
        return float(len(targets))

    def of_guessing(self, targets: np.ndarray) -> tuple[float, float, float]:
        """The variance, which is 1 on the scale of training."""
        squared = self.scale.scaled(targets) ** 2
        return float(squared.mean()), float(squared.std()), float(squared.mean())

    def standing(self, metrics: Mapping[str, Any], by: str) -> tuple[float, float]:
        """By chance: a correlation's standard error, (1 - r squared) / root of n; nothing for the loss. A
        correlation that is undefined stands below all others."""
        if by == "loss":
            return -float(metrics["mse"]), 0.0
        if metrics[by] is None:
            return -2.0, 0.0
        return float(metrics[by]), (1 - metrics[by] ** 2) / math.sqrt(metrics["n"])

    def parse(self, labels: Sequence[float] | Tensor, n_texts: int) -> Tensor:
        """Numbers in the data's unit, (n_texts,) or (n_texts, 1)."""
        found = torch.as_tensor(labels, dtype=torch.float64)
        if found.shape == (n_texts, 1):
            found = found[:, 0]
        if found.shape != (n_texts,):
            raise ValueError(f"{n_texts} texts, and labels of shape {tuple(found.shape)}")
        if not bool(found.isfinite().all()):
            raise ValueError("labels must be finite numbers")
        return found

    def values(self, logits: np.ndarray) -> np.ndarray:
        """In the data's unit: (n_texts, 1) -> (n_texts,) float64."""
        return self.scale.restored(logits[:, 0])

    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "Regression":
        """With intervals of these rows' errors; none at a coverage that takes more rows."""
        if len(logits) == 0:
            return self
        values = self.values(logits)
        widths = tuple(conformal_half_width(values, targets, coverage) for coverage in COVERAGES)
        return replace(self, half_widths=widths, n_rows=len(logits))

    def decode(
        self,
        logits: np.ndarray,
        with_logits: bool = False,
        coverage: float | None = None,
        rows: Sequence[Any] = (),
    ) -> Sequence[ValuePrediction]:
        """With a coverage, the interval that holds the true value with this chance. Raises ConfigError for a
        coverage that none was fitted for."""
        half = None if coverage is None else self._half_width(coverage)
        values, raw = self.values(logits).tolist(), logits[:, 0].tolist()
        return [
            ValuePrediction(
                value=value,
                interval=None if half is None else (value - half, value + half),
                logit=logit if with_logits else None,
            )
            for value, logit in zip(values, raw, strict=True)
        ]

    def _half_width(self, coverage: float) -> float:
        if coverage not in COVERAGES:
            known = ", ".join(f"{level:g}" for level in COVERAGES)
            raise ConfigError(f"label_sets={coverage:g}: must be one of {known}.")
        half = self.half_widths[COVERAGES.index(coverage)]
        if half is None:
            raise ConfigError(
                f"this model has no intervals at {coverage:g}: {self.n_rows:,} dev rows were too few to fit "
                "them. Choose a lower coverage, or train again with more dev rows."
            )
        return half

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.regression_metrics.regression_metrics`, in the data's unit; and mse, the mean squared
        error on the scale of training."""
        errors = self.scale.scaled(targets) - logits[:, 0]
        return regression_metrics(self.values(logits), targets) | {"mse": float((errors**2).mean())}

    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.regression_intervals.regression_intervals`."""
        errors = self.scale.scaled(targets) - logits[:, 0]
        return regression_intervals(self.values(logits), targets) | {"mse": loss_interval(errors**2)}

    def trust(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """prediction_intervals: one entry a coverage that was fitted, as of
        `whet.prediction_intervals.measured_coverage`, and fitted_rows."""
        values = self.values(logits)
        return {
            "prediction_intervals": [
                {**measured_coverage(values, targets, half, level), "fitted_rows": self.n_rows}
                for level, half in zip(COVERAGES, self.half_widths, strict=True)
                if half is not None
            ]
        }

    def to_json(self) -> Mapping[str, Any]:
        return {
            "mean": self.scale.mean,
            "deviation": self.scale.deviation,
            "decimal": self.decimal,
            "decision": {
                "half_widths": {f"{c:g}": half for c, half in zip(COVERAGES, self.half_widths, strict=True)},
                "n_rows": self.n_rows,
            },
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Regression":
        decision = saved["decision"]
        halves = [decision["half_widths"][f"{c:g}"] for c in COVERAGES]
        numbers = [
            float(saved["mean"]),
            float(saved["deviation"]),
            *(float(h) for h in halves if h is not None),
        ]
        if not all(map(math.isfinite, numbers)) or numbers[1] <= 0 or min(numbers[1:]) < 0:
            raise ValueError(f"scale and half widths must be finite and not below 0: {json.dumps(numbers)}")
        scale = TargetScale(numbers[0], numbers[1])
        return cls(scale, tuple(halves), int(decision["n_rows"]), str(saved["decimal"]))
