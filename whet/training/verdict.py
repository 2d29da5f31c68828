"""Is what a search has found better than the default? Said on rows that neither training nor choice saw."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np

from whet.comparison import NAMES, compare_answers
from whet.over_seeds import Figure, figure_of, seeds_test, spread
from whet.paired import LEVEL, METRICS
from whet.tasks import Task
from whet.tasks.classification import Classification

EQUAL: Final = 0.01  # a difference that is surely smaller is none: a point of accuracy
_ITSELF: Final = "the default itself"  # where there is nothing to test
_ALONE: Final = "the default alone"  # where nothing else was trained
_GROUPS: Final = 40  # of rows, each left out in turn; those that were drawn together are in one


@final
@dataclass(frozen=True)
class Said:
    """What one side's models say of the same rows, by seed: its task with its own rules, and its logits."""

    tasks: Mapping[int, Task]
    logits: Mapping[int, np.ndarray]


@final
@dataclass(frozen=True)
class Verdict:
    """The winner against the default."""

    word: str  # better, worse, equal, cannot tell
    metric: str
    default: float  # mean over seeds
    winner: float
    difference: float  # how much better the winner is: of a loss how much less
    interval: tuple[float, float]  # 95%, of the difference
    p: float
    test: str
    n_rows: int
    seeds: tuple[int, int]  # of the default, of the winner

    @property
    def sentence(self) -> str:
        """For people."""
        if self.test == _ALONE:
            return (
                f"Cannot tell: no trial beside the default was trained to its end; the others stood worse "
                f"where they were stopped, failed, or had no time. The default's "
                f"{NAMES.get(self.metric, self.metric)} is {self.default:.4f} on {self.n_rows:,} rows."
            )
        if self.test == _ITSELF:
            return (
                f"Equal: of all that was trained again the default itself is the best on dev; its "
                f"{NAMES.get(self.metric, self.metric)} is {self.default:.4f} on {self.n_rows:,} rows."
            )
        unit, scale, form = ("points of ", 100, "+.1f") if self.metric != "loss" else ("less ", 1, "+.4f")
        low, middle, high = (
            f"{scale * one:{form}}" for one in (self.interval[0], self.difference, self.interval[1])
        )
        name = NAMES.get(self.metric, self.metric)
        ends = f"{middle} {unit}{name}, 95% interval {low} to {high}"
        what = {
            "better": "The winner is better than the default",
            "worse": "The winner is worse than the default, so keep the default",
            "equal": f"Equal (within ±{100 * max(map(abs, self.interval)):.1f} points)",
            "cannot tell": "Cannot tell whether the winner is better than the default",
        }[self.word]
        one, other = self.seeds
        over = f"{one} seeds each" if one == other else f"{one} and {other} seeds"
        runs = "one seed each" if one == other == 1 else over
        return f"{what}: {ends} ({self.test}, {runs}, {self.n_rows:,} rows)."

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {
            "interval": list(self.interval),
            "seeds": list(self.seeds),
            "sentence": self.sentence,
        }


def the_same(metric: str, value: float, n_rows: int, n_seeds: int, alone: bool = False) -> Verdict:
    """Where the default itself has won, or is all that was trained; value as `scored` gives it."""
    seeds, told = (n_seeds, n_seeds), -value if metric == "loss" else value
    word, test = ("cannot tell", _ALONE) if alone else ("equal", _ITSELF)
    return Verdict(word, metric, told, told, 0.0, (0.0, 0.0), 1.0, test, n_rows, seeds)


def scored(task: Task, logits: np.ndarray, targets: np.ndarray, by: str) -> float:
    """How good the answers to some rows are by one of the task's choices, as a share of what is perfect;
    less the loss."""
    found = task.standing(task.metrics(logits, targets), by)[0]
    return found if by == "loss" else found / task.perfect


def judge(
    by: str, targets: np.ndarray, default: Said, winner: Said, together: np.ndarray | None = None
) -> Verdict:
    """by is what an epoch is chosen by; targets (n, ...) are those of the rows, all labelled; together (n,)
    numbers rows that may be right or wrong together alike, None where the task alone knows of such.

    Labels of single rows are compared as `whet compare` does. Of all else the rows' part is a jackknife over
    groups of rows (Tukey 1958), and the seeds' part as in over_seeds.py."""
    seeds = len(default.logits), len(winner.logits)
    first_task = next(iter(default.tasks.values()))
    if together is None and isinstance(first_task, Classification) and by in METRICS:
        sides = {"default": _answers(default), "winner": _answers(winner)}
        found = compare_answers("", targets, sides, first_task.n_outputs, by)
        (pair,), scores = found.pairs, {score.model: score.value for score in found.models}
        low, high = pair.interval
        return _verdict(
            by, scores["default"], scores["winner"], (low, high), pair.p, pair.test, len(targets), seeds
        )
    clusters = first_task.clusters(targets) if together is None else together
    one, other = (_figure(side, targets, by, clusters) for side in (default, winner))
    if spread(one, other).error == 0:
        return _verdict(by, one.value, other.value, (0.0, 0.0), 1.0, "nothing differs", len(targets), seeds)
    tested = seeds_test(one, other)
    low, high = tested.interval
    test = "t test over groups of rows" + (" and seeds" if max(seeds) > 1 else "")
    return _verdict(by, one.value, other.value, (low, high), tested.p, test, len(targets), seeds)


def _verdict(
    by: str,
    default: float,
    winner: float,
    interval: tuple[float, float],
    p: float,
    test: str,
    n_rows: int,
    seeds: tuple[int, int],
) -> Verdict:
    difference, sign = winner - default, -1 if by == "loss" else 1
    if p < LEVEL and difference != 0:
        word = "better" if difference > 0 else "worse"
    elif by != "loss" and max(map(abs, interval)) <= EQUAL:
        word = "equal"
    else:
        word = "cannot tell"
    return Verdict(word, by, sign * default, sign * winner, difference, interval, p, test, n_rows, seeds)


def _answers(side: Said) -> Any:
    """Indices of labels by seed, -1 for no answer; of one model alone without its seed."""
    found: dict[str, np.ndarray] = {}
    for seed, logits in side.logits.items():
        task = side.tasks[seed]
        assert isinstance(task, Classification)
        places = {label: i for i, label in enumerate(task.labels)} | {None: -1}
        found[str(seed)] = np.array([places[answer] for answer in task.answers(logits)])
    return found if len(found) > 1 else next(iter(found.values()))


def _figure(side: Said, targets: np.ndarray, by: str, clusters: np.ndarray) -> Figure:
    group, n_groups = _grouped(clusters)
    values, influences = [], []
    for seed, logits in side.logits.items():
        task = side.tasks[seed]

        def value(rows: np.ndarray, task: Task = task, logits: np.ndarray = logits) -> float:
            return scored(task, logits[rows], targets[rows], by)

        whole = value(np.ones(len(targets), np.bool_))
        values.append(whole)
        influences.append([(n_groups - 1) * (whole - value(group != i)) for i in range(n_groups)])
    return figure_of(np.array(values), np.array(influences))


def _grouped(clusters: np.ndarray) -> tuple[np.ndarray, int]:
    """The group of each row, (n,), and how many there are; of one cluster alone, which says nothing of
    others, its rows stand for themselves."""
    names, numbers = np.unique(clusters, return_inverse=True)
    if len(names) == 1:
        names = numbers = np.arange(len(clusters))
    n_groups = min(_GROUPS, len(names))
    return numbers % n_groups, n_groups
