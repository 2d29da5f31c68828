"""Token sequences laid end to end: what every encoder here runs on.

A pack holds no padding. Its sequences are sorted by length, so that sequences of one length stand side by
side and can be attended to in one call; `ranks` leads back to the caller's order.

Rows are taken with `index_select`: on processors its derivative is ten times faster than an index's.

A pack's size can be rounded up by a filler, a sequence that nobody reads: kernels that are compiled for each
shape, as oneDNN's bf16 products on processors are, then meet few shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor


class Run(NamedTuple):
    """Neighbouring sequences of one length."""

    n_sequences: int
    length: int  # tokens in each


@final
@dataclass(frozen=True)
class PackedBatch:
    """Token sequences laid end to end, with no padding between them, shortest first."""

    token_ids: Tensor  # (n_tokens,) int64
    type_ids: Tensor  # (n_tokens,) int64
    positions: Tensor  # (n_tokens,) int64, restarts at 0 in every sequence
    boundaries: Tensor  # (n + 1,) int32; sequence i of the pack is boundaries[i]:boundaries[i + 1]; n is
    # n_sequences, or one more with a filler
    ranks: Tensor  # (n_sequences,) int64; the caller's i-th sequence is number ranks[i] of the pack
    dropout_keys: Tensor  # (n_tokens,) int64, what dropout masks are made from; see encoder/dropout.py
    lengths: tuple[int, ...]  # tokens in the caller's i-th sequence
    runs: tuple[Run, ...]  # in pack order; ints, so reading them never waits for a device
    reads: Tensor | None = None  # (n_reads,) int64, tokens a head reads one by one, in the caller's order
    owners: Tensor | None = None  # (n_sequences,) int64, the text that the caller's i-th is a window of
    hidden: Tensor | None = None  # (n_tokens, hidden_size) of the lowest `depth` layers, where it is known
    depth: int = 0  # layers that need not be run
    read: Tensor | None = None  # what the head reads of the encoder, see `Head.read`, where it is known

    @property
    def n_sequences(self) -> int:
        return len(self.lengths)

    @property
    def firsts(self) -> Tensor:
        """(n,) int32, the first token of each sequence, in pack order, a filler's too."""
        return self.boundaries[:-1]

    @property
    def longest(self) -> int:
        """Tokens in the longest sequence."""
        return self.runs[-1].length

    @property
    def starts(self) -> Tensor:
        """(n_sequences,) int32, the first token of the caller's i-th sequence."""
        return self.firsts[self.ranks]

    @property
    def n_tokens(self) -> int:
        return self.token_ids.shape[0]

    def to(self, device: torch.device) -> "PackedBatch":
        """The same batch on a device."""
        found: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **found)

    def unpack(self, tokens: Tensor) -> list[Tensor]:
        """(n_tokens, ...) -> one (length, ...) tensor for each sequence, in the caller's order."""
        starts = self.starts.tolist()
        return [tokens[start : start + n] for start, n in zip(starts, self.lengths, strict=True)]


def pack(
    token_ids: Sequence[np.ndarray],
    type_ids: Sequence[np.ndarray],
    sequence_keys: np.ndarray | None = None,
    reads: Sequence[np.ndarray] | None = None,
    owners: np.ndarray | None = None,
    multiple: int = 1,
) -> PackedBatch:
    """Lay sequences end to end, with a filler where their tokens are no multiple of `multiple`.

    token_ids and type_ids hold one (length,) integer array a sequence, length >= 1; sequence_keys is
    (n_sequences,) uint64 from `encoder.dropout.sequence_keys`, needed only where dropout is on. reads holds
    one (length,) bool array a sequence, owners is (n_sequences,) int64, ascending: see `PackedBatch`.
    Raises ValueError for no sequences, an empty one, or ids and types of different length.
    """
    lengths = np.array([len(ids) for ids in token_ids], dtype=np.int64)
    if len(lengths) == 0 or lengths.min() == 0:
        raise ValueError("a pack needs at least one sequence, and a token in each")
    if [len(types) for types in type_ids] != lengths.tolist():
        raise ValueError("type_ids must be as long as token_ids, sequence by sequence")
    n_sequences = len(lengths)
    keys = np.zeros(n_sequences, dtype=np.uint64) if sequence_keys is None else sequence_keys
    if n_filling := -int(lengths.sum()) % multiple:
        token_ids = [*token_ids, np.repeat(token_ids[0][:1], n_filling)]
        type_ids = [*type_ids, np.repeat(type_ids[0][:1], n_filling)]
        keys, lengths = np.append(keys, np.uint64(0)), np.append(lengths, n_filling)
    order = np.argsort(lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    firsts = ends - lengths[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    positions = np.arange(ends[-1]) - np.repeat(firsts, lengths[order])
    if n_filling:  # which may be longer than there are positions
        positions[firsts[ranks[-1]] : ends[ranks[-1]]] = 0
    token_keys = keys_of_places(np.repeat(keys[order], lengths[order]), positions)
    values, counts = np.unique(lengths, return_counts=True)
    return PackedBatch(
        token_ids=torch.from_numpy(np.concatenate([token_ids[i] for i in order]).astype(np.int64)),
        type_ids=torch.from_numpy(np.concatenate([type_ids[i] for i in order]).astype(np.int64)),
        positions=torch.from_numpy(positions),
        boundaries=torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)),
        ranks=torch.from_numpy(ranks[:n_sequences]),
        dropout_keys=torch.from_numpy(token_keys.view(np.int64)),
        lengths=tuple(lengths[:n_sequences].tolist()),
        runs=tuple(Run(int(n), int(length)) for length, n in zip(values, counts, strict=True)),
        reads=None
        if reads is None
        else torch.from_numpy(_marked(reads, firsts[ranks[:n_sequences]], lengths[:n_sequences])),
        owners=None if owners is None else torch.from_numpy(owners),
    )


def keys_of_places(sequence_keys: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A key for each token: that of its sequence, (n_tokens,) uint64, and its place there, (n_tokens,) int64
    -> (n_tokens,) uint64."""
    keys: np.ndarray = sequence_keys + places.astype(np.uint64) * np.uint64(_PLACE)
    return keys


def _marked(marks: Sequence[np.ndarray], starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Where the marked tokens of sequences lie in the pack, in the caller's order."""
    places = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    found: np.ndarray = places[np.concatenate(marks)]
    return found


# An odd constant spreads places over all 64 bits (MurmurHash3's second multiplier, A. Appleby).
_PLACE = 0xC4CEB9FE1A85EC53
