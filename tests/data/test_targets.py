"""Several labels a row, in every way they are written, and the errors for rows that cannot be read."""

import csv
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.preprocessing import MultiLabelBinarizer

from whet.data.readers import read_table
from whet.data.table import Table
from whet.data.targets import encode_label_sets, label_form, label_set_names
from whet.errors import DataError


def table(**columns) -> Table:
    n_rows = len(next(iter(columns.values())))
    made = read_table({"text": ["a"] * n_rows, **columns})
    return Table("tags.csv", made.columns, np.arange(2, n_rows + 2))


def read(data: Table, columns=("label",), separator=None):
    """(names, the labels of each row by name or None where unlabelled, the note)."""
    form = label_form([data], columns, separator)
    names = label_set_names([data], form)
    sets = encode_label_sets(data, form, names)
    dense = sets.dense(np.arange(len(sets)))
    assert dense.shape == (len(data), len(names))
    rows = []
    for row in range(len(sets)):
        given = sets.labels[sets.offsets[row] : sets.offsets[row + 1]].tolist()
        assert np.flatnonzero(dense[row]).tolist() == given
        rows.append([names[label] for label in given] if sets.labelled[row] else None)
    return names, rows, form.note


def error(call, *arguments, **named):
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    return str(caught.value)


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ([["b", "a"], [], None, ["a", "a"]], [["a", "b"], [], None, ["a"]]),
        ([["b ", " a"], ["b"]], [["a", "b"], ["b"]]),
        ([[10, 9], [2], []], [["9", "10"], ["2"], []]),
        ([[1.0, 0.0], [1.0]], [["0", "1"], ["1"]]),
        (["a|b", "b", None, "", "  ", "[]"], [["a", "b"], ["b"], None, None, None, []]),
        (["a | b|", "||b"], [["a", "b"], ["b"]]),
        (["b;a", "a"], [["a", "b"], ["a"]]),
        (["a, b", "b,a", "a"], [["a", "b"], ["a", "b"], ["a"]]),
        (["27", "2,27", "10"], [["27"], ["2", "27"], ["10"]]),
        (["['a', \"b's\"]", "[]", '["a"]', ""], [["a", "b's"], [], ["a"], None]),
        (["[2, 27]", "[27]"], [["2", "27"], ["27"]]),
        (["a", "b"], [["a"], ["b"]]),
        (["[a", "b"], [["[a"], ["b"]]),
    ],
)
def test_ways_to_write_labels(labels, rows):
    assert read(table(label=labels))[1] == rows


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["a|b", "b|a", "c"], "labels: column 'label', joined by '|' (in 2 rows)"),
        ([["a"], ["b"]], "labels: lists in column 'label'"),
        (["['a']", "['b']"], "labels: lists written as text in column 'label'"),
        (["a", "b"], "labels: column 'label', where no row joins several by any of | ; ,"),
    ],
)
def test_what_was_found_is_said(labels, note):
    assert read(table(label=labels))[2] == note


def test_a_separator_in_doubt_is_the_users_to_name():
    data = table(label=["arts, music|sports", "sports"])
    assert error(label_form, [data], ["label"]) == (
        "tags.csv: column 'label' holds '|' in 1 row and ',' in 1 row. Which of them stands between labels, "
        "and is in none? Name it with --set label_separator=."
    )
    names, rows, note = read(data, separator="|")
    assert names == ("arts, music", "sports")
    assert rows == [["arts, music", "sports"], ["sports"]]
    assert note == "labels: column 'label', joined by '|', as asked"
    assert read(table(label=["a b", "b"]), separator=" ")[1] == [["a", "b"], ["b"]]


@pytest.mark.parametrize(
    "columns",
    [
        {"rude": ["1", "0", "", "0"], "angry": ["0", "1", " ", "0"]},
        {"rude": [1, 0, None, 0], "angry": [0, 1, None, 0]},
        {"rude": [1.0, 0.0, None, 0.0], "angry": ["0.0", "1.0", None, "0"]},
        {"rude": [True, False, None, False], "angry": ["No", "YES", "", "no"]},
    ],
)
def test_columns_of_0_and_1(columns):
    names, rows, note = read(table(**columns), ("rude", "angry"))
    assert names == ("angry", "rude")
    assert rows == [["rude"], ["angry"], None, []]
    assert note == "labels: 0/1 columns rude, angry"


def test_columns_of_other_values():
    data = table(rude=["1", "2", "", "0"], angry=["0", "maybe", "1", "0"])
    assert error(read, data, ("rude", "angry")) == (
        "tags.csv: a label column holds 0 or 1 (or true and false, yes and no), but line 3: 'angry' is "
        "'maybe'; line 3: 'rude' is '2'; line 4: 'rude' is empty. Mend the rows; an unlabelled one leaves "
        "all label columns empty."
    )
    many = error(read, table(rude=["x"] * 9, angry=["0"] * 9), ("rude", "angry"))
    assert "line 6: 'rude' is 'x'; and 4 more. Mend" in many


def test_a_missing_column():
    form = label_form([table(rude=["1"], angry=["0"])], ("rude", "angry"))
    assert error(label_form, [table(rude=["1"])], ("rude", "angri")).startswith(
        "tags.csv: there is no column"
    )
    other = table(rude=["1"], angry_=["0"])
    assert error(encode_label_sets, other, form, ("angry", "rude")) == (
        "tags.csv: there is no column 'angry'. Did you mean 'angry_'? The columns are: text, rude, angry_."
    )


def test_an_unknown_label():
    train = table(label=["joy|anger", "fear"])
    form = label_form([train], ["label"])
    names = label_set_names([train], form)
    assert error(encode_label_sets, table(label=["joy", "joy|angr|zzz", "zzz"]), form, names) == (
        "tags.csv:3: label 'angr' is not one of the 3 labels this model knows (anger, fear, joy). "
        "1 more row has an unknown label.\n"
        "Did you mean 'anger'? Fix the row, or train again with the new label in the data."
    )
    assert error(encode_label_sets, table(label=["joy;fear"]), form, names).endswith(
        "\nIf ';' stands between labels here, write '|' as in the training data. "
        "Fix the row, or train again with the new label in the data."
    )
    lists = table(label=[["joy"], [], ["fear", "anger"]])
    sets = encode_label_sets(lists, label_form([lists], ["label"]), names)
    assert sets.dense(np.array([2, 0, 1])).astype(int).tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a"], ["b", None]], "tags.csv:3: the list in 'label' holds an empty label. Leave it out"),
        ([["a"], ["b", " "]], "tags.csv:3: the list in 'label' holds an empty label. Leave it out"),
        (["['a']", "['a', '']"], "tags.csv:3: the list in 'label' holds an empty label."),
        (["['a']", "[b, c]"], "tags.csv:3: 'label' holds [b, c], which is no list of label names. Write it"),
        (["['a']", "[['b']]"], "tags.csv:3: 'label' holds [['b']], which is no list of label names."),
        ([[["a"]], [["b"]]], "tags.csv: column 'label' holds lists of lists, where lists of label names are"),
        ([[], []], "tags.csv: column 'label' holds no label."),
        (["", None], "tags.csv: column 'label' holds no label."),
        ([["a"], ["a"]], "tags.csv: column 'label' holds one class only ('a')"),
    ],
)
def test_what_cannot_be_read(labels, message):
    assert error(read, table(label=labels)).startswith(message)


def test_class_ids_of_datasets():
    data = table(label=[[2, 0], [], None, [2]])
    named = Table("hf:x", data.columns, class_names={"label": ("joy", "anger", "fear")})
    assert read(named)[:2] == (("joy", "anger", "fear"), [["joy", "fear"], [], None, ["fear"]])
    assert error(
        read, Table("hf:x", table(label=[[0], [0, 3]]).columns, class_names={"label": ("a", "b")})
    ) == (
        "hf:x, row 2: class 3 of 'label' has no name; the data set names 2 classes, from 0 on. "
        "Mend the row, or add the name."
    )


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string(), 1)]
)
def test_kinds_and_chunks_of_lists(kind):
    column = pa.chunked_array([pa.array([["b"]], kind), pa.array([["a"], None], kind)])
    assert read(Table("x", pa.table({"label": column})))[1] == [["b"], ["a"], None]
    assert read(Table("x", pa.table({"label": column})).take([1, 2, 0]))[1] == [["a"], None, ["b"]]


def test_goemotions(shared_data: Path, tmp_path: Path):
    """The real file's ids, as a user would save them, against scikit-learn's MultiLabelBinarizer."""
    lines = (shared_data / "goemotions" / "dev.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t")[:2] for line in lines]
    file = tmp_path / "dev.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([["text", "emotions"], *rows])
    data = read_table(str(file))
    form = label_form([data], ["emotions"])
    names = label_set_names([data], form)
    assert names == tuple(str(i) for i in range(28))
    assert form.separator == ","
    wanted = MultiLabelBinarizer(classes=names).fit_transform([labels.split(",") for _, labels in rows])
    assert (encode_label_sets(data, form, names).dense(np.arange(len(rows))) == wanted).all()


def test_many_rows_take_seconds():
    rng = np.random.default_rng(0)
    pool = pa.array([f"label{i}|label{j}" for i in range(28) for j in range(28)], pa.large_string())
    data = Table("x", pa.table({"label": pool.take(pa.array(rng.integers(len(pool), size=200_000)))}))
    began = time.process_time()
    assert len(read_fast(data)) == 200_000
    assert time.process_time() - began < 3


def read_fast(data: Table):
    form = label_form([data], ["label"])
    return encode_label_sets(data, form, label_set_names([data], form))


@pytest.mark.parametrize("text", ["['a' 'b']", "['a'\n \"b\"]", "[{[]: 1}]", '["a"]]'])
def test_what_only_looks_like_a_list_is_named(text):
    """numpy writes an array of names without commas: Python would read one name, ab."""
    data = table(label=["['a']", text])
    assert "which is no list of label names." in error(lambda: read(data))
