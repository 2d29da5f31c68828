"""Modules of transformers behind our seam: packed batch in, logits out, padded inside.

The base model of a class is the encoder here and the rest of the class the head, so that either is trained,
frozen and saved as one of ours is. Nothing is computed by us: the class's own `forward` runs, on batches of
near lengths. The base and the classifier are taken out of the class and lent to it, so that each parameter
is found in one place.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from whet.encoder.heads import Head, means
from whet.encoder.network import AnyEncoder, EncoderOutput, EncoderSpec
from whet.encoder.packing import PackedBatch
from whet.encoder.padding import PaddedBatch, padded
from whet.errors import ConfigError

_SEEDS = 1 << 63


@final
@dataclass(frozen=True)
class Padding:
    """How sequences are handed to a class of transformers."""

    token_id: int
    most: float  # share of a batch; 0 where padding would change what is computed of the others
    inputs: frozenset[str]  # what `forward` takes beside input_ids


@final
class PaddedEncoder(AnyEncoder):
    """A base model of transformers."""

    def __init__(self, spec: EncoderSpec, base: nn.Module, padding: Padding) -> None:
        super().__init__()
        self.spec = spec
        self.base = base
        self.pooler = None  # where there is one, it is the base's
        self.padding = padding

    @property
    def sequence(self) -> list[nn.Module]:
        return layers_of(self.base)

    @property
    def lowest(self) -> list[nn.Module]:
        return before_layers(self.base)

    def recompute_layers(self) -> None:
        base: Any = self.base
        if not getattr(base, "supports_gradient_checkpointing", False):
            raise ConfigError(
                f"gradient_checkpointing=on: transformers' {type(base).__name__} cannot do it. Leave it out."
            )
        enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
        enable({"use_reentrant": False})

    def run(self, module: nn.Module, batch: PackedBatch) -> list[tuple[PaddedBatch, Any]]:
        """What a module gives that takes transformers' inputs, for each padded part of the pack.

        Dropout is torch's own. It is seeded by the pack, so that a step that is made again drops the same
        units; another cut of the step into packs, or another device, drops others."""
        found = []
        with _seeded(batch, module.training):
            for part in padded(batch, self.padding.token_id, self.padding.most):
                inputs = {"attention_mask": part.mask.long(), "token_type_ids": part.type_ids}
                taken = {name: value for name, value in inputs.items() if name in self.padding.inputs}
                found.append((part, module(input_ids=part.token_ids, **taken)))
        return found

    def forward(self, batch: PackedBatch) -> EncoderOutput:
        found = self.run(self.base, batch)
        states = torch.cat([part.tokens(output.last_hidden_state) for part, output in found])
        pooled = [getattr(output, "pooler_output", None) for _, output in found]
        if any(one is None for one in pooled):
            return EncoderOutput(states, None)
        return EncoderOutput(states, torch.cat(cast(list[Tensor], pooled))[batch.ranks])

    def mean_states(self, batch: PackedBatch) -> Tensor:
        """The mean of each sequence's last hidden states, (n_sequences, hidden_size), in the caller's
        order."""
        vectors = []
        for part, output in self.run(self.base, batch):
            states = output.last_hidden_state * part.mask[:, :, None]
            vectors.append(states.sum(dim=1) / part.mask.sum(dim=1, keepdim=True))
        return torch.cat(vectors)[batch.ranks]


Reading = Callable[[list[tuple[PaddedBatch, Any]], PackedBatch], Tensor]
"""What a class gave for the parts of a pack -> logits as of `Head.forward`."""


def text_logits(found: list[tuple[PaddedBatch, Any]], batch: PackedBatch) -> Tensor:
    """Of a class for sequences."""
    logits = torch.cat([output.logits for _, output in found])[batch.ranks]
    return logits if batch.owners is None else means(logits, batch.owners)


def token_logits(found: list[tuple[PaddedBatch, Any]], batch: PackedBatch) -> Tensor:
    """Of a class for tokens."""
    return torch.cat([part.tokens(output.logits) for part, output in found])[_reads(batch)]


def span_logits(found: list[tuple[PaddedBatch, Any]], batch: PackedBatch) -> Tensor:
    """Of a class for questions: starts and ends side by side."""
    pairs = [(part, torch.stack([out.start_logits, out.end_logits], dim=-1)) for part, out in found]
    return torch.cat([part.tokens(pair) for part, pair in pairs])[_reads(batch)]


def _reads(batch: PackedBatch) -> Tensor:
    if batch.reads is None:
        raise ValueError("a head for tokens needs a pack that names the tokens to read")
    return batch.reads


@final
class PaddedHead(Head):
    """The rest of a class of transformers: all but its base model."""

    def __init__(self, whole: nn.Module, base: str, classifier: str, reading: Reading) -> None:
        """base and classifier are where these stand in the whole class."""
        super().__init__()
        _taken(whole, base)
        self.classifier = cast(nn.Linear, _taken(whole, classifier))
        self.rest = whole
        self._base, self._classifier, self._reading = base, classifier, reading

    def forward(self, encoder: PaddedEncoder, batch: PackedBatch) -> Tensor:
        _lend(self.rest, self._base, encoder.base)
        _lend(self.rest, self._classifier, self.classifier)
        return self._reading(encoder.run(self.rest, batch), batch)

    def vectors(self, encoder: PaddedEncoder, batch: PackedBatch) -> Tensor:
        """What the classifier reads is inside the class, so it is the mean of the last hidden states."""
        return encoder.mean_states(batch)


def layers_of(base: nn.Module) -> list[nn.Module]:
    """The layers of a base model in order: its list of modules with most parameters. Lists beside it of the
    same length (attentions, norms ...) are parts of the same layers."""
    lists: dict[str, list[nn.Module]] = {}
    for name, module in base.named_modules():
        is_inside = any(name.startswith(f"{outer}.") for outer in lists)
        if isinstance(module, nn.ModuleList) and not is_inside:
            lists[name] = list(module)
    if not lists:
        return []
    largest = max(lists, key=lambda name: sum(p.numel() for one in lists[name] for p in one.parameters()))
    parent, n_layers = largest.rpartition(".")[0], len(lists[largest])
    beside = [
        layers
        for name, layers in lists.items()
        if name.rpartition(".")[0] == parent and len(layers) == n_layers
    ]
    if len(beside) == 1:
        return beside[0]
    return [nn.ModuleList(parts) for parts in zip(*beside, strict=True)]


def before_layers(base: nn.Module) -> list[nn.Module]:
    """The modules of a base model that stand before its layers, on the way down to them; and those behind
    that are named for positions, which speak to the layers."""
    layers = {id(part) for layer in layers_of(base) for part in layer.modules()}
    found: list[nn.Module] = []
    place: nn.Module | None = base
    while place is not None:
        inner, is_before = None, True
        for name, part in place.named_children():
            if any(id(below) in layers for below in part.modules()):
                inner = part if is_before and id(part) not in layers else inner
                is_before = False
            elif is_before or "position" in name or "rel_" in name or "relative" in name:
                found.append(part)
        place = inner if inner is not None and not isinstance(inner, nn.ModuleList) else None
    return found


@contextmanager
def _seeded(batch: PackedBatch, is_training: bool) -> Iterator[None]:
    """While training, torch's generators follow from the pack's keys, and are put back afterwards."""
    if not is_training:
        yield
        return
    device = batch.dropout_keys.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(batch.dropout_keys[batch.firsts].sum()) % _SEEDS)
        yield


def _taken(module: nn.Module, path: str) -> nn.Module:
    """Take a part out of a module, which knows it no longer."""
    parent, _, name = path.rpartition(".")
    found = module.get_submodule(path)
    del module.get_submodule(parent)._modules[name]
    return found


def _lend(module: nn.Module, path: str, part: nn.Module) -> None:
    """Let a module call a part that it does not own: as a plain attribute, which is no submodule."""
    parent, _, name = path.rpartition(".")
    vars(module.get_submodule(parent))[name] = part
