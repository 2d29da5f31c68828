"""Questions and answers in every form that they come in, and what is said of those that are wrong."""

import json
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whet.data.questions import QuestionProblem, article_units, question_table
from whet.data.readers import read_table
from whet.data.squad import ANSWERS
from whet.data.table import Table
from whet.errors import DataError
from whet.squad_scores import answer_scores

CONTEXT = "Denver beat Carolina 24 to 10; Denver won."
NESTED = {"text": ["Carolina", "Carolina 24"], "answer_start": [12, 12]}
EXPECTED = [{"text": "Carolina", "start": 12}, {"text": "Carolina 24", "start": 12}]


def table_of(**columns: list[Any]) -> Table:
    n = len(next(iter(columns.values())))
    return Table("a.json", pa.table({"question": ["Who?"] * n, "context": [CONTEXT] * n, **columns}))


def answers(table: Table) -> list[Any]:
    found, problems = question_table(table)
    assert problems == []
    return list(found.column("answers").to_pylist())


def problems_of(table: Table) -> list[QuestionProblem]:
    return question_table(table)[1]


@pytest.mark.parametrize(
    "value",
    [
        NESTED,
        [{"text": "Carolina", "answer_start": 12}, {"text": "Carolina 24", "answer_start": 12}],
        EXPECTED,
        ["Carolina", "Carolina 24"],
        json.dumps(NESTED),
        repr(NESTED),
        "{'text': array(['Carolina', 'Carolina 24'],\n      dtype=object), 'answer_start': array([12, 12])}",
        "[{'text': 'Carolina', 'answer_start': np.int64(12)}, {'text': 'Carolina 24', 'answer_start': 12}]",
    ],
)
def test_nested_answers(value):
    assert answers(table_of(answers=[value])) == [EXPECTED]


def test_flat_answers():
    assert answers(table_of(answer=["Carolina", "10"], answer_start=[12, 27])) == [
        [{"text": "Carolina", "start": 12}],
        [{"text": "10", "start": 27}],
    ]
    # a text in brackets that has a place is a text
    flat = table_of(**{"Answer Text": ["[4]", "10"], "context": ["[4]", "10"], "answer_start": [0.0, None]})
    assert answers(flat) == [[{"text": "[4]", "start": 0}], [{"text": "10", "start": 0}]]


def test_files(tmp_path):
    """The same rows through JSON lines, CSV as pandas writes `datasets`' records, and flat CSV."""
    rows = [
        {"id": "a", "title": "T", "question": "Who?", "context": CONTEXT, "answers": NESTED},
        {
            "id": "b",
            "title": "T",
            "question": "Why?",
            "context": CONTEXT,
            "answers": {"text": [], "answer_start": []},
        },
    ]
    expected = [EXPECTED, []]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert answers(read_table(str(path))) == expected
    frame = pandas.DataFrame(rows)
    assert answers(read_table(frame)) == expected
    frame["answers"] = [
        {
            "text": np.array(v["text"], dtype=object),
            "answer_start": np.array(v["answer_start"], dtype=np.int32),
        }
        for v in frame["answers"]
    ]
    frame.to_csv(tmp_path / "a.csv", index=False)
    found = read_table(str(tmp_path / "a.csv"))
    assert "array(" in found.column("answers")[0].as_py()
    assert answers(found) == expected
    flat = tmp_path / "b.csv"
    flat.write_text(
        f'question,context,answer,answer_start,is_impossible\nWho?,"{CONTEXT}",Carolina,12.0,False\n'
        f'Why?,"{CONTEXT}",,,True\n'
    )
    assert answers(read_table(str(flat))) == [[{"text": "Carolina", "start": 12}], []]


def test_datasets():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            **{name: datasets.Value("string") for name in ("id", "title", "context", "question")},
            "answers": datasets.Sequence(
                {"text": datasets.Value("string"), "answer_start": datasets.Value("int32")}
            ),
        }
    )
    made = datasets.Dataset.from_list(
        [
            {"id": "a", "title": "T", "context": CONTEXT, "question": "Who?", "answers": NESTED},
            {
                "id": "b",
                "title": "T",
                "context": CONTEXT,
                "question": "Why?",
                "answers": {"text": [], "answer_start": []},
            },
        ],
        features=features,
    )
    assert answers(read_table(made)) == [EXPECTED, []]


def test_one_form():
    table = Table("a.csv", table_of(answers=[NESTED, None, NESTED]).columns, np.array([2, 3, 7]))
    found, problems = question_table(table)
    assert found.columns.schema.types == [
        *(pa.string(),) * 3,
        pa.dictionary(pa.int32(), pa.large_string()),
        ANSWERS,
        pa.bool_(),
    ]
    assert found.column("is_impossible").to_pylist() == [False, None, False]
    assert len(found.column("context").chunk(0).dictionary) == 1
    assert [problem.kind for problem in problems] == ["no-answers"]
    assert problems[0].message.startswith("a.csv:3: this question has no answers, so it is unlabelled.")
    assert question_table(found)[0].columns.equals(found.columns)
    assert answers(table_of(id=["to be", "answered"])) == [None, None]  # nothing is odd about that


@pytest.mark.parametrize(
    ("columns", "row", "kind", "message"),
    [
        (
            {"answers": [[{"text": "Carolina", "answer_start": 14}]]},
            [{"text": "Carolina", "start": 12}],
            "moved",
            'a.json, row 1: the answer "Carolina" does not begin where it should (at character 14 there is '
            '"rolina 2"). It occurs once at character 12, which is taken. Mend its answer_start.',
        ),
        (
            {"answers": [[{"text": "Denver", "answer_start": 29}]]},
            [{"text": "Denver", "start": 31}],
            "moved-nearest",
            'a.json, row 1: the answer "Denver" does not begin where it should (at character 29 there is '
            '"; Denv"). It occurs 2 times, nearest at character 31, which is taken. Mend its answer_start.',
        ),
        (
            {"answer": ["Denver"]},
            [{"text": "Denver", "start": 0}],
            "not-placed",
            'a.json, row 1: the answer "Denver" occurs 2 times in the context, and has no answer_start. The '
            "first, at character 0, is taken; say which is right.",
        ),
        (
            {"id": ["q1"], "answer": ["denver"], "answer_start": ["0"]},
            [{"text": "denver", "start": None}],
            "absent",
            'a.json, question q1: the answer "denver" does not occur in the context (at character 0 there is '
            '"Denver"). Copy it from there, letter for letter: as it is it counts in scores, but cannot be',
        ),
        (
            {"answer": ["won"], "answer_start": [4000]},
            [{"text": "won", "start": 38}],
            "moved",
            'a.json, row 1: the answer "won" does not begin where it should (at character 4,000 of 42).',
        ),
        (
            {"answer": ["won"], "answer_start": [-4]},  # not Python's fourth from the end
            [{"text": "won", "start": 38}],
            "moved",
            'a.json, row 1: the answer "won" does not begin where it should (at character -4 of 42).',
        ),
        (
            {"answer": [" won "], "answer_start": [38]},
            [{"text": "won", "start": 38}],
            None,
            "",
        ),
        (
            {"answers": [["", "won"]]},
            [{"text": "won", "start": 38}],
            "empty-answer",
            "a.json, row 1: 1 answer of 2 are empty, and left out.",
        ),
        (
            {"answers": [["won"]], "is_impossible": [True]},
            [],
            "impossible",
            "a.json, row 1: it is marked as impossible, and has 1 answer, which are left out. Write false",
        ),
        (
            {"answers": [[], ["won"]], "is_impossible": [False, None]},
            None,
            "no-answers",
            "a.json, row 1: this question has no answers, so it is unlabelled. Give it one; or if",
        ),
        (
            {"answers": [["won"]], "question": [" "]},
            [{"text": "won", "start": 38}],
            "empty-question",
            "a.json, row 1: the question is empty. Write one, or take the row out: without a question there",
        ),
        (
            {"answers": [[]], "context": [None]},
            [],
            "empty-context",
            "a.json, row 1: the context is empty. Write one, or take the row out: without a context there",
        ),
    ],
)
def test_what_is_mended_and_said(columns, row, kind, message):
    found, problems = question_table(table_of(**columns))
    assert found.column("answers")[0].as_py() == row
    assert [problem.kind for problem in problems] == ([] if kind is None else [kind])
    assert all(problem.message.startswith(message) for problem in problems), problems


def test_ids_that_are_given_twice():
    found = problems_of(table_of(id=["x", "y", "x", None, None], answer=["won"] * 5))
    assert [(problem.kind, problem.row) for problem in found] == [("duplicate-id", 2)]
    assert found[0].message == (
        'a.json, row 3: the id "x" is that of a.json, row 1 too. Give every question its own.'
    )


def test_problems_come_in_the_order_of_rows():
    found = problems_of(table_of(id=["x", "x"], answer=["lost", "lost"], question=["", ""]))
    assert [(problem.row, problem.kind) for problem in found] == [
        (0, "absent"),
        (0, "empty-question"),
        (1, "absent"),
        (1, "duplicate-id"),
        (1, "empty-question"),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"answer": ["won"], "answer_start": ["x"]}, 'a.json, row 1: the place "x" of an answer is no whole'),
        (
            {"answer": ["won"], "answer_start": ["9" * 5000]},
            f'a.json, row 1: the place "{"9" * 40} ... {"9" * 20}" of an answer is no whole number',
        ),
        ({"answer": ["won"], "answer_start": [1.5]}, 'a.json, row 1: the place "1.5" of an answer is no'),
        (
            {"answers": ["{'text': open('x')}"], "id": ["q"]},
            "a.json, question q: the answers \"{'text': open",
        ),
        ({"answers": ["{x: 1}"]}, 'a.json, row 1: the answers "{x: 1}" cannot be read. Write them as in'),
        (
            {"answers": [{"text": ["a", "b"], "answer_start": [1]}]},
            "a.json, row 1: there are 2 answers and 1",
        ),
        (
            {"answers": [[["won"]]]},
            "a.json, row 1: \"['won']\" stands where the text of an answer is expected.",
        ),
        ({"answer": ["won"], "is_impossible": ["maybe"]}, "a.json, row 1: 'is_impossible' is \"maybe\"."),
        ({"context": [["a"]]}, "a.json: column 'context' holds lists, where text"),
    ],
)
def test_what_is_refused(columns, message):
    with pytest.raises(DataError) as caught:
        problems_of(table_of(**columns))
    assert str(caught.value).startswith(message), str(caught.value)


@given(st.text("ab ", min_size=1, max_size=20), st.text("ab", min_size=1, max_size=3), st.integers(-3, 25))
@example("aaab", "aa", 2)  # places may overlap
@settings(deadline=None)
def test_the_nearest_place_is_taken(context, text, start):
    table = Table(
        "a", pa.table({"question": ["?"], "context": [context], "answer": [text], "answer_start": [start]})
    )
    found, problems = question_table(table)
    ((answer,),) = found.column("answers").to_pylist()
    places = [i for i in range(len(context)) if context[i : i + len(text)] == text]
    assert answer["text"] == text
    if not places:
        assert answer["start"] is None
    else:
        assert abs(answer["start"] - start) == min(abs(place - start) for place in places)
        assert answer["start"] in places
    said = [problem.kind for problem in problems if problem.kind != "empty-context"]
    expected = "absent" if not places else "moved" if len(places) == 1 else "moved-nearest"
    assert said == ([] if start in places else [expected])


def test_a_long_context():
    context = "Denver " * 14_000 + "won at last."
    table = table_of(context=[context], answers=[[{"text": "won at last", "answer_start": 98_003}]])
    found, (problem,) = question_table(table)
    assert found.column("answers").to_pylist() == [[{"text": "won at last", "start": 98_000}]]
    assert "at character 98,003" in problem.message
    assert len(problem.message) < 400


XQUAD = [
    # language, context, answer; what stands before it is neither ASCII nor in the basic plane
    ("ar", "🏈 فاز دنفر برونكوس على كارولينا بانثرز 24–10.", "كارولينا بانثرز"),
    ("zh", "𠮷。丹佛野马队以24比10击败卡罗来纳黑豹队。", "卡罗来纳黑豹队"),
    ("hi", "🏈 डेनवर ब्रोंकोस ने कैरोलिना पैंथर्स को हराया।", "कैरोलिना पैंथर्स"),
    ("th", "🏈 เดนเวอร์บรองโกส์ชนะแคโรไลนาแพนเธอร์ส", "แคโรไลนาแพนเธอร์ส"),
]


@pytest.mark.parametrize(("language", "context", "answer"), XQUAD)
def test_other_languages(language, context, answer):
    before = context[: context.index(answer)]
    right, in_bytes = len(before), len(before.encode())
    in_units = len(before.encode("utf-16-le")) // 2
    assert len({right, in_bytes, in_units}) == 3
    for start, kind in ((right, None), (in_bytes, "moved"), (in_units, "moved")):
        table = table_of(id=[language], context=[context], answer=[answer], answer_start=[start])
        found, problems = question_table(table)
        assert found.column("answers").to_pylist() == [[{"text": answer, "start": right}]]
        assert [problem.kind for problem in problems] == ([] if kind is None else [kind])
    scores = answer_scores([answer, before], [[answer], [answer]])
    assert scores.exact.tolist() == [1.0, 0.0]


def test_articles():
    def units(**columns: list[Any]) -> list[int]:
        return list(article_units(question_table(table_of(**columns))[0]).tolist())

    contexts = ["a", "b", "a", "c"]
    assert units(title=["T", "S", "S", "T"], context=contexts) == [1, 0, 0, 1]
    assert units(title=["T"] * 4, context=contexts) == [0, 1, 0, 2]
    assert units(context=contexts) == [0, 1, 0, 2]
    assert units(title=["T", "S", "S", None], context=contexts) == [0, 1, 0, 2]
