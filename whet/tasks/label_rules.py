"""From logits to any number of labels: the rules that are fitted on dev rows and saved with the model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from scipy.special import expit

from whet.calibration import confidence_bins, fit_temperature
from whet.config import TrainConfig
from whet.multilabel_metrics import Bools, binary_cross_entropies
from whet.thresholds import WITHOUT_TEXTS, decide, fit_thresholds


@final
@dataclass(frozen=True)
class LabelRules:
    """Which labels are given. As it stands, of a model that was never fitted: those from 0.5 on."""

    temperature: float = 1.0  # what logits are divided by
    thresholds: tuple[float, ...] | None = None  # by label
    goal: str | None = None  # what the thresholds were fitted for
    n_rows: int = 0  # that temperature and thresholds were fitted on

    @classmethod
    def fit(cls, logits: np.ndarray, true: Bools, config: TrainConfig) -> "LabelRules":
        """What the settings calibrate and threshold ask for: logits, true (n, n_labels) of dev rows."""
        if len(logits) == 0:
            return cls()
        temperature = 1.0
        if config.calibrate == "temperature":  # each decision is one between two, of logits 0 and z
            flat = logits.ravel()
            both = np.stack([np.zeros_like(flat), flat], axis=1)
            temperature = fit_temperature(both, true.ravel().astype(np.int64))
        fitted = cls(temperature=temperature, n_rows=len(logits))
        return fitted if config.threshold == "none" else fitted.with_thresholds(logits, true)

    def with_thresholds(self, logits: np.ndarray, true: Bools) -> "LabelRules":
        """With the thresholds that suit these rows best, (n, n_labels) both."""
        found = fit_thresholds(self.probabilities(logits), true)
        return LabelRules(self.temperature, tuple(found.values.tolist()), "macro F1", len(logits))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(n, n_labels) -> (n, n_labels) float64, each label for itself."""
        found: np.ndarray = expit(logits.astype(np.float64) / self.temperature)
        return found

    def given(self, chances: np.ndarray) -> Bools:
        """Which labels each row is given: probabilities (n, n_labels) -> (n, n_labels) bool."""
        return decide(chances, WITHOUT_TEXTS if self.thresholds is None else self.thresholds)

    def figures(self, logits: np.ndarray, true: Bools) -> dict[str, Any]:
        """How true the probabilities are: temperature, fitted_rows, before (at temperature 1) and after, each
        with ece, brier and bce over all decisions. ece is the mean distance of probability and share in 15
        groups of equally many decisions (`whet.calibration.Bins`)."""
        kinds = {"before": LabelRules(), "after": self}
        return {
            "temperature": self.temperature,
            "fitted_rows": self.n_rows,
            **{name: _figures(rules.probabilities(logits), true) for name, rules in kinds.items()},
        }

    def to_json(self, labels: Sequence[str]) -> dict[str, Any]:
        """Thresholds by label."""
        found: dict[str, Any] = {**vars(self)}
        if self.thresholds is not None:
            found["thresholds"] = dict(zip(labels, self.thresholds, strict=True))
        return found

    @classmethod
    def from_json(cls, saved: Mapping[str, Any], labels: Sequence[str]) -> "LabelRules":
        """Raises KeyError, TypeError or ValueError where it is not what `to_json` gives."""
        found = dict(saved)
        if found.get("thresholds") is not None:
            found["thresholds"] = tuple(float(found["thresholds"][label]) for label in labels)
        rules = cls(**found)
        if not 0 < rules.temperature < math.inf:
            raise ValueError(f"temperature must be above 0: {rules.temperature}")
        if not all(0 <= threshold <= 1 for threshold in rules.thresholds or ()):
            raise ValueError(f"thresholds must be from 0 to 1: {list(rules.thresholds or ())}")
        if type(rules.n_rows) is not int:
            raise TypeError(f"n_rows={rules.n_rows!r}")
        return rules


def _figures(chances: np.ndarray, true: Bools) -> dict[str, float]:
    return {
        "ece": confidence_bins(chances.ravel(), true.ravel()).error,
        "brier": float(((chances - true) ** 2).mean()),
        "bce": float(binary_cross_entropies(chances, true).mean()),
    }
