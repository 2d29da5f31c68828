"""Bricks of heads: a vector for each text, or the states of tokens, to logits."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from whet.encoder.dropout import KeyedDropout
from whet.encoder.network import ACTIVATIONS, SITES, Encoder, EncoderSpec
from whet.encoder.packing import PackedBatch


class Head(nn.Module, ABC):
    """From an encoder and a pack to logits. Its last step is `classifier`, a linear layer."""

    classifier: Any
    reads_words: ClassVar[bool] = False  # whether it reads the encoder's table of words too

    @abstractmethod
    def forward(self, encoder: Any, batch: PackedBatch) -> Tensor:
        """-> logits (n_texts, n_outputs), or (n_reads, n_outputs) of the tokens that the batch names, in
        the caller's order. The encoder is one of the head's own family."""

    def vectors(self, encoder: Any, batch: PackedBatch) -> Tensor:
        """What stands for each sequence, (n_sequences, hidden_size), in the caller's order. Raises ValueError
        for a head that reads tokens."""
        raise ValueError("a head for tokens reads no vector of a text")

    def read(self, encoder: Any, batch: PackedBatch) -> Tensor:
        """All that it takes from the encoder, in the caller's order: (n_sequences, hidden_size), or of a head
        that reads tokens (n_reads, hidden_size). With it as the batch's `read`, `forward` runs no encoder.
        Raises ValueError for a head that cannot be run by itself."""
        raise ValueError("this head cannot be run without its encoder")


@final
class Transform(nn.Module):
    """Dropout, a linear layer, an activation and a norm: what some families have before their classifier."""

    def __init__(
        self,
        spec: EncoderSpec,
        activation: str,
        dropout: float | None = None,
        norm: nn.Module | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.dropout = None if dropout is None else KeyedDropout(dropout, site=2 + SITES * spec.n_layers)
        self.dense = nn.Linear(spec.hidden_size, spec.hidden_size, bias)
        self.activation = ACTIVATIONS[activation]
        self.norm = norm

    def forward(self, states: Tensor, keys: Tensor) -> Tensor:
        """(n, hidden_size), keys (n,) int64 -> (n, hidden_size)."""
        if self.dropout is not None:
            states = self.dropout(states, keys)
        states = self.activation(self.dense(states))
        return states if self.norm is None else self.norm(states)


Pool = Callable[[Encoder, PackedBatch], Tensor]
"""A pack to one vector for each sequence, (n_sequences, hidden_size), in the caller's order."""


def pooler_output(encoder: Encoder, batch: PackedBatch) -> Tensor:
    """What the encoder's own pooler makes of the first token. Raises ValueError without a pooler."""
    return encoder.pooled(batch)


def first_state(encoder: Encoder, batch: PackedBatch) -> Tensor:
    """The first token's last hidden state."""
    return encoder.first_states(batch)


def mean_state(encoder: Encoder, batch: PackedBatch) -> Tensor:
    """The mean of all its tokens' last hidden states."""
    parts = encoder(batch).tokens.split([n * length for n, length in batch.runs])
    runs = zip(parts, batch.runs, strict=True)
    vectors = [part.view(n, length, -1).mean(dim=1) for part, (n, length) in runs]
    return torch.cat(vectors).index_select(0, batch.ranks)


@final
class TextHead(Head):
    """A vector of each text, perhaps transformed, then dropout and one linear layer."""

    def __init__(
        self,
        spec: EncoderSpec,
        n_outputs: int,
        pool: Pool,
        dropout: float,
        transform: Transform | None = None,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.transform = transform
        self.dropout = KeyedDropout(dropout, site=1 + SITES * spec.n_layers)
        self.classifier = nn.Linear(spec.hidden_size, n_outputs)

    def forward(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """Of a text of several windows the logits are their mean."""
        vectors = self.dropout(self.vectors(encoder, batch), batch.dropout_keys[batch.starts])
        logits: Tensor = self.classifier(vectors)
        return logits if batch.owners is None else means(logits, batch.owners)

    def vectors(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """What the classifier reads, (n_sequences, hidden_size), in the caller's order."""
        pooled = self.read(encoder, batch) if batch.read is None else batch.read
        return pooled if self.transform is None else self.transform(pooled, batch.dropout_keys[batch.starts])

    def read(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        return self.pool(encoder, batch)


@final
class TokenHead(Head):
    """The hidden state of each token that is read, perhaps transformed, then dropout and one linear layer."""

    def __init__(
        self, spec: EncoderSpec, n_outputs: int, dropout: float | None, transform: Transform | None = None
    ) -> None:
        """dropout is None where the family has none there."""
        super().__init__()
        self.transform = transform
        self.dropout = None if dropout is None else KeyedDropout(dropout, site=1 + SITES * spec.n_layers)
        self.classifier = nn.Linear(spec.hidden_size, n_outputs)

    def forward(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """Raises ValueError where the batch names no tokens."""
        if batch.reads is None:
            raise ValueError("a head for tokens needs a pack that names the tokens to read")
        keys = batch.dropout_keys[batch.reads]
        states = self.read(encoder, batch) if batch.read is None else batch.read
        if self.transform is not None:
            states = self.transform(states, keys)
        if self.dropout is not None:
            states = self.dropout(states, keys)
        logits: Tensor = self.classifier(states)
        return logits

    def read(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        return encoder(batch).tokens.index_select(0, batch.reads)  # type: ignore[no-any-return]


def means(rows: Tensor, owners: Tensor) -> Tensor:
    """The mean of each owner's rows: rows (n, width), owners (n,) int64 ascending from 0 without gaps."""
    counts = owners.unique_consecutive(return_counts=True)[1]
    sums: Tensor = rows.new_zeros(len(counts), rows.shape[1]).index_add(0, owners, rows)
    means: Tensor = sums / counts[:, None]
    return means
