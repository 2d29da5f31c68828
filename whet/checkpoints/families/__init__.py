"""The families whose encoders run packed: a file each, named as config.json's model_type is. For all others
see checkpoints/foreign.py.

The file of a family is found by that name and read when it is needed, so that nothing else has to be touched
for a new one, and nobody waits for those that he does not use.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from whet.checkpoints.families.base import Family, architectures

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
    """The family that a config.json belongs to; one of its own where the encoder does not run packed. Raises
    CheckpointError for what is no encoder that transformers has."""
    architectures(config)  # raises
    if config.get("model_type") in MODEL_TYPES:
        return family_named(config["model_type"])
    from whet.checkpoints.foreign import foreign_family  # which needs this package's `base`

    return foreign_family(config, MODEL_TYPES)
