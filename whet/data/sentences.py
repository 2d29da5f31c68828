"""Sentences as words: from a column of lists, or from texts that are split here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.spans import Offsets, joined, word_offsets
from whet.data.table import Table, describe
from whet.data.wording import shortened
from whet.errors import DataError

DOCUMENT_NAMES: Final = ("document", "doc", "document_id", "doc_id")
_CHUNK = 4096
Words = tuple[str, ...]


@final
@dataclass(frozen=True, eq=False)
class Sentence:
    """Words, and those around them in the document."""

    words: Words
    text: str  # in which they stand; of a list of words these, joined by single blanks
    offsets: Offsets  # (n_words, 2) first character and last + 1 of each word
    before: Words = ()
    after: Words = ()

    @classmethod
    def of_words(cls, words: Sequence[str]) -> "Sentence":
        """From a list of words."""
        text, offsets = joined(words)
        return cls(tuple(words), text, offsets)

    @classmethod
    def of_text(cls, text: str) -> "Sentence":
        """From raw text; see `whet.data.spans.word_offsets` for what a word is."""
        offsets = word_offsets(text)
        return cls(tuple(text[start:end] for start, end in offsets.tolist()), text, offsets)


@final
class Sentences(Sequence[Sentence]):
    """The sentences of some rows of a table; they stay where they are, which may be a mapped file."""

    def __init__(self, table: Table, column: str, rows: np.ndarray | None = None, context: int = 0) -> None:
        """column holds texts, or lists of words. rows (n,) int64 rows of the table; None is all of them.

        context is how many words of the same document a sentence brings along on each side, where a column
        says what document a row is of. Raises DataError for a column that is missing or holds neither."""
        self._table, self._column = table, column
        self._values = word_lists(table, column) if is_lists(table, column) else table.strings(column)
        self._rows = np.arange(len(table)) if rows is None else rows
        self._context = context
        self._documents = document_numbers(table) if context else None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int | slice) -> Sentence | list[Sentence]:  # type: ignore[override]
        if isinstance(index, slice):
            return self.some(np.arange(len(self))[index])
        return self.some(np.array([index]))[0]

    def __iter__(self) -> Iterator[Sentence]:
        for start in range(0, len(self), _CHUNK):
            yield from self.some(np.arange(start, min(start + _CHUNK, len(self))))

    def some(self, sentences: np.ndarray) -> list[Sentence]:
        """sentences (n,) int64 indices -> themselves; an absent value has no words."""
        rows = self._rows[sentences]
        found = self._read(rows)
        documents = self._documents
        if documents is None:
            return found
        known = {row: one.words for row, one in zip(rows.tolist(), found, strict=True)}

        def around(row: int, step: int) -> Words:
            """The words of the rows beside this one, the nearest first in what is taken."""
            words: Words = ()
            other = row + step
            while 0 <= other < len(documents) and documents[other] == documents[row]:
                if other not in known:
                    known[other] = self._read(np.array([other]))[0].words
                words = known[other] + words if step < 0 else words + known[other]
                if len(words) >= self._context:
                    return words[-self._context :] if step < 0 else words[: self._context]
                other += step
            return words

        return [
            replace(one, before=around(row, -1), after=around(row, 1))
            for row, one in zip(rows.tolist(), found, strict=True)
        ]

    def _read(self, rows: np.ndarray) -> list[Sentence]:
        values = self._values.take(pa.array(rows)).to_pylist()
        if pa.types.is_large_string(self._values.type):
            return [Sentence.of_text(value or "") for value in values]
        return [Sentence.of_words(value or ()) for value in values]


def is_lists(table: Table, column: str) -> bool:
    """Whether a column holds lists of plain values."""
    kind = table.column(column).type
    return describe(kind) == "lists" and not pa.types.is_nested(kind.value_type)


def word_lists(table: Table, column: str) -> pa.ChunkedArray:
    """A column of lists as lists of strings. Raises DataError, with its row, for a word that is not there."""
    lists = table.column(column).cast(pa.list_(pa.large_string()))
    flat = pc.list_flatten(lists)
    missing = pc.fill_null(pc.equal(flat, ""), True)
    if pc.any(missing).as_py():
        row = pc.list_parent_indices(lists).filter(missing)[0].as_py()
        raise DataError(
            f"{table.place(row)}: a word in '{shortened(column)}' is empty. Write the word, or leave it out "
            "together with its tag."
        )
    return lists


def document_numbers(table: Table) -> np.ndarray | None:
    """The document of each row, (n_rows,) int64; None where nothing tells one from another.

    A row that does not say is a document of its own."""
    name = document_column(table)
    if name is None:
        return None
    values = table.strings(name)
    places = pc.index_in(values, value_set=values.unique())
    numbers: np.ndarray = pc.fill_null(places, -1).to_numpy().astype(np.int64)
    unknown = np.flatnonzero(values.is_null().to_numpy())
    numbers[unknown] = len(table) + unknown
    return numbers


def document_column(table: Table) -> str | None:
    """The column that says what document a sentence is of.

    Document 0 in all rows says nothing: so a CoNLL file without borders is read."""
    named = (name for name in table.names if name.casefold() in DOCUMENT_NAMES and not is_nested(table, name))
    return next((name for name in named if table.strings(name).unique().to_pylist() != ["0"]), None)


def is_nested(table: Table, column: str) -> bool:
    """Whether a column holds lists or records."""
    return bool(pa.types.is_nested(table.column(column).type))
