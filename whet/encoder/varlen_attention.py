"""Attention of sequences of varied length in one call, on a CUDA device in half precision."""

from typing import Any

import torch
from torch import Tensor

from whet.encoder.packing import PackedBatch


def takes_varlen(projections: Tensor) -> bool:
    """Whether the kernel runs for these queries, keys and values."""
    return projections.is_cuda and projections.dtype in (torch.bfloat16, torch.float16)


def varlen_attention(qkv: Tensor, batch: PackedBatch, reach: int | None = None) -> Tensor:
    """Softmax attention within each sequence of a pack, to tokens at most `reach` apart where that is given:
    qkv (n_tokens, 3, n_heads, head_dim) -> (n_tokens, n_heads * head_dim)."""
    asking = batch.boundaries
    return _varlen(qkv[:, 0], qkv[:, 1:], asking, batch.longest, batch, -1 if reach is None else reach)


def varlen_attention_of_firsts(q: Tensor, kv: Tensor, batch: PackedBatch) -> Tensor:
    """The same of each sequence's first token: q (n_sequences, n_heads, head_dim) in pack order, kv
    (n_tokens, 2, n_heads, head_dim) -> (n_sequences, n_heads * head_dim) in pack order."""
    asking = torch.arange(len(q) + 1, dtype=torch.int32, device=q.device)
    return _varlen(q, kv, asking, 1, batch, -1)


def _varlen(q: Tensor, kv: Tensor, asking: Tensor, most: int, batch: PackedBatch, reach: int) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # only where there is a CUDA device

    k, v = kv.unbind(1)
    window = (reach, reach)
    attended: Any = varlen_attn(q, k, v, asking, batch.boundaries, most, batch.longest, window_size=window)
    flat: Tensor = attended.flatten(1)
    return flat
