"""Windows over contexts against transformers' own: same tokens, same characters, in any language."""

import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whet.checkpoints.locate import locate
from whet.text.questions import END, PLACE, START, WINDOW, Question, QuestionWindows
from whet.text.store import store_of
from whet.text.tokens import Tokeniser

LANGUAGES = {
    "English": "Zoë O'Neil's café — opened in 1998; it's 3.5 km from the sea. ",
    "Arabic": "وُلِدَ العالِم في مدينة القاهرة عام ١٩٤٦، ثم انتقل إلى باريس. ",
    "Chinese": "他于一九四六年出生在北京\uff0c后来搬到巴黎。Ph.D. 在MIT获得 ",
    "Hindi": "उनका जन्म १९४६ में दिल्ली में हुआ था, फिर वे पेरिस चले गए। ",
    "Thai": "เขาเกิดที่กรุงเทพฯ ในปี พ.ศ. ๒๔๘๙ แล้วย้ายไปปารีส 🎉👩‍👩‍👧 ",
}


@pytest.fixture(scope="module")
def tokeniser() -> Tokeniser:
    return Tokeniser.load(locate("mini").folder)


@pytest.fixture(scope="module")
def theirs():
    import transformers

    return transformers.AutoTokenizer.from_pretrained(locate("mini").folder)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("max_length", "stride"), [(384, 128), (40, 8), (23, 0)])
def test_windows_are_those_of_run_qa(tokeniser, theirs, language, max_length, stride) -> None:
    context = LANGUAGES[language] * 12
    question = LANGUAGES[language][:20]
    n_question = len(theirs(question, add_special_tokens=False)["input_ids"])
    question = question if n_question < max_length // 2 else "who ?"
    expected = theirs(
        question, context, truncation="only_second", max_length=max_length, stride=stride,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    found = QuestionWindows(tokeniser, max_length, stride)([Question(question, context)])
    ids = np.split(found.ids, np.cumsum(found.windows)[:-1])
    marks = np.split(found.marks, np.cumsum(found.windows)[:-1])
    assert [one.tolist() for one in ids] == expected["input_ids"]
    for i, own in enumerate(marks):
        inside = [k for k, kind in enumerate(expected.sequence_ids(i)) if kind == 1]
        assert np.flatnonzero(own[:, PLACE] >= 0).tolist() == inside
        offsets = np.array([expected["offset_mapping"][i][k] for k in inside])
        assert (own[inside, START] == offsets[:, 0]).all()
        # Theirs ends before a word's last mark, if the tokeniser drops it: a vowel sign, for example.
        more = [context[end:ours] for end, ours in zip(offsets[:, 1], own[inside, END], strict=True)]
        assert {unicodedata.category(character)[0] for character in "".join(more)} <= {"M", "C"}
        assert set(own[:, WINDOW]) == {i}


@given(st.integers(0, 300), st.integers(0, 60), st.integers(8, 60), st.integers(0, 50))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_token_of_the_context_is_in_a_window_with_its_characters(
    tokeniser, n_context, n_question, max_length, stride
) -> None:
    context = " ".join(map(str, range(n_context)))
    rows = [Question("who " * n_question, context), Question("?", "")]
    encoded = QuestionWindows(tokeniser, max_length, stride)(rows)
    assert encoded.windows.max() <= max_length
    store = store_of(rows, QuestionWindows(tokeniser, max_length, stride)).ensure()
    marks, empty = store.marks(np.arange(2)) or []
    inside = marks[marks[:, PLACE] >= 0]
    places = np.unique(inside[:, PLACE])
    assert places.tolist() == list(range(len(places)))
    covered = "".join(context[a:b] for _, a, b in sorted({tuple(row) for row in inside[:, 1:].tolist()}))
    assert covered == context.replace(" ", "")
    assert (empty[:, PLACE] == -1).all()
    assert marks[:, END].max(initial=-1) <= len(context)
    lost = encoded.full_lengths - encoded.kept
    assert lost.tolist() == [max(n_question - max_length // 2, 0), 0]
