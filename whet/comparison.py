"""Is one model, or one way of training, really better than another on the same texts? What is said of it.

Models are compared text by text (paired.py); what has several seeds is compared over texts and seeds
(over_seeds.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike

from whet.intervals import Interval, macro_and_mcc_intervals, wilson
from whet.metrics import answered_confusion
from whet.over_seeds import Figure, figure, seeds_test, spread, value_interval
from whet.paired import LEVEL, METRICS, Tested, only_one_right, paired_test

MOST_ROWS: Final = 1e8  # beyond it, "about how many rows" is not worth saying
NAMES: Final = {"accuracy": "accuracy", "macro_f1": "macro F1", "mcc": "MCC"}


@final
@dataclass(frozen=True)
class Score:
    """One side's figure."""

    model: str
    value: float  # the mean over its seeds
    interval: Interval  # 95%, over texts and seeds
    seeds: Mapping[str, float]  # the figure of each seed, by its name; empty for one model


@final
@dataclass(frozen=True)
class Pair:
    """One side against another, over the same texts."""

    first: str
    second: str
    seeds: tuple[int, int]  # of each; 1 is one model
    difference: float  # of the metric: second minus first
    interval: Interval  # 95%, of this difference alone
    p: float  # two-sided
    p_holm: float  # over all pairs of the comparison
    test: str
    only_first: float  # texts that only the first has right; with seeds, the mean over all pairs of them
    only_second: float
    rows_needed: int | None  # for a difference of this size to be found with 80% power; None: no number is
    sentence: str

    @property
    def verdict(self) -> str:
        """ "better" or "worse" (the second than the first), or "cannot tell"."""
        if self.p_holm >= LEVEL or self.difference == 0:
            return "cannot tell"
        return "better" if self.difference > 0 else "worse"


@final
@dataclass(frozen=True)
class Comparison:
    """Two or more models, or ways of training, on the labelled rows of one file."""

    source: str
    n_rows: int
    metric: str
    models: tuple[Score, ...]
    pairs: tuple[Pair, ...]  # every two of them, in the order given
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What `whet compare --json` prints."""
        return {
            "source": self.source,
            "rows": self.n_rows,
            "metric": self.metric,
            "models": [asdict(score) for score in self.models],
            "pairs": [
                {**asdict(pair), "seeds": list(pair.seeds), "verdict": pair.verdict} for pair in self.pairs
            ],
        }


Answers = ArrayLike | Mapping[str, ArrayLike]  # of one model (n,), or of each seed by its name


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in the order given.

    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6, 1979."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def compare_answers(
    source: str,
    true: ArrayLike,
    answers: Mapping[str, Answers],
    n_labels: int,
    metric: str = "accuracy",
    seed: int = 0,
) -> Comparison:
    """Every two of the sides, by name in the order given.

    true (n,) and each answers (n,): integers in [0, n_labels); an answer may be -1, none, which counts as
    not right. metric is a key of METRICS."""
    sides = {name: _Side(name, given, true, n_labels, metric, seed) for name, given in answers.items()}
    chosen = list(combinations(sides.values(), 2))
    tested = [one.against(other, LEVEL / len(chosen)) for one, other in chosen]
    adjusted = holm([found.p for found in tested])
    n = len(np.asarray(true))
    pairs = []
    for (one, other), found, p_holm in zip(chosen, tested, adjusted, strict=True):
        only_one, only_other = one.alone(other)
        pair = Pair(
            first=one.name,
            second=other.name,
            seeds=(len(one.models), len(other.models)),
            difference=found.difference,
            interval=found.interval,
            p=found.p,
            p_holm=p_holm,
            test=found.test,
            only_first=only_one,
            only_second=only_other,
            rows_needed=math.ceil(found.rows) if found.rows < MOST_ROWS else None,
            sentence="",
        )
        pairs.append(_worded(pair, n, metric, len(chosen)))
    return Comparison(source, n, metric, tuple(side.score() for side in sides.values()), tuple(pairs))


@final
class _Side:
    """One model, or the seeds of one way of training, with their answers."""

    def __init__(
        self, name: str, given: Answers, true: ArrayLike, n_labels: int, metric: str, seed: int
    ) -> None:
        self.name, self._seeds = name, tuple(given) if isinstance(given, Mapping) else ()
        self.models: list[ArrayLike] = list(given.values()) if isinstance(given, Mapping) else [given]
        self._true, self._n_labels, self._metric, self._seed = true, n_labels, metric, seed
        self._found: Figure | None = None

    @property
    def figure(self) -> Figure:
        """Made when it is first asked for: models one to one do without."""
        if self._found is None:
            self._found = figure(self._true, self.models, self._n_labels, self._metric)
        return self._found

    def score(self) -> Score:
        """Where nothing varies over texts and seeds, the interval is that of one model."""
        if len(self.models) > 1 and spread(self.figure).error > 0:
            interval: Interval | None = value_interval(self.figure, self._metric)
        else:
            confusion = answered_confusion(self._true, self.models[0], self._n_labels)
            n, n_right = int(confusion.sum()), int(np.trace(confusion))
            interval = (
                wilson(n_right, n)
                if self._metric == "accuracy"
                else macro_and_mcc_intervals(confusion, self._seed)[self._metric]
            )
        assert interval is not None
        if not self._seeds:
            return Score(self.name, float(METRICS[self._metric](confusion)), interval, {})
        by_seed = dict(zip(self._seeds, self.figure.by_seed.tolist(), strict=True))
        return Score(self.name, self.figure.value, interval, by_seed)

    def against(self, other: "_Side", level: float) -> Tested:
        """The other minus this one. Where nothing varies, as one model against one."""
        has_seeds = len(self.models) > 1 or len(other.models) > 1
        if has_seeds and spread(self.figure, other.figure).error > 0:
            return seeds_test(self.figure, other.figure, level)
        arrays = (self._true, self.models[0], other.models[0], self._n_labels)
        return paired_test(*arrays, self._metric, level, self._seed)

    def alone(self, other: "_Side") -> tuple[float, float]:
        """Texts that only this one has right, and only the other: the mean over all pairs of seeds."""
        counts = [only_one_right(self._true, one, two) for one in self.models for two in other.models]
        if len(counts) == 1:
            return counts[0]  # whole numbers
        only_this, only_other = np.mean(counts, axis=0).tolist()
        return only_this, only_other


def _worded(pair: Pair, n: int, metric: str, n_pairs: int) -> Pair:
    """The pair with its sentence."""
    decimals = 1 if pair.interval[1] - pair.interval[0] > 0.01 else 2
    low, high = (_points(end, decimals) for end in pair.interval)
    change = f"{NAMES[metric]} {_points(pair.difference, decimals)} points ({low} to {high})"
    p = f"p {'< 0.001' if pair.p_holm < 0.001 else f'= {pair.p_holm:.3f}'} ({pair.test}"
    p += f", Holm over {n_pairs} pairs)" if n_pairs > 1 else ")"
    end = f"{change}, {p}{_over(pair)}, on {n:,} rows"
    if pair.verdict != "cannot tell":
        sentence = f"{pair.second} is {pair.verdict} than {pair.first}: {end}."
    elif pair.only_first + pair.only_second == 0 and pair.difference == 0:
        sentence = f"Cannot tell: {pair.second} and {pair.first} are right on the same rows, of {n:,}."
    else:
        sentence = f"Cannot tell whether {pair.second} is better than {pair.first}: {end}"
        if pair.rows_needed is not None:
            rows = _rounded(max(pair.rows_needed, n + 1))
            sentence += f"; a difference of this size would take about {rows:,} rows (80% power)"
        elif max(pair.seeds) > 1 and pair.difference != 0:
            sentence += "; for a difference of this size more rows are not enough, it takes more seeds"
        sentence += "."
    if 1 in pair.seeds and max(pair.seeds) > 1:
        single = pair.first if pair.seeds[0] == 1 else pair.second
        sentence += f" {single} is one model: how lucky its seed was is not in the interval."
    return Pair(**{**asdict(pair), "sentence": sentence})


def _over(pair: Pair) -> str:
    first, second = pair.seeds
    if first == second:
        return f", over {first} seeds each" if first > 1 else ""
    named = zip(pair.seeds, (pair.first, pair.second), strict=True)
    return ", over " + " and ".join(f"{count} seeds of {name}" for count, name in named if count > 1)


def _points(value: float, decimals: int) -> str:
    return f"{100 * value:+z.{decimals}f}"


def _rounded(rows: int) -> int:
    """Up to two digits that count: 3,052 -> 3,100."""
    step = int(10 ** max(len(str(rows)) - 2, 0))
    return -(-rows // step) * step
