"""Tags and sentences of a table, in each of the forms they come in."""

import json

import numpy as np
import pyarrow as pa
import pytest

from whet.data.columns import infer_columns
from whet.data.readers import read_table
from whet.data.sentences import Sentences, document_numbers
from whet.data.table import Table
from whet.data.tags import check_types, read_tags
from whet.errors import DataError


def table(**columns) -> Table:
    return Table("rows.jsonl", pa.table(columns), np.arange(1, 1 + len(next(iter(columns.values())))))


def refused(data: Table, text: str = "tokens", label: str = "tags") -> str:
    with pytest.raises(DataError) as caught:
        read_tags(data, text, label)
    return str(caught.value)


def test_lists_of_words_and_tags():
    data = table(tokens=[["EU", "rejects"], [], None, ["a"]], tags=[["I-ORG", "O"], [], None, None])
    found = read_tags(data, "tokens", "tags")
    assert found.tags.sentences() == [["I-ORG", "O"], [], [], []]
    assert found.labelled.tolist() == [True, True, False, False]


def test_class_ids_of_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    feature = datasets.List(datasets.ClassLabel(names=["O", "B-PER", "I-PER"]))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": feature})
    rows = {"tokens": [["Emma", "Clark", "left"], ["x"]], "ner_tags": [[1, 2, 0], [0]]}
    made = datasets.Dataset.from_dict(rows, features=features)
    wanted = [["B-PER", "I-PER", "O"], ["O"]]
    made.to_parquet(tmp_path / "a.parquet")
    for data in (read_table(made), read_table(tmp_path / "a.parquet")):
        assert read_tags(data, "tokens", "ner_tags").tags.sentences() == wanted


def test_numbers_without_names():
    message = refused(table(tokens=[["a"]], tags=[[3]]))
    assert "holds numbers, and nothing says which tag each stands for" in message


def test_spans_in_texts_and_all_that_is_wrong_at_once():
    spans = [
        [{"start": 0, "end": 13, "label": "PER"}],
        [],
        [{"start": 3, "end": 6, "label": "LOC"}],
        None,
        [{"start": 4, "end": 99, "label": "LOC"}],
    ]
    texts = ["Angela Merkel!", "none", "in Berlin", "unlabelled", "a b"]
    data = table(text=texts[:2] + texts[3:4], spans=spans[:2] + spans[3:4])
    found = read_tags(data, "text", "spans")
    assert found.tags.sentences() == [["B-PER", "I-PER", "O"], ["O"], []]
    assert found.labelled.tolist() == [True, True, False]
    message = refused(table(text=texts, spans=spans), "text", "spans")
    assert "rows.jsonl:3: span 1 (LOC, 3 to 6) ends inside the word 'Berlin' (3 to 9)." in message
    assert "rows.jsonl:5: span 1 (LOC, 4 to 99) does not lie in its text" in message


@pytest.mark.parametrize(
    ("tokens", "tags", "message"),
    [
        ([["a"], ["a", "b"]], [["O"], ["O"]], "rows.jsonl:2: 2 words and 1 tag; each word has one tag."),
        ([["a"], ["b"]], [["O"], ["PERSON"]], "rows.jsonl:2: 'PERSON' is no entity tag of IOB2, IOB1,"),
        ([["a"], ["b"]], [["O"], [None]], "rows.jsonl:2: a tag in 'tags' is missing."),
        ([["a"], [""]], [["O"], ["O"]], "rows.jsonl:2: a word in 'tokens' is empty."),
        (["a", "b"], [["O"], ["O"]], "where a list of words and a list of tags are expected"),
    ],
)
def test_bad_rows(tokens, tags, message):
    if isinstance(tokens[0], str):
        tags = ["O", "O"]
    assert message in refused(table(tokens=tokens, tags=tags))


def test_an_unknown_type_is_named_with_the_nearest():
    data = table(tokens=[["a"], ["b", "c"]], tags=[["B-LOC"], ["B-ORGG", "I-ORGG"]])
    with pytest.raises(DataError, match=r"rows.jsonl:2: 'ORGG' is not one of .* Did you mean 'ORG'\?"):
        check_types(data, read_tags(data, "tokens", "tags"), ("LOC", "ORG"))


def test_a_row_without_a_document_is_one_of_its_own():
    data = table(tokens=[["a"], ["b"], ["c"], ["d"]], document=["x", None, None, "x"])
    numbers = document_numbers(data).tolist()
    assert numbers[0] == numbers[3]
    assert len(set(numbers)) == 3
    assert [one.before + one.after for one in Sentences(data, "tokens", context=9)] == [()] * 4


def test_words_around_a_sentence_end_with_its_document():
    words = [["a", "b"], ["c"], [], ["d", "e", "f"], ["g"], ["h"]]
    data = table(tokens=words, document=[1, 1, 1, 1, 2, 2])
    found = list(Sentences(data, "tokens", context=3))
    assert [one.words for one in found] == [tuple(sentence) for sentence in words]
    assert [one.before for one in found] == [(), ("a", "b"), ("a", "b", "c"), ("a", "b", "c"), (), ("g",)]
    rest = ("d", "e", "f")
    assert [one.after for one in found] == [("c", "d", "e"), rest, rest, (), ("h",), ()]
    some = Sentences(data, "tokens", np.array([3, 1]), context=3).some(np.array([1, 0]))
    assert [one.before for one in some] == [("a", "b"), ("a", "b", "c")]
    assert [one.words for one in some] == [("c",), ("d", "e", "f")]
    assert not any(one.before or one.after for one in Sentences(data, "tokens"))


def test_raw_texts_are_split_and_slices_give_the_words_back():
    data = table(text=["Zoë's café, 東京!", None])
    found = list(Sentences(data, "text"))
    assert found[0].words == ("Zoë", "'", "s", "café", ",", "東", "京", "!")
    assert [found[0].text[a:b] for a, b in found[0].offsets] == list(found[0].words)
    assert found[1].words == ()


def test_columns_are_inferred_and_named(tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [{"text": "in Berlin", "entities": [{"start": 3, "end": 9, "label": "LOC"}]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = infer_columns(read_table(file))
    assert (columns.task, columns.text, columns.label) == ("token-classification", "text", "entities")
    other = table(w=[["a"]], t=[["B-X"]], label=["x"])
    columns = infer_columns(other, task="token-classification", text="w", label="t")
    assert (columns.text, columns.label) == ("w", "t")
    with pytest.raises(DataError, match="which columns hold the words and their tags"):
        infer_columns(other, task="token-classification")
    columns = infer_columns(table(tokens=[["a"]]), task="token-classification", need_label=False)
    assert (columns.text, columns.label) == ("tokens", None)
