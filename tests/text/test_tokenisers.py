"""Tokenisers of every family against transformers' own, and their characters against the texts'."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.text.tokenisers import BYTE_LEVEL, KINDS, theirs, theirs_for_words
from whet.data.sentences import Sentence
from whet.tasks.answer_windows import N_OUTPUTS, Asked, decoded, placed
from whet.text.questions import END, START, Question, QuestionWindows
from whet.text.tokens import Tokeniser
from whet.text.words import WordWindows

BLANKS = [" ", "  ", "\u00a0", "\t", "\n", "\u3000"]
SIGNS = [
    *["a", "Z", "the", "Finance", "don't", "1946", "3.5", ".", ",", "$", "-", "``", "''", "“"],
    *[
        "é",
        "e\u0301",
        "ñ",
        "o\u0308",
        "İ",
        "ß",
        "\u017f",
        "ŉ",
        "ﬁ",
        "\uff46\uff55",
        "\uff11",
        "½",
        "㎏",
        "ﷺ",
        "①",
    ],
    *["👩‍👩‍👧", "👍🏽", "❤️", "🙂", "🇩🇪", "東京", "北", "カ", "한", "\u1100\u1161"],
    *["กรุง", "ำ", "हि", "न्", "दिल्ली", "وُلِدَ", "مدينة", "ﻻ", "שָׁלוֹם", "הוא", "Москва"],
    *["\u0301", "\u064e", "\u05b8", "\ufe0f", "\u200d", "\u200b", "\u00ad", "\ufeff", "\x01", "▁", "Ġ"],
]
TEXTS = st.lists(st.sampled_from(BLANKS + SIGNS), max_size=12).map("".join)
WORDS = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=3).map("".join)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def tokeniser(kind) -> Tokeniser:
    return Tokeniser(theirs(kind).backend_tokenizer, Path())


@given(TEXTS, TEXTS)
@FEW
def test_texts_and_pairs_are_transformers(kind, tokeniser, text, pair) -> None:
    for row in ((text,), (text, pair)):
        found = tokeniser.encode([row], 500)
        expected = theirs(kind)(
            *([one] for one in row), return_token_type_ids=True
        )  # lists: "" is a pair too
        assert [found.ids.tolist()] == expected["input_ids"]
        assert [found.types.tolist()] == expected["token_type_ids"]


def test_an_encoder_without_types_gets_none(kind) -> None:
    for n_types in (0, 1):
        found = Tokeniser(theirs(kind).backend_tokenizer, Path(), n_types).encode([("a", "b")], 99)
        assert not found.types.any()


@given(st.lists(WORDS, max_size=6))
@FEW
def test_words_are_transformers_with_a_blank_before_each(kind, tokeniser, words) -> None:
    words = [*words, theirs(kind).mask_token]
    expected = theirs_for_words(kind)(words, is_split_into_words=True, add_special_tokens=False)
    ids, owners = tokeniser.words([words])
    assert ids == [expected["input_ids"]]
    assert owners == [expected.word_ids()]


@given(st.lists(TEXTS, min_size=1, max_size=3))
@example(["\x01the fox", "\x01\x01 ``the''"])  # SentencePiece's table drops these: the library counts wrongly
@FEW
def test_characters_of_tokens_are_in_order_without_blanks_and_rebuild_the_words(
    kind, tokeniser, texts
) -> None:
    for text, (ids, offsets) in zip(texts, tokeniser.with_offsets(texts), strict=True):
        assert ids == theirs(kind)(text, add_special_tokens=False)["input_ids"]
        starts, ends = offsets.T.tolist()
        assert starts == sorted(starts)
        assert ends == sorted(ends)
        assert all(0 <= start <= end <= len(text) for start, end in offsets)
        slices = [text[start:end] for start, end in offsets]
        assert slices == [strip(own) for own in slices]
        covered = {place for start, end in offsets for place in range(start, end)}
        for start, end in runs(text):
            assert covered.issuperset(range(start, end)) or covered.isdisjoint(range(start, end))
            own = [
                (i, span) for i, span in zip(ids, offsets.tolist(), strict=True) if meets(span, start, end)
            ]
            # Not where the library may count a letter to a control character in front of it, or drop a mark
            # together with the blank that it stands on.
            is_whole = all(start <= a and b <= end for _, (a, b) in own)
            is_whole &= "\x01" not in text.lstrip("\x01") and not is_mark(text[start])
            if is_whole:
                spelled = spelling(kind, tokeniser, [i for i, _ in own])
                assert spelled in (None, plain(kind, tokeniser, text[start:end]))


def is_told(kind: str, tokeniser: Tokeniser, text: str, words: list[tuple[int, int]]) -> bool:
    """Whether the borders of words can be told from tokens: not where a word is dropped altogether, or begins
    with a mark, which may be dropped with the blank that it stands on, or begins or ends with a format
    character, which may be dropped alone; and not where a blank is none to the tokeniser (BERT joins what a
    control character parts)."""
    if kind in BYTE_LEVEL:
        return True
    joined = {"\x01", "\u00a0", "\u3000"} if kind.startswith("deberta") else {"\x01"}
    own = [text[start:end] for start, end in words]
    ends = {end for one in own for end in (one[0], one[-1])}
    return (
        joined.isdisjoint(text)
        and all(plain(kind, tokeniser, one) and not is_mark(one[0]) for one in own)
        and not any(unicodedata.category(end) == "Cf" for end in ends)
    )


def is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character == "ำ"


def strip(text: str) -> str:
    """Without blanks at the ends, by the words' own rule: the control characters that BERT drops are some."""
    found = runs(text)
    return text[found[0][0] : found[-1][1]] if found else ""


def runs(text: str) -> list[tuple[int, int]]:
    """First character and last + 1 of all that stands between blanks."""
    is_blank = [c.isspace() or unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp") for c in text]
    edges = np.flatnonzero(np.diff([True, *is_blank, True]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def meets(span: tuple[int, int], start: int, end: int) -> bool:
    return span[0] < end and start < span[1]


def spelling(kind: str, tokeniser: Tokeniser, ids: list[int]) -> str | None:
    """What the vocabulary has for tokens; None where one is unknown."""
    if tokeniser.unknown in ids:
        return None
    if kind in BYTE_LEVEL:
        return tokeniser.backend.decode(ids).strip()
    names = [tokeniser.backend.id_to_token(i) for i in ids]
    return "".join(name.removeprefix("##").replace("▁", "") for name in names)


def plain(kind: str, tokeniser: Tokeniser, text: str) -> str:
    """What the normaliser makes of a text, without blanks."""
    normalizer = tokeniser.backend.normalizer
    found = text if normalizer is None else normalizer.normalize_str(text)
    return found if kind in BYTE_LEVEL else "".join(found.split()).replace("▁", "")


@given(st.lists(st.lists(WORDS, max_size=5), min_size=1, max_size=3), TEXTS, st.integers(5, 30))
@FEW
def test_every_word_is_read_at_its_first_token(kind, tokeniser, sentences, text, max_length) -> None:
    """Of lists of words, and of raw texts, whose words have characters."""
    rows = [*map(Sentence.of_words, sentences), Sentence.of_text(text)]
    encoded = WordWindows(tokeniser, max_length)(rows)
    unknown = theirs(kind).unk_token_id
    expected = []
    for row in rows:
        assert [row.text[start:end] for start, end in row.offsets] == list(row.words)
        assert row.text != text or all(word == strip(word) != "" for word in row.words)
        for word in row.words:
            found = theirs_for_words(kind)([word], is_split_into_words=True, add_special_tokens=False)
            expected.append(found["input_ids"][0] if found["input_ids"] else unknown)
    assert encoded.ids[encoded.reads].tolist() == expected


@given(TEXTS, st.integers(0, 11), st.integers(1, 4), st.integers(10, 30), st.integers(0, 8))
@FEW
def test_an_answer_of_whole_words_is_found_back(
    kind, tokeniser, context, first, n_words, max_length, stride
) -> None:
    """Proof that it can fail: no `exact` in Tokeniser.with_offsets; tokens of blanks that begin an answer."""
    words = runs(context)[first : first + n_words]
    if not words or not is_told(kind, tokeniser, context, [words[0], words[-1]]):
        return
    start, end = words[0][0], words[-1][1]
    answer = context[start:end]
    ((_, offsets),) = tokeniser.with_offsets([context])
    own = [i for i, span in enumerate(offsets.tolist()) if span[0] < span[1] and meets(span, start, end)]
    encoded = QuestionWindows(tokeniser, max_length, stride)([Question("?", context)])
    assert own
    rows = placed(Asked(context, ((answer, start),), 0), encoded.marks)
    n_special, n_question = tokeniser.template(2).n_special, len(tokeniser.bare(["?"])[0])
    room = max_length - n_special - min(n_question, max_length // 2)
    if len(own) <= min(stride, room // 2):
        assert any(last for _, _, last in rows)
    begin = 0
    for length, token, last in rows:
        marks = encoded.marks[begin : begin + length]
        begin += length
        if last:
            assert (marks[token, START], marks[last, END]) == (start, end)
            logits = np.zeros((length, N_OUTPUTS))
            logits[token, 0] = logits[last, 1] = 9
            one = np.empty(1, object)
            one[0] = np.concatenate([logits, marks], axis=1)
            best = decoded(one, [context], max_answer=length).answers[0]
            assert (best[0].text, best[0].start, best[0].end) == (answer, start, end)
            assert all(found.text == strip(found.text) != "" for found in best)
            assert len({(found.start, found.end) for found in best}) == len(best)


@given(TEXTS, st.integers(0, 40), st.integers(1, 12))
@example("東京", 0, 1)  # two tokens of three bytes each, or three of which one has bytes of both
@example("👩‍👩‍👧", 2, 1)
@example("a \u200d a", 1, 4)
@example("a \u200d a", 0, 3)
@FEW
def test_any_answer_is_in_its_tokens_and_exact_where_they_allow_it(
    kind, tokeniser, text, start, size
) -> None:
    """Proof that it can fail: `around` alone in answer_windows."""
    answer = strip(text[start : start + size])
    if not answer:
        return
    start = text.index(answer, start)
    end = start + len(answer)
    ((ids, offsets),) = tokeniser.with_offsets([text])
    marks = np.concatenate([np.stack([np.zeros(len(ids)), np.arange(len(ids))], axis=1), offsets], axis=1)
    marks = np.concatenate([[[0, -1, -1, -1]], marks]).astype(np.int64)
    ((_, first, last),) = placed(Asked(text, ((answer, start),), 0), marks)
    if not last:
        assert not any(a <= start and end <= b for a, b in offsets)
        return
    found = marks[first, START], marks[last, END]
    begins = [i for i, (a, b) in enumerate(offsets.tolist()) if a == start and a < b]
    stops = [i for i, (a, b) in enumerate(offsets.tolist()) if b == end and a < b]
    if begins and stops and begins[0] <= stops[-1]:
        assert found == (start, end)
    elif is_told(kind, tokeniser, text, [(start, end)]):
        assert found[0] <= start
        assert end <= found[1]
