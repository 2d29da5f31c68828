"""Packing and its inverse, in the caller's order."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whet.encoder.packing import pack


@given(st.lists(st.integers(1, 13), min_size=1, max_size=17))
def test_unpacking_is_the_inverse_of_packing(lengths: list[int]) -> None:
    random = np.random.default_rng(len(lengths))
    ids = [random.integers(0, 101, n) for n in lengths]
    types = [random.integers(0, 2, n) for n in lengths]
    batch = pack(ids, types)
    assert batch.n_tokens == sum(lengths)  # no padding
    assert batch.lengths == tuple(lengths)
    assert sum(run.n_sequences * run.length for run in batch.runs) == batch.n_tokens
    for mine, tensor in ((ids, batch.token_ids), (types, batch.type_ids)):
        for row, found in zip(mine, batch.unpack(tensor), strict=True):
            assert found.tolist() == row.tolist()
    assert [row.tolist() for row in batch.unpack(batch.positions)] == [list(range(n)) for n in lengths]


def test_keys_follow_the_text_and_not_its_place_in_the_pack() -> None:
    ids = [np.arange(1, n + 1) for n in (5, 3, 7)]
    keys = np.array([11, 22, 33], np.uint64)
    whole = pack(ids, ids, keys)
    alone = pack(ids[2:], ids[2:], keys[2:])
    assert torch.equal(whole.unpack(whole.dropout_keys)[2], alone.dropout_keys)


@pytest.mark.parametrize(
    ("ids", "types"), [([], []), ([np.arange(0)], [np.arange(0)]), ([np.arange(3)], [np.arange(2)])]
)
def test_what_is_no_pack_is_refused(ids: list[np.ndarray], types: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"pack|type_ids"):
        pack(ids, types)
