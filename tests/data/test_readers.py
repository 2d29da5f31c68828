"""Every format a user can name, read as its own reference reader reads it."""

import csv
import io
import json
import os
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whet.data import spool
from whet.data.readers import read_splits, read_table, stream_tables
from whet.data.table import Table
from whet.data.targets import encode_label_sets, label_form, label_set_names
from whet.errors import DataError


def rows(table: Table) -> list[dict]:
    return table.columns.to_pylist()


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_csv_delimiters_line_ends_marks(write, delimiter, end, mark, last):
    lines = ["text,label", '"a, b; c|d\te","x"', "plain,y", '"said ""no""",x']
    lines = [line if line.startswith('"a') else line.replace(",", delimiter) for line in lines]
    lines[1] = lines[1].replace('","', f'"{delimiter}"')
    table = read_table(write("a.csv", mark + end.join(lines) + (end if last else "")))
    assert rows(table) == [
        {"text": "a, b; c|d\te", "label": "x"},
        {"text": "plain", "label": "y"},
        {"text": 'said "no"', "label": "x"},
    ]
    assert table.first_lines.tolist() == [2, 3, 4]


def test_csv_rows_begin_where_their_first_line_is(write):
    path = write("a.csv", 'text,label\n"one\ntwo\n\nthree",x\n\n   \nfour,y\n')
    table = read_table(path)
    assert rows(table) == [{"text": "one\ntwo\n\nthree", "label": "x"}, {"text": "four", "label": "y"}]
    assert [table.place(row) for row in range(2)] == [f"{path}:2", f"{path}:8"]


def test_csv_index_column_of_pandas_gets_a_name(write):
    pd = pytest.importorskip("pandas")
    buffer = io.StringIO()
    pd.DataFrame({"text": ["a", "b"], "label": [1, 2]}).to_csv(buffer)
    assert read_table(write("a.csv", buffer.getvalue())).names == ("column 1", "text", "label")


def test_csv_of_one_column_keeps_its_commas_in_quotes(write):
    assert rows(read_table(write("a.csv", 'text\n"a, b"\nc\n'))) == [{"text": "a, b"}, {"text": "c"}]


def test_a_comma_in_most_texts_does_not_hide_the_semicolon(write):
    path = write("a.csv", "text;label\n" + "well, yes;1\nno, never;0\n" * 5)
    assert read_table(path).names == ("text", "label")


def test_tsv_takes_quotes_as_text(write):
    table = read_table(write("a.tsv", 'text\tlabel\n"open\tx\nclose"\ty\r\na\rb\tz'))
    assert rows(table) == [
        {"text": '"open', "label": "x"},
        {"text": 'close"', "label": "y"},
        {"text": "a\rb", "label": "z"},
    ]


def test_cola_has_no_header(write):
    table = read_table(write("dev.tsv", "gj04\t1\t\tIt is so.\ngj04\t0\t*\tSo it be is."))
    assert table.names == ("source", "label", "mark", "sentence")
    assert table.first_lines.tolist() == [1, 2]


def test_json_lines_keep_types_and_fill_missing_keys(write):
    table = read_table(
        write("a.jsonl", '{"text": "a", "label": 1}\n\n{"text": "b", "tags": ["x"], "n": {"k": 2}}\n')
    )
    assert rows(table) == [
        {"text": "a", "label": 1, "tags": None, "n": None},
        {"text": "b", "label": None, "tags": ["x"], "n": {"k": 2}},
    ]
    assert table.first_lines.tolist() == [1, 3]


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson", "json", "txt"])
def test_json_lines_by_any_name(write, suffix):
    assert rows(read_table(write(f"a.{suffix}", '{"text": "a"}\n{"text": "b"}'))) == [
        {"text": "a"},
        {"text": "b"},
    ]


def test_json_array(write):
    table = read_table(write("a.json", '\n[{"text": "a"},\n\n {"text": "b,\\n"}, {"text":\n "c"}]\n'))
    assert rows(table) == [{"text": "a"}, {"text": "b,\n"}, {"text": "c"}]
    assert table.first_lines.tolist() == [2, 4, 4]


def test_json_types_that_widen_late(write):
    """Types are found batch by batch, so a string may first come after thousands of numbers."""
    content = [{"text": "a", "label": n, "x": 1} for n in range(12_000)]
    content += [{"text": "a", "label": "late", "x": 0.5, "y": [1]}]
    table = read_table(write("a.jsonl", "\n".join(map(json.dumps, content))))
    assert table.strings("label").to_pylist() == [str(n) for n in range(12_000)] + ["late"]
    assert table.columns.column("y").to_pylist()[-1] == [1]
    assert table.columns.column("y").null_count == 12_000


def test_mixed_scalars_become_text(write):
    path = write("a.jsonl", '{"a": 1}\n{"a": "x"}\n{"a": true}\n{"a": 1.0}\n{"a": 1.5}\n{"a": null}')
    assert read_table(path).columns.column("a").to_pylist() == ["1", "x", "true", "1", "1.5", None]


def test_parquet(tmp_path):
    expected = pa.table({"text": ["a", None, "c"], "label": [1, 0, -1], "tags": [["x"], [], None]})
    pq.write_table(expected, tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.columns.equals(expected)
    assert table.place(1) == f"{tmp_path / 'a.parquet'}, row 2"


def test_class_names_of_lists_of_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    kind = datasets.List(datasets.ClassLabel(names=["joy", "fear"]))
    features = datasets.Features({"text": datasets.Value("string"), "labels": kind})
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "labels": [[1, 0], []]}, features=features)
    data.to_parquet(str(tmp_path / "a.parquet"))
    data.save_to_disk(str(tmp_path / "saved"))
    for found in (read_table(tmp_path / "a.parquet"), read_splits(tmp_path / "saved").train):
        assert found.class_names == {"labels": ("joy", "fear")}
        form = label_form([found], ["labels"])
        names = label_set_names([found], form)
        assert names == ("joy", "fear")
        sets = encode_label_sets(found, form, names)
        assert sets.dense(np.arange(2)).tolist() == [[True, True], [False, False]]


def test_parquet_class_names_of_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    data.to_parquet(str(tmp_path / "a.parquet"))
    table = read_table(tmp_path / "a.parquet")
    assert table.columns.column("label").to_pylist() == ["pos", "neg", None]
    assert table.class_names == {"label": ("neg", "pos")}


def test_saved_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])}
    )
    train = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, 1]}, features=features)
    test = datasets.Dataset.from_dict({"text": ["t"], "label": [-1]}, features=features)
    train.select([2, 0]).save_to_disk(str(tmp_path / "single"))
    datasets.DatasetDict(train=train, validation=train.select([1]), test=test).save_to_disk(
        str(tmp_path / "several")
    )

    single = read_splits(tmp_path / "single")
    assert rows(single.train) == [{"text": "c", "label": "neg"}, {"text": "a", "label": "neg"}]
    assert single.dev is None
    assert single.test is None
    several = read_splits(tmp_path / "several")
    assert several.dev is not None
    assert several.test is not None
    assert rows(several.dev) == [{"text": "b", "label": "pos"}]
    assert rows(several.test) == [{"text": "t", "label": None}]
    assert several.train.class_names == {"label": ("pos", "neg")}
    assert rows(read_splits(train.select([1])).train) == [{"text": "b", "label": "pos"}]  # indices are obeyed


def test_folder_of_csv_files(tmp_path):
    for name, label in (("train.csv", "x"), ("validation.csv", "y")):
        (tmp_path / name).write_text(f"text,label\na,{label}\n")
    splits = read_splits(tmp_path)
    assert splits.dev is not None
    assert splits.test is None
    assert rows(splits.dev) == [{"text": "a", "label": "y"}]
    assert splits.dev.source == str(tmp_path / "validation.csv")
    assert not splits.train.minus_one_is_unlabelled
    assert rows(read_table(tmp_path, split="dev")) == rows(splits.dev)
    with pytest.raises(DataError, match="there is no test split, only train and dev"):
        read_table(tmp_path, split="test")


def test_glue_folder(tmp_path):
    (tmp_path / "train.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n")
    (tmp_path / "test.tsv").write_text("index\tsentence1\tsentence2\n0\ta\tb\n")
    splits = read_splits(tmp_path)
    assert splits.train.minus_one_is_unlabelled
    assert splits.train.known is not None
    assert splits.test is not None
    assert splits.test.known is not None
    assert (splits.train.known.text, splits.train.known.pair, splits.train.known.label) == (
        "sentence1", "sentence2", "label",
    )  # fmt: skip
    assert splits.test.known.label is None


def test_mnli_has_a_matched_dev(tmp_path):
    for name in ("train.tsv", "dev_matched.tsv", "dev_mismatched.tsv"):
        (tmp_path / name).write_text(f"sentence1\tsentence2\tlabel1\tgold_label\na\tb\t{name}\tneutral\n")
    splits = read_splits(tmp_path)
    assert splits.dev is not None
    assert rows(splits.dev)[0]["label1"] == "dev_matched.tsv"
    assert splits.train.known is not None
    assert splits.train.known.label == "gold_label"


def test_frame():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "text": ["a", None, "c"],
            "label": pd.Categorical(["x", "y", "x"]),
            "n": [1, np.nan, 3],
            "mixed": [1, "b", None],
            7: [True, False, True],
        },
        index=[10, 10, 12],
    )
    table = read_table(frame)
    assert table.names == ("text", "label", "n", "mixed", "7")
    assert table.strings("text").to_pylist() == ["a", None, "c"]
    assert table.strings("label").to_pylist() == ["x", "y", "x"]
    assert table.strings("n").to_pylist() == ["1", None, "3"]
    assert table.strings("mixed").to_pylist() == ["1", "b", None]
    assert table.strings("7").to_pylist() == ["true", "false", "true"]
    assert table.place(2) == "<DataFrame>, row 3"


def test_lists():
    expected = [{"text": "a", "label": "x"}, {"text": "b", "label": None}]
    assert rows(read_table((["a", "b"], ["x", None]))) == expected
    assert rows(read_table({"text": ["a", "b"], "label": ["x", None]})) == expected
    assert rows(read_table((np.array(["a", "b"]), np.array([1, 0])))) == [
        {"text": "a", "label": 1},
        {"text": "b", "label": 0},
    ]
    assert rows(read_table([("a", "b")])) == [{"text": "a", "pair": "b"}]
    assert read_table(["a"]).place(0) == "<lists>, row 1"


class Pipe:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize(
    ("content", "expected", "lines"),
    [
        (b'\n{"text": "a"}\n\n{"text": "b"}', [{"text": "a"}, {"text": "b"}], [2, 4]),
        (b"one\n\n two \r\n", [{"text": "one"}, {"text": ""}, {"text": " two "}], [1, 2, 3]),
        (b"\xef\xbb\xbf\nx", [{"text": ""}, {"text": "x"}], [1, 2]),
        (b"\n\n", [{"text": ""}, {"text": ""}], [1, 2]),
        (b"x", [{"text": "x"}], [1]),
    ],
)
def test_pipe(monkeypatch, content, expected, lines):
    monkeypatch.setattr(sys, "stdin", Pipe(content))
    tables = list(stream_tables("-", rows=2))
    assert [row for table in tables for row in rows(table)] == expected
    assert [n for table in tables for n in table.first_lines] == lines
    assert max(map(len, tables)) <= 2


def test_empty_pipe(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(b""))
    with pytest.raises(DataError, match=r"^<stdin>: nothing came in. Give JSON lines, or one text a line.$"):
        list(stream_tables("-"))


def test_a_named_pipe_is_read_once(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text("text,label\na,x\nb,y\n"))
    writer.start()
    assert len(read_table(path)) == 2
    writer.join()


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_streams_equal_reading_and_know_their_places(tmp_path, name):
    data = pa.table({"text": [f"t{n}" for n in range(11)], "label": [str(n % 3) for n in range(11)]})
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(data, path)
    elif name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(row) for row in data.to_pylist()))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if name.endswith(".tsv") else ",")
            writer.writerows([data.column_names, *(row.values() for row in data.to_pylist())])
    whole = read_table(path)
    tables = list(stream_tables(path, rows=3))
    assert [len(table) for table in tables] == [3, 3, 3, 2]
    assert [row for table in tables for row in rows(table)] == rows(whole) == data.to_pylist()
    places = [table.place(row) for table in tables for row in range(len(table))]
    assert places == [whole.place(row) for row in range(11)]


def test_what_is_large_goes_to_a_file_and_comes_back_equal(write, monkeypatch, tmp_path):
    content = "text,label\n" + "".join(f'"text {n}, and more",{n % 7}\n' for n in range(30_000))
    path = write("a.csv", content)
    in_memory = read_table(path)
    monkeypatch.setattr(spool, "SPILL_BYTES", 100_000)
    monkeypatch.setenv("WHET_CACHE", str(tmp_path))
    before = sorted(os.listdir(tmp_path))
    spilled = read_table(path)
    assert spilled.columns.equals(in_memory.columns)
    assert spilled.fingerprint() == in_memory.fingerprint()
    assert sorted(os.listdir(tmp_path)) == before  # unlinked at once
    assert pa.total_allocated_bytes() >= 0
    some = np.random.default_rng(0).permutation(30_000)[:20_000]
    monkeypatch.setattr("whet.data.table.SPILL_BYTES", 100_000)
    assert spilled.take(some).columns.equals(in_memory.columns.take(pa.array(some)))


def test_cache_folder_that_cannot_be_written(write, monkeypatch):
    path = write("a.csv", "text,label\n" + "some words,1\n" * 5000)
    monkeypatch.setattr(spool, "SPILL_BYTES", 1000)
    monkeypatch.setenv("WHET_CACHE", "/nowhere/at/all")
    with pytest.raises(DataError, match=r"^/nowhere/at/all: .*Set WHET_CACHE to another folder.$"):
        read_table(path)
