"""Texts in, logits out, in the caller's order. Immutable, knows no run folder; thread-safe for a model that
is in evaluation, as one that was loaded is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from whet.encoder.device import computing
from whet.encoder.packing import PackedBatch
from whet.errors import CheckpointError
from whet.features import Features
from whet.model import TextModel, evaluating
from whet.text.batches import inference_batches
from whet.text.store import Store, store_of

_WINDOW = 4096  # rows sorted by length among themselves; memory does not grow with the file
_TOKENS = 4096  # tokens a pack


class NonFinite(CheckpointError):
    """The model computes numbers that are no answers."""


@final
@dataclass(frozen=True)
class Predictor:
    """A model in evaluation mode, and how wide it computes."""

    model: TextModel
    precision: str = "float32"

    def windows(self, rows: Iterable[Any]) -> Iterator[tuple[list[Any], np.ndarray]]:
        """Rows as the task's `texts` gives them -> some thousand of them after another, with their logits."""
        rows = iter(rows)
        encoding = self.model.encoding
        while window := list(islice(rows, _WINDOW)):
            yield window, self.logits(store_of(window, encoding))

    def logits(
        self,
        store: Store,
        between: Callable[[], None] = lambda: None,
        features: Features | None = None,
    ) -> np.ndarray:
        """(n_texts, n_outputs) float64, in the store's order; where tokens are read one by one, (n_texts,)
        objects of (n_reads, n_outputs), or what the task keeps of them, with the encoding's marks as further
        columns. `between` is called after each pack; features are what is known of the store's texts."""
        n_reads = store.ensure().n_reads
        found: np.ndarray = np.empty(len(store), object)
        if n_reads is None:
            found = np.empty((len(store), self.model.task.n_outputs), np.float64)

        def put(texts: np.ndarray, batch: PackedBatch, rows: np.ndarray) -> None:
            if n_reads is None:
                found[texts] = rows
            else:
                parts = np.split(rows, np.cumsum(n_reads[texts])[:-1])
                marks = store.marks(texts)
                for i, (text, part) in enumerate(zip(texts.tolist(), parts, strict=True)):
                    found[text] = part if marks is None else np.concatenate([part, marks[i]], axis=1)
            between()

        def kept(texts: np.ndarray, batch: PackedBatch) -> Tensor:
            return self.model.task.kept(self.model.logits(batch), store.marks(texts))

        self._compute(store, kept, put, features)
        return found

    def vectors(self, store: Store) -> np.ndarray:
        """What stands for each text to the head, (n_texts, hidden_size) float32, in the store's order; of a
        text of several windows that of the first."""
        encoder, head = self.model.encoder, self.model.head
        found = np.empty((len(store), encoder.spec.hidden_size), np.float32)

        def put(texts: np.ndarray, batch: PackedBatch, rows: np.ndarray) -> None:
            first = (
                slice(None) if batch.owners is None else np.unique(batch.owners.cpu(), return_index=True)[1]
            )
            found[texts] = rows[first]

        self._compute(store, lambda texts, batch: head.vectors(encoder, batch), put)
        return found

    def _compute(
        self,
        store: Store,
        compute: Callable[[np.ndarray, PackedBatch], Tensor],
        put: Callable[[np.ndarray, PackedBatch, np.ndarray], None],
        features: Features | None = None,
    ) -> None:
        """Hand `put` the texts (n,) of each pack, the pack, and what `compute` gives for them, in float64.
        Raises NonFinite where that is not finite."""
        device = next(self.model.parameters()).device
        with evaluating(self.model), torch.inference_mode(), computing(self.precision, device):
            for texts in inference_batches(store.ensure().lengths, _TOKENS):
                batch = self.model.batch(store, texts, self.precision)
                batch = batch if features is None else features.on(batch, texts)
                rows = compute(texts, batch).double().cpu().numpy()
                if not np.isfinite(rows).all():
                    raise NonFinite(
                        "The model computes numbers that are not finite, so it has no answers: its weights "
                        f"are too large, or {self.precision} is too narrow. Use --precision float32, or "
                        "train again with a lower rate (--lr)."
                    )
                put(texts, batch, rows)
