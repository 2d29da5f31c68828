"""What is known of the trials of a search, as plain records: for tables, pictures and the manifest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final


@final
@dataclass(frozen=True)
class TrialRecord:
    """One trial; 0 is the default."""

    number: int
    state: str  # complete, stopped, failed, out of time, running, waiting
    point: Mapping[str, Any]  # what the search chose, by setting; of the default what it has
    score: float | None = None  # of dev, of the epoch that would be kept; greater is better
    noise: float | None = None  # how far two such may differ by chance
    rungs: Mapping[int, float] = field(default_factory=dict)  # dev's score at percents of the schedule
    step: int = 0
    n_steps: int = 0
    seconds: float = 0.0
    reason: str = ""
    worker: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"rungs": {str(percent): score for percent, score in self.rungs.items()}}


def complete(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Those that were trained to the end, the best first; of equals the earlier."""
    found = [one for one in records if one.state == "complete" and one.score is not None]
    return sorted(found, key=lambda one: (-(one.score or 0.0), one.number))


def best(records: Iterable[TrialRecord], most: int) -> list[TrialRecord]:
    """The best of all that differ from the default and from each other, at most so many; the default itself
    takes one of the places where it is among them."""
    found: list[TrialRecord] = []
    known: list[Mapping[str, Any]] = []
    for one in complete(records):
        if one.number != 0 and one.point in known:
            continue
        known.append(one.point)
        found.append(one)
    return [one for one in found[:most] if one.number != 0]


def told(number: int, point: Mapping[str, Any]) -> str:
    """The point of a trial in words; the default is named."""
    if number != 0:
        return shown(point)
    return f"the default: {shown(point)}" if point else "the default"


def shown(point: Mapping[str, Any]) -> str:
    """A point in words, or what stands for none."""
    words = [f"{name}={'none' if value is None else value}" for name, value in point.items()]
    return ", ".join(words) or "-"


def bars(values: Sequence[float], width: int) -> list[str]:
    """A bar for each of some numbers from 0 up, the longest `width` letters."""
    most = max(values, default=0.0)
    return ["█" * (round(width * value / most) if most > 0 else 0) for value in values]
