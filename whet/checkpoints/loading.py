"""Reading a checkpoint folder: configuration, weights and, where it has one, the head with its labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from whet.checkpoints.families import family_of
from whet.checkpoints.families.base import MASKED_LM, MEAN, Family, Tensors, architectures
from whet.checkpoints.sentence import dense_tensors
from whet.encoder.dropout import KeyedDropout
from whet.encoder.heads import Head
from whet.encoder.network import AnyEncoder, EncoderSpec
from whet.errors import CheckpointError

_PICKLES = ("pytorch_model.bin", "*.bin", "*.pt", "*.pth", "*.ckpt")


@final
@dataclass(frozen=True)
class Checkpoint:
    """A folder's content, under our names."""

    folder: Path
    config: Mapping[str, Any]
    family: Family
    spec: EncoderSpec
    tensors: Mapping[str, Tensor]  # under the family's names, without the encoder's prefix
    layout: str | None  # of the head, a key of the family's heads; None without one that is whole
    labels: tuple[str, ...]  # of the head, in its order; empty without one

    def state(self, layout: str) -> dict[str, Tensor]:
        """All tensors of an encoder and a head of this layout, as a model names them."""
        encoder = self.family.encoder_names(self.spec, self.config).load(self.tensors)
        head = self.family.head_class(layout).names.load(self.tensors)
        return {f"encoder.{name}": tensor for name, tensor in encoder.items()} | {
            f"head.{name}": tensor for name, tensor in head.items()
        }


def open_checkpoint(folder: Path) -> Checkpoint:
    """Raises CheckpointError: no folder, no or bad config.json, another family, weights that are absent,
    pickled or damaged, an encoder tensor missing or of the wrong shape."""
    config = read_config(folder)
    try:
        family, spec, shapes = described(config)
        weights: Tensors = read_weights(folder)
        foreign = _renamed(
            {**family.convert(weights, config), **dense_tensors(folder)}, family.encoder_prefix
        )
        _check_encoder(family, spec, config, shapes, foreign)
        layout, head = _head(config, family, spec, foreign)
        if broken := sorted(name for name, tensor in head.items() if not tensor.isfinite().all()):
            raise CheckpointError(f"the head holds NaN or infinity in {', '.join(broken)}.")
    except CheckpointError as error:
        raise CheckpointError(_with_place(folder, error)) from None
    labels = _labels(folder, config, head)
    return Checkpoint(folder, config, family, spec, foreign, layout if labels else None, labels)


def described(config: Mapping[str, Any]) -> tuple[Family, EncoderSpec, dict[str, torch.Size]]:
    """What config.json describes: the family, the encoder, and its tensors' shapes under our names. Raises
    CheckpointError where that is no encoder of ours or of transformers."""
    family = family_of(config)
    try:
        spec = family.spec(config)
        with torch.device("meta"):
            state = family.encoder(spec, config).state_dict()
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(  # of an entry that no check is about
            f"config.json does not describe an encoder of this family, {family.title} "
            f"({type(error).__name__}: {error}). Fetch the checkpoint again."
        ) from None
    return family, spec, {name: tensor.shape for name, tensor in state.items()}


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
            named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            files = sorted({Path(name).name for name in named})  # beside the index, and nowhere else
        except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise CheckpointError(
                f"{index}: not a weight index ({error}). Fetch the checkpoint again."
            ) from None
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
    quantised = sorted(name for name, tensor in weights.items() if tensor.ndim > 1 and tensor.itemsize == 1)
    if quantised:
        raise CheckpointError(
            f"{folder}: {quantised[0]} is of 8 bits ({len(quantised)} tensors are): the weights are "
            "quantised, and whet reads 16, 32 or 64 bits. Take the checkpoint that these were made of."
        )
    return weights


def encoder_from(
    checkpoint: Checkpoint, dropout: float | None, generator: torch.Generator, layout: str | None = None
) -> tuple[AnyEncoder, frozenset[str]]:
    """The encoder with its weights, and the names of its tensors that had to be made new (of a pooler).

    dropout overrides the checkpoint's own. layout is that of the head which it is for; None is the encoder by
    itself. Raises CheckpointError where another tensor than a pooler's is missing."""
    family, spec, config = checkpoint.family, checkpoint.spec, checkpoint.config
    encoder = family.encoder_of(layout, spec, config)
    found = family.encoder_names(spec, config).load(checkpoint.tensors)
    new = _fill(encoder, found, spec, generator)
    if layout in (MEAN, MASKED_LM) and all(map(_is_of_pooler, new)):  # which nothing reads there
        if new:
            encoder.pooler = None
        new = frozenset()
    missing = sorted(name for name in new if not _is_of_pooler(name))
    if missing:  # of an encoder that is larger in this head's class than by itself
        raise CheckpointError(f"{checkpoint.folder}: {', '.join(missing[:8])}: missing, and needed here.")
    _set_dropout(encoder, dropout)
    return encoder, new


def head_from(
    checkpoint: Checkpoint,
    layout: str,
    n_outputs: int,
    rows: Sequence[int] | slice | None,
    dropout: float | None,
    generator: torch.Generator,
) -> tuple[Head, frozenset[str]]:
    """A head in the family's own layout, and the names of its tensors that had to be made new.

    rows are those of the checkpoint's classifier that make this one, in their order or all, None for a new
    one. What stands before the classifier is kept where the checkpoint has it."""
    head_class = checkpoint.family.head_class(layout)
    head = head_class.build(checkpoint.spec, checkpoint.config, n_outputs)
    found = head_class.names.load(checkpoint.tensors)
    for name in [name for name in found if name.startswith("classifier.")]:
        if rows is None:
            del found[name]
        else:
            found[name] = found[name][rows if isinstance(rows, slice) else list(rows)]
    new = _fill(head, found, checkpoint.spec, generator)
    _set_dropout(head, dropout)
    return head, new


def _fill(
    module: nn.Module, found: Mapping[str, Tensor], spec: EncoderSpec, generator: torch.Generator
) -> frozenset[str]:
    """Load what was found and make the rest new, as BERT starts: normal weights, zero biases, norms that
    change nothing; -> the names of the rest."""
    wanted = module.state_dict()
    known = {
        name: found[name] for name in wanted if name in found and found[name].shape == wanted[name].shape
    }
    new = frozenset(wanted) - known.keys()
    module.load_state_dict(known, strict=False)
    for place, part in module.named_modules():
        if isinstance(part, nn.Linear) and f"{place}.weight" in new:
            nn.init.normal_(part.weight, std=spec.initializer_range, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return new


def _set_dropout(module: nn.Module, dropout: float | None) -> None:
    """Ours, and what modules of transformers have: as a module, or as a number of their own."""
    if dropout is not None:
        for part in module.modules():
            if isinstance(part, KeyedDropout | nn.Dropout):
                part.p = dropout
            for name, value in vars(part).items():
                if "dropout" in name and isinstance(value, float):
                    setattr(part, name, dropout)


def _is_of_pooler(name: str) -> bool:
    """Of a tensor; a checkpoint need not have it."""
    return "pooler" in name.split(".")


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


def _with_place(folder: Path, error: CheckpointError) -> str:
    """The message, with the folder where it does not name it yet."""
    return str(error) if str(error).startswith(str(folder)) else f"{folder}: {error}"


def _check_encoder(
    family: Family,
    spec: EncoderSpec,
    config: Mapping[str, Any],
    shapes: Mapping[str, torch.Size],
    foreign: Mapping[str, Tensor],
) -> None:
    names = family.encoder_names(spec, config)
    encoder = names.load(foreign)
    problems = []
    for ours, shape in shapes.items():
        theirs = names.rows[ours]
        absent = [name for name in theirs if name not in foreign]
        if absent:
            if not _is_of_pooler(ours):
                problems.append(f"{', '.join(absent)}: missing")
        elif ours not in encoder or encoder[ours].shape != shape:
            found = ", ".join(f"{name} {tuple(foreign[name].shape)}" for name in theirs)
            problems.append(f"{found}: config.json asks for {tuple(shape)} in all")
        elif not encoder[ours].isfinite().all():
            problems.append(f"{', '.join(theirs)}: holds NaN or infinity")
    one_more = family.encoder_names(replace(spec, n_layers=spec.n_layers + 1), config)
    problems += [
        f"{', '.join(theirs)}: of a layer more than the {spec.n_layers} that config.json names"
        for ours, theirs in one_more.rows.items()
        if ours not in names.rows and all(name in foreign for name in theirs)
    ]
    if problems:
        more = f"\n  and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(
            "the weights do not make the encoder that config.json describes:\n  "
            + "\n  ".join(problems[:8])
            + more
        )


def _head(
    config: Mapping[str, Any], family: Family, spec: EncoderSpec, foreign: Mapping[str, Tensor]
) -> tuple[str | None, dict[str, Tensor]]:
    """The layout of the head that is there and fits the encoder, and its tensors; by config.json's
    architectures, else the first whose tensors are there."""
    written = architectures(config)
    known = [layout for layout, head in family.heads.items() if head.architecture in written]
    for layout in known or (*family.heads, MEAN):
        head_class = family.head_class(layout)
        head = head_class.names.load(foreign)
        with torch.device("meta"):
            wanted = head_class.build(spec, config, 1).state_dict()
        if all(name in head and _fits(head[name], name, tensor) for name, tensor in wanted.items()):
            return layout, head
    return None, {}


def _fits(found: Tensor, name: str, wanted: Tensor) -> bool:
    """Whether a head's tensor can be `wanted`, but for the number of outputs."""
    n_free = 1 if name.startswith("classifier.") else 0
    return found.ndim == wanted.ndim and found.shape[n_free:] == wanted.shape[n_free:]


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
