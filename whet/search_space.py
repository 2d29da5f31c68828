"""What a search may choose: ranges and choices of settings, as `--space` writes them, and the published
points of the encoders' authors.

    learning_rate=1e-5..1e-4:log     a range, even on the logarithm's scale
    batch_size=16|32|64              a choice
    recipe=default|lora              a named set of settings
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from whet.config import KINDS, OF_PRETRAINING, SETTINGS, TrainConfig, make_config
from whet.config_text import parse_settings
from whet.errors import ConfigError, nearest
from whet.recipes import find_recipe, with_recipe

RECIPE: Final = "recipe"
_NICKNAMES: Final = {"lr": "learning_rate", "head_lr": "head_learning_rate"}
_MOST_CORNERS: Final = 4096  # of the other dimensions, that are tried for one that a value goes with
_AT_REST: Final = object()  # a dimension that the settings decide
_DIGITS: Final = 3  # that count, of a number that is chosen: people read them and type them again
NOT_SEARCHED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("seed", "split_seed", "dev_fraction"), "decides which rows are dev"),
    **dict.fromkeys(("choose_by", "positive_label"), "decides what a score is"),
    "label_separator": "decides what the labels are",
    "time_limit": "is that of the search",
    **dict.fromkeys(("device", "threads", "precision"), "decides where and how it is computed"),
    **dict.fromkeys(OF_PRETRAINING, "is of whet pretrain"),
}
"""Settings that would make trials incomparable, or change nothing, and why."""


@final
@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included."""

    name: str
    low: float
    high: float
    is_log: bool
    is_whole: bool

    def holds(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high

    def rounded(self, value: float) -> float:
        """To three digits that count, within the range."""
        if self.is_whole:
            return round(value)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that must be allowed, so that all between are."""
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.name}={self.low!r}..{self.high!r}{':log' if self.is_log else ''}"


@final
@dataclass(frozen=True)
class Choice:
    """A few values, without an order."""

    name: str
    options: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        return value in self.options

    def rounded(self, value: Any) -> Any:
        """As it is."""
        return value

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that must be allowed."""
        return self.options

    def __str__(self) -> str:
        return f"{self.name}={'|'.join('none' if one is None else str(one) for one in self.options)}"


Dimension = Range | Choice
Space = tuple[Dimension, ...]
Point = Mapping[str, Any]  # values by the dimension's name


def parse_space(given: Sequence[str] | Mapping[str, str]) -> Space:
    """`["learning_rate=1e-5..1e-4:log", "recipe=default|lora"]`, or the same as a mapping.

    Raises ConfigError, which lists everything that is wrong at once."""
    pairs = [f"{name}={text}" for name, text in given.items()] if isinstance(given, Mapping) else list(given)
    found: dict[str, Dimension] = {}
    problems = []
    for pair in pairs:
        name, sign, text = (part.strip() for part in pair.partition("="))
        try:
            if not sign or not text:
                raise ConfigError("write it as name=low..high, name=low..high:log or name=a|b|c.")
            if name in found:
                raise ConfigError(f"'{name}' is there twice. Name it once.")
            found[name] = _dimension(name, text)
        except ConfigError as error:
            problems.append(f"--space {pair}: {error}")
    if problems:
        if any("there is no setting" in problem for problem in problems):
            known = [name for name in SETTINGS if name not in NOT_SEARCHED]
            problems.append(f"The settings are: {RECIPE}, {', '.join(known)}.")
        raise ConfigError("\n".join(problems))
    return tuple(found.values())


def _dimension(name: str, text: str) -> Dimension:
    if name == RECIPE:
        if ".." in text:
            raise ConfigError("recipes have no order; write recipe=a|b.")
        return _choice(name, [find_recipe(one.strip()).name for one in text.split("|")])
    if name in NOT_SEARCHED:
        raise ConfigError(f"'{name}' {NOT_SEARCHED[name]}, so it is not searched. Use --set.")
    if name not in SETTINGS:
        near = nearest(_NICKNAMES.get(name, name), [RECIPE, *SETTINGS])
        raise ConfigError(f"there is no setting '{name}'.{near}")
    if ".." not in text:
        return _choice(name, [_value(name, one) for one in text.split("|")])
    range_, _, scale = text.partition(":")
    if scale not in ("", "log"):
        raise ConfigError(f"':{scale}' is no scale. Write :log, or nothing.")
    low, high = (_value(name, one) for one in range_.split("..", 1))
    if not all(isinstance(end, int | float) for end in (low, high)):
        raise ConfigError(f"'{name}' is no number, it takes {KINDS[name].accepted}. Write {name}=a|b.")
    if low >= high:
        raise ConfigError(f"the range is empty: {low:g} is not below {high:g}. Write the lower end first.")
    if scale and low <= 0:
        raise ConfigError(f"a range on the logarithm's scale begins above 0, not at {low:g}.")
    return Range(name, low, high, scale == "log", isinstance(low, int))


def _choice(name: str, options: Sequence[Any]) -> Choice:
    if len(set(options)) < len(options):
        raise ConfigError("a value is there twice. Name each once.")
    if len(options) < 2:
        way = f"--recipe {options[0]}" if name == RECIPE else f"--set {name}={options[0]}"
        raise ConfigError(f"one value is no choice. Use {way}.")
    return Choice(name, tuple(options))


def _value(name: str, text: str) -> Any:
    """A setting's value from its text, within the setting's own range. Raises ConfigError."""
    return parse_settings([f"{name}={text.strip()}"])[name]


def check_space(
    space: Space,
    settings: Mapping[str, Any],
    recipe: str | None,
    refuse: Callable[[TrainConfig], None] = lambda config: None,
) -> None:
    """Raises ConfigError, which names every value that cannot be together with the other settings, whatever
    the other dimensions are, all at once. refuse raises it for what the task has no use for. Values of
    several dimensions that do not go together are told when a trial meets them."""
    problems = []
    for dimension in space:
        others = [one for one in space if one is not dimension]
        for value in dimension.ends:
            error = _refused({dimension.name: value}, others, settings, recipe, refuse)
            if error is not None:
                problems.append(f"--space {dimension}: with {value}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))


def _refused(
    point: Point,
    others: Sequence[Dimension],
    settings: Mapping[str, Any],
    recipe: str | None,
    refuse: Callable[[TrainConfig], None],
) -> ConfigError | None:
    """Why a value cannot be, with the others at rest; None where it can be with some ends of the others."""
    first: ConfigError | None = None
    corners = itertools.product(*([_AT_REST, *one.ends] for one in others))
    for corner in itertools.islice(corners, _MOST_CORNERS):
        beside = {one.name: end for one, end in zip(others, corner, strict=True) if end is not _AT_REST}
        try:
            refuse(make_config(settings_at({**beside, **point}, settings, recipe)))
        except ConfigError as error:
            first = error if first is None else first
        else:
            return None
    return first


def settings_at(point: Point, settings: Mapping[str, Any], recipe: str | None) -> dict[str, Any]:
    """What a trial is trained with: the recipe's settings, over them the user's, over them the point's."""
    named = point.get(RECIPE, recipe)
    own = {name: value for name, value in point.items() if name != RECIPE}
    return with_recipe(named, {**settings, **own})


@final
@dataclass(frozen=True)
class Published:
    """What the authors of encoders of one kind tried, and found good."""

    learning_rates: tuple[float, ...]  # the first are tried first
    batch_sizes: tuple[int, ...] = (16, 32)
    layer_decays: tuple[float, ...] = ()


# Devlin et al. 2018: batch 16, 32; rate 5e-5, 3e-5, 2e-5; epochs 2, 3, 4.
_BERT: Final = Published((3e-5, 2e-5, 5e-5))
# Turc et al. 2019, small BERTs: rate 3e-4, 1e-4, 5e-5, 3e-5; epochs 4.
_SMALL: Final = Published((1e-4, 3e-4, 5e-5))
_OF_FAMILY: Final[Mapping[str, Published]] = {
    # Liu et al. 2019: rate 1e-5, 2e-5, 3e-5; batch 16, 32.
    **dict.fromkeys(("roberta", "camembert", "xlm_roberta"), Published((2e-5, 3e-5, 1e-5))),
    # Clark et al. 2020: rate 3e-5, 5e-5, 1e-4, 1.5e-4, of which 1e-4 is theirs; each layer 0.8 of the next.
    "electra": Published((1e-4, 5e-5, 1.5e-4), layer_decays=(0.8,)),
    # Warner et al. 2024: rate 1e-5, 3e-5, 5e-5, 8e-5.
    "modernbert": Published((5e-5, 3e-5, 8e-5, 1e-5)),
}
_NARROW: Final = 512  # an encoder below this width is a small one: BERT-Medium's
_EPOCHS: Final = (4, 3, 2)  # the longer first, which small data like


def published(model_type: str, width: int) -> Published:
    """For an encoder of a family and a hidden size; what nobody published about is taken for a BERT."""
    if width < _NARROW and model_type in ("bert", "distilbert", "mpnet"):
        return _SMALL
    return _OF_FAMILY.get(model_type.replace("-", "_"), _BERT)


def default_space(model_type: str, width: int, epochs: int) -> Space:
    """A small one: at equal cost a wide search often does worse than a grid (Liu and Wang 2021).

    epochs are those that the default trains; small data gets more than the published 2 to 4."""
    known = published(model_type, width)
    rates = known.learning_rates
    space: list[Dimension] = [
        Range("learning_rate", min(rates), max(rates), True, False),
        Choice("batch_size", known.batch_sizes),
        Range("epochs", min(_EPOCHS), max(*_EPOCHS, epochs), False, True),
    ]
    if known.layer_decays:
        space.append(Range("layer_decay", 0.7, 1.0, False, False))
    return tuple(space)


def seeds(space: Space, model_type: str, width: int, default: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Points to begin with: published ones as far as the space holds them, none of them twice. default are
    the settings of trial 0, which is not among them; a point's other dimensions are left to the sampler."""
    known = published(model_type, width)
    decay = known.layer_decays[0] if known.layer_decays else None
    found: list[dict[str, Any]] = []
    for i, rate in enumerate(known.learning_rates):
        point = {
            "learning_rate": rate,
            "batch_size": known.batch_sizes[i % len(known.batch_sizes)],
            "epochs": _EPOCHS[i % len(_EPOCHS)],
            **({} if decay is None else {"layer_decay": decay}),
        }
        names = [one.name for one in space if one.name in point and one.holds(point[one.name])]
        inside = {name: point[name] for name in names}
        if inside and inside not in found and any(default.get(name) != inside[name] for name in inside):
            found.append(inside)
    recipes = next((one.options for one in space if isinstance(one, Choice) and one.name == RECIPE), ())
    return found + [{RECIPE: name} for name in recipes if name != default.get(RECIPE)]


def grid(space: Space, most: int) -> list[dict[str, Any]] | None:
    """All points of a space of few values; None where there are more than `most`, or no end to them."""
    values: list[Sequence[Any]] = []
    for one in space:
        if isinstance(one, Choice):
            values.append(one.options)
        elif one.is_whole:
            values.append(range(int(one.low), int(one.high) + 1))
        else:
            return None
    if math.prod(map(len, values)) > most:
        return None
    names = [one.name for one in space]
    return [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]
