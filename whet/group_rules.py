"""Rates and decays for parameters by the pattern of their names: what the setting `groups` says."""

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from whet.errors import ConfigError

EXAMPLE = "encoder.layers.0.*:rate=1e-5,decay=0;*norm*:decay=0.1"
_KEYS = ("rate", "decay")


@final
@dataclass(frozen=True)
class GroupRule:
    """For every parameter whose name fits the pattern and no earlier one; None leaves a number as it is."""

    pattern: str  # of the whole name, as of fnmatch
    rate: float | None  # at its peak; 0 freezes
    decay: float | None

    def fits(self, name: str) -> bool:
        """Whether it is about the parameter of this name."""
        return fnmatchcase(name, self.pattern)


def parse_groups(text: str | None) -> tuple[GroupRule, ...]:
    """The rules of "PATTERN:rate=R,decay=D;PATTERN:..." in order; of None there are none. Raises ConfigError,
    which names everything that is wrong."""
    if text is None:
        return ()
    found, problems = [], []
    for part in text.split(";"):
        pattern, colon, rest = (piece.strip() for piece in part.partition(":"))
        values: dict[str, float] = {}
        for pair in rest.split(",") if rest else ():
            key, _, number = (piece.strip() for piece in pair.partition("="))
            value = _number(number)
            if key not in _KEYS or value is None:
                problems.append(f"groups: '{pair.strip()}' must be rate=NUMBER or decay=NUMBER, from 0 to 1.")
            else:
                values[key] = value
        if not (pattern and colon and rest):
            problems.append(f"groups: '{part.strip()}' must be PATTERN:rate=NUMBER,decay=NUMBER.")
        found.append(GroupRule(pattern, values.get("rate"), values.get("decay")))
    if problems:
        raise ConfigError("\n".join([*problems, f"An example: groups={EXAMPLE}"]))
    return tuple(found)


def slower(text: str | None, share: float) -> str | None:
    """The same rules with all rates times `share`."""
    found = []
    for rule in parse_groups(text):
        rate = None if rule.rate is None else f"rate={rule.rate * share!r}"
        decay = None if rule.decay is None else f"decay={rule.decay!r}"
        found.append(f"{rule.pattern}:{','.join(one for one in (rate, decay) if one is not None)}")
    return ";".join(found) if found else None


def _number(text: str) -> float | None:
    """From 0 to 1, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0.0 <= value <= 1.0 else None
