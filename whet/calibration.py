"""Are probabilities what they say? Temperature, calibration error, Brier score.

Throughout: logits (n, n_labels) any finite float, one row a text; targets (n,) integers in [0, n_labels).
The confidence of a text is its largest probability. No figure depends on the order of the texts: those of
equal confidence share what they have right.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from whet.intervals import LEVEL, Interval, loss_interval
from whet.metrics import Counts, Floats, log_loss

N_BINS: Final = 15  # Guo et al., ICML 2017
PRIOR_SD: Final = (
    0.25  # of log T: a temperature beyond 0.6 to 1.6 needs rows that show it; docs/benchmarks.md
)
_LOWEST, _HIGHEST = math.log(0.02), math.log(50.0)  # of log T; what the prior leaves is far inside
_N_DRAWS = 1000
_HALVINGS = 10


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities in float64: softmax of each row of logits / temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    normalised: Floats = raised / raised.sum(axis=1, keepdims=True)
    return normalised


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """The temperature T at which softmax(logits / T) fits the targets best; 1 of no texts at all.

    It minimises the sum of -log softmax(logits / T)[target] (Guo et al., "On calibration of modern neural
    networks", ICML 2017) plus (log T)^2 / (2 PRIOR_SD^2), a normal prior on log T: with few texts, or where
    all are right and the likelihood alone would send T to 0, it stays near 1. T leaves the order of a text's
    labels as it is."""
    rows, ids = np.asarray(logits, np.float64), np.asarray(targets)
    if len(rows) == 0:
        return 1.0
    below = rows - rows.max(axis=1, keepdims=True)
    given = below[np.arange(len(ids)), ids]

    def cost(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        losses = np.log(np.exp(below * scale).sum(axis=1)) - given * scale
        return float(losses.sum()) + (log_temperature / PRIOR_SD) ** 2 / 2

    found = minimize_scalar(cost, bounds=(_LOWEST, _HIGHEST), method="bounded", options={"xatol": 1e-7})
    return math.exp(found.x)


def brier_losses(probabilities: ArrayLike, targets: ArrayLike) -> Floats:
    """Squared distance of each text's probabilities from the truth, summed over all labels: (n,) in [0, 2].

    The mean is the score of Brier, Monthly Weather Review 78, 1950: twice what is called so for two labels
    elsewhere (scikit-learn's `brier_score_loss` with `scale_by_half=False`)."""
    chances = np.asarray(probabilities, np.float64)
    given = chances[np.arange(len(chances)), np.asarray(targets)]
    losses: Floats = (chances**2).sum(axis=1) - given**2 + (1 - given) ** 2
    return losses


@final
@dataclass(frozen=True)
class Bins:
    """Texts in groups of equal size, by confidence from the lowest up."""

    sizes: Counts  # (n_bins,), which differ by one at most
    confidence: Floats  # (n_bins,) mean of a bin's confidences
    accuracy: Floats  # (n_bins,) share of a bin's texts that are right

    @property
    def error(self) -> float:
        """The expected calibration error: mean over texts of |accuracy - confidence| of their bin.

        Naeini et al., AAAI 2015, with bins of equal mass (Nguyen and O'Connor, EMNLP 2015)."""
        return float(self.sizes @ np.abs(self.accuracy - self.confidence) / self.sizes.sum())


def confidence_bins(confidence: ArrayLike, is_right: ArrayLike, n_bins: int = N_BINS) -> Bins:
    """Group texts by confidence: confidence (n,) in [0, 1], is_right (n,) bool, n from 1.

    Fewer texts than bins are a bin each. Equal confidences share their hits, so it does not matter
    which of them falls into which bin."""
    values, place, counts = np.unique(np.asarray(confidence), return_inverse=True, return_counts=True)
    hits = np.bincount(place, np.asarray(is_right, np.float64)) / counts
    n = len(place)
    sizes = np.array([len(part) for part in np.array_split(np.empty(n, np.bool_), min(n_bins, n))])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return Bins(
        sizes,
        np.add.reduceat(np.repeat(values, counts), starts) / sizes,
        np.add.reduceat(np.repeat(hits, counts), starts) / sizes,
    )


def error_if_calibrated(bins: Bins, seed: int = 0) -> tuple[float, float]:
    """What the calibration error would be by chance alone: its mean and its 95th percentile.

    Were every probability true, so few texts would still show an error. Consistency resampling: Bröcker and
    Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22, 2007;
    Vaicenavicius et al., AISTATS 2019. A bin's texts are drawn with its mean confidence."""
    errors = _resampled(bins, np.zeros(len(bins.sizes)), seed)
    return float(errors.mean()), float(np.quantile(errors, LEVEL))


def error_interval(bins: Bins, seed: int = 0) -> Interval:
    """95% interval of the calibration error that endless texts would show in such bins.

    The error found is too large on average, because noise counts as error, so it lies high in the interval.
    The interval is every true error under which 2.5% or more of resampled sets show one as small, and as
    large, as the one found. The bins' true gaps are taken in proportion to the gaps found, drawn together as
    far as their spread is noise; bench/coverage.py has how often the interval holds."""
    found = bins.error
    shape = _likely_gaps(bins)

    def tails(error: float) -> tuple[float, float]:
        low, high = np.quantile(_resampled(bins, error * shape, seed), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    low = 0.0 if tails(0.0)[1] >= found else _border(lambda error: tails(error)[1] < found, 0.0, found)
    high = _border(lambda error: tails(error)[0] <= found, found, 1.0)
    return [min(low, found), max(high, found)]


def _likely_gaps(bins: Bins) -> Floats:
    """Gaps of a calibration error of 1, in the likely proportion: (n_bins,).

    The gaps found, in units of their noise, each drawn towards their mean as far as they spread no more
    than noise does (normal empirical Bayes: Efron and Morris, JASA 68, 1973)."""
    noise = np.sqrt(np.maximum(bins.confidence * (1 - bins.confidence), 1e-6) / bins.sizes)
    scaled = (bins.accuracy - bins.confidence) / noise
    mean = scaled.mean()
    spread = max(float(((scaled - mean) ** 2 - 1).mean()), 0.0)
    drawn = noise * (mean + (scaled - mean) * spread / (spread + 1))
    size = float(bins.sizes @ np.abs(drawn) / bins.sizes.sum())
    likely: Floats = drawn / size if size > 0 else np.ones(len(noise))
    return likely


def _border(is_inside: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where, between the two, it stops being true."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return (inside + outside) / 2


def _resampled(bins: Bins, gaps: NDArray[Any], seed: int) -> Floats:
    """Errors of sets whose bins are right with chance confidence + gap: gaps (n_bins,) -> (_N_DRAWS,)."""
    rng = np.random.default_rng(seed)
    chances = np.clip(bins.confidence + gaps, 0.0, 1.0)
    shares = rng.binomial(bins.sizes, chances, (_N_DRAWS, len(chances))) / bins.sizes
    errors: Floats = np.abs(shares - bins.confidence) @ bins.sizes / bins.sizes.sum()
    return errors


def calibration_figures(probabilities: ArrayLike, targets: ArrayLike) -> dict[str, float]:
    """ece (of the likeliest label), brier and nll (nats): probabilities (n, n_labels), targets (n,)."""
    chances, ids = np.asarray(probabilities), np.asarray(targets)
    return {
        "ece": _top_label_bins(chances, ids).error,
        "brier": float(brier_losses(chances, ids).mean()),
        "nll": log_loss(chances, ids),
    }


def calibration_intervals(probabilities: ArrayLike, targets: ArrayLike) -> dict[str, Any]:
    """95% intervals of ece and brier, and ece_if_calibrated: the mean and 95th percentile of the error that
    perfectly calibrated probabilities would show. brier is None of one text."""
    chances, ids = np.asarray(probabilities), np.asarray(targets)
    bins = _top_label_bins(chances, ids)
    return {
        "ece": error_interval(bins),
        "brier": loss_interval(brier_losses(chances, ids)),
        "ece_if_calibrated": list(error_if_calibrated(bins)),
    }


def _top_label_bins(chances: NDArray[Any], ids: NDArray[Any]) -> Bins:
    return confidence_bins(chances.max(axis=1), chances.argmax(axis=1) == ids)
