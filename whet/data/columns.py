"""Which column holds the texts, which the labels, and what task that makes: inferred, said, and overridable.

Usual names come first, then the one column that fits, then an error that lists the columns.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.question_columns import TASK as QUESTIONS
from whet.data.question_columns import question_columns
from whet.data.several_labels import distinct_texts, holds_lists, joined_note, n_distinct
from whet.data.table import Columns, LabelColumns, Table, as_text, describe, is_text, one_or_several
from whet.data.token_columns import TASK as TOKENS
from whet.data.token_columns import WORD_NAMES, token_columns
from whet.data.wording import listed, shortened
from whet.errors import DataError, UsageError, nearest

__all__ = ["Columns", "infer_columns"]

TASKS = (
    "classification",
    "multilabel-classification",
    "regression",
    "token-classification",
    "question-answering",
    "masked-lm",
)
SEVERAL_LABELS = "multilabel-classification"
ONE_LABEL = ("classification", "regression")
OF_LABELS = ("classification", SEVERAL_LABELS, "regression", "token-classification", "question-answering")

# In the order they are looked for; compared without case, spaces, "_" and "-".
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text a", "text b"),
    ("sentence a", "sentence b"),
    ("#1 string", "#2 string"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("claim", "evidence"),
    ("text", "text pair"),
    ("text", "pair"),
)
TEXT_NAMES = (
    "text", "sentence", "review", "reviews", "review text", "content", "body", "message", "comment",
    "comment text", "tweet", "document", "utterance", "article", "abstract", "description", "headline",
    "title", "question", "query", "input", "sms", "post", "texts", "sentences",
)  # fmt: skip
LABEL_NAMES = (
    "label", "class", "category", "target", "gold label", "labels", "classes", "sentiment", "intent", "topic",
    "emotion", "is duplicate", "quality", "polarity", "stance", "label text", "score", "rating", "stars", "y",
)  # fmt: skip

MOST_CLASSES_OF_INTEGERS = 20  # more distinct integers than this may be a quantity as well as classes
SAMPLE_ROWS = 10_000
FREE_TEXT_WORDS = 2.5  # a column with more words a value than this, most of them distinct, holds texts


def infer_columns(
    table: Table,
    *,
    task: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: LabelColumns = None,
    need_label: bool = True,
) -> Columns:
    """The columns of a table and its task; what is named is taken, the rest is inferred with a note.

    Without `need_label`, as in prediction, a label column is named if there is one, but nothing about it or
    about the task is questioned. Several label columns are those of 0 and 1, named as their labels."""
    label = one_or_several(label)
    asked = (label,) if isinstance(label, str) else label or ()
    _check_task(table, task)
    _check_present(table, [name for name in (text, pair, *asked) if name is not None])
    _check_distinct([("--text", text), ("--pair", pair), *(("--label", name) for name in asked)])
    known = table.known
    if known is not None and text is pair is label is None and (known.label or not need_label):
        return Columns(task or known.task, known.text, known.pair, known.labels, known.notes)
    if task in (None, TOKENS) and pair is None and len(asked) < 2:
        found = token_columns(table, text, asked[0] if asked else None, task == TOKENS, need_label)
        if found is not None:
            return found
    if task in (None, QUESTIONS) and (label is None or task == QUESTIONS):
        found = question_columns(table, text, pair, asked, task == QUESTIONS, need_label)
        if found is not None:
            return found
    notes: list[str] = []
    all_asked = bool(asked) and text is not None and task is not None
    labels = asked or tuple(filter(None, [_usual(table, LABEL_NAMES, taken=(text, pair))]))
    text, pair = _texts(table, text, pair, labels, notes)
    if labels:
        named = Columns("", text, pair, labels, ()).label_words
        notes.append(f"labels: {named}, {'as asked' if asked else 'by its usual name'}")
    elif need_label:
        labels = (_fitting_label(table, text, pair, notes),)
    if labels and need_label:
        task = _task_of(table, labels, task, notes)
    if all_asked:
        texts = f"'{text}' and '{pair}'" if pair else f"'{text}'"
        notes = [f"{task}, texts in {texts}, labels in {', '.join(map(repr, labels))}, as asked"]
    return Columns(task or "classification", text, pair, labels, tuple(notes))


def _check_task(table: Table, task: str | None) -> None:
    if task is None:
        return
    if task not in TASKS:
        raise UsageError(
            f"there is no task '{task}'.{nearest(task, TASKS)} The tasks are: {', '.join(TASKS)}."
        )
    if task not in OF_LABELS:
        raise DataError(f"{table.source}: {task} is not learnt from labelled rows. Use whet pretrain.")


def _check_present(table: Table, names: Sequence[str]) -> None:
    """All that are missing at once, each with the nearest that is there."""
    missing = [name for name in names if name not in table.names]
    if len(missing) == 1:
        table.column(missing[0])  # its own message
    if missing:
        told = " ".join(f"There is no column '{name}'.{nearest(name, table.names)}" for name in missing)
        raise DataError(f"{table.source}: {told} The columns are: {listed(table.names)}.")


def _check_distinct(named: Sequence[tuple[str, str | None]]) -> None:
    roles: dict[str, str] = {}
    for role, name in named:
        if name is not None and name in roles:
            raise UsageError(f"{roles[name]} and {role} both name the column '{name}'. They must differ.")
        if name is not None:
            roles[name] = role


def _key(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " _-")


def _usual(table: Table, usual: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
    by_key = {_key(name): name for name in reversed(table.names) if name not in taken}
    return next((by_key[_key(name)] for name in usual if _key(name) in by_key), None)


def _is_list(table: Table, name: str) -> bool:
    return describe(table.columns.column(name).type) == "lists"


def _texts(
    table: Table, text: str | None, pair: str | None, labels: Sequence[str], notes: list[str]
) -> tuple[str, str | None]:
    by_key = {_key(name): name for name in reversed(table.names) if name not in labels}
    if text is None:
        for first, second in PAIR_NAMES:
            one, two = by_key.get(_key(first)), by_key.get(_key(second))
            if one and two and pair in (None, two):
                notes.append(f"texts: pairs of '{one}' and '{two}', by their usual names")
                return one, two
        text = _usual(table, TEXT_NAMES, taken=(pair, *labels))
        if text is not None:
            notes.append(f"texts: column '{text}', by its usual name")
        else:
            text = _fitting_text(table, pair, labels, notes)
    else:
        notes.append(f"texts: column '{text}', as asked")
    if pair is not None:
        notes.append(f"second texts: column '{pair}', as asked")
    return text, pair


def _fitting_text(table: Table, pair: str | None, labels: Sequence[str], notes: list[str]) -> str:
    candidates = [
        name for name in table.names if name not in (pair, *labels) and is_text(table.column(name).type)
    ]
    free = [name for name in candidates if _is_free_text(table, name)]
    if len(free) == 1:
        notes.append(f"texts: column '{free[0]}', the only one that holds free text")
        return free[0]
    if not free and len(candidates) == 1:
        notes.append(f"texts: column '{candidates[0]}', the only one left that holds text")
        return candidates[0]
    several = (
        f"several could be it ({listed(free)})" if free else "no column has a usual name or holds free text"
    )
    raise DataError(
        f"{table.source}: which column holds the texts? {several[0].upper()}{several[1:]}. "
        f"Name one with --text. The columns are: {listed(table.names)}."
    )


def _is_free_text(table: Table, name: str) -> bool:
    values = _sample(table, name)
    if not len(values):
        return False
    return bool(_mean_words(values) >= FREE_TEXT_WORDS and len(values.unique()) > 0.3 * len(values))


def _mean_words(values: pa.ChunkedArray) -> float:
    words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(values)))
    return float(pc.mean(words).as_py() or 0.0)


def _sample(table: Table, name: str) -> pa.ChunkedArray:
    """Values that are not null from evenly spread rows, as text."""
    column = table.columns.column(name)
    if len(column) > SAMPLE_ROWS:
        column = column.take(pa.array(np.linspace(0, len(column) - 1, SAMPLE_ROWS).astype(np.int64)))
    return as_text(column).drop_null()


def _fitting_label(table: Table, text: str, pair: str | None, notes: list[str]) -> str:
    words = [name for name in table.names if name in WORD_NAMES and _is_list(table, name)]
    others = [name for name in table.names if name not in (text, pair, *words)]
    fitting = []
    for name in others:
        n_values = _n_values(table, name)
        if 2 <= n_values <= max(2, len(table) // 2):
            fitting.append((name, n_values))
    if len(fitting) == 1:
        name, n_values = fitting[0]
        notes.append(
            f"labels: column '{name}', the only other one with few values "
            f"({n_values:,} in {len(table):,} rows)"
        )
        return name
    if words:
        reason = f"'{words[0]}' holds lists of words, and no column a list with a tag for each"
    elif not others:
        reason = "There is no column beside the texts"
    elif fitting:
        reason = f"Several could be it ({listed([name for name, _ in fitting])})"
    else:
        reason = "No column has a usual name or few enough values"
    raise DataError(
        f"{table.source}: which column holds the labels? {reason}. "
        f"Name one with --label. The columns are: {listed(table.names)}."
    )


def _n_values(table: Table, name: str) -> int:
    """Different values, or labels in lists; 0 where it can be no label column."""
    nested = pa.types.is_nested(table.column(name).type)
    try:
        if (nested and not _is_list(table, name)) or (not nested and _is_free_text(table, name)):
            return 0
        return n_distinct(table, name)
    except pa.ArrowException:  # lists of lists or records, bytes that are no text
        return 0


def _task_of(table: Table, labels: Sequence[str], task: str | None, notes: list[str]) -> str:
    """The task that the label columns make, with its note; only what is built gets through."""
    if task in ONE_LABEL and (len(labels) > 1 or _is_list(table, labels[0])):
        what = f"column '{labels[0]}' holds lists" if len(labels) == 1 else f"{len(labels)} label columns"
        raise DataError(
            f"{table.source}: {what}, and the task is {task}, which has one label a row. "
            f"Leave out --task, or name one other column with --label."
        )
    if task is not None:
        if len(labels) == 1 and not _is_list(table, labels[0]):
            table.strings(labels[0])  # records are refused here, in every task
        notes.append(f"task: {task}, as asked")
        return task
    if len(labels) > 1:
        notes.append(f"task: {SEVERAL_LABELS}, because several label columns are named")
        return SEVERAL_LABELS
    (label,) = labels
    if holds_lists(table, label):
        notes.append(f"task: {SEVERAL_LABELS}, because '{label}' holds lists")
        return SEVERAL_LABELS
    distinct = distinct_texts(table, label)
    joined = joined_note(label, distinct)
    decimals = None if label in table.class_names else _with_decimals(table, label, distinct)
    if decimals is not None:
        notes.append(f"task: regression, because '{label}' holds numbers with decimals, such as {decimals}")
        return "regression"
    if len(distinct) > 20 and len(distinct) > len(table) / 2:
        raise DataError(
            f"{table.source}: column '{label}' holds {len(distinct):,} different values in {len(table):,} "
            f"rows, too many to be classes. Name another column with --label, or say --task classification "
            f"if they are." + (f" {joined[0].upper()}{joined[1:]}." if joined else "")
        )
    values = "1 value" if len(distinct) == 1 else f"{len(distinct):,} different values"
    notes.append(f"task: classification, because '{label}' holds {values}")
    if joined is not None:
        notes.append(joined)
    return "classification"


def _with_decimals(table: Table, label: str, distinct: list[str]) -> str | None:
    """Where all values are numbers, one that is not whole. Raises DataError for many whole numbers."""
    numbers = [number for number in map(spelled_number, distinct) if number is not None]
    if not distinct or len(numbers) < len(distinct):
        return None
    odd = next(
        (text for text, number in zip(distinct, numbers, strict=True) if not number.is_integer()), None
    )
    if odd is not None:
        return shortened(odd)
    if len(distinct) > MOST_CLASSES_OF_INTEGERS:
        raise DataError(
            f"{table.source}: column '{label}' holds {len(distinct):,} different whole numbers: classes or a "
            f"quantity? Say --task classification if each is a class, or --task regression."
        )
    return None


def spelled_number(text: str) -> float | None:
    """The number a text spells, and None for "nan", "inf" and "1_000", which float() would take."""
    if not text or text[-1] not in "0123456789." or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None
