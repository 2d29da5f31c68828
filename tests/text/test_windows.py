"""Windows against a search over all windows there could be."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.text import windows


def windows_of(lengths, boundaries, room, wanted=None, documents=None):
    """Of sentences end to end; those of one document, side by side, are each other's context."""
    ends = np.array(boundaries)
    firsts, stops = ends[:-1], ends[1:]
    if documents is None:
        return windows.windows_of(lengths, firsts, stops, room, wanted)
    begins = np.flatnonzero(np.append(True, np.diff(documents) != 0))
    run = np.searchsorted(begins, np.arange(len(documents)), "right") - 1
    last = np.append(begins[1:], len(documents)) - 1
    return windows.windows_of(lengths, firsts, stops, room, wanted, firsts[begins[run]], stops[last[run]])


LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=14)


def context(lengths, window, first, stop, low, high) -> float:
    """Context of the words first to stop in a window (first, stop), by the definition; -1 outside."""
    if not (window[0] <= first and stop <= window[1]):
        return -1
    left = math.inf if window[0] == low else sum(lengths[window[0] : first])
    right = math.inf if window[1] == high else sum(lengths[stop : window[1]])
    return min(left, right)


def all_windows(lengths, room, low, high) -> list[tuple[int, int]]:
    pairs = [(a, b) for a in range(low, high) for b in range(a + 1, high + 1)]
    return [(a, b) for a, b in pairs if sum(lengths[a:b]) <= room]


def check(lengths, boundaries, room, wanted, documents) -> None:
    found = windows_of(lengths, boundaries, room, wanted, documents)
    assert found.n_cut == sum(length > room for length in lengths)
    cut = [min(length, room) for length in lengths]
    owner = [-1] * len(cut)
    for k, (sentence, first, stop, own, own_stop) in enumerate(zip(*found[:5], strict=True)):
        assert sum(cut[first:stop]) <= room
        assert boundaries[sentence] <= own < own_stop <= boundaries[sentence + 1]
        assert first <= own < own_stop <= stop
        for word in range(own, own_stop):
            assert owner[word] == -1
            owner[word] = k
    assert -1 not in owner
    for i in range(len(boundaries) - 1):
        first, stop = boundaries[i], boundaries[i + 1]
        low, high = first, stop
        if documents is not None:
            while low and documents[np.searchsorted(boundaries, low - 1, "right") - 1] == documents[i]:
                low -= 1
            while (
                high < len(cut) and documents[np.searchsorted(boundaries, high, "right") - 1] == documents[i]
            ):
                high += 1
        mine = [
            (int(a), int(b))
            for s, a, b in zip(found.sentences, found.firsts, found.stops, strict=True)
            if s == i
        ]
        assert all(low <= a and b <= high for a, b in mine)
        possible = all_windows(cut, room, low, high)
        if first == stop:
            assert mine == []
        elif sum(cut[first:stop]) <= room:
            assert len(mine) == 1
            best = max(context(cut, window, first, stop, low, high) for window in possible)
            assert context(cut, mine[0], first, stop, low, high) == best
        else:
            check_long(cut, first, stop, low, high, mine, possible, owner, found, wanted)


def check_long(cut, first, stop, low, high, mine, possible, owner, found, wanted) -> None:
    needed = []
    for word in range(first, stop):
        window = (int(found.firsts[owner[word]]), int(found.stops[owner[word]]))
        given_context = context(cut, window, word, word + 1, low, high)
        assert given_context == max(context(cut, other, word, word + 1, low, high) for other in mine)
        needed.append(min(wanted, max(context(cut, w, word, word + 1, low, high) for w in possible)))
        assert given_context >= needed[-1]
    if all(need == wanted for need in needed):
        assert len(mine) == fewest(cut, first, stop, low, high, possible, wanted)


def fewest(cut, first, stop, low, high, possible, wanted) -> int:
    """The smallest number of windows that give every word what is wanted, by breadth-first search."""
    served = {
        frozenset(v for v in range(first, stop) if context(cut, window, v, v + 1, low, high) >= wanted)
        for window in possible
    }
    states, n_windows = {frozenset()}, 0
    while frozenset(range(first, stop)) not in states:
        missing = [(state, min(set(range(first, stop)) - state)) for state in states]
        states = {state | more for state, word in missing for more in served if word in more}
        n_windows += 1
    return n_windows


@given(LENGTHS, st.integers(1, 16), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_one_sentence(lengths, room, wanted):
    check(lengths, [0, len(lengths)], room, wanted, None)


@given(LENGTHS, st.lists(st.integers(0, 14), max_size=4), st.integers(1, 16), st.integers(0, 5), st.data())
@settings(deadline=None, max_examples=60)
def test_sentences_and_documents(lengths, cuts, room, wanted, data):
    boundaries = [0, *sorted(min(cut, len(lengths)) for cut in cuts), len(lengths)]
    n = len(boundaries) - 1
    steps = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    for documents in (None, np.cumsum(steps).tolist()):
        check(lengths, boundaries, room, wanted, documents)


def test_long_sentences_at_random():
    """Longer than hypothesis likes them: in some 3% the words between two windows go to the later one."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        lengths = rng.integers(0, 7, rng.integers(6, 15)).tolist()
        check(lengths, [0, len(lengths)], int(rng.integers(8, 17)), int(rng.integers(1, 4)), None)


def test_a_sentence_that_fits_is_one_window():
    found = windows_of([2, 3, 5, 7], [0, 1, 1, 4], 15)
    assert [part.tolist() for part in found[:5]] == [[0, 2], [0, 1], [1, 4], [0, 1], [1, 4]]


def test_a_document_fills_the_window():
    found = windows_of([1] * 20, [0, 9, 11, 20], 6, documents=[0, 0, 0])
    middle = found.sentences.tolist().index(1)
    assert (found.firsts[middle], found.stops[middle]) == (7, 13)
    assert (found.owned_firsts[middle], found.owned_stops[middle]) == (9, 11)


def test_long_words_are_cut_and_counted():
    found = windows_of([1, 50, 1], [0, 3], 10)
    assert found.n_cut == 1
    assert found.owned_stops.tolist() == [1, 2, 3]


def test_nothing():
    assert len(windows_of([], [0], 5).firsts) == 0
    assert len(windows_of([], [0, 0], 5, documents=[1]).firsts) == 0


@pytest.mark.parametrize(("room", "wanted"), [(0, 1), (5, -1)])
def test_a_window_needs_room(room, wanted):
    with pytest.raises(ValueError, match="holds no word"):
        windows_of([1], [0, 1], room, wanted)


def test_many_words():
    lengths = np.random.default_rng(0).integers(1, 4, 20_000)
    found = windows_of(lengths, [0, len(lengths)], 126)
    assert np.array_equal(found.owned_firsts[1:], found.owned_stops[:-1])
    assert len(found.firsts) < 1.05 * lengths.sum() / (126 - 2 * 31)
