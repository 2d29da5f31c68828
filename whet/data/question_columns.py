"""Which columns hold questions, contexts and answers."""

from collections.abc import Sequence

import pyarrow.compute as pc

from whet.data.questions import ANSWER_NAMES, answer_column
from whet.data.table import Columns, Table
from whet.data.wording import listed
from whet.errors import DataError

TASK = "question-answering"


def question_columns(
    table: Table, text: str | None, pair: str | None, label: Sequence[str], asked: bool, need_label: bool
) -> Columns | None:
    """The columns of question answering, or None where the table is of another task.

    label: what was named as answers. asked: it is of this task; raises DataError then for what cannot be
    told."""
    by_key = {name.casefold(): name for name in reversed(table.names)}
    question, context = text or by_key.get("question"), pair or by_key.get("context")
    answers = label[0] if label else answer_column(table)
    has_both = question is not None and context is not None
    if not asked and not (has_both and need_label and text is None):
        return None
    if len(label) > 1:
        raise DataError(
            f"{table.source}: answers stand in one column, and {listed(label)} are named. Name one with "
            f"--label."
        )
    if not need_label and not has_both:
        raise DataError(
            f"{table.source}: which columns hold the questions and their contexts? 'question' and 'context' "
            f"are looked for. Name them with --text and --pair; the columns are: {listed(table.names)}."
        )
    if question is None or context is None or (need_label and answers is None):
        other = "" if asked else " Name the columns of another task with --text and --label."
        raise DataError(
            f"{table.source}: which columns hold the questions, their contexts and the answers? 'question', "
            f"'context' and {' or '.join(map(repr, ANSWER_NAMES))} are looked for. Name the first two with "
            f"--text and --pair, the answers with --label; the columns are: {listed(table.names)}.{other}"
        )
    why = "as asked" if asked else f"because there are '{question}', '{context}' and '{answers}'"
    labels = () if answers is None else (answers,)
    title = by_key.get("title")
    has_titles = title is not None and pc.count_distinct(table.strings(title)).as_py() > 1
    return Columns(
        TASK, question, context, labels, (f"task: {TASK}, {why}",), title if has_titles else context
    )
