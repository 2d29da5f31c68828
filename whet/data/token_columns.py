"""Which columns hold words and tags, or texts and the spans of entities in them."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from whet.data.sentences import document_column, document_numbers, is_lists
from whet.data.table import Columns, Table, is_text
from whet.data.wording import listed
from whet.errors import DataError

TASK = "token-classification"
WORD_NAMES = ("tokens", "words")
TAG_NAMES = ("ner_tags", "tags", "ner", "entity_tags", "labels", "label")
TEXT_NAMES = ("text", "sentence", "content", "body")
SPAN_NAMES = ("entities", "spans", "ents", "annotations", "labels", "label")


def token_columns(
    table: Table, text: str | None, label: str | None, asked: bool, need_label: bool
) -> Columns | None:
    """The columns of entity tagging, or None where the table is of another task.

    asked: it is of this one. Raises DataError then for what cannot be told."""
    words, tags = _named(table, text, WORD_NAMES, is_lists), _named(table, label, TAG_NAMES, is_lists)
    texts, spans = _named(table, text, TEXT_NAMES, _is_text), _named(table, label, SPAN_NAMES, _is_spans)
    if words is not None and tags is not None:
        return _columns(table, words, tags, "lists of words and of tags", asked)
    if texts is not None and spans is not None:
        return _columns(table, texts, spans, "texts and lists of spans", asked)
    if not asked:
        return None
    found = words or texts
    if found is not None and not need_label:
        return Columns(TASK, found, None, (), (f"words: column '{found}'",))
    if not need_label:
        raise DataError(
            f"{table.source}: which column holds the words? A list of words is looked for, as "
            f"{' or '.join(WORD_NAMES)}, or a text, as {' or '.join(TEXT_NAMES)}. Name it with --text; the "
            f"columns are: {listed(table.names)}."
        )
    raise DataError(
        f"{table.source}: which columns hold the words and their tags? A list of words and one of tags are "
        f"looked for, as {' or '.join(WORD_NAMES)} and {' or '.join(TAG_NAMES[:2])}, or a text and a list of "
        f"spans, as {TEXT_NAMES[0]} and {' or '.join(SPAN_NAMES[:2])}. Name them with --text and --label; "
        f"the columns are: {listed(table.names)}."
    )


def _columns(table: Table, text: str, label: str, what: str, asked: bool) -> Columns:
    why = "as asked" if asked else f"because '{text}' and '{label}' hold {what}"
    documents = document_numbers(table)
    group = document_column(table) if documents is not None and np.ptp(documents) > 0 else None
    return Columns(TASK, text, None, (label,), (f"task: {TASK}, {why}",), group)


def _named(
    table: Table, given: str | None, usual: Sequence[str], fits: Callable[[Table, str], bool]
) -> str | None:
    """The column that was named, or the first with a usual name, if it fits."""
    names = usual if given is None else (given,)
    return next((name for name in names if name in table.names and fits(table, name)), None)


def _is_text(table: Table, name: str) -> bool:
    return is_text(table.column(name).type)


def _is_spans(table: Table, name: str) -> bool:
    """Whether a column holds lists of records with a start and an end, or of nothing at all."""
    kind = table.column(name).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    inner = kind.value_type
    return bool(
        pa.types.is_null(inner)
        or (pa.types.is_struct(inner) and {"start", "end"} <= {field.name for field in inner})
    )
