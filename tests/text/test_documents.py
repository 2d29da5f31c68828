"""Windows of documents: full, never across documents, every token in one; and pairs of parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance import house
from whet.text.documents import pair_store, read_documents, window_store
from whet.text.tokens import Tokeniser


@pytest.fixture(scope="module")
def tokeniser(tmp_path_factory: pytest.TempPathFactory) -> Tokeniser:
    folder: Path = tmp_path_factory.mktemp("documents") / "tiny"
    return Tokeniser.load(house.make_checkpoint(folder))


def documents(sizes: list[int], tokeniser: Tokeniser, with_words: bool = False) -> tuple[Any, list[str]]:
    """Of so many words, all words of a document its own: a's, b's ..."""
    texts = [" ".join([house.FILLER[i]] * size) for i, size in enumerate(sizes)]
    found = read_documents(lambda rows: [(texts[i],) for i in rows], len(texts), tokeniser, with_words)
    return found, texts


def test_windows_are_full_and_of_one_document(tokeniser: Tokeniser) -> None:
    sizes = [20, 1, 0, 8, 17, 16, 3]
    found, texts = documents(sizes, tokeniser)
    assert found.lengths.tolist() == sizes
    store, owners = window_store(found, tokeniser, 10)  # 8 tokens between two special ones
    assert owners.tolist() == [0, 0, 0, 1, 3, 4, 4, 4, 5, 5, 6]
    sequences = store.sequences(np.arange(len(store)))
    assert [len(ids) - 2 for ids in sequences.ids] == [8, 8, 4, 1, 8, 8, 8, 1, 8, 8, 3]
    cls, sep = (tokeniser.backend.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    again = [""] * len(texts)
    for ids, reads, owner in zip(sequences.ids, sequences.reads or [], owners.tolist(), strict=True):
        assert (ids[0], ids[-1]) == (cls, sep)
        assert reads.tolist() == [False, *[True] * (len(ids) - 2), False]
        again[owner] += "".join(f"{tokeniser.backend.id_to_token(int(i))} " for i in ids[1:-1])
    assert [one.strip() for one in again] == texts, "every token is there once, in order"


def test_what_no_word_is_known_of_is_left_out(tokeniser: Tokeniser) -> None:
    texts = ["☃ ☃ ☃", "the box", "☃ the ☃"]
    found = read_documents(lambda rows: [(texts[i],) for i in rows], 3, tokeniser, False)
    store, owners = window_store(found, tokeniser, 10)
    assert owners.tolist() == [1, 2]
    reads = store.sequences(np.arange(2)).reads
    assert reads is not None
    assert reads[1].tolist() == [False, False, True, False, False], "what is unknown cannot be hidden"


def test_words_begin_where_the_tokeniser_says(tokeniser: Tokeniser) -> None:
    texts = ["boxes, taken orders", "zq the"]
    found = read_documents(lambda rows: [(texts[i],) for i in rows], 2, tokeniser, True)
    tokens = [tokeniser.backend.id_to_token(int(i)) for i in found.ids.values]
    begins = found.begins.values.tolist()
    assert [not token.startswith("##") for token in tokens] == begins
    assert not all(begins)
    store, _ = window_store(found, tokeniser, 5)
    marks = store.ensure().marks(np.arange(len(store)))
    assert marks is not None
    assert all(rows[0, 0] == 1 for rows in marks), "a window begins with a part that stands for a word"


def test_second_parts_are_of_another_document_half_of_the_time(tokeniser: Tokeniser) -> None:
    sizes = [40] * 60
    found, _ = documents(sizes, tokeniser)
    store, _, is_other = pair_store(found, tokeniser, 13, seed=0)  # 10 tokens between three
    assert 0.4 < is_other.mean() < 0.6
    cls, sep = (tokeniser.backend.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    sequences = store.sequences(np.arange(len(store)))
    cuts = set()
    for i, (ids, types) in enumerate(zip(sequences.ids, sequences.types, strict=True)):
        first, second = np.flatnonzero(ids == sep)
        assert (ids[0], second) == (cls, len(ids) - 1)
        assert types.tolist() == [0] * (first + 1) + [1] * (second - first)
        one, other = set(ids[1:first].tolist()), set(ids[first + 1 : second].tolist())
        assert len(one) == len(other) == 1, "the words of a document are its own"
        assert (one != other) == bool(is_other[i])
        assert first + second - first - 2 == len(ids) - 3
        cuts.add(int(first))
    assert len(cuts) > 5
    again = pair_store(found, tokeniser, 13, seed=0)
    assert (again[2] == is_other).all()
    assert (pair_store(found, tokeniser, 13, seed=1)[2] != is_other).any()


def test_every_pair_holds_a_token_that_can_be_hidden(tokeniser: Tokeniser) -> None:
    """Found in a review: a first part that the tokeniser does not know, before another document's such."""
    texts = ["☃ the"] * 30 + ["☃ box"] * 30
    found = read_documents(lambda rows: [(texts[i],) for i in rows], len(texts), tokeniser, False)
    store, owners, is_other = pair_store(found, tokeniser, 13, seed=0)
    assert len(owners) == 60
    assert not is_other.any()
    assert all(reads.any() for reads in store.sequences(np.arange(60)).reads or [])
