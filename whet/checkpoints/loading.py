"""Reading a checkpoint folder: configuration, weights and, where it has one, the head with its labels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from whet.checkpoints.families import family_of
from whet.checkpoints.families.base import Family
from whet.checkpoints.names import NameTable
from whet.encoder.network import Encoder, EncoderSpec
from whet.errors import CheckpointError

_POOLER = ("pooler.weight", "pooler.bias")
_PICKLES = ("pytorch_model.bin", "*.bin", "*.pt", "*.pth", "*.ckpt")


@final
@dataclass(frozen=True)
class Checkpoint:
    """A folder's content, under our names."""

    folder: Path
    config: Mapping[str, Any]
    family: Family
    spec: EncoderSpec
    encoder: Mapping[str, Tensor]  # whole but for the pooler, which many checkpoints lack
    layout: str | None  # of the head, a key of the family's heads; None without one
    head: Mapping[str, Tensor]  # empty without one
    labels: tuple[str, ...]  # of the head, in its order; empty without one


def open_checkpoint(folder: Path) -> Checkpoint:
    """Raises CheckpointError: no folder, no or bad config.json, another family, weights that are absent,
    pickled or damaged, an encoder tensor missing or of the wrong shape."""
    config = read_config(folder)
    try:
        family = family_of(config)
        spec = family.spec(config)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    foreign = _renamed(read_weights(folder), family.encoder_prefix)
    encoder = family.encoder_names(spec).load(foreign)
    _check_encoder(folder, spec, family.encoder_names(spec), foreign, encoder)
    layout, head = _head(config, family, foreign)
    labels = _labels(folder, config, head)
    if not labels:
        layout, head = None, {}
    return Checkpoint(folder, config, family, spec, encoder, layout, head, labels)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as it stands."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder} has no config.json, so it is not a checkpoint folder.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: expected an object.")
    return config


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of model.safetensors, or of the shards that its index names."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").exists():
        files = ["model.safetensors"]
    elif index.exists():
        try:
            files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{index}: not a weight index ({error}).") from None
    else:
        pickles = sorted({path.name for pattern in _PICKLES for path in folder.glob(pattern)})
        if pickles:
            raise CheckpointError(
                f"{folder} has its weights only as a pickle ({', '.join(pickles)}), which can run any code "
                "when it is loaded, so whet refuses it. Convert it where you trust it: transformers' "
                "from_pretrained(folder).save_pretrained(new_folder) writes model.safetensors."
            )
        raise CheckpointError(f"{folder} has a config.json but no weights: model.safetensors is missing.")
    weights: dict[str, Tensor] = {}
    for name in files:
        try:
            weights |= load_file(folder / name)
        except FileNotFoundError:
            raise CheckpointError(f"{folder / name} is missing; the checkpoint is not whole.") from None
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{folder / name} is damaged or not a safetensors file ({error}). Fetch the checkpoint again."
            ) from None
    return weights


def encoder_from(
    checkpoint: Checkpoint, dropout: float | None, generator: torch.Generator, pooler: bool = True
) -> tuple[Encoder, int]:
    """The encoder with its weights, and how many of its tensors had to be made new (a missing pooler).

    dropout overrides the checkpoint's own. Without `pooler` it has none, whether or not there is one."""
    spec = checkpoint.spec
    if dropout is not None:
        spec = type(spec)(**{**spec.__dict__, "dropout": dropout})
    encoder = Encoder(spec, pooler)
    weights = {name: value for name, value in checkpoint.encoder.items() if pooler or name not in _POOLER}
    missing = encoder.load_state_dict(weights, strict=False).missing_keys
    if missing:
        assert encoder.pooler is not None
        new_linear(encoder.pooler, spec.initializer_range, generator)
    return encoder, len(missing)


def new_linear(layer: torch.nn.Linear, standard_deviation: float, generator: torch.Generator) -> None:
    """BERT's start for new layers: normal weights, zero biases."""
    torch.nn.init.normal_(layer.weight, std=standard_deviation, generator=generator)
    torch.nn.init.zeros_(layer.bias)


def _renamed(foreign: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Without the encoder's prefix, and with LayerNorm's old names (gamma, beta) made new."""
    renamed = {}
    for name, tensor in foreign.items():
        name = name.removeprefix(prefix)
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            if name.endswith("LayerNorm" + old):
                name = name.removesuffix(old) + new
        renamed[name] = (
            tensor.float() if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor
        )
    return renamed


def _check_encoder(
    folder: Path,
    spec: EncoderSpec,
    names: NameTable,
    foreign: Mapping[str, Tensor],
    encoder: Mapping[str, Tensor],
) -> None:
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in Encoder(spec).state_dict().items()}
    problems = []
    for ours, shape in expected.items():
        theirs = names.rows[ours]
        if ours not in encoder:
            absent = [name for name in theirs if name not in foreign]
            if not ours.startswith("pooler."):
                problems.append(f"{', '.join(absent)}: missing")
        elif encoder[ours].shape != shape:
            found = ", ".join(f"{name} {tuple(foreign[name].shape)}" for name in theirs)
            problems.append(f"{found}: config.json asks for {tuple(shape)} in all")
    if problems:
        more = f"\n  and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(
            f"{folder}: the weights do not make the encoder that config.json describes:\n  "
            + "\n  ".join(problems[:8])
            + more
        )


def _head(
    config: Mapping[str, Any], family: Family, foreign: Mapping[str, Tensor]
) -> tuple[str | None, dict[str, Tensor]]:
    """The layout of the head that is there, and its tensors; by config.json's architectures, else the first
    whose tensors are there."""
    written = config.get("architectures") or ()
    known = [layout for layout, head in family.heads.items() if head.architecture in written]
    for layout in known or family.heads:
        names = family.heads[layout].names
        head = names.load(foreign)
        if head.keys() == names.rows.keys():
            return layout, head
    return None, {}


def _labels(folder: Path, config: Mapping[str, Any], head: Mapping[str, Tensor]) -> tuple[str, ...]:
    """id2label in order, where the head is there and fits it; else empty."""
    if "classifier.weight" not in head or "classifier.bias" not in head:
        return ()
    n_labels, wide = head["classifier.weight"].shape[0], head["classifier.weight"].ndim == 2
    id2label = config.get("id2label")
    if not wide or head["classifier.bias"].shape != (n_labels,):
        return ()
    if id2label is None:
        return tuple(f"LABEL_{i}" for i in range(n_labels))
    try:
        labels = tuple(str(id2label[str(i)]) for i in range(n_labels))
    except (KeyError, TypeError):
        raise CheckpointError(
            f"{folder}: the head has {n_labels} outputs, which config.json's id2label does not name."
        ) from None
    if len(set(labels)) != n_labels:
        raise CheckpointError(f"{folder}: config.json's id2label names a label twice: {', '.join(labels)}.")
    return labels
