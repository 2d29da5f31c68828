"""Heads in the layouts that the families have them in."""

from collections.abc import Mapping
from typing import ClassVar, Final, final

from torch import Tensor, nn

from whet.encoder.dropout import KeyedDropout
from whet.encoder.network import Encoder, EncoderSpec
from whet.encoder.packing import PackedBatch


@final
class PooledHead(nn.Module):
    """BERT's head for whole texts: dropout on the pooled vector, then one linear layer."""

    needs_pooler: ClassVar[bool] = True

    def __init__(self, spec: EncoderSpec, n_outputs: int) -> None:
        super().__init__()
        self.dropout = KeyedDropout(spec.dropout, site=1 + 2 * spec.n_layers)
        self.classifier = nn.Linear(spec.hidden_size, n_outputs)

    def forward(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """-> logits (n_texts, n_outputs), in the caller's order; of a text of several windows their mean.
        Raises ValueError without a pooler."""
        keys = batch.dropout_keys[batch.starts]
        logits: Tensor = self.classifier(self.dropout(encoder.pooled(batch), keys))
        return logits if batch.owners is None else _means(logits, batch.owners)


@final
class TokenHead(nn.Module):
    """BERT's head for tokens: dropout on the hidden state of each, then one linear layer."""

    needs_pooler: ClassVar[bool] = False

    def __init__(self, spec: EncoderSpec, n_outputs: int) -> None:
        super().__init__()
        self.dropout = KeyedDropout(spec.dropout, site=1 + 2 * spec.n_layers)
        self.classifier = nn.Linear(spec.hidden_size, n_outputs)

    def forward(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """-> logits (n_reads, n_outputs) of the tokens that the batch names, in the caller's order. Raises
        ValueError where it names none."""
        states = _read(encoder, batch)
        logits: Tensor = self.classifier(self.dropout(states, batch.dropout_keys[batch.reads]))
        return logits


@final
class SpanHead(nn.Module):
    """BERT's head for spans: one linear layer on the hidden state of each token, without dropout."""

    needs_pooler: ClassVar[bool] = False

    def __init__(self, spec: EncoderSpec, n_outputs: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(spec.hidden_size, n_outputs)

    def forward(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """-> logits (n_reads, n_outputs) of the tokens that the batch names, in the caller's order. Raises
        ValueError where it names none."""
        logits: Tensor = self.classifier(_read(encoder, batch))
        return logits


Head = PooledHead | TokenHead | SpanHead

HEADS: Final[Mapping[str, type[Head]]] = {"text": PooledHead, "token": TokenHead, "span": SpanHead}
"""By what a task's `layout` is."""


def _read(encoder: Encoder, batch: PackedBatch) -> Tensor:
    """The hidden states of the tokens that the batch names, (n_reads, hidden_size)."""
    if batch.reads is None:
        raise ValueError("a head for tokens needs a pack that names the tokens to read")
    states: Tensor = encoder(batch).tokens[batch.reads]
    return states


def _means(rows: Tensor, owners: Tensor) -> Tensor:
    """The mean of each owner's rows: rows (n, width), owners (n,) int64 ascending from 0 without gaps."""
    counts = owners.unique_consecutive(return_counts=True)[1]
    sums: Tensor = rows.new_zeros(len(counts), rows.shape[1]).index_add(0, owners, rows)
    means: Tensor = sums / counts[:, None]
    return means
