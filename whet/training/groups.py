"""What trains when, how fast and with which decay: a pure function of where the parameters stand, and of the
settings. The optimiser, `--dry-run` and `whet recipes NAME` all read it.

A parameter's depth is 0 below the first layer, i in the i-th of n layers as they are run, n + 1 above them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

from torch import nn

from whet.config import TrainConfig
from whet.encoder.network import AnyEncoder
from whet.errors import ConfigError
from whet.group_rules import GroupRule, parse_groups
from whet.training.lora import is_of_lora

_BASE_RATE, _BASE_WIDTH, _HIGHEST_RATE = 5e-5, 768, 3e-4  # see `with_rate`

BY_PROBE = "While the whole encoder is frozen, probe_step sets the head's rate, not the one below."

Kind = Literal["encoder", "LoRA", "head"]
_SHOWN = 6  # names in a message


@final
@dataclass(frozen=True)
class Place:
    """Where a parameter stands."""

    kind: Kind  # head: all of the head, and what is new in the encoder
    depth: int
    is_matrix: bool  # biases and LayerNorm, which are the vectors of a network, are not decayed


@final
@dataclass(frozen=True)
class Group:
    """Parameters that are treated alike."""

    title: str
    names: tuple[str, ...]
    rate: float  # at its peak
    decay: float
    first_epoch: int | None  # in which it is trained, from 1; None: it never is


def with_rate(config: TrainConfig, hidden_size: int) -> TrainConfig:
    """The same with a learning rate, where nobody gave one: relative_rate x 5e-5 x 768 / hidden_size, 3e-4
    at most.

    It lies in what is published for widths of 768 and 1024 (2e-5 to 5e-5, Devlin et al. 2018) and below
    (3e-5 to 3e-4, Turc et al. 2019), and was measured at 384 (mini, docs/benchmarks.md)."""
    if config.learning_rate is not None:
        return config
    rate = config.relative_rate * _BASE_RATE * _BASE_WIDTH / hidden_size
    return replace(config, learning_rate=float(f"{min(rate, _HIGHEST_RATE):.1e}"))


def places_of(
    encoder: AnyEncoder, parameters: Mapping[str, nn.Parameter], new: Iterable[str]
) -> dict[str, Place]:
    """Of a model's parameters by name; `new` are those that were made new. A parameter of several layers
    stands in the highest."""
    layers = encoder.sequence
    depths = {id(p): 0 for part in encoder.lowest for p in part.parameters()}
    depths |= {id(p): depth for depth, layer in enumerate(layers, 1) for p in layer.parameters()}
    of_head, found = set(new), {}
    for name, parameter in parameters.items():
        kind: Kind = "LoRA" if is_of_lora(name) else "encoder"
        if name in of_head or name.startswith("head."):
            kind = "head"
        depth = depths.get(id(parameter), len(layers) + 1)
        found[name] = Place(kind, depth, parameter.ndim > 1)
    return found


def grouped(places: Mapping[str, Place], n_layers: int, config: TrainConfig) -> list[Group]:
    """Every parameter in one group. Biases and LayerNorm are not decayed (Devlin et al. 2018), but where a
    rule of `groups` says so.

    Raises ConfigError for more layers than there are, for a rule that fits no name, and where nothing would
    be trained in the first epoch."""
    rules = parse_groups(config.groups)
    _check(places, n_layers, rules, config)
    names: dict[tuple[Kind, bool, GroupRule | None, float, float, int | None], list[str]] = {}
    for name, place in places.items():
        rule = next((rule for rule in rules if rule.fits(name)), None)
        rate, decay = _rate(place, n_layers, config), config.weight_decay if place.is_matrix else 0.0
        first = first_epoch(place, n_layers, config)
        if rule is not None:
            rate = rate if rule.rate is None else rule.rate
            decay = decay if rule.decay is None else rule.decay
            first = None if rule.rate == 0.0 else first
        names.setdefault((place.kind, place.is_matrix, rule, rate, decay, first), []).append(name)
    groups = []
    for (kind, is_matrix, rule, rate, decay, first), members in names.items():
        alike = [one for one in places.values() if (one.kind, one.is_matrix) == (kind, is_matrix)]
        title = kind if rule is None else rule.pattern
        if kind == "encoder" and rule is None:
            title = _where({places[name].depth for name in members}, {one.depth for one in alike}, n_layers)
        groups.append(Group(title + ("" if is_matrix else ", no decay"), tuple(members), rate, decay, first))
    if all(group.first_epoch != 1 for group in groups):
        raise ConfigError("Nothing would be trained: the settings freeze the encoder and the head.")
    return groups


def first_epoch(place: Place, n_layers: int, config: TrainConfig) -> int | None:
    """The epoch, from 1, from which a parameter is trained; None is never."""
    if config.lora_rank and place.kind == "encoder":
        return None
    if place.kind != "encoder" or place.depth > _highest_frozen(n_layers, config):
        return 1
    unfreeze_at = config.head_epochs or config.unfreeze_at
    if unfreeze_at is None:
        return None
    top = max(min(_highest_frozen(n_layers, config), n_layers), 1)
    level = min(max(place.depth, 1), top)  # the embeddings go with the lowest layer, the pooler with the top
    return unfreeze_at + 1 + (top - level) * config.unfreeze_groups // top


def beginnings(groups: Iterable[Group]) -> list[int]:
    """The epochs, from 1, in which something is trained for the first time: the stages of training."""
    return sorted({1, *(group.first_epoch for group in groups if group.first_epoch is not None)})


def frozen_modules(
    encoder: AnyEncoder, trained: Iterable[nn.Parameter]
) -> tuple[list[nn.Module], int | None]:
    """What lies below the lowest part of which anything is `trained`, and how many layers that are; the whole
    encoder where nothing of it is; None where it is nothing."""
    known = set(map(id, trained))

    def is_frozen(part: nn.Module) -> bool:
        return not any(id(parameter) in known for parameter in part.parameters())

    if is_frozen(encoder):
        return [encoder], len(encoder.sequence)
    if not all(map(is_frozen, encoder.lowest)):
        return [], None
    layers = list(encoder.sequence)
    n_frozen = next((i for i, layer in enumerate(layers) if not is_frozen(layer)), len(layers))
    return [*encoder.lowest, *layers[:n_frozen]], n_frozen


def _highest_frozen(n_layers: int, config: TrainConfig) -> int:
    """The depth up to which the encoder is frozen, at least at first; -1: nothing is."""
    if config.frozen == "encoder" or config.head_epochs:
        return n_layers + 1
    if config.frozen_layers:
        return config.frozen_layers
    return 0 if config.frozen == "embeddings" else -1


def _rate(place: Place, n_layers: int, config: TrainConfig) -> float:
    """At its peak; the lower, the slower (Howard and Ruder 2018, discriminative fine-tuning)."""
    if place.kind == "head":
        return config.head_learning_rate
    return config.peak_rate * config.layer_decay ** max(0, n_layers - place.depth)


def _where(depths: set[int], all_depths: set[int], n_layers: int) -> str:
    """Which part of the encoder some depths are, in words."""
    if depths == all_depths:
        return "encoder"
    layers = sorted(depth for depth in depths if 1 <= depth <= n_layers)
    words = ["embeddings"] if 0 in depths else []
    if layers:
        words.append(f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}")
    if n_layers + 1 in depths:
        words.append("above the layers")
    return ", ".join(words)


def _check(
    places: Mapping[str, Place], n_layers: int, rules: Sequence[GroupRule], config: TrainConfig
) -> None:
    problems = [
        f"{name}={getattr(config, name)}: the encoder has {n_layers} layers. Choose 0 to {n_layers}."
        for name in ("frozen_layers", "reinit_layers")
        if getattr(config, name) > n_layers
    ]
    for rule in rules:
        if not any(map(rule.fits, places)):
            shown = ", ".join(list(places)[:: max(1, len(places) // _SHOWN)])
            problems.append(
                f"groups: '{rule.pattern}' fits no parameter. It must fit a whole name; * is any text. Some "
                f"names: {shown}."
            )
    if problems:
        raise ConfigError("\n".join(problems))
