"""Between the tokens of windows and the characters of contexts: where an answer is to be learnt, and what an
answer is that was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from whet.answers import AnswerWindows, Spans, best_spans
from whet.examples import Answer
from whet.text.questions import END, PLACE, START, WINDOW

N_OUTPUTS: Final = 2  # the start's logit and the end's; the marks of `QuestionWindows` stand behind them
_AT_ONCE: Final = 512  # questions decoded at a time, which bounds memory


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """The target of one question."""

    context: str
    answers: tuple[tuple[str, int | None], ...] | None  # text and first character; None where not labelled
    unit: int  # the article it is about


@final
@dataclass(frozen=True)
class Decoded:
    """What the logits say, of all questions."""

    answers: list[list[Answer]]  # the best first
    no_answer: np.ndarray  # (n,), how much better no answer scores than the best
    null_probabilities: np.ndarray  # (n,)


def decoded(logits: np.ndarray, contexts: Sequence[str], max_answer: int) -> Decoded:
    """The answers that logits (n,) objects of (n_tokens, 2 + marks) say, each a part of its context."""
    answers: list[list[Answer]] = []
    no_answer, nulls = np.empty(len(logits)), np.empty(len(logits))
    for first in range(0, len(logits), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        spans = _spans(logits[some], max_answer)
        no_answer[some], nulls[some] = spans.no_answer(), spans.null_probabilities
        answers += [
            _answers(spans, i, own, context)
            for i, (own, context) in enumerate(zip(logits[some], contexts[some], strict=True))
        ]
    return Decoded(answers, no_answer, nulls)


def placed(target: Asked, marks: np.ndarray) -> list[list[int]]:
    """Tokens, start and end of each window of a question: marks (n_tokens, 4)."""
    span = next(
        ((start, start + len(text)) for text, start in target.answers or () if start is not None), None
    )
    found = []
    for own in np.split(marks, np.flatnonzero(np.diff(marks[:, WINDOW])) + 1):
        row = [len(own), 0, 0]
        inside = np.flatnonzero(_is_readable(own))
        if span is not None and len(inside):
            starts, ends = own[inside, START], own[inside, END]
            if starts[0] <= span[0] and span[1] <= ends[-1]:
                tokens = _tokens_of(*span, starts, ends)
                row[1:] = [0, 0] if tokens is None else inside[list(tokens)].tolist()
        found.append(row)
    return found


def _tokens_of(start: int, end: int, starts: np.ndarray, ends: np.ndarray) -> tuple[int, int] | None:
    """First and last token of some characters: from the first that begins with them to the last that ends
    with them, since a character may be several tokens; else all that have any of them; None if none has.

    starts and ends (n_tokens,), both ascending."""
    around = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(starts, end, "left")) - 1
    first, last = int(np.searchsorted(starts, start, "left")), int(np.searchsorted(ends, end, "right")) - 1
    first = first if first < len(starts) and starts[first] == start else around[0]
    last = last if last >= 0 and ends[last] == end else around[1]
    if first <= last:
        return first, last
    return around if around[0] <= around[1] else None


def _spans(logits: np.ndarray, max_answer: int) -> Spans:
    """The best spans of some questions."""
    tokens = np.concatenate(logits)
    marks = tokens[:, N_OUTPUTS:].astype(np.int64)
    questions = np.repeat(np.arange(len(logits)), [len(own) for own in logits])
    is_new = np.append(True, (np.diff(marks[:, WINDOW]) != 0) | (np.diff(questions) != 0))
    is_context = marks[:, PLACE] >= 0
    # No answer begins or ends with a token of blanks alone.
    ends = np.where((is_context & ~_is_readable(marks))[:, None], -np.inf, tokens[:, :N_OUTPUTS])
    firsts = np.flatnonzero(is_new)
    boundaries = np.append(firsts, len(tokens))
    counts = np.add.reduceat(is_context.astype(np.int64), firsts)
    places = np.where(is_context, marks[:, PLACE], np.iinfo(np.int64).max)
    lowest = np.minimum.reduceat(places, firsts)
    within = np.arange(len(tokens)) - np.repeat(firsts, np.diff(boundaries))
    starts = np.minimum.reduceat(np.where(is_context, within, np.iinfo(np.int64).max), firsts)
    starts = np.where(counts > 0, starts, 0)
    windows = AnswerWindows(
        boundaries, questions[firsts], starts, starts + counts, np.where(counts > 0, lowest, 0)
    )
    return best_spans(ends[:, 0], ends[:, 1], windows, len(logits), max_answer)


def _answers(spans: Spans, question: int, logits: np.ndarray, context: str) -> list[Answer]:
    """A question's answers as texts, the best first; tokens of the same characters are one answer."""
    marks = logits[:, N_OUTPUTS:].astype(np.int64)
    inside = marks[marks[:, PLACE] >= 0]
    offsets = np.zeros((int(inside[:, PLACE].max(initial=-1)) + 1, 2), np.int64)
    offsets[inside[:, PLACE]] = inside[:, START:]
    found: dict[tuple[int, int], float] = {}
    for first, last, chance in zip(
        spans.starts[question], spans.ends[question], spans.probabilities[question], strict=True
    ):
        if first >= 0:
            span = int(offsets[first, 0]), int(offsets[last, 1])
            found[span] = found.get(span, 0.0) + float(chance)
    return [Answer(context[start:end], start, end, chance) for (start, end), chance in found.items()]


def _is_readable(marks: np.ndarray) -> np.ndarray:
    """Which tokens (n_tokens, 4) are of the context, and more than blanks: (n_tokens,) bool."""
    readable: np.ndarray = (marks[:, PLACE] >= 0) & (marks[:, START] < marks[:, END])
    return readable
