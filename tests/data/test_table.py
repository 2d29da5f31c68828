"""Places, views and fingerprints of tables."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from whet.data.readers import read_table
from whet.data.table import Table
from whet.errors import DataError


def chunked(values, cuts, kind=None):
    ends = [0, *cuts, len(values)]
    pieces = [pa.array(values[a:b], kind) for a, b in pairwise(ends)]
    return pa.chunked_array(pieces, kind or pieces[0].type)


TEXTS = ["a", "", None, "grüße", "xyz", "b"]


def test_places_follow_the_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text\n"a\nb"\nc\nd\ne\n')
    table = read_table(path)
    assert table.take([3, 0]).place(0) == f"{path}:6"
    assert table.take(np.array([False, True, True, False])).slice(1, 5).place(0) == f"{path}:5"
    plain = Table("a.parquet", pa.table({"text": list("abcde")}))
    assert plain.slice(2, 2).take([1]).place(0) == "a.parquet, row 4"
    assert plain.take([4, 1]).slice(1, 1).place(0) == "a.parquet, row 2"
    assert len(plain.slice(4, 10)) == 1
    assert len(plain.take([])) == 0


def test_fingerprint_does_not_depend_on_chunks_offsets_or_offset_width():
    whole = Table(
        "a", pa.table({"text": TEXTS, "n": [1, 2, None, 4, 5, 6], "l": [[1], [], None, [2], [4], []]})
    )
    expected = whole.fingerprint()
    for cuts in ([1], [2, 2, 5], [6]):
        columns = {
            name: chunked(whole.columns.column(name).to_pylist(), cuts, whole.columns.column(name).type)
            for name in whole.names
        }
        assert Table("b", pa.table(columns)).fingerprint() == expected
    longer = Table("c", pa.concat_tables([whole.columns, whole.columns, whole.columns]))
    assert longer.slice(6, 6).fingerprint() == expected
    assert longer.take(np.arange(6, 12)).fingerprint() == expected
    wide = whole.columns.set_column(0, "text", whole.columns.column("text").cast(pa.large_string()))
    assert Table("d", wide).fingerprint() == expected


@pytest.mark.parametrize(
    "other",
    [
        {"text": ["a", "b"], "n": [1, 3]},
        {"text": ["ab", ""], "n": [1, 2]},
        {"text": ["a", None], "n": [1, 2]},
        {"text": ["a", "b"], "m": [1, 2]},
        {"n": [1, 2], "text": ["a", "b"]},
        {"text": ["a", "b"], "n": [1.0, 2.0]},
        {"text": ["b", "a"], "n": [1, 2]},
    ],
)
def test_fingerprint_sees_every_difference(other):
    base = Table("a", pa.table({"text": ["a", "b"], "n": [1, 2]}))
    assert Table("a", pa.table(other)).fingerprint() != base.fingerprint()


def test_null_is_not_what_stands_in_for_it():
    empty, null = (Table("a", pa.table({"text": pa.array([v], pa.string())})) for v in ("", None))
    assert empty.fingerprint() != null.fingerprint()
    zero, none = (Table("a", pa.table({"n": pa.array([v], pa.int64())})) for v in (0, None))
    assert zero.fingerprint() != none.fingerprint()


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True, None, False]),
        pa.array([1.5, None, float("nan")]),
        pa.array([1, None], pa.timestamp("ms")),
        pa.array([1, None], pa.date32()),
        pa.array(["a", None, "a"]).dictionary_encode(),
        pa.array([b"\xff", None]),
        pa.nulls(2),
        pa.array([], pa.string()),
        pa.array([1, None], pa.decimal128(5, 2)),
    ],
)
def test_fingerprint_takes_every_type(values):
    one, two = (
        Table("a", pa.table({"x": v}))
        for v in (values, pa.concat_arrays([values, values]).slice(len(values)))
    )
    assert one.fingerprint() == two.fingerprint()


def test_fingerprint_is_the_same_in_another_process():
    code = "from whet.data.readers import read_table; print(read_table((['a', None], [1, 2])).fingerprint())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == read_table((["a", None], [1, 2])).fingerprint()


def test_strings():
    table = Table(
        "a",
        pa.table({"b": [True, None], "i": [1, 2], "f": [1.0, 2.5], "l": [[1], []], "raw": [b"\xff", b""]}),
    )
    assert table.strings("b").to_pylist() == ["true", None]
    assert table.strings("i").to_pylist() == ["1", "2"]
    assert table.strings("f").to_pylist() == ["1", "2.5"]
    assert {table.strings(name).type for name in "bif"} == {pa.large_string()}
    with pytest.raises(DataError, match=r"^a: column 'l' holds lists, where text"):
        table.strings("l")
    with pytest.raises(DataError, match=r"^a: column 'raw' holds bytes that are not UTF-8 text"):
        table.strings("raw")


def test_reading_loads_no_heavy_library():
    code = (
        "import sys, whet.data.readers, whet.data.columns, whet.data.labels, whet.data.splitting\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
