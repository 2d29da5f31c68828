"""Sentences as windows of tokens, and texts as windows: against the tokenizers library, word by word."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import whet
from tests.acceptance import house
from whet.checkpoints.locate import locate
from whet.data.sentences import Sentence
from whet.text import whole as whole_module
from whet.text.batches import pack_texts
from whet.text.store import store_of
from whet.text.tokens import Tokeniser
from whet.text.whole import CutTexts, WindowedTexts
from whet.text.words import WordWindows

WORDS = st.sampled_from(
    ["EU", "rejects", "Lamb", "\u200b", "Müller-Lüdenscheidt", "東京", "é", "##", "[SEP]"]
)
SENTENCES = st.lists(st.lists(WORDS, max_size=30), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def tokeniser() -> Tokeniser:
    return Tokeniser.load(locate("mini").folder)


def first_tokens(tokeniser: Tokeniser, words: tuple[str, ...]) -> list[int]:
    """Of each word alone; the unknown token of one that gives none."""
    backend = tokeniser.backend
    alone = [backend.encode([word], is_pretokenized=True, add_special_tokens=False) for word in words]
    return [found.ids[0] if found.ids else backend.token_to_id("[UNK]") for found in alone]


@given(SENTENCES, st.integers(3, 40), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_word_is_read_once_at_its_first_token(tokeniser, sentences, max_length, has_context) -> None:
    rows = [Sentence.of_words(words) for words in sentences]
    if has_context:
        around = ("the", "quick", "brown", "fox")
        rows = [Sentence(row.words, row.text, row.offsets, around, around) for row in rows]
    encoded = WordWindows(tokeniser, max_length)(rows)
    assert encoded.windows.max() <= max_length
    assert encoded.windows.sum() == encoded.lengths.sum() == len(encoded.ids)
    read = encoded.ids[encoded.reads].tolist()
    assert read == [token for row in rows for token in first_tokens(tokeniser, row.words)]
    store = store_of(rows, WordWindows(tokeniser, max_length)).ensure()
    assert store.n_reads.tolist() == [len(row.words) for row in rows]
    order = np.arange(len(rows))[::-1]
    batch = pack_texts(store, order)
    wanted = [token for i in order for token in first_tokens(tokeniser, rows[i].words)]
    assert batch.token_ids[batch.reads].tolist() == wanted


def test_context_fills_the_window_and_owns_nothing(tokeniser) -> None:
    row = Sentence(("b",), "b", np.array([[0, 1]]), ("a",) * 50, ("c",) * 50)
    encoded = WordWindows(tokeniser, 13)([row])
    tokens = [tokeniser.backend.id_to_token(i) for i in encoded.ids]
    assert tokens == ["[CLS]", *"aaaaa", "b", *"ccccc", "[SEP]"]
    assert encoded.reads.sum() == 1


@given(st.integers(0, 3000), st.integers(0, 40), st.integers(8, 64), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_of_a_text_hold_all_its_tokens(tokeniser, n_long, n_short, max_length, is_pair) -> None:
    long, short = " ".join(map(str, range(n_long))), "x " * n_short
    row = (short, long) if is_pair else (long,)
    cut = CutTexts(tokeniser, 10_000)([row])
    encoded = WindowedTexts(tokeniser, max_length)([row])
    assert encoded.windows.max() <= max_length
    assert encoded.full_lengths.tolist() == cut.lengths.tolist()
    if cut.lengths[0] <= max_length:
        assert encoded.ids.tolist() == cut.ids.tolist()
        assert encoded.types.tolist() == cut.types.tolist()
    assert len(encoded.windows) <= whole_module.MOST_WINDOWS
    if not is_pair:
        pieces = np.split(encoded.ids, np.cumsum(encoded.windows)[:-1])
        inside = cut.ids[1:-1].tolist()
        end = 0
        for piece in pieces:
            body = piece[1:-1].tolist()
            start = next(s for s in range(end + 1) if inside[s : s + len(body)] == body)
            end = start + len(body)
        assert end == encoded.kept[0] - 2
        assert end == len(inside) or len(pieces) == whole_module.MOST_WINDOWS


def test_logits_of_a_long_text_are_the_mean_of_its_windows() -> None:
    """In float64; proof that it can fail: a sum in place of the mean in heads._means."""
    module = whet.load_module(labels=["a", "b", "c"], max_length=24).double().eval()
    encoding = WindowedTexts(module.tokeniser, 24)
    rows = [(" ".join(["one", "two", "three"] * n),) for n in (1, 30, 9)]
    store = store_of(rows, encoding).ensure()
    assert store.n_windows.tolist() == [1, 5, 2]
    with torch.no_grad():
        found = module.logits(pack_texts(store, np.array([2, 0, 1])))
        for place, i in enumerate((2, 0, 1)):
            sequences = store.sequences(np.array([i]))
            alone = [
                module({"input_ids": torch.from_numpy(ids[None].astype(np.int64))}).logits[0]
                for ids in sequences.ids
            ]
            np.testing.assert_allclose(found[place], torch.stack(alone).mean(0), atol=1e-12)


def test_windows_of_one_text_drop_different_units() -> None:
    module = whet.load_module(labels=["a", "b"], max_length=24)
    store = store_of([("one " * 100,), ("two " * 100,)], WindowedTexts(module.tokeniser, 24)).ensure()
    batch = pack_texts(store, np.arange(2), dropout=(0, 1))
    assert len(set(batch.dropout_keys.tolist())) == len(batch.dropout_keys)


def test_an_empty_sentence_without_special_tokens_is_a_token_that_is_not_read(tmp_path: Path) -> None:
    folder = house.make_checkpoint(tmp_path / "tiny")
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(content | {"post_processor": None}))
    tokeniser = Tokeniser.load(folder)
    assert tokeniser.template(1).n_special == 0
    encoded = WordWindows(tokeniser, 10)([Sentence.of_words([])])
    assert encoded.ids.tolist() == [tokeniser.unknown]
    assert encoded.reads is not None
    assert not encoded.reads.any()
