"""Held-out rows: whole groups, every class on both sides if it can be, shares kept, the same for a seed."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.data.splitting import grouped_stratified_split, text_groups


def split(labels, groups=None, fraction=0.2, seed=0, **options):
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    return grouped_stratified_split(labels, groups, fraction, seed, **options)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 25)), min_size=1, max_size=60),
    st.sampled_from([0.05, 0.1, 0.2, 0.5]),
    st.integers(0, 3),
    st.sampled_from([1, 3, 5000]),
)
def test_what_always_holds(rows, fraction, seed, most):
    labels, groups = np.array(rows).T
    held = split(labels, groups, fraction, seed, most=most)
    assert held.shape == labels.shape
    assert held.dtype == np.bool_
    assert not set(groups[held]) & set(groups[~held])
    assert set(labels[~held]) == set(labels)
    assert held.sum() <= most
    assert (held == split(labels, groups, fraction, seed, most=most)).all()


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=300), st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 3)
)
def test_without_duplicates_the_shares_are_exact(labels, fraction, seed):
    labels = np.array(labels)
    held = split(labels, fraction=fraction, seed=seed)
    counts = np.bincount(labels)
    total = max(1, round(fraction * len(labels)))
    can_be_held = int((counts >= 2).sum())
    if can_be_held:
        assert held.sum() == min(total, int(np.maximum(counts - 1, 0).sum()))
    got = np.bincount(labels[held], minlength=len(counts))
    if total >= can_be_held:
        assert (got[counts >= 2] >= 1).all()
    if (total * counts / len(labels) >= 1).all():  # no class has to be lifted to one row
        assert (np.abs(got - total * counts / len(labels)) <= 1).all()


def test_groups_of_several_classes_are_held_too():
    """Documents with rows of many classes: the split is by document, and shares stay near."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 200, 4000)
    labels = rng.choice(4, 4000, p=[0.6, 0.25, 0.1, 0.05])
    held = split(labels, groups, 0.2)
    shares = np.bincount(labels[held]) / held.sum()
    assert 0.15 < held.mean() <= 0.21
    assert np.abs(shares - [0.6, 0.25, 0.1, 0.05]).max() < 0.03


def test_one_class_in_two_large_groups_still_gets_a_part():
    held = split([0] * 20, [0] * 10 + [1] * 10, 0.1)
    assert held.sum() == 10


def test_one_group_cannot_be_split():
    assert not split([0, 1, 0, 1], [7, 7, 7, 7]).any()
    assert split([], []).shape == (0,)


def test_seeds_differ():
    assert (split([0, 1] * 100, seed=0) != split([0, 1] * 100, seed=1)).any()


def test_folding():
    texts = [
        "Hello  World",
        "hello world ",
        "hello\u00a0world",
        "HELLO\nWORLD",
        "hello, world",
        None,
        "",
        "STRASSE",
        "straße",
    ]
    assert text_groups([pa.chunked_array([texts[:3], texts[3:]])]).tolist() == [0, 0, 0, 0, 1, 2, 2, 3, 3]
    assert text_groups([texts]).tolist() == [0, 0, 0, 0, 1, 2, 2, 3, 3]


def test_pairs_are_together_only_if_both_texts_are():
    one, two = pa.array(["a", "A", "a", "b"]), pa.array(["x", "X ", "y", "x"])
    assert text_groups([one, two]).tolist() == [0, 0, 1, 2]
    assert text_groups([two, one]).tolist() == [0, 0, 1, 2]
    assert text_groups([pa.array(["a", "b"]), pa.array(["b", "a"])]).tolist() == [0, 1]  # order matters


@settings(deadline=None)
@given(st.lists(st.text(alphabet="aAß \t", max_size=4)))
def test_groups_are_those_of_the_folded_texts(texts):
    folded = [" ".join(text.casefold().split()) for text in texts]
    assert text_groups([texts]).tolist() == [list(dict.fromkeys(folded)).index(text) for text in folded]


@pytest.mark.slow
def test_a_million_rows_in_seconds():
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 100, 1_000_000), rng.integers(0, 900_000, 1_000_000)
    start = time.process_time()
    held = split(labels, groups, 0.1)
    assert held.sum() == 5000
    assert time.process_time() - start < 10
