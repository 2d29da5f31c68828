"""The answers of one question, in any of the ways in which they are written, to texts and places."""

import ast
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, final

from whet.data.findings import quoted
from whet.data.table import scalar_text
from whet.data.wording import counted

MARKS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
NUMPY_NAMES = ("array", "int32", "int64", "str_")
MOST_DIGITS = 18  # of a place: what an int64 always holds
SHOWN = 60  # characters of a value in a message


class UnreadableAnswer(Exception):
    """Why a value is no answer: what is there, the rule and the next step; without the place."""


def read_answers(value: object, start: object) -> list[tuple[str, int | None]] | None:
    """(text, start) of each answer, start None where it is not given; None for unlabelled.

    value: a text, whose place is `start`; or a list of texts or of records {text, answer_start or start}, or
    one record of lists, as `datasets` has it: all these also written as text, in JSON or as pandas writes
    them. Raises UnreadableAnswer."""
    if isinstance(value, str):
        written, place = value.strip(), _whole(start)
        if place is not None or written[:1] + written[-1:] not in ("[]", "{}"):
            return [(value, place)] if written else None
        value = _of_text(written)
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start", value.get("start"))
        if isinstance(texts, list):
            starts = starts if isinstance(starts, list) else [starts] * len(texts)
            if len(starts) != len(texts):
                raise UnreadableAnswer(
                    f"there are {counted(len(texts), 'answer')} and {counted(len(starts), 'place')} of "
                    f"answers. Give every answer its own."
                )
            return [(_text(text), _whole(place)) for text, place in zip(texts, starts, strict=True)]
        return read_answers([value], None)
    if isinstance(value, list):
        return [
            (_text(one.get("text")), _whole(one.get("answer_start", one.get("start"))))
            if isinstance(one, Mapping)
            else (_text(one), None)
            for one in value
        ]
    return None if value is None else [(_text(value), _whole(start))]


def _of_text(written: str) -> object:
    """A list or a record as JSON or as Python writes it, numpy's arrays and numbers in it included."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes
            return ast.literal_eval(_Arrays().visit(ast.parse(written, mode="eval")))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise UnreadableAnswer(
            f"the answers {quoted(written, SHOWN)} cannot be read. Write them as in "
            f'{{"text": ["Denver"], "answer_start": [177]}}, or into columns answer and answer_start.'
        ) from None


@final
class _Arrays(ast.NodeTransformer):
    """array(x, dtype=...) and np.int64(x) -> x; no other call is a value."""

    def visit_Call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func).removeprefix("np.")
        return self.visit(node.args[0]) if name in NUMPY_NAMES and node.args else node


def _text(value: object) -> str:
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        raise UnreadableAnswer(f"{quoted(str(value), SHOWN)} stands where the text of an answer is expected.")
    return scalar_text(value) or ""


def _whole(value: object) -> int | None:
    """A place: a whole number, also one with .0 behind it, as pandas writes them beside missing ones."""
    text = (scalar_text(value) or "").strip()
    if not text:
        return None
    digits = text.removesuffix(".0")
    if not digits.removeprefix("-").isdecimal() or len(digits) > MOST_DIGITS:
        raise UnreadableAnswer(
            f"the place {quoted(text, SHOWN)} of an answer is no whole number. Give that of its first "
            f"character in the context, from 0."
        )
    return int(digits)


def read_mark(value: str | None) -> bool | None:
    """Whether `is_impossible` says true or false, None where it says nothing; else UnreadableAnswer."""
    text = (value or "").strip().lower()
    if text and text not in MARKS:
        raise UnreadableAnswer(f"'is_impossible' is {quoted(text, SHOWN)}. Write true or false.")
    return MARKS.get(text)
