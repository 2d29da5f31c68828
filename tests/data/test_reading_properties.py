"""Whatever is written is read back; whatever the bytes or values are, they give rows or one of our errors.

Fuzzing has two lanes: a few hundred cases, the same every time, and (slow) over ten thousand new ones.
A case that takes longer than CASE_SECONDS counts as a hang. `mangling.py` makes the cases.
"""

import contextlib
import csv
import faulthandler
import io
import json
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.data import mangling
from whet.data import readers
from whet.data.columns import infer_columns
from whet.data.labels import encode_labels, label_names
from whet.data.readers import read_split_of, read_splits, read_table, stream_tables
from whet.data.table import Table, scalar_text
from whet.data.texts import Texts
from whet.errors import UsageError, WhetError

CASE_SECONDS = 10.0
LONGEST_MESSAGE = 1500  # characters: what a person reads

# A message tells what to do: after its first sentence there is a question, or one that begins like this.
NEXT_STEP = re.compile(
    r"(?:[.;:,)] |\n)(?:Add|Close|Cut|Drop|Export|Fix|Give|Leave|Load|Mend|Name|Put|Remove|Rename|Save|Say"
    r"|Unpack|Write)\b|\?( |$)|The columns are: |--task classification treats"
)


# ------------------------------------------------------------------ what has to hold


def rows(table: Table) -> list[dict]:
    return table.columns.to_pylist()


class Hang(BaseException):
    """A case took too long. No Exception, so that no reader can catch it."""


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """A signal stops Python code; native code that does not return ends the process, with a trace."""

    def ring(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, CASE_SECONDS)
    faulthandler.dump_traceback_later(3 * CASE_SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(n_cases: int, check: Callable[[Any], None], strategy: st.SearchStrategy) -> None:
    """n_cases of the check, each under the clock; the same cases every time where they are few."""
    few = n_cases < 1000

    @settings(
        max_examples=n_cases,
        deadline=None,
        derandomize=few,
        database=None,
        print_blob=True,
        phases=[Phase.generate] if few else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def case(value: object) -> None:
        with no_hang():
            check(value)

    case()


def lanes(few: int, many: int) -> pytest.MarkDecorator:
    """The number of cases: few, and many in the slow lane."""
    return pytest.mark.parametrize("n_cases", [few, pytest.param(many, marks=pytest.mark.slow)])


def lines_of(path: Path) -> list[list[bytes]]:
    """The lines of a file by the rule of its format: a lone carriage return ends a line in CSV only."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    anywhere = content.splitlines()
    newlines = content.split(b"\n") if b"\n" in content else anywhere
    by_suffix = {".csv": [anywhere], ".tsv": [newlines], ".jsonl": [newlines], ".json": [newlines]}
    return by_suffix.get(path.suffix.lower(), [anywhere, newlines])


def check_message(error: WhetError, source: str) -> None:
    """The place first, a line that is there, a next step, and no longer than a person reads."""
    message = str(error)
    assert message.startswith(source), message
    assert NEXT_STEP.search(message), f"no next step: {message}"
    assert len(message) <= LONGEST_MESSAGE, f"{len(message)} characters: {message[:300]}"
    place = re.match(r"([^\n]*?/\w+(?:\.\w+)?):(\d+): ", message)
    if place and Path(place[1]).is_file():
        assert 1 <= int(place[2]) <= max(1, *map(len, lines_of(Path(place[1])))), message


def check_table(table: Table) -> None:
    """Rows that agree with each other, text that is text, places that exist."""
    n_rows = len(table)
    assert n_rows > 0
    assert table.names
    table.columns.validate(full=True)
    values = table.columns.to_pylist()
    assert len(values) == n_rows
    json.dumps([table.names, values], ensure_ascii=False, default=str).encode()
    assert table.fingerprint() == table.take(np.arange(n_rows)).fingerprint()
    assert len({table.place(row) for row in range(n_rows)}) == n_rows or table.source.endswith("json")
    if table.first_lines is not None:
        assert len(table.first_lines) == n_rows
        assert any(
            all(number <= len(lines) and lines[number - 1].strip(b"\r\n") for number in table.first_lines)
            for lines in lines_of(Path(table.source))
        )
        assert (np.diff(table.first_lines) >= 0).all()


def check_texts(table: Table, **options: bool) -> None:
    """What training and prediction ask of a table next."""
    columns = infer_columns(table, **options)
    for text in Texts(table, columns):
        "".join(text).encode()
    if options.get("need_label", True) and columns.label is not None:
        names = label_names([table], columns.label)
        assert len(names) >= 2
        assert encode_labels(table, columns.label, names).max() < len(names)


def splits_door(source: object) -> list[Table]:
    splits = read_splits(source)
    return [table for table in (splits.train, splits.dev, splits.test) if table is not None]


def label_door(source: object) -> list[Table]:
    return [read_split_of(source, "test", "dev", label="label")]


def stream_door(source: object) -> list[Table]:
    return list(stream_tables(source, rows=2))


def check_door(door: Callable[[object], list[Table]], source: object, named: str) -> list[Table] | str:
    """The tables a door gives, all of them right, or the message it refuses with."""
    try:
        tables = door(source)
    except WhetError as error:
        if not isinstance(error, UsageError):
            check_message(error, named)
        return str(error)
    assert tables
    for table in tables:
        check_table(table)
        for options in ({"need_label": True}, {"need_label": False}):
            try:
                check_texts(table, **options)
            except WhetError as error:
                check_message(error, named)
    return tables


def spelled(tables: list[Table]) -> list[tuple[str, dict[str, str | None]]]:
    """Places and values as text: what reading at once and reading in pieces agree on, whatever the types."""
    found = []
    for table in tables:
        for row, record in enumerate(table.columns.to_pylist()):
            texts = {
                name: scalar_text(value)
                for name, value in record.items()
                if not isinstance(value, list | dict)
            }
            found.append((table.place(row), {name: text for name, text in texts.items() if text is not None}))
    return found


def check_agreement(whole: list[Table] | str, pieces: list[Table] | str) -> None:
    """Pieces are read as the whole is; only what a column may hold depends on what comes together."""
    if isinstance(whole, str) and isinstance(pieces, str):
        return
    refused = whole if isinstance(whole, str) else pieces
    if isinstance(refused, str):
        assert "one kind of value" in refused or "this object is empty" in refused, refused
    else:
        assert spelled(whole) == spelled(pieces)


def check_source(source: object, named: str) -> None:
    for door in (splits_door, label_door, stream_door):
        check_door(door, source, named)


# ------------------------------------------------------------------ files


def check_file(file: tuple[str, bytes]) -> None:
    name, content = file
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / name
        path.write_bytes(content)
        whole = check_door(splits_door, path, str(path))
        streamed = check_door(stream_door, path, str(path))
        check_agreement(whole, streamed)
        patch.setattr(readers, "READ_ROWS", 2)
        check_agreement(whole, check_door(label_door, path, str(path)))


@lanes(400, 7000)
def test_any_file_gives_rows_or_one_of_our_errors(n_cases):
    fuzz(n_cases, check_file, mangling.files())


def check_folder(content: mangling.Files) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mangling.write_files(Path(folder), content)
        check_source(folder, folder)


@lanes(120, 2500)
def test_any_folder_gives_rows_or_one_of_our_errors(n_cases):
    fuzz(n_cases, check_folder, mangling.folders())


# ------------------------------------------------------------------ Python data


def check_python(source: object) -> None:
    check_source(source, "<")


@lanes(200, 4000)
def test_any_python_data_gives_rows_or_one_of_our_errors(n_cases):
    fuzz(n_cases, check_python, mangling.python_data())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def check_records(records: list[dict[str, object]]) -> None:
    check_file(("data.jsonl", "\n".join(map(json.dumps, records)).encode()))
    check_file(("data.json", json.dumps(records).encode()))


@lanes(50, 1000)
def test_any_json_values_give_rows_or_one_of_our_errors(n_cases):
    fuzz(
        n_cases,
        check_records,
        st.lists(st.dictionaries(st.sampled_from("abcdé"), JSON, max_size=3), max_size=5),
    )


# ------------------------------------------------------------------ round trips

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, pairs, delimiter, quoting, end):
    # With minimal quoting the writer minds only the line end it writes itself; its own reader then splits the
    # text at the other one.
    others = set("\r\n") - set(end)
    assume(quoting == csv.QUOTE_ALL or not any(others & set(text) for pair in pairs for text in pair))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("text", "label"), *pairs])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(buffer.getvalue().encode())
    expected = list(csv.reader(io.StringIO(buffer.getvalue(), newline=""), delimiter=delimiter))[1:]
    assert (
        [list(row.values()) for row in rows(read_table(path))] == expected == [list(pair) for pair in pairs]
    )


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.fixed_dictionaries({"text": TEXTS}, optional={"label": TEXTS, "n": st.integers(-9, 9)}), min_size=1
    )
)
def test_what_the_json_module_writes_is_read_back(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    names = read_table(path).names
    assert rows(read_table(path)) == [{name: record.get(name) for name in names} for record in records]
    path.with_suffix(".json").write_text(json.dumps(records, indent=1))
    assert rows(read_table(path.with_suffix(".json"))) == rows(read_table(path))


PARQUET_TYPES = {
    pa.string(): st.text(max_size=12),
    pa.large_string(): st.text(max_size=12),
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.list_(pa.string()): st.lists(st.text(max_size=4), max_size=3),
    pa.struct([("a", pa.int64())]): st.fixed_dictionaries({"a": st.integers(-9, 9)}),
}


@st.composite
def arrow_tables(draw: st.DrawFn) -> pa.Table:
    n_rows = draw(st.integers(1, 9))
    kinds = draw(st.lists(st.sampled_from(list(PARQUET_TYPES)), min_size=1, max_size=4))
    values = [
        draw(st.lists(st.none() | PARQUET_TYPES[kind], min_size=n_rows, max_size=n_rows)) for kind in kinds
    ]
    arrays = [pa.array(column, kind) for column, kind in zip(values, kinds, strict=True)]
    return pa.table(arrays, names=[f"column {at}" for at in range(len(kinds))])


@settings(deadline=None, max_examples=100)
@given(arrow_tables(), st.sampled_from(["none", "snappy", "zstd"]), st.integers(1, 9))
def test_what_pyarrow_writes_is_read_back(tmp_path_factory, expected, compression, group):
    path = tmp_path_factory.getbasetemp() / "round.parquet"
    pq.write_table(expected, path, compression=compression, row_group_size=group)
    assert read_table(path).columns.equals(expected)
    streamed = [table.columns for table in stream_tables(path, rows=2)]
    assert pa.concat_tables(streamed).equals(expected)
