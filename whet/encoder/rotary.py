"""Rotary positions (Su et al. 2021, "RoFormer"): queries and keys are turned by angles that grow with their
place, so that their product knows how far they stand apart."""

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from whet.encoder.attention import Kernel
from whet.encoder.packing import PackedBatch
from whet.encoder.positions import Positions


class Rotation(NamedTuple):
    """The angles of every token of a pack."""

    cos: Tensor  # (n_tokens, 1, 1, head_dim / 2) float32
    sin: Tensor  # alike


@final
class RotaryPositions(Positions):
    """Angles place * base^(-2 i / head_dim) for i of 0 .. head_dim / 2 - 1, of each base; no parameters.

    They are made in float32 whatever the encoder computes in, as the checkpoints were trained."""

    def __init__(self, head_dim: int, bases: tuple[float, ...]) -> None:
        """head_dim is even."""
        super().__init__()
        self.head_dim = head_dim
        self.bases = bases

    def forward(self, batch: PackedBatch) -> Mapping[float, Rotation]:
        """-> a rotation for each base."""
        device = batch.positions.device
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float32, device=device) / self.head_dim
        found = {}
        for base in self.bases:
            angles = batch.positions[:, None, None, None].float() * (1.0 / base**exponents)
            found[base] = Rotation(angles.cos(), angles.sin())
        return found


@final
class RotaryAttention(Kernel):
    """Another kernel's attention over queries and keys that are turned first; unit i is turned together with
    unit i + head_dim / 2."""

    def __init__(self, base: float, kernel: Kernel) -> None:
        """base is one of the positions' own."""
        self.base = base
        self.kernel = kernel

    def __call__(self, qkv: Tensor, batch: PackedBatch, places: Mapping[float, Rotation]) -> Tensor:
        return self.kernel(_turned(qkv, places[self.base]), batch, places)

    def first_tokens(
        self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Mapping[float, Rotation]
    ) -> Tensor:
        """The first token stands at place 0, whose angles are 0."""
        return self.kernel.first_tokens(q, _turned(kv, places[self.base]), batch, places)


def _turned(projections: Tensor, rotation: Rotation) -> Tensor:
    """All projections but the last, the values, turned: (n_tokens, k, n_heads, head_dim) -> the same."""
    turned: Tensor = _Turned.apply(projections, *rotation)  # type: ignore[no-untyped-call]
    return turned


class _Turned(torch.autograd.Function):
    """A turn, whose derivative is the turn back."""

    @staticmethod
    def forward(ctx: Any, projections: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(projections, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(gradient, cos, -sin), None, None


def _turn(projections: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(a, b) -> (a cos - b sin, b cos + a sin), computed in float32 at least and rounded once."""
    found = torch.empty_like(projections)
    found[:, -1] = projections[:, -1]
    turning = projections[:, :-1]
    wide = turning if torch.promote_types(turning.dtype, cos.dtype) == turning.dtype else turning.float()
    cos, sin = cos.to(wide.dtype), sin.to(wide.dtype)
    a, b = wide.chunk(2, dim=-1)
    into = found[:, :-1] if wide is turning else torch.empty_like(wide)
    into_a, into_b = into.chunk(2, dim=-1)
    torch.mul(a, cos, out=into_a).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=into_b).addcmul_(a, sin)
    if wide is not turning:
        found[:, :-1] = into
    return found
