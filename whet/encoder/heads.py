"""Heads in the layouts that the families have them in."""

from typing import final

from torch import Tensor, nn

from whet.encoder.dropout import KeyedDropout
from whet.encoder.network import EncoderOutput, EncoderSpec
from whet.encoder.packing import PackedBatch


@final
class PooledHead(nn.Module):
    """BERT's head for whole texts: dropout on the pooled vector, then one linear layer."""

    def __init__(self, spec: EncoderSpec, n_outputs: int) -> None:
        super().__init__()
        self.dropout = KeyedDropout(spec.dropout, site=1 + 2 * spec.n_layers)
        self.classifier = nn.Linear(spec.hidden_size, n_outputs)

    def forward(self, encoded: EncoderOutput, batch: PackedBatch) -> Tensor:
        """-> logits (n_sequences, n_outputs), in the caller's order. Raises ValueError without a pooler."""
        if encoded.pooled is None:
            raise ValueError("this head reads the pooled vector, and the encoder has no pooler")
        keys = batch.dropout_keys[batch.starts]
        logits: Tensor = self.classifier(self.dropout(encoded.pooled, keys))
        return logits
