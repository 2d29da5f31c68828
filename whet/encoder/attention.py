"""Self-attention over a pack: the fast path, and a slow plain reference with the same meaning."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from whet.encoder.packing import PackedBatch, Run

_SHORT = 128  # tokens; up to here two batched products beat the fused kernel on a processor (benchmarks.md)


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
    """Softmax(q k^T / sqrt(head_dim)) v within each sequence, run by run of equal lengths."""

    def __call__(self, qkv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
        return run_by_run(attend, qkv, batch)

    def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
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
        queries = q.new_zeros(len(kv), *q.shape[1:]).index_copy(0, batch.firsts, q)
        return self(torch.cat([queries[:, None], kv], dim=1), batch, places)[batch.firsts]


def run_by_run(one: Callable[[Tensor, Run], Tensor], qkv: Tensor, batch: PackedBatch) -> Tensor:
    """A pack's attention from that of its runs: `one` makes of (n * length, 3, n_heads, head_dim) and their
    run (n * length, n_heads * head_dim); qkv and the result are as of `Kernel`."""
    parts = qkv.split([n * length for n, length in batch.runs])
    outputs = [one(part, run) for part, run in zip(parts, batch.runs, strict=True)]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def attend(qkv: Tensor, run: Run, bias: Tensor | None = None) -> Tensor:
    """Softmax attention within each sequence of a run, by what is fastest for its length: qkv
    (n * length, 3, n_heads, head_dim) -> (n * length, n_heads * head_dim). bias (length, length), of the
    dtype of qkv and without a gradient, is added to the scores; -inf hides a key from a query.

    Beyond 128 tokens torch's fused kernel never holds a length x length matrix of scores."""
    if run.length <= _SHORT and qkv.device.type == "cpu" and qkv.dtype != torch.bfloat16:
        short: Tensor = _ShortAttention.apply(qkv, run, bias)  # type: ignore[no-untyped-call]
        return short
    return _fused_attention(qkv, run, bias)


def attend_firsts(q: Tensor, kv: Tensor, batch: PackedBatch, reach: int | None = None) -> Tensor:
    """Each sequence's first token attends to all of it, or to the `reach` tokens that follow and to itself;
    q, kv and the result as of `Kernel.first_tokens`."""
    _, n_heads, head_dim = q.shape
    seen = None if reach is None else reach + 1
    outputs = []
    queries = q.split([n for n, _ in batch.runs])
    parts = kv.split([n * length for n, length in batch.runs])
    for query, part, (n, length) in zip(queries, parts, batch.runs, strict=True):
        near = part.view(n, length, 2, n_heads, head_dim)[:, :seen]
        k, v = near.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query[:, :, None], k, v)
        outputs.append(attended.reshape(n, n_heads * head_dim))
    return torch.cat(outputs)


def _fused_attention(qkv: Tensor, run: Run, bias: Tensor | None) -> Tensor:
    _, _, n_heads, head_dim = qkv.shape
    q, k, v = qkv.view(*run, 3, n_heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return attended.transpose(1, 2).reshape(len(qkv), n_heads * head_dim)


class _ShortAttention(torch.autograd.Function):
    """Attention of one run by batched matrix products, with its derivative written out.

    With P = softmax(S), S = Q K^T / sqrt(head_dim) + bias, O = P V: dV = P^T dO, dP = dO V^T,
    dS = P * (dP - rowsum(P * dP)), dQ = dS K / sqrt(head_dim), dK = dS^T Q / sqrt(head_dim)."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, run: Run, bias: Tensor | None) -> Tensor:
        """As of `attend`."""
        n, length = run
        _, _, n_heads, head_dim = qkv.shape
        heads = qkv.view(n, length, 3, n_heads, head_dim).permute(2, 0, 3, 1, 4)
        heads = heads.reshape(3, n * n_heads, length, head_dim)
        q, k, v = heads
        probabilities = scaled_bmm(q, k.transpose(1, 2), head_dim, bias).softmax(-1)
        ctx.save_for_backward(heads, probabilities)
        ctx.shape = (n, length, n_heads, head_dim)
        attended = torch.bmm(probabilities, v).view(n, n_heads, length, head_dim)
        return attended.transpose(1, 2).reshape(n * length, n_heads * head_dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        heads, probabilities = ctx.saved_tensors
        n, length, n_heads, head_dim = ctx.shape
        q, k, v = heads
        outer = gradient.view(n, length, n_heads, head_dim).transpose(1, 2).reshape(q.shape)
        inner = torch.bmm(outer, v.transpose(1, 2))
        inner = torch._softmax_backward_data(inner, probabilities, -1, probabilities.dtype)
        found = torch.empty_like(heads)
        scaled_bmm(inner, k, head_dim, out=found[0])
        scaled_bmm(inner.transpose(1, 2), q, head_dim, out=found[1])
        torch.bmm(probabilities.transpose(1, 2), outer, out=found[2])
        found = found.view(3, n, n_heads, length, head_dim).permute(1, 3, 0, 2, 4)
        return found.reshape(n * length, 3, n_heads, head_dim), None, None


def scaled_bmm(
    a: Tensor, b: Tensor, head_dim: int, bias: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """a b / sqrt(head_dim) + bias, batch by batch, in one pass; bias is one for all batches."""
    if bias is None:
        return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=head_dim**-0.5, out=out)
    return torch.baddbmm(bias, a, b, alpha=head_dim**-0.5, out=out)


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
        q = F.linear(hidden[batch.firsts], weight[:width], None if bias is None else bias[:width])
        kv = F.linear(hidden, weight[width:], None if bias is None else bias[width:])
        shape = (self.n_heads, width // self.n_heads)
        attended = self.kernel.first_tokens(q.view(-1, *shape), kv.view(-1, 2, *shape), batch, places)
        firsts: Tensor = self.output(attended)
        return firsts
