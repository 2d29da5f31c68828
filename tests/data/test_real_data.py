"""Published data sets in their published formats. Expected counts are those of the data sets' own README."""

import csv
from pathlib import Path

import numpy as np
import pytest

from whet.data.columns import infer_columns
from whet.data.labels import encode_labels, label_names
from whet.data.readers import read_splits, read_table
from whet.data.splitting import grouped_stratified_split, text_groups
from whet.errors import DataError

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")


@pytest.mark.parametrize(
    ("task", "n_rows", "columns", "names"),
    [
        ("SST-2", (67349, 872, 1821), ("sentence", None, "label"), ("0", "1")),
        ("CoLA", (8551, 1043, 1063), ("sentence", None, "label"), ("0", "1")),
        ("MRPC", (3668, 408, 1725), ("#1 String", "#2 String", "Quality"), ("0", "1")),
        ("RTE", (2490, 277, 3000), ("sentence1", "sentence2", "label"), ("entailment", "not_entailment")),
        ("WNLI", (635, 71, 146), ("sentence1", "sentence2", "label"), ("0", "1")),
    ],
)
def test_glue(task, n_rows, columns, names):
    splits = read_splits(str(DATA / "glue" / task))
    assert splits.dev is not None
    assert splits.test is not None
    assert (len(splits.train), len(splits.dev), len(splits.test)) == n_rows
    found = infer_columns(splits.train)
    assert (found.text, found.pair, found.label) == columns
    assert label_names([splits.train], columns[2]) == names
    assert set(encode_labels(splits.dev, columns[2], names).tolist()) == {0, 1}
    test = infer_columns(splits.test, need_label=False)
    assert (test.text, test.pair, test.label) == (*columns[:2], None)


@pytest.mark.parametrize("task", ["SST-2", "MRPC", "RTE", "STS-B", "WNLI", "QNLI"])
def test_glue_equals_a_plain_split_at_tabs(task):
    for path in (DATA / "glue" / task).glob("dev.tsv"):
        header, *lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
        table = read_table(path)
        assert list(table.names) == header.split("\t")
        assert [list(row.values()) for row in table.columns.to_pylist()] == [
            line.split("\t") for line in lines
        ]


def test_glue_regression():
    found = infer_columns(read_splits(DATA / "glue" / "STS-B").train)
    assert (found.task, found.text, found.pair, found.label) == (
        "regression", "sentence1", "sentence2", "score",
    )  # fmt: skip


def test_glue_without_train():
    with pytest.raises(DataError, match="there is no train split, only dev and test"):
        read_splits(DATA / "glue" / "QNLI")
    table = read_table(DATA / "glue" / "QNLI", split="dev")
    assert len(table) == 5463
    columns = infer_columns(table)
    assert (columns.text, columns.pair) == ("question", "sentence")


def test_glue_file_by_itself():
    table = read_table(DATA / "glue" / "CoLA" / "dev.tsv")
    columns = infer_columns(table)
    assert (len(table), columns.text, columns.label) == (1043, "sentence", "label")


def test_banking77_is_what_the_csv_module_reads():
    splits = read_splits(DATA / "banking77")
    assert splits.test is not None
    for table, name, n_rows in ((splits.train, "train.csv", 10003), (splits.test, "test.csv", 3080)):
        with (DATA / "banking77" / name).open(newline="", encoding="utf-8") as file:
            assert table.columns.to_pylist() == list(csv.DictReader(file))
        assert len(table) == n_rows
    columns = infer_columns(splits.train)
    names = label_names([splits.train], "category")
    assert (columns.text, columns.label, len(names)) == ("text", "category", 77)
    labels = encode_labels(splits.train, "category", names)
    groups = text_groups([splits.train.strings("text")])
    held = grouped_stratified_split(labels, groups, 0.1, 0)
    assert held.sum() == 1000
    assert len(np.unique(labels[held])) == 77
    assert not set(groups[held]) & set(groups[~held])


def test_other_tasks_are_told_apart():
    squad = infer_columns(read_table(DATA / "squad" / "dev-v2.0.rebuilt.json"))
    assert squad.task == "question-answering"
    conll = infer_columns(read_table(DATA / "conll2003" / "eng.testa"))
    assert conll.task == "token-classification"
    with pytest.raises(DataError, match="no data set"):
        read_table(DATA / "conll2003")
    with pytest.raises(DataError, match="what this file holds cannot be told"):
        read_table(DATA / "trec" / "train_5500.label")
