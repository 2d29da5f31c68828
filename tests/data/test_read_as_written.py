"""Values, splits and columns are read as they stand; each of these was found to be read wrongly."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.acceptance import house
from whet.data import spool
from whet.data.columns import infer_columns
from whet.data.folders import split_files
from whet.data.quantities import read_quantities
from whet.data.readers import read_split_of, read_splits, read_table, stream_tables


def test_what_stands_behind_the_point_is_kept_whatever_came_before(tmp_path: Path) -> None:
    """More rows than are read at a time: whole numbers first, as JavaScript writes 5.0."""
    numbers = [*range(5), *[0.5, 1.5, -0.5]]
    counts = [2100] * 5 + [1, 1, 1]
    rows = (
        {"text": "a", "score": number} for number, n in zip(numbers, counts, strict=True) for _ in range(n)
    )
    path = house.write_jsonl(tmp_path / "scores.jsonl", rows)
    found = read_quantities(read_table(str(path)), "score").values
    assert found[-3:].tolist() == [0.5, 1.5, -0.5]
    assert found[:3].tolist() == [0.0, 0.0, 0.0]
    streamed = [value for table in stream_tables(str(path)) for value in table.strings("score").to_pylist()]
    assert [float(value) for value in streamed[-3:]] == [0.5, 1.5, -0.5]


@pytest.mark.parametrize("values", [[1.5, True], [True, 1.5]])
def test_true_keeps_its_name_beside_numbers(tmp_path: Path, values: list[object]) -> None:
    path = house.write_jsonl(tmp_path / "mixed.jsonl", ({"text": "a", "label": one} for one in values))
    assert set(read_table(str(path)).strings("label").to_pylist()) == {"1.5", "true"}


def test_minus_one_is_a_label_outside_glue(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("body\tsentiment\ngood\t1\nbad\t-1\nso so\t0\n")
    assert not read_splits(str(tmp_path)).train.minus_one_is_unlabelled


def test_a_split_whose_labels_are_empty_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,y\n")
    (tmp_path / "dev.csv").write_text("text,label\nc,x\n")
    (tmp_path / "test.csv").write_text("text,label\nd,\ne, \n")
    assert read_split_of(str(tmp_path), "test", "dev", label="label").source.endswith("dev.csv")
    assert read_split_of(str(tmp_path), "test", "dev").source.endswith("test.csv")


def test_nan_in_a_column_of_numbers_is_no_target(tmp_path: Path) -> None:
    table = read_table({"text": ["a", "b", "c"], "score": [0.1, float("nan"), 0.3]})
    found = read_quantities(table, "score").values
    assert np.isnan(found).tolist() == [False, True, False]


def test_bytes_that_are_no_text_are_no_label_column(tmp_path: Path) -> None:
    columns = {"text": ["a fine day", "b"], "lbl": ["x", "y"], "blob": pa.array([b"\xff\xfe", b"\xff"])}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    found = infer_columns(read_table(str(tmp_path / "rows.parquet")))
    assert found.label == "lbl"


def test_categories_of_row_groups_may_differ_in_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SPILL_BYTES", 1)
    schema = pa.schema({"text": pa.string(), "label": pa.dictionary(pa.int8(), pa.string())})
    with pq.ParquetWriter(tmp_path / "rows.parquet", schema) as writer:
        for labels in (["x", "y"], ["z", "x"]):
            column = pa.array(labels).dictionary_encode().cast(schema.field("label").type)
            writer.write_table(pa.table({"text": ["a", "b"], "label": column}, schema=schema))
    found = read_table(str(tmp_path / "rows.parquet"))
    assert found.strings("label").to_pylist() == ["x", "y", "z", "x"]


def test_folders_of_tagged_words_are_data_sets(tmp_path: Path) -> None:
    for name in ("train.conll", "dev.conll"):
        (tmp_path / name).write_text("Rome B-LOC\n\n")
    assert sorted(split_files(tmp_path)) == ["dev", "train"]
