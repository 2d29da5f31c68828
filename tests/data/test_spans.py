"""Character spans to words and tags and back, against the tokenizers library's own splitting."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from whet.data.spans import joined, tags_of_spans, word_offsets, words_at
from whet.entities import Tags, spans_of

TEXTS = st.text(st.sampled_from("ab é\u0301 \u00a0.,-_'東タ हि\u200b🎉\U0001f3fd\n\tU"), max_size=20)


@given(TEXTS)
@settings(deadline=None)
def test_words_are_what_is_neither_blank_nor_lost(text):
    offsets = word_offsets(text)
    assert (offsets[:, 0] < offsets[:, 1]).all()
    assert (offsets[1:, 0] >= offsets[:-1, 1]).all()
    covered = "".join(text[a:b] for a, b in offsets)
    assert covered == "".join(character for character in text if not character.isspace())


@given(
    st.text(
        st.characters(max_codepoint=0x2FF, exclude_categories=["Cc", "Cf", "Sc", "Sm", "So", "Sk"]),
        max_size=20,
    )
)
@settings(deadline=None)
def test_european_text_is_split_as_by_bert_s_pre_tokeniser(text):
    theirs = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)
    assert [tuple(pair) for pair in word_offsets(text).tolist()] == [offsets for _, offsets in theirs]


def test_examples():
    text = "U.S. naïve don't 東京 हिन्दी €5"
    words = [text[a:b] for a, b in word_offsets(text)]
    assert words == ["U", ".", "S", ".", "naïve", "don", "'", "t", "東", "京", "हिन्दी", "€", "5"]
    assert normalizers.NFC().normalize_str("e\u0301") == "é"
    assert len(word_offsets("cafe\u0301s")) == 1  # a combining mark does not part a word


@given(TEXTS)
@settings(deadline=None)
def test_characters_know_their_word(text):
    offsets = word_offsets(text)
    found = words_at(offsets, np.arange(len(text)))
    for character, word in enumerate(found):
        holders = [i for i, (a, b) in enumerate(offsets) if a <= character < b]
        assert holders == ([] if word < 0 else [word])


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=5), st.data())
def test_words_are_joined(words, data):
    separators = data.draw(
        st.lists(st.sampled_from(["", " ", "\n\n"]), min_size=len(words), max_size=len(words))
    )
    for between in (None, separators):
        text, offsets = joined(words, between)
        assert [text[a:b] for a, b in offsets] == words
        expected = (
            " ".join(words)
            if between is None
            else "".join(w + s for w, s in zip(words, between, strict=True))
        )
        assert text == expected


@given(TEXTS, st.data())
@settings(deadline=None)
def test_spans_over_whole_words_come_back(text, data):
    offsets = word_offsets(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(offsets)), max_size=6)))
    kinds = st.sampled_from(["X", "Y-Z"])
    wanted = [(a, b, data.draw(kinds)) for a, b in pairwise(cuts)][::2]
    spans = [
        {"start": int(offsets[a, 0]), "end": int(offsets[b - 1, 1]), "label": kind} for a, b, kind in wanted
    ]
    order = data.draw(st.permutations(spans))
    tags, problems = tags_of_spans(text, offsets, order)
    assert problems == []
    found = spans_of(Tags.of([tags]))
    back = [
        {"start": int(offsets[first, 0]), "end": int(offsets[stop - 1, 1]), "label": found.types[kind]}
        for first, stop, kind in zip(found.firsts, found.stops, found.type_ids, strict=True)
    ]
    assert back == spans


@given(TEXTS, st.integers(-2, 22), st.integers(-2, 22))
@settings(deadline=None)
def test_a_span_becomes_tags_or_a_problem(text, start, end):
    offsets = word_offsets(text)
    tags, problems = tags_of_spans(text, offsets, [{"start": start, "end": end, "type": "X"}])
    inside = set(range(start, end))
    touched = [len(inside & set(range(a, b))) for a, b in offsets]
    whole = all(n in (0, b - a) for n, (a, b) in zip(touched, offsets, strict=True))
    if problems:
        assert set(tags) <= {"O"}
        assert not (whole and any(touched) and 0 <= start < end <= len(text))
    else:
        assert whole
        assert [tag != "O" for tag in tags] == [n > 0 for n in touched]


TEXT = "Angela Merkel visited Berliners."


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        (
            {"start": 22, "end": 28, "label": "LOC"},
            " (LOC, 22 to 28) ends inside the word 'Berliners' (22 to 31).",
        ),
        (
            {"start": 24, "end": 31, "label": "LOC"},
            " (LOC, 24 to 31) begins inside the word 'Berliners' (22 to 31).",
        ),
        (
            {"start": 22, "end": 40, "label": "LOC"},
            " (LOC, 22 to 40) does not lie in its text, which has 32 char",
        ),
        ({"start": -3, "end": 4, "label": "LOC"}, " (LOC, -3 to 4) does not lie in its text"),
        ({"start": 5, "end": 5, "label": "LOC"}, " (LOC, 5 to 5) does not lie in its text"),
        ({"start": 6, "end": 7, "label": "LOC"}, " (LOC, 6 to 7) covers no word, only blanks."),
        ({"start": 7, "end": 21, "label": "X"}, " (X, 7 to 21) shares words with another span"),
        ({"start": 22, "end": 31}, " (no type, 22 to 31) has no type."),
        ({"start": 22, "end": 31, "label": " "}, " ( , 22 to 31) has no type."),
        ({"start": 22, "label": "LOC"}, " (LOC, 22 to None) has no whole number as its 'end'."),
        ({"start": "22", "end": 31, "label": "LOC"}, " (LOC, 22 to 31) has no whole number as its 'start'."),
        (
            {"start": float("nan"), "end": 31, "label": "LOC"},
            " (LOC, nan to 31) has no whole number as its 'start'.",
        ),
        ({"start": True, "end": 31, "label": "LOC"}, " (LOC, True to 31) has no whole number"),
        (
            {"start": 22, "end": 31, "label": "LOC", "text": "Berlin"},
            " (LOC, 22 to 31) covers 'Berliners', but",
        ),
        ([22, 31, "LOC"], " is no object."),
    ],
)
def test_bad_spans(span, reason):
    good = {"start": 0.0, "end": 14, "type": "PER", "text": "Angela Merkel "}
    tags, problems = tags_of_spans(TEXT, word_offsets(TEXT), [good, span])
    assert tags == ["B-PER", "I-PER", "O", "O", "O"]
    ((number, found),) = problems
    assert number == 1
    assert found.startswith(reason), found
