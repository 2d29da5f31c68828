"""Masks are a function of (seed, step, text, place), and as random as dropout needs."""

import numpy as np
import pytest
import torch
from scipy import stats

from whet.encoder.dropout import KeyedDropout, keep_mask, sequence_keys


def keys(seed: int, step: int, n: int) -> torch.Tensor:
    return torch.from_numpy(sequence_keys(seed, step, np.arange(n)).view(np.int64))


@pytest.mark.parametrize("p", [0.1, 0.37, 0.5])
def test_share_dropped_is_binomial(p: float) -> None:
    dropped = int((~keep_mask(keys(0, 1, 4001), 3, 387, p)).sum())
    n = 4001 * 387
    level = round(p * 65536) / 65536
    assert stats.binomtest(dropped, n, level).pvalue > 1e-4


def test_masks_of_rows_columns_sites_steps_and_seeds_are_unrelated() -> None:
    base = keep_mask(keys(0, 1, 997), 3, 384, 0.5).double()
    others = {
        "next site": keep_mask(keys(0, 1, 997), 4, 384, 0.5),
        "next step": keep_mask(keys(0, 2, 997), 3, 384, 0.5),
        "next seed": keep_mask(keys(1, 1, 997), 3, 384, 0.5),
        "next row": base.roll(1, 0),
        "next column": base.roll(1, 1),
        "four columns on": base.roll(4, 1),
    }
    for name, other in others.items():
        r = float(torch.corrcoef(torch.stack([base.flatten(), other.double().flatten()]))[0, 1])
        assert abs(r) < 4.5 / (997 * 384) ** 0.5, name  # 4.5 standard errors of a zero correlation


def test_every_column_is_dropped_equally_often() -> None:
    counts = (~keep_mask(keys(5, 9, 20011), 0, 131, 0.1)).sum(0).numpy()
    assert stats.chisquare(counts).pvalue > 1e-4


def test_values_are_scaled_and_evaluation_is_the_identity() -> None:
    dropout = KeyedDropout(0.1, site=2)
    x = torch.ones(503, 61, dtype=torch.float64)
    dropped = dropout(x, keys(0, 0, 503))
    level = round(0.1 * 65536) / 65536
    assert torch.equal(dropped[dropped != 0], torch.full_like(dropped[dropped != 0], 1 / (1 - level)))
    assert torch.equal(dropout.eval()(x, keys(0, 0, 503)), x)
    assert torch.equal(KeyedDropout(0.0, site=2)(x, keys(0, 0, 503)), x)


def test_nothing_depends_on_generator_state() -> None:
    torch.manual_seed(1)
    first = keep_mask(keys(0, 1, 17), 0, 11, 0.5)
    torch.manual_seed(2)
    torch.rand(3)
    assert torch.equal(first, keep_mask(keys(0, 1, 17), 0, 11, 0.5))


def test_the_tensor_hash_is_the_array_hash() -> None:
    """Two spellings of SplitMix64's finaliser, against its published first outputs for seed 1234567."""
    from whet.encoder import dropout

    state, found = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % (1 << 64)
        found.append(int(dropout._mix_numpy(np.array([state], np.uint64))[0]))
        signed = torch.tensor([state - (1 << 64) if state >= 1 << 63 else state])
        assert int(dropout._mix(signed)) % (1 << 64) == found[-1]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]
