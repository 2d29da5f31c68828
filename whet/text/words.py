"""Sentences of words to tokens: overlapping windows in which each word is owned once and read at its first
token."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import final

import numpy as np

from whet.data.sentences import Sentence
from whet.text.encoding import Encoded
from whet.text.tokens import Tokeniser
from whet.text.windows import windows_of


@final
@dataclass(frozen=True)
class WordWindows:
    """Windows of at most max_length tokens, special ones included."""

    tokeniser: Tokeniser
    max_length: int

    def __call__(self, rows: Sequence[Sentence]) -> Encoded:
        """One window for a sentence that fits, and one without words for a sentence that has none.

        The words around a sentence fill its windows. A word that the tokeniser makes nothing of becomes the
        unknown token, so that every word is read somewhere."""
        template = self.tokeniser.template(1)
        room = self.max_length - template.n_special
        tokens, sizes = self._tokens([[*row.before, *row.words, *row.after] for row in rows])
        n_words = np.array([len(row.words) for row in rows], np.int64)
        n_before = np.array([len(row.before) for row in rows], np.int64)
        highs = np.cumsum(n_before + n_words + [len(row.after) for row in rows]).astype(np.int64)
        lows = np.concatenate([[0], highs])[: len(rows)]
        firsts, stops = lows + n_before, lows + n_before + n_words
        found = windows_of(sizes, firsts, stops, room, None, lows, highs)
        begins = _sums(sizes)
        bare = np.flatnonzero(n_words == 0)  # sentences without a window
        owners = np.concatenate([found.sentences, bare])
        spans = np.concatenate([np.stack(found[1:5]), np.zeros((4, len(bare)), np.int64)], axis=1)
        ids: list[np.ndarray] = []
        types: list[np.ndarray] = []
        reads: list[np.ndarray] = []
        head, tail = (np.array(part, np.int32) for part in template.tokens)
        for first, stop, own, own_stop in spans.T[np.argsort(owners, kind="stable")].tolist():
            body = tokens[begins[first] : begins[stop]][:room]  # a word longer than that stands alone
            if len(head) + len(body) + len(tail) == 0:
                body = np.array([self.tokeniser.unknown], np.int32)  # a sequence has at least one
            ids.append(np.concatenate([head, body, tail]))
            kinds = [*template.kinds[0], *[template.text_kinds[0]] * len(body), *template.kinds[1]]
            types.append(np.array(kinds, np.uint8))
            marks = np.zeros(len(kinds), np.bool_)
            marks[begins[own:own_stop] - begins[first] + len(head)] = True
            reads.append(marks)
        windows = np.array([len(window) for window in ids], np.int64)
        n_windows = np.bincount(owners, minlength=len(rows))
        lost = _sums(np.maximum(sizes - room, 0))
        full_lengths = begins[stops] - begins[firsts] + template.n_special
        return Encoded(
            np.concatenate([np.empty(0, np.int32), *ids]),
            np.concatenate([np.empty(0, np.uint8), *types]),
            np.diff(_sums(windows)[np.concatenate([[0], np.cumsum(n_windows)])]),
            full_lengths,
            full_lengths - (lost[stops] - lost[firsts]),
            n_windows,
            windows,
            np.concatenate([np.empty(0, np.bool_), *reads]),
        )

    def _tokens(self, rows: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of all words end to end, (n_tokens,) int32, and how many each word has, (n_words,) int64."""
        ids, words = self.tokeniser.words(rows)
        before = _sums(np.array([len(row) for row in rows], np.int64))
        tokens = np.fromiter(chain.from_iterable(ids), np.int32)
        owners = np.fromiter(chain.from_iterable(words), np.int64)
        owners += np.repeat(before[:-1], [len(row) for row in ids])
        sizes = np.bincount(owners, minlength=int(before[-1]))
        missing = np.flatnonzero(sizes == 0)
        tokens = np.insert(tokens, _sums(sizes)[missing], self.tokeniser.unknown)
        sizes[missing] = 1
        return tokens, sizes


def _sums(counts: np.ndarray) -> np.ndarray:
    """(n,) -> (n + 1,) int64: what came before each, and all."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
