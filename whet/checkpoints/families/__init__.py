"""The families whose encoders run packed: a file each, named as config.json's model_type is.

The file of a family is found by that name and read when it is needed, so that nothing else has to be touched
for a new one, and nobody waits for those that he does not use.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from whet.checkpoints.families.base import Family
from whet.errors import CheckpointError

MODEL_TYPES = tuple(
    sorted(
        module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if module.name != "base"
    )
)
"""What config.json's model_type may be."""


def family_named(model_type: str) -> Family:
    """One of `MODEL_TYPES`."""
    found: Family = importlib.import_module(f"{__name__}.{model_type.replace('-', '_')}").FAMILY
    return found


def family_of(config: Mapping[str, Any]) -> Family:
    """The family that a config.json belongs to. Raises CheckpointError for one that is not built."""
    model_type = config.get("model_type")
    if model_type not in MODEL_TYPES:
        raise CheckpointError(
            f"config.json: model_type is '{model_type}', which whet does not run yet; "
            f"it runs {', '.join(MODEL_TYPES)}. Choose another checkpoint, or --model mini."
        )
    return family_named(model_type)
