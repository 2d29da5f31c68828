"""The settings with which pretraining begins where the user names no others.

One rate for all: fine-tuning has a faster one for its new head, which is small; here all words are one.
"""

import types
from collections.abc import Mapping
from typing import Any, Final

from whet.errors import ConfigError

_OF_NEW: Final = ("vocab_size", "casing")
CONTINUING: Final[Mapping[str, Any]] = types.MappingProxyType(
    {
        # Gururangan et al. 2020, "Don't stop pretraining", appendix B: task-adaptive training.
        "learning_rate": 1e-4,
        "warmup": 0.06,
        "adam_beta2": 0.98,
        "adam_epsilon": 1e-6,
        "batch_size": 64,
        "dev_fraction": 0.05,
        "tokens_per_pass": 4096,  # a pass holds a number a word of the vocabulary for each hidden token
    }
)
FROM_NOTHING: Final[Mapping[str, Any]] = types.MappingProxyType(
    {
        **CONTINUING,
        # A small encoder in a short time takes a high rate (Geiping and Goldstein 2022, "Cramming").
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "batch_size": 128,
    }
)


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, over those of their kind; the head's rate is the encoder's."""
    found = {**(FROM_NOTHING if _is_new(settings) else CONTINUING), **settings}
    rate = found["learning_rate"]
    return found if rate is None else {"head_learning_rate": rate, **found}


def refuse_idle(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for what is about a new tokeniser where a checkpoint brings its own."""
    idle = [name for name in _OF_NEW if name in settings]
    if idle and not _is_new(settings):
        raise ConfigError(
            f"{', '.join(idle)}: about a new encoder's tokeniser, and a checkpoint brings its own. Add --new "
            "tiny, or leave it out."
        )


def _is_new(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("new", "none") != "none")
