"""Disentangled attention: content and relative position have vectors of their own (He et al. 2020, "DeBERTa:
Decoding-enhanced BERT with disentangled attention"; log buckets as of its second version).

The score of query i for key j, of one head, is
    (q_i . k_j + q_i . position_key[i - j] + k_j . position_query[i - j]) / sqrt(3 head_dim).
The last two depend on i - j, so a row of them is made by products with the vectors of all distances, laid
side by side, and row i + 1 of the square of scores begins one distance before row i: a view of the products
whose rows are one shorter than they are. So nothing is gathered.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from whet.encoder.attention import Attention
from whet.encoder.packing import PackedBatch, Run
from whet.encoder.positions import Positions
from whet.encoder.table import table

_KEPT = 512  # tokens; probabilities of longer sequences are computed again in the backward pass
_BLOCK = 64  # queries (or keys) whose products with distances are made at once
_PIECE = 1 << 22  # scores that are made at once, unless those of a single sequence are more


class Relative(NamedTuple):
    """What `RelativeBuckets` says of a pack; `longest` is the tokens in its longest sequence."""

    rows: Tensor  # (n_rows, hidden_size), the vectors of the buckets that occur
    row_of: Tensor  # (2 * longest - 1,) int64, the rows of the distances 1 - longest to longest - 1


@final
class RelativeBuckets(Positions):
    """A learnt vector for each bucket of distances, which all layers share."""

    def __init__(
        self, n_buckets: int, farthest: int, logarithmic: bool, width: int, norm: nn.Module | None
    ) -> None:
        """n_buckets on either side; farthest is the distance whose bucket is the last of logarithmic ones."""
        super().__init__()
        self.n_buckets = n_buckets
        self.farthest = farthest
        self.logarithmic = logarithmic
        self.table = table(2 * n_buckets, width)
        self.norm = norm

    def forward(self, batch: PackedBatch) -> Relative:
        longest = batch.longest
        buckets = torch.arange(1 - longest, longest, device="cpu")
        if self.logarithmic:
            buckets = log_buckets(buckets, self.n_buckets, self.farthest)
        places = (buckets + self.n_buckets).clamp_(0, 2 * self.n_buckets - 1)
        first, last = int(places[0]), int(places[-1])
        rows = self.table.weight[first : last + 1]
        row_of = (places - first).to(rows.device, non_blocking=True)
        return Relative(rows if self.norm is None else self.norm(rows), row_of)


def log_buckets(distances: Tensor, n_buckets: int, farthest: int) -> Tensor:
    """Distances below n_buckets / 2 have a bucket each; from there to `farthest` buckets grow with the
    logarithm, up to n_buckets - 1: (n,) int64 -> (n,) int64, negative for negative distances.

    In float32, as when the checkpoints were trained: rounding decides at the edges of buckets."""
    middle = n_buckets // 2
    away = distances.abs()
    span = torch.log(torch.tensor((farthest - 1) / middle, dtype=torch.float32, device=distances.device))
    parts = torch.log(away.clamp(min=middle).float() / middle) / span * (middle - 1)
    far = (parts.ceil() + middle) * distances.sign()
    return torch.where(away <= middle, distances, far.long())


@final
class DisentangledAttention(Attention):
    """Content to content, content to position and position to content; `places` is a `Relative`."""

    def __init__(self, hidden_size: int, n_heads: int, position_projection: nn.Linear | None) -> None:
        """position_projection makes queries and keys of positions, hidden_size -> 2 * hidden_size; None
        where the projections of queries and keys of the content do that too."""
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.position_projection = position_projection
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: Tensor, batch: PackedBatch, places: Relative) -> Tensor:
        qkv = self.qkv(hidden).view(hidden.shape[0], 3, self.n_heads, -1)
        attended: Tensor = self.output(disentangled(qkv, *self._positions(places), batch.runs))
        return attended

    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Relative) -> Tensor:
        width = hidden.shape[1]
        head_dim = width // self.n_heads
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(hidden.index_select(0, batch.firsts), weight[:width], bias[:width]).view(
            -1, self.n_heads, head_dim
        )
        kv = F.linear(hidden, weight[width:], bias[width:]).view(-1, 2, self.n_heads, head_dim)
        # The first query is at distance 0, -1, -2 ... from the keys.
        longest = (len(places.row_of) + 1) // 2
        position_q, position_k = (
            table[:longest].flip(0).transpose(0, 1) for table in self._positions(places)
        )  # (n_heads, longest, head_dim)
        queries = q.split([n for n, _ in batch.runs])
        parts = kv.split([n * length for n, length in batch.runs])
        outputs = []
        for query, part, (n, length) in zip(queries, parts, batch.runs, strict=True):
            k, v = part.view(n, length, 2, self.n_heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
            by_content = torch.bmm(query.transpose(0, 1), position_k[:, :length].transpose(1, 2))
            bias = by_content.transpose(0, 1) + (k * position_q[:, :length]).sum(-1)
            scale = _scale(head_dim)
            attended = F.scaled_dot_product_attention(
                query[:, :, None], k, v, attn_mask=bias[:, :, None] * scale, scale=scale
            )
            outputs.append(attended.reshape(n, width))
        firsts: Tensor = self.output(torch.cat(outputs))
        return firsts

    def _positions(self, places: Relative) -> tuple[Tensor, Tensor]:
        """Queries and keys of positions, of the distances 1 - longest to longest - 1: each
        (2 * longest - 1, n_heads, head_dim)."""
        if self.position_projection is None:
            n_outputs = 2 * self.output.in_features
            projected = F.linear(places.rows, self.qkv.weight[:n_outputs], self.qkv.bias[:n_outputs])
        else:
            projected = self.position_projection(places.rows)
        q, k = projected.view(len(places.rows), 2, self.n_heads, -1).unbind(1)
        return q.index_select(0, places.row_of), k.index_select(0, places.row_of)


def disentangled(qkv: Tensor, position_q: Tensor, position_k: Tensor, runs: Sequence[Run]) -> Tensor:
    """Attention within each sequence of a pack: qkv (n_tokens, 3, n_heads, head_dim), positions as
    `DisentangledAttention` makes them, all of one dtype -> (n_tokens, n_heads * head_dim)."""
    pieces = tuple(_pieces(runs, qkv.shape[2]))
    apply: Callable[..., Tensor] = _Disentangled.apply
    # Keys of positions are read from the largest distance down: a later key j is at a lower i - j.
    found = apply(qkv, position_q, position_k.flip(0), pieces)
    return found.flatten(1)


def _pieces(runs: Sequence[Run], n_heads: int) -> Iterator[Run]:
    """Runs cut so that no more than _PIECE scores are made at once."""
    for n, length in runs:
        most = max(1, _PIECE // (n_heads * length * length))
        for start in range(0, n, most):
            yield Run(min(most, n - start), length)


class _Disentangled(torch.autograd.Function):
    """A pack's attention piece by piece, with its derivative written out, as of `run_attention`.
    Of a piece its queries, keys, values and probabilities are kept."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, by_key: Tensor, by_query: Tensor, pieces: tuple[Run, ...]) -> Tensor:
        """by_query (2 * longest - 1, n_heads, head_dim) meets queries, by_key keys; each is in the order in
        which its products are read. -> (n_tokens, n_heads, head_dim)."""
        n_tokens, _, n_heads, head_dim = qkv.shape
        attended = qkv.new_empty(n_tokens, n_heads, head_dim)
        sizes = [n * length for n, length in pieces]
        kept: list[Tensor | None] = []
        with torch.autocast(qkv.device.type, enabled=False):
            for part, out, run in zip(qkv.split(sizes), attended.split(sizes), pieces, strict=True):
                heads = part.view(*run, 3, n_heads, head_dim).permute(2, 3, 0, 1, 4).contiguous()
                probabilities = _probabilities(heads, by_key, by_query)
                found = torch.bmm(probabilities, heads[2].flatten(0, 1)).view(n_heads, *run, head_dim)
                out.view(*run, n_heads, head_dim).copy_(found.permute(1, 2, 0, 3))
                kept += [heads, probabilities if run.length <= _KEPT else None]
        ctx.save_for_backward(by_key, by_query, *kept)
        ctx.pieces = pieces
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        by_key, by_query, *kept = ctx.saved_tensors
        n_tokens, n_heads, head_dim = gradient.shape
        sizes = [n * length for n, length in ctx.pieces]
        d_qkv = gradient.new_empty(n_tokens, 3, n_heads, head_dim)
        exact = torch.promote_types(by_key.dtype, torch.float32)  # every piece adds to these
        d_by_key, d_by_query = (
            table.new_zeros(n_heads, len(table), head_dim, dtype=exact) for table in (by_key, by_query)
        )
        with torch.autocast(gradient.device.type, enabled=False):
            whole = zip(gradient.split(sizes), d_qkv.split(sizes), ctx.pieces, strict=True)
            for (part, out, run), heads, probabilities in zip(whole, kept[::2], kept[1::2], strict=True):
                if probabilities is None:
                    probabilities = _probabilities(heads, by_key, by_query)
                outer = (
                    part.view(*run, n_heads, head_dim).permute(2, 0, 1, 3).reshape(-1, run.length, head_dim)
                )
                q, k, v = heads.flatten(1, 2)
                inner = torch.bmm(outer, v.transpose(1, 2))
                inner = torch._softmax_backward_data(inner, probabilities, -1, probabilities.dtype)
                found = torch.empty_like(heads)
                d_q, d_k, d_v = found.flatten(1, 2)
                torch.bmm(inner, k, out=d_q)
                torch.bmm(inner.transpose(1, 2), q, out=d_k)
                torch.bmm(probabilities.transpose(1, 2), outer, out=d_v)
                square = inner.view(n_heads, run.n_sequences, run.length, run.length)
                _add_derivatives(square, heads[0], by_query, found[0], d_by_query)
                _add_derivatives(square.transpose(2, 3), heads[1], by_key, found[1], d_by_key)
                found[:2].mul_(_scale(head_dim))
                out.view(*run, 3, n_heads, head_dim).copy_(found.permute(2, 3, 0, 1, 4))
        d_by_key, d_by_query = (
            table.mul_(_scale(head_dim)).transpose(0, 1).to(by_key.dtype) for table in (d_by_key, d_by_query)
        )
        return d_qkv, d_by_key, d_by_query, None


def _scale(head_dim: int) -> float:
    """Of the sum of three products: content, position of the key, position of the query. The root is rounded
    to float32, as it is in transformers whatever the weights are."""
    return 1.0 / float(np.sqrt(np.float32(3 * head_dim)))


def _probabilities(heads: Tensor, by_key: Tensor, by_query: Tensor) -> Tensor:
    """(3, n_heads, n, length, head_dim) -> (n_heads * n, length, length)."""
    _, n_heads, n, length, head_dim = heads.shape
    q, k, _ = heads.flatten(1, 2)
    scale = _scale(head_dim)
    scores = torch.baddbmm(q.new_empty(1, 1, 1), q, k.transpose(1, 2), beta=0, alpha=scale)
    square = scores.view(n_heads, n, length, length)
    _add_products(square, heads[0], by_query, scale)
    _add_products(square.transpose(2, 3), heads[1], by_key, scale)
    return scores.softmax(-1)


def _add_products(scores: Tensor, x: Tensor, table: Tensor, scale: float) -> None:
    """Adds scale * (x_a . table[b - a]) to row a, column b: scores (n_heads, n, length, length), x
    (n_heads, n, length, head_dim), table (2 * longest - 1, n_heads, head_dim) from 1 - longest on."""
    for rows in _blocks(x.shape[2]):
        window = _window(table.transpose(0, 1), x.shape[2], rows)
        products = torch.bmm(x[:, :, rows].flatten(1, 2), window.transpose(1, 2))
        block = scores[:, :, rows]
        block.add_(_shifted(products, block.shape), alpha=scale)


def _add_derivatives(d_scores: Tensor, x: Tensor, table: Tensor, d_x: Tensor, d_table: Tensor) -> None:
    """The derivative of `_add_products` for scale 1, added to that of x, and of the table, heads first."""
    for rows in _blocks(x.shape[2]):
        window = _window(table.transpose(0, 1), x.shape[2], rows)
        block = d_scores[:, :, rows]
        n_heads, n, n_rows, _ = block.shape
        d_products = x.new_zeros(n_heads, n * n_rows, window.shape[1])
        _shifted(d_products, block.shape).copy_(block)
        d_x[:, :, rows].add_(torch.bmm(d_products, window).view(n_heads, n, n_rows, -1))
        d_window = torch.bmm(d_products.transpose(1, 2), x[:, :, rows].flatten(1, 2))
        _window(d_table, x.shape[2], rows).add_(d_window)


def _blocks(length: int) -> Iterator[slice]:
    """The rows of a square, some at a time: a block of n_rows needs length + n_rows - 1 distances only."""
    return (slice(start, min(start + _BLOCK, length)) for start in range(0, length, _BLOCK))


def _window(table: Tensor, length: int, rows: slice) -> Tensor:
    """What rows of a square need of a table: (n_heads, 2 * longest - 1, head_dim) ->
    (n_heads, length + n_rows - 1, head_dim), from 1 - rows.stop on."""
    longest = (table.shape[1] + 1) // 2
    return table[:, longest - rows.stop : longest + length - 1 - rows.start]


def _shifted(products: Tensor, shape: torch.Size) -> Tensor:
    """Products of rows and distances (n_heads, n * n_rows, length + n_rows - 1), contiguous, as a view
    (n_heads, n, n_rows, length): each row begins one distance before the row above."""
    n_heads, n, n_rows, length = shape
    width = length + n_rows - 1
    size = n_rows * width
    return products.as_strided((n_heads, n, n_rows, length), (n * size, size, width - 1, 1), n_rows - 1)
