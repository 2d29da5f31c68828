"""Texts and pairs of texts as whole sequences: what is too long is cut, or becomes overlapping windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from whet.config import Cut
from whet.text.encoding import Encoded, Encoding
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser

MOST_WINDOWS: Final = 32  # of a text, so that one text cannot fill the memory; what is beyond them is cut


@final
@dataclass(frozen=True)
class CutTexts:
    """One sequence a row; a longer one loses its tail, head or middle."""

    tokeniser: Tokeniser
    max_length: int
    cut: Cut = "tail"

    def __call__(self, rows: Sequence[Sequence[str]]) -> Encoded:
        """Rows as (text,) or (text, pair)."""
        return self.tokeniser.encode(rows, self.max_length, self.cut)


@final
@dataclass(frozen=True)
class WindowedTexts:
    """A row that is too long becomes windows, evenly spread, that share a quarter of their length at least.

    Of a pair the longer text is cut into windows; the other stands in each, with half of the room at most.
    """

    tokeniser: Tokeniser
    max_length: int

    def __call__(self, rows: Sequence[Sequence[str]]) -> Encoded:
        """Rows as (text,) or (text, pair)."""
        bare = iter(self.tokeniser.bare([text for row in rows for text in row]))
        ids: list[int] = []
        types: list[int] = []
        windows: list[int] = []
        lengths, full_lengths, kept, n_windows = (np.empty(len(rows), np.int64) for _ in range(4))
        for i, row in enumerate(rows):
            template = self.tokeniser.template(len(row))
            texts = [next(bare) for _ in row]
            pieces, lost = _windows(texts, self.max_length - template.n_special)
            begin = len(ids)
            for piece in pieces:
                before = len(ids)
                template.lay(piece, ids, types)
                windows.append(len(ids) - before)
            n_windows[i] = len(pieces)
            lengths[i] = len(ids) - begin
            full_lengths[i] = sum(map(len, texts)) + template.n_special
            kept[i] = full_lengths[i] - lost
        return Encoded(
            np.array(ids, np.int32),
            np.array(types, np.uint8),
            lengths,
            full_lengths,
            kept,
            n_windows,
            np.array(windows, np.int64),
        )


def encoding_of_texts(tokeniser: Tokeniser, rules: TextRules) -> Encoding:
    """What the rules ask for."""
    if rules.long_texts == "window":
        return WindowedTexts(tokeniser, rules.max_length)
    return CutTexts(tokeniser, rules.max_length, rules.cut)


def _windows(texts: list[list[int]], room: int) -> tuple[list[list[list[int]]], int]:
    """The texts of each window, of `room` tokens in all, and how many tokens are in none."""
    if sum(map(len, texts)) <= room:
        return [texts], 0
    long = max(range(len(texts)), key=lambda i: len(texts[i]))
    others = sum(len(text) for i, text in enumerate(texts) if i != long)
    fixed = min(others, room // 2)  # a pair has one other text
    own = room - fixed
    n_tokens, overlap = len(texts[long]), own // 4
    n = min(math.ceil((n_tokens - overlap) / (own - overlap)), MOST_WINDOWS)
    reach = min(n_tokens, own + (n - 1) * (own - overlap))  # what so many windows can hold
    starts = np.linspace(0, reach - own, n).round().astype(int).tolist()
    pieces = [
        [text[start : start + own] if i == long else text[:fixed] for i, text in enumerate(texts)]
        for start in starts
    ]
    return pieces, others - fixed + n_tokens - reach
