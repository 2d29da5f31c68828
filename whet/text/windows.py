"""Windows over words: long sentences are cut into overlapping windows, and each word has one owner.

Lengths are in sub-tokens. The context of a word in a window is the fewer of the sub-tokens before it and
those after it; a side on which the window reaches the first or last word that there is lacks nothing and
counts as without end. A word is owned by the window that gives it most context, and only there its tag is
read.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ids = NDArray[np.int64]
_ENDLESS = np.iinfo(np.int64).max


class Windows(NamedTuple):
    """Windows in the order of the words they own. Words are counted over all sentences, from 0."""

    sentences: Ids  # (n_windows,), whose words it owns
    firsts: Ids  # (n_windows,), first word of the window
    stops: Ids  # (n_windows,), last word + 1
    owned_firsts: Ids  # (n_windows,), first word it owns
    owned_stops: Ids  # (n_windows,), last one + 1
    n_cut: int  # words with more sub-tokens than a window has room for: only the first ones are kept


def windows_of(
    n_tokens: ArrayLike,
    firsts: ArrayLike,
    stops: ArrayLike,
    room: int,
    context: int | None = None,
    lows: ArrayLike | None = None,
    highs: ArrayLike | None = None,
) -> Windows:
    """Windows of at most room sub-tokens in which every word of every sentence is owned once.

    n_tokens (n_words,), sub-tokens of each word, of which a window takes at most room; sentence i is the
    words firsts[i] to stops[i], both (n_sentences,), ascending.

    A sentence that fits is one window, an empty one is none. A longer one gets windows that give each word
    `context` sub-tokens on both sides (a quarter of the room if None), or as much as any window can; where
    all words can have it, there are no fewer windows that do.

    lows, highs (n_sentences,): the words that a sentence's windows may hold on both sides of it, which they
    do not own; None: its own only. ValueError: a room below 1, a context below 0."""
    wanted = room // 4 if context is None else context
    if room < 1 or wanted < 0:
        raise ValueError(f"a window of {room} sub-tokens with a context of {wanted} holds no word")
    lengths = np.asarray(n_tokens, np.int64)
    begin, end = np.asarray(firsts, np.int64), np.asarray(stops, np.int64)
    before = np.zeros(len(lengths) + 1, np.int64)  # sub-tokens before each word
    np.cumsum(np.minimum(lengths, room), out=before[1:])
    reach = np.searchsorted(before, before + room, "right") - 1  # how far a window gets, by its first word
    low = begin if lows is None else np.asarray(lows, np.int64)
    high = end if highs is None else np.asarray(highs, np.int64)
    fits = before[end] - before[begin] <= room
    short = np.flatnonzero(fits & (end > begin))
    own = begin[short], end[short]
    start = _best_starts(before, reach, *own, low[short], high[short])
    parts = [np.stack([short, start, np.minimum(reach[start], high[short]), *own])]
    for i in np.flatnonzero(~fits):
        cut = _cut(before, reach, int(begin[i]), int(end[i]), int(low[i]), int(high[i]), wanted)
        parts.append(np.concatenate([np.full((1, cut.shape[1]), i), cut]))
    rows = np.concatenate(parts, axis=1)
    rows = rows[:, np.argsort(rows[3], kind="stable")]
    return Windows(rows[0], rows[1], rows[2], rows[3], rows[4], int((lengths > room).sum()))


def _context(
    before: Ids, reach: Ids, start: Ids | int, first: Ids, stop: Ids, low: Ids | int, high: Ids | int
) -> Ids:
    """Context of the words first to stop in the window that begins at start, -1 if it does not hold them.

    Any shapes that go together; low and high are the borders of what windows may hold."""
    end = np.minimum(reach[start], high)
    left = np.where(start == low, _ENDLESS, before[first] - before[start])
    right = np.where(end == high, _ENDLESS, before[end] - before[stop])
    return np.where((first >= start) & (stop <= end), np.minimum(left, right), -1)


def _best_starts(before: Ids, reach: Ids, first: Ids, stop: Ids, low: Ids, high: Ids) -> Ids:
    """Where the window begins that gives the words first to stop most context: all (n,)."""
    # The later it begins, the less there is to the left and the more to the right: look where they cross.
    least = np.maximum(np.searchsorted(reach, stop, "left"), low)  # earlier windows do not hold the last word
    most = first.copy()
    crossing = least
    while (least <= most).any():
        middle = (least + np.maximum(most, least)) // 2
        end = np.minimum(reach[middle], high)
        left = np.where(middle == low, _ENDLESS, before[first] - before[middle])
        right = np.where(end == high, _ENDLESS, before[end] - before[stop])
        searching, more_left = least <= most, left >= right
        crossing = np.where(searching & more_left, middle, crossing)
        least = np.where(searching & more_left, middle + 1, least)
        most = np.where(searching & ~more_left, middle - 1, most)
    behind = np.minimum(crossing + 1, first)
    found = [_context(before, reach, start, first, stop, low, high) for start in (crossing, behind)]
    return np.where(found[0] >= found[1], crossing, behind)


def _cut(before: Ids, reach: Ids, first: int, stop: int, low: int, high: int, wanted: int) -> Ids:
    """Windows for the words of one sentence, first to stop: (4, n_windows), the last four of `Windows`."""
    words = np.arange(first, stop)

    def contexts(start: Ids | int, some: Ids) -> Ids:
        return _context(before, reach, start, some, some + 1, low, high)

    sides = np.full(len(words), low), np.full(len(words), high)
    needed = np.minimum(wanted, contexts(_best_starts(before, reach, words, words + 1, *sides), words))
    starts, leads = [], []  # windows, and the word that each was made for
    word = first
    while word < stop:
        # The latest start that leaves the word its context has most to the right, and reaches farthest.
        latest = np.searchsorted(before, before[word] - needed[word - first], "right") - 1
        start = min(max(int(latest), low), word)
        starts.append(start)
        leads.append(word)
        inside = np.arange(word, min(int(reach[start]), stop))
        lacking = inside[contexts(start, inside) < needed[inside - first]]
        word = int(lacking[0]) if len(lacking) else int(inside[-1]) + 1
    # A window's lead has too little context in the windows ahead and never more in those behind.
    owned = [first]
    for ahead, start, lead, next_lead in zip(starts, starts[1:], leads, leads[1:], strict=False):
        some = np.arange(lead + 1, next_lead + 1)
        owned.append(int(some[np.argmax(contexts(start, some) > contexts(ahead, some))]))
    ends = np.minimum(reach[np.array(starts)], high)
    return np.stack([np.array(starts), ends, np.array(owned), np.array([*owned[1:], stop])])
