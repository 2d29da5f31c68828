"""Whatever a user names as data, to tables: the one door. Each format has a file of its own beside this."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whet.data import hub
from whet.data.conll import conll_batches, looks_like_conll
from whet.data.delimited import Batch, csv_batches, sniff_delimiter, tsv_batches
from whet.data.folders import CONLL, glue_columns, is_saved_dataset, split_files
from whet.data.jsonlines import json_array_batches, json_line_batches, pipe_batches
from whet.data.labels import spelled_labels
from whet.data.lines import FORMATS, Lines, refuse_binary
from whet.data.memory import is_frame, table_of_frame, table_of_lists
from whet.data.spool import Spool
from whet.data.squad import looks_like_squad, squad_batches
from whet.data.table import Table
from whet.data.values import join
from whet.errors import DataError

READ_ROWS = 10_000
HEAD_BYTES = 256 * 1024  # enough to tell a format and a delimiter
STDIN = "<stdin>"
KNOWN = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
ANOTHER = " Is the name right?"


@final
@dataclass(frozen=True, eq=False)
class Splits:
    """What a source holds. A single file is all train."""

    train: Table
    dev: Table | None = None
    test: Table | None = None


def read_splits(source: Any) -> Splits:
    """train, dev and test of whatever the source is.

    It may be a path (file, GLUE folder, folder saved by `datasets`), "hf:owner/name[:config]", a DataFrame,
    lists, or an object of `datasets`."""
    found = _splits(source)
    if "train" not in found:
        raise DataError(
            f"{_name(source)}: there is no train split, only {' and '.join(found)}. Name a file to train on."
        )
    return Splits(found["train"], found.get("dev"), found.get("test"))


def read_table(source: Any, *, split: str | None = None) -> Table:
    """One table: a file, or the named split ("train", "dev" or "test") of a source that has several."""
    path = file_of(source)
    if path is not None and split in (None, "train"):
        return _read_file(path, str(source))
    wanted = {"validation": "dev"}.get(split or "train", split or "train")
    found = _splits(source)
    if wanted not in found:
        raise DataError(
            f"{_name(source)}: there is no {wanted} split, only {' and '.join(found)}. Name another file."
        )
    return found[wanted]


def read_split_of(source: Any, *wanted: str, label: str | None = None) -> Table:
    """The first of the wanted splits that a source of several has; else its train, or all that it holds.

    With a label column, a split that has no value in it is passed over, as GLUE's test files."""
    found = _splits(source)
    order = [split for split in (*wanted, "train", *found) if split in found]
    labelled = [split for split in order if label is not None and _has_values(found[split], label)]
    return found[(labelled or order)[0]]


def _has_values(table: Table, column: str) -> bool:
    if column not in table.names:
        return False
    values = table.column(column)
    if not pa.types.is_nested(values.type):
        values = spelled_labels(table, column)
    return bool(values.null_count < len(table))


def stream_tables(source: Any, rows: int = 4096) -> Iterator[Table]:
    """Tables of at most `rows` rows, in order, in constant memory for files and pipes ("-")."""
    if isinstance(source, str) and source == "-":
        lines = Lines(STDIN, _read_stdin, only_newline=True)
        yield from _numbered(Table(STDIN, None), pipe_batches(lines, rows))
        return
    path = file_of(source)
    if path is None:
        table = read_table(source)
        for start in range(0, len(table), rows):
            yield table.slice(start, rows)
        return
    with _opened(path, str(source), rows) as (batches, class_names, _):
        yield from _numbered(Table(str(source), None, class_names=class_names), batches)


def _read_stdin(n_bytes: int) -> bytes:
    buffer: Any = getattr(sys.stdin, "buffer", None)
    if buffer is None:  # a test or a notebook put a text stream there
        return sys.stdin.read(n_bytes).encode("utf-8", "surrogatepass")
    # read1 gives what a pipe holds by now, so the first rows need not wait for a whole block
    return bytes(buffer.read1(n_bytes) if hasattr(buffer, "read1") else buffer.read(n_bytes))


def _numbered(like: Table, batches: Iterator[Batch]) -> Iterator[Table]:
    done = 0
    for columns, lines in batches:
        numbers = np.arange(done, done + columns.num_rows, dtype=np.int64)
        done += columns.num_rows
        yield replace(like, columns=columns, first_lines=lines, row_numbers=numbers)


def _splits(source: Any) -> dict[str, Table]:
    if is_frame(source):
        return {"train": table_of_frame(source)}
    if isinstance(source, str) and source.startswith("hf:"):
        return hub.hub_splits(source)
    if type(source).__module__.split(".")[0] == "datasets":
        return hub.splits_of("<Dataset>", source)
    if not isinstance(source, str | os.PathLike):
        return {"train": table_of_lists(source)}
    file = file_of(source)
    if file is not None:
        return {"train": _read_file(file, str(source))}
    return _read_folder(Path(source), str(source))


def _name(source: Any) -> str:
    """What to call a source of several splits in a message."""
    return str(source) if isinstance(source, str | os.PathLike) else "<Dataset>"


def file_of(source: Any) -> Path | None:
    """The file a source names; None where it is no path or a folder; an error where nothing is there."""
    if not isinstance(source, str | os.PathLike) or str(source).startswith("hf:"):
        return None
    path = Path(source)
    try:
        if path.is_dir():
            return None
        if path.exists():
            return path
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        raise DataError(f"{str(source)[:200]!r} cannot be opened: {error}. Name another file.") from None
    raise DataError(_missing(path, str(source)))


def _missing(path: Path, source: str) -> str:
    try:
        beside = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        hint = _hub_hint(path, source)
        return f"{source}: no such file; the folder {path.parent} does not exist either.{hint or ANOTHER}"
    close = get_close_matches(path.name, beside, n=1)
    advice = f" Did you mean '{path.parent / close[0]}'?" if close else _hub_hint(path, source)
    return f"{source}: no such file.{advice or ANOTHER}"


def _hub_hint(path: Path, source: str) -> str:
    looks_so = source.count("/") == 1 and not path.suffix
    return f" A data set of the Hugging Face hub is written hf:{source}." if looks_so else ""


def _read_folder(folder: Path, source: str) -> dict[str, Table]:
    if is_saved_dataset(folder):
        return hub.saved_splits(source, folder)
    files = split_files(folder)
    if not files:
        raise DataError(
            f"{source}: this folder is no data set: it holds no train, dev or test file ({FORMATS}) and was "
            f"not saved by `datasets`. Name a file in it."
        )
    tables = {split: _read_file(path, os.path.join(source, path.name)) for split, path in files.items()}
    first = next(iter(tables.values()))
    for split, path in files.items():
        known = glue_columns(tables[split].names, first.names) if path.suffix == ".tsv" else None
        if known is not None:
            tables[split] = replace(tables[split], minus_one_is_unlabelled=True, known=known)
    return tables


def _read_file(path: Path, source: str) -> Table:
    spool = Spool()
    all_lines: list[npt.NDArray[np.int64]] = []
    with _opened(path, source, READ_ROWS) as (batches, class_names, text):
        for columns, lines in batches:
            spool.append(columns)
            if lines is not None:
                all_lines.append(lines)
    columns = join(source, spool.finish())
    lines_of_rows = np.concatenate(all_lines) if all_lines else None
    n_broken = 0 if text is None else text.n_broken
    return Table(source, columns, lines_of_rows, class_names=class_names, n_broken=n_broken)


@contextmanager
def _opened(
    path: Path, source: str, n_rows: int
) -> Iterator[tuple[Iterator[Batch], Mapping[str, tuple[str, ...]], Lines | None]]:
    """The batches of a file, by its ending or, where that says nothing, by its content; the names of its
    classes; and the lines that are read, if it has lines."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            kind = _format(path, source, head)
            if kind == "parquet":
                if not path.is_file():
                    raise DataError(f"{source}: Parquet cannot come through a pipe. Save it to a file first.")
                yield *hub.parquet_batches(source, path, n_rows), None
                return
            lines = Lines(source, _resumed(head, file), only_newline=kind != "csv")
            if kind == "csv":
                batches = csv_batches(lines, head, n_rows)
            elif kind == "tsv":
                batches = tsv_batches(lines, n_rows)
            elif kind == "squad":
                batches = squad_batches(lines, n_rows)
            elif kind == "conll":
                batches = conll_batches(lines, head, n_rows)
            elif kind == "array":
                batches = json_array_batches(lines, n_rows)
            else:
                batches = json_line_batches(lines, n_rows)
            yield batches, {}, lines
    except OSError as error:
        raise DataError(
            f"{source}: this file cannot be read: {error.strerror or error}. Is it yours to read?"
        ) from None


def _resumed(head: bytes, file: IO[bytes]) -> Callable[[int], bytes]:
    """Reads on as if `head` had not been read; a named pipe can be read only once."""
    unread = [head]
    return lambda n_bytes: unread.pop() if unread else file.read(n_bytes)


def _format(path: Path, source: str, head: bytes) -> str:
    """csv, tsv, conll, squad, json, array or parquet; an error says what files of these look like."""
    suffix = path.suffix.lower()
    if not head:
        raise DataError(f"{source}: the file is empty. Put rows into it, or name another file.")
    if suffix in (".parquet", ".pq"):
        if head.startswith(b"PAR1"):
            return "parquet"
        refuse_binary(source, head)
        raise DataError(f"{source}: this is not a Parquet file. Rename it by what it holds: {FORMATS}.")
    if suffix not in KNOWN and head.startswith(b"PAR1"):
        return "parquet"
    refuse_binary(source, head)
    if looks_like_squad(head):
        return "squad"
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if suffix in (".csv", ".tsv"):
        return suffix[1:]
    if suffix in CONLL or (suffix not in KNOWN and looks_like_conll(head)):
        return "conll"
    if suffix == ".json" and begin == b"[":
        return "array"
    if suffix in (".jsonl", ".ndjson", ".json") or begin == b"{":
        return "json"
    delimiter = sniff_delimiter(head)
    if delimiter == "\t":
        return "tsv"
    if delimiter in head.split(b"\n", 1)[0].decode("utf-8", "replace"):
        return "csv"
    raise DataError(f"{source}: what this file holds cannot be told. Name it by its format: {FORMATS}.")
