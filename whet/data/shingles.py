"""Texts as sets of shingles, SHINGLE consecutive characters each, and how alike two such sets are.

Case, punctuation and white space do not count: what is cut into shingles is lower case, and every run of
other than letters, marks and digits is one space.
"""

import functools
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Float32s = npt.NDArray[np.float32]
TextsOf = Callable[[Int64s], pa.Array]  # rows (n,) -> their texts, (n,) large_string without nulls

SHINGLE = 5

_SLICE_PAIRS = 4096
_SLICE_BYTES = 1_000_000
_HASH_BITS = 44  # of a shingle, beside a 20-bit number, in one sortable integer: 1 in 10**9 texts errs

_BREAK, _LETTER, _WORD = 0, 1, 2  # what a character is; _WORD by itself, in scripts without spaces
_UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF)),  # Thai to Katakana
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)),  # Chinese characters
)
_LAST = 0x33480  # letters stand below it; variation selectors, far above, are breaks

_FACTORS = np.array(  # odd, one for each place in a shingle
    [
        *(0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9),
        *(0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD),
    ],
    np.uint64,
)
assert len(_FACTORS) == SHINGLE


@final
@dataclass(frozen=True)
class Letters:
    """What is compared of some texts, end to end."""

    codes: npt.NDArray[np.uint32]  # (n_letters,) code points, 32 between words
    lengths: Int64s  # (n_texts,) of each text, spaces included
    n_words: Int64s  # (n_texts,)

    def of(self, wanted: npt.NDArray[np.bool_]) -> "Letters":
        """Those of some texts, wanted (n_texts,)."""
        kept = np.repeat(wanted, self.lengths)
        return Letters(self.codes[kept], self.lengths[wanted], self.n_words[wanted])


def letters(texts: pa.Array) -> Letters:
    """texts (n_texts,) large_string without nulls."""
    lower = pc.utf8_lower(texts)
    _, ends, data = lower.buffers()
    byte_ends = np.frombuffer(ends, np.int64)[lower.offset : lower.offset + len(lower) + 1]
    whole = memoryview(data)[int(byte_ends[0]) : int(byte_ends[-1])].tobytes() if data is not None else b""
    codes = np.frombuffer(whole.decode().encode("utf-32-le"), np.uint32)
    owner = np.repeat(np.arange(len(lower)), pc.utf8_length(lower).to_numpy(zero_copy_only=False))
    kinds = _kinds()[np.minimum(codes, _LAST)]
    # A break stays where it is the first behind a letter of its text, and where another letter follows.
    stays = kinds != _BREAK
    stays[1:] |= (kinds[:-1] != _BREAK) & (owner[1:] == owner[:-1])
    codes, owner, kinds = codes[stays], owner[stays], kinds[stays]
    stays = kinds != _BREAK
    stays[:-1] |= owner[1:] == owner[:-1]
    codes, owner, kinds = codes[stays], owner[stays], kinds[stays]
    begins_word = kinds == _WORD
    begins_word |= (kinds == _LETTER) & _changes(kinds, owner)
    return Letters(
        np.where(kinds == _BREAK, np.uint32(32), codes),
        np.bincount(owner, minlength=len(lower)),
        np.bincount(owner[begins_word], minlength=len(lower)),
    )


def shingles(found: Letters) -> tuple[UInt64s, Int64s]:
    """Hashes of every SHINGLE consecutive characters, text after text, and where each text's begin,
    (n_texts + 1,)."""
    offsets = np.concatenate([[0], np.cumsum(np.maximum(found.lengths - (SHINGLE - 1), 0))])
    n_windows = len(found.codes) - SHINGLE + 1
    if n_windows <= 0:
        return np.zeros(0, np.uint64), offsets
    hashes = np.zeros(n_windows, np.uint64)
    for place, factor in enumerate(_FACTORS):
        hashes += found.codes[place : place + n_windows] * factor
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0xC4CEB9FE1A85EC53)
    hashes ^= hashes >> np.uint64(29)
    inside = np.ones(len(found.codes), bool)
    stops = np.cumsum(found.lengths)
    for back in range(1, SHINGLE):  # a window that begins so near a text's end runs into the next text
        inside[stops[found.lengths >= back] - back] = False
    return hashes[inside[:n_windows]], offsets


def jaccard(texts: TextsOf, first: Int64s, second: Int64s) -> Float32s:
    """Similarity of pairs of rows, (n_pairs,): shared shingles over all shingles of the two. Two texts too
    short for a shingle are 1 where they are equal, else 0."""
    found = [
        _jaccard(texts, first[start : start + _SLICE_PAIRS], second[start : start + _SLICE_PAIRS])
        for start in range(0, len(first), _SLICE_PAIRS)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def by_size(texts: pa.Array) -> Iterator[pa.Array]:
    """The texts in pieces of about _SLICE_BYTES: a shingle takes many times the memory of a letter."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False))
    start = 0
    while start < len(texts):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + _SLICE_BYTES, side="right")), start + 1)
        yield texts.slice(start, stop - start)
        start = stop


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """What each character is, by code point up to _LAST."""
    kinds = np.array([unicodedata.category(chr(code))[0] in "LMN" for code in range(_LAST)] + [0], np.uint8)
    for low, high in _UNSPACED:
        kinds[low : high + 1] *= _WORD
    return kinds


def _changes(kinds: npt.NDArray[np.uint8], owner: Int64s) -> npt.NDArray[np.bool_]:
    """Where a character is of another kind or another text than the one before it, (n_letters,)."""
    changes = np.ones(len(kinds), np.bool_)
    changes[1:] = (kinds[1:] != kinds[:-1]) | (owner[1:] != owner[:-1])
    return changes


def _jaccard(texts: TextsOf, first: Int64s, second: Int64s) -> Float32s:
    rows, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    pieces = [_distinct(piece) for piece in by_size(texts(rows))]
    sizes = np.concatenate([counts for _, counts in pieces])
    hashes = np.concatenate([found for found, _ in pieces])
    begins = np.cumsum(sizes) - sizes
    one, other = place[: len(first)], place[len(first) :]
    pairs = np.sort(np.concatenate([_of_pairs(hashes, begins, sizes, side) for side in (one, other)]))
    twice = pairs[1:][pairs[1:] == pairs[:-1]] >> np.uint64(_HASH_BITS)
    shared = np.bincount(twice.astype(np.int64), minlength=len(first))
    of_both = sizes[one] + sizes[other] - shared
    similarity = np.asarray(shared / np.maximum(of_both, 1), np.float32)
    for pair in np.flatnonzero(of_both == 0):
        left, right = (letters(texts(side[pair : pair + 1])).codes for side in (first, second))
        similarity[pair] = np.array_equal(left, right)
    return similarity


def _distinct(texts: pa.Array) -> tuple[UInt64s, Int64s]:
    """The distinct shingles of each text, text after text, and how many there are of each."""
    hashes, offsets = shingles(letters(texts))
    owner = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(offsets))
    distinct = np.unique(_numbered(owner, hashes >> np.uint64(64 - _HASH_BITS)))
    counts = np.bincount((distinct >> np.uint64(_HASH_BITS)).astype(np.int64), minlength=len(texts))
    return distinct & np.uint64((1 << _HASH_BITS) - 1), counts


def _of_pairs(hashes: UInt64s, begins: Int64s, sizes: Int64s, side: Int64s) -> UInt64s:
    """The distinct shingles of one text of each pair, numbered by the pair."""
    counts = sizes[side]
    starts = np.cumsum(counts) - counts
    at = np.arange(counts.sum()) + np.repeat(begins[side] - starts, counts)
    return _numbered(np.repeat(np.arange(len(side), dtype=np.uint64), counts), hashes[at])


def _numbered(numbers: UInt64s, hashes: UInt64s) -> UInt64s:
    return (numbers << np.uint64(_HASH_BITS)) | hashes
