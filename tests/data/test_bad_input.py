"""Whatever can be wrong with a file: one message that says where, what, which rule, and what to do."""

import gzip
import io
import json
import os
import threading
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whet.data import lines
from whet.data.readers import read_split_of, read_splits, read_table, stream_tables
from whet.errors import DataError, UsageError

FORMATS = ".csv, .tsv, .jsonl (or .ndjson, .json) and .parquet"

BAD = {
    "empty.csv": (b"", "{}: the file is empty. Put rows into it, or name another file."),
    "empty.parquet": (b"", "{}: the file is empty. Put rows into it, or name another file."),
    "blank.csv": (b" \n\n \n", "{}: the file is empty. Put a header line and rows into it."),
    "blank.jsonl": (b"\n\n", "{}: the file is empty: it holds no JSON object. Put one on each line."),
    "header.csv": (
        b"text,label\n",
        "{}: there is a header (text, label) but no rows. Add rows, or name another file.",
    ),
    "header.tsv": (
        b"text\tlabel",
        "{}: there is a header (text, label) but no rows. Add rows, or name another file.",
    ),
    "zero.csv": (
        b"text,label\na\0,b\n",
        f"{{}}: this is a binary file (it holds a zero byte), not text. Save it as {FORMATS}, in UTF-8.",
    ),
    "late-zero.csv": (
        b"text,label\n" + b"a,b\n" * 100_000 + b"a\0,b\n",
        "{}:100002: this line holds a zero byte, so the file is not plain text. "
        "Remove the byte, or save the file as UTF-8 text.",
    ),
    "parquet.csv": (
        b"PAR1\x15\x04",
        "{}: this looks like a Parquet file, not like text. Rename it to end in .parquet.",
    ),
    "gz.csv": (
        gzip.compress(b"text,label"),
        "{}: this looks like a gzip archive, not like text. Unpack it first (gunzip).",
    ),
    "utf16.csv": (
        "text,label".encode("utf-16"),
        "{}: this looks like UTF-16 text, not like text. Save it as UTF-8.",
    ),
    "csv.parquet": (
        b"text,label\na,b",
        f"{{}}: this is not a Parquet file. Rename it by what it holds: {FORMATS}.",
    ),
    "latin1.csv": (
        "text,label\na,b\ncafé,b\n".encode("latin-1"),
        "{}:3: byte 0xe9 at position 4 of the line is not UTF-8. Save the file as UTF-8, or mend the line.",
    ),
    "latin1.tsv": (
        b"text\tlabel\n\xff\tb",
        "{}:2: byte 0xff at position 1 of the line is not UTF-8. Save the file as UTF-8, or mend the line.",
    ),
    "latin1.jsonl": (
        b'{"text": "a"}\n{"text": "\xe9"}',
        "{}:2: byte 0xe9 at position 11 of the line is not UTF-8. Save the file as UTF-8, or mend the line.",
    ),
    "quote.csv": (
        b'text,label\na,b\n"c,b\nd,e\nf,g\n',
        "{}:3: a quote is opened in this row and never closed. "
        'Close it, or write it twice ("") inside quotes if it is text.',
    ),
    "quote-met.csv": (
        b'text,label\n"c,b\nd,e\n"f",g\n',
        "{}:2: a quoted field goes on after its closing quote (in line 4; an earlier quote may be "
        "left open). "
        'Write a quote inside a quoted field twice (""), or save the file as TSV, where quotes are text.',
    ),
    "after-quote.csv": (
        b'text,label\n"c" d,b\n',
        "{}:2: a quoted field goes on after its closing quote. "
        'Write a quote inside a quoted field twice (""), or save the file as TSV, where quotes are text.',
    ),
    "long-row.csv": (
        b"text,label\na,b\n\nwell, yes,b\n",
        "{}:4: 3 fields, but the header has 2 (text, label); fields are parted by commas. "
        "Put quotes around a text that holds ','.",
    ),
    "short-row.csv": (
        b"text,label\na,b\nc\n",
        "{}:3: 1 field, but the header has 2 (text, label); fields are parted by commas. "
        "Is a field missing, or a line end inside a text without quotes?",
    ),
    "long-row.tsv": (
        b"text\tlabel\na\tb\tc\n",
        "{}:2: 3 fields, but the header has 2 (text, label); fields are parted by tabs. "
        "Remove the tab or the line end inside the text.",
    ),
    "short-row.tsv": (
        b"text\tlabel\na\n",
        "{}:2: 1 field, but the header has 2 (text, label); fields are parted by tabs. Is a tab missing?",
    ),
    "twice.csv": (
        b"text,label,text\na,b,c\n",
        "{}:1: the header names 'text' more than once. Give every column a name of its own; "
        "if the first line is a row already, put a header above it.",
    ),
    "broken.jsonl": (
        b'{"text": "a"}\n{"text": "b"\n',
        "{}:2: this line is not JSON: expecting ',' delimiter at position 13. "
        "Mend the line; every line must be one JSON object.",
    ),
    "two.jsonl": (
        b'{"text": "a"} {"text": "b"}\n',
        "{}:1: this line is not JSON: extra data at position 15. "
        "Put one object on each line, with nothing between them.",
    ),
    "pretty.json": (
        b'{\n "text": "a"\n}',
        "{}:1: this line is not JSON: expecting property name enclosed in double quotes at position 2. "
        "Write each object on one line, or all of them as one array into a .json file.",
    ),
    "array.jsonl": (
        b'{"text": "a"}\n["b"]\n',
        '{}:2: an array stands here, where a JSON object is expected. '
        'Write it as in {{"text": "...", "label": "..."}}.',
    ),
    "number.jsonl": (
        b"1\n",
        '{}:1: a number stands here, where a JSON object is expected. '
        'Write it as in {{"text": "...", "label": "..."}}.',
    ),
    "cut.json": (
        b'[{"text": "a"},\n{"text": "b"}',
        "{}:2: a comma or the array's closing bracket is missing here. "
        "Mend the line; if the file breaks off here, save it again.",
    ),
    "more.json": (
        b"[{}]\n[]",
        "{}:2: something follows the end of the array. "
        "Leave one array in the file, or write one object a line into a .jsonl file.",
    ),
    "squad.json": (
        json.dumps({"data": [{"paragraphs": []}]}).encode(),
        "{}: there is no question in this file. Add some, or name another file.",
    ),
    "nothing.jsonl": (b"{}\n{}", "{}:1: this object is empty. Give every row at least a text."),
    "surrogate.jsonl": (
        b'{"text": "a"}\n{"text": "\\ud800"}',
        "{0}:2: 'text' holds half of a surrogate pair (\\ud800 to \\udfff), which is no character. "
        "Mend the text or drop the row.",
    ),
    "kinds.jsonl": (
        b'{"text": "a", "x": "b"}\n{"text": "a", "x": ["b"]}',
        "{0}:2: 'x' holds a list or an object here, but text or a number in {0}:1. "
        "Give the column one kind of value.",
    ),
    "inner-kinds.jsonl": (
        b'{"tokens": ["a"]}\n{"tokens": null}\n{"tokens": ["a", 1]}\n{"tokens": ["a"]}',
        "{0}:3: 'tokens' holds a list or an object here whose values differ in kind from each other, or from "
        "those before. Give the column one kind of value, or leave it out.",
    ),
    "words.txt": (
        b"hello\nworld\n",
        f"{{}}: what this file holds cannot be told. Name it by its format: {FORMATS}.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_message(tmp_path, name):
    content, message = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value) == message.format(path)
    with pytest.raises(DataError) as streamed:
        list(stream_tables(path))
    assert str(streamed.value) == str(caught.value)


def test_excel(tmp_path):
    path = tmp_path / "book.csv"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", "")
        file.writestr("xl/workbook.xml", "")
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert (
        str(caught.value)
        == f"{path}: this looks like an Excel workbook, not like text. Save it as CSV (UTF-8)."
    )


def test_truncated_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="this is not a Parquet file that can be read"):
        read_table(path)


def test_parquet_without_rows(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"there are columns \(text\) but no rows"):
        read_table(tmp_path / "a.parquet")


def test_line_without_end_is_refused_before_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 2 * 1024 * 1024)
    given = []

    def read(n_bytes):
        given.append(n_bytes)
        return b"a" * n_bytes

    with pytest.raises(DataError) as caught:
        list(lines.Lines("big.csv", read))
    assert str(caught.value) == (
        "big.csv:1: this line is longer than 2 MiB, which no text to classify is. "
        "Cut the line, or name another file."
    )
    assert sum(given) <= 4 * 1024 * 1024


def test_quote_left_open_in_a_large_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,label\na,b\n"c,b\n' + b"some more words of text,b\n" * 800_000)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value) == (
        f"{path}:3: this row is longer than 16 MiB. Is a quote opened here and never closed? "
        f"Else cut the text, or name another file."
    )


def test_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "reviews.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "revews.csv")
    assert str(caught.value) == (
        f"{tmp_path / 'revews.csv'}: no such file. Did you mean '{tmp_path / 'reviews.csv'}'?"
    )


def test_missing_name_never_reaches_the_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("whet.data.hub.hub_splits", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(DataError) as caught:
        read_table("stanfordnlp/imdb")
    assert str(caught.value) == (
        "stanfordnlp/imdb: no such file; the folder stanfordnlp does not exist either. "
        "A data set of the Hugging Face hub is written hf:stanfordnlp/imdb."
    )


def test_hub_without_network(monkeypatch):
    pytest.importorskip("datasets")
    hub = pytest.importorskip("huggingface_hub")

    def refuse(*arguments, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hub.HfApi, "dataset_info", refuse)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(DataError) as caught:
        read_table("hf:nobody/no-such-set")
    assert str(caught.value) == (
        "hf:nobody/no-such-set: this data set is not in the local cache, and the hub gives no answer "
        "(ConnectionError: no route to host). Name a file, or try again with a network."
    )
    assert hub.constants.HF_HUB_OFFLINE is False


def test_hub_offline_by_wish(monkeypatch):
    datasets = pytest.importorskip("datasets")
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError) as caught:
        read_table("hf:nobody/no-such-set")
    assert str(caught.value) == (
        "hf:nobody/no-such-set: this data set is not in the local cache, and HF_HUB_OFFLINE keeps "
        "the network out. "
        "Unset it, or name a file."
    )


def test_folder_that_is_no_data_set(tmp_path):
    (tmp_path / "notes.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError) as caught:
        read_splits(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: this folder is no data set: it holds no train, dev or test file ({FORMATS}) and "
        f"was not saved "
        f"by `datasets`. Name a file in it."
    )


def test_folder_without_train(tmp_path):
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\na\t1\n")
    with pytest.raises(DataError) as caught:
        read_splits(tmp_path)
    assert str(caught.value) == f"{tmp_path}: there is no train split, only dev. Name a file to train on."


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((["a", "b"], ["x"]), "'text' has 2, 'label' has 1. Give every row a value in each."),
        ((["a", 3], ["x", "y"]), "row 2: this text is a value of type int. Give a string, or only pairs."),
        ({"text": "abc"}, "'text' is a value of type str. Give a list instead."),
        (([], []), "<lists>: there are no rows. Give at least one."),
        ({"text": [object()]}, "row 1: 'text' holds a value of type object. Give text or a number instead."),
    ],
)  # fmt: skip
def test_lists(source, message):
    with pytest.raises(DataError) as caught:
        read_table(source)
    assert str(caught.value).endswith(message)


def test_source_of_no_kind():
    with pytest.raises(
        UsageError, match=r"^data in memory is \(texts, labels\), a dict of lists, or a DataFrame.$"
    ):
        read_table(3)


# ------------------------------------------------------------------ found by fuzzing


def refusal(source, read=read_table):
    with pytest.raises(DataError) as caught:
        read(source)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_header_of_very_many_columns_is_refused_at_once(tmp_path, name):
    (tmp_path / name).write_bytes(b"ab" + (b"," if name.endswith("csv") else b"\t") * 99_999 + b"\nx\n")
    assert refusal(tmp_path / name) == (
        f"{tmp_path / name}:1: the header has 100,000 columns; whet reads at most 4,096. "
        f"Leave out those that are not needed, or name another file."
    )


def test_objects_that_share_no_keys_are_refused(tmp_path):
    """As {"id of a user": ...} on every line: a table of them would grow with the square of the file."""
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"user {n}": "said"}}\n' for n in range(5000)))
    assert refusal(path) == (
        f"{path}:4097: up to here the objects have more than 4,096 different keys. "
        f"Give every object the same keys, and put what differs into the values."
    )
    path.write_text("".join(f'{{"text": "a", "by": {{"user {n}": [{{"n": 1}}]}}}}\n' for n in range(5000)))
    assert refusal(path) == (
        f"{path}:2049: up to here the objects in 'by' have more than 4,096 different keys. "
        f"Give every object the same keys, or leave the column out."
    )


def test_nesting(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b", "x": ' + "[" * 32 + "]" * 32 + "}")
    assert len(read_table(path)) == 2
    path.write_text('{"text": "a"}\n{"text": "b", "x": ' + "[" * 33 + "]" * 33 + "}")
    assert refusal(path) == (
        f"{path}:2: 'x' holds lists or objects nested more than 32 levels deep. Leave that value out."
    )
    path.write_text('{"text": "a"}\n' + "[" * 100_000)
    assert refusal(path) == f"{path}:2: lists or objects are nested too deeply here. Leave that value out."
    path.write_text('{"text": ' + "9" * 5000 + "}")
    assert refusal(path) == (
        f"{path}:1: a whole number of thousands of digits stands here. Put quotes around it, or leave it out."
    )


def test_what_only_begins_like_squad_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"data": [1]}\n{"data": []}\n')
    assert read_table(tmp_path / "a.jsonl").columns.column("data").to_pylist() == [[1], []]


def test_an_array_is_read_whatever_its_lines_and_places_are_right(tmp_path, monkeypatch):
    """json.dump writes one line; its length is no limit, that of a value is."""
    path = tmp_path / "a.json"
    records = [{"text": f"naïve 🎉 {n}" * (n % 7), "label": n % 3} for n in range(200)]
    content = json.dumps(records, ensure_ascii=False).encode()
    path.write_bytes(content)
    for block in (1, 7, 64, 1000):
        monkeypatch.setattr(lines, "BLOCK_BYTES", block)
        monkeypatch.setattr("whet.data.readers.HEAD_BYTES", block)
        monkeypatch.setattr("whet.data.jsonlines.LONGEST_LINE", 200)
        assert read_table(path).columns.to_pylist() == records
        path.write_bytes(content[:-1] + b"\n, oh]")
        assert refusal(path).startswith(f"{path}:2: not JSON: expecting value at position 3.")
        path.write_bytes(content.replace(b'{"text": "", "label": 1}', b'{"text": "\xff"}', 1))
        assert refusal(path).startswith(f"{path}:1: byte 0xff in this line is not UTF-8.")
        path.write_bytes(content[:-1] + b',\n\n{"text": "' + b"a" * 300 + b'"}]')
        assert refusal(path).startswith(f"{path}:3: the value that begins here is longer than")
        path.write_bytes(content)


def test_the_place_of_an_error_in_a_long_line_counts_from_its_begin(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 16)
    monkeypatch.setattr("whet.data.readers.HEAD_BYTES", 16)
    path = tmp_path / "a.json"
    path.write_text(
        '[{"text": "some words"},\n {"text": "more words"}, {"text": oh}, {"text": "a few more"}]'
    )
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(path.read_text())
    assert (
        f":{expected.value.lineno}: not JSON: expecting value at position {expected.value.colno}."
        in refusal(path)
    )


def test_parquet_text_that_is_no_text(tmp_path):
    path = tmp_path / "a.parquet"
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ab", b"\xff"]).buffers())
    pq.write_table(pa.table({"text": bad}), path)
    assert refusal(path) == (
        f"{path}, row 2: 'text' holds a value that cannot be read as type string. "
        f"Mend the row, or leave the column out."
    )


def test_parquet_dates_beyond_all_calendars(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "when": pa.array([2**31 - 1], pa.date32())}), path)
    assert refusal(path).startswith(f"{path}, row 1: 'when' holds a value that cannot be read as")


def test_parquet_through_a_pipe(tmp_path):
    path = tmp_path / "a.parquet"
    os.mkfifo(path)
    threading.Thread(target=lambda: path.write_bytes(b"PAR1"), daemon=True).start()
    assert refusal(path) == f"{path}: Parquet cannot come through a pipe. Save it to a file first."


def test_saved_splits_of_other_names(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"text": ["a"]})
    datasets.DatasetDict(first=data, second=data).save_to_disk(str(tmp_path / "a"))
    expected = (
        f"{tmp_path / 'a'}: no split is called train, validation or test; there are: first, second. "
        f"Rename one, or save it as a file."
    )
    for read in (read_splits, read_table, lambda source: read_split_of(source, "test")):
        assert refusal(tmp_path / "a", read) == expected


def test_a_streaming_data_set():
    datasets = pytest.importorskip("datasets")
    stream = datasets.Dataset.from_dict({"text": ["a"]}).to_iterable_dataset()
    with pytest.raises(UsageError, match=r"a IterableDataset cannot be read\. Load it without streaming\."):
        read_table(stream)


def test_frames_of_odd_values():
    pd = pytest.importorskip("pandas")
    mixed = pd.DataFrame({"text": ["a", "b", "c"], "label": [1, "x", pd.NA]})
    assert read_table(mixed).strings("label").to_pylist() == ["1", "x", None]
    arrays = pd.DataFrame({"text": ["a", "b"], "label": [np.array([1, 2]), "x"]})
    assert refusal(arrays) == (
        "<DataFrame>, row 1: 'label' holds a value of type ndarray. Give text or a number instead."
    )


def test_lists_of_odd_values():
    assert refusal({"text": ["a", "b"], "label": [10**5000, "x"]}) == (
        "<lists>, row 1: 'label' holds a whole number of thousands of digits. Give it as text."
    )
    assert refusal((np.array(3), ["x"])) == "<lists>: 'text' is a value of type ndarray. Give a list instead."
    assert refusal({1: ["a"], "1": ["b"]}) == (
        "<lists>: several columns are named '1'. Give every column its own name."
    )
    assert "half of a surrogate pair" in refusal({"text": [2**70, "\ud800"]})


def test_a_pipe_of_blank_lines_is_not_held(monkeypatch):
    given = iter([b"\n" * 1000] * 100 + [b""])
    monkeypatch.setattr("whet.data.readers._read_stdin", lambda n_bytes: next(given))
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1000)
    first = next(stream_tables("-", rows=10))
    assert len(first) == 10
    assert next(given)  # there is more to come


def test_messages_stay_short(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"{n} {'x' * 1000}" for n in range(100)) + "\na,b\n")
    assert len(refusal(path)) < 1500


def test_standard_input_of_text_that_is_no_unicode(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("good\n\ud800\n"))
    with pytest.raises(DataError, match=r"^<stdin>:2: byte 0xed"):
        list(stream_tables("-"))
