"""What is inferred about columns and tasks, what is said about it, and how each inference is overridden."""

import pytest

from whet.data.columns import infer_columns
from whet.data.questions import question_table
from whet.data.readers import read_table
from whet.errors import DataError, UsageError

LONG = [
    "a joy from start to end",
    "dull and far too long",
    "what a fine evening",
    "not worth the money at all",
] * 3
WORDS = [f"{text} {n}" for n, text in enumerate(LONG)]
LABELS = ["pos", "neg", "pos", "neg"] * 3


def table(**columns):
    return read_table(columns)


def roles(columns):
    return columns.text, columns.pair, columns.label


@pytest.mark.parametrize("text", ["text", "Sentence", "REVIEW", "review_text", "content", "Comment Text"])
@pytest.mark.parametrize("label", ["label", "Class", "category", "target", "gold_label"])
def test_usual_names(text, label):
    columns = infer_columns(read_table({"id": list(range(12)), label: LABELS, text: WORDS}))
    assert roles(columns) == (text, None, label)
    assert columns.notes == (
        f"texts: column '{text}', by its usual name",
        f"labels: column '{label}', by its usual name",
        f"task: classification, because '{label}' holds 2 different values",
    )


@pytest.mark.parametrize(
    ("one", "two"),
    [("sentence1", "sentence2"), ("Premise", "Hypothesis"), ("question1", "question2"), ("text_a", "text_b"),
     ("#1 String", "#2 String"), ("question", "sentence"), ("text", "pair")],
)  # fmt: skip
def test_usual_pairs(one, two):
    columns = infer_columns(read_table({two: WORDS, one: WORDS, "label": LABELS}))
    assert roles(columns) == (one, two, "label")
    assert columns.notes[0] == f"texts: pairs of '{one}' and '{two}', by their usual names"


def test_what_fits():
    columns = infer_columns(table(key=[f"k{n}" for n in range(12)], said=WORDS, mood=LABELS))
    assert roles(columns) == ("said", None, "mood")
    assert columns.notes == (
        "texts: column 'said', the only one that holds free text",
        "labels: column 'mood', the only other one with few values (2 in 12 rows)",
        "task: classification, because 'mood' holds 2 different values",
    )


def test_overrides_win():
    data = table(text=WORDS, label=LABELS, other=WORDS, mood=LABELS)
    columns = infer_columns(data, text="other", pair="text", label="mood", task="classification")
    assert roles(columns) == ("other", "text", "mood")
    assert columns.notes == ("classification, texts in 'other' and 'text', labels in 'mood', as asked",)
    assert roles(infer_columns(data, text="other")) == ("other", None, "label")
    assert roles(infer_columns(data, label="mood")) == ("text", None, "mood")


def test_naming_one_text_of_a_pair_turns_the_pair_off():
    data = table(sentence1=WORDS, sentence2=WORDS, label=LABELS)
    assert roles(infer_columns(data, text="sentence1")) == ("sentence1", None, "label")


def test_no_label_is_needed_for_prediction():
    assert roles(infer_columns(table(text=WORDS, id=list(range(12))), need_label=False)) == (
        "text",
        None,
        None,
    )
    assert roles(infer_columns(table(text=WORDS, label=LABELS), need_label=False)) == ("text", None, "label")


def test_prediction_does_not_mind_what_other_columns_hold():
    for score in ([0.5] * 12, [[1]] * 12, list(range(12))):
        columns = infer_columns(
            table(text=WORDS, score=score, context=WORDS, question=WORDS), need_label=False
        )
        assert (columns.task, columns.text) == ("classification", "text")


def error(data, **options):
    with pytest.raises(DataError) as caught:
        infer_columns(data, **options)
    return str(caught.value)


def test_missing_column():
    assert error(table(text=WORDS, label=LABELS), label="lable") == (
        "<lists>: there is no column 'lable'. Did you mean 'label'? The columns are: text, label."
    )


def test_several_texts():
    assert error(table(said=WORDS, meant=WORDS, mood=LABELS)) == (
        "<lists>: which column holds the texts? Several could be it (said, meant). "
        "Name one with --text. The columns are: said, meant, mood."
    )


def test_no_text():
    assert error(table(a=list(range(12)), label=LABELS)) == (
        "<lists>: which column holds the texts? No column has a usual name or holds free text. "
        "Name one with --text. The columns are: a, label."
    )


def test_several_labels():
    assert error(table(text=WORDS, mood=LABELS, tone=LABELS)) == (
        "<lists>: which column holds the labels? Several could be it (mood, tone). "
        "Name one with --label. The columns are: text, mood, tone."
    )


def test_no_label():
    assert error(table(text=WORDS)) == (
        "<lists>: which column holds the labels? There is no column beside the texts. "
        "Name one with --label. The columns are: text."
    )
    assert error(table(text=WORDS, id=list(range(12)))) == (
        "<lists>: which column holds the labels? No column has a usual name or few enough values. "
        "Name one with --label. The columns are: text, id."
    )


def test_decimals_are_regression():
    note = "task: regression, because 'label' holds numbers with decimals, such as 0.5"
    for labels in ([0.5, 1.0, 2.0] * 4, ["0.5", "1", "2"] * 4):
        found = infer_columns(table(text=WORDS, label=labels))
        assert (found.task, found.notes[-1]) == ("regression", note)
    assert (
        infer_columns(table(text=WORDS, label=[0.5, 1.0] * 6), task="classification").task == "classification"
    )
    assert infer_columns(table(text=WORDS, label=[0.0, 1.0] * 6)).task == "classification"
    assert infer_columns(table(text=WORDS, label=["nan", "inf"] * 6)).task == "classification"


def test_many_integers_ask_for_the_task():
    data = table(text=WORDS * 4, label=[n % 21 for n in range(48)])
    assert error(data) == (
        "<lists>: column 'label' holds 21 different whole numbers: classes or a quantity? "
        "Say --task classification if each is a class, or --task regression."
    )
    assert infer_columns(data, task="classification").task == "classification"
    assert infer_columns(table(text=WORDS * 4, label=[n % 20 for n in range(48)])).task == "classification"


def test_lists_are_multilabel():
    for labels in ([["x"], ["x", "y"]] * 6, ["['x']", '["x", "y"]', "[]"] * 4):
        columns = infer_columns(table(text=WORDS, labels=labels))
        assert roles(columns) == ("text", None, "labels")
        assert (columns.task, columns.notes[-1]) == (
            "multilabel-classification",
            "task: multilabel-classification, because 'labels' holds lists",
        )
    assert infer_columns(table(text=WORDS, label=["[oc]", "[meta]"] * 6)).task == "classification"
    for task in ("classification", "regression"):
        assert error(table(text=WORDS, labels=[["x"], ["y"]] * 6), task=task) == (
            f"<lists>: column 'labels' holds lists, and the task is {task}, which has one label a row. "
            "Leave out --task, or name one other column with --label."
        )


def test_lists_are_found_by_what_they_hold():
    columns = infer_columns(table(said=WORDS, about=[["x"], ["x", "y"]] * 6, key=[[{"a": 1}]] * 12))
    assert roles(columns) == ("said", None, "about")
    assert columns.notes[1] == "labels: column 'about', the only other one with few values (2 in 12 rows)"


def test_several_label_columns_are_multilabel():
    data = table(text=WORDS, rude=[0, 1] * 6, threat=[1, 0] * 6, label=LABELS)
    columns = infer_columns(data, label=["rude", "threat"])
    assert (columns.task, columns.labels, columns.label) == (
        "multilabel-classification",
        ("rude", "threat"),
        None,
    )
    assert columns.notes[1:] == (
        "labels: columns rude, threat, as asked",
        "task: multilabel-classification, because several label columns are named",
    )
    assert columns.to_json() == {"text": "text", "pair": None, "label": ("rude", "threat")}
    assert error(data, label=["rude", "threat"], task="classification") == (
        "<lists>: 2 label columns, and the task is classification, which has one label a row. "
        "Leave out --task, or name one other column with --label."
    )
    assert error(data, label=["rude", "thread"]) == (
        "<lists>: there is no column 'thread'. Did you mean 'threat'? The columns are: text, rude, threat, "
        "label."
    )
    with pytest.raises(UsageError, match=r"^--label and --label both name the column 'rude'."):
        infer_columns(data, label=["rude", "rude"])
    with pytest.raises(UsageError, match=r"^label=3: name a column, or a list of columns\.$"):
        infer_columns(data, label=3)


def test_joined_labels_are_told_and_only_taken_when_asked_for():
    data = table(text=WORDS, label=["joy|love", "joy", "love", "fear|joy", "fear", "love"] * 2)
    columns = infer_columns(data)
    assert columns.task == "classification"
    assert columns.notes[-1] == (
        "'label' looks like labels joined by '|' (3 labels in 5 different values); if a row has several "
        "labels, say --task multilabel-classification"
    )
    assert infer_columns(data, task="multilabel-classification").task == "multilabel-classification"
    many = [f"{one};{two}" for one in "abcdefg" for two in "hijklmn"]
    assert error(table(text=WORDS * 5, label=[*many, *many[:11]])).endswith(
        "'label' looks like labels joined by ';' (14 labels in 49 different values); if a row has several "
        "labels, say --task multilabel-classification."
    )


@pytest.mark.parametrize(
    "labels", [["Paris, France", "London, UK"], ["a|b", "c"], ["1,25", "1,5", "2,25", "2,5"], ["C; D", "E"]]
)
def test_labels_with_signs_in_them_are_no_joined_ones(labels):
    columns = infer_columns(table(text=WORDS, label=(labels * 6)[:12]))
    assert not any("joined" in note for note in columns.notes)


def test_question_and_context_are_question_answering():
    data = table(question=WORDS, context=WORDS, label=LABELS)
    assert "which columns hold the questions, their contexts and the answers?" in error(data)
    columns = infer_columns(table(question=WORDS, context=WORDS, answer=WORDS))
    assert (columns.task, *roles(columns)) == ("question-answering", "question", "context", "answer")
    columns = infer_columns(data, task="classification", text="question", pair="context")
    assert roles(columns) == ("question", "context", "label")


def test_the_answers_column_that_is_named_is_taken():
    data = table(question=["a?"], context=["b c"], answer=["c"], reply=["b"])
    columns = infer_columns(data, task="question-answering", label="reply")
    assert columns.label == "reply"
    clean, _ = question_table(data, "question", "context", columns.label)
    assert clean.column("answers").to_pylist() == [[{"text": "b", "start": 0}]]
    assert "one column, and answer, reply are named. Name one with --label." in error(
        data, task="question-answering", label=["answer", "reply"]
    )


@pytest.mark.parametrize(
    ("task", "part"),
    [
        ("question-answering", "which columns hold the questions and their contexts?"),
        ("token-classification", "which column holds the words?"),
    ],
)
def test_prediction_asks_for_no_answers_and_no_tags(task, part):
    message = error(table(a=[1]), task=task, need_label=False)
    assert part in message
    assert "--label" not in message


def test_token_lists_are_token_classification():
    data = table(tokens=[["a"]] * 3, ner_tags=[[0]] * 3)
    columns = infer_columns(data)
    assert columns.task == "token-classification"
    assert roles(columns) == ("tokens", None, "ner_tags")


def test_words_without_a_list_of_tags_are_no_labels():
    """As a CoNLL file of one column: the words would be several labels of the document's number."""
    for columns in ({"document": [0] * 3}, {"tags": ["O O"] * 3}):
        message = error(table(tokens=[["a", "b"]] * 3, **columns))
        assert "'tokens' holds lists of words, and no column a list with a tag for each." in message


def test_labels_that_are_texts():
    data = table(text=WORDS * 3, target=[f"answer {n}" for n in range(36)])
    assert error(data) == (
        "<lists>: column 'target' holds 36 different values in 36 rows, too many to be classes. "
        "Name another column with --label, or say --task classification if they are."
    )


def test_tasks_by_name():
    with pytest.raises(UsageError) as caught:
        infer_columns(table(text=WORDS, label=LABELS), task="clasification")
    assert str(caught.value) == (
        "there is no task 'clasification'. Did you mean 'classification'? The tasks are: classification, "
        "multilabel-classification, regression, token-classification, question-answering, masked-lm."
    )
    assert error(table(text=WORDS, label=LABELS), task="masked-lm") == (
        "<lists>: masked-lm is not learnt from labelled rows. Use whet pretrain."
    )


def test_one_column_for_two_roles():
    with pytest.raises(
        UsageError, match=r"^--text and --label both name the column 'text'. They must differ.$"
    ):
        infer_columns(table(text=WORDS, label=LABELS), text="text", label="text")


def test_a_label_column_of_records():
    data = table(text=WORDS, label=[{"a": 1}] * 12)
    assert error(data, task="classification") == (
        "<lists>: column 'label' holds records, where text, numbers or true and false are expected. "
        "Name another column."
    )
