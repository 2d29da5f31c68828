"""What the frozen part of a model gives for the texts of a store, computed once: either all that a head reads
of the encoder, or the hidden states below the lowest layer that is trained."""

import math
import mmap
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from whet.encoder.device import computing
from whet.encoder.network import Encoder
from whet.encoder.packing import PackedBatch
from whet.model import TextModel, evaluating
from whet.text.batches import inference_batches, pack_texts
from whet.text.store import Store, ranges

_TOKENS = 4096  # tokens a pack
_IN_MEMORY = 1 << 26  # bytes; more is a mapped file
_OF_FREE_DISK = 0.5  # share that a mapped file may take


class Features(ABC):
    """Rows of numbers of all texts of one store."""

    rows: np.ndarray  # (n, hidden_size)

    @abstractmethod
    def on(self, batch: PackedBatch, texts: np.ndarray) -> PackedBatch:
        """The pack of these texts (n,), with what is known of them."""


@final
class Reads(Features):
    """What the head reads of a frozen encoder."""

    def __init__(self, counts: np.ndarray, rows: np.ndarray) -> None:
        """counts (n_texts,) rows of each text, rows (sum of counts, hidden_size)."""
        self._starts, self._counts, self.rows = np.cumsum(counts) - counts, counts, rows

    def places(self, texts: np.ndarray) -> np.ndarray:
        """Where the rows of texts (n,) are, in their order."""
        return ranges(self._starts[texts], self._counts[texts])

    def on(self, batch: PackedBatch, texts: np.ndarray) -> PackedBatch:
        found = torch.from_numpy(self.rows[self.places(texts)])
        return replace(batch, read=found.to(batch.token_ids.device))


@final
class Hidden(Features):
    """The hidden states of every token, of the lowest `depth` layers."""

    def __init__(self, lengths: np.ndarray, rows: np.ndarray, depth: int) -> None:
        """lengths (n_texts,) tokens of each text, rows (sum of lengths, hidden_size)."""
        self._starts, self.rows, self._depth = np.cumsum(lengths) - lengths, rows, depth

    def places(self, batch: PackedBatch, texts: np.ndarray) -> np.ndarray:
        """Where the rows of the pack's tokens are, (n_tokens,) in pack order; of a filler any. A text's
        windows stand one after another."""
        lengths = np.array(batch.lengths)
        owners = np.arange(len(texts)) if batch.owners is None else batch.owners.cpu().numpy()
        before = np.cumsum(lengths) - lengths
        in_pack = np.diff(batch.boundaries.cpu().numpy()).astype(np.int64)
        starts = np.zeros(len(in_pack), np.int64)
        first_windows = np.searchsorted(owners, owners)
        starts[batch.ranks.cpu().numpy()] = self._starts[texts][owners] + before - before[first_windows]
        found: np.ndarray = np.minimum(ranges(starts, in_pack), len(self.rows) - 1)
        return found

    def on(self, batch: PackedBatch, texts: np.ndarray) -> PackedBatch:
        found = torch.from_numpy(self.rows[self.places(batch, texts)])
        return replace(batch, hidden=found.to(batch.token_ids.device), depth=self._depth)


Compute = Callable[..., Features]  # as `compute_features`


def needed_bytes(model: TextModel, store: Store, is_encoder_frozen: bool) -> int:
    """What the features of a store take."""
    width = model.encoder.spec.hidden_size * (8 if next(model.parameters()).dtype == torch.float64 else 4)
    store.ensure()
    return width * int((_reads(store) if is_encoder_frozen else store.lengths).sum())


def room(most: float) -> float:
    """Bytes that features may take: `most`, or what the disk has to spare."""
    return min(most, _OF_FREE_DISK * shutil.disk_usage(tempfile.gettempdir()).free)


def compute_features(
    model: TextModel,
    store: Store,
    n_frozen_layers: int,
    is_encoder_frozen: bool,
    precision: str,
    between: Callable[[], None] = lambda: None,
) -> Features:
    """One pass over all texts, without dropout. The same each time. `between` is called after each pack.

    Raises OSError where there is no room for the file."""
    encoder, head = model.encoder, model.head
    assert isinstance(encoder, Encoder)
    device, width = next(model.parameters()).device, encoder.spec.hidden_size
    counts = _reads(store) if is_encoder_frozen else store.ensure().lengths
    double = next(model.parameters()).dtype == torch.float64
    rows = _room_for((int(counts.sum()), width), np.dtype(np.float64 if double else np.float32))
    reads, hidden = Reads(counts, rows), Hidden(counts, rows, n_frozen_layers)
    with evaluating(model), torch.inference_mode(), computing(precision, device):
        for texts in inference_batches(store.ensure().lengths, _TOKENS):
            batch = pack_texts(store, texts).to(device)
            found: Tensor
            if is_encoder_frozen:
                found, places = head.read(encoder, batch), reads.places(texts)
            else:
                found = encoder.hidden_below(batch, n_frozen_layers)
                places = hidden.places(batch, texts)
            rows[places] = found.to(torch.float64 if double else torch.float32).cpu().numpy()
            between()
    return reads if is_encoder_frozen else hidden


def _reads(store: Store) -> np.ndarray:
    """Rows that a head reads of each text, (n_texts,)."""
    store.ensure()
    if store.n_reads is not None:
        return store.n_reads
    return np.ones(len(store), np.int64) if store.n_windows is None else store.n_windows


def _room_for(shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """Zeros in memory, or in a nameless mapped file, which lasts as long as they."""
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes <= _IN_MEMORY:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)  # a full disk is told now, not by a signal later
        else:
            file.truncate(n_bytes)
        mapped = mmap.mmap(file.fileno(), n_bytes)
    return np.frombuffer(mapped, dtype).reshape(shape)
