"""Questions about contexts to tokens: a packed pair, and of a long context overlapping windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from whet.text.encoding import Encoded
from whet.text.tokens import Tokeniser

WINDOW, PLACE, START, END = range(4)  # columns of the marks


class Question(NamedTuple):
    """A question about a context."""

    question: str
    context: str


@final
@dataclass(frozen=True)
class QuestionWindows:
    """The question and a part of the context in each window of at most max_length tokens.

    stride is how many tokens of the context neighbouring windows share, half of a window's part at most. The
    question has at most half of max_length, leaves room for a token of the context, and loses its tail where
    it is longer.

    Every token is read, and marked: the window it is in; its number in the whole context, -1 for what is not
    of the context; and there its first character and last + 1."""

    tokeniser: Tokeniser
    max_length: int
    stride: int

    def __call__(self, rows: Sequence[Question]) -> Encoded:
        template = self.tokeniser.template(2)
        most = min(self.max_length // 2, self.max_length - template.n_special - 1)
        questions = self.tokeniser.bare([row.question for row in rows])
        number = {context: i for i, context in enumerate(dict.fromkeys(row.context for row in rows))}
        contexts = self.tokeniser.with_offsets(list(number))
        ids: list[int] = []
        types: list[int] = []
        windows: list[int] = []
        marks: list[np.ndarray] = []
        lengths, full_lengths, kept, n_windows = (np.empty(len(rows), np.int64) for _ in range(4))
        for i, row in enumerate(rows):
            question = questions[i][:most]
            tokens, offsets = contexts[number[row.context]]
            room = self.max_length - template.n_special - len(question)
            begin, before = len(ids), len(template.tokens[0]) + len(question) + len(template.tokens[1])
            parts = _parts(len(tokens), room, self.stride)
            for window, (first, stop) in enumerate(parts):
                start = len(ids)
                template.lay([question, tokens[first:stop]], ids, types)
                windows.append(len(ids) - start)
                own = np.full((windows[-1], 4), -1, np.int32)
                own[:, WINDOW] = window
                inside = slice(before, before + stop - first)
                own[inside, PLACE] = np.arange(first, stop)
                own[inside, START:] = offsets[first:stop]
                marks.append(own)
            lengths[i], n_windows[i] = len(ids) - begin, len(parts)
            full_lengths[i] = template.n_special + len(questions[i]) + len(tokens)
            kept[i] = full_lengths[i] - (len(questions[i]) - len(question))
        return Encoded(
            np.array(ids, np.int32),
            np.array(types, np.uint8),
            lengths,
            full_lengths,
            kept,
            n_windows,
            np.array(windows, np.int64),
            np.ones(len(ids), np.bool_),
            np.concatenate([np.empty((0, 4), np.int32), *marks]),
        )


def _parts(n_tokens: int, room: int, stride: int) -> list[tuple[int, int]]:
    """First token and last + 1 of each window's part of a context."""
    step = room - min(stride, room // 2)
    firsts = range(0, max(n_tokens - room, 0) + step, step) if n_tokens > room else (0,)
    return [(first, min(first + room, n_tokens)) for first in firsts]
