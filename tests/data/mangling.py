"""What fuzzing feeds the readers: good files of every format, and ways to spoil them."""

import csv
import datetime
import decimal
import functools
import io
import json
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

Files = dict[str, bytes]  # path within a folder -> content

ROWS = [
    {"text": "a joy from start to end", "label": "good"},
    {"text": 'he said "no", and left; so|be it', "label": "bad"},
    {"text": "naïve café — 東京 🎉", "label": "good"},
    {"text": "one\ntwo\n\nthree", "label": "bad"},
    {"text": "", "label": "good"},
    {"text": "far too long and rather dull", "label": ""},
]
TYPED_ROWS = [
    {"text": "a joy from start", "label": 1, "score": 0.5, "tags": ["x"], "more": {"k": [1], "n": None}},
    {"text": "dull and long", "label": 0, "score": None, "tags": [], "more": {"k": [], "n": "y"}},
    {"text": "a fine evening", "label": 1, "score": 2.0, "tags": None, "more": None},
]

# What is put into a file at some place. First what formats are made of, then what has upset some program.
MARKS = [
    b'"',
    b",",
    b"\t",
    b";",
    b"\n",
    b"\r",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\\",
    b"\xff",
    b"\0",
    b" ",
    b"1",
    b"a",
]
PIECES = [
    *(b'"', b'""', b'","', b"'", b",", b",,", b"\t", b";", b"|", b"\\", b"#", b" "),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\n \n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xe2\x80\xa8"),
    *(b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b"{", b"}", b"[", b"]", b"[]", b"{}", b":", b'{"":{}}'),
    *(b"[" * 2000, b'{"a":' * 500, b"[" * 90 + b"]" * 90),
    *(b"NaN", b"-Infinity", b"1e999", b"-0.0", b"9" * 30, b"9" * 5000, b"null", b"true", b"0.5", b"-1"),
    *(b'"text": 1,', b'"text": null,', b'"label": [],', b'"label": {"a": 1},', b'"\\ud800"', b"\\ud800"),
    *(b"a" * 9000, b"a,b\n" * 300, b"," * 300, b"PAR1", b"PK\x03\x04", b"\x80\x04", "é".encode("utf-16")),
]  # fmt: skip

# What is put between two lines.
LINES = [
    *(b"", b" ", b"\t", b",", b"a", b'"', b"text,label", b"a,b,c", b"a\tb"),
    *(b'"a ""b""",c', b'"a" b,c', b"[]", b"{}", b"null", b"1", b'"a"', b'{"text": 1}', b'{"text": ["a"]}'),
    *(b'{"text": {"a": 1}}', b'{"label": "x"}', b'{"text": "a", "text": 2}', b'{"data": [1]}'),
    *(b'{"text": NaN}', b'{"data": [{"paragraphs": 1}]}', b'{"text": "\\ud83d\\ude00"}'),
    *(b'{"text": "\\ud800"}', b'{"\\ud800": 1}', b'{"text": {"\\ud800": 1}}'),
    *(b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", b'{"text": ' + b"9" * 5000 + b"}", b'{"text": 1e999}'),
]  # fmt: skip

# What is turned into what from some place on.
SWAPS = [
    *((b"\n", b"\r"), (b"\n", b"\r\n"), (b",", b"\t"), (b'"', b"'"), (b"text", b"other")),
    (b'"label"', b'"text"'),
]  # fmt: skip

# Damage that keeps the length, for formats that count bytes.
DAMAGES = [
    *((b"joy", b"\xed\xa0\x80"), (b"long", b"lo\xffg"), (b"fine", b"\x80ine"), (b"\1\0\0", b"\xff\xff\xff")),
]  # fmt: skip


@functools.cache
def good_files() -> Mapping[str, tuple[bytes, ...]]:
    """Kind of file -> several good ones."""
    return {
        "csv": (_csv(","), _csv(";", "\r\n"), _csv("|", "\r"), _csv(","), b"\xef\xbb\xbf" + _csv("\t")),
        "tsv": (_tsv(ROWS), b"gj04\t1\t\tIt is so.\ngj04\t0\t*\tSo it be is.\n"),
        "jsonl": (_json_lines(ROWS), _json_lines(TYPED_ROWS)),
        "json": (
            json.dumps(TYPED_ROWS).encode(),
            json.dumps(ROWS, indent=1, ensure_ascii=False).encode(),
            _json_lines(ROWS),
        ),
        "parquet": tuple(_parquets()),
    }


def _csv(delimiter: str, end: str = "\n") -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end)
    writer.writerows([("text", "label"), *(row.values() for row in ROWS)])
    return buffer.getvalue().encode()


def _tsv(rows: list[dict[str, str]]) -> bytes:
    lines = ["\t".join(rows[0]), *("\t".join(row.values()).replace("\n", " ") for row in rows)]
    return "\n".join(lines).encode()


def _json_lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _parquets() -> list[bytes]:
    table = pa.Table.from_pylist(TYPED_ROWS)
    extra = pa.table(
        {
            "text": pa.array(["a b c", "d e f", None]).dictionary_encode(),
            "label": [1, 0, -1],
            "when": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
            "day": pa.array([1, 2, 3], pa.date32()),
            "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.00")]),
            "raw": [b"a", b"\xff", None],
            "half": pa.array([1, 2, 3], pa.float16()),
            "pairs": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        }
    )
    names = {"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}
    extra = extra.replace_schema_metadata({"huggingface": json.dumps(names)})
    files = []
    for content, options in (
        (table, {"compression": "none", "use_dictionary": False}),
        (table, {"compression": "snappy", "data_page_version": "2.0"}),
        (extra, {"compression": "none", "row_group_size": 2}),
        (extra, {"compression": "zstd", "store_schema": False}),
    ):
        buffer = io.BytesIO()
        pq.write_table(content, buffer, **options)
        files.append(buffer.getvalue())
    return files


# ------------------------------------------------------------------ bytes


@st.composite
def spoiled(draw: st.DrawFn, good: bytes) -> bytes:
    """The bytes after a few small accidents; now and then none."""
    content = bytearray(good)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        stop = min(len(content), at + draw(st.integers(1, 20)))
        match draw(
            st.sampled_from(["insert", "insert", "line", "flip", "cut", "end", "repeat", "swap", "damage"])
        ):
            case "insert":
                content[at:at] = draw(st.sampled_from(MARKS) | st.sampled_from(PIECES))
            case "line":
                at = content.rfind(b"\n", 0, at) + 1
                content[at:at] = draw(st.sampled_from(LINES)) + b"\n"
            case "flip" if at < len(content):
                content[at] = draw(st.integers(0, 255))
            case "cut":
                del content[at:stop]
            case "end":
                del content[at:]
            case "repeat":
                content[at:at] = content[at:stop] * draw(st.integers(1, 3))
            case "swap":
                old, new = draw(st.sampled_from(SWAPS))
                content[at:] = content[at:].replace(old, new)
            case "damage":
                old, new = draw(st.sampled_from(DAMAGES))
                content = content.replace(old, new, 1)
    return bytes(content)


ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "utf-7"]


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file name and its content: arbitrary, spoiled, recoded, or good under another format's name."""
    kind = draw(st.sampled_from(["csv", "tsv", "jsonl", "json", "parquet"]))
    good = draw(st.sampled_from(good_files()[kind]))
    match draw(st.sampled_from(["spoiled", "spoiled", "spoiled", "spoiled", "head", "bytes", "recoded"])):
        case "spoiled":
            content = draw(spoiled(good))
        case "head":
            words = st.text("a\"',;\t\n\r{}[]:1\\u ", max_size=60).map(str.encode)
            content = good[: draw(st.integers(0, 30))] + draw(st.binary(max_size=60) | words)
        case "bytes":
            content = draw(st.binary(max_size=200))
        case _:
            text = good.decode("utf-8", "replace")
            content = text.encode(draw(st.sampled_from(ENCODINGS)), "replace")
    suffixes = ["." + kind] * 9 + [
        ".csv",
        ".tsv",
        ".jsonl",
        ".ndjson",
        ".json",
        ".parquet",
        ".txt",
        ".CSV",
        "",
    ]
    return "data" + draw(st.sampled_from(suffixes)), content


# ------------------------------------------------------------------ folders

GLUE = {
    "CoLA": ("", "gj04\t1\t\tIt is so.", "gj04\t0\t*\tSo it be is."),
    "MRPC": ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", "1\t7\t8\tHe came .\tHe did .", "0\t5\t6\tA\tB"),
    "MNLI": (
        "index\tpromptID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label",
        "0\t3\tfiction\tHe left.\tHe went.\tentailment\tentailment",
        "1\t4\ttravel\tHe left.\tHe stayed.\tneutral\tcontradiction",
    ),
    "QQP": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "0\t1\t2\tA?\tC?\t1", "1\t3\t4\tA?\tB?\t0"),
    "QNLI": ("index\tquestion\tsentence\tlabel", "0\tWho?\tI.\tentailment", "1\tWho?\tNo.\tnot_entailment"),
    "STS-B": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "0\tnews\tf\t2012\t1\tnone\tnone\tA plane.\tAn air plane.\t5.000",
        "1\tnews\tf\t2012\t2\tnone\tnone\tA man.\tA woman.\t0.5",
    ),
    "RTE": ("index\tsentence1\tsentence2\tlabel", "0\tA b c.\tA.\tentailment", "1\tA b.\tD.\tnot_entailment"),
    "WNLI": ("index\tsentence1\tsentence2\tlabel", "0\tI stuck it.\tIt hurt.\t1", "1\tIt fell.\tIt rose.\t0"),
    "SST-2": ("sentence\tlabel", "a fine and warm film \t1", "dull beyond words \t0"),
}  # fmt: skip


def glue_files(task: str) -> Files:
    """A task's folder as GLUE publishes it, with few rows."""
    header, *rows = GLUE[task]
    lines = [header] if header else []
    labelled = "\n".join([*lines, *rows, *rows]).encode()
    columns = header.split("\t") if header else ["", "", "", "sentence"]
    kept = [
        at for at, name in enumerate(columns) if name.lower() not in ("", "label", "gold_label", "quality")
    ]
    names = ["\t".join(columns[at] for at in kept)]
    blind = "\n".join(names + ["\t".join(row.split("\t")[at] for at in kept) for row in rows]).encode()
    dev = "dev_matched.tsv" if task == "MNLI" else "dev.tsv"
    return {"train.tsv": labelled, dev: labelled, "test.tsv": blind}


@functools.cache
def saved_files() -> tuple[Files, ...]:
    """Folders that `datasets` saved: one data set, and several splits."""
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["neg", "pos"]),
            "tags": datasets.List(datasets.Value("string")),
        }
    )
    rows = {
        "text": ["a joy to see", "dull and long", "so so"],
        "label": [1, 0, -1],
        "tags": [["x"], [], None],
    }
    data = datasets.Dataset.from_dict(rows, features=features)
    both = datasets.DatasetDict(train=data, validation=data.select([2, 0]), test=data.select([1]))
    found = []
    for saved in (data, data.select([2, 1, 1]), both):
        with tempfile.TemporaryDirectory() as folder:
            saved.save_to_disk(folder)
            paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
            found.append({str(path.relative_to(folder)): path.read_bytes() for path in paths})
    return tuple(found)


def write_files(folder: Path, content: Files) -> None:
    """Put the files into the folder."""
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@st.composite
def folders(draw: st.DrawFn) -> Files:
    """A GLUE folder, a saved one or one of ordinary files, in which one file is spoiled, swapped or gone."""
    match draw(st.sampled_from(["glue", "saved", "plain"])):
        case "glue":
            content = dict(glue_files(draw(st.sampled_from(sorted(GLUE)))))
        case "saved":
            content = dict(draw(st.sampled_from(saved_files())))
        case _:
            kinds = [draw(st.sampled_from(sorted(good_files()))) for _ in range(3)]
            names = ["train", "validation", draw(st.sampled_from(["test", "notes"]))]
            content = {f"{n}.{k}": good_files()[k][0] for n, k in zip(names, kinds, strict=True)}
    name = draw(st.sampled_from(sorted(content)))
    match draw(st.sampled_from(["spoil", "spoil", "damage", "rewrite", "swap", "lose", "nothing"])):
        case "spoil":
            content[name] = draw(spoiled(content[name]))
        case "damage":
            old, new = draw(st.sampled_from(DAMAGES))
            content = {path: data.replace(old, new, 1) for path, data in content.items()}
        case "rewrite" if name.endswith(".json"):
            content[name] = json.dumps(draw(rewritten(json.loads(content[name])))).encode()
        case "swap":
            content[name] = content[draw(st.sampled_from(sorted(content)))]
        case "lose":
            del content[name]
    return content


@st.composite
def rewritten(draw: st.DrawFn, value: object) -> object:
    """A JSON value with one place in it lost or replaced: what syntax alone does not show."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 5)):
        changed = dict(value) if isinstance(value, dict) else dict(enumerate(value))
        key = draw(st.sampled_from(list(changed)))
        if draw(st.integers(0, 4)):
            changed[key] = draw(rewritten(changed[key]))
        else:
            del changed[key]
        return changed if isinstance(value, dict) else list(changed.values())
    odd = [
        None,
        True,
        0,
        -1,
        3,
        2**70,
        0.5,
        "",
        "text",
        "label",
        "string",
        "int8",
        "arrow",
        "no",
        [],
        ["a"],
        {},
    ]
    return draw(st.sampled_from(odd))


# ------------------------------------------------------------------ Python


class Odd:
    """An object that no table can hold."""


ODD_VALUES: list[object] = [
    *(None, True, 0, -1, 7, 2**63, 2**70, 0.5, 1.0, 1e300, float("nan"), float("inf"), 1j),
    *("", " ", "a", "a text of some words", "\ud800", "\0", "x" * 5000, b"a", b"\xff", bytearray(b"a")),
    *([], ["a"], [1, "a"], [["\ud800"]], (), ("a", "b"), ("a", 1)),
    *({"a": 1}, {1: 2}, {(1, 2): "\ud800"}, {"a"}, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)),
    *(np.str_("a"), np.int8(1), np.float16(0.5), np.float64("nan"), np.bool_(True), np.array([1, 2])),
    *(np.array(["a"]), np.array(3), np.datetime64("2020-01-01"), np.datetime64("NaT")),
    *(np.timedelta64(5, "s"), uuid.UUID(int=1), Odd(), Odd),
    *(datetime.date(1, 1, 1), datetime.datetime.max, datetime.timedelta(1), datetime.time(1), datetime.UTC),
    *(decimal.Decimal("1.50"), decimal.Decimal("NaN"), decimal.Decimal("1e9999")),
]  # fmt: skip
PLAIN_VALUES = ["a", "a text of some words", "b", "", None, 1, 0, 0.5, True]


@functools.cache
def _frame_values() -> list[object]:
    import pandas as pd

    return [*ODD_VALUES, pd.NA, pd.NaT, pd.Timestamp("2020-01-01"), pd.Timedelta(1), pd.Period("2020")]


@st.composite
def columns(draw: st.DrawFn, odd: list[object]) -> dict[object, list[object]]:
    """Names and lists, mostly of one length; one column has what its fellows would not expect."""
    usual: list[object] = ["text", "label", "sentence1", "sentence2", "other"]
    names = draw(
        st.lists(st.sampled_from([*usual, "", 1, "1", None, ("a", "b"), "\ud800"]), min_size=1, max_size=4)
    )
    n_rows = draw(st.integers(0, 5))
    found = {}
    for name in names:
        values = (
            st.sampled_from(PLAIN_VALUES) | st.sampled_from(odd) if draw(st.booleans()) else st.just("a b c")
        )
        n_values = n_rows if draw(st.integers(0, 9)) else draw(st.integers(0, 6))
        found[name] = draw(st.lists(values, min_size=n_values, max_size=n_values))
    return found


CONTAINERS = ["str", "category", "Int64", "string", "float16", "datetime64[ns]", "bool", "object", "bytes"]


@st.composite
def frames(draw: st.DrawFn) -> object:
    """A DataFrame of odd values, odd column types, odd names and an odd index."""
    import pandas as pd

    found = draw(columns(_frame_values()))
    n_rows = min(len(values) for values in found.values())
    frame = pd.DataFrame(
        {at: pd.Series(values[:n_rows], dtype=object) for at, values in enumerate(found.values())}
    )
    for at in list(frame.columns):
        if draw(st.integers(0, 2)) == 0:
            try:
                frame[at] = frame[at].astype(draw(st.sampled_from(CONTAINERS)))
            except Exception:  # pandas cannot; then the column stays as it is
                continue
    frame.columns = pd.Index([*found], dtype=object)
    return frame.iloc[[*range(n_rows), *range(n_rows)]] if draw(st.integers(0, 5)) == 0 else frame


@st.composite
def python_data(draw: st.DrawFn) -> object:
    """What a program might pass as data: lists, tuples, dictionaries, frames, and other things."""
    values = st.lists(st.sampled_from(["a", "b"]) | st.sampled_from(ODD_VALUES), max_size=4)
    whole = values | values.map(tuple) | st.sampled_from(ODD_VALUES) | values.map(_array)
    match draw(st.sampled_from(["dict", "dict", "frame", "frame", "pair", "list", "anything"])):
        case "dict":
            found = draw(columns(ODD_VALUES))
            return {
                name: draw(whole) if draw(st.integers(0, 9)) == 0 else part for name, part in found.items()
            }
        case "frame":
            return draw(frames())
        case "pair":
            return draw(whole), draw(whole)
        case "list":
            return draw(values)
        case _:
            return draw(st.sampled_from([value for value in ODD_VALUES if not isinstance(value, str)]))


def _array(values: list[object]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
