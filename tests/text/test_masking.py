"""Which tokens are hidden: shares as in the paper, the same however texts are grouped, whole words whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.stats

from whet.text.encoding import Encoded
from whet.text.masking import MaskedStore, Masking, OneEach
from whet.text.store import store_of

MASK, CLS, SEP = 3, 1, 2
OTHERS = np.arange(10, 1010, dtype=np.int32)
Row = tuple[Sequence[int], Sequence[int] | None]


def laid(rows: Sequence[Row]) -> Encoded:
    """Token ids between two special ones; where words begin, if that is said."""
    ids = [np.array([CLS, *tokens, SEP], np.int32) for tokens, _ in rows]
    lengths = np.array([len(one) for one in ids])
    all_ids = np.concatenate(ids)
    is_open = ~np.isin(all_ids, [CLS, SEP])
    begins = [begin for _, words in rows for begin in words or ()]
    return Encoded(
        all_ids,
        np.zeros(len(all_ids), np.uint8),
        lengths,
        lengths,
        lengths,
        reads=is_open,
        marks=np.array(begins, np.int32)[:, None] if begins else None,
    )


def store(lengths: Sequence[int], rate: float = 0.15, seed: int = 0) -> MaskedStore:
    random = np.random.default_rng(seed)
    rows: list[Row] = [(random.integers(10, 1010, n).tolist(), None) for n in lengths]
    return MaskedStore(store_of(rows, laid), Masking(MASK, OTHERS, rate))


def seen(one: MaskedStore, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(what is shown, what is hidden, the true ids of those), end to end."""
    found, marks = one.sequences(texts), one.marks(texts)
    assert found.reads is not None
    return np.concatenate(found.ids), np.concatenate(found.reads), np.concatenate(marks)[:, 0]


def test_shares_are_the_papers() -> None:
    """15% of the tokens; of these 80% behind the mask, 10% random, 10% as they are: chi-square, far out."""
    one = store([60] * 2000)
    plain = np.concatenate(one.texts.sequences(np.arange(2000)).ids)
    counts = np.zeros(3)
    n_hidden, per_place = 0, np.zeros(62)
    for step in range(1, 6):
        shown, hidden, truth = seen(one.at(0, step), np.arange(2000))
        assert (plain[hidden] == truth).all()
        assert (shown[~hidden] == plain[~hidden]).all()
        masked = shown[hidden] == MASK
        kept = shown[hidden] == truth
        counts += [masked.sum(), (~masked & ~kept).sum(), kept.sum()]
        n_hidden += int(hidden.sum())
        per_place += hidden.reshape(2000, 62).sum(axis=0)
    assert n_hidden == 5 * 2000 * 9, "60 tokens have exactly 9 hidden ones"
    assert per_place[0] == per_place[-1] == 0, "special tokens stay"
    assert scipy.stats.chisquare(per_place[1:-1]).pvalue > 1e-4
    # one in 1000 random tokens is the true one
    expected = n_hidden * np.array([0.8, 0.1 * 0.999, 0.1 + 0.1 * 0.001])
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-4


def test_random_tokens_are_even() -> None:
    one = store([40] * 4000, rate=0.5)
    shown, hidden, truth = seen(one.at(1, 1), np.arange(4000))
    others = shown[hidden][(shown[hidden] != MASK) & (shown[hidden] != truth)]
    counts = np.bincount(others - 10, minlength=1000)
    assert len(counts) == 1000
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("n", [1, 4, 10, 11, 33])
def test_the_share_is_exact_on_average_and_never_none(n: int) -> None:
    one = store([n] * 3000)
    _, hidden, _ = seen(one.at(2, 9), np.arange(3000))
    counts = hidden.reshape(3000, n + 2).sum(axis=1)
    low = max(1, int(0.15 * n))
    assert set(counts.tolist()) <= {low, max(1, int(0.15 * n) + 1)}
    if 0.15 * n >= 1:
        assert abs(counts.mean() - 0.15 * n) < 0.04


def test_the_same_in_any_company() -> None:
    """Text by text, in any order and any number: a function of seed, step and text."""
    one = store([5, 60, 17, 1, 30, 60, 8])
    at = one.at(4, 11)
    texts = np.array([5, 0, 3, 6, 2])
    together, marks = at.sequences(texts), at.marks(texts)
    assert together.reads is not None
    for i, text in enumerate(texts):
        alone = at.sequences(np.array([text]))
        assert alone.reads is not None
        assert (alone.ids[0] == together.ids[i]).all()
        assert (alone.reads[0] == together.reads[i]).all()
        assert (at.marks(np.array([text]))[0] == marks[i]).all()
    for other in (one.at(4, 12), one.at(5, 11)):
        assert any((a != b).any() for a, b in zip(other.sequences(texts).ids, together.ids, strict=True))
    again = one.at(4, 11).sequences(texts)
    assert all((a == b).all() for a, b in zip(again.ids, together.ids, strict=True))
    assert at.n_reads.tolist() == [int(at.sequences(np.array([i])).reads[0].sum()) for i in range(7)]  # type: ignore[index]


def test_words_are_hidden_whole() -> None:
    random = np.random.default_rng(3)
    rows: list[Any] = []
    for _ in range(500):
        sizes = random.integers(1, 5, 12)
        begins = [int(i == 0) for size in sizes for i in range(size)]
        rows.append((random.integers(10, 1010, len(begins)).tolist(), begins))
    one = MaskedStore(store_of(rows, laid), Masking(MASK, OTHERS, 0.25)).at(0, 1)
    reads = one.sequences(np.arange(500)).reads
    assert reads is not None
    for (_, begins), hidden in zip(rows, reads, strict=True):
        words = np.cumsum(begins) - 1
        of_word = np.bincount(words, hidden[1:-1]) / np.bincount(words)
        assert set(of_word.tolist()) <= {0.0, 1.0}
        assert of_word.sum() == 3, "a quarter of twelve words"


def test_a_label_stands_beside_each_hidden_token() -> None:
    plain = store([20, 30, 4])
    one = MaskedStore(plain.texts, plain.hiding, labels=np.array([0, 1, 1]))
    marks = one.at(0, 1).marks(np.array([1, 0]))
    assert [set(rows[:, 1].tolist()) for rows in marks] == [{1}, {0}]
    assert (marks[0][:, 0] == plain.at(0, 1).marks(np.array([1]))[0][:, 0]).all()


def test_one_each_hides_that_one() -> None:
    plain = store([6, 3, 9])
    one = MaskedStore(plain.texts, OneEach(MASK, np.array([5, 0, 4])))
    shown, hidden, truth = seen(one, np.array([2, 0, 1]))
    assert np.flatnonzero(hidden).tolist() == [1 + 4, 11 + 1 + 5, 11 + 8 + 1]
    assert (shown[hidden] == MASK).all()
    ids = plain.texts.sequences(np.array([2, 0, 1])).ids
    assert truth.tolist() == [ids[0][5], ids[1][6], ids[2][1]]


def test_counts_are_those_of_the_texts() -> None:
    one = store([50, 20, 7])
    tokens = np.concatenate([ids[1:-1] for ids in one.texts.sequences(np.arange(3)).ids])
    assert (one.counts(1010) == np.bincount(tokens, minlength=1010)).all()
