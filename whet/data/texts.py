"""The text columns of a table as rows of strings, a chunk at a time."""

from collections.abc import Iterator

from whet.data.columns import Columns
from whet.data.table import Table

_CHUNK = 8192


def text_rows(table: Table, columns: Columns) -> Iterator[tuple[str, ...]]:
    """(text,) or (text, pair) of every row; an absent value is an empty text."""
    names = [name for name in (columns.text, columns.pair) if name is not None]
    strings = [table.strings(name) for name in names]
    for start in range(0, len(table), _CHUNK):
        chunk = [column.slice(start, _CHUNK).to_pylist() for column in strings]
        for row in zip(*chunk, strict=True):
            yield tuple(value or "" for value in row)


def n_empty_texts(table: Table, columns: Columns) -> int:
    """Rows whose texts are all white space."""
    return sum(not any(text.strip() for text in row) for row in text_rows(table, columns))
