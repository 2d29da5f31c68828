"""The scale of targets: scikit-learn's, exactly undone, and refused where there is none."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from whet.errors import DataError
from whet.target_scale import TargetScale


def test_scale_is_scikit_learns() -> None:
    targets = np.random.default_rng(0).normal(3, 2, 53)
    scale = TargetScale.of(targets, "x.csv")
    theirs = StandardScaler().fit(targets[:, None])
    assert (scale.mean, scale.deviation) == pytest.approx((theirs.mean_[0], theirs.scale_[0]))
    assert scale.scaled(targets) == pytest.approx(theirs.transform(targets[:, None])[:, 0])
    assert scale.restored(scale.scaled(targets)) == pytest.approx(targets, rel=1e-14)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([3.0, 3.0], "all 2 targets are 3, and a regression needs at least two different ones"),
        ([0.1 + 0.2, 0.3], "all 2 targets are 0.3"),
        ([], "there is no target"),
        ([-1e300, 1e300], "the targets reach from -1e[+]300 to 1e[+]300"),
        ([0.0, 1e-300], "the targets reach from 0 to 1e-300"),
    ],
)
def test_no_scale(targets: list[float], message: str) -> None:
    with pytest.raises(DataError, match=f"sts.csv: column 'score': {message}"):
        TargetScale.of(targets, "sts.csv: column 'score'")
