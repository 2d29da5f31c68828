"""SQuAD's JSON: what is read, and what is said of what cannot be."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import whet.data.spool
import whet.data.table
from whet.data.lines import Lines
from whet.data.questions import article_units, question_table
from whet.data.squad import ANSWERS, looks_like_squad, squad_batches
from whet.data.table import Table
from whet.errors import DataError


def content(
    *questions: dict[str, Any], context: str = "Denver won.", title: str = "Football"
) -> dict[str, Any]:
    return {
        "version": "1.1",
        "data": [{"title": title, "paragraphs": [{"context": context, "qas": [*questions]}]}],
    }


def question(key: str = "q1", **more: Any) -> dict[str, Any]:
    return {"id": key, "question": "Who won?", "answers": [{"text": "Denver", "answer_start": 0}], **more}


def read(value: object, n_rows: int = 1000) -> Table:
    raw = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    at = 0

    def pieces(n_bytes: int) -> bytes:
        nonlocal at
        at += 7
        return raw[at - 7 : at]

    batches = [batch for batch, lines in squad_batches(Lines("a.json", pieces), n_rows) if lines is None]
    assert all(batch.num_rows <= n_rows for batch in batches)
    return Table("a.json", pa.concat_tables(batches))


def refused(value: object) -> str:
    with pytest.raises(DataError) as caught:
        read(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "n_questions", "n_impossible", "n_answers", "n_articles"),
    [
        # shared/data/README.md; articles as in the file names and in SQuAD's papers
        ("dev-v1.1", 10570, 0, 34726, 48),
        ("train-v1.1.exact-44-articles", 11877, 0, 11877, 44),
        ("dev-v2.0.rebuilt", 11873, 5945, 20302, 35),
        ("train-v2.0.first10-articles", 4719, 348, 4371, 10),
    ],
)
def test_published_files(shared_data, name, n_questions, n_impossible, n_answers, n_articles):
    """All offsets in them are right, so there is nothing to say; the rows are as `json` reads them."""
    path = shared_data / "squad" / f"{name}.json"
    table, problems = question_table(read_file(path))
    assert problems == []
    assert len(table) == n_questions
    assert sum(table.column("is_impossible").to_pylist()) == n_impossible
    rows = iter(table.columns.to_pylist())
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                row = next(rows)
                assert row["title"] == article["title"]
                assert row["context"] == paragraph["context"]
                assert (row["id"], row["question"]) == (asked["id"], asked["question"])
                assert row["answers"] == [
                    {"text": answer["text"], "start": answer["answer_start"]} for answer in asked["answers"]
                ]
                n_answers -= len(row["answers"])
    assert n_answers == 0
    assert len(set(article_units(table).tolist())) == n_articles


def read_file(path: Path) -> Table:
    with path.open("rb") as file:
        columns = pa.concat_tables([batch for batch, _ in squad_batches(Lines(str(path), file.read), 10_000)])
    return Table(str(path), columns)


def test_columns():
    table = read(content(question(), question("q2", question="Where?", answers=[])), n_rows=1)
    assert table.columns.schema.field("context").type == pa.dictionary(pa.int32(), pa.large_string())
    assert table.columns.schema.field("answers").type == ANSWERS
    assert table.columns.to_pylist() == [
        {
            "id": "q1",
            "title": "Football",
            "question": "Who won?",
            "context": "Denver won.",
            "answers": [{"text": "Denver", "start": 0}],
            "is_impossible": None,
        },
        {
            "id": "q2",
            "title": "Football",
            "question": "Where?",
            "context": "Denver won.",
            "answers": None,  # version 1.1 has no questions without an answer
            "is_impossible": None,
        },
    ]


def test_a_file_that_says_is_impossible_has_questions_without_an_answer():
    table = read(content(question(is_impossible=False), question("q2", answers=[], is_impossible=True)))
    assert table.column("answers").to_pylist() == [[{"text": "Denver", "start": 0}], []]


def test_a_context_stands_once():
    table = read(content(*(question(str(i)) for i in range(50)), context="long " * 1000), n_rows=7)
    assert [len(chunk.dictionary) for chunk in table.column("context").chunks] == [1] * 8
    kept, _ = question_table(table)
    assert kept.columns.nbytes < 20_000


def test_a_table_of_shared_contexts_is_cut_taken_and_kept_on_disk(monkeypatch):
    table = read(content(*(question(str(i)) for i in range(9))), n_rows=2)
    spool = whet.data.spool.Spool()
    monkeypatch.setattr(whet.data.spool, "SPILL_BYTES", 10)
    monkeypatch.setattr(whet.data.table, "SPILL_BYTES", 10)
    monkeypatch.setattr(whet.data.table, "TAKEN_ROWS", 2)
    for start in range(0, 9, 4):
        spool.append(table.columns.slice(start, 4))
    (kept,) = spool.finish()
    assert kept.to_pylist() == table.columns.to_pylist()
    taken = table.take([8, 0, 5, 5, 1])
    assert taken.column("id").to_pylist() == ["8", "0", "5", "5", "1"]
    assert taken.column("context").to_pylist() == ["Denver won."] * 5
    assert Table("a.json", kept).fingerprint() == table.fingerprint()
    assert table.strings("context").type == pa.large_string()


def test_places_are_characters_whatever_the_bytes():
    context = "🏈 é: " + "Denver"
    table, problems = question_table(
        read(content(question(answers=[{"text": "Denver", "answer_start": 5}]), context=context))
    )
    assert problems == []
    assert table.column("answers").to_pylist() == [[{"text": "Denver", "start": 5}]]


def test_one_message_a_bad_row():
    def asked(key: str, text: str, start: int | None) -> dict[str, Any]:
        return question(key, answers=[{"text": text, "answer_start": start}])

    table = read(
        content(
            asked("off", "won", 10),
            asked("absent", "Carolina", 3),
            question("blank", question=" "),
            question("null", answers=None),
            question("none", answers=[]),
            question("off"),
            asked("fine", "won", 7),
        )
    )
    kept, problems = question_table(table)
    assert len(kept) == len(table)
    assert [(problem.kind, problem.message) for problem in problems] == [
        (
            "moved",
            'a.json, question off: the answer "won" does not begin where it should (at character 10 there is '
            '"."). It occurs once at character 7, which is taken. Mend its answer_start.',
        ),
        (
            "absent",
            'a.json, question absent: the answer "Carolina" does not occur in the context (at character 3 '
            'there is "ver won."). Copy it from there, letter for letter: as it is it counts in scores, but '
            "cannot be learnt.",
        ),
        (
            "empty-question",
            "a.json, question blank: the question is empty. Write one, or take the row out: without a "
            "question there is nothing to answer.",
        ),
        *(
            (
                "no-answers",
                f"a.json, question {key}: this question has no answers, so it is unlabelled. Give it one; or "
                f"if the context holds none, write true into is_impossible.",
            )
            for key in ("null", "none")
        ),
        (
            "duplicate-id",
            'a.json, row 6: the id "off" is that of a.json, row 1 too. Give every question its own.',
        ),
    ]


@pytest.mark.parametrize(
    ("head", "yes"),
    [
        (json.dumps(content(question())).encode(), True),
        (b'\xef\xbb\xbf {"data" : [ {"paragraphs":[', True),
        (b'{"data": [{"text": "a"}]}', False),
        (b'{"text": "\\"data\\": [{\\"paragraphs\\": ["}', False),
        (b'[{"paragraphs": [{"data": []}]}]', False),
        (b"question,context,answer\n", False),
    ],
)
def test_looks(head, yes):
    assert looks_like_squad(head) == yes


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b'{"data": [\n{"title": }]}', "a.json:2: not JSON: expecting value at position 11. Mend the file;"),
        (
            b'{"data": [',
            "a.json:1: not JSON: expecting value at position 11. Mend the file; if it breaks off",
        ),
        (b"[" * 100_000, "a.json: this JSON cannot be read: "),
        (b'{"data": "\xe9"}', "a.json:1: byte 0xe9 in this line is not UTF-8."),
        ([], "a.json: there is no list 'data' here."),
        ({"data": []}, "a.json: there is no question in this file."),
        ({"data": [{"title": "x"}]}, "a.json, article 1: there is no list 'paragraphs' here."),
        ({"data": [3]}, "a.json: number 1 of 'data' is 3, where an object is expected."),
        (
            {"data": [{"paragraphs": [{"qas": []}]}]},
            "a.json, article 1, paragraph 1: 'context' is missing, where a text is expected.",
        ),
        (
            content({"id": "q1", "question": 7}),
            "a.json, article 1, paragraph 1, question 1: 'question' is 7, where a text is expected.",
        ),
        (content(question(7)), "a.json, article 1, paragraph 1, question 1: 'id' is 7, where a text"),
        (
            content(question(answers="Denver")),
            "a.json, article 1, paragraph 1, question 1: there is no list 'answers'",
        ),
        (
            content(question(answers=[{"text": "Denver", "answer_start": "0"}])),
            "a.json, article 1, paragraph 1, question 1, answer 1: 'answer_start' is \"0\", where a whole",
        ),
        (
            content(question(answers=[{"text": "Denver", "answer_start": True}])),
            "a.json, article 1, paragraph 1, question 1, answer 1: 'answer_start' is true, where a whole",
        ),
        (
            content(question(answers=[{"text": "Denver", "answer_start": 2**63}])),
            f"a.json, article 1, paragraph 1, question 1, answer 1: 'answer_start' is {2**63}, where a whole",
        ),
        (
            content(question(is_impossible="no")),
            "a.json, article 1, paragraph 1, question 1: 'is_impossible' is \"no\". Write true",
        ),
        (
            json.dumps(content(question(), context="\ud83d")).encode(),
            "a.json, article 1, paragraph 1: 'context' holds half of a surrogate pair",
        ),
    ],
)
def test_what_is_refused(value, message):
    found = refused(value)
    assert found.startswith(message), found


def test_long_values_are_shortened():
    assert len(refused({"data": ["x" * 100_000]})) < 300
    assert len(refused(content(question(is_impossible="x" * 100_000)))) < 300
