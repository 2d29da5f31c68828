"""JSON lines (an object a line), a JSON array of objects, and one text a line from a pipe."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import final

import numpy as np
import pyarrow as pa

from whet.data.delimited import BATCH_BYTES, Batch
from whet.data.lines import LONGEST_LINE, Lines
from whet.data.table import MOST_COLUMNS
from whet.data.values import check_name, typed_array
from whet.errors import DataError

Record = tuple[int, dict[str, object]]  # the line it begins on, its values
BLANK = " \t\r\n"
BLANKS = re.compile(r"[ \t\r\n]*")
LONGEST_TOKEN = 16  # characters of -Infinity, or of a character as two \\u escapes


def json_line_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """A JSON lines file as batches."""
    return _batches(lines, _records(lines, iter(lines)), n_rows)


def json_array_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """A file that is one JSON array of objects, as batches; one object is held at a time."""
    return _batches(lines, _array_records(lines), n_rows)


def pipe_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """Rows through a pipe: JSON lines if the first line that is not blank opens an object, else texts."""
    held: list[str] = []
    given = iter(lines)
    for line in given:
        held.append(line)
        if line.strip() or len(held) >= n_rows:
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
            raise DataError(_unreadable(place, error)) from None
        yield number, _checked(place, value)


def _syntax(source: str, place: str, text: str, error: json.JSONDecodeError) -> str:
    if text in ("{", "["):
        advice = "Write each object on one line, or all of them as one array into a .json file."
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
            f"{place}: {found} stands here, where a JSON object is expected. "
            f'Write it as in {{"text": "...", "label": "..."}}.'
        )
    return value


def _unreadable(place: str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"{place}: lists or objects are nested too deeply here. Leave that value out."
    return (
        f"{place}: a whole number of thousands of digits stands here. Put quotes around it, or leave it out."
    )


def _array_records(lines: Lines) -> Iterator[Record]:
    text = _Unread(lines)
    if text.next() == "[":
        text.at += 1
    while text.next() != "]":
        line = text.line()
        yield line, _checked(f"{lines.source}:{line}", text.value())
        mark = text.next()
        if mark == ",":
            text.at += 1
        elif mark != "]":
            raise DataError(
                f"{lines.source}:{text.line()}: a comma or the array's closing bracket is missing here. "
                f"Mend the line; if the file breaks off here, save it again."
            )
    text.at += 1
    if text.next():
        raise DataError(
            f"{lines.source}:{text.line()}: something follows the end of the array. "
            f"Leave one array in the file, or write one object a line into a .jsonl file."
        )


@final
class _Unread:
    """The text from some place on: it is read when it is needed, and let go when it has been used."""

    def __init__(self, lines: Lines) -> None:
        self.at = 0  # the place, in the text that is held
        self._source = lines.source
        self._blocks = lines.blocks()
        self._text = ""
        self._counted, self._line = 0, 1  # up to where line ends are counted, and the line that is there
        self._begin = 0  # where that line begins, less than 0 if that is no longer held
        self._decoder = json.JSONDecoder()

    def line(self) -> int:
        """The 1-based line of the place."""
        self._line += self._text.count("\n", self._counted, self.at)
        self._begin = self._text.rfind("\n", self._counted, self.at) + 1 or self._begin
        self._counted = self.at
        return self._line

    def next(self) -> str:
        """The next character that is no blank, which is the place now; "" at the end."""
        while True:
            blanks = BLANKS.match(self._text, self.at)
            assert blanks is not None
            self.at = blanks.end()
            if self.at < len(self._text) or not self._grow():
                return self._text[self.at : self.at + 1]

    def value(self) -> object:
        """The JSON value that begins here, refused beyond LONGEST_LINE; the place is behind it then."""
        while True:
            try:
                value, self.at = self._decoder.raw_decode(self._text, self.at)
                return value
            except json.JSONDecodeError as error:
                message, cut = self._syntax(error), _is_cut(error)
                if cut and len(self._text) - self.at > LONGEST_LINE:
                    raise DataError(
                        f"{self._source}:{self.line()}: the value that begins here is longer than "
                        f"{LONGEST_LINE // 2**20} MiB, which no text to classify is. "
                        f"Cut it, or name another file."
                    ) from None
                if not (cut and self._grow()):
                    raise DataError(message) from None
            except (ValueError, RecursionError) as error:
                raise DataError(_unreadable(f"{self._source}:{self.line()}", error)) from None

    def _syntax(self, error: json.JSONDecodeError) -> str:
        line = self.line() + self._text.count("\n", self.at, error.pos)
        begin = self._text.rfind("\n", self.at, error.pos) + 1 or self._begin
        return (
            f"{self._source}:{line}: not JSON: {error.msg.lower()} at position {error.pos - begin + 1}. "
            f"Mend it, or write one object a line into a .jsonl file."
        )

    def _grow(self) -> bool:
        """Read on until there is twice as much, so that a long value is tried only a few times."""
        self.line()
        pieces = [self._text[self.at :]]
        missing = min(len(pieces[0]), LONGEST_LINE - len(pieces[0])) + 1
        while missing > 0 and (block := next(self._blocks, "")):
            pieces.append(block)
            missing -= len(block)
        self._begin -= self.at
        self._text, self.at, self._counted = "".join(pieces), 0, 0
        return len(pieces) > 1


def _is_cut(error: json.JSONDecodeError) -> bool:
    """Whether more text could mend it: a string is open, or the error is within a token of the end."""
    return error.msg.startswith("Unterminated string") or error.pos > len(error.doc) - LONGEST_TOKEN


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
        raise DataError(f"{lines.source}: the file is empty: it holds no JSON object. Put one on each line.")


def _batch(source: str, rows: list[Record], types: dict[str, pa.DataType]) -> Batch:
    starts = np.array([start for start, _ in rows], np.int64)
    for start, record in rows:
        for name in record:
            if name in types:
                continue
            if len(types) == MOST_COLUMNS:
                raise DataError(
                    f"{source}:{start}: up to here the objects have more than {MOST_COLUMNS:,} different "
                    f"keys. Give every object the same keys, and put what differs into the values."
                )
            check_name(f"{source}:{start}", name)
            types[name] = pa.null()
    if not types:
        raise DataError(f"{source}:{starts[0]}: this object is empty. Give every row at least a text.")
    columns = {}
    for name, known in types.items():
        values = [record.get(name) for _, record in rows]
        columns[name] = typed_array(source, name, values, known, starts)
        types[name] = columns[name].type
    return pa.table(columns), starts
