"""A table of labelled or unlabelled rows that knows where each row came from.

Everything that reads data gives a `Table`; everything that complains about data asks it for `place(row)`,
so that an error names the file and the line a person can open.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.spool import SPILL_BYTES, Spool
from whet.data.wording import listed, shortened
from whet.errors import DataError, UsageError, nearest

Indices = npt.NDArray[np.int64]

# Rows hashed at a time: the fingerprint must not depend on how a reader happened to cut its chunks.
HASHED_ROWS = 65_536
MOST_COLUMNS = 4096  # a file with more is another kind of file, and would need memory without bound
TAKEN_ROWS = 10_000


LabelColumns = str | Sequence[str] | None  # as a user names them


def one_or_several(label: LabelColumns) -> str | tuple[str, ...] | None:
    """Label columns in their plainest form: None, a name, or two names and more."""
    names = tuple(label) if isinstance(label, list | tuple) else () if label is None else (label,)
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"label={label!r}: name a column, or a list of columns.")
    return names if len(names) > 1 else names[0] if names else None


@final
@dataclass(frozen=True)
class Columns:
    """Which column is what, and why."""

    task: str
    text: str
    pair: str | None
    labels: tuple[str, ...]  # none, one, or several of 0 and 1 that are a label each
    notes: tuple[str, ...]  # one plain line for each thing that was inferred
    group: str | None = None  # rows of one value in it hang together, as the sentences of a document

    @property
    def label(self) -> str | None:
        """The one label column; None where there is none, or several."""
        return self.labels[0] if len(self.labels) == 1 else None

    @property
    def label_words(self) -> str:
        """The label columns in a message: "column 'label'"."""
        return f"column '{self.label}'" if self.label else f"columns {listed(self.labels)}"

    def are_labelled(self, names: Sequence[str]) -> bool:
        """Whether a table of these columns has those of the labels."""
        return bool(self.labels) and set(self.labels) <= set(names)

    def to_json(self) -> dict[str, Any]:
        """text, pair and label, which is a list where the labels are several columns."""
        return {"text": self.text, "pair": self.pair, "label": one_or_several(self.labels)}


@final
@dataclass(frozen=True, eq=False)
class Table:
    """Rows with their places."""

    source: str  # as the user named it; without a file "hf:owner/name", "<DataFrame>", "<lists>" or "<stdin>"
    columns: pa.Table  # all rows
    first_lines: Indices | None = (
        None  # (n_rows,) 1-based line each row begins on; None if there are no lines
    )
    minus_one_is_unlabelled: bool = False  # true of GLUE folders
    # Column -> names of a `datasets` ClassLabel; the values in `columns` are then names already, null for -1
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known: Columns | None = None  # what a GLUE folder's layout says about its columns
    row_numbers: Indices | None = None  # (n_rows,) 0-based rows of the source; None if they are 0, 1, 2 ...
    n_broken: int = 0  # lines of GLUE's QQP that hold no whole row, and were left out

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns.column_names)

    def column(self, name: str) -> pa.ChunkedArray:
        """The values as they were read; an unknown name is an error that lists the columns."""
        if name not in self.columns.column_names:
            raise DataError(
                f"{self.source}: there is no column '{shortened(name)}'.{nearest(name, self.names)} "
                f"The columns are: {listed(self.names)}."
            )
        return self.columns.column(name)

    def strings(self, name: str) -> pa.ChunkedArray:
        """The values as text (large_string, null kept); lists and records have none and are an error."""
        try:
            return as_text(self.column(name))
        except pa.ArrowException as error:
            raise DataError(
                f"{self.source}: column '{shortened(name)}' holds {describe(self.column(name).type)}, where "
                f"text, numbers or true and false are expected. Name another column."
            ) from error

    def place(self, row: int) -> str:
        """ "reviews.csv:412" where rows have lines, else "reviews.parquet, row 412"; both 1-based."""
        number = int(self.numbers(np.array([row]))[0])
        return f"{self.source}, row {number}" if self.first_lines is None else f"{self.source}:{number}"

    def numbers(self, rows: Indices) -> Indices:
        """The 1-based lines that rows begin on, or where there are no lines their 1-based numbers."""
        if self.first_lines is not None:
            return self.first_lines[rows]
        return (rows if self.row_numbers is None else self.row_numbers[rows]) + 1

    def take(self, rows: Any) -> "Table":
        """These rows, in this order; what is too large for memory goes to a file, as in reading."""
        rows = np.asarray(rows)
        if rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64)
        if len(self) == 0 or self.columns.nbytes * (len(rows) / len(self)) <= SPILL_BYTES / 2:
            columns = self.columns.take(pa.array(rows))
        else:
            spool = Spool()
            for start in range(0, len(rows), TAKEN_ROWS):
                piece = rows[start : start + TAKEN_ROWS]
                low, high = int(piece.min()), int(piece.max())
                spool.append(
                    self.columns.slice(low, high - low + 1).take(pa.array(piece - low)).combine_chunks()
                )
            columns = spool.finish()[0]
        numbers = rows if self.row_numbers is None else self.row_numbers[rows]
        lines = None if self.first_lines is None else self.first_lines[rows]
        return replace(self, columns=columns, first_lines=lines, row_numbers=numbers)

    def slice(self, start: int, n_rows: int) -> "Table":
        """A view of `n_rows` rows from `start`."""
        stop = min(start + n_rows, len(self))
        if self.row_numbers is None:
            numbers = np.arange(start, stop, dtype=np.int64)
        else:
            numbers = self.row_numbers[start:stop]
        lines = None if self.first_lines is None else self.first_lines[start:stop]
        return replace(
            self, columns=self.columns.slice(start, n_rows), first_lines=lines, row_numbers=numbers
        )

    def fingerprint(self) -> str:
        """A hash of the names and values, the same in every process and for any chunking."""
        digest = hashlib.blake2b(digest_size=16)
        for name in self.names:
            digest.update(f"{name}\0{len(self)}\0".encode("utf-8", "surrogatepass"))
            column = self.columns.column(name)
            for start in range(0, len(self), HASHED_ROWS):
                _hash_values(digest, column.slice(start, HASHED_ROWS))
        return digest.hexdigest()


def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as large_string by the one rule for numbers: 1 and 1.0 are "1", 1.5 is "1.5", true is "true".

    NaN, which is how pandas writes a missing number, becomes null. Lists and records raise ArrowInvalid."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    if pa.types.is_nested(kind):
        raise pa.ArrowInvalid(f"{kind} has no text")
    if not pa.types.is_floating(kind):
        return (
            values.cast(pa.string()).cast(pa.large_string())
            if pa.types.is_boolean(kind)
            else values.cast(pa.large_string())
        )
    encoded = values.cast(pa.float64()).dictionary_encode()
    chunks = [
        pa.array([scalar_text(value) for value in chunk.dictionary.to_pylist()], pa.large_string()).take(
            chunk.indices
        )
        for chunk in encoded.chunks
    ]
    return pa.chunked_array(chunks, pa.large_string())


def scalar_text(value: object) -> str | None:
    """One value as text, by the same rule as `as_text`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def check_names(source: str, names: Sequence[str]) -> None:
    """Refuse columns that cannot be told apart, and more of them than a table may have."""
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{source}: there are {len(names):,} columns; whet reads at most {MOST_COLUMNS:,}. "
            f"Leave out those that are not needed."
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{source}: several columns are named '{shortened(twice[0])}'. Give every column its own name."
        )


def check_values(source: str, columns: pa.Table, start: int = 0) -> None:
    """Refuse what pyarrow reads without a look at it: text that is no UTF-8, dates beyond all calendars.

    start: the 0-based row of the source that comes first here."""
    for name in columns.column_names:
        values = columns.column(name)
        if _is_sound(values):
            continue
        row = next((row for row in range(len(values)) if not _is_sound(values.slice(row, 1))), 0)
        raise DataError(
            f"{source}, row {start + row + 1}: '{shortened(name)}' holds a value that cannot be read as "
            f"{describe(values.type).removeprefix('values of ')}. Mend the row, or leave the column out."
        )


def _is_sound(values: pa.ChunkedArray) -> bool:
    try:
        values.validate(full=True)
        if not _is_plain(values.type):
            values.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        return False
    return True


def _is_plain(kind: pa.DataType) -> bool:
    """Whether every valid value of this type is a Python value too."""
    return bool(
        is_text(kind)
        or pa.types.is_null(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or (pa.types.is_list(kind) and _is_plain(kind.value_type))
    )


def describe(kind: pa.DataType) -> str:
    """A column's type in words."""
    if pa.types.is_struct(kind) or pa.types.is_map(kind) or pa.types.is_union(kind):
        return "records"
    if pa.types.is_nested(kind):
        return "lists"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytes that are not UTF-8 text"
    return f"values of type {kind}"


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, plain or as a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _hash_values(digest: hashlib.blake2b, values: pa.ChunkedArray) -> None:
    digest.update(np.packbits(values.is_valid().to_numpy()).tobytes())
    kind = values.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not (is_text(kind) or is_number):
        digest.update(repr(values.to_pylist()).encode("utf-8", "surrogatepass"))
        return
    if not is_text(kind):
        # Numbers through their text would be slow and would call 1 and 1.0 alike; their bytes are exact.
        digest.update(str(kind).encode())
        raw = pc.fill_null(values, pa.scalar(0).cast(kind)) if values.null_count else values
        digest.update(np.ascontiguousarray(raw.to_numpy()).tobytes())
        return
    text = pc.fill_null(values.cast(pa.large_string()), "").combine_chunks()
    if isinstance(text, pa.ChunkedArray):
        text = pa.concat_arrays(text.chunks) if text.num_chunks else pa.array([], pa.large_string())
    digest.update(pc.binary_length(text).to_numpy(zero_copy_only=False).astype(np.int64).tobytes())
    _, offsets, data = text.buffers()
    if data is not None and len(text):
        ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
        digest.update(memoryview(data)[int(ends[0]) : int(ends[-1])])
