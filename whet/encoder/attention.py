"""Self-attention over a pack: the fast path, and a slow plain reference with the same meaning."""

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whet.encoder.packing import PackedBatch

AttentionKernel = Callable[[Tensor, PackedBatch], Tensor]


def run_attention(qkv: Tensor, batch: PackedBatch) -> Tensor:
    """Softmax(q k^T / sqrt(head_dim)) v within each sequence, one fused call for each run of equal lengths.

    qkv (n_tokens, 3, n_heads, head_dim) any float -> (n_tokens, n_heads * head_dim)."""
    _, _, n_heads, head_dim = qkv.shape
    outputs = []
    for part, (n, length) in zip(
        qkv.split([n * length for n, length in batch.runs]), batch.runs, strict=True
    ):
        q, k, v = part.view(n, length, 3, n_heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v)
        outputs.append(attended.transpose(1, 2).reshape(n * length, n_heads * head_dim))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def first_token_attention(q: Tensor, kv: Tensor, batch: PackedBatch) -> Tensor:
    """The same, asked by the first token of each sequence only.

    q (n_sequences, n_heads, head_dim) in pack order, kv (n_tokens, 2, n_heads, head_dim)
    -> (n_sequences, n_heads * head_dim) in pack order."""
    _, n_heads, head_dim = q.shape
    outputs = []
    queries = q.split([n for n, _ in batch.runs])
    parts = kv.split([n * length for n, length in batch.runs])
    for query, part, (n, length) in zip(queries, parts, batch.runs, strict=True):
        k, v = part.view(n, length, 2, n_heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query[:, :, None], k, v)
        outputs.append(attended.reshape(n, n_heads * head_dim))
    return torch.cat(outputs)


def plain_attention(qkv: Tensor, batch: PackedBatch) -> Tensor:
    """The reference: padded, masked, every step written out. Same shapes as `run_attention`."""
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


@final
class SelfAttention(nn.Module):
    """Query, key and value in one projection, attention by the kernel passed in, output projection."""

    def __init__(self, hidden_size: int, n_heads: int, kernel: AttentionKernel) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.kernel = kernel
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: Tensor, batch: PackedBatch) -> Tensor:
        """(n_tokens, hidden_size) -> (n_tokens, hidden_size)."""
        qkv = self.qkv(hidden).view(hidden.shape[0], 3, self.n_heads, -1)
        attended: Tensor = self.output(self.kernel(qkv, batch))
        return attended

    def first_tokens(self, hidden: Tensor, batch: PackedBatch) -> Tensor:
        """(n_tokens, hidden_size) -> (n_sequences, hidden_size) in pack order: what `forward` gives for
        the first token of each sequence, without the queries and outputs of the others."""
        width = hidden.shape[1]
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(hidden[batch.firsts], weight[:width], bias[:width])
        kv = F.linear(hidden, weight[width:], bias[width:])
        shape = (self.n_heads, width // self.n_heads)
        attended = first_token_attention(q.view(-1, *shape), kv.view(-1, 2, *shape), batch)
        firsts: Tensor = self.output(attended)
        return firsts
