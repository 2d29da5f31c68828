"""Local attention against a plain masked softmax, and what it holds in memory."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from whet.encoder import local_attention
from whet.encoder.attention import FastAttention, Kernel, SelfAttention
from whet.encoder.local_attention import LocalAttention
from whet.encoder.packing import PackedBatch, pack
from whet.encoder.rotary import RotaryAttention, RotaryPositions

N_HEADS, HEAD_DIM, REACH = 3, 10, 7
LENGTHS = (1, 2, 7, 8, 9, 21, 22, 23, 28, 29, 61, 61, 61, 200, 8, 21)  # on all sides of 1, 3 and 4 windows


def batch_of(lengths: tuple[int, ...]) -> PackedBatch:
    ids = [np.arange(n) for n in lengths]
    return pack(ids, ids)


def plain(qkv: Tensor, batch: PackedBatch, reach: int) -> Tensor:
    """Sequence by sequence, every score computed."""
    output = qkv.new_zeros(len(qkv), qkv[0, 0].numel())
    for start, n in zip(batch.starts.tolist(), batch.lengths, strict=True):
        q, k, v = qkv[start : start + n].permute(1, 2, 0, 3)
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        places = torch.arange(n)
        scores = scores.masked_fill((places[:, None] - places).abs() > reach, float("-inf"))
        rows = torch.arange(start, start + n)
        output = output.index_copy(0, rows, (scores.softmax(-1) @ v).transpose(0, 1).flatten(1))
    return output


def made(lengths: tuple[int, ...], width: int = HEAD_DIM, heads: int = N_HEADS) -> tuple[Tensor, PackedBatch]:
    batch = batch_of(lengths)
    qkv = torch.randn(batch.n_tokens, 3, heads, width, dtype=torch.float64) * 1.7
    return qkv, batch


@pytest.mark.parametrize("at_once", [1, 2000, 1 << 19])
def test_values_and_gradients_equal_a_masked_softmax(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many blocks are worked on at a time."""
    monkeypatch.setattr(local_attention, "_AT_ONCE", at_once)
    torch.manual_seed(0)
    qkv, batch = made(LENGTHS)
    direction = torch.randn(batch.n_tokens, N_HEADS * HEAD_DIM, dtype=torch.float64)
    found, gradients = [], []
    for attention in (LocalAttention(REACH), lambda qkv, batch: plain(qkv, batch, REACH)):
        leaf = qkv.clone().requires_grad_()
        out = attention(leaf, batch)
        (out * direction).sum().backward()
        found.append(out.detach())
        gradients.append(leaf.grad)
    assert (found[0] - found[1]).abs().max() < 1e-12
    assert (gradients[0] - gradients[1]).abs().max() < 1e-12
    assert (plain(qkv, batch, REACH + 1) - found[0]).abs().max() > 0.1, "the window matters"


def test_a_large_window_is_plain_attention() -> None:
    torch.manual_seed(1)
    qkv, batch = made(LENGTHS)
    difference = LocalAttention(199)(qkv, batch) - FastAttention()(qkv, batch)
    assert difference.abs().max() < 1e-12


@pytest.mark.parametrize("kernel", [LocalAttention(REACH), RotaryAttention(5.0, LocalAttention(REACH))])
def test_first_tokens_are_those_of_the_whole(kernel: Kernel) -> None:
    torch.manual_seed(2)
    batch = batch_of(LENGTHS)
    attention = SelfAttention(N_HEADS * HEAD_DIM, N_HEADS, kernel).double()
    hidden = torch.randn(batch.n_tokens, N_HEADS * HEAD_DIM, dtype=torch.float64)
    places = RotaryPositions(HEAD_DIM, (5.0,))(batch)
    whole = attention(hidden, batch, places)[batch.firsts]
    assert (attention.first_tokens(hidden, batch, places) - whole).abs().max() < 1e-12


def test_bf16_is_near_float32() -> None:
    torch.manual_seed(3)
    qkv, batch = made(LENGTHS)
    kernel = RotaryAttention(5.0, LocalAttention(REACH))
    places = RotaryPositions(HEAD_DIM, (5.0,))(batch)
    narrow = qkv.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = kernel(narrow, batch, places)
    found.float().sum().backward()
    wide = qkv.bfloat16().double().requires_grad_()
    expected = kernel(wide, batch, places)
    expected.sum().backward()
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().mean() < 0.01 < expected.abs().mean()
    assert (narrow.grad - wide.grad).abs().mean() < 0.02 < wide.grad.abs().mean()  # type: ignore[union-attr, operator]


class Largest(TorchDispatchMode):
    """The largest tensor that any operation makes, in numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else [found]:
            if isinstance(one, Tensor):
                self.numbers = max(self.numbers, one.numel())
        return found


def largest(kernel: Kernel, length: int, dtype: torch.dtype) -> int:
    """In attention to one long sequence, there and back; the processor's fused kernel is one operation."""
    batch = batch_of((length,))
    qkv = torch.randn(length, 3, 2, 4, dtype=dtype, requires_grad=True)
    places = RotaryPositions(4, (10_000.0,))(batch)
    with Largest() as seen:
        kernel(qkv, batch, places).sum().backward()
        kernel.first_tokens(qkv[:1, 0], qkv[:, 1:], batch, places).sum().backward()
    return seen.numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernel", [LocalAttention(16), FastAttention()])
def test_no_tensor_grows_with_the_square_of_the_length(kernel: Kernel, dtype: torch.dtype) -> None:
    """Of a long sequence the largest is the packed projections, or the blocks that are worked on."""
    length = 1031
    rotary = RotaryAttention(10_000.0, kernel)
    assert largest(rotary, length, dtype) <= max(2 * 3 * 2 * 4 * length, local_attention._AT_ONCE)
    assert largest(rotary, 4 * length, dtype) <= 4 * max(2 * 3 * 2 * 4 * length, local_attention._AT_ONCE)


def test_the_measure_sees_a_square() -> None:
    class Square(Kernel):
        def __call__(self, qkv: Tensor, batch: PackedBatch, places: Any) -> Tensor:
            return plain(qkv, batch, 16)

        def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Any) -> Tensor:
            return q

    assert largest(Square(), 1024, torch.float32) >= 1024**2


def test_a_long_sequence_is_really_in_the_fused_kernel() -> None:
    """Its plain form, which torch takes where the fused one cannot be used, would hold the square."""
    names: set[str] = set()

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.add(function.__name__)
            return function(*args, **(kwargs or {}))

    qkv, batch = made((400, 400, 129))
    with Names():
        FastAttention()(qkv.requires_grad_(), batch).sum().backward()
    assert "_scaled_dot_product_flash_attention_for_cpu.default" in names
    assert "_scaled_dot_product_flash_attention_for_cpu_backward.default" in names
    assert not any("softmax" in name for name in names)
