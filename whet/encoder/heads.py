"""Heads in the layouts that the families have them in."""

from typing import final

from torch import Tensor, nn

from whet.encoder.dropout import KeyedDropout
from whet.encoder.network import Encoder, EncoderSpec
from whet.encoder.packing import PackedBatch


@final
class PooledHead(nn.Module):
    """BERT's head for whole texts: dropout on the pooled vector, then one linear layer."""

    def __init__(self, spec: EncoderSpec, n_outputs: int) -> None:
        super().__init__()
        self.dropout = KeyedDropout(spec.dropout, site=1 + 2 * spec.n_layers)
        self.classifier = nn.Linear(spec.hidden_size, n_outputs)

    def forward(self, encoder: Encoder, batch: PackedBatch) -> Tensor:
        """-> logits (n_sequences, n_outputs), in the caller's order. Raises ValueError without a pooler."""
        keys = batch.dropout_keys[batch.starts]
        logits: Tensor = self.classifier(self.dropout(encoder.pooled(batch), keys))
        return logits
