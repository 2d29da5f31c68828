"""Whatever is written is read back; whatever the bytes are, they give rows or one of our errors."""

import contextlib
import csv
import io
import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from whet.data.readers import read_table
from whet.data.table import Table
from whet.errors import WhetError


def rows(table: Table) -> list[dict]:
    return table.columns.to_pylist()


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


SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXTS


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


HEADS = [
    b"",
    b"text,label\n",
    b"text\tlabel\n",
    b'{"text": "a"}\n',
    b"[",
    b"PAR1",
    b"\xef\xbb\xbf",
    b'text,label\n"',
]


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(HEADS),
    st.binary(max_size=60) | st.text("a\"',;\t\n\r{}[]:1\\u ", max_size=60).map(str.encode),
    st.sampled_from(["csv", "tsv", "jsonl", "json", "parquet", "txt"]),
)
def test_any_bytes_give_rows_or_one_of_our_errors(tmp_path_factory, head, content, suffix):
    path = tmp_path_factory.mktemp("any") / f"a.{suffix}"
    path.write_bytes(head + content)
    try:
        table = read_table(path)
    except WhetError as error:
        assert str(error).startswith(str(path))  # noqa: PT017, either outcome is right
    else:
        assert len(table) == len(rows(table)) > 0
        table.fingerprint()


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.fixed_dictionaries({}, optional={"a": SCALARS, "b": SCALARS | st.lists(SCALARS, max_size=2)}))
)
def test_any_json_values_give_rows_or_one_of_our_errors(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    with contextlib.suppress(WhetError):
        assert len(read_table(path)) == len(records)
