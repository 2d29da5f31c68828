"""Numbers as targets: read from a column whole, with one message for every row that holds none."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.table import Table
from whet.data.wording import counted, shortened
from whet.errors import DataError

Float64s = npt.NDArray[np.float64]

SHOWN_ROWS = 10
# RE2, where \d is an ASCII digit: what float() takes besides (nan, 1_000, other scripts) is no number here
WITH_POINT = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
WITH_COMMA = r"^[+-]?\d*,\d+([eE][+-]?\d+)?$"
THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"  # 1,234 may be 1.234 or 1234


@final
@dataclass(frozen=True, eq=False)
class Quantities:
    """The target of each row."""

    values: Float64s  # (n_rows,) nan where the row is unlabelled
    decimal: str  # "." or ","
    note: str | None  # one plain line where the decimal sign was inferred


def read_quantities(table: Table, column: str, decimal: str | None = None) -> Quantities:
    """The numbers of a column; null and empty cells are unlabelled.

    A comma is the decimal sign where the column has no point, and some number with a comma cannot be one
    with thousands set off; `decimal` says which it is. Raises DataError with rows and values for what is no
    finite number, and where there is no number at all."""
    values = table.column(column)
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = pc.cast(values, pa.float64(), safe=False)
        found = Quantities(pc.fill_null(numbers, np.nan).to_numpy(), ".", None)
        present = ~np.isnan(found.values)  # NaN is how pandas writes what is not there
        texts = numbers
    else:
        texts = pc.utf8_trim_whitespace(table.strings(column))
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.large_string()), texts)
        present = texts.is_valid().to_numpy()
        found = _parsed(texts, column, decimal)
    bad = np.flatnonzero(present & ~np.isfinite(found.values))
    if len(bad):
        raise DataError(_no_numbers(table, column, texts, bad))
    if not present.any():
        raise DataError(
            f"{table.source}: column '{shortened(column)}' holds no number. Name another column with --label."
        )
    return found


def _parsed(texts: pa.ChunkedArray, column: str, decimal: str | None) -> Quantities:
    """Texts without blanks as numbers, nan where they spell none."""
    note = None
    if decimal is None:
        decimal = "," if _has_decimal_comma(texts) else "."
        if decimal == ",":
            note = f"targets: column '{column}' is read with decimal commas"
    spelled = pc.match_substring_regex(texts, WITH_POINT)
    if decimal == ",":
        spelled = pc.and_not(
            pc.or_(spelled, pc.match_substring_regex(texts, WITH_COMMA)), pc.match_substring(texts, ".")
        )
        texts = pc.replace_substring(texts, ",", ".")
    texts = pc.utf8_ltrim(texts, characters="+")
    texts = pc.if_else(pc.fill_null(spelled, False), texts, pa.scalar(None, pa.large_string()))
    return Quantities(pc.fill_null(texts.cast(pa.float64()), np.nan).to_numpy(), decimal, note)


def _has_decimal_comma(texts: pa.ChunkedArray) -> bool:
    commas = texts.filter(pc.fill_null(pc.match_substring_regex(texts, WITH_COMMA), False))
    if not len(commas) or pc.any(pc.match_substring(texts, ".")).as_py():
        return False
    return not pc.all(pc.match_substring_regex(commas, THOUSANDS)).as_py()


def _no_numbers(table: Table, column: str, values: pa.ChunkedArray, bad: npt.NDArray[np.int64]) -> str:
    shown = bad[:SHOWN_ROWS]
    texts = [str(value) for value in values.take(pa.array(shown)).to_pylist()]
    what = "row" if table.first_lines is None else "line"
    rows = ", ".join(
        f"{what} {number:,} '{shortened(text)}'"
        for number, text in zip(table.numbers(shown), texts, strict=True)
    )
    more = f" and {len(bad) - SHOWN_ROWS:,} more" if len(bad) > SHOWN_ROWS else ""
    commas = any("," in text for text in texts)
    advice = " A decimal sign is a point; thousands are not set off." if commas else ""
    return (
        f"{table.source}: {counted(len(bad), 'row')} of '{shortened(column)}' "
        f"{'holds' if len(bad) == 1 else 'hold'} no finite number: {rows}{more}.{advice} "
        f"Mend the rows, or leave the value out where there is no target."
    )
