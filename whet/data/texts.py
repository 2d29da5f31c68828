"""The text columns of a table as rows of strings."""

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.columns import Columns
from whet.data.sentences import is_lists, word_lists
from whet.data.table import Table

_CHUNK = 8192

Row = tuple[str, ...]  # (text,) or (text, pair)


@final
class Texts(Sequence[Row]):
    """The texts of some rows of a table; they stay where they are, which may be a mapped file."""

    def __init__(self, table: Table, columns: Columns, rows: np.ndarray | None = None) -> None:
        """rows (n,) int64 rows of the table; None is all of them. Raises DataError for a missing column."""
        names = [name for name in (columns.text, columns.pair) if name is not None]
        self._columns = [readable(table, name) for name in names]
        self._rows = np.arange(len(table)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def n_columns(self) -> int:
        """1 for single texts, 2 for pairs."""
        return len(self._columns)

    def __getitem__(self, index: int | slice) -> Row | list[Row]:  # type: ignore[override]
        if isinstance(index, slice):
            return self.some(np.arange(len(self))[index])
        return self.some(np.array([index]))[0]

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), _CHUNK):
            yield from self.some(np.arange(start, min(start + _CHUNK, len(self))))

    def some(self, texts: np.ndarray) -> list[Row]:
        """texts (n,) int64 indices -> their rows; an absent value is an empty text."""
        chosen = pa.array(self._rows[texts])
        values = [column.take(chosen).to_pylist() for column in self._columns]
        return [tuple(value or "" for value in row) for row in zip(*values, strict=True)]

    def absent(self) -> np.ndarray:
        """Which of the texts have no value at all in a column, (n,) int64 indices; "" is a value."""
        gone = np.zeros(len(self), dtype=bool)
        for column in self._columns:
            gone |= column.is_null().to_numpy()[self._rows]
        return np.flatnonzero(gone)

    def n_empty(self) -> int:
        """Rows whose texts are all white space."""
        return sum(not any(text.strip() for text in row) for row in self)


def readable(table: Table, name: str) -> pa.ChunkedArray:
    """A column as text (large_string, null kept): lists of words become words with single blanks between.

    Raises DataError as `Table.strings` and `word_lists` do."""
    if not is_lists(table, name):
        return table.strings(name)
    words = word_lists(table, name).cast(pa.list_(pa.string()))
    return pc.binary_join(words, " ").cast(pa.large_string())
