"""How far a predicted number may lie from the truth: split conformal intervals.

The half width is a high rank of the absolute errors on rows that the model was not trained on. If new rows
come from where these did, an interval holds its target with at least the stated chance, whatever the model
and the distribution of errors: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Lei
and others, "Distribution-free predictive inference for regression", JASA 113, 2018. All intervals are equally
wide. Rows that chose an epoch or a setting are a little too easy for the model: intervals from them are a
little too narrow.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from whet.intervals import wilson
from whet.regression_metrics import checked

PREDICTION_LEVEL = 0.9


def conformal_half_width(
    predicted: ArrayLike, true: ArrayLike, level: float = PREDICTION_LEVEL
) -> float | None:
    """The ceil((n + 1) level)-th smallest |predicted - true| of n held-out rows: two arrays (n,).

    None where n is too small for the level: 0.9 takes 9 rows, 0.95 takes 19. ValueError: as `checked`, or a
    level outside (0, 1)."""
    ours, theirs = checked(predicted, true)
    rank = _rank(len(ours), level)
    return None if rank > len(ours) else float(np.sort(np.abs(ours - theirs))[rank - 1])


def measured_coverage(
    predicted: ArrayLike, true: ArrayLike, half_width: float, level: float = PREDICTION_LEVEL
) -> dict[str, Any]:
    """How many of other rows' targets their intervals hold, ends included: two arrays (n,).

    Keys: level, half_width, n, covered, coverage, interval (Wilson's 95% interval of coverage)."""
    ours, theirs = checked(predicted, true)
    covered = int((np.abs(ours - theirs) <= half_width).sum())
    return {
        "level": level,
        "half_width": half_width,
        "n": len(ours),
        "covered": covered,
        "coverage": covered / len(ours),
        "interval": wilson(covered, len(ours)),
    }


def _rank(n: int, level: float) -> int:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    return math.ceil((n + 1) * level - 1e-9)  # (n + 1) * 0.9 may come out a rounding above a whole number
