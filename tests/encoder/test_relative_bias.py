"""What all families' tests leave out of a bias on attention: frozen tables, and what a pack is asked for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from whet.encoder.packing import PackedBatch, Run, pack
from whet.encoder.relative_bias import BiasedAttention, RelativeBias

N_HEADS, HEAD_DIM = 3, 7


def packed(lengths: list[int]) -> PackedBatch:
    ids = [np.ones(n, np.int64) for n in lengths]
    return pack(ids, ids)


def biased(lengths: list[int]) -> tuple[PackedBatch, RelativeBias, Tensor]:
    torch.manual_seed(11)
    positions = RelativeBias(32, N_HEADS).double()
    torch.nn.init.normal_(positions.table.weight)
    batch = packed(lengths)
    return batch, positions, torch.randn(batch.n_tokens, 3, N_HEADS, HEAD_DIM, dtype=torch.float64)


def gradient(batch: PackedBatch, positions: RelativeBias, qkv: Tensor) -> Tensor:
    qkv = qkv.clone().requires_grad_()
    attended = BiasedAttention()(qkv, batch, positions(batch))
    direction = torch.randn(attended.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (attended * direction).sum().backward()
    assert qkv.grad is not None
    return qkv.grad


def test_a_frozen_table_gives_the_same_gradients() -> None:
    """It takes another way where texts are long: torch's fused kernel."""
    batch, positions, qkv = biased([5, 131, 131, 40])
    expected = gradient(batch, positions, qkv)
    assert positions.table.weight.grad is not None
    positions.requires_grad_(False)
    assert float((gradient(batch, positions, qkv) - expected).abs().max()) < 1e-12


def test_written_out_derivatives_are_right() -> None:
    batch, positions, qkv = biased([2, 5, 5])

    def attended(table: Tensor, qkv: Tensor) -> Tensor:
        bias = torch.func.functional_call(positions, {"table.weight": table}, (batch,))
        return BiasedAttention()(qkv, batch, bias)

    table = positions.table.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(attended, (table, qkv.requires_grad_()))


def test_the_first_token_is_asked_alike() -> None:
    batch, positions, qkv = biased([1, 9, 140, 9])
    places = positions(batch)
    whole = BiasedAttention()(qkv, batch, places)[batch.firsts]
    firsts = BiasedAttention().first_tokens(qkv[batch.firsts, 0], qkv[:, 1:], batch, places)
    assert float((whole - firsts).detach().abs().max()) < 1e-12


@pytest.mark.parametrize("length", [1, 2, 16, 128, 129, 300])
def test_the_bias_of_a_run_does_not_depend_on_the_others(length: int) -> None:
    _, positions, _ = biased([1])
    alone, beside = positions(packed([length, length])), positions(packed([length, 310]))
    assert packed([length, length]).runs == (Run(2, length),)
    assert torch.equal(alone[0], beside[0])
    assert alone[0].shape == (N_HEADS, length, length)  # one for all its texts
