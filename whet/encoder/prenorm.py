"""Layers that normalise what goes into their parts, and a feed-forward network with gates."""

from typing import Any, final

from torch import Tensor, nn

from whet.encoder.attention import Attention
from whet.encoder.dropout import KeyedDropout
from whet.encoder.network import ACTIVATIONS, EncoderSpec, Layer
from whet.encoder.packing import PackedBatch


@final
class GatedFeedForward(nn.Module):
    """down(activation(a) * b) of the two halves a and b of one projection (Shazeer 2020, "GLU variants
    improve transformer"), with dropout before `down`."""

    def __init__(self, spec: EncoderSpec, index: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.up = nn.Linear(spec.hidden_size, 2 * spec.intermediate_size, bias)
        self.activation = ACTIVATIONS[spec.activation]
        self.dropout = KeyedDropout(dropout, site=2 + 2 * index)
        self.down = nn.Linear(spec.intermediate_size, spec.hidden_size, bias)

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """(n, hidden_size), keys (n,) int64 -> (n, hidden_size)."""
        active, gate = self.up(hidden).chunk(2, dim=-1)
        fed: Tensor = self.down(self.dropout(self.activation(active) * gate, keys))
        return fed


@final
class PreNormLayer(Layer):
    """Attention, then feed-forward; each reads its input normalised and is added to it as it was (Xiong et
    al. 2020, "On layer normalization in the transformer architecture")."""

    def __init__(
        self,
        index: int,
        attention: Attention,
        feed_forward: GatedFeedForward,
        attention_norm: nn.Module | None,
        feed_norm: nn.Module,
        dropout: float,
    ) -> None:
        """Without attention_norm attention reads its input as it is; dropout is that of its output."""
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.attention_dropout = KeyedDropout(dropout, site=1 + 2 * index)
        self.feed_norm = feed_norm
        self.feed_forward = feed_forward

    def forward(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        attended = self.attention(self._normed(hidden), batch, places)
        return self._after(hidden, attended, batch.dropout_keys)

    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        attended = self.attention.first_tokens(self._normed(hidden), batch, places)
        return self._after(hidden.index_select(0, batch.firsts), attended, batch.dropout_keys[batch.firsts])

    def _normed(self, hidden: Tensor) -> Tensor:
        return hidden if self.attention_norm is None else self.attention_norm(hidden)

    def _after(self, hidden: Tensor, attended: Tensor, keys: Tensor) -> Tensor:
        """All that comes after attention, which is row by row."""
        hidden = hidden + self.attention_dropout(attended, keys)
        output: Tensor = hidden + self.feed_forward(self.feed_norm(hidden), keys)
        return output
