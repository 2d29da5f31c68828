"""A convolution over neighbouring tokens beside a layer (He et al. 2020, DeBERTa's second version)."""

from typing import Any, final

import torch
from torch import Tensor, nn

from whet.encoder.dropout import KeyedDropout
from whet.encoder.network import ACTIVATIONS, SITES, EncoderSpec, Layer
from whet.encoder.packing import PackedBatch


@final
class ConvolvedLayer(Layer):
    """A layer, and a convolution of its input, added and normalised."""

    def __init__(self, spec: EncoderSpec, layer: Layer, conv: nn.Conv1d, activation: str) -> None:
        """conv keeps the length of a sequence: its kernel is odd and its padding half of it."""
        super().__init__()
        self.layer = layer
        self.conv = conv
        self.activation = ACTIVATIONS[activation]
        self.dropout = KeyedDropout(spec.dropout, site=3 + SITES * spec.n_layers)
        self.norm = nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)

    def forward(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        near = self.activation(self.dropout(self._near(hidden, batch), batch.dropout_keys))
        normed: Tensor = self.norm(self.layer(hidden, batch, places) + near)
        return normed

    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        """Convolves every token, for this layer is the last one only where it is the only one."""
        near = self.dropout(
            self._near(hidden, batch).index_select(0, batch.firsts), batch.dropout_keys[batch.firsts]
        )
        normed: Tensor = self.norm(self.layer.first_tokens(hidden, batch, places) + self.activation(near))
        return normed

    def _near(self, hidden: Tensor, batch: PackedBatch) -> Tensor:
        """(n_tokens, hidden_size) -> the same; zeros stand before and behind each sequence."""
        outputs = []
        parts = hidden.split([n * length for n, length in batch.runs])
        for part, (n, length) in zip(parts, batch.runs, strict=True):
            found = self.conv(part.view(n, length, -1).transpose(1, 2))
            outputs.append(found.transpose(1, 2).reshape(n * length, -1))
        return torch.cat(outputs)
