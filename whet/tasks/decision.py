"""From probabilities to an answer: the rules that are fitted on dev rows and saved with a classifier."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from whet.calibration import fit_temperature, softmax
from whet.config import TrainConfig
from whet.errors import ConfigError
from whet.selective import COVERAGES, conformal_quantile, label_sets, one_vs_rest_thresholds

NO_ANSWER: Final = -1


@final
@dataclass(frozen=True)
class Decision:
    """How a classifier's logits become its answer. As it stands, of one that was never calibrated: the
    likeliest label of the plain softmax."""

    temperature: float = 1.0  # what logits are divided by
    thresholds: tuple[float | None, ...] | None = None  # by label; None of a label is never reached
    goal: str | None = None  # what the thresholds were fitted for: f1, or precision >= p
    abstains: bool = False  # give no answer where no label reaches its threshold
    abstain_below: float | None = None  # give no answer where the chosen label's probability is below
    quantiles: tuple[float, ...] | None = None  # of label sets, at COVERAGES
    n_rows: int = 0  # that temperature, thresholds and quantiles were fitted on

    def __post_init__(self) -> None:
        """Raises ConfigError for an abstain_below that is no probability."""
        below = self.abstain_below
        if below is not None and not 0 <= below <= 1:
            raise ConfigError(f"abstain_below={below:g}: must be a number from 0 to 1.")

    @classmethod
    def fit(cls, logits: np.ndarray, targets: np.ndarray, config: TrainConfig, positive: int) -> "Decision":
        """What the settings calibrate, threshold, min_precision and abstain_below ask for.

        logits (n, n_labels) of dev rows, targets (n,); positive is the label that the threshold of two is
        about. Of no rows at all, only abstain_below takes effect."""
        if len(logits) == 0:
            return cls(abstain_below=config.abstain_below)
        temperature = fit_temperature(logits, targets) if config.calibrate == "temperature" else 1.0
        chances = softmax(logits, temperature)
        thresholds, goal = None, None
        if config.threshold in ("f1", "precision"):
            goal = "f1" if config.min_precision is None else f"precision >= {config.min_precision:g}"
            thresholds = tuple(one_vs_rest_thresholds(chances, targets, config.min_precision))
            if len(thresholds) == 2:
                thresholds = _of_two(thresholds[positive], positive)
        return cls(
            temperature=temperature,
            thresholds=thresholds,
            goal=goal,
            abstains=config.threshold == "precision" and chances.shape[1] > 2,
            abstain_below=config.abstain_below,
            quantiles=tuple(conformal_quantile(chances, targets, coverage) for coverage in COVERAGES),
            n_rows=len(logits),
        )

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(n, n_labels) -> (n, n_labels) float64."""
        return softmax(logits, self.temperature)

    def best(self, chances: np.ndarray, positive: int) -> np.ndarray:
        """The chosen label of each row, abstaining left out: probabilities (n, n_labels) -> (n,) int64.

        The largest P(label) / threshold, or the likeliest where no label has one; of two labels the positive
        one where it reaches its threshold. The first of equals."""
        if self.thresholds is not None and len(self.thresholds) == 2:
            reached = chances[:, positive] >= _bounds(self.thresholds)[positive]
            return np.where(reached, positive, 1 - positive)
        is_bound = self.thresholds is not None and any(t is not None for t in self.thresholds)
        scores = chances / _bounds(self.thresholds or ()) if is_bound else chances
        best: np.ndarray = scores.argmax(axis=1)
        return best

    def answers(self, chances: np.ndarray, positive: int) -> np.ndarray:
        """As `best`, NO_ANSWER where the rules say to give none: (n, n_labels) -> (n,) int64."""
        best = self.best(chances, positive)
        given = chances[np.arange(len(best)), best]
        silent = np.zeros(len(best), np.bool_)
        if self.abstain_below is not None:
            silent |= given < self.abstain_below
        if self.abstains and self.thresholds is not None:
            silent |= given < _bounds(self.thresholds)[best]
        return np.where(silent, NO_ANSWER, best)

    def label_sets(self, chances: np.ndarray, coverage: float) -> np.ndarray:
        """Which labels the set of each row holds: (n, n_labels) -> (n, n_labels) bool.

        Raises ConfigError for a coverage that there is no quantile for."""
        if self.quantiles is None:
            raise ConfigError(
                "this model has no label sets: they are fitted on dev rows at the end of training. "
                "Train it again with dev rows."
            )
        if coverage not in COVERAGES:
            known = ", ".join(f"{level:g}" for level in COVERAGES)
            raise ConfigError(f"label_sets={coverage:g}: must be one of {known}.")
        return label_sets(chances, self.quantiles[COVERAGES.index(coverage)])

    def to_json(self, labels: Sequence[str]) -> dict[str, Any]:
        """Thresholds by label, quantiles by coverage."""
        found: dict[str, Any] = {**vars(self)}
        if self.thresholds is not None:
            found["thresholds"] = dict(zip(labels, self.thresholds, strict=True))
        if self.quantiles is not None:
            found["quantiles"] = {f"{c:g}": q for c, q in zip(COVERAGES, self.quantiles, strict=True)}
        return found

    @classmethod
    def from_json(cls, saved: Mapping[str, Any], labels: Sequence[str]) -> "Decision":
        """Raises KeyError, TypeError, ValueError or ConfigError where it is not what `to_json` gives."""
        found = dict(saved)
        if found.get("thresholds") is not None:
            found["thresholds"] = tuple(found["thresholds"][label] for label in labels)
        if found.get("quantiles") is not None:
            found["quantiles"] = tuple(float(found["quantiles"][f"{c:g}"]) for c in COVERAGES)
        decision = cls(**found)
        numbers = [decision.temperature, *(t for t in decision.thresholds or () if t is not None)]
        if not all(0 < number < math.inf for number in numbers):
            raise ValueError(f"temperature and thresholds must be above 0: {numbers}")
        if not all(0 <= quantile <= 1 for quantile in decision.quantiles or ()):
            raise ValueError(f"quantiles must be from 0 to 1: {list(decision.quantiles or ())}")
        if type(decision.n_rows) is not int or type(decision.abstains) is not bool:
            raise TypeError(f"n_rows={decision.n_rows!r}, abstains={decision.abstains!r}")
        return decision


def _of_two(threshold: float | None, positive: int) -> tuple[float | None, ...]:
    """The threshold of the positive label, and what that leaves to the other."""
    other = 1.0 if threshold is None else 1 - threshold
    return (other, threshold) if positive == 1 else (threshold, other)


def _bounds(thresholds: tuple[float | None, ...]) -> np.ndarray:
    """(n_labels,); infinite where a label is never reached."""
    return np.array([math.inf if threshold is None else threshold for threshold in thresholds])
