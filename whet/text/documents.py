"""Documents to windows that are full of their tokens: none reaches from one document into another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from whet.encoder.dropout import draws, sequence_keys
from whet.text.encoding import Encoded
from whet.text.store import Column, TokenStore, ranges
from whet.text.tokens import Tokeniser

_AT_ONCE = 512  # documents that are tokenised together
_TRIES = 16  # at a window of another document


@final
@dataclass(frozen=True)
class Documents:
    """The tokens of documents, end to end, without special ones; in a mapped file."""

    ids: Column  # (n_tokens,) int32
    begins: Column | None  # (n_tokens,) bool, where a word begins; None where nobody asks
    lengths: np.ndarray  # (n_documents,) int64

    @property
    def starts(self) -> np.ndarray:
        """(n_documents,) int64, the first token of each."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts


def read_documents(
    some: Callable[[np.ndarray], Sequence[Sequence[str]]], n: int, tokeniser: Tokeniser, with_words: bool
) -> Documents:
    """All tokens of n documents; `some` gives those of indices (n,), the two texts of a pair one after the
    other."""
    ids, begins = Column(np.int32), Column(np.bool_)
    ids.spill()  # a few documents may hold many tokens
    begins.spill()
    lengths = np.zeros(n, np.int64)
    for start in range(0, n, _AT_ONCE):
        texts = ["\n".join(row) for row in some(np.arange(start, min(start + _AT_ONCE, n)))]
        if with_words:
            found = tokeniser.with_words(texts)
            words = [word for _, of_tokens in found for word in (*of_tokens, None)]
            rows = [tokens for tokens, _ in found]
            begins.append(_changes(words, np.array([len(row) for row in rows], np.int64)))
        else:
            rows = tokeniser.plain(texts)
        lengths[start : start + len(rows)] = [len(row) for row in rows]
        ids.append(np.array([token for row in rows for token in row], np.int32))
    ids.close()
    begins.close()
    return Documents(ids, begins if with_words else None, lengths)


def _changes(words: list[int | None], lengths: np.ndarray) -> np.ndarray:
    """Where another word begins, or what is of no word stands: words of all texts, with one None behind each
    text of `lengths` tokens -> (sum of lengths,) bool."""
    numbers = np.array([-1 if word is None else word for word in words], np.int64)
    is_other = np.concatenate([[True], numbers[1:] != numbers[:-1]]) | (numbers < 0)
    ends = np.cumsum(lengths + 1) - 1
    changes: np.ndarray = np.delete(is_other, ends)
    return changes


class Window(NamedTuple):
    """A part of a document, or two parts that make one sequence."""

    parts: tuple[np.ndarray, ...]  # (n_tokens,) int32 each
    begins: tuple[np.ndarray, ...] | None  # of them; None where nobody asks


@final
@dataclass(frozen=True)
class LaidWindows:
    """Windows with their special tokens. Read are all tokens but `closed`; marked is where words begin."""

    tokeniser: Tokeniser
    closed: np.ndarray  # (n_closed,) int32, tokens that are no text

    def __call__(self, rows: Sequence[Window]) -> Encoded:
        ids: list[np.ndarray] = []
        types: list[np.ndarray] = []
        begins: list[np.ndarray] = []
        lengths = np.zeros(len(rows), np.int64)
        for i, row in enumerate(rows):
            template = self.tokeniser.template(len(row.parts))
            for part, (special, kinds) in enumerate(zip(template.tokens, template.kinds, strict=True)):
                ids.append(np.array(special, np.int32))
                types.append(np.array(kinds, np.uint8))
                if row.begins is not None:
                    begins.append(np.ones(len(special), np.bool_))
                if part < len(row.parts):
                    ids.append(row.parts[part])
                    types.append(np.full(len(row.parts[part]), template.text_kinds[part], np.uint8))
                    if row.begins is not None:
                        begins.append(row.begins[part].copy())
                        begins[-1][:1] = True
            lengths[i] = template.n_special + sum(map(len, row.parts))
        all_ids = np.concatenate([np.zeros(0, np.int32), *ids])
        is_open = ~np.isin(all_ids, self.closed)
        marks = None
        if begins:
            first = np.concatenate(begins) | np.concatenate([[True], ~is_open[:-1]])
            marks = first[is_open].astype(np.int32)[:, None]
        return Encoded(
            all_ids,
            np.concatenate([np.zeros(0, np.uint8), *types]),
            lengths,
            lengths,
            lengths,
            reads=is_open,
            marks=marks,
        )


def window_store(
    documents: Documents, tokeniser: Tokeniser, max_length: int
) -> tuple[TokenStore, np.ndarray]:
    """The windows of all documents, each with as many tokens as there is room for, but for its last one; and
    the document of each, (n_windows,) int64. A window without a token that could be hidden is left out."""
    closed = np.array(tokeniser.special, np.int32)
    room = max_length - tokeniser.template(1).n_special
    owners, firsts, stops = _spans(documents, room)
    has_open = _any_open(documents, closed, firsts, stops)
    owners, firsts, stops = owners[has_open], firsts[has_open], stops[has_open]

    def some(windows: np.ndarray) -> list[Window]:
        pairs = zip(firsts[windows].tolist(), stops[windows].tolist(), strict=True)
        return [_window(documents, (first, stop)) for first, stop in pairs]

    return TokenStore(LaidWindows(tokeniser, closed), some, len(owners)), owners


def pair_store(
    documents: Documents, tokeniser: Tokeniser, max_length: int, seed: int
) -> tuple[TokenStore, np.ndarray, np.ndarray]:
    """The same, each window cut in two; of half of them the second part is that of another document (Devlin
    et al. 2018). Also which these are, (n_windows,) bool. Which is which is decided by the seed, once."""
    closed = np.array(tokeniser.special, np.int32)
    room = max_length - tokeniser.template(2).n_special
    owners, firsts, stops = _spans(documents, room)
    fits = (stops - firsts >= 2) & _any_open(documents, closed, firsts, stops)
    owners, firsts, stops = owners[fits], firsts[fits], stops[fits]
    n = len(owners)
    keys = sequence_keys(seed, 0, np.arange(n))
    cuts = firsts + 1 + (draws(keys, 0) * (stops - firsts - 1)).astype(np.int64)
    others = np.arange(n)
    for attempt in range(_TRIES):  # of another document, which most windows are
        same = owners[others] == owners
        others[same] = (draws(keys, 2 + attempt) * n).astype(np.int64)[same]
    is_other = (draws(keys, 1) < 0.5) & (owners[others] != owners)
    is_other &= _any_open(documents, closed, firsts, cuts)  # or nothing could be hidden in some
    begins = np.where(is_other, firsts[others], cuts)
    ends = np.where(is_other, np.minimum(begins + stops - cuts, stops[others]), stops)
    spans = np.stack([firsts, cuts, begins, ends], axis=1)

    def some(windows: np.ndarray) -> list[Window]:
        return [_window(documents, (a, b), (c, d)) for a, b, c, d in spans[windows].tolist()]

    return TokenStore(LaidWindows(tokeniser, closed), some, n), owners, is_other


def _spans(documents: Documents, room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each window the document, the first token and the last + 1, all (n_windows,)."""
    counts = -(-documents.lengths // room)
    owners = np.repeat(np.arange(len(counts)), counts)
    nth = ranges(np.zeros(len(counts), np.int64), counts)
    firsts = documents.starts[owners] + nth * room
    return owners, firsts, np.minimum(firsts + room, (documents.starts + documents.lengths)[owners])


def _any_open(documents: Documents, closed: np.ndarray, firsts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Which windows hold a token that may be hidden, (n_windows,) bool."""
    found = np.zeros(len(firsts), np.bool_)
    for start in range(0, len(firsts), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        if len(firsts[some]):
            low, high = int(firsts[some][0]), int(stops[some][-1])  # windows stand in the order of tokens
            is_open = ~np.isin(documents.ids.values[low:high], closed)
            before = np.concatenate([[0], np.cumsum(is_open)])
            found[some] = before[stops[some] - low] > before[firsts[some] - low]
    return found


def _window(documents: Documents, *spans: tuple[int, int]) -> Window:
    ids = tuple(documents.ids.values[first:stop] for first, stop in spans)
    if documents.begins is None:
        return Window(ids, None)
    begins = documents.begins.values
    return Window(ids, tuple(begins[first:stop] for first, stop in spans))


@final
class AsLaid:
    """Sequences that are laid already, as (ids, types, is open)."""

    def __call__(self, rows: Sequence[Any]) -> Encoded:
        ids, types, is_open = (np.concatenate(part) for part in zip(*rows, strict=True))
        lengths = np.array([len(row[0]) for row in rows], np.int64)
        return Encoded(ids, types, lengths, lengths, lengths, reads=is_open)
