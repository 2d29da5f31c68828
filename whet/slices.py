"""Where a model is weak: accuracy of parts of the rows, each beside all the other rows together.

A cut parts the rows by length, by true label or by the values of a column. A slice is worse than the rest
where Fisher's exact test says so: one-sided, because nothing else is warned of, and with Holm's correction
over all slices that are tested. So of models that are equally good everywhere at most 5% get any warning.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any, Final, Literal, final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import scipy.stats

from whet.comparison import holm
from whet.data.columns import spelled_number
from whet.data.table import Table
from whet.data.wording import counted, shortened
from whet.intervals import LEVEL, Interval, wilson

MOST_VALUES: Final = 50  # of a column that become slices of their own
MOST_NUMBERS: Final = 20  # different numbers; with more a column is cut at its quartiles
LEAST_ROWS: Final = 5  # of a slice that is tested: fewer say nothing, and would cost the others their power
NO_VALUE: Final = "(none)"

Kind = Literal["length", "label", "column"]
Int64s = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Cut:
    """Rows parted by one thing."""

    kind: Kind
    names: tuple[str, ...]
    codes: Int64s  # (n_rows,) the place of each row's slice in names
    column: str | None = None  # of kind column
    note: str | None = None


@final
@dataclass(frozen=True)
class Slice:
    """Some of the rows, beside all the others; a difference is None where there are no others."""

    kind: Kind
    column: str | None
    name: str
    n_rows: int
    accuracy: float
    interval: Interval  # 95%, Wilson's
    rest_accuracy: float | None
    difference: float | None  # accuracy minus that of the rest
    p: float | None  # Fisher's, one-sided; None of fewer than 5 rows, which are not tested
    p_holm: float | None  # over all slices that are tested
    warning: str | None  # one sentence, where the slice is worse than the rest

    @property
    def title(self) -> str:
        """The name, with what it is a value of: "label ABBR", "source = forum", "5 to 11 tokens"."""
        lead = {"length": "", "label": "label ", "column": f"{self.column} = "}[self.kind]
        return lead + self.name

    def to_json(self) -> dict[str, Any]:
        """An entry of `slices` in `whet eval --json`."""
        return {"rows" if name == "n_rows" else name: value for name, value in asdict(self).items()}


def cut_by_length(lengths: Int64s) -> Cut:
    """At the quartiles of the texts' lengths in tokens, (n_rows,)."""
    codes, lows, highs = _quartiles(lengths)
    names = tuple(
        counted(low, "token") if low == high else f"{low:,} to {high:,} tokens"
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True)
    )
    return Cut("length", names, codes)


def cut_by_label(targets: Int64s, labels: Sequence[str]) -> Cut:
    """By true label: targets (n_rows,) places in labels."""
    return Cut("label", tuple(labels), np.asarray(targets, np.int64))


def cut_by_column(table: Table, column: str, rows: Int64s) -> Cut:
    """By the values of a column in rows (n_rows,) of a table.

    Values are compared as text without the blanks around them. Of more than 50 the 50 with most rows are
    slices of their own and the others are one; more than 20 different numbers are cut at their quartiles.
    Raises DataError where there is no such column, or where it holds lists or records."""
    values = pc.utf8_trim_whitespace(table.strings(column).take(rows)).combine_chunks()
    encoded = pc.if_else(pc.equal(values, ""), None, values).dictionary_encode()
    distinct: list[str] = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)  # -1: no value
    numbers = [spelled_number(value) for value in distinct]
    note = None
    if len(distinct) > MOST_NUMBERS and None not in numbers:
        given = codes >= 0
        bins, lows, highs = _quartiles(np.array(numbers, np.float64)[codes[given]])
        names = [f"{_spelled(low)} to {_spelled(high)}" for low, high in zip(lows, highs, strict=True)]
        codes[given] = bins
    elif len(distinct) > MOST_VALUES:
        n_others = len(distinct) - MOST_VALUES
        counts = np.bincount(codes[codes >= 0], minlength=len(distinct))
        largest = np.argsort(-counts, kind="stable")[:MOST_VALUES]
        place = np.full(len(distinct) + 1, MOST_VALUES)
        place[-1] = -1
        place[largest] = np.arange(MOST_VALUES)
        codes = place[codes]
        names = [*(distinct[i] for i in largest), f"others ({n_others:,} values)"]
        note = (
            f"Column '{shortened(column)}' holds {len(distinct):,} different values: the {MOST_VALUES} with "
            f"most rows are slices, the others are one slice together."
        )
    else:
        names = distinct
    if (codes < 0).any():
        codes[codes < 0] = len(names)
        names = [*names, NO_VALUE]
    return Cut("column", tuple(map(shortened, names)), codes, column, note)


def slice_rows(cuts: Sequence[Cut], is_right: npt.NDArray[np.bool_]) -> tuple[Slice, ...]:
    """The slices of all cuts that have rows: is_right (n_rows,) says which rows were answered rightly.

    Worst first: those that are most surely worse than the rest, so that a slice of six rows does not stand
    before one of six hundred. Slices that are not tested come last."""
    n, n_right = len(is_right), int(is_right.sum())
    found: list[tuple[Cut, str, int, int]] = []
    for cut in cuts:
        sizes = np.bincount(cut.codes, minlength=len(cut.names)).tolist()
        right = np.bincount(cut.codes[is_right], minlength=len(cut.names)).tolist()
        found += [one for one in zip(repeat(cut), cut.names, sizes, right, strict=False) if one[2]]
    tested = [i for i, (_, _, size, _) in enumerate(found) if LEAST_ROWS <= size < n]
    hits_of, sizes_of = (np.array([found[i][place] for i in tested], np.int64) for place in (3, 2))
    p_values = fisher(hits_of, sizes_of, n_right, n)
    adjusted = dict(zip(tested, zip(p_values, holm(p_values), strict=True), strict=True))
    slices = []
    for i, (cut, name, size, hits) in enumerate(found):
        interval = wilson(hits, size)
        assert interval is not None
        rest = None if size == n else (n_right - hits) / (n - size)
        difference = None if rest is None else hits / size - rest
        p, p_holm = adjusted.get(i, (None, None))
        one = Slice(
            cut.kind, cut.column, name, size, hits / size, interval, rest, difference, p, p_holm, None
        )
        slices.append(_worded(one, len(tested)))
    return tuple(sorted(slices, key=lambda one: (one.p is None, one.p or 0.0, one.accuracy)))


def fisher(hits: Int64s, sizes: Int64s, n_right: int, n: int) -> list[float]:
    """How likely it is that a slice has so few hits, if it is as good as the rest: hits, sizes (n_slices,).

    Fisher's exact test, one-sided, of hits in size against n_right - hits in n - size: the lower tail of the
    hypergeometric distribution; scipy's `fisher_exact(..., alternative="less")`."""
    p_values: list[float] = np.minimum(scipy.stats.hypergeom.cdf(hits, n, n_right, sizes), 1.0).tolist()
    return p_values


def _worded(one: Slice, n_tested: int) -> Slice:
    """The slice with its warning, where it earns one."""
    if one.p_holm is None or one.p_holm >= 1 - LEVEL:
        return one
    p = "p < 0.001" if one.p_holm < 0.001 else f"p = {one.p_holm:.3f}"
    others = "labels" if one.kind == "label" else "rows"
    warning = (
        f"{one.title}: worse than the other {others}, accuracy {one.accuracy:.3f} against "
        f"{one.rest_accuracy:.3f}, on {counted(one.n_rows, 'row')}, {p} (Fisher's exact test, Holm over "
        f"{n_tested} slices)."
    )
    return Slice(**{**asdict(one), "warning": warning})


def _quartiles(values: npt.NDArray[Any]) -> tuple[Int64s, npt.NDArray[Any], npt.NDArray[Any]]:
    """Up to four bins of about as many values each: (n,) bin of each value; least and largest of each bin.

    Equal values share a bin, so there are fewer bins where a value is frequent."""
    edges = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf"))
    kept, bins = np.unique(np.searchsorted(edges, values, side="left"), return_inverse=True)
    inside = [values[bins == i] for i in range(len(kept))]
    return bins, np.array([each.min() for each in inside]), np.array([each.max() for each in inside])


def _spelled(number: float) -> str:
    return str(int(number)) if number.is_integer() else f"{number:.6g}"
