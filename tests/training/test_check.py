"""`check_data`: what stops `train` is an error and all else is none; the lines that `train` says."""

import json
import shutil

import numpy as np
import pytest

import whet
from tests.acceptance import house
from whet.config import TrainConfig
from whet.errors import ConfigError, DataError, UsageError
from whet.training.check import NEAR_IN_TRAINING, check_data, warn_before_training
from whet.training.data import Named, read_training_data

CONFIG = TrainConfig()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return house.make_checkpoint(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture
def changed(encoder, tmp_path):
    """A copy of the encoder with some keys of one of its JSON files replaced."""

    def copy(name, **keys):
        folder = tmp_path / "changed"
        shutil.copytree(encoder, folder, dirs_exist_ok=True)
        path = folder / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | keys))
        return str(folder)

    return copy


def data(n=48):
    texts, labels = house.sentences(n)
    return {"text": texts, "label": labels}


def kinds(report, severity=None):
    return [one.kind for one in report.findings if severity in (None, one.severity)]


def check(named, model, **settings):
    return check_data(
        named if isinstance(named, Named) else Named(named), str(model), TrainConfig(**settings)
    )


def test_sound_data_has_one_note_a_row_as_tokens(encoder):
    report = check(data(), encoder)
    assert kinds(report) == ["row"]
    assert report.parts == {"train": ("<lists>", 48)}
    (row,) = report.findings
    tokens = next(line for line in row.example.splitlines() if line.startswith("tokens"))
    types = next(line for line in row.example.splitlines() if line.startswith("type ids"))
    assert tokens.split()[1] == "[CLS]"
    assert tokens.split()[-1] == "[SEP]"
    assert len(types.split()) - 2 == len(tokens.split()) - 1
    label = data()["label"][0]
    assert f'target   {sorted(house.CLASSES).index(label)} ("{label}")' in row.example


def test_type_ids_of_a_pair(encoder):
    first, second, labels = house.pairs(24)
    report = check({"sentence1": first, "sentence2": second, "label": labels}, encoder)
    types = next(line for line in report.findings[-1].example.splitlines() if line.startswith("type ids"))
    assert {"0", "1"} <= set(types.split()[2:])


def test_cut_texts_are_counted_as_the_tokeniser_counts(encoder):
    made = data()
    made["text"][5] = "the parcel " * 30
    (cut,) = [one for one in check(made, encoder, max_length=20).findings if one.kind == "cut"]
    assert cut.rows == (6,)
    assert "62 tokens" in cut.fix
    assert "cut" not in kinds(check(made, encoder))


@pytest.mark.parametrize(
    ("file", "keys", "words"),
    [
        ("config.json", {"vocab_size": 20}, "they do not belong together"),
        ("config.json", {"vocab_size": 100_000}, "knows only some"),
        ("config.json", {"pad_token_id": 3}, "pad token '[PAD]' is 0, and config.json says 3"),
        ("tokenizer_config.json", {"mask_token": "<mask>"}, "mask token '<mask>' is not in the vocabulary"),
    ],
)
def test_a_tokeniser_that_disagrees_with_the_encoder(changed, file, keys, words):
    report = check(data(), changed(file, **keys))
    (one,) = [one for one in report.findings if one.kind == "tokeniser"]
    assert one.severity == "warning"
    assert words in one.message


def test_a_tokeniser_without_special_tokens(changed):
    folder = changed("tokenizer.json", post_processor=None)
    (one,) = [one for one in check(data(), folder).findings if one.kind == "tokeniser"]
    assert "no special token" in one.message


def test_the_right_tokeniser_agrees(encoder):
    assert "tokeniser" not in kinds(check(data(), encoder))
    assert "tokeniser" not in kinds(check(data(), "mini"))


def test_signs_that_the_encoder_does_not_know(encoder):
    made = data()
    made["text"][3] = made["text"][7] = "한국어 문장 입니다 그리고 또 하나"
    (one,) = [one for one in check(made, encoder).findings if one.kind == "unknown-tokens"]
    assert one.rows == (4, 8)
    assert "[UNK]" in one.message


def test_a_model_that_is_not_there_is_an_error_beside_those_of_the_data(tmp_path):
    made = data()
    made["text"][1] = made["text"][0]
    report = check(made, tmp_path / "none" / "here" / "at" / "all")
    assert kinds(report, "error") == ["model"]
    assert "exact-conflict" in kinds(report)


def test_more_tokens_than_positions_is_an_error(encoder):
    (one,) = [one for one in check(data(), encoder, max_length=600).findings if one.severity == "error"]
    assert (one.kind, one.fix) == ("model", "Choose 4 to 512.")


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


GOOD = "text,label\n" + "".join(f"words number {i} of many,{'ab'[i % 2]}\n" for i in range(20))


@pytest.mark.parametrize(
    ("text", "options", "kind", "rows", "words"),
    [
        (None, {}, "unreadable", (), "no such file"),
        ("", {}, "unreadable", (), "the file is empty"),
        ('text,label\nGood,a\n"Never closed,b\n', {}, "unreadable", (3,), "never closed"),
        ("text,label\na,b,c\n", {}, "unreadable", (2,), "3 fields"),
        (GOOD, {"label": "lable"}, "columns", (), "no column 'lable'"),
        (GOOD, {"text": "body"}, "columns", (), "no column 'body'"),
        ("words,things\nfoo,bar\n", {}, "columns", (), "which column holds"),
        ("text,label\nfoo,1.5\nbar,2.25\nbaz,x\n", {"task": "regression"}, "targets", (), "no finite number"),
        ("text,label\nfoo,1.5\nbar,1.5\n", {"task": "masked-lm"}, "columns", (), "labelled rows"),
        ("text,label\nfoo it,a\nbar it,a\n", {}, "one-class", (), "one class"),
        ("text,label\nfoo it,\nbar it,\n", {}, "no-labels", (), "No row has a label"),
    ],
)
def test_what_train_refuses_is_an_error(tmp_path, encoder, text, options, kind, rows, words):
    path = tmp_path / "data.csv"
    if text is not None:
        write(path, text)
    report = check(Named(str(path), **options), encoder)
    assert report.has_errors
    errors = [one for one in report.findings if one.severity == "error"]
    assert [one.kind for one in errors] == [kind]
    assert errors[0].rows == rows
    assert words.lower() in errors[0].message.lower()
    assert errors[0].source == str(path)
    assert errors[0].fix
    with pytest.raises(DataError):
        read_training_data(Named(str(path), **options), CONFIG, lambda line: None)


@pytest.mark.parametrize(
    ("text", "kind", "rows"),
    [
        ("text,label\nnew words here,c\nold words here,a\nmore words here,c\n", "unknown-class", (2, 4)),
        ("body,label\nnew words here,a\n", "columns", ()),
        ("text,label\nnew words here,\n", "columns", ()),
        ("text,label\nnew words here\n", "unreadable", (2,)),
    ],
)
@pytest.mark.parametrize("name", ["dev", "test"])
def test_errors_of_another_file(tmp_path, encoder, text, kind, rows, name):
    train, other = write(tmp_path / "train.csv", GOOD), write(tmp_path / "other.csv", text)
    report = check(Named(train, **{name: other}), encoder)
    (one,) = [one for one in report.findings if one.severity == "error"]
    assert (one.kind, one.source, one.rows) == (kind, other, rows)
    with pytest.raises(DataError):
        read_training_data(Named(train, **{name: other}), CONFIG, lambda line: None)


def test_all_that_cannot_be_read_is_told_at_once(tmp_path, encoder):
    named = Named(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), str(tmp_path / "c.csv"))
    assert kinds(check(named, encoder)) == ["unreadable"] * 3


def test_what_a_folder_brings(tmp_path, encoder):
    write(tmp_path / "train.csv", GOOD)
    write(tmp_path / "dev.csv", "body,label\nnew words here,a\n")
    write(tmp_path / "test.csv", "text\nwords number 4 of many\n")
    report = check(str(tmp_path), encoder)
    assert {one.source for one in report.findings if one.kind == "columns"} == {str(tmp_path / "dev.csv")}
    assert report.has_errors  # as `train` raises
    (leak,) = [
        one for one in report.findings if one.kind == "exact-leak"
    ]  # test, without labels, is looked at
    assert (leak.source, leak.rows) == (str(tmp_path / "test.csv"), (2,))
    write(tmp_path / "dev.csv", "something\nelse entirely\n")
    write(tmp_path / "test.csv", "text,label\nother words to predict,\n")
    assert not check(str(tmp_path), encoder).has_errors  # as `train`, which passes such a split over


def test_a_task_that_there_is_not_is_wrong_usage(encoder):
    with pytest.raises(UsageError):
        check(Named(data(), task="clasification"), encoder)


# ------------------------------------------------------------------ the library's verb


def test_whet_check_takes_train_dev_and_test_by_place_or_name(encoder):
    made = {"text": ["something new that is here", data()["text"][0]], "label": ["refund", "praise"]}
    by_place = whet.check(data(), made, data(), model=encoder)
    by_name = whet.check(data(), dev=made, test=data(), model=encoder)
    assert by_place == by_name
    assert list(by_place.parts) == ["train", "dev", "test"]
    assert not by_place.has_errors
    with pytest.raises(UsageError, match="dev is named twice"):
        whet.check(data(), made, dev=made, model=encoder)
    with pytest.raises(UsageError, match="these are 4"):
        whet.check(data(), made, made, made, model=encoder)
    with pytest.raises(ConfigError):
        whet.check(data(), model=encoder, max_lenght=20)


# ------------------------------------------------------------------ at the start of `train`


def lines_of(named, config=CONFIG):
    said = []
    training_data = read_training_data(named, CONFIG, lambda line: None)
    warn_before_training(training_data, named, config, said.append)
    return said


def test_training_says_a_line_a_warning(tmp_path):
    path = write(tmp_path / "my data.csv", GOOD + "words number 0 of many,b\n<br>,a\n")
    lines = lines_of(Named(path, label="label"))
    assert lines == [
        f"Warning: {path}, lines 2 and 22: 2 rows have the same text as another row, under another label "
        "(1 different text).",
        f"Warning: {path}, line 23: 1 row has markup: HTML or XML tags, or entities such as &amp;.",
        f"Warning: {path}, line 23: 1 row has fewer than 3 letters and digits.",
        f"`whet check '{path}' --label label` shows all 3 with examples and what to do.",
    ]


def test_training_says_nothing_of_sound_data():
    assert lines_of(Named(data(), dev=(["a new sentence that is here"], ["praise"]))) == []


def test_training_suggests_class_weights_where_labels_are_skewed(encoder):
    made = data(72)
    rare = [i for i, label in enumerate(made["label"]) if label == "refund"][2:]
    made = {name: [value for i, value in enumerate(values) if i not in rare] for name, values in made.items()}
    warning = next(line for line in lines_of(Named(made)) if "12 times" in line)
    assert "--set class_weights=balanced" in warning
    assert "their probabilities lean upwards" in warning
    chosen = TrainConfig(class_weights="balanced")
    warning = next(line for line in lines_of(Named(made), chosen) if "12 times" in line)
    assert "class_weights" not in warning
    for settings, suggested in (({}, True), ({"class_weights": "balanced"}, False)):
        (skew,) = [one for one in check(made, encoder, **settings).findings if one.kind == "skew"]
        assert ("class_weights=balanced" in skew.fix) == suggested


def test_training_says_eight_lines_at_most():
    rng = np.random.default_rng(0)
    words = np.array(house.FILLER)
    made = {"text": [" ".join(rng.choice(words, 9)) for _ in range(40)], "label": ["a", "b"] * 20}
    extra = ["", "<br>", "Ã©", "\x07 bell", *["twice"] * 2, *["both"] * 2, *["Case", "case", "CASE"]]
    made["text"] += extra
    made["label"] += ["a", "A", "c", "a", "a", "a", "b", "a", "a", "a", "b"]
    lines = lines_of(Named(made))
    assert len(lines) == 9
    assert all(line.startswith("Warning: <lists>, row") for line in lines[:8])
    assert lines[8] == "`whet check FILE` shows all 12 with examples and what to do."


def test_training_leaves_near_duplicates_of_many_rows_to_check(monkeypatch):
    monkeypatch.setattr("whet.training.check.NEAR_IN_TRAINING", 30)
    long = "the parcel that I ordered in the second week of may has not arrived at my door"
    made = data()
    made["text"][0], made["text"][3] = long, long + " yet"
    (line,) = lines_of(Named(made))
    assert line == "Near duplicates are not looked for in more than 30 rows here; `whet check FILE` does."
    monkeypatch.setattr("whet.training.check.NEAR_IN_TRAINING", NEAR_IN_TRAINING)
    assert "almost the same text" in lines_of(Named(made))[0]
