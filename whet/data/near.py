"""Near duplicates: texts that are almost the same, letter by letter, found by MinHash and then measured.

Two texts are near duplicates where the Jaccard similarity of their shingles is SIMILAR or more: in a text of
60 characters one word may be put in or one letter changed, in a text of 100 a word replaced. Texts of fewer
than FEWEST_WORDS words or FEWEST_LETTERS characters are not compared: short ones are alike by accident.
Of pairs of texts, both have to be alike.

MinHash (Broder 1997; the sketches are rensa's) proposes pairs, and every pair is then measured on the
shingles themselves, so what is reported is true. Of the pairs at 0.8 about 0.1% are missed, in more than
_MANY rows 2%; at 0.9 hardly any.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import rensa

from whet.data.shingles import Float32s, Int64s, Letters, TextsOf, by_size, jaccard, letters, shingles

Bools = npt.NDArray[np.bool_]
IsNew = Callable[[Int64s, Int64s], Bools]

SIMILAR = 0.8
FEWEST_WORDS = 4
FEWEST_LETTERS = 20

# Of the _HASHES hashes of two texts of similarity s, s * _HASHES are equal on average. A pair is proposed
# where one of _KEYS choices of _KEY_HASHES is, and kept where _EQUAL are (at s = 0.8, 51 +- 3).
_HASHES = 64
_KEY_HASHES = 8
_KEYS = 96
_KEYS_OF_MANY = 32  # where there are more than _MANY rows: a key costs a million rows 0.2 s
_MANY = 100_000
_EQUAL = 40
_NEIGHBOURS = 8  # texts with an equal key that each is held against: the work stays linear in any data
_SEED = 42
_SLICE_ROWS = 4096
_SLICE_PAIRS = 100_000


@final
@dataclass(frozen=True)
class NearDuplicates:
    """For each row, one near duplicate in each part with the same label (0) and with another label (1)."""

    partner: Int64s  # (n_rows, n_parts, 2) row, or -1
    similarity: Float32s  # (n_rows, n_parts, 2) Jaccard, 0 where there is none


def near_duplicates(
    columns: Sequence[TextsOf], groups: Int64s, parts: Int64s, labels: Int64s, n_parts: int
) -> NearDuplicates:
    """columns: texts, or texts and their pairs; rows are alike where every column is.

    groups (n_rows,): rows of one group are not compared; parts (n_rows,) below n_parts; labels (n_rows,), -1
    where there is none, which conflicts with no other."""
    shape = (len(groups), n_parts, 2)
    found = NearDuplicates(np.full(shape, -1, np.int64), np.zeros(shape, np.float32))

    def is_new(one: Int64s, other: Int64s) -> Bools:
        """Whether a pair would tell anything new of either row."""
        conflict = _conflicts(labels, one, other)
        told = (found.partner[one, parts[other], conflict] >= 0) & (
            found.partner[other, parts[one], conflict] >= 0
        )
        fresh: Bools = (groups[one] != groups[other]) & ~told
        return fresh

    rows, sketches = _sketches(columns, len(groups))
    columns = _shortest_first(columns, rows)
    measured = np.zeros(0, np.int64)  # pairs, as one number each
    for one, other in _candidates(rows, sketches, is_new):
        pairs = np.minimum(one, other) * len(groups) + np.maximum(one, other)
        fresh = ~np.isin(pairs, measured)
        one, other = one[fresh], other[fresh]
        measured = np.concatenate([measured, np.unique(pairs[fresh])])
        similarity = _similarity(columns, one, other)
        near = similarity >= SIMILAR
        conflict = _conflicts(labels, one, other)
        for row, its in ((one, other), (other, one)):
            place = (row[near], parts[its[near]], conflict[near])
            found.partner[place] = its[near]
            found.similarity[place] = similarity[near]
    return found


def _shortest_first(columns: Sequence[TextsOf], rows: Int64s) -> list[TextsOf]:
    """By the length of some of their texts."""
    some = rows[:: max(1, len(rows) // 100)]
    return sorted(columns, key=lambda texts: int(pc.sum(pc.binary_length(texts(some)), min_count=0).as_py()))


def _similarity(columns: Sequence[TextsOf], one: Int64s, other: Int64s) -> Float32s:
    """Of pairs of rows (n,), that of the column in which they are least alike.

    A pair that is not alike in one column is not looked at in the next: of questions about one long context
    that saves nearly everything."""
    similarity = np.ones(len(one), np.float32)
    for texts in columns:
        alike = np.flatnonzero(similarity >= SIMILAR)
        similarity[alike] = np.minimum(similarity[alike], jaccard(texts, one[alike], other[alike]))
    return similarity


def _conflicts(labels: Int64s, one: Int64s, other: Int64s) -> Int64s:
    """1 where two rows have different labels, (n_pairs,)."""
    return np.asarray((labels[one] != labels[other]) & (labels[one] >= 0) & (labels[other] >= 0), np.int64)


def _sketches(columns: Sequence[TextsOf], n_rows: int) -> tuple[Int64s, npt.NDArray[np.uint16]]:
    """The rows that are long enough, (n,), and the low 16 bits of their MinHashes, (n, _HASHES). The texts of
    a pair are sketched as one: where both are alike, so is the whole."""
    rows = [np.zeros(0, np.int64)]
    sketches = [np.zeros((0, _HASHES), np.uint16)]
    for start in range(0, n_rows, _SLICE_ROWS):
        chosen = np.arange(start, min(start + _SLICE_ROWS, n_rows))
        done = start
        for piece in by_size(_joined_texts([texts(chosen) for texts in columns])):
            found = letters(piece)
            long = (found.lengths >= FEWEST_LETTERS) & (found.n_words >= FEWEST_WORDS)
            rows.append(done + np.flatnonzero(long))
            sketches.append(_sketched(found.of(long)))
            done += len(piece)
    return np.concatenate(rows), np.concatenate(sketches)


def _joined_texts(columns: Sequence[pa.Array]) -> pa.Array:
    if len(columns) == 1:
        return columns[0]
    return pc.binary_join_element_wise(*columns, pa.scalar("\n", pa.large_string()))


def _sketched(found: Letters) -> npt.NDArray[np.uint16]:
    hashes, offsets = shingles(found)
    sketch: Any = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, offsets.astype(np.uint64), _HASHES, _SEED
    )
    n_texts = len(found.lengths)
    flat = np.fromiter(chain.from_iterable(sketch.to_rows()), np.uint32, n_texts * _HASHES)
    return flat.reshape(n_texts, _HASHES).astype(np.uint16)


def _candidates(
    rows: Int64s, sketches: npt.NDArray[np.uint16], is_new: IsNew
) -> Iterator[tuple[Int64s, Int64s]]:
    """Pairs of rows that are likely to be alike and that `is_new` still asks for."""
    for chosen in _choices(_KEYS if len(rows) <= _MANY else _KEYS_OF_MANY):
        keys = _joined(sketches[:, chosen])
        order = np.argsort(keys)
        in_order = keys[order]
        for distance in range(1, _NEIGHBOURS + 1):
            at = np.flatnonzero(in_order[distance:] == in_order[:-distance])
            if not len(at):
                break
            for start in range(0, len(at), _SLICE_PAIRS):
                here = at[start : start + _SLICE_PAIRS]
                one, other = order[here], order[here + distance]
                alike = (sketches[one] == sketches[other]).sum(axis=1, dtype=np.uint8) >= _EQUAL
                one, other = rows[one[alike]], rows[other[alike]]
                wanted = is_new(one, other)
                if wanted.any():
                    yield one[wanted], other[wanted]


def _choices(n_keys: int) -> list[Int64s]:
    """Choices of _KEY_HASHES hashes: as many at a time as hashes make without sharing one."""
    random = np.random.default_rng(_SEED)
    found: list[Int64s] = []
    while len(found) < n_keys:
        found += np.split(random.permutation(_HASHES), _HASHES // _KEY_HASHES)
    return found[:n_keys]


def _joined(hashes: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint64]:
    """(n, _KEY_HASHES) -> one key each, (n,)."""
    halves = np.ascontiguousarray(hashes).view(np.uint64)
    keys = halves[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    keys ^= keys >> np.uint64(32)
    return keys ^ (halves[:, 1] * np.uint64(0xC2B2AE3D27D4EB4F))
