"""The families whose encoders run packed: a literal table."""

from collections.abc import Mapping
from typing import Any

from whet.checkpoints.families import bert
from whet.checkpoints.families.base import Family
from whet.errors import CheckpointError

FAMILIES = {family.model_type: family for family in (bert.FAMILY,)}


def family_of(config: Mapping[str, Any]) -> Family:
    """The family that a config.json belongs to. Raises CheckpointError for one that is not built."""
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        raise CheckpointError(
            f"config.json: model_type is '{model_type}', which whet does not run yet; "
            f"it runs {', '.join(FAMILIES)}. Choose another checkpoint, or --model mini."
        )
    return FAMILIES[model_type]
