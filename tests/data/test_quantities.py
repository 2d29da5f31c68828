"""Numbers as targets: what counts as one, decimal commas, and one message for all rows that hold none."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.data.quantities import read_quantities
from whet.data.readers import read_table
from whet.data.table import Table
from whet.errors import DataError


def table(values) -> Table:
    return Table("sts.csv", read_table({"score": values}).columns, np.arange(2, len(values) + 2))


def same(found: np.ndarray, wanted: list[float | None]) -> bool:
    return np.array_equal(found, [math.nan if x is None else x for x in wanted], equal_nan=True)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["1.5", " 2 ", "+3", "-.5", "5.", "1e3", "", None], [1.5, 2, 3, -0.5, 5, 1000, None, None]),
        ([1.5, None, 2.0], [1.5, None, 2]),
        ([1, 2, -3], [1, 2, -3]),
        (["1,5", "2", "-0,25"], [1.5, 2, -0.25]),
        (["1,234", "2,5"], [1.234, 2.5]),
        (["0,123"], [0.123]),
    ],
)
def test_numbers(values, wanted):
    assert same(read_quantities(table(values), "score").values, wanted)


def test_decimal_commas_are_said_and_can_be_given():
    found = read_quantities(table(["1,5"]), "score")
    assert (found.decimal, found.note) == (",", "targets: column 'score' is read with decimal commas")
    assert same(read_quantities(table(["1,234", "2"]), "score", ",").values, [1.234, 2])
    assert read_quantities(table(["1.5"]), "score").note is None
    for doubtful in (["1,234", "2"], ["1,234", "2.5"], ["1,5", "2.5"], ["1,234,567"]):
        with pytest.raises(DataError, match="A decimal sign is a point; thousands are not set off"):
            read_quantities(table(doubtful), "score")
    with pytest.raises(DataError, match=r"line 3 '2\.5'"):
        read_quantities(table(["1,5", "2.5"]), "score", ",")


def test_all_rows_without_a_number_at_once():
    with pytest.raises(DataError) as caught:
        read_quantities(table(["4.2", "abc", "nan", "", "inf", "1_0", "1e999", "٣"]), "score")
    assert str(caught.value) == (
        "sts.csv: 6 rows of 'score' hold no finite number: line 3 'abc', line 4 'nan', line 6 'inf', "
        "line 7 '1_0', line 8 '1e999', line 9 '٣'. Mend the rows, or leave the value out where there is no "
        "target."
    )
    with pytest.raises(DataError) as many:
        read_quantities(table(["x"] * 1234), "score")
    assert "1,234 rows of 'score' hold" in str(many.value)
    assert "line 11 'x' and 1,224 more. Mend" in str(many.value)
    floats = Table("sts.parquet", pa.table({"score": [1.0, math.nan, math.inf]}))  # NaN is a missing one
    with pytest.raises(DataError, match="1 row of 'score' holds no finite number: row 3 'inf'"):
        read_quantities(floats, "score")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([True, False], "2 rows of 'score' hold no finite number: line 2 'true'"),
        (["", None], "sts.csv: column 'score' holds no number. Name another column"),
        ([[1.0], [2.0]], "column 'score' holds lists, where text"),
    ],
)
def test_columns_without_numbers(values, message):
    with pytest.raises(DataError, match=message):
        read_quantities(table(values), "score")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_every_float_comes_back(values):
    assert read_quantities(table([repr(value) for value in values]), "score").values.tolist() == values
    assert read_quantities(table(values), "score").values.tolist() == values


def test_sts_b(shared_data: Path):
    data = read_table(str(shared_data / "glue" / "STS-B"), split="dev")
    found = read_quantities(data, "score").values
    assert len(found) == 1500
    assert (found.min(), found.max()) == (0, 5)
