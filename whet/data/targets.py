"""Several labels a row: lists, joined text ("a|b") or 0/1 columns, to the numbers of the labels of each row.

A row with an empty list, with "[]", or with 0 in every column has no label, and is a row like any other. A
row without a value (null, an empty cell) is unlabelled.
"""

import ast
import io
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.label_sets import Bools, Int64s, LabelSets
from whet.data.labels import label_names, shown_labels
from whet.data.table import Table, as_text, describe, scalar_text
from whet.data.wording import counted, listed, shortened
from whet.errors import DataError, nearest

SEPARATORS = ("|", ";", ",")  # those that are looked for; any other has to be named
YES = ("1", "1.0", "true", "yes")
NO = ("0", "0.0", "false", "no")
SHOWN_ROWS = 5


@final
@dataclass(frozen=True)
class LabelForm:
    """How a table writes the labels of a row."""

    columns: tuple[
        str, ...
    ]  # one column of lists or joined text, or several of 0 and 1, named as their labels
    separator: str | None  # of joined text; None where each text is one label
    note: str  # one plain line on what was found


@dataclass(frozen=True, eq=False)
class _Spelled:
    """Labels as they are written, without the blanks around them."""

    values: pa.Array  # (n_given,) large_string, no null
    rows: Int64s  # (n_given,) the row of each
    labelled: Bools  # (n_rows,)


def label_form(tables: Sequence[Table], columns: Sequence[str], separator: str | None = None) -> LabelForm:
    """How the labels are written, in these columns of the training data; a given separator is taken.

    Raises DataError for columns that are missing or hold records, and where the separator is in doubt."""
    if len(columns) > 1:
        for name in columns:
            tables[0].column(name)
        return LabelForm(tuple(columns), None, f"labels: 0/1 columns {listed(columns)}")
    (column,) = columns
    if describe(tables[0].column(column).type) == "lists":
        return LabelForm((column,), None, f"labels: lists in column '{column}'")
    texts = [_joined(table, column) for table in tables]
    if separator is not None:
        return LabelForm(
            (column,), separator, f"labels: column '{column}', joined by '{separator}', as asked"
        )
    found = {sign: count for sign in SEPARATORS if (count := _n_with(sign, texts))}
    if len(found) > 1:
        shown = " and ".join(f"'{sign}' in {counted(n, 'row')}" for sign, n in found.items())
        raise DataError(
            f"{tables[0].source}: column '{shortened(column)}' holds {shown}. Which of them stands between "
            f"labels, and is in none? Name it with --set label_separator=."
        )
    if found:
        ((sign, n),) = found.items()
        note = f"labels: column '{column}', joined by '{sign}' (in {counted(n, 'row')})"
        return LabelForm((column,), sign, note)
    note = f"labels: column '{column}', where no row joins several by any of {' '.join(SEPARATORS)}"
    if any(pc.any(_in_brackets(text)).as_py() for text in texts):
        note = f"labels: lists written as text in column '{column}'"
    return LabelForm((column,), None, note)


def label_set_names(tables: Sequence[Table], form: LabelForm) -> tuple[str, ...]:
    """The labels in their order: that of `datasets` features, else sorted by name, whole numbers by value.

    Give the training data. Fewer than two labels are a DataError."""
    column = form.columns[0]
    made = []
    for table in tables:
        values = pa.array(form.columns) if len(form.columns) > 1 else _spelled(table, form).values
        names = {name: classes for name, classes in table.class_names.items() if name == column}
        made.append(Table(table.source, pa.table({column: values}), class_names=names))
    return label_names(made, column)


def encode_label_sets(table: Table, form: LabelForm, names: Sequence[str]) -> LabelSets:
    """The labels of every row by their place in names.

    Raises DataError with the row for an unknown label (and the nearest known one), for a value that is
    neither 0 nor 1, and for a list that cannot be read."""
    if len(form.columns) > 1:
        return _from_columns(table, names)
    spelled = _spelled(table, form)
    numbers = pc.index_in(spelled.values, value_set=pa.array(list(names), pa.large_string()))
    unknown = np.flatnonzero(_bools(numbers.is_null()))
    if len(unknown):
        raise DataError(_unknown(table, spelled, unknown, names, form.separator))
    # One number for a row and a label: sorting these orders both, and equals are a label named twice.
    keys = np.unique(spelled.rows * len(names) + numbers.to_numpy().astype(np.int64))
    rows, labels = np.divmod(keys, len(names))
    return LabelSets.of(rows, labels, spelled.labelled, len(names))


def spelled_sets(table: Table, form: LabelForm) -> pa.ChunkedArray:
    """The labels of each row as one text, sorted, (n_rows,) large_string; null where it is unlabelled."""
    if len(form.columns) > 1:
        sets = encode_label_sets(table, form, form.columns)
        names, rows, labelled = pa.array(form.columns, pa.large_string()), _rows_of(sets), sets.labelled
        values = names.take(pa.array(sets.labels))
    else:
        spelled = _spelled(table, form)
        values, rows, labelled = spelled.values, spelled.rows, spelled.labelled
    found: list[list[str]] = [[] for _ in range(len(table))]
    for row, value in zip(rows.tolist(), values.to_pylist(), strict=True):
        found[row].append(value)
    texts = [
        (form.separator or "|").join(sorted(set(names))) if is_given else None
        for names, is_given in zip(found, labelled.tolist(), strict=True)
    ]
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _rows_of(sets: LabelSets) -> Int64s:
    return np.repeat(np.arange(len(sets)), np.diff(sets.offsets))


def _spelled(table: Table, form: LabelForm) -> _Spelled:
    (column,) = form.columns
    if describe(table.column(column).type) == "lists":
        return _from_lists(table, column, table.column(column).combine_chunks())
    texts = _joined(table, column)
    labelled = texts.is_valid()
    brackets = _in_brackets(texts)
    plain = pc.if_else(brackets, pa.scalar(None, pa.large_string()), texts)
    if form.separator is None:
        values, rows = plain.drop_null(), np.flatnonzero(_bools(plain.is_valid()))
    else:
        pieces = pc.split_pattern(plain, form.separator)
        values = pc.utf8_trim_whitespace(pc.list_flatten(pieces))
        kept = pc.not_equal(values, "")  # "a||b" and "a|b|" name no empty label
        rows = pc.list_parent_indices(pieces).to_numpy().astype(np.int64)[_bools(kept)]
        values = values.filter(kept)
    if pc.any(brackets).as_py():
        other = _from_brackets(table, column, texts, brackets)
        values, rows = pa.concat_arrays([values, other.values]), np.concatenate([rows, other.rows])
    return _Spelled(values, rows, _bools(labelled))


def _bools(values: pa.Array) -> Bools:
    return np.asarray(values.to_numpy(zero_copy_only=False), np.bool_)


def _joined(table: Table, column: str) -> pa.Array:
    """A text column without blanks around its values, null for an empty one, in one piece."""
    texts = pc.utf8_trim_whitespace(table.strings(column))
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.large_string()), texts)
    return pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], pa.large_string())


def _in_brackets(texts: pa.Array) -> pa.Array:
    found = pc.and_(pc.starts_with(texts, "["), pc.ends_with(texts, "]"))
    return pc.fill_null(found, False)


def _n_with(sign: str, texts: Sequence[pa.Array]) -> int:
    """Rows that hold a sign, lists written as text aside."""
    return sum(
        pc.sum(pc.and_not(pc.match_substring(text, sign), _in_brackets(text))).as_py() or 0 for text in texts
    )


def _from_lists(table: Table, column: str, lists: pa.Array) -> _Spelled:
    rows = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    flat = pc.list_flatten(lists)
    classes = table.class_names.get(column)
    if classes is not None and pa.types.is_integer(flat.type):
        flat = _named(table, column, flat, rows, classes)
    try:
        texts = as_text(pa.chunked_array([flat]))
    except pa.ArrowException:
        raise DataError(
            f"{table.source}: column '{shortened(column)}' holds lists of {describe(flat.type)}, where lists "
            f"of label names are expected. Name another column with --label."
        ) from None
    texts = pc.utf8_trim_whitespace(texts).combine_chunks()
    empty = np.flatnonzero(_bools(pc.fill_null(pc.equal(texts, ""), True)))
    if len(empty):
        raise DataError(
            f"{table.place(int(rows[empty[0]]))}: the list in '{shortened(column)}' holds an empty label. "
            f"Leave it out; an empty list is a row without labels."
        )
    return _Spelled(texts, rows, _bools(lists.is_valid()))


def _named(table: Table, column: str, ids: pa.Array, rows: Int64s, classes: Sequence[str]) -> pa.Array:
    """Class ids (n_given,) of `datasets` as names."""
    numbers = pc.fill_null(ids, -1).to_numpy()
    odd = np.flatnonzero((numbers < 0) | (numbers >= len(classes)))
    if len(odd):
        place = table.place(int(rows[odd[0]]))
        raise DataError(
            f"{place}: class {ids[int(odd[0])]} of '{shortened(column)}' has no name; "
            f"the data set names {len(classes)} classes, from 0 on. Mend the row, or add the name."
        )
    return pa.array(classes, pa.large_string()).take(pa.array(numbers))


def _from_brackets(table: Table, column: str, texts: pa.Array, brackets: pa.Array) -> _Spelled:
    """Lists written as text, as pandas writes them into a CSV file; only distinct ones are read."""
    at = np.flatnonzero(_bools(brackets))
    encoded = texts.take(pa.array(at)).dictionary_encode()
    read: list[list[str] | None] = [list_of_text(text) for text in encoded.dictionary.to_pylist()]
    numbers = encoded.indices.to_numpy()
    bad = next((i for i, found in enumerate(read) if found is None), None)
    if bad is not None:
        row = int(at[np.flatnonzero(numbers == bad)[0]])
        raise DataError(
            f"{table.place(row)}: '{shortened(column)}' holds {shortened(encoded.dictionary[bad].as_py())}, "
            f"which is no list of label names. Write it as in ['first', 'second'], or join names with '|'."
        )
    lists = pa.array(read, pa.large_list(pa.large_string())).take(pa.array(numbers))
    made = replace(table.take(at), columns=pa.table({column: lists}))
    spelled = _from_lists(made, column, lists)
    return _Spelled(spelled.values, at[spelled.rows], spelled.labelled)


def list_of_text(text: str) -> list[str] | None:
    """A list of names as Python or JSON writes it; None for what is none.

    ['a' 'b'], as numpy writes arrays, is none: Python would read one name, ab."""
    try:
        if _has_two_side_by_side(text):
            return None
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError):
        return None
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        return None
    return [scalar_text(value) or "" for value in values]


def _has_two_side_by_side(text: str) -> bool:
    """Whether a text in quotes directly follows another in an expression of Python."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    kinds = [token.type for token in tokens if token.type != tokenize.NL]
    return (tokenize.STRING, tokenize.STRING) in pairwise(kinds)


def _from_columns(table: Table, names: Sequence[str]) -> LabelSets:
    yes = np.zeros((len(table), len(names)), np.bool_)
    empty, odd = np.zeros_like(yes), np.zeros_like(yes)
    for place, name in enumerate(names):
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(table.strings(name)))
        yes[:, place] = pc.is_in(texts, value_set=pa.array(YES, pa.large_string())).to_numpy()
        empty[:, place] = pc.fill_null(pc.equal(texts, ""), True).to_numpy()
        no = pc.is_in(texts, value_set=pa.array(NO, pa.large_string())).to_numpy()
        odd[:, place] = ~(yes[:, place] | no | empty[:, place])
    labelled = np.asarray(~empty.all(axis=1))
    odd |= empty & labelled[:, None]
    if odd.any():
        raise DataError(_neither(table, odd, names))
    rows, labels = np.nonzero(yes)
    return LabelSets.of(rows, labels, labelled, len(names))


def _neither(table: Table, odd: Bools, names: Sequence[str]) -> str:
    rows, columns = np.nonzero(odd)
    what = "row" if table.first_lines is None else "line"
    shown = []
    for row, column in zip(rows[:SHOWN_ROWS].tolist(), columns[:SHOWN_ROWS].tolist(), strict=True):
        value = table.strings(names[column])[row].as_py()
        number = int(table.numbers(np.array([row]))[0])
        found = f"'{shortened(value)}'" if value and value.strip() else "empty"
        shown.append(f"{what} {number:,}: '{shortened(names[column])}' is {found}")
    more = f"; and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
    return (
        f"{table.source}: a label column holds 0 or 1 (or true and false, yes and no), but "
        f"{'; '.join(shown)}{more}. Mend the rows; an unlabelled one leaves all label columns empty."
    )


def _unknown(
    table: Table, spelled: _Spelled, unknown: Int64s, names: Sequence[str], separator: str | None
) -> str:
    label = spelled.values[int(unknown[0])].as_py()
    first = int(spelled.rows[unknown[0]])
    others = len(np.unique(spelled.rows[unknown])) - 1
    more = (
        f" {counted(others, 'more row')} {'has' if others == 1 else 'have'} an unknown label."
        if others
        else ""
    )
    hint = nearest(label, names)
    sign = next((sign for sign in SEPARATORS if sign in label), None)
    if separator is not None and sign is not None:
        hint = f" If '{sign}' stands between labels here, write '{separator}' as in the training data."
    hint = (hint + " ").lstrip()
    return (
        f"{table.place(first)}: label '{shortened(label)}' is not one of the {len(names)} labels this model "
        f"knows ({shown_labels(names)}).{more}\n{hint}"
        f"Fix the row, or train again with the new label in the data."
    )
