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


@given(st.lists(st.integers(1, 13), min_size=1, max_size=17), st.integers(1, 40))
def test_a_filler_rounds_the_size_up_and_moves_nobody(lengths: list[int], multiple: int) -> None:
    ids = [np.arange(n) + 100 * i for i, n in enumerate(lengths)]
    marks = [np.arange(n) % 2 == 0 for n in lengths]
    keys = np.arange(1, len(lengths) + 1).astype(np.uint64)
    plain, filled = (pack(ids, ids, keys, marks, multiple=m) for m in (1, multiple))
    assert filled.n_tokens == -(-sum(lengths) // multiple) * multiple
    assert filled.lengths == plain.lengths
    assert sum(run.n_sequences * run.length for run in filled.runs) == filled.n_tokens
    assert (
        filled.boundaries.tolist() == np.cumsum([0, *(n for c, n in filled.runs for _ in range(c))]).tolist()
    )
    assert int(filled.positions.max()) <= max(max(lengths), 1)
    assert set(filled.token_ids.tolist()) == set(plain.token_ids.tolist()), "it brings no new word"
    for name in ("token_ids", "positions", "dropout_keys"):
        both = zip(plain.unpack(getattr(plain, name)), filled.unpack(getattr(filled, name)), strict=True)
        assert all(torch.equal(a, b) for a, b in both)
    assert plain.reads is not None
    assert filled.reads is not None
    assert torch.equal(plain.token_ids[plain.reads], filled.token_ids[filled.reads])


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
