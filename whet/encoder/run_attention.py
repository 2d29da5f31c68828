"""Attention of sequences that stand side by side in a pack, of one length, of near lengths or short, by what
is fastest for them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from whet.encoder.packing import PackedBatch, Run

# On a processor, up to so many tokens, batched products beat torch's fused kernel, which never holds a
# length x length matrix (benchmarks.md); in bf16 that kernel is several times slower there.
_SHORT, _SHORT_BF16 = 128, 512

# There, sequences are attended to together, since a call costs more than the padding does: those of up to
# _BLOCK tokens share rectangles of that width, several side by side, and those of near lengths up to _NEAR
# tokens have a rectangle's row each (benchmarks.md).
_BLOCK = 48
_NEAR, _NEAR_BF16 = 48, 128


@final
@dataclass(frozen=True)
class Layout:
    """Where the tokens of a rectangle stand."""

    tokens: Tensor  # (n * width,) int64, the token in each place, any in padding
    places: Tensor  # (n_tokens,) int64, the place of each token
    hidden: Tensor  # (n, 1, width, width) float32, -inf for a key of another sequence, else 0


@final
@dataclass(frozen=True)
class Bucket:
    """Neighbouring sequences of a pack, to be laid out as the rows of a rectangle; or one run as it is."""

    n_tokens: int
    run: Run  # the rectangle: rows and width
    layout: Layout | None = None


def attend_bucketwise(qkv: Tensor, batch: PackedBatch) -> Tensor:
    """Softmax attention within each sequence of a pack: qkv (n_tokens, 3, n_heads, head_dim) -> (n_tokens,
    n_heads * head_dim)."""
    if qkv.device.type != "cpu":
        return run_by_run(lambda part, run, _: attend(part, run), qkv, batch)
    buckets = _buckets(batch.runs, _NEAR_BF16 if qkv.dtype == torch.bfloat16 else _NEAR)
    parts = qkv.split([bucket.n_tokens for bucket in buckets])
    outputs = [
        attend(part, bucket.run) if bucket.layout is None else _together(part, bucket.run, bucket.layout)
        for part, bucket in zip(parts, buckets, strict=True)
    ]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _together(qkv: Tensor, run: Run, layout: Layout) -> Tensor:
    attended: Tensor = WrittenOutAttention.apply(qkv, run, layout.hidden, layout)  # type: ignore[no-untyped-call]
    return attended


@functools.lru_cache(maxsize=8)  # all layers of a pass ask for the same, and those of its way back do not ask
def _buckets(runs: tuple[Run, ...], most: int) -> tuple[Bucket, ...]:
    """Runs of up to _BLOCK tokens meet in one bucket; of the others those whose longest has `most` tokens or
    fewer, and half again as many and 4 more than the shortest."""
    short = [run for run in runs if run.length <= _BLOCK]
    found: list[list[Run]] = []
    for run in runs[len(short) :]:
        if found and run.length <= min(most, 1.5 * found[-1][0].length + 4):
            found[-1].append(run)
        else:
            found.append([run])
    groups = [(short, _BLOCK), *((group, 0) for group in found)]
    return tuple(_bucket(group, width) for group, width in groups if group)


def _bucket(runs: Sequence[Run], width: int) -> Bucket:
    """Sequences side by side in rows of at most `width` tokens, a longer one in a row of its own."""
    if len(runs) == 1:
        return Bucket(runs[0].n_sequences * runs[0].length, runs[0])
    lengths = np.repeat([run.length for run in runs], [run.n_sequences for run in runs])
    firsts = np.cumsum(lengths) - lengths
    row, taken = np.zeros_like(lengths), np.zeros_like(lengths)  # of each sequence, and what stands before it
    for i in range(1, len(lengths)):
        before = taken[i - 1] + lengths[i - 1]
        fits = before + lengths[i] <= width
        row[i], taken[i] = (row[i - 1], before) if fits else (row[i - 1] + 1, 0)
    n_rows, width = int(row[-1]) + 1, int((taken + lengths).max())
    n_tokens = int(lengths.sum())
    places = np.repeat(row * width + taken - firsts, lengths) + np.arange(n_tokens)
    tokens, owners = np.zeros(n_rows * width, np.int64), np.full((n_rows, width), -1)
    tokens[places] = np.arange(n_tokens)
    owners.flat[places] = np.repeat(np.arange(len(lengths)), lengths)
    hidden = np.where(owners[:, :, None] == owners[:, None, :], 0, -np.inf).astype(np.float32)
    with torch.inference_mode(False):  # a bucket that was first asked for in evaluation serves training too
        layout = Layout(*map(torch.from_numpy, (tokens, places, hidden[:, None])))
    return Bucket(n_tokens, Run(n_rows, width), layout)


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
    is_plain = biases is None and reach is None and q.device.type == "cpu"
    buckets = _rows(batch.runs) if is_plain else tuple(_bucket([run], 0) for run in batch.runs)
    seen = None if reach is None else reach + 1
    outputs = []
    queries = q.split([bucket.run.n_sequences for bucket in buckets])
    parts = kv.split([bucket.n_tokens for bucket in buckets])
    for i, (query, part, bucket) in enumerate(zip(queries, parts, buckets, strict=True)):
        placed = part if bucket.layout is None else part.index_select(0, bucket.layout.tokens)
        k, v = placed.view(*bucket.run, *kv.shape[1:])[:, :seen].permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if biases is None else biases[i][None, :, :1].to(q.dtype)
        if bucket.layout is not None:
            mask = bucket.layout.hidden[:, :, :1].to(q.dtype)
        attended = F.scaled_dot_product_attention(query[:, :, None], k, v, mask)
        outputs.append(attended.reshape(len(query), -1))
    return torch.cat(outputs)


@functools.lru_cache(maxsize=8)
def _rows(runs: tuple[Run, ...]) -> tuple[Bucket, ...]:
    """A row for each sequence: one query costs so little that all up to _SHORT tokens go together."""
    short = [run for run in runs if run.length <= _SHORT]
    groups = [*([short] if short else []), *([run] for run in runs[len(short) :])]
    return tuple(_bucket(group, 0) for group in groups)


class WrittenOutAttention(torch.autograd.Function):
    """`attend` by batched matrix products, with its derivative written out.

    With P = softmax(S), S = Q K^T / sqrt(head_dim) + B, O = P V: dV = P^T dO, dP = dO V^T,
    dS = P * (dP - rowsum(P * dP)), dQ = dS K / sqrt(head_dim), dK = dS^T Q / sqrt(head_dim), and dB is the
    sum of dS over the sequences."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, run: Run, bias: Tensor | None, layout: Layout | None = None) -> Tensor:
        """As of `attend`; with a layout, run and bias are those of its rectangle."""
        n, length = run
        _, _, n_heads, head_dim = qkv.shape
        if layout is not None:
            qkv = qkv.index_select(0, layout.tokens)
        heads = qkv.view(n, length, 3, n_heads, head_dim).permute(2, 0, 3, 1, 4)
        heads = heads.reshape(3, n * n_heads, length, head_dim)
        q, k, v = heads
        scores = scaled_bmm(q, k.transpose(1, 2), head_dim)
        if bias is not None:
            scores.view(n, n_heads, length, length).add_(bias)
        probabilities = scores.softmax(-1)
        ctx.save_for_backward(heads, probabilities)
        ctx.shape, ctx.layout = (n, length, n_heads, head_dim), layout
        attended = torch.bmm(probabilities, v).view(n, n_heads, length, head_dim)
        attended = attended.transpose(1, 2).reshape(n * length, n_heads * head_dim)
        return attended if layout is None else attended.index_select(0, layout.places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor | None, None]:
        heads, probabilities = ctx.saved_tensors
        n, length, n_heads, head_dim = ctx.shape
        q, k, v = heads
        if ctx.layout is not None:
            gradient = gradient.new_zeros(n * length, gradient.shape[1]).index_copy_(
                0, ctx.layout.places, gradient
            )
        outer = gradient.view(n, length, n_heads, head_dim).transpose(1, 2).reshape(q.shape)
        inner = torch.bmm(outer, v.transpose(1, 2))
        inner = torch._softmax_backward_data(inner, probabilities, -1, probabilities.dtype)
        found = torch.empty_like(heads)
        scaled_bmm(inner, k, head_dim, out=found[0])
        scaled_bmm(inner.transpose(1, 2), q, head_dim, out=found[1])
        torch.bmm(probabilities.transpose(1, 2), outer, out=found[2])
        found = found.view(3, n, n_heads, length, head_dim).permute(1, 3, 0, 2, 4)
        found = found.reshape(n * length, 3, n_heads, head_dim)
        if ctx.layout is not None:
            found = found.index_select(0, ctx.layout.places)
        of_bias = inner.view(n, n_heads, length, length).sum(0) if ctx.needs_input_grad[2] else None
        return found, None, of_bias, None


def scaled_bmm(
    a: Tensor, b: Tensor, head_dim: int, bias: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """a b / sqrt(head_dim) + bias, batch by batch, in one pass; bias is one for all batches."""
    if bias is None:
        return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=head_dim**-0.5, out=out)
    return torch.baddbmm(bias, a, b, alpha=head_dim**-0.5, out=out)
