"""Token ids against the tokenizers library's own templates and truncation."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from whet.checkpoints.locate import locate
from whet.errors import CheckpointError
from whet.text import store as store_module
from whet.text.batches import cut_by_tokens, inference_batches, plan_epoch
from whet.text.store import TokenStore, store_of
from whet.text.tokens import Tokeniser
from whet.text.whole import CutTexts

TEXTS = ["", "a", "The film was good, really good.", "x " * 40, "naïve café 東京 🙂", "word " * 23]


@pytest.fixture(scope="module")
def tokeniser() -> Tokeniser:
    return Tokeniser.load(locate("mini").folder)


@pytest.fixture(scope="module")
def oracle() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(locate("mini").folder / "tokenizer.json"))
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.parametrize("direction", ["tail", "head"])
@pytest.mark.parametrize("max_length", [4, 5, 8, 17, 64])
def test_singles_and_pairs_equal_the_library(
    tokeniser: Tokeniser, oracle: Tokenizer, max_length: int, direction: str
) -> None:
    oracle.enable_truncation(
        max_length, strategy="longest_first", direction={"tail": "right", "head": "left"}[direction]
    )
    rows = [(a,) for a in TEXTS] + [(a, b) for a in TEXTS for b in TEXTS]
    store = store_of(rows, CutTexts(tokeniser, max_length, direction))  # type: ignore[arg-type]
    ids, types, reads, windows = store.sequences(np.arange(len(rows)))
    assert reads is windows is None
    for i, row in enumerate(rows):
        expected = oracle.encode(*row)
        assert ids[i].tolist() == expected.ids, row
        assert types[i].tolist() == expected.type_ids, row


def test_what_the_file_says_of_padding_and_cutting_is_reset(tokeniser: Tokeniser) -> None:
    encoded = tokeniser.encode([("a",), ("word " * 200,)], 512)
    assert encoded.lengths.tolist() == [3, 202]


def test_cutting_the_middle_keeps_both_ends(tokeniser: Tokeniser) -> None:
    text = " ".join(str(n) for n in range(100, 140))
    whole = tokeniser.encode([(text,)], 512).ids.tolist()
    cut = tokeniser.encode([(text,)], 13, "middle")
    assert cut.ids.tolist() == whole[:7] + whole[-6:]
    assert cut.full_lengths.tolist() == [len(whole)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=9), st.randoms())
def test_a_store_in_pieces_equals_a_store_at_once(
    tokeniser: Tokeniser, monkeypatch: pytest.MonkeyPatch, texts: list[str], random: object
) -> None:
    rows = [(text,) for text in texts]
    whole = store_of(rows, CutTexts(tokeniser, 12)).ensure()
    monkeypatch.setattr(store_module, "ALL_AT_ONCE", 0)  # mapped files, tokenised on demand
    pieces = TokenStore(CutTexts(tokeniser, 12), lambda some: [rows[i] for i in some], len(rows))
    monkeypatch.setattr(store_module, "ALL_AT_ONCE", 3)
    order = np.arange(len(rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    for i in order:
        assert pieces.sequences(np.array([i]))[0][0].tolist() == whole.sequences(np.array([i]))[0][0].tolist()
    assert pieces.lengths.tolist() == whole.lengths.tolist()


def test_an_epoch_has_every_text_once_and_is_keyed(tokeniser: Tokeniser) -> None:
    rows = [("w " * (i % 29),) for i in range(1103)]
    store = store_of(rows, CutTexts(tokeniser, 64))
    steps = list(plan_epoch(store, 32, seed=3, epoch=1))
    assert sorted(np.concatenate(steps).tolist()) == list(range(1103))
    assert len(steps) == -(-1103 // 32)
    assert sorted(map(len, steps))[1:] == [32] * (len(steps) - 1)
    again = list(plan_epoch(store, 32, seed=3, epoch=1))
    assert all(np.array_equal(a, b) for a, b in zip(steps, again, strict=True))
    other = list(plan_epoch(store, 32, seed=3, epoch=2))
    assert any(not np.array_equal(a, b) for a, b in zip(steps, other, strict=True))
    means = [store.lengths[step].mean() for step in steps[:-1]]  # drawn at random: no step of short texts
    assert np.std(means) < 1.5 * store.lengths.std() / 32**0.5
    assert all((np.diff(store.lengths[step]) >= 0).all() for step in steps)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_cutting_by_tokens_keeps_all_in_order(lengths: list[int], most: int) -> None:
    sizes = np.array(lengths, np.int64)
    if lengths:
        pieces = cut_by_tokens(np.arange(len(lengths)), sizes, most)
        assert np.concatenate(pieces).tolist() == list(range(len(lengths)))
        assert all(len(piece) == 1 or sizes[piece].sum() <= most for piece in pieces)
    batches = inference_batches(sizes, most)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))


def test_a_folder_without_tokeniser_says_so(tmp_path: object) -> None:
    with pytest.raises(CheckpointError, match="no tokeniser"):
        Tokeniser.load(tmp_path)  # type: ignore[arg-type]
