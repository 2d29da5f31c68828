"""Self-attention over a pack: the fast path, and a slow plain reference with the same meaning."""

from abc import ABC, abstractmethod
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whet.encoder.packing import PackedBatch
from whet.encoder.run_attention import attend_bucketwise, attend_firsts
from whet.encoder.varlen_attention import takes_varlen, varlen_attention, varlen_attention_of_firsts


class Kernel(ABC):
    """How queries, keys and values of a pack become attended values. No state."""

    @abstractmethod
    def __call__(self, qkv: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        """qkv (n_tokens, 3, n_heads, head_dim) any float -> (n_tokens, n_heads * head_dim); places is what
        the encoder's positions say of the pack, None where they say nothing."""

    @abstractmethod
    def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        """The same, asked by the first token of each sequence only: q (n_sequences, n_heads, head_dim) in
        pack order, kv (n_tokens, 2, n_heads, head_dim) -> (n_sequences, n_heads * head_dim) in pack order."""


@final
class FastAttention(Kernel):
    """Softmax(q k^T / sqrt(head_dim)) v within each sequence.

    On a CUDA device in half precision it is one call of the kernel for sequences of varied length; else it
    goes by runs of equal lengths, or of near ones where they are short."""

    def __call__(self, qkv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
        if takes_varlen(qkv):
            return varlen_attention(qkv, batch)
        return attend_bucketwise(qkv, batch)

    def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
        if takes_varlen(q):
            return varlen_attention_of_firsts(q, kv, batch)
        return attend_firsts(q, kv, batch)


@final
class PlainAttention(Kernel):
    """The reference: padded, masked, every step written out."""

    def __call__(self, qkv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
        n_tokens, _, n_heads, head_dim = qkv.shape
        sequences = batch.unpack(qkv)
        padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True)  # (n, longest, 3, n_heads, head_dim)
        lengths = torch.tensor(batch.lengths, device=qkv.device)
        real = torch.arange(padded.shape[1], device=qkv.device)[None, :] < lengths[:, None]  # (n, longest)
        q, k, v = padded.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) / head_dim**0.5
        scores = scores.masked_fill(~real[:, None, None, :], float("-inf"))
        attended = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)  # (n, longest, hidden)
        output: Tensor = attended.new_empty(n_tokens, n_heads * head_dim)
        for i, start in enumerate(batch.starts.tolist()):
            output[start : start + batch.lengths[i]] = attended[i, : batch.lengths[i]]
        return output

    def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
        queries = q.new_zeros(len(kv), *q.shape[1:]).index_copy(0, batch.firsts.long(), q)
        return self(torch.cat([queries[:, None], kv], dim=1), batch, places)[batch.firsts]


class Attention(nn.Module, ABC):
    """What a layer does between tokens; it holds its projections."""

    @abstractmethod
    def forward(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        """(n_tokens, hidden_size) -> (n_tokens, hidden_size); places as of `Kernel`."""

    @abstractmethod
    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        """(n_tokens, hidden_size) -> (n_sequences, hidden_size) in pack order: what `forward` gives for
        the first token of each sequence, without the queries and outputs of the others."""


@final
class SelfAttention(Attention):
    """Query, key and value in one projection, attention by the kernel passed in, output projection."""

    def __init__(self, hidden_size: int, n_heads: int, kernel: Kernel, bias: bool = True) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.kernel = kernel
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias)
        self.output = nn.Linear(hidden_size, hidden_size, bias)

    def forward(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        qkv = self.qkv(hidden).view(hidden.shape[0], 3, self.n_heads, -1)
        attended: Tensor = self.output(self.kernel(qkv, batch, places))
        return attended

    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        width = hidden.shape[1]
        weight = self.qkv.weight
        bias: Tensor | None = self.qkv.bias
        q = F.linear(
            hidden.index_select(0, batch.firsts), weight[:width], None if bias is None else bias[:width]
        )
        kv = F.linear(hidden, weight[width:], None if bias is None else bias[width:])
        shape = (self.n_heads, width // self.n_heads)
        attended = self.kernel.first_tokens(q.view(-1, *shape), kv.view(-1, 2, *shape), batch, places)
        firsts: Tensor = self.output(attended)
        return firsts
