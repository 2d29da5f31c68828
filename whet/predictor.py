"""Texts in, logits out, in the caller's order. Immutable, thread-safe, knows no run folder."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import final

import numpy as np
import torch
from torch import Tensor

from whet.encoder.device import computing
from whet.encoder.packing import PackedBatch
from whet.model import TextModel
from whet.text.batches import inference_batches, pack_texts
from whet.text.store import TokenStore, store_of

_WINDOW = 4096  # rows sorted by length among themselves; memory does not grow with the file
_TOKENS = 4096  # tokens a pack


@final
@dataclass(frozen=True)
class Predictor:
    """A model in evaluation mode, and how wide it computes."""

    model: TextModel
    precision: str = "float32"

    def windows(self, rows: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """Rows as (text,) or (text, pair) -> logits (n_rows, n_outputs) float64, one window after another."""
        rows = iter(rows)
        rules = self.model.rules
        while window := list(islice(rows, _WINDOW)):
            yield self.logits(store_of(window, self.model.tokeniser, rules.max_length, rules.cut))

    def logits(self, store: TokenStore, between: Callable[[], None] = lambda: None) -> np.ndarray:
        """(n_texts, n_outputs) float64, in the store's order; `between` is called after each pack."""
        found = np.empty((len(store), self.model.task.n_outputs), np.float64)
        self._fill(found, store, self.model.logits, between)
        return found

    def vectors(self, store: TokenStore) -> np.ndarray:
        """What the head reads of each text, (n_texts, hidden_size) float32, in the store's order."""
        encoder = self.model.encoder
        found = np.empty((len(store), encoder.spec.hidden_size), np.float32)
        self._fill(found, store, encoder.pooled, lambda: None)
        return found

    def _fill(
        self,
        found: np.ndarray,
        store: TokenStore,
        compute: Callable[[PackedBatch], Tensor],
        between: Callable[[], None],
    ) -> None:
        """Rows of `found` from what `compute` gives for packs of texts."""
        device = next(self.model.parameters()).device
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode(), computing(self.precision, device):
            for texts in inference_batches(store.ensure().lengths, _TOKENS):
                found[texts] = compute(pack_texts(store, texts).to(device)).double().cpu().numpy()
                between()
        self.model.train(was_training)
