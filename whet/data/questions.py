"""Questions about contexts, however they are written, to one form, with what is wrong with them.

Answers may be nested, as in SQuAD's JSON and in `datasets`, also as text in a CSV file, or flat: a column
with the answer and one with its place. Places are characters of the context, Unicode code points from 0:
neither bytes nor JavaScript's UTF-16 units.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from whet.data.findings import quoted
from whet.data.squad import ANSWERS
from whet.data.table import Table, describe
from whet.data.wording import counted, shortened
from whet.data.written_answers import UnreadableAnswer, read_answers, read_mark
from whet.errors import DataError

Kind = Literal[
    "duplicate-id",  # a second question of the same id; predictions are told apart by it
    "empty-question",
    "empty-context",
    "no-answers",  # unlabelled among labelled ones
    "impossible",  # marked as impossible, and answered: its answers are left out
    "empty-answer",  # one of its answers is nothing but blanks: it is left out
    "moved",  # the answer stands elsewhere in the context, once: that place is taken
    "moved-nearest",  # the same, of several places the one that is nearest to what was said
    "not-placed",  # the answer has no place and stands at several: the first is taken
    "absent",  # the answer does not stand in the context: it counts in scores, and cannot be learnt
]
ANSWER_NAMES = ("answers", "answer", "answer text")
START_NAMES = ("answer start", "start")
SHOWN = 60  # characters of a text in a message
MOST_ROWS = 10_000  # at a time


@final
@dataclass(frozen=True)
class QuestionProblem:
    """What is wrong with a row, or was mended."""

    kind: Kind
    row: int  # of the table, from 0
    message: str  # place, value, rule and next step


def question_table(
    table: Table, question: str = "question", context: str = "context", answers: str | None = None
) -> tuple[Table, list[QuestionProblem]]:
    """The rows of a table with columns of questions and contexts in one form; rows keep their places.

    id and title (strings, null where there is no such column), question (string), context (a dictionary of
    large_string: equal contexts are held once), answers (lists of {text, start}; null for unlabelled, empty
    for no answer), is_impossible (bool: no answer; null for unlabelled). start is where the text stands in
    the context, mended where it was wrong, null where it does not stand there.

    The answers are in the column of that name, or else in the first with a usual one. Problems are in the
    order of the rows. Raises DataError for a missing column and for values that are no
    answers, no places or no marks."""
    contexts = pc.dictionary_encode(pc.fill_null(table.strings(context), "")).combine_chunks()
    questions = pc.fill_null(table.strings(question), "")
    ids, titles = (_optional(table, (name,)) for name in ("id", "title"))
    reader = _Reader(table, ids, contexts, answers or answer_column(table))
    pieces = [reader.answers(start) for start in range(0, max(len(table), 1), MOST_ROWS)]
    given = pa.chunked_array(pieces, ANSWERS)
    problems = reader.problems
    problems += _repeated(table, ids) + _empty(reader, "question", questions)
    problems += _empty(reader, "context", pa.chunked_array([contexts]).cast(pa.large_string()))
    if given.null_count < len(given):
        fix = "Give it one; or if the context holds none, write true into is_impossible."
        problems += [
            reader.problem("no-answers", row, "this question has no answers, so it is unlabelled. ", fix)
            for row in np.flatnonzero(given.is_null().to_numpy()).tolist()
        ]
    columns = {
        "id": ids,
        "title": titles,
        "question": questions.cast(pa.string()),
        "context": contexts,
        "answers": given,
        "is_impossible": pc.equal(pc.list_value_length(given), 0),
    }
    clean = replace(table, columns=pa.table(columns), class_names={}, known=None)
    return clean, sorted(problems, key=lambda problem: problem.row)


def answer_column(table: Table) -> str | None:
    """The column that holds the answers."""
    return _named(table, ANSWER_NAMES)


def article_units(table: Table) -> NDArray[np.int64]:
    """The article of each question of a `question_table`, as a number: (n,), for intervals.

    By title where there are several; else questions about one context belong together."""
    titles = table.column("title")
    if pc.count_distinct(titles).as_py() > 1 and not titles.null_count:
        return np.unique(titles.to_numpy(), return_inverse=True)[1].astype(np.int64)
    contexts = table.column("context").combine_chunks()
    return np.asarray(contexts.indices.to_numpy(), np.int64)


@final
class _Reader:
    """Reads the answers of a table, and collects what is wrong with them."""

    def __init__(
        self, table: Table, ids: pa.ChunkedArray, contexts: pa.DictionaryArray, answers: str | None
    ) -> None:
        self.problems: list[QuestionProblem] = []
        self._table = table
        self._ids = ids
        self._texts: list[str] = contexts.dictionary.to_pylist()
        self._text_of = contexts.indices.to_numpy()
        starts = _named(table, START_NAMES)
        is_nested = answers is not None and describe(table.column(answers).type) in ("lists", "records")
        self._values = table.column(answers) if answers and is_nested else _texts(table, answers)
        self._starts = None if is_nested or starts is None else table.strings(starts)
        self._marks = _optional(table, ("is impossible",))

    def place(self, row: int) -> str:
        """ "reviews.csv:12", or where rows have no lines "train.json, question 5733be28"."""
        key = self._ids[row].as_py()
        if self._table.first_lines is None and key:
            return f"{self._table.source}, question {shortened(key)}"
        return self._table.place(row)

    def problem(self, kind: Kind, row: int, what: str, fix: str) -> QuestionProblem:
        return QuestionProblem(kind, row, f"{self.place(row)}: {what}{fix}")

    def answers(self, first: int) -> pa.Array:
        """The answers of MOST_ROWS rows from `first`, of type ANSWERS."""
        values = self._values.slice(first, MOST_ROWS).to_pylist()
        starts = [None] * len(values)
        if self._starts is not None:
            starts = self._starts.slice(first, MOST_ROWS).to_pylist()
        marks = self._marks.slice(first, MOST_ROWS).to_pylist()
        return pa.array(
            [
                self._row(row, value, start, mark)
                for row, (value, start, mark) in enumerate(zip(values, starts, marks, strict=True), first)
            ],
            ANSWERS,
        )

    def _row(self, row: int, value: object, start: object, mark: str | None) -> list[dict[str, Any]] | None:
        try:
            impossible = read_mark(mark)
            read = read_answers(value, start)
        except UnreadableAnswer as problem:
            raise DataError(f"{self.place(row)}: {problem}") from None
        kept = None if read is None else [(text, place) for text, place in read if text.strip()]
        if impossible:
            if kept:
                what = f"it is marked as impossible, and has {counted(len(kept), 'answer')}, which "
                fix = "are left out. Write false into is_impossible, or take them out."
                self.problems.append(self.problem("impossible", row, what, fix))
            return []
        if read is not None and kept is not None and len(kept) < len(read):
            what = f"{counted(len(read) - len(kept), 'answer')} of {len(read)} are empty, and left out. "
            self.problems.append(self.problem("empty-answer", row, what, "Take them out."))
        if kept is None or (not kept and impossible is False):
            return None
        context = self._texts[self._text_of[row]]
        return [self._placed(row, context, text, place) for text, place in kept]

    def _placed(self, row: int, context: str, text: str, start: int | None) -> dict[str, Any]:
        """The answer with the place at which it stands."""
        for written in (text, text.strip()):
            if start is not None and start >= 0 and context.startswith(written, start):
                return {"text": written, "start": start}
        if text not in context:
            text = text.strip()
        places = _places(context, text)
        shown, n_places = quoted(text, SHOWN), len(places)
        there = "" if start is None else _there(context, text, start)
        if not places:
            what = f"the answer {shown} does not occur in the context{there and f' ({there})'}. "
            fix = "Copy it from there, letter for letter: as it is it counts in scores, but cannot be learnt."
            self.problems.append(self.problem("absent", row, what, fix))
            return {"text": text, "start": None}
        if start is None:
            if n_places > 1:
                what = f"the answer {shown} occurs {n_places} times in the context, and has no answer_start. "
                fix = f"The first, at character {places[0]:,}, is taken; say which is right."
                self.problems.append(self.problem("not-placed", row, what, fix))
            return {"text": text, "start": places[0]}
        nearest = min(places, key=lambda place: abs(place - start))
        kind: Kind = "moved" if n_places == 1 else "moved-nearest"
        times = "once" if n_places == 1 else f"{n_places} times, nearest"
        what = f"the answer {shown} does not begin where it should ({there}). It occurs {times}"
        fix = f" at character {nearest:,}, which is taken. Mend its answer_start."
        self.problems.append(self.problem(kind, row, what, fix))
        return {"text": text, "start": nearest}


def _there(context: str, text: str, start: int) -> str:
    """What stands where an answer should begin."""
    if start < 0 or start >= len(context):
        return f"at character {start:,} of {len(context):,}"
    return f"at character {start:,} there is {quoted(context[start : start + len(text)], SHOWN)}"


def _places(context: str, text: str) -> list[int]:
    places, at = [], context.find(text)
    while at >= 0:
        places.append(at)
        at = context.find(text, at + 1)
    return places


def _named(table: Table, names: Sequence[str]) -> str | None:
    """The first column with one of these names, without regard to case, spaces, _ and -."""
    by_key = {name.casefold().translate(str.maketrans("", "", " _-")): name for name in reversed(table.names)}
    return next((by_key[key] for name in names if (key := name.replace(" ", "")) in by_key), None)


def _optional(table: Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Such a column as text, nulls where there is none."""
    return _texts(table, _named(table, names))


def _texts(table: Table, name: str | None) -> pa.ChunkedArray:
    """The column as text, nulls where there is none."""
    if name is None:
        return pa.chunked_array([pa.nulls(len(table), pa.string())])
    return table.strings(name).cast(pa.string())


def _repeated(table: Table, ids: pa.ChunkedArray) -> list[QuestionProblem]:
    first: dict[str, int] = {}
    found = []
    for row, key in enumerate(ids.to_pylist()):
        if key is not None and first.setdefault(key, row) != row:
            message = (
                f"{table.place(row)}: the id {quoted(key, SHOWN)} is that of {table.place(first[key])} too. "
            )
            found.append(QuestionProblem("duplicate-id", row, f"{message}Give every question its own."))
    return found


def _empty(
    reader: _Reader, name: Literal["question", "context"], texts: pa.ChunkedArray
) -> list[QuestionProblem]:
    kind: Kind = "empty-question" if name == "question" else "empty-context"
    rows = np.flatnonzero(pc.equal(pc.utf8_trim_whitespace(texts), "").to_numpy())
    fix = f"Write one, or take the row out: without a {name} there is nothing to answer."
    return [reader.problem(kind, row, f"the {name} is empty. ", fix) for row in rows.tolist()]
