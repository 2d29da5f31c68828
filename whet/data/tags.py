"""The tags of a table's sentences: lists of tags, class ids of `datasets`, or character spans in raw text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.conll import bad_tag
from whet.data.sentences import is_lists, word_lists
from whet.data.spans import tags_of_spans, word_offsets
from whet.data.table import Table, describe
from whet.data.wording import counted, shortened
from whet.entities import Mask, Tags, split_tag
from whet.errors import DataError, nearest

SHOWN_ROWS = 5
MOST_ROWS = 10_000  # at a time


@final
@dataclass(frozen=True, eq=False)
class TagColumn:
    """The tags of all rows of a table."""

    tags: Tags  # as written; none for a row that is not labelled
    labelled: Mask  # (n_rows,) whether the row has tags at all


def read_tags(table: Table, words: str, tags: str) -> TagColumn:
    """Columns of words and tags, or of texts and spans in them.

    Raises DataError, with the row, for words and tags of different number, for what is no tag, for class ids
    without names, and for spans that cannot become tags."""
    if is_lists(table, tags) and is_lists(table, words):
        return _from_lists(table, words, tags)
    if describe(table.column(tags).type) == "lists" and not is_lists(table, words):
        return _from_spans(table, words, tags)
    raise DataError(
        f"{table.source}: '{shortened(words)}' holds {_kind(table, words)} and '{shortened(tags)}' "
        f"{_kind(table, tags)}, where a list of words and a list of tags are expected, or a text and a list "
        'of spans such as {"start": 0, "end": 5, "label": "PER"}. Name other columns with --text and --label.'
    )


def check_types(table: Table, column: TagColumn, types: Sequence[str]) -> None:
    """Raises DataError, with the row, for an entity of a type that is not among these."""
    kinds = [
        found[1] if found is not None and found[0] != "O" else None
        for found in map(split_tag, column.tags.names)
    ]
    odd = np.array([kind is not None and kind not in types for kind in kinds], np.bool_)
    hits = np.flatnonzero(odd[column.tags.ids])
    if not len(hits):
        return
    kind = kinds[int(column.tags.ids[hits[0]])] or ""
    rows = np.searchsorted(column.tags.boundaries, hits, "right") - 1
    others = len(np.unique(rows)) - 1
    more = f" So {'has' if others == 1 else 'have'} {counted(others, 'more row')}." if others else ""
    raise DataError(
        f"{table.place(int(rows[0]))}: '{shortened(kind)}' is not one of the types of entities that this "
        f"model knows ({', '.join(types)}).{nearest(kind, types)}{more} Fix the row, or train again with the "
        "new type."
    )


def _from_lists(table: Table, words: str, tags: str) -> TagColumn:
    lists = (
        _named(table, tags) if pa.types.is_integer(table.column(tags).type.value_type) else table.column(tags)
    )
    lists = lists.cast(pa.list_(pa.large_string()))
    labelled = lists.is_valid().to_numpy()
    n_words = pc.fill_null(pc.list_value_length(word_lists(table, words)), 0).to_numpy()
    n_tags = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    uneven = np.flatnonzero(labelled & (n_words != n_tags))
    if len(uneven):
        raise DataError(_uneven(table, uneven, n_words, n_tags))
    filled = pc.fill_null(lists, pa.scalar([], lists.type))
    column = TagColumn(Tags.of_column(_without_nulls(table, tags, filled)), labelled)
    _check_scheme(table, column)
    return column


def _named(table: Table, column: str) -> pa.ChunkedArray:
    """Lists of class ids as lists of names."""
    lists, classes = table.column(column), table.class_names.get(column)
    if classes is None:
        raise DataError(
            f"{table.source}: '{shortened(column)}' holds numbers, and nothing says which tag each stands "
            "for. Write the tags as text, or save the data with `datasets` and its ClassLabel names."
        )
    flat = pc.list_flatten(lists)
    ids = pc.fill_null(flat, -1).to_numpy()
    odd = np.flatnonzero((ids < 0) | (ids >= len(classes)))
    if len(odd):
        row = pc.list_parent_indices(lists)[int(odd[0])].as_py()
        raise DataError(
            f"{table.place(row)}: tag {ids[odd[0]]} of '{shortened(column)}' has no name: the data set names "
            f"{len(classes)} tags, from 0 on. Mend the row, or add the name."
        )
    names = pa.array(classes, pa.large_string())
    return pa.chunked_array(
        [
            pa.LargeListArray.from_arrays(
                pa.array(_offsets(chunk)), names.take(chunk.flatten()), mask=chunk.is_null()
            )
            for chunk in lists.chunks
        ],
        pa.large_list(pa.large_string()),
    )


def _offsets(lists: pa.Array) -> np.ndarray:
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False))
    return np.concatenate([[0], ends]).astype(np.int64)


def _without_nulls(table: Table, column: str, lists: pa.ChunkedArray) -> pa.ChunkedArray:
    missing = pc.list_flatten(lists).is_null()
    if pc.any(missing).as_py():
        row = pc.list_parent_indices(lists).filter(missing)[0].as_py()
        raise DataError(
            f"{table.place(row)}: a tag in '{shortened(column)}' is missing. Write O for a word that is part "
            "of no entity, or leave all tags of the row out."
        )
    return lists


def _check_scheme(table: Table, column: TagColumn) -> None:
    tags = column.tags
    odd = np.array([split_tag(name) is None for name in tags.names], np.bool_)
    hits = np.flatnonzero(odd[tags.ids])
    if len(hits):
        row = int(np.searchsorted(tags.boundaries, hits[0], "right") - 1)
        raise DataError(f"{table.place(row)}: {bad_tag(tags.names[tags.ids[hits[0]]])}")


def _from_spans(table: Table, text: str, spans: str) -> TagColumn:
    texts, lists = table.strings(text), table.column(spans)
    tags: list[list[str]] = []
    problems: list[str] = []
    for begin in range(0, len(table), MOST_ROWS):
        values = texts.slice(begin, MOST_ROWS).to_pylist(), lists.slice(begin, MOST_ROWS).to_pylist()
        for row, (value, found) in enumerate(zip(*values, strict=True), begin):
            written = value or ""
            row_tags, wrong = tags_of_spans(written, word_offsets(written), found or ())
            problems += [f"{table.place(row)}: span {number + 1}{reason}" for number, reason in wrong]
            tags.append(row_tags if found is not None else [])
    if problems:
        more = f"\n{len(problems) - SHOWN_ROWS:,} more spans are wrong." if len(problems) > SHOWN_ROWS else ""
        raise DataError("\n".join(problems[:SHOWN_ROWS]) + more)
    return TagColumn(Tags.of(tags), lists.is_valid().to_numpy())


def _uneven(table: Table, rows: np.ndarray, n_words: np.ndarray, n_tags: np.ndarray) -> str:
    first, others = int(rows[0]), len(rows) - 1
    more = f" So {'is' if others == 1 else 'are'} {counted(others, 'more row')}." if others else ""
    found = f"{counted(int(n_words[first]), 'word')} and {counted(int(n_tags[first]), 'tag')}"
    return f"{table.place(first)}: {found}; each word has one tag.{more} Mend the row."


def _kind(table: Table, name: str) -> str:
    return (
        describe(table.column(name).type)
        .replace("values of type large_string", "text")
        .replace("values of type string", "text")
    )
