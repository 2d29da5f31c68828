"""Several labels a row, from the command line: every way they are written, every kind of bad row."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance import house

NAMES = ("delivery", "loud", "praise", "refund")


def _sets(count: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Texts with the true label each; a third are loud besides, and every tenth has no label."""
    texts, labels = house.sentences(count, seed)
    random = np.random.default_rng(seed)
    sets = [sorted({label, *(["loud"] if random.random() < 0.33 else [])}) for label in labels]
    return texts, [[] if i % 10 == 9 else found for i, found in enumerate(sets)]


def _lists(path: str, count: int = 60, seed: int = 0) -> Path:
    rows = ({"text": text, "labels": found} for text, found in zip(*_sets(count, seed), strict=True))
    return house.write_jsonl(Path(path), rows)


def _joined(path: str, sign: str, count: int = 60, seed: int = 0) -> Path:
    texts, sets = _sets(count, seed)
    labels = [sign.join(found) or "[]" for found in sets]
    return house.write_csv(Path(path), {"text": texts, "labels": labels})


def _columns(path: str, count: int = 60, seed: int = 0) -> Path:
    texts, sets = _sets(count, seed)
    columns = {name: [int(name in found) for found in sets] for name in NAMES}
    return house.write_csv(Path(path), {"text": texts, **columns})


EACH = [part for name in NAMES for part in ("--label", name)]
SEVERAL = ("--task", "multilabel-classification")


@pytest.fixture
def forms(tmp_path: Path) -> dict[str, tuple[Path, list[str]]]:
    """The same rows in every form, with the options that it takes."""
    return {
        "lists": (_lists("lists.jsonl"), []),
        "bars": (_joined("bars.csv", "|"), [*SEVERAL]),
        "blanks": (_joined("blanks.csv", " "), [*SEVERAL, "--set", "label_separator= "]),
        "columns": (_columns("columns.csv"), EACH),
    }


def test_every_form_trains_the_same_model(forms, train):
    figures = {}
    for name, (file, options) in forms.items():
        outcome = train(file, *options, "--set", "dev_fraction=0.3", out=name).ok()
        assert "4 labels, any number a row" in outcome.err
        assert "delivery, loud, praise, refund" in outcome.err
        manifest = json.loads(Path(name, "run.json").read_text())
        assert manifest["task"] == "multilabel-classification"
        assert manifest["labels"] == list(NAMES)
        figures[name] = manifest["results"]["dev"]
    assert figures["bars"] == figures["lists"]
    assert figures["columns"] == figures["lists"]
    assert figures["blanks"] == figures["lists"]
    assert json.loads(Path("columns/run.json").read_text())["columns"]["label"] == list(NAMES)
    told = house.read_jsonl(Path("lists/metrics.jsonl"))[-1]
    assert told["dev"]["micro_recall"] > 0.2, "from 0.5 on, an epoch this early gives no label"
    assert json.loads(Path("bars/model/whet.json").read_text())["task"]["separator"] == "|"


def test_the_columns_of_training_are_those_of_eval_and_predict(forms, train, whet):
    train(forms["columns"][0], *EACH, "--lr", "1e-3", "--set", "dev_fraction=0.3").ok()
    test = _columns("test.csv", 30, seed=9)
    found = json.loads(whet("eval", "run", test, "--json").ok().out)
    assert (found["task"], found["rows"]) == ("multilabel-classification", 30)
    lists = _lists("other.jsonl", 30, seed=9)
    again = json.loads(whet("eval", "run", lists, "--json").ok().out)
    assert again["metrics"] == found["metrics"], "whatever the form"

    lines = house.read_jsonl(whet("predict", "run", test).ok().out)
    thresholds = json.loads(Path("run/model/whet.json").read_text())["task"]["decision"]["thresholds"]
    for line in lines:
        assert line["labels"] == [n for n in NAMES if line["probabilities"][n] >= thresholds[n]]
    whet("predict", "run", test, "--to", "answers.csv", "--logits").ok()
    with Path("answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["labels"] for row in rows] == ["|".join(line["labels"]) for line in lines]
    assert float(rows[0]["probability_loud"]) == pytest.approx(lines[0]["probabilities"]["loud"])
    assert "logit_loud" in rows[0]


def test_eval_prints_each_label_and_how_often_it_is_given(forms, train, whet):
    train(forms["bars"][0], *SEVERAL, "--lr", "1e-3", "--set", "dev_fraction=0.3").ok()
    out = whet("eval", "run", _joined("test.csv", "|", 30, seed=9), "--slice", "labels").ok().out
    for words in ("micro F1", "macro PR AUC", "Hamming loss", "given", "probabilities of all labels"):
        assert words in out
    assert all(any(line.split()[:1] == [name] for line in out.splitlines()) for name in NAMES)


def test_a_0_1_column_with_another_value_is_named_with_its_row(forms, train, whet):
    texts, sets = _sets(60)
    columns = {name: [str(int(name in found)) for found in sets] for name in NAMES}
    columns["loud"][4] = "2"
    columns["refund"][7] = ""
    bad = house.write_csv(Path("bad.csv"), {"text": texts, **columns})
    for command in (train(bad, *EACH), whet("check", bad, *EACH)):
        told = command.out + command.err
        assert "line 6: 'loud' is '2'" in told
        assert "line 9: 'refund' is empty" in told
        assert command.status == 1


def test_an_unknown_label_is_named_with_the_nearest_one(forms, train, whet):
    train(forms["bars"][0], *SEVERAL).ok()
    bad = house.write_csv(Path("bad.csv"), {"text": ["a", "b"], "labels": ["praise", "praise|lout"]})
    message = whet("eval", "run", bad).refused("bad.csv:3: label 'lout' is not one of the 4 labels")
    assert "Did you mean 'loud'?" in message
    told = whet("check", forms["bars"][0], bad, *SEVERAL)
    assert told.status == 1
    assert told.out.count("'lout'") == 1


def test_a_list_that_cannot_be_read_is_named_with_its_row(forms, train, whet):
    train(forms["lists"][0]).ok()
    bad = house.write_csv(Path("bad.csv"), {"text": ["a", "b"], "labels": ["['praise']", "['praise'"]})
    whet("eval", "run", bad).refused("bad.csv:3", "['praise'")
    bad = house.write_jsonl(Path("bad.jsonl"), [{"text": "a", "labels": ["praise", ""]}])
    whet("eval", "run", bad).refused("bad.jsonl:1", "empty label")


def test_no_label_is_a_row_like_any_other_and_null_is_unlabelled(forms, train, whet):
    train(forms["lists"][0]).ok()
    rows = [{"text": "a", "labels": []}, {"text": "b", "labels": None}, {"text": "c", "labels": ["praise"]}]
    found = json.loads(whet("eval", "run", house.write_jsonl(Path("few.jsonl"), rows), "--json").ok().out)
    assert (found["rows"], found["unlabelled_rows"]) == (2, 1)


def test_the_separator_is_asked_for_where_it_is_in_doubt(train, whet):
    texts, _ = _sets(20)
    doubt = house.write_csv(Path("d.csv"), {"text": texts, "labels": ["a, b;c", "c", "d;c", "a, b"] * 5})
    train(doubt, *SEVERAL).refused("label_separator")
    told = whet("check", doubt, *SEVERAL)
    assert told.status == 1
    assert "label_separator" in told.out
    assert whet("check", doubt, *SEVERAL, "--set", "label_separator=;").ok()


def test_what_is_about_one_label_says_so(forms, train, whet):
    file, options = forms["lists"]
    train(file, *options, "--folds", "3", out="folds").refused("folds is for classification", status=2)
    train(file, "--set", "class_weights=balanced", out="weights").refused("class_weights", "any number")
    train(file, *options).ok()
    whet("predict", "run", "--text", "a", "--label-sets", "0.8").refused("label_sets=0.8")
    whet("predict", "run", "--text", "a", "--abstain-below", "0.8").refused("always answers")
    whet("compare", "run", "run/model", file).refused("multilabel-classification", status=2)
    whet("select", "run", file).refused("multilabel-classification", status=2)


def test_several_seeds_and_going_on(forms, train, whet):
    file, options = forms["columns"]
    outcome = train(file, *options, "--seeds", "2", "--set", "dev_fraction=0.3").ok()
    assert "macro F1" in outcome.out
    assert "by macro_pr_auc" in outcome.err
    assert "finished already" in train(file, *options, "--resume").ok().err
    train(file, "--label", "loud", "--label", "refund", "--resume").refused("label")


def test_same_texts_under_other_labels_are_told(whet):
    rows = [("the box came late", "delivery|loud"), ("The box came late", "loud|delivery")] * 3
    rows += [("my money is back", "refund"), ("my money is back", "refund|praise")]
    file = house.write_csv(
        Path("twice.csv"), dict(zip(("text", "labels"), zip(*rows, strict=True), strict=True))
    )
    told = whet("check", file, *SEVERAL, "--json").ok().out
    kinds = {one["kind"]: one for one in json.loads(told)["findings"]}
    assert kinds["exact-conflict"]["n_rows"] == 2, "the order of labels is no difference"
    assert "case-conflict" not in kinds


def test_python_takes_the_same(forms, encoder):
    import whet

    file, _ = forms["columns"]
    run = whet.train(file, label=NAMES, model=encoder, out="py", quiet=True, epochs=1, threads=1)
    (found,) = run.model().predict(["a"])
    assert set(found.labels) <= set(NAMES)
    evaluation = whet.evaluate("py", file, label=list(NAMES))
    assert evaluation.task == "multilabel-classification"
    assert not whet.check(file, label=NAMES, model=encoder).has_errors
