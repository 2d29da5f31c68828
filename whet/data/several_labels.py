"""Whether a label column holds several labels a row: as lists, or as text that only looks so."""

from collections.abc import Sequence

import pyarrow.compute as pc

from whet.data.table import Table, as_text, describe
from whet.data.targets import SEPARATORS, list_of_text
from whet.data.wording import counted, shortened


def holds_lists(table: Table, column: str) -> bool:
    """Whether the values are lists, or all of them lists written as text, as pandas writes them to CSV."""
    if describe(table.column(column).type) == "lists":
        return True
    texts = distinct_texts(table, column)
    return bool(texts) and all(text[0] == "[" and list_of_text(text) is not None for text in texts)


def n_distinct(table: Table, column: str) -> int:
    """Different values of a column, or of its lists. Raises ArrowInvalid for lists of something else."""
    values = table.column(column)
    if describe(values.type) == "lists":
        texts = as_text(pc.list_flatten(values))
    else:
        texts = table.strings(column)
    return int(pc.count_distinct(pc.utf8_trim_whitespace(texts), mode="only_valid").as_py())


def distinct_texts(table: Table, column: str) -> list[str]:
    """What the column holds, without blanks around it; nothing empty."""
    texts = pc.utf8_trim_whitespace(table.strings(column)).unique().drop_null()
    return [text for text in texts.to_pylist() if text]


def joined_note(column: str, distinct: Sequence[str]) -> str | None:
    """One line where the different values of a column look like labels joined to each other: parted by a
    sign they make fewer names. None where they do not."""
    for sign in SEPARATORS:
        if not any(sign in text for text in distinct):
            continue
        names = {piece.strip() for text in distinct for piece in text.split(sign)} - {""}
        is_number = sign == "," and all(name.isdecimal() for name in names)
        if 2 <= len(names) < len(distinct) and not is_number:
            return (
                f"'{shortened(column)}' looks like labels joined by '{sign}' "
                f"({counted(len(names), 'label')} in {len(distinct):,} different values); if a row has "
                "several labels, say --task multilabel-classification"
            )
    return None
