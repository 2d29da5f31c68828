"""whet fine-tunes pre-trained encoders on your own labelled text.

    run = whet.train("reviews.csv")
    model = whet.load("runs/reviews")
    model.predict(["A joy from start to end."])

Everything is loaded on first use: importing whet loads neither torch nor transformers.
"""

import importlib
from typing import TYPE_CHECKING, Any

from whet.version import __version__

if TYPE_CHECKING:
    from whet.api import (
        Run,
        check,
        compare,
        estimate,
        evaluate,
        load,
        load_encoder,
        load_module,
        pretrain,
        train,
    )
    from whet.checkpoints.locate import locate
    from whet.config import TrainConfig
    from whet.errors import WhetError
    from whet.evaluation import Evaluation
    from whet.glue_suite import glue
    from whet.known_models import models
    from whet.labelling import select
    from whet.searching import search
    from whet.user_model import Model

__all__ = [
    "Evaluation",
    "Model",
    "Run",
    "TrainConfig",
    "WhetError",
    "__version__",
    "check",
    "compare",
    "estimate",
    "evaluate",
    "glue",
    "load",
    "load_encoder",
    "load_module",
    "locate",
    "models",
    "pretrain",
    "search",
    "select",
    "train",
]

_HOMES = {
    "Model": "whet.user_model",
    "Evaluation": "whet.evaluation",
    "TrainConfig": "whet.config",
    "WhetError": "whet.errors",
    "glue": "whet.glue_suite",
    "models": "whet.known_models",
    "search": "whet.searching",
    "select": "whet.labelling",
    "locate": "whet.checkpoints.locate",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'whet' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES.get(name, "whet.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
