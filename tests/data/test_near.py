"""Near duplicates, beside a plain implementation that holds every pair of sets against each other."""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from whet.data.near import FEWEST_LETTERS, FEWEST_WORDS, SIMILAR, near_duplicates
from whet.data.readers import read_table
from whet.data.shingles import SHINGLE, jaccard, letters, shingles

DATA = Path(__file__).parents[3] / "shared" / "data"


def plain(text):
    """What is compared, character by character."""
    kept = [c if unicodedata.category(c)[0] in "LMN" else " " for c in text.lower()]
    return " ".join("".join(kept).split())


def pieces(text):
    whole = plain(text)
    return {whole[i : i + SHINGLE] for i in range(len(whole) - SHINGLE + 1)}


def alike(one, other):
    a, b = pieces(one), pieces(other)
    return len(a & b) / len(a | b) if a | b else float(plain(one) == plain(other))


def column(texts):
    array = pa.array(texts, pa.large_string())
    return lambda rows: array.take(pa.array(rows))


def search(texts, parts=None, labels=None, groups=None, second=None):
    n = len(texts)
    return near_duplicates(
        [column(texts)] + ([] if second is None else [column(second)]),
        np.arange(n) if groups is None else np.array(groups),
        np.zeros(n, np.int64) if parts is None else np.array(parts),
        np.zeros(n, np.int64) if labels is None else np.array(labels),
        1 if parts is None else max(parts) + 1,
    )


# Characters that Unicode's lower case spells by a sequence (İ) or by what follows (Σ) are left to Arrow.
simple = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="İΣ", max_codepoint=0x33479))


@settings(deadline=None)
@given(st.lists(st.one_of(simple, st.text("ab ,.é日", max_size=30)), min_size=1, max_size=8))
def test_letters_and_shingles_are_those_of_the_plain_rule(texts):
    found = letters(pa.array(texts, pa.large_string()))
    ends = np.cumsum(found.lengths)
    for text, end, length in zip(texts, ends, found.lengths, strict=True):
        assert "".join(map(chr, found.codes[end - length : end])) == plain(text)
    hashes, offsets = shingles(found)
    for i, text in enumerate(texts):
        assert len(set(hashes[offsets[i] : offsets[i + 1]].tolist())) == len(pieces(text))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text("abc .", max_size=40), st.text("abc .", max_size=40)), min_size=1, max_size=6)
)
def test_similarity_is_the_jaccard_of_the_sets(pairs):
    texts = [text for pair in pairs for text in pair]
    first = np.arange(0, len(texts), 2)
    found = jaccard(column(texts), first, first + 1)
    assert found.tolist() == pytest.approx([alike(*pair) for pair in pairs], abs=1e-6)


def test_words_are_counted_and_letters_of_scripts_without_spaces_are_words():
    texts = ["", "one", "one, two -- three!", "我喜欢你", "我 like 你", "..."]
    assert letters(pa.array(texts, pa.large_string())).n_words.tolist() == [0, 1, 3, 4, 3, 0]


LONG = "the quick brown fox jumps over the lazy dog and then goes home to sleep"


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (LONG, LONG.upper().replace(" ", "  ") + " !", True),  # case, space and punctuation do not count
        (LONG, LONG.replace("lazy", "lazi"), True),  # a letter
        (LONG, LONG.replace("lazy", "very lazy"), True),  # a word put in
        (LONG, LONG.replace("jumps over", "sits behind").replace("home", "away"), False),
        ("thank you very much", "thank you very much!", False),  # too short to say, were it not the same
        ("very good films", "very good film", False),
        ("absolutely fantastic performance", "absolutely fantastic performances", False),  # three words
        ("I was absolutely delighted", "I was absolutely delighted.", True),
        (
            "我今天在北京的一家餐厅吃了非常好吃的烤鸭和面条",
            "我今天在北京的一家餐厅吃了非常好吃的烤鸭和面条了",
            True,
        ),
    ],
)
def test_what_is_near(one, other, near):
    filler = ["something else entirely that is long enough", "and another text of quite other words"]
    found = search([one, *filler, other])
    assert (found.partner[0, 0, 0] == 3) == near
    assert (found.partner[3, 0, 0] == 0) == near
    assert (found.partner[1:3] == -1).all()
    if near:
        assert found.similarity[0, 0, 0] == pytest.approx(alike(one, other))


def test_parts_and_labels_are_kept_apart():
    texts = [LONG, LONG + " x", LONG + " y", LONG + " z"]
    found = search(texts, parts=[0, 0, 1, 1], labels=[0, 1, 0, -1])
    assert found.partner[2, 0].tolist() == [0, 1]  # in part 0: row 0 has its label, row 1 another
    assert found.partner[2, 1].tolist() == [3, -1]  # row 3 has none, which conflicts with nothing
    assert found.partner[0, 0].tolist() == [-1, 1]


def test_rows_of_one_group_are_not_compared():
    assert (search([LONG, LONG.upper()], groups=[7, 7]).partner == -1).all()


def test_of_a_pair_both_texts_have_to_be_alike():
    second = ["a man eats soup", "nobody is in the room", "a man eats soups"]
    found = search([LONG, LONG, LONG + " s"], second=second)
    assert found.partner[:, 0, 0].tolist() == [2, -1, 0]


def test_a_large_family_of_alike_texts_is_found_whole():
    texts = [f"your order number {i} has left our warehouse and will reach you tomorrow" for i in range(3000)]
    assert (search(texts).partner[:, 0, 0] >= 0).all()


def test_nothing_in_nothing():
    assert search([]).partner.shape == (0, 1, 2)
    assert (search(["", ""], groups=[0, 1]).partner == -1).all()


def brute_force(texts):
    """All pairs, (n, n) Jaccard, by a matrix product over the distinct shingles."""
    sets = [pieces(text) for text in texts]
    number = {}
    columns = [number.setdefault(piece, len(number)) for found in sets for piece in found]
    starts = np.concatenate([[0], np.cumsum([len(found) for found in sets])])
    table = csr_array((np.ones(len(columns), np.float32), columns, starts), shape=(len(sets), len(number)))
    shared = (table @ table.T).toarray()
    sizes = np.diff(starts)
    union = sizes[:, None] + sizes[None, :] - shared
    similarity = np.where(union > 0, shared / np.maximum(union, 1), 0)
    long = [len(plain(t)) >= FEWEST_LETTERS and len(plain(t).split()) >= FEWEST_WORDS for t in texts]
    similarity[~np.array(long)] = 0
    similarity[:, ~np.array(long)] = 0
    np.fill_diagonal(similarity, 0)
    return similarity


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
@pytest.mark.parametrize(
    ("source", "name", "n_rows", "many"),
    [
        ("banking77", "text", 3000, False),
        ("glue/CoLA", "sentence", 4000, False),
        ("glue/CoLA", "sentence", 4000, True),  # by the fewer keys of a large table
        ("glue/SST-2", "sentence", 4000, False),
    ],
)
def test_beside_all_pairs_of_real_rows(source, name, n_rows, many, monkeypatch):
    if many:
        monkeypatch.setattr("whet.data.near._MANY", 0)
    texts = list(dict.fromkeys(read_table(DATA / source).slice(0, n_rows).strings(name).to_pylist()))
    truth = brute_force(texts)
    groups = np.unique([re.sub(r"\s+", " ", text.casefold()).strip() for text in texts], return_inverse=True)[
        1
    ]
    truth[groups[:, None] == groups[None, :]] = 0
    expected = (truth >= SIMILAR - 1e-6).any(axis=1)
    found = search(texts, groups=groups)
    partner = found.partner[:, 0, 0]
    rows = np.flatnonzero(partner >= 0)
    # Precision is 1: every reported pair is one, with the similarity that is reported.
    assert truth[rows, partner[rows]] == pytest.approx(found.similarity[rows, 0, 0], abs=1e-5)
    assert not (partner[~expected] >= 0).any()
    recall = (partner[expected] >= 0).mean()
    print(
        f"{source}: {expected.sum()} of {len(texts)} rows have a near duplicate, {recall:.4f} of them found"
    )
    assert expected.sum() > 50
    assert recall > (0.97 if many else 0.99)
