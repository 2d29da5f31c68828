"""Texts without labels, as documents: plain files, WikiText's layout, or the text column of labelled rows."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whet.config import Documents
from whet.data.columns import infer_columns
from whet.data.folders import CONLL
from whet.data.lines import Lines, refuse_binary
from whet.data.readers import HEAD_BYTES, KNOWN, READ_ROWS, file_of, read_splits
from whet.data.spool import Spool
from whet.data.table import Columns, Table
from whet.data.texts import readable
from whet.errors import DataError

TASK = "masked-lm"
_COLUMN = "text"
_OF_ROWS = (*KNOWN, *CONLL, ".parquet", ".pq")
_TITLE = re.compile(r"\s*= ([^=\n](?:.*[^=\n])?) =\s*")  # " = Title = "
_SECTION = re.compile(r"\s*(=(?: =)+) (.+) \1\s*")  # " = = Section = = "
_BYTES = 4 * 1024 * 1024  # of documents that are held before they go to the spool
_SHOWN = 3

Document = tuple[int, str]  # the 1-based line on which it begins, and its text


def read_corpus(
    source: Any, layout: Documents, text: str | None = None, pair: str | None = None
) -> tuple[Table, Columns]:
    """Documents, one a row, in the column that `Columns` names; of several sources those of the first first.

    source is a path, or a tuple of them: a text file, a folder of .txt files, or whatever `train` reads, of
    which a row is a document (of a pair of texts both, one after the other). Raises DataError."""
    sources = source if isinstance(source, tuple) else (source,)
    read = [table for one in sources for table in _tables(one, layout, text, pair)]
    if not read:
        raise DataError("there are no texts. Name a file.")
    notes = [note for _, found in read for note in found]
    tables = [table for table, _ in read]
    columns = Columns(TASK, _COLUMN, None, (), tuple(dict.fromkeys(notes)))
    if len(tables) == 1:
        return tables[0], columns
    names = [table.source for table in tables]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    whole = Table(", ".join(names[:_SHOWN]) + more, pa.concat_tables([table.columns for table in tables]))
    return whole, columns


def has_text(table: Table) -> np.ndarray:
    """Which documents hold anything but white space, (n_documents,) bool."""
    trimmed = pc.utf8_trim_whitespace(table.column(_COLUMN))
    found: np.ndarray = pc.not_equal(trimmed, "").to_numpy()
    return found


def _tables(
    source: Any, layout: Documents, text: str | None, pair: str | None
) -> Iterator[tuple[Table, list[str]]]:
    if isinstance(source, str | os.PathLike) and not str(source).startswith("hf:"):
        file = file_of(source)
        if file is None and (files := sorted(Path(source).glob("*.txt"))):
            for path in files:
                yield _plain(path, str(path), layout)
            return
        if file is not None and file.suffix.lower() not in _OF_ROWS:
            yield _plain(file, str(source), layout)
            return
    yield _rows(read_splits(source).train, text, pair)


def _rows(table: Table, text: str | None, pair: str | None) -> tuple[Table, list[str]]:
    """A row is a document."""
    columns = infer_columns(table, text=text, pair=pair, need_label=False)
    names = [name for name in (columns.text, columns.pair) if name is not None]
    values = [pc.fill_null(readable(table, name), "") for name in names]
    joined = (
        values[0]
        if len(values) == 1
        else pc.binary_join_element_wise(*values, pa.scalar("\n", pa.large_string()))
    )
    of = " and ".join(f"'{name}'" for name in names)
    note = f"documents: the rows of {table.source}, texts in {of}"
    documents = Table(table.source, pa.table({_COLUMN: joined}), table.first_lines)
    return documents, [note]


def _plain(path: Path, source: str, layout: Documents) -> tuple[Table, list[str]]:
    spool, lines = Spool(), [np.zeros(0, np.int64)]
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            refuse_binary(source, head)
            layout = _layout(head.decode("utf-8", "replace")) if layout == "auto" else layout
            file.seek(0)
            for batch in _batches(_DOCUMENTS[layout](Lines(source, file.read, only_newline=True))):
                lines.append(np.array([line for line, _ in batch], np.int64))
                spool.append(pa.table({_COLUMN: pa.array([one for _, one in batch], pa.large_string())}))
    except OSError as error:
        raise DataError(
            f"{source}: this file cannot be read: {error.strerror or error}. Is it yours to read?"
        ) from None
    parts = spool.finish()
    if not parts:
        raise DataError(f"{source}: the file holds no text. Put some into it, or name another file.")
    note = f"documents of {source}: {_WORDS[layout]}"
    return Table(source, pa.concat_tables(parts), np.concatenate(lines)), [note]


def _layout(head: str) -> Documents:
    lines = head.splitlines()
    if any(_TITLE.fullmatch(line) for line in lines):
        return "wikitext"
    return "blank-lines" if any(not line.strip() for line in lines) else "lines"


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    held: list[Document] = []
    n_characters = 0
    for document in documents:
        held.append(document)
        n_characters += len(document[1])
        if len(held) >= READ_ROWS or n_characters >= _BYTES:
            yield held
            held, n_characters = [], 0
    if held:
        yield held


def _of_blank_lines(lines: Lines) -> Iterator[Document]:
    """As BERT's own script has it: a blank line between documents."""
    return _cut(lines, lambda line: (not line.strip(), line))


def _of_wikitext(lines: Lines) -> Iterator[Document]:
    """A title begins an article; titles and the headings of its sections stay, without their signs."""

    def read(line: str) -> tuple[bool, str]:
        title, section = _TITLE.fullmatch(line), _SECTION.fullmatch(line)
        return title is not None, title[1] if title else section[2] if section else line

    return _cut(lines, read)


def _cut(lines: Lines, read: Any) -> Iterator[Document]:
    """read tells of a line whether a document begins there, and what is kept of it."""
    begin, held = 0, list[str]()
    for line in lines:
        begins, kept = read(line)
        if begins and held:
            yield begin, "\n".join(held)
            held = []
        if kept.strip():
            begin = begin if held else lines.number
            held.append(kept.strip())
    if held:
        yield begin, "\n".join(held)


def _of_lines(lines: Lines) -> Iterator[Document]:
    for line in lines:
        if line.strip():
            yield lines.number, line.strip()


def _of_files(lines: Lines) -> Iterator[Document]:
    whole = "".join(lines).strip()
    if whole:
        yield 1, whole


_DOCUMENTS = {
    "blank-lines": _of_blank_lines,
    "wikitext": _of_wikitext,
    "lines": _of_lines,
    "files": _of_files,
}
_WORDS = {
    "blank-lines": "a blank line between them",
    "wikitext": "each title, = Title =, begins one",
    "lines": "each line is one",
    "files": "the whole file is one",
}
