"""What a setting may be: its kind and range, from annotation and declaration of a dataclass's field."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, final

from whet.errors import ConfigError, nearest


def setting(
    default: Any, meaning: str, low: float = -math.inf, high: float = math.inf, words: str | None = None
) -> Any:
    """A field with its range; words stand for what it takes, where the kind and the range do not say it."""
    metadata = {"meaning": meaning, "low": low, "high": high, "words": words}
    return field(default=default, metadata=metadata)


@final
@dataclass(frozen=True)
class Kind:
    """The values that a setting may have."""

    name: str
    choices: tuple[str, ...]  # where it is one of a few words
    base: type  # else
    is_optional: bool  # whether it may be None
    low: float
    high: float
    words: str | None

    @classmethod
    def of(cls, declared: "dataclasses.Field[Any]", annotation: Any) -> "Kind":
        """Of a field that `setting` made, Literal, a plain type, or a plain type or None."""
        choices: tuple[str, ...] = ()
        base, is_optional = annotation, isinstance(annotation, types.UnionType)
        if typing.get_origin(annotation) is Literal:
            choices, base = typing.get_args(annotation), str
        elif is_optional:
            (base,) = [part for part in typing.get_args(annotation) if part is not type(None)]
        given = declared.metadata
        return cls(declared.name, choices, base, is_optional, given["low"], given["high"], given["words"])

    @property
    def accepted(self) -> str:
        """What it takes, in words: for the docs and for messages."""
        if self.words is not None:
            return self.words
        if self.choices:
            return ", ".join(self.choices)
        found = {int: "a whole number", float: "a number", str: "text"}[self.base]
        if self.base is not str and (self.low > -math.inf or self.high < math.inf):
            found += f" from {self.low:g}" if self.low > -math.inf else ""
            highest = f"{self.high}" if self.base is int else f"{self.high:g}"
            found += " up" if self.high == math.inf else f" to {highest}"
        return found + (" or none" if self.is_optional else "")

    def checked(self, value: Any) -> Any:
        """The value. Raises ConfigError where the setting may not have it."""
        if value is None:
            good = self.is_optional
        elif self.choices:
            good = value in self.choices
        elif self.base is str:
            good = isinstance(value, str)
        else:
            numbers: Any = int if self.base is int else (int, float)
            good = (
                isinstance(value, numbers)
                and not isinstance(value, bool)
                and self.low <= value <= self.high
                and value < math.inf
            )
        if not good:
            near = nearest(str(value), self.choices) if self.choices else ""
            raise ConfigError(f"{self.name}={value}: must be {self.accepted}.{near}")
        return value
