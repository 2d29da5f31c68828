"""Attention by what is fastest, beside the plain reference: values and gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from whet.encoder.attention import FastAttention, PlainAttention
from whet.encoder.packing import PackedBatch, pack

HEADS, WIDTH = 3, 8  # of each head
MIXES = {
    "one length": [7] * 5,
    "short": [2, 3, 3, 5, 9, 11, 20, 24, 25, 47, 48],
    "short and longer": [1, 4, 30, 48, 49, 60, 61, 90, 127, 128, 129],
    "long": [129, 300, 513],
    "alone": [1],
}


def pack_of(lengths: list[int]) -> PackedBatch:
    ids = [np.zeros(length, np.int64) for length in lengths]
    return pack(ids, ids)


def both(lengths: list[int], dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor]]:
    """Values and gradients, of the fast kernel in dtype and of the reference in float64."""
    batch = pack_of(lengths)
    torch.manual_seed(len(lengths))
    drawn = torch.randn(batch.n_tokens, 3, HEADS, WIDTH, dtype=torch.float64)
    wanted = torch.randn(batch.n_tokens, HEADS * WIDTH, dtype=torch.float64)
    found = []
    for kernel, its in ((FastAttention(), dtype), (PlainAttention(), torch.float64)):
        qkv = drawn.to(its).requires_grad_()
        values = kernel(qkv, batch, None)
        (values * wanted.to(its)).sum().backward()
        assert qkv.grad is not None
        found.append([values.detach().double(), qkv.grad.double()])
    return found[0], found[1]


@pytest.mark.parametrize("mix", MIXES)
def test_values_and_gradients_are_those_of_the_reference(mix: str) -> None:
    """Proof that it can fail: without the mask between neighbours "short" is off by 1."""
    for ours, theirs in zip(*both(MIXES[mix]), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mix", MIXES)
def test_first_tokens_are_those_of_the_reference(mix: str) -> None:
    batch = pack_of(MIXES[mix])
    n = batch.n_sequences
    drawn = [torch.randn(n, HEADS, WIDTH), torch.randn(batch.n_tokens, 2, HEADS, WIDTH)]
    wanted = torch.randn(n, HEADS * WIDTH, dtype=torch.float64)
    found = []
    for kernel in (FastAttention(), PlainAttention()):
        q, kv = (tensor.double().requires_grad_() for tensor in drawn)
        values = kernel.first_tokens(q, kv, batch, None)
        (values * wanted).sum().backward()
        assert q.grad is not None
        assert kv.grad is not None
        found.append([values.detach(), q.grad, kv.grad])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 140), min_size=1, max_size=24))
def test_whatever_lengths_meet(lengths: list[int]) -> None:
    for ours, theirs in zip(*both(lengths), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("mix", MIXES)
def test_in_narrower_numbers_it_is_off_by_rounding(mix: str, dtype: torch.dtype, most: float) -> None:
    """Of the largest value; scores that are written out are rounded to bf16."""
    for ours, theirs in zip(*both(MIXES[mix], dtype), strict=True):
        assert (ours - theirs).abs().max() < most * theirs.abs().max()


def test_a_text_among_others_is_as_alone() -> None:
    lengths = MIXES["short"]
    batch = pack_of(lengths)
    qkv = torch.randn(batch.n_tokens, 3, HEADS, WIDTH, dtype=torch.float64)
    together = batch.unpack(FastAttention()(qkv, batch))
    for i, (length, part) in enumerate(zip(lengths, batch.unpack(qkv), strict=True)):
        alone = FastAttention()(part, pack_of([length]))
        assert torch.allclose(alone, together[i], rtol=0, atol=1e-13)


def test_what_evaluation_has_laid_out_serves_training() -> None:
    """Proof that it can fail: a layout made in inference mode cannot be saved for the way back."""
    lengths = [2, 3, 5, 8, 13, 21, 34, 55, 89]
    batch = pack_of(lengths)
    qkv = torch.randn(batch.n_tokens, 3, HEADS, WIDTH, requires_grad=True)
    q = qkv[: batch.n_sequences, 0]
    with torch.inference_mode():
        FastAttention()(qkv, batch)
        FastAttention().first_tokens(q, qkv[:, 1:], batch)
    values = FastAttention()(qkv, batch).sum() + FastAttention().first_tokens(q, qkv[:, 1:], batch).sum()
    values.backward()
    assert qkv.grad is not None
