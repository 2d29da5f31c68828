"""One file for each packed family: how transformers makes a small one of it."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """What transformers' configuration class is given; the rest is the family's own."""

    config: Mapping[str, Any]
    lengths: tuple[int, ...] = (1, 2, 3, 3, 17, 64, 129, 200, 17, 3)  # some equal, in no order
    idle: tuple[str, ...] = field(default=())  # of our tensors, those that no logit depends on
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other shapes of the family: what each changes in `config`; every test is run with each, by its name."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Functions of transformers that are not exact in float64, and other ones of theirs that are."""


def entry_of(model_type: str) -> Entry:
    """That of a family. Raises ModuleNotFoundError where it is missing: every family has one."""
    found: Entry = importlib.import_module(f"{__name__}.{model_type.replace('-', '_')}").ENTRY
    return found
