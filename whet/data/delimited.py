"""CSV with real quoting, and TSV where tabs part the fields and quotes are text."""

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whet.data.lines import LONGEST_LINE, Lines
from whet.data.table import MOST_COLUMNS
from whet.data.wording import listed
from whet.errors import DataError

Batch = tuple[pa.Table, npt.NDArray[np.int64] | None]
Row = tuple[int, list[str]]  # the line it begins on, its fields

DELIMITERS = ",\t;|"
NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
SNIFFED_ROWS = 200
BATCH_BYTES = (
    8 * 1024 * 1024
)  # long texts are batched by size, so that ten thousand of them need not fit in memory
COLA_NAMES = ["source", "label", "mark", "sentence"]
QQP_NAMES = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]


def csv_batches(lines: Lines, head: bytes, n_rows: int) -> Iterator[Batch]:
    """A CSV file as batches of text columns; the delimiter is looked for in `head`, its beginning."""
    delimiter = sniff_delimiter(head)
    return _batches(lines, csv_rows(lines, delimiter), n_rows, delimiter)


def tsv_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """A TSV file as batches of text columns."""
    return _batches(lines, _tsv_rows(lines), n_rows, "\t")


def csv_rows(lines: Lines, delimiter: str) -> Iterator[Row]:
    """The rows of a CSV file; blank lines are none."""
    start = 1
    held = 0  # characters of the row that begins at `start`

    def bounded() -> Iterator[str]:
        nonlocal held
        for line in lines:
            held += len(line)
            if held > LONGEST_LINE:
                raise DataError(
                    f"{lines.source}:{start}: this row is longer than {LONGEST_LINE // 2**20} MiB. "
                    f"Is a quote opened here and never closed? Else cut the text, or name another file."
                )
            yield line

    reader = _reader(bounded(), delimiter)
    try:
        for fields in reader:
            held = 0
            if fields:
                yield start, fields
            start = lines.number + 1
    except csv.Error as error:
        raise DataError(_quoting_error(lines, start, str(error))) from None


def _reader(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _quoting_error(lines: Lines, start: int, reason: str) -> str:
    place = f"{lines.source}:{start}"
    if "unexpected end" in reason:
        return (
            f"{place}: a quote is opened in this row and never closed. "
            f'Close it, or write it twice ("") inside quotes if it is text.'
        )
    if "expected after" in reason:
        where = (
            "" if lines.number == start else f" (in line {lines.number}; an earlier quote may be left open)"
        )
        return (
            f"{place}: a quoted field goes on after its closing quote{where}. "
            f'Write a quote inside a quoted field twice (""), or save the file as TSV, where quotes are text.'
        )
    return f"{place}: this row cannot be read as CSV: {reason}. Mend the row."


def _tsv_rows(lines: Lines) -> Iterator[Row]:
    for line in lines:
        line = line.rstrip("\r\n")
        if line:
            yield lines.number, line.split("\t")


def _batches(lines: Lines, rows: Iterator[Row], n_rows: int, delimiter: str) -> Iterator[Batch]:
    first = next((row for row in rows if any(field.strip() for field in row[1])), None)
    if first is None:
        raise DataError(f"{lines.source}: the file is empty. Put a header line and rows into it.")
    if _is_cola(first[1]) and delimiter == "\t":
        names, kept, starts = COLA_NAMES, [first[1]], [first[0]]
    else:
        names, kept, starts = header_names(lines.source, *first), [], []
    width = len(names)
    n_batches = 0
    mark = lines.n_bytes
    for start, fields in rows:
        if len(fields) != width:
            if len(fields) == 1 and not fields[0].strip():
                continue  # a line of blanks is a blank line
            if names == QQP_NAMES and len(fields) < width and delimiter == "\t":
                lines.n_broken += 1  # as published, GLUE's QQP has a few rows with a line end inside
                continue
            raise DataError(_ragged(lines.source, start, fields, names, delimiter))
        kept.append(fields)
        starts.append(start)
        if len(kept) >= n_rows or lines.n_bytes - mark > BATCH_BYTES:
            yield _batch(names, kept, starts)
            kept, starts, mark = [], [], lines.n_bytes
            n_batches += 1
    if kept:
        yield _batch(names, kept, starts)
    elif not n_batches:
        raise DataError(
            f"{lines.source}: there is a header ({listed(names)}) but no rows. "
            f"Add rows, or name another file."
        )


def _batch(names: list[str], rows: list[list[str]], starts: list[int]) -> Batch:
    arrays = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
    return pa.table(arrays, names=names), np.array(starts, np.int64)


def header_names(source: str, line: int, fields: list[str]) -> list[str]:
    """Column names, trimmed; an empty one, as pandas writes for its index, becomes "column 1" by place."""
    if len(fields) > MOST_COLUMNS:
        raise DataError(
            f"{source}:{line}: the header has {len(fields):,} columns; whet reads at most {MOST_COLUMNS:,}. "
            f"Leave out those that are not needed, or name another file."
        )
    names = [field.strip() or f"column {place}" for place, field in enumerate(fields, 1)]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(
            f"{source}:{line}: the header names '{listed(twice)}' more than once. Give every column a name "
            f"of its own; if the first line is a row already, put a header above it."
        )
    return names


def _is_cola(fields: list[str]) -> bool:
    """GLUE's CoLA has no header; its first row (source, 0 or 1, "" or "*", sentence) cannot be one."""
    return len(fields) == 4 and fields[1] in ("0", "1") and fields[2] in ("", "*")


def _ragged(source: str, line: int, fields: list[str], names: list[str], delimiter: str) -> str:
    expected = f"the header has {len(names)} ({listed(names)})"
    fields_found = "1 field" if len(fields) == 1 else f"{len(fields):,} fields"
    if delimiter == "\t":
        advice = (
            "Remove the tab or the line end inside the text."
            if len(fields) > len(names)
            else "Is a tab missing?"
        )
    elif len(fields) > len(names):
        advice = f"Put quotes around a text that holds '{delimiter}'."
    else:
        advice = "Is a field missing, or a line end inside a text without quotes?"
    return (
        f"{source}:{line}: {fields_found}, but {expected}; fields are parted by {NAMES[delimiter]}. {advice}"
    )


def sniff_delimiter(head: bytes) -> str:
    """The delimiter under which the first rows, read with real quoting, most often have as many fields as the
    header; a comma where the header has one field under all of them."""
    lines = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    best = (0.0, 0, ",")
    for delimiter in DELIMITERS:
        share, width = _consistency(lines, delimiter)
        if width > 1 and (share, width) > best[:2]:
            best = (share, width, delimiter)
    return best[2]


def _consistency(text: str, delimiter: str) -> tuple[float, int]:
    # io's rule for lines (newline=""), which is what the csv module asks for
    raw = [
        line.decode("utf-8", "replace") for line in text.encode("utf-8", "replace").splitlines(keepends=True)
    ]
    rows = _reader(iter(raw), delimiter)
    widths: list[int] = []
    broken = 0
    try:
        for row in islice(rows, SNIFFED_ROWS):
            if row:
                widths.append(len(row))
    except csv.Error as error:
        # The head is cut anywhere, so an end inside quotes says nothing against the delimiter.
        broken = 0 if "unexpected end" in str(error) else 1
    if not widths:
        return 0.0, 0
    if len(widths) > 2 and len(widths) < SNIFFED_ROWS:
        widths.pop()  # perhaps cut
    same = sum(width == widths[0] for width in widths)
    return same / (len(widths) + broken), widths[0]
