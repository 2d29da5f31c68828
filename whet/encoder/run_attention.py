"""Attention of sequences of one length, which stand side by side in a pack, by what is fastest for them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from whet.encoder.packing import PackedBatch, Run

# On a processor, up to so many tokens, batched products beat torch's fused kernel, which never holds a
# length x length matrix (benchmarks.md); in bf16 that kernel is several times slower there.
_SHORT, _SHORT_BF16 = 128, 512


def run_by_run(one: Callable[[Tensor, Run, int], Tensor], qkv: Tensor, batch: PackedBatch) -> Tensor:
    """A pack's attention from that of its runs: `one` makes of (n * length, 3, n_heads, head_dim), their run
    and its number (n * length, n_heads * head_dim); qkv (n_tokens, 3, n_heads, head_dim) -> (n_tokens,
    n_heads * head_dim)."""
    parts = qkv.split([n * length for n, length in batch.runs])
    outputs = [one(part, run, i) for i, (part, run) in enumerate(zip(parts, batch.runs, strict=True))]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def attend(qkv: Tensor, run: Run, bias: Tensor | None = None) -> Tensor:
    """Softmax attention within each sequence of a run: qkv (n * length, 3, n_heads, head_dim) -> (n * length,
    n_heads * head_dim). bias, (length, length) or (n_heads, length, length), is added to the scores of every
    sequence; -inf hides a key from a query. It has a gradient where it asks for one."""
    if qkv.device.type == "cpu":
        most = _SHORT_BF16 if qkv.dtype == torch.bfloat16 else _SHORT
        learnt = bias is not None and bias.requires_grad  # for which no fused kernel has a derivative
        if run.length <= most or learnt:
            written: Tensor = WrittenOutAttention.apply(qkv, run, bias)  # type: ignore[no-untyped-call]
            return written
    _, _, n_heads, head_dim = qkv.shape
    q, k, v = qkv.view(*run, 3, n_heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    mask = None if bias is None else bias.expand(1, n_heads, -1, -1).to(q.dtype)
    attended = F.scaled_dot_product_attention(q, k, v, mask)
    return attended.transpose(1, 2).reshape(len(qkv), n_heads * head_dim)


def attend_firsts(
    q: Tensor,
    kv: Tensor,
    batch: PackedBatch,
    biases: Sequence[Tensor] | None = None,
    reach: int | None = None,
) -> Tensor:
    """Each sequence's first token attends to all of it, or to the `reach` tokens that follow and to itself:
    q (n_sequences, n_heads, head_dim) in pack order, kv (n_tokens, 2, n_heads, head_dim) -> (n_sequences,
    n_heads * head_dim) in pack order. biases (n_heads, length, length), one for each run, as of `attend`."""
    _, n_heads, head_dim = q.shape
    seen = None if reach is None else reach + 1
    outputs = []
    queries = q.split([n for n, _ in batch.runs])
    parts = kv.split([n * length for n, length in batch.runs])
    for i, (query, part, (n, length)) in enumerate(zip(queries, parts, batch.runs, strict=True)):
        near = part.view(n, length, 2, n_heads, head_dim)[:, :seen]
        k, v = near.permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if biases is None else biases[i][None, :, :1].to(q.dtype)
        attended = F.scaled_dot_product_attention(query[:, :, None], k, v, mask)
        outputs.append(attended.reshape(n, n_heads * head_dim))
    return torch.cat(outputs)


class WrittenOutAttention(torch.autograd.Function):
    """`attend` by batched matrix products, with its derivative written out.

    With P = softmax(S), S = Q K^T / sqrt(head_dim) + B, O = P V: dV = P^T dO, dP = dO V^T,
    dS = P * (dP - rowsum(P * dP)), dQ = dS K / sqrt(head_dim), dK = dS^T Q / sqrt(head_dim), and dB is the
    sum of dS over the sequences."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, run: Run, bias: Tensor | None) -> Tensor:
        """As of `attend`."""
        n, length = run
        _, _, n_heads, head_dim = qkv.shape
        heads = qkv.view(n, length, 3, n_heads, head_dim).permute(2, 0, 3, 1, 4)
        heads = heads.reshape(3, n * n_heads, length, head_dim)
        q, k, v = heads
        scores = scaled_bmm(q, k.transpose(1, 2), head_dim)
        if bias is not None:
            scores.view(n, n_heads, length, length).add_(bias)
        probabilities = scores.softmax(-1)
        ctx.save_for_backward(heads, probabilities)
        ctx.shape = (n, length, n_heads, head_dim)
        attended = torch.bmm(probabilities, v).view(n, n_heads, length, head_dim)
        return attended.transpose(1, 2).reshape(n * length, n_heads * head_dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor | None]:
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
        of_bias = inner.view(n, n_heads, length, length).sum(0) if ctx.needs_input_grad[2] else None
        return found.reshape(n * length, 3, n_heads, head_dim), None, of_bias


def scaled_bmm(
    a: Tensor, b: Tensor, head_dim: int, bias: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """a b / sqrt(head_dim) + bias, batch by batch, in one pass; bias is one for all batches."""
    if bias is None:
        return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=head_dim**-0.5, out=out)
    return torch.baddbmm(bias, a, b, alpha=head_dim**-0.5, out=out)
