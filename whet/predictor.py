"""Texts in, logits out, in the caller's order. Immutable, thread-safe, knows no run folder."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import final

import numpy as np
import torch

from whet.encoder.device import computing
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
        device = next(self.model.parameters()).device
        found = np.empty((len(store), self.model.task.n_outputs), np.float64)
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode(), computing(self.precision, device):
            for texts in inference_batches(store.ensure().lengths, _TOKENS):
                logits = self.model.logits(pack_texts(store, texts).to(device))
                found[texts] = logits.double().cpu().numpy()
                between()
        self.model.train(was_training)
        return found
