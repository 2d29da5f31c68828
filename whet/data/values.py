"""Python values, as JSON and programs hold them, to typed columns.

A column gets the narrowest type its values allow. Rows come in batches, and a later batch may widen a type;
`join` brings the parts of one table together again.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from whet.data.table import MOST_COLUMNS, Indices, as_text, describe, scalar_text
from whet.data.wording import shortened
from whet.errors import DataError

Path = tuple[object, ...]  # the keys that lead to a value; None for a list's place
FLAT = frozenset({str, int, float, bool, type(None)})
LONGEST_NUMBER = 4096  # bits
DEEPEST = 32  # levels of lists and objects within a value


def check_name(place: str, name: str) -> None:
    """Refuse a column name that no file could hold."""
    if _has_surrogate(name):
        raise DataError(
            f"{place}: the name {shortened(repr(name))} holds half of a surrogate pair, which is no "
            f"character. Rename the column."
        )


def typed_array(
    source: str, name: str, values: list[object], known: pa.DataType, lines: Indices | None
) -> pa.Array:
    """Values as an array of the type the column has had so far, else of the one they all have, else as text.

    lines: the line of each value, for errors; None where the rows have none."""

    def place(row: int) -> str:
        return f"{source}, row {row + 1}" if lines is None else f"{source}:{lines[row]}"

    check_nesting(shortened(name), values, place)
    try:
        array = _fitting_array(values, known)
        if array is None:
            _check_kinds(shortened(name), values, place)
            array = pa.array([scalar_text(value) for value in values], pa.string())
    except UnicodeEncodeError:
        row = next(row for row, value in enumerate(values) if _has_surrogate(value))
        raise DataError(
            f"{place(row)}: '{shortened(name)}' holds half of a surrogate pair (\\ud800 to \\udfff), "
            f"which is no character. Mend the text or drop the row."
        ) from None
    return pa.nulls(len(array), known) if pa.types.is_null(array.type) else array


def _fitting_array(values: list[object], known: pa.DataType) -> pa.Array | None:
    """The values under one type, None where they have none. Not under the known type where that would lose
    something: a record its new keys, true its name, a number what stands behind its point."""
    kinds_of = set(map(type, values))
    if {bool, float} <= kinds_of:  # pyarrow takes true for 1 there
        return None
    loses = (
        pa.types.is_nested(known)
        or (pa.types.is_floating(known) and bool in kinds_of)
        or (pa.types.is_integer(known) and not kinds_of.isdisjoint((bool, float)))
    )
    for kind in (None,) if pa.types.is_null(known) or loses else (known, None):
        try:
            return pa.array(values, kind)
        except UnicodeEncodeError:  # a ValueError too, but no other type would mend it
            raise
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue
    return None


def check_nesting(name: str, values: Iterable[object], place: Callable[[int], str]) -> None:
    """Refuse values nested so deeply, or with so many keys, that a table of them would have no bounds."""
    paths: set[Path] = set()
    for row, value in enumerate(values):
        if type(value) in FLAT or (isinstance(value, list) and FLAT.issuperset(map(type, value))):
            continue  # what most values are, told quickly
        open_ones = [_inside(value, ())]
        while open_ones:
            path, inner = next(open_ones[-1], (None, None))
            if path is None:
                open_ones.pop()
                continue
            if path[-1] is not None:
                paths.add(path)
            open_ones.append(_inside(inner, path))
            if len(open_ones) > DEEPEST:
                raise DataError(
                    f"{place(row)}: '{name}' holds lists or objects nested more than {DEEPEST} levels deep. "
                    f"Leave that value out."
                )
        if len(paths) > MOST_COLUMNS:
            raise DataError(
                f"{place(row)}: up to here the objects in '{name}' have more than {MOST_COLUMNS:,} different "
                f"keys. Give every object the same keys, or leave the column out."
            )


def _inside(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    """Below an object all its values, below a list the lists and objects in it: each with its path."""
    if isinstance(value, dict):
        return (((*path, key), inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        below = (*path, None)
        return ((below, inner) for inner in value if isinstance(inner, list | tuple | dict))
    return iter(())


def _check_kinds(name: str, values: list[object], place: Callable[[int], str]) -> None:
    """Raise unless all values are text, numbers, true, false or null."""
    nested = [row for row, value in enumerate(values) if isinstance(value, list | dict | tuple)]
    plain = [row for row, value in enumerate(values) if isinstance(value, str | int | float)]
    if nested and plain:
        raise DataError(
            f"{place(nested[0])}: '{name}' holds a list or an object here, but text or a number in "
            f"{place(plain[0])}. Give the column one kind of value."
        )
    if nested:
        raise DataError(
            f"{place(_first_odd(values))}: '{name}' holds a list or an object here whose values differ in "
            f"kind from each other, or from those before. Give the column one kind of value, or leave it out."
        )
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str | int | float):
            raise DataError(
                f"{place(row)}: '{name}' holds a value of type {type(value).__name__}. "
                f"Give text or a number instead."
            )
        if isinstance(value, int) and value.bit_length() > LONGEST_NUMBER:
            raise DataError(
                f"{place(row)}: '{name}' holds a whole number of thousands of digits. Give it as text."
            )


def _first_odd(values: list[object]) -> int:
    """The first value that has no type in common with those before; there is one."""
    good, bad = 0, len(values)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _fitting_array(values[:middle], pa.null()) is None:
            bad = middle
        else:
            good = middle
    return good


def _has_surrogate(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return True
    return False


def join(source: str, parts: Sequence[pa.Table]) -> pa.Table:
    """The parts of one table under one schema: a missing column is null, one of several types is widened."""
    if len(parts) == 1:
        return parts[0]
    names = list(dict.fromkeys(name for part in parts for name in part.column_names))
    kinds = {
        name: _widest(source, name, [p.column(name).type for p in parts if name in p.column_names])
        for name in names
    }
    aligned = []
    for part in parts:
        columns = {}
        for name, kind in kinds.items():
            if name not in part.column_names:
                columns[name] = pa.chunked_array([pa.nulls(part.num_rows, kind)])
            elif part.column(name).type.equals(kind):
                columns[name] = part.column(name)
            elif kind.equals(pa.string()):
                columns[name] = as_text(part.column(name)).cast(pa.string())
            else:
                columns[name] = part.column(name).cast(kind)
        aligned.append(pa.table(columns))
    return pa.concat_tables(aligned)


def _widest(source: str, name: str, kinds: Sequence[pa.DataType]) -> pa.DataType:
    distinct = list(dict.fromkeys(kind for kind in kinds if not pa.types.is_null(kind)))
    if len(distinct) <= 1:
        return distinct[0] if distinct else pa.null()
    if not any(pa.types.is_nested(kind) for kind in distinct):
        return pa.string()
    try:
        empty = [pa.table({name: pa.array([], kind)}) for kind in distinct]
        return pa.concat_tables(empty, promote_options="permissive").schema.field(name).type
    except pa.ArrowException:
        found = " and ".join(dict.fromkeys(describe(kind) for kind in distinct))
        raise DataError(
            f"{source}: column '{shortened(name)}' holds {found}. Give the column one kind of value."
        ) from None
