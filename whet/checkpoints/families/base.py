"""What a family of encoders has to say about itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from whet.checkpoints.names import NameTable
from whet.encoder.network import EncoderSpec
from whet.errors import CheckpointError


@final
@dataclass(frozen=True)
class Family:
    """How config.json and parameter names of one `model_type` map to ours."""

    model_type: str
    spec: Callable[[Mapping[str, Any]], EncoderSpec]  # raises CheckpointError
    encoder_names: Callable[[EncoderSpec], NameTable]
    encoder_prefix: str  # what stands before the encoder's names in a model with a head
    heads: Mapping[str, "HeadClass"]  # by what a task's `layout` is


@final
@dataclass(frozen=True)
class HeadClass:
    """A head as transformers has it."""

    architecture: str  # the class
    names: NameTable  # the head's tensors in it


def one_linear(theirs: str) -> NameTable:
    """The names of a head that is one linear layer."""
    return NameTable({f"classifier.{kind}": (f"{theirs}.{kind}",) for kind in ("weight", "bias")})


def setting(config: Mapping[str, Any], key: str, kind: type) -> Any:
    """One entry of config.json. Raises CheckpointError where it is absent or of another type."""
    value = config.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CheckpointError(
            f"config.json: {key} is {value!r}, and must be {kind.__name__}; the folder is not whole."
        )
    return value
