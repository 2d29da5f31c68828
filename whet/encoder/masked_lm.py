"""The head that says which word stood behind each hidden token: the decoder is the word table itself.

Press and Wolf 2017, "Using the output embedding to improve language models"; as BERT has it, with a transform
before it and a bias of its own for each word.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whet.encoder.heads import Head, Transform
from whet.encoder.network import Encoder, EncoderSpec
from whet.encoder.packing import PackedBatch


@final
class TiedDecoder(nn.Module):
    """The encoder's word table turned round, and a bias a word, 0 at first."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """(n, width), table (vocab_size, width) -> (n, vocab_size)."""
        return F.linear(states, table, self.bias)


@final
class MaskedLMHead(Head):
    """Logits over all words, of the tokens that are read and of no others.

    With next-sentence prediction (Devlin et al. 2018) two more columns, of the text that a token is of: that
    its second part follows the first, and that it does not."""

    reads_words = True

    def __init__(self, spec: EncoderSpec, transform: Transform, with_follows: bool = False) -> None:
        super().__init__()
        self.transform = transform
        self.classifier = TiedDecoder(spec.vocab_size)
        self.follows = nn.Linear(spec.hidden_size, 2) if with_follows else None

    def forward(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """Raises ValueError where the batch names no tokens."""
        if batch.reads is None:
            raise ValueError("a head for tokens needs a pack that names the tokens to read")
        if self.follows is None:
            states = self.read(encoder, batch) if batch.read is None else batch.read
            return self._words(encoder, batch, states)
        hidden = encoder(batch).tokens
        assert encoder.pooler is not None
        pooled: Tensor = encoder.pooler(hidden.index_select(0, batch.firsts)).tanh()
        owners = torch.searchsorted(batch.boundaries, batch.reads, right=True) - 1
        words = self._words(encoder, batch, hidden.index_select(0, batch.reads))
        return torch.cat([words, self.follows(pooled).index_select(0, owners)], dim=1)

    def read(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        if self.follows is not None:
            return super().read(encoder, batch)
        return encoder(batch).tokens.index_select(0, batch.reads)  # type: ignore[no-any-return]

    def _words(self, encoder: Encoder, batch: PackedBatch, states: Tensor) -> Tensor:
        assert batch.reads is not None
        transformed = self.transform(states, batch.dropout_keys[batch.reads])
        found: Tensor = self.classifier(transformed, encoder.word_table)
        return found
