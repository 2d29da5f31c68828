"""The scale on which a model learns numbers, and the way back to the unit of the data."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from whet.errors import DataError
from whet.metrics import Floats
from whet.regression_metrics import is_constant


@final
@dataclass(frozen=True)
class TargetScale:
    """Targets as the model learns them: mean 0, standard deviation 1 over the training rows."""

    mean: float
    deviation: float  # above 0, with n in the denominator

    @classmethod
    def of(cls, targets: ArrayLike, place: str) -> "TargetScale":
        """The scale of finite targets (n,). place, as "sts.csv: column 'score'", opens the DataError for
        targets that do not vary, or that are too large to be squared."""
        values = np.asarray(targets, np.float64)
        if len(values) == 0 or is_constant(values):
            found = f"all {len(values):,} targets are {values[0]:g}" if len(values) else "there is no target"
            raise DataError(
                f"{place}: {found}, and a regression needs at least two different ones. "
                f"Add rows, or name another column with --label."
            )
        with np.errstate(over="ignore"):
            scale = cls(float(values.mean()), float(values.std()))
        if not 1e-150 < scale.deviation < 1e150:
            raise DataError(
                f"{place}: the targets reach from {values.min():g} to {values.max():g}, beyond what can be "
                f"computed with. Give them in another unit."
            )
        return scale

    def scaled(self, targets: ArrayLike) -> Floats:
        """In the data's unit -> in standard deviations from the mean; any shape."""
        return np.asarray((np.asarray(targets, np.float64) - self.mean) / self.deviation)

    def restored(self, outputs: ArrayLike) -> Floats:
        """The inverse of `scaled`."""
        return np.asarray(np.asarray(outputs, np.float64) * self.deviation + self.mean)
