"""Labels as names and as class numbers: one order, one spelling of numbers, one error for the unknown."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.table import Table
from whet.data.wording import shortened
from whet.errors import DataError, nearest

Int64s = npt.NDArray[np.int64]
SHOWN_NAMES = 10


def label_names(tables: Sequence[Table], column: str) -> tuple[str, ...]:
    """The classes in their order: that of `datasets` features, else sorted by name, whole numbers by value.

    Give the training data: what only other data holds is no class. Fewer than two are an error."""
    source = ", ".join(dict.fromkeys(table.source for table in tables))
    for table in tables:
        if column in table.class_names:
            names: tuple[str, ...] = table.class_names[column]
            break
    else:
        found = {
            name
            for table in tables
            for name in spelled_labels(table, column).unique().drop_null().to_pylist()
        }
        whole = all(_is_whole(name) for name in found)
        by_value = (lambda name: (int(name), name)) if whole else (lambda name: (0, name))
        names = tuple(sorted(found, key=by_value))
    if len(names) >= 2:
        return names
    if not names:
        raise DataError(
            f"{source}: column '{shortened(column)}' holds no label. Name another column with --label."
        )
    raise DataError(
        f"{source}: column '{shortened(column)}' holds one class only ('{shortened(names[0])}'); "
        f"a classifier needs at least two. "
        f"Add rows of another class, or name another column with --label."
    )


def encode_labels(table: Table, column: str, names: Sequence[str]) -> Int64s:
    """Class numbers of the rows, (n_rows,); -1 where a row is unlabelled. An unknown label is an error."""
    spelled = spelled_labels(table, column)
    indices = pc.index_in(spelled, value_set=pa.array(list(names), pa.large_string()))
    unknown = pc.and_(indices.is_null(), spelled.is_valid())
    rows = np.flatnonzero(unknown.to_numpy())
    if len(rows):
        raise DataError(_unknown(table, spelled, rows, names))
    return np.asarray(pc.fill_null(indices, -1).to_numpy(), np.int64)


def spelled_labels(table: Table, column: str) -> pa.ChunkedArray:
    """Labels without the blanks around them, null where there is none."""
    values = pc.utf8_trim_whitespace(table.strings(column))
    empty = pc.equal(values, "")
    if table.minus_one_is_unlabelled:
        empty = pc.or_(empty, pc.equal(values, "-1"))
    return pc.if_else(empty, pa.scalar(None, pa.large_string()), values)


def shown_labels(names: Sequence[str]) -> str:
    """The first labels, for a line of a message."""
    return ", ".join(map(shortened, names[:SHOWN_NAMES])) + (", ..." if len(names) > SHOWN_NAMES else "")


def _is_whole(name: str) -> bool:
    digits = name.removeprefix("-")
    # isdecimal admits other scripts' digits, which int() reads too; past 18 digits they are identifiers
    return digits.isascii() and digits.isdecimal() and len(digits) <= 18


def _unknown(table: Table, spelled: pa.ChunkedArray, rows: Int64s, names: Sequence[str]) -> str:
    label = spelled[int(rows[0])].as_py()
    more = ""
    if len(rows) > 1:
        others = len(rows) - 1
        more = f" {others:,} more {'row has' if others == 1 else 'rows have'} an unknown label."
    guess = (nearest(label, names) + " ").lstrip()
    return (
        f"{table.place(int(rows[0]))}: label '{shortened(label)}' is not one of the {len(names)} labels "
        f"this model knows ({shown_labels(names)}).{more}\n{guess}"
        f"Fix the row, or train again with the new label in the data."
    )
