"""Is one model really better than another on the same texts? Paired tests over the texts.

All of it works on counts: texts with the same true label and the same two answers are alike, so what a
million of them cost is what their different triples cost. Several seeds of one model are not compared here:
`compare_answers` takes one list of answers a model.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final, final

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from whet.intervals import Interval, macro_and_mcc_intervals, wilson
from whet.metrics import (
    Counts,
    Floats,
    accuracy,
    answered_confusion,
    macro_precision_recall_f1,
    matthews_correlation,
)

LEVEL: Final = 0.05
POWER: Final = 0.8
N_RESAMPLES: Final = 2000
N_SHUFFLES: Final = 9999
FEWER_SHUFFLES: Final = 999  # with more than MANY_CELLS different (true, first, second)
MANY_CELLS: Final = 20_000
MOST_ROWS: Final = 1e8  # beyond it, "about how many rows" is not worth saying
_CELLS_AT_ONCE = 4_000_000
_Z = float(scipy.stats.norm.ppf(1 - LEVEL / 2))

METRICS: Final[Mapping[str, Callable[[ArrayLike], Floats]]] = {
    "accuracy": accuracy,
    "macro_f1": lambda confusion: macro_precision_recall_f1(confusion)[2],
    "mcc": matthews_correlation,
}
NAMES: Final = {"accuracy": "accuracy", "macro_f1": "macro F1", "mcc": "MCC"}


@final
@dataclass(frozen=True)
class Score:
    """One model's figure."""

    model: str
    value: float
    interval: Interval  # 95%


@final
@dataclass(frozen=True)
class Pair:
    """One model against another, over the same texts."""

    first: str
    second: str
    difference: float  # of the metric: second minus first
    interval: Interval  # 95%, of this difference alone
    p: float  # two-sided
    p_holm: float  # over all pairs of the comparison
    test: str
    only_first: int  # texts that only the first has right
    only_second: int
    rows_needed: int | None  # for a difference of this size to be found with 80% power; None: none to find
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
    """Two or more models on the labelled rows of one file."""

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
            "pairs": [{**asdict(pair), "verdict": pair.verdict} for pair in self.pairs],
        }


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test: given that one is right, each is so with chance one half.

    McNemar, Psychometrika 12, 1947; binomial, as statsmodels' `mcnemar(exact=True)`."""
    n = only_first + only_second
    return min(1.0, 2 * float(scipy.stats.binom.cdf(min(only_first, only_second), n, 0.5))) if n else 1.0


def mcnemar_rows(share_first: float, share_second: float, level: float = LEVEL) -> float:
    """Texts for McNemar's test to find a difference with 80% power; inf where there is none.

    share_first, share_second: of all texts, those that only one model has right.
    n = (z_(1-level/2) sqrt(s) + z_(power) sqrt(s - d^2))^2 / d^2 with s their sum and d their difference:
    Connor, "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43, 1987, equation 3."""
    total, difference = share_first + share_second, share_second - share_first
    if difference == 0:
        return math.inf
    z, z_power = (float(scipy.stats.norm.ppf(q)) for q in (1 - level / 2, POWER))
    return (z * math.sqrt(total) + z_power * math.sqrt(total - difference**2)) ** 2 / difference**2


def mcnemar_power(share_first: float, share_second: float, n: int, level: float = LEVEL) -> float:
    """Chance that McNemar's test finds the difference on n texts: `mcnemar_rows` the other way round."""
    total, difference = share_first + share_second, abs(share_second - share_first)
    z = float(scipy.stats.norm.ppf(1 - level / 2))
    found = (difference * math.sqrt(n) - z * math.sqrt(total)) / math.sqrt(total - difference**2)
    return float(scipy.stats.norm.cdf(found))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in the order given.

    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6, 1979."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def difference_interval(
    true: ArrayLike, first: ArrayLike, second: ArrayLike, n_labels: int, metric: str, seed: int = 0
) -> tuple[float, Interval, float]:
    """metric of second minus that of first, its 95% interval, and its standard error.

    true, first, second (n,) integers in [0, n_labels). Accuracy: one text is added to each side of those
    that only one model has right, and the normal interval taken (Bonett and Price, J. Educ. Behav. Stat.
    37, 2012); else the paired bootstrap over texts, whose standard deviation gives the interval."""
    cells, counts = _triples(true, first, second, n_labels)
    score = METRICS[metric]
    n = int(counts.sum())
    difference = float(
        score(_confusions(cells, counts, 2, n_labels)) - score(_confusions(cells, counts, 1, n_labels))
    )
    if metric == "accuracy":
        only_first, only_second = _only(cells, counts)
        a, b = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
        error = math.sqrt((a + b - (b - a) ** 2) / (n + 2))
        middle = b - a
    else:
        rng = np.random.default_rng(seed)
        drawn = []
        for size in _portions(N_RESAMPLES, len(counts) + n_labels**2):
            some = rng.multinomial(n, counts / n, size)
            drawn.append(
                score(_confusions(cells, some, 2, n_labels)) - score(_confusions(cells, some, 1, n_labels))
            )
        error, middle = float(np.concatenate(drawn).std(ddof=1)), difference
    low, high = max(middle - _Z * error, -2.0), min(middle + _Z * error, 2.0)
    return difference, [min(low, difference), max(high, difference)], error


def randomisation(
    true: ArrayLike, first: ArrayLike, second: ArrayLike, n_labels: int, metric: str, seed: int = 0
) -> float:
    """Two-sided p of approximate randomisation: the two answers to each text change places or do not.

    Arguments as of `difference_interval`. p = (1 + shuffles that differ as much) / (1 + shuffles): Noreen,
    Computer-Intensive Methods for Testing Hypotheses, 1989; for F1 Yeh, COLING 2000. Of k texts alike a
    binomial number changes places."""
    cells, counts = _triples(true, first, second, n_labels)
    score = METRICS[metric]
    differ = cells[:, 1] != cells[:, 2]
    swapped_cells = cells[differ][:, [0, 2, 1]]
    every = np.concatenate([cells, swapped_cells])
    base = score(_confusions(cells, counts, 2, n_labels)) - score(_confusions(cells, counts, 1, n_labels))
    rng = np.random.default_rng(seed)
    n_shuffles = N_SHUFFLES if len(cells) <= MANY_CELLS else min(N_SHUFFLES, FEWER_SHUFFLES)
    as_large = 0
    for size in _portions(n_shuffles, len(every) + n_labels**2):
        moved = rng.binomial(counts[differ], 0.5, (size, int(differ.sum())))
        kept = np.broadcast_to(counts, (size, len(counts))).copy()
        kept[:, differ] -= moved
        drawn = np.concatenate([kept, moved], axis=1)
        found = score(_confusions(every, drawn, 2, n_labels)) - score(_confusions(every, drawn, 1, n_labels))
        as_large += int((np.abs(found) >= abs(base) - 1e-12).sum())
    return (1 + as_large) / (1 + n_shuffles)


def compare_answers(
    source: str,
    true: ArrayLike,
    answers: Mapping[str, ArrayLike],
    n_labels: int,
    metric: str = "accuracy",
    seed: int = 0,
) -> Comparison:
    """Every two of the models, by name in the order given.

    true (n,) and each of answers (n,): integers in [0, n_labels); an answer may be -1, none, which counts as
    not right. metric is a key of METRICS."""
    names = list(answers)
    n = len(np.asarray(true))
    scores = []
    for name in names:
        confusion = answered_confusion(true, answers[name], n_labels)
        value = float(METRICS[metric](confusion))
        right = int(np.trace(confusion))
        interval = (
            wilson(right, n) if metric == "accuracy" else macro_and_mcc_intervals(confusion, seed)[metric]
        )
        assert interval is not None
        scores.append(Score(name, value, interval))
    chosen = list(combinations(names, 2))
    tested = []
    for one, other in chosen:
        arrays = (true, answers[one], answers[other], n_labels)
        only_one, only_other = _only(*_triples(*arrays))
        if metric == "accuracy":
            tested.append(mcnemar(only_one, only_other))
        else:
            tested.append(randomisation(*arrays, metric, seed))
    adjusted = holm(tested)
    pairs = []
    for (one, other), p, p_holm in zip(chosen, tested, adjusted, strict=True):
        arrays = (true, answers[one], answers[other], n_labels)
        only_one, only_other = _only(*_triples(*arrays))
        difference, interval, error = difference_interval(*arrays, metric, seed)
        level = LEVEL / len(chosen)
        if metric == "accuracy":
            rows = mcnemar_rows(only_one / n, only_other / n, level)
        else:  # the standard error falls with the root of the rows
            z = sum(float(scipy.stats.norm.ppf(q)) for q in (1 - level / 2, POWER))
            rows = n * (z * error / difference) ** 2 if difference else math.inf
        needed = math.ceil(rows) if rows < MOST_ROWS else None
        test = "exact McNemar" if metric == "accuracy" else "approximate randomisation"
        pair = Pair(one, other, difference, interval, p, p_holm, test, only_one, only_other, needed, "")
        pairs.append(_worded(pair, n, metric, len(chosen)))
    return Comparison(source, n, metric, tuple(scores), tuple(pairs))


def _worded(pair: Pair, n: int, metric: str, n_pairs: int) -> Pair:
    """The pair with its sentence."""
    decimals = 1 if pair.interval[1] - pair.interval[0] > 0.01 else 2
    low, high = (_points(end, decimals) for end in pair.interval)
    change = f"{NAMES[metric]} {_points(pair.difference, decimals)} points ({low} to {high})"
    p = f"p {'< 0.001' if pair.p_holm < 0.001 else f'= {pair.p_holm:.3f}'} ({pair.test}"
    p += f", Holm over {n_pairs} pairs)" if n_pairs > 1 else ")"
    end = f"{change}, {p}, on {n:,} rows"
    if pair.verdict != "cannot tell":
        sentence = f"{pair.second} is {pair.verdict} than {pair.first}: {end}."
    elif pair.only_first + pair.only_second == 0 and pair.difference == 0:
        sentence = f"Cannot tell: {pair.second} and {pair.first} are right on the same rows, of {n:,}."
    else:
        sentence = f"Cannot tell whether {pair.second} is better than {pair.first}: {end}"
        if pair.rows_needed is not None:
            rows = _rounded(max(pair.rows_needed, n + 1))
            sentence += f"; a difference of this size would take about {rows:,} rows (80% power)"
        sentence += "."
    return Pair(**{**asdict(pair), "sentence": sentence})


def _points(value: float, decimals: int) -> str:
    return f"{100 * value:+z.{decimals}f}"


def _rounded(rows: int) -> int:
    """Up to two digits that count: 3,052 -> 3,100."""
    step = int(10 ** max(len(str(rows)) - 2, 0))
    return -(-rows // step) * step


def _triples(true: ArrayLike, first: ArrayLike, second: ArrayLike, n_labels: int) -> tuple[Counts, Counts]:
    """The different (true, first, second) as (n_cells, 3), and how many texts have each: (n_cells,)."""
    width = n_labels + 1  # the last for no answer
    codes = (np.asarray(true, np.int64) * width + np.mod(first, width)) * width + np.mod(second, width)
    found, counts = np.unique(codes, return_counts=True)
    pairs, last = np.divmod(found, width)
    return np.stack([*np.divmod(pairs, width), last], axis=1), counts.astype(np.int64)


def _only(cells: Counts, counts: Counts) -> tuple[int, int]:
    """Texts that only the first has right, and only the second."""
    first, second = (cells[:, 0] == cells[:, i] for i in (1, 2))
    return int(counts[first & ~second].sum()), int(counts[second & ~first].sum())


def _confusions(cells: Counts, counts: Counts, which: int, n_labels: int) -> Counts:
    """Of the answers in column `which`: counts (..., n_cells) -> (..., n_labels, n_labels + 1)."""
    width = n_labels + 1
    places = cells[:, 0] * width + cells[:, which]
    order = np.argsort(places, kind="stable")
    occupied, starts = np.unique(places[order], return_index=True)
    matrices = np.zeros((*counts.shape[:-1], n_labels * width), np.int64)
    matrices[..., occupied] = np.add.reduceat(counts[..., order], starts, axis=-1)
    return matrices.reshape(*counts.shape[:-1], n_labels, width)


def _portions(total: int, cells: int) -> list[int]:
    """total in portions of so many rows of cells that they fit into some 32 MB."""
    size = max(1, _CELLS_AT_ONCE // cells)
    return [min(size, total - first) for first in range(0, total, size)]
