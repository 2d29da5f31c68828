"""SQuAD's JSON, of both versions: articles of paragraphs of questions, to one row a question.

A context stands once in the table, however many questions are about it: its column is dictionary-encoded.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import pyarrow as pa

from whet.data.delimited import Batch
from whet.data.lines import Lines
from whet.data.wording import shortened
from whet.errors import DataError

ANSWERS = pa.list_(pa.struct({"text": pa.string(), "start": pa.int64()}))
LARGEST = 2**63 - 1  # place that the column of places holds
_DATA = re.compile(rb'"data"\s*:\s*\[')
_PARAGRAPHS = re.compile(rb'"paragraphs"\s*:\s*\[')


@final
@dataclass
class Rows:
    """Questions on their way to a table."""

    ids: list[str | None] = field(default_factory=list)
    titles: list[str | None] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    contexts: dict[str, int] = field(default_factory=dict)  # context -> its place in the dictionary
    context_of: list[int] = field(default_factory=list)
    answers: list[list[dict[str, Any]] | None] = field(default_factory=list)
    is_impossible: list[bool | None] = field(default_factory=list)

    def table(self) -> pa.Table:
        """The columns that `squad_batches` names."""
        contexts = pa.DictionaryArray.from_arrays(
            pa.array(self.context_of, pa.int32()), pa.array(list(self.contexts), pa.large_string())
        )
        return pa.table(
            {
                "id": pa.array(self.ids, pa.string()),
                "title": pa.array(self.titles, pa.string()),
                "question": pa.array(self.questions, pa.string()),
                "context": contexts,
                "answers": pa.array(self.answers, ANSWERS),
                "is_impossible": pa.array(self.is_impossible, pa.bool_()),
            }
        )


def looks_like_squad(head: bytes) -> bool:
    """Whether a file that begins like this is SQuAD's JSON."""
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return begin == b"{" and bool(_DATA.search(head)) and bool(_PARAGRAPHS.search(head))


def squad_batches(lines: Lines, n_rows: int) -> Iterator[Batch]:
    """A SQuAD file as batches of id, title, question, context, answers and is_impossible; it has no lines.

    answers: lists of {text, start}, start in characters; null where they are missing or null, and where they
    are empty in a file that nowhere says `is_impossible`, as those of version 1.1. is_impossible: as it is
    written, null where it is not. `questions.question_table` makes sense of them.

    Raises DataError for what is no JSON and no SQuAD. The file is read at once: its texts are held, once."""
    rows = _rows(lines.source, _parsed(lines))
    if not rows.ids:
        raise DataError(f"{lines.source}: there is no question in this file. Add some, or name another file.")
    if not any(value is not None for value in rows.is_impossible):
        rows.answers = [answers or None for answers in rows.answers]
    table = rows.table()
    for start in range(0, table.num_rows, n_rows):
        yield table.slice(start, n_rows), None


def _parsed(lines: Lines) -> object:
    text = "".join(lines.blocks())
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{lines.source}:{error.lineno}: not JSON: {error.msg.lower()} at position {error.colno}. "
            f"Mend the file; if it breaks off here, save it again."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{lines.source}: this JSON cannot be read: {error}. Mend the file.") from None


def _rows(source: str, content: object) -> Rows:
    rows = Rows()
    for a, article in enumerate(_list(source, content, "data"), 1):
        place = f"{source}, article {a}"
        title = _text(place, article, "title", optional=True)
        for p, paragraph in enumerate(_list(place, article, "paragraphs"), 1):
            place = f"{source}, article {a}, paragraph {p}"
            context = _text(place, paragraph, "context") or ""
            number = rows.contexts.setdefault(context, len(rows.contexts))
            for q, question in enumerate(_list(place, paragraph, "qas"), 1):
                asked_at = f"{place}, question {q}"
                rows.ids.append(_text(asked_at, question, "id", optional=True))
                rows.titles.append(title)
                rows.questions.append(_text(asked_at, question, "question") or "")
                rows.context_of.append(number)
                rows.answers.append(_answers(asked_at, question))
                rows.is_impossible.append(_mark(asked_at, question))
    return rows


def _answers(place: str, question: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    if question.get("answers") is None:
        return None
    answers = []
    for number, answer in enumerate(_list(place, question, "answers"), 1):
        at = f"{place}, answer {number}"
        text, start = _text(at, answer, "text") or "", answer.get("answer_start")
        if start is not None and (type(start) is not int or not -LARGEST <= start <= LARGEST):
            raise DataError(
                f"{at}: 'answer_start' is {shortened(json.dumps(start))}, where a whole number is expected: "
                f"the place of the answer's first character in the context, from 0."
            )
        answers.append({"text": text, "start": start})
    return answers


def _mark(place: str, question: Mapping[str, Any]) -> bool | None:
    mark = question.get("is_impossible")
    if mark is not None and not isinstance(mark, bool):
        raise DataError(
            f"{place}: 'is_impossible' is {shortened(json.dumps(mark))}. Write true where the context does "
            f"not hold an answer, else false."
        )
    return mark


def _list(place: str, holder: object, key: str) -> list[Mapping[str, Any]]:
    """The objects under a key."""
    found = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(found, list):
        raise DataError(
            f"{place}: there is no list '{key}' here. SQuAD's JSON is data, of paragraphs, of a context and "
            f"qas, each with an id, a question and answers."
        )
    odd = next((number for number, value in enumerate(found, 1) if not isinstance(value, dict)), None)
    if odd is not None:
        raise DataError(
            f"{place}: number {odd} of '{key}' is {shortened(json.dumps(found[odd - 1]))}, where an object "
            f"is expected. Mend it, or take it out."
        )
    return found


def _text(place: str, holder: Mapping[str, Any], key: str, optional: bool = False) -> str | None:
    """The text under a key, None if it is null; that it is not there at all must be optional."""
    value = holder.get(key)
    if not (isinstance(value, str) or (value is None and (optional or key in holder))):
        found = shortened(json.dumps(value)) if key in holder else "missing"
        raise DataError(f"{place}: '{key}' is {found}, where a text is expected. Put quotes around it.")
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{place}: '{key}' holds half of a surrogate pair (\\ud800 to \\udfff), which is no character. "
            f"Mend the text, or take it out."
        ) from None
    return value
