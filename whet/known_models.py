"""Which encoders there are, and what a checkpoint is, from its config.json alone."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, final, overload

import torch

from whet.checkpoints.families import MODEL_TYPES, family_named
from whet.checkpoints.families.base import Family, architectures
from whet.checkpoints.loading import described, read_config
from whet.checkpoints.locate import glance
from whet.encoder.network import EncoderSpec
from whet.errors import CheckpointError
from whet.tasks import TASKS

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_TOKENISER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt")
_FROM_CONFIG = ("family", "n_layers", "hidden_size", "n_heads", "vocab_size", "max_positions", "n_parameters")

Runs = Literal["packed", "padded", "refused"]


@final
@dataclass(frozen=True)
class PackedFamily:
    """Encoders that run packed."""

    model_type: str  # of config.json
    title: str  # as people call it
    advice: str  # when to choose it


@final
@dataclass(frozen=True)
class Description:
    """What config.json says of a checkpoint, and which files it has. None is not known, or refused."""

    name: str
    model_type: str | None
    family: str | None  # as people call it
    runs: Runs
    why: str | None  # it is refused, or when to choose it
    n_layers: int | None
    hidden_size: int | None
    n_heads: int | None
    vocab_size: int | None
    max_positions: int | None  # tokens of the longest sequence
    n_parameters: int | None  # of the encoder
    tasks: tuple[str, ...]  # that there are heads for
    head: str | None  # the class of the head that it has
    labels: tuple[str, ...]  # of that
    tokeniser: tuple[str, ...]  # files
    weights: Literal["safetensors", "pickle", "none"]  # of a pickle nothing is ever loaded

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@overload
def models() -> tuple[PackedFamily, ...]: ...


@overload
def models(name: str | os.PathLike[str]) -> Description: ...


def models(name: str | os.PathLike[str] | None = None) -> tuple[PackedFamily, ...] | Description:
    """The families that run packed; or, with a name, what a checkpoint is: a folder, mini, or a hub name.

    No weights are read; of a hub name that is not in the local cache only config.json is fetched. Raises
    CheckpointError where there is no such checkpoint, or its config.json cannot be read."""
    if name is not None:
        return _described(os.fspath(name))
    families = map(family_named, MODEL_TYPES)
    return tuple(PackedFamily(one.model_type, one.title, one.advice) for one in families)


def _described(name: str) -> Description:
    with tempfile.TemporaryDirectory() as scratch:
        seen = glance(name, Path(scratch))
        config = read_config(seen.folder)
    has_weights = not seen.files.isdisjoint(_WEIGHTS)
    has_pickle = any(file.endswith(_PICKLES) and "/" not in file for file in seen.files)
    model_type = config.get("model_type")
    common: dict[str, Any] = {
        "name": name,
        "model_type": model_type if isinstance(model_type, str) else None,
        "tokeniser": tuple(file for file in _TOKENISER if file in seen.files),
        "weights": "safetensors" if has_weights else "pickle" if has_pickle else "none",
    }
    try:
        family, spec, _ = described(config)
        return Description(**common, **_encoder(family, spec, config), **_head(family, config))
    except CheckpointError as error:
        unknown: dict[str, Any] = dict.fromkeys(_FROM_CONFIG)
        return Description(
            **common, **unknown, runs="refused", why=str(error), tasks=(), head=None, labels=()
        )


def _encoder(family: Family, spec: EncoderSpec, config: Mapping[str, Any]) -> dict[str, Any]:
    with torch.device("meta"):
        encoder = family.encoder(spec, config)
    return {
        "family": family.title,
        "runs": "packed" if family.is_packed else "padded",
        "why": family.advice,
        "n_layers": spec.n_layers,
        "hidden_size": spec.hidden_size,
        "n_heads": spec.n_heads,
        "vocab_size": spec.vocab_size,
        "max_positions": spec.max_positions,
        "n_parameters": sum(parameter.numel() for parameter in encoder.parameters()),
    }


def _in_order(id2label: Mapping[str, Any]) -> list[Any]:
    """By number, where all are numbered."""
    try:
        return [id2label[key] for key in sorted(id2label, key=int)]
    except ValueError:
        return list(id2label.values())


def _head(family: Family, config: Mapping[str, Any]) -> dict[str, Any]:
    written = architectures(config)
    named = [head.architecture for head in family.heads.values() if head.architecture in written]
    id2label = config.get("id2label") if named else None
    labels = tuple(map(str, _in_order(id2label))) if isinstance(id2label, dict) else ()
    return {
        "tasks": tuple(name for name, task in TASKS.items() if task.layout in family.heads),
        "head": named[0] if named else None,
        "labels": labels,
    }
