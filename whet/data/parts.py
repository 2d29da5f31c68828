"""Train, dev and test as the checks see them: the texts and labels of whole tables, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.findings import quoted
from whet.data.labels import spelled_labels
from whet.data.sentences import is_nested
from whet.data.table import Columns, Table
from whet.data.texts import readable

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
PartName = Literal["train", "dev", "test"]


@final
@dataclass(frozen=True, eq=False)
class Part:
    """One table, read by columns."""

    name: PartName
    table: Table
    texts: tuple[pa.ChunkedArray, ...]  # one or two columns, large_string without nulls
    labels: pa.ChunkedArray | None  # large_string, null where unlabelled; None where there is no such column
    written: pa.ChunkedArray | None  # the labels as the file has them, with the blanks around them

    def __len__(self) -> int:
        return len(self.table)

    @property
    def source(self) -> str:
        return self.table.source

    def example(self, row: int, most: int = 100) -> str:
        """The texts of a row and its label, quoted."""
        label = self.label(row)
        texts = " / ".join(quoted(column[row].as_py(), most) for column in self.texts)
        return texts + ("" if label is None else f" is {quoted(label, 40)}")

    def label(self, row: int) -> str | None:
        found: str | None = None if self.labels is None else self.labels[row].as_py()
        return found


Spell = Callable[[Table, Columns], pa.ChunkedArray | None]


def spelled_label(table: Table, columns: Columns) -> pa.ChunkedArray | None:
    """The labels of one column; None where it holds lists."""
    assert columns.label is not None
    return None if is_nested(table, columns.label) else spelled_labels(table, columns.label)


def part(name: PartName, table: Table, columns: Columns, spell: Spell = spelled_label) -> Part:
    """Raises DataError where a column is missing or cannot be read. The label columns may be absent, else
    `spell` gives the label of each row as one text, or None where it is no text."""
    texts = tuple(
        pc.fill_null(readable(table, column), "") for column in (columns.text, columns.pair) if column
    )
    labels = spell(table, columns) if columns.are_labelled(table.names) else None
    is_plain = labels is not None and columns.label is not None and not is_nested(table, columns.label)
    written = table.strings(columns.label) if is_plain and columns.label else labels
    return Part(name, table, texts, labels, written)


@final
class Corpus:
    """The rows of several parts under one count: row i is row i - begins[part] of its part."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        sizes = np.array([len(part) for part in parts], np.int64)
        self.begins = np.concatenate([[0], np.cumsum(sizes)])
        self.part_of = np.repeat(np.arange(len(parts)), sizes)
        self.columns = tuple(
            pa.chunked_array([chunk for part in parts for chunk in part.texts[i].chunks], pa.large_string())
            for i in range(len(parts[0].texts))
        )
        self._chunk_begins = tuple(
            np.cumsum([0, *(len(chunk) for chunk in column.chunks)]) for column in self.columns
        )
        self.names, self.labels = _encoded(parts)  # labels (n_rows,) places in names, -1 for none

    def __len__(self) -> int:
        return int(self.begins[-1])

    def texts(self, column: int, rows: Int64s) -> pa.Array:
        """The texts of rows in one of the columns, (n,) large_string."""
        return _taken(self.columns[column], self._chunk_begins[column], rows)

    def part(self, row: int) -> Part:
        return self.parts[int(self.part_of[row])]

    def example(self, row: int) -> str:
        """A row with its place, texts and label."""
        part = int(self.part_of[row])
        own = row - int(self.begins[part])
        return f"{self.parts[part].table.place(own)} {self.parts[part].example(own)}"


def _taken(column: pa.ChunkedArray, begins: Int64s, rows: Int64s) -> pa.Array:
    """rows (n,) of a column whose chunks begin at `begins`. Arrow's own take copies the column first."""
    order = np.argsort(rows, kind="stable")
    in_order = rows[order]
    stops = np.searchsorted(in_order, begins)
    pieces = [
        column.chunk(chunk).take(pa.array(in_order[start:stop] - begins[chunk]))
        for chunk, (start, stop) in enumerate(pairwise(stops))
        if stop > start
    ]
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    whole = pa.concat_arrays(pieces) if pieces else pa.array([], column.type)
    return whole if np.array_equal(order, np.arange(len(rows))) else whole.take(pa.array(back))


def _encoded(parts: Sequence[Part]) -> tuple[tuple[str, ...], Int64s]:
    names: dict[str, None] = {}
    for part in parts:
        if part.labels is not None:
            names |= dict.fromkeys(part.labels.unique().drop_null().to_pylist())
    known = pa.array(list(names), pa.large_string())
    codes = [
        np.full(len(part), -1, np.int64)
        if part.labels is None
        else pc.fill_null(pc.index_in(part.labels, value_set=known), -1).to_numpy().astype(np.int64)
        for part in parts
    ]
    return tuple(names), np.concatenate(codes)
