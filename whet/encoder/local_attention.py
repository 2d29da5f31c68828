"""Attention to near tokens only, at a cost that is linear in a sequence's length."""

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from whet.encoder.attention import Kernel
from whet.encoder.packing import PackedBatch, Run
from whet.encoder.run_attention import attend, attend_firsts, run_by_run, scaled_bmm
from whet.encoder.varlen_attention import takes_varlen, varlen_attention

_AT_ONCE = 1 << 19  # scores that are held at a time: 2 MB in float32, about what a core's cache holds


@final
class LocalAttention(Kernel):
    """Softmax(q k^T / sqrt(head_dim)) v within each sequence, of tokens that are at most `reach` apart."""

    def __init__(self, reach: int) -> None:
        """reach is at least 1."""
        self.reach = reach

    def __call__(self, qkv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
        if takes_varlen(qkv):
            return varlen_attention(qkv, batch, self.reach)
        return run_by_run(lambda part, run, _: self._attend(part, run), qkv, batch)

    def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Any = None) -> Tensor:
        return attend_firsts(q, kv, batch, reach=self.reach)

    def _attend(self, qkv: Tensor, run: Run) -> Tensor:
        if run.length <= self.reach + 1:  # everything is near
            return attend(qkv, run)
        if run.length <= 3 * self.reach:  # blocks would not have less to do
            places = torch.arange(run.length, device=qkv.device)
            return attend(qkv, run, _bias(places, places, self.reach, qkv.dtype))
        blocked: Tensor = _BlockedAttention.apply(qkv, run, self.reach)  # type: ignore[no-untyped-call]
        return blocked


def _bias(queries: Tensor, keys: Tensor, reach: int, dtype: torch.dtype) -> Tensor:
    """Places (n,) and (m,) -> (n, m): 0 where they are at most `reach` apart, else -inf."""
    is_far = (queries[:, None] - keys).abs() > reach
    return torch.zeros(is_far.shape, dtype=dtype, device=keys.device).masked_fill(is_far, float("-inf"))


class _BlockedAttention(torch.autograd.Function):
    """Local attention of one run: a block of `reach` queries looks at itself and its two neighbours.

    Queries, keys and values of all sequences and heads stand block by block in one line, with an empty block
    at either end, so that the keys of a block are a view of the line that begins one block before. A few
    blocks are worked on at a time, and nothing but the line is kept: the way back makes the probabilities
    once more (as Dao et al. 2022, "FlashAttention"), which costs a product and saves 3 * reach numbers for
    each token and head. The formulas are those of `run_attention.WrittenOutAttention`."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, run: Run, reach: int) -> Tensor:
        """(n * length, 3, n_heads, head_dim) -> (n * length, n_heads * head_dim)."""
        blocks = _Blocks(run, qkv.shape[2], reach)
        line = blocks.line(qkv)
        ctx.save_for_backward(line)
        ctx.blocks = blocks
        attended = torch.empty_like(line[0])
        with torch.autocast(qkv.device.type, enabled=False):  # dtypes are settled: those of the line
            for start, end in blocks.pieces():
                q, k, v = blocks.piece(line, start, end)
                torch.bmm(blocks.probabilities(q, k, start), v, out=attended[start + 1 : end + 1])
        return blocks.unline(attended[None]).flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (line,) = ctx.saved_tensors
        blocks: _Blocks = ctx.blocks
        n_heads, head_dim = blocks.n_heads, line.shape[-1]
        outers = blocks.line(gradient.reshape(-1, 1, n_heads, head_dim))[0]
        found = torch.zeros_like(line)
        for start, end in blocks.pieces():
            q, k, v = blocks.piece(line, start, end)
            outer = outers[start + 1 : end + 1]
            probabilities = blocks.probabilities(q, k, start)
            inner = torch.bmm(outer, v.transpose(1, 2))
            inner = torch._softmax_backward_data(inner, probabilities, -1, probabilities.dtype)
            scaled_bmm(inner, k, head_dim, out=found[0, start + 1 : end + 1])
            for_keys = scaled_bmm(inner.transpose(1, 2), q, head_dim)
            for_values = torch.bmm(probabilities.transpose(1, 2), outer)
            for lane, windows in ((found[1], for_keys), (found[2], for_values)):
                for i, block in enumerate(windows.unflatten(1, (3, -1)).unbind(1)):
                    lane[start + i : end + i] += block
        return blocks.unline(found), None, None


@final
class _Blocks:
    """How the sequences and heads of a run are laid out in a line of blocks."""

    def __init__(self, run: Run, n_heads: int, reach: int) -> None:
        self.run = run
        self.n_heads = n_heads
        self.reach = reach
        self.each = -(-run.length // reach)  # blocks of one sequence and head
        self.n_blocks = run.n_sequences * n_heads * self.each

    def line(self, tokens: Tensor) -> Tensor:
        """(n * length, k, n_heads, head_dim) -> (k, 1 + n_blocks + 1, reach, head_dim), zeros where no token
        is."""
        n, length = self.run
        _, k, _, head_dim = tokens.shape
        line = tokens.new_zeros(k, self.n_blocks + 2, self.reach, head_dim)
        self._places(line)[..., :length, :] = tokens.view(n, length, k, -1, head_dim).permute(2, 0, 3, 1, 4)
        return line

    def unline(self, line: Tensor) -> Tensor:
        """The inverse of `line`; k of one is dropped."""
        n, length = self.run
        k, _, _, head_dim = line.shape
        tokens = self._places(line)[..., :length, :].permute(1, 3, 0, 2, 4)
        return tokens.reshape(n * length, k, self.n_heads, head_dim).squeeze(1)

    def _places(self, line: Tensor) -> Tensor:
        """A view (k, n, n_heads, each * reach, head_dim) of a line without its ends."""
        inner = line[:, 1:-1]
        return inner.view(len(line), self.run.n_sequences, self.n_heads, -1, line.shape[-1])

    def pieces(self) -> Iterator[tuple[int, int]]:
        """The blocks that are worked on at a time, from (inclusive) and to (exclusive)."""
        step = max(1, _AT_ONCE // (3 * self.reach**2))
        for start in range(0, self.n_blocks, step):
            yield start, min(start + step, self.n_blocks)

    def piece(self, line: Tensor, start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (end - start, reach, head_dim) of some blocks, and their keys and values
        (end - start, 3 * reach, head_dim), which overlap and are not copied."""
        head_dim = line.shape[-1]
        shape, strides = (end - start, 3 * self.reach, head_dim), (self.reach * head_dim, head_dim, 1)
        k, v = (lane.as_strided(shape, strides, lane.storage_offset()) for lane in line[1:, start:])
        return line[0, start + 1 : end + 1], k, v

    def probabilities(self, q: Tensor, k: Tensor, start: int) -> Tensor:
        """Of the blocks from `start` on: (n, reach, 3 * reach), 0 where a key is far or not of the sequence.

        Every query, be it beyond the sequence's end, is near some token of its sequence."""
        reach, length = self.reach, self.run.length
        keys = torch.arange(-reach, 2 * reach, device=q.device)
        scores = scaled_bmm(
            q, k.transpose(1, 2), q.shape[-1], _bias(keys[reach : 2 * reach], keys, reach, q.dtype)
        )
        scores[-start % self.each :: self.each, :, :reach] = float("-inf")
        for block in (self.each - 2, self.each - 1):
            real = length - (block - 1) * reach  # keys of this block that the sequence has
            if real < 3 * reach:
                scores[(block - start) % self.each :: self.each, :, real:] = float("-inf")
        return scores.softmax(-1)
