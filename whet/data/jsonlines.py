"""JSON lines (an object a line), a JSON array of objects, and one text a line from a pipe.

A column gets the narrowest type its values allow. Rows come in batches, and a later batch may widen a type;
`join` brings the parts of one table together again.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa

from whet.data.delimited import BATCH_BYTES, Batch
from whet.data.lines import Lines
from whet.data.table import Indices, as_text, describe, scalar_text
from whet.errors import DataError

Record = tuple[int, dict[str, object]]  # the line it begins on, its values
BLANK = " \t\r\n"


def json_line_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """A JSON lines file as batches."""
    return _batches(lines, _records(lines, iter(lines)), n_rows)


def json_array_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """A file that is one JSON array of objects, as batches; the text is held whole."""
    return _batches(lines, _array_records(lines), n_rows)


def pipe_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """Rows through a pipe: JSON lines if the first line that is not blank opens an object, else texts."""
    held: list[str] = []
    given = iter(lines)
    for line in given:
        held.append(line)
        if line.strip():
            break
    if not held:
        raise DataError(f"{lines.source}: nothing came in. Give JSON lines, or one text a line.")
    if held[-1].lstrip().startswith("{"):
        yield from _batches(lines, _records(lines, chain(held, given)), n_rows)
    else:
        yield from _text_batches(lines, chain(held, given), n_rows)


def _text_batches(lines: Lines, given: Iterator[str], n_rows: int) -> Iterator[Batch]:
    # A blank line stays a (blank) text: what comes out must lie beside what went in.
    texts: list[str] = []
    done, mark = 0, lines.n_bytes
    for line in given:
        texts.append(line.rstrip("\r\n"))
        if len(texts) >= n_rows or lines.n_bytes - mark > BATCH_BYTES:
            yield pa.table({"text": pa.array(texts, pa.string())}), np.arange(done + 1, done + len(texts) + 1)
            done, texts, mark = done + len(texts), [], lines.n_bytes
    if texts:
        yield pa.table({"text": pa.array(texts, pa.string())}), np.arange(done + 1, done + len(texts) + 1)


def _records(lines: Lines, given: Iterator[str]) -> Iterator[Record]:
    for number, line in enumerate(given, 1):
        text = line.strip(BLANK)
        if not text:
            continue
        place = f"{lines.source}:{number}"
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(_syntax(lines.source, place, text, error)) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: this line cannot be read as JSON: {error}.") from None
        yield number, _checked(place, value)


def _syntax(source: str, place: str, text: str, error: json.JSONDecodeError) -> str:
    if text in ("{", "["):
        advice = (
            "An object must stand on one line; a file in several lines must be one array, in a .json file."
        )
    elif error.msg == "Extra data":
        advice = "Put one object on each line, with nothing between them."
    else:
        advice = "Mend the line; every line must be one JSON object."
    return f"{place}: this line is not JSON: {error.msg.lower()} at position {error.colno}. {advice}"


def _checked(place: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        found = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}.get(
            type(value), "a number"
        )
        raise DataError(
            f"{place}: {found} stands here, where a JSON object is expected, "
            f'as in {{"text": "...", "label": "..."}}.'
        )
    if isinstance(value.get("data"), list) and any("paragraphs" in item for item in value["data"][:1]):
        raise DataError(f"{place}: this looks like SQuAD, but question-answering is not built yet.")
    return value


def _array_records(lines: Lines) -> Iterator[Record]:
    text = "".join(lines)
    decoder = json.JSONDecoder()
    at = _skip_blanks(text, 0) + 1  # behind the opening bracket
    counted, line = 0, 1
    while True:
        at = _skip_blanks(text, at)
        line, counted = line + text.count("\n", counted, at), at
        place = f"{lines.source}:{line}"
        if text.startswith("]", at):
            end = _skip_blanks(text, at + 1)
            if end < len(text):
                raise DataError(
                    f"{place}: something follows the end of the array. A .json file holds one array."
                )
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{lines.source}:{error.lineno}: not JSON: {error.msg.lower()} at position {error.colno}. "
                f"Mend it, or write one object a line into a .jsonl file."
            ) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: this cannot be read as JSON: {error}.") from None
        yield line, _checked(place, value)
        at = _skip_blanks(text, end)
        if text.startswith(",", at):
            at += 1
        elif not text.startswith("]", at):
            line += text.count("\n", counted, at)
            raise DataError(f"{lines.source}:{line}: a comma or the array's closing bracket is missing here.")


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANK:
        at += 1
    return at


def _batches(lines: Lines, records: Iterator[Record], n_rows: int) -> Iterator[Batch]:
    types: dict[str, pa.DataType] = {}
    rows: list[Record] = []
    empty = True
    mark = lines.n_bytes
    for record in records:
        rows.append(record)
        if len(rows) >= n_rows or lines.n_bytes - mark > BATCH_BYTES:
            yield _batch(lines.source, rows, types)
            rows, empty, mark = [], False, lines.n_bytes
    if rows:
        yield _batch(lines.source, rows, types)
    elif empty:
        raise DataError(f"{lines.source}: the file is empty: it holds no JSON object.")


def _batch(source: str, rows: list[Record], types: dict[str, pa.DataType]) -> Batch:
    starts = np.array([start for start, _ in rows], np.int64)
    for start, record in rows:
        for name in record:
            if name not in types:
                check_name(f"{source}:{start}", name)
                types[name] = pa.null()
    if not types:
        raise DataError(f"{source}:{starts[0]}: this object is empty: a row needs at least a text.")
    columns = {}
    for name, known in types.items():
        values = [record.get(name) for _, record in rows]
        columns[name] = typed_array(source, name, values, known, starts)
        types[name] = columns[name].type
    return pa.table(columns), starts


def check_name(place: str, name: str) -> None:
    """Refuse a column name that no file could hold."""
    if _has_surrogate(name):
        raise DataError(f"{place}: the name {name!r} holds half of a surrogate pair, which is no character.")


def typed_array(
    source: str, name: str, values: list[object], known: pa.DataType, lines: Indices | None
) -> pa.Array:
    """Values as an array of the type the column has had so far, else of the one they all have, else as text.

    lines: the line of each value, for errors; None where the rows have none."""

    def place(row: int) -> str:
        return f"{source}, row {row + 1}" if lines is None else f"{source}:{lines[row]}"

    for kind in (None,) if pa.types.is_null(known) else (known, None):
        try:
            return pa.array(values, kind)
        except UnicodeEncodeError:
            row = next(row for row, value in enumerate(values) if _has_surrogate(value))
            raise DataError(
                f"{place(row)}: '{name}' holds half of a surrogate pair (\\ud800 to \\udfff), which is no "
                f"character. Mend the text or drop the row."
            ) from None
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue
    nested = [row for row, value in enumerate(values) if isinstance(value, list | dict | tuple)]
    plain = [row for row, value in enumerate(values) if isinstance(value, str | int | float)]
    if nested and plain:
        raise DataError(
            f"{place(nested[0])}: '{name}' holds a list or an object here, but text or a number in "
            f"{place(plain[0])}. A column must hold one kind of value."
        )
    if nested:
        raise DataError(
            f"{place(nested[0])}: '{name}' holds lists or objects that differ in kind from row to row."
        )
    odd = [
        row
        for row, value in enumerate(values)
        if value is not None and not isinstance(value, str | int | float)
    ]
    if odd:
        kind_name = type(values[odd[0]]).__name__
        raise DataError(
            f"{place(odd[0])}: '{name}' holds a value of type {kind_name}; text or a number is expected."
        )
    return pa.array([scalar_text(value) for value in values], pa.string())


def _has_surrogate(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return True
    return False


def join(source: str, parts: Sequence[pa.Table]) -> pa.Table:
    """The parts of one table under one schema: a missing column is null, one of several types is widened."""
    if len(parts) == 1:
        return parts[0]
    names = list(dict.fromkeys(name for part in parts for name in part.column_names))
    kinds = {
        name: _widest(source, name, [p.column(name).type for p in parts if name in p.column_names])
        for name in names
    }
    aligned = []
    for part in parts:
        columns = {}
        for name, kind in kinds.items():
            if name not in part.column_names:
                columns[name] = pa.chunked_array([pa.nulls(part.num_rows, kind)])
            elif part.column(name).type.equals(kind):
                columns[name] = part.column(name)
            elif kind.equals(pa.string()):
                columns[name] = as_text(part.column(name)).cast(pa.string())
            else:
                columns[name] = part.column(name).cast(kind)
        aligned.append(pa.table(columns))
    return pa.concat_tables(aligned)


def _widest(source: str, name: str, kinds: Sequence[pa.DataType]) -> pa.DataType:
    distinct = list(dict.fromkeys(kind for kind in kinds if not pa.types.is_null(kind)))
    if len(distinct) <= 1:
        return distinct[0] if distinct else pa.null()
    if not any(pa.types.is_nested(kind) for kind in distinct):
        return pa.string()
    try:
        empty = [pa.table({name: pa.array([], kind)}) for kind in distinct]
        return pa.concat_tables(empty, promote_options="permissive").schema.field(name).type
    except pa.ArrowException:
        found = " and ".join(dict.fromkeys(describe(kind) for kind in distinct))
        raise DataError(
            f"{source}: column '{name}' holds {found}. A column must hold one kind of value."
        ) from None
