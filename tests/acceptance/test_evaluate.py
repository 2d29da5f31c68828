"""`whet eval`: every figure against scikit-learn, on a folder that this project did not write."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance import house

CLASSES = list(house.CLASSES)


@pytest.fixture(scope="module")
def fair(tmp_path_factory):
    """A classifier that is right often and not always: the random head, its bias made even."""
    folder = house.make_checkpoint(tmp_path_factory.mktemp("fair") / "fair", CLASSES)
    texts, _ = house.sentences(60, seed=11)
    middle = house.expected_logits(folder, texts).mean(axis=0)

    def even(tensors):
        tensors["classifier.bias"] -= tensors["classifier.bias"].new_tensor(middle)

    house.rewrite(folder, even)
    return folder


def _softmax(logits):
    raised = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _evaluate(whet, folder, texts, labels, *options):
    house.write_csv(Path("test.csv"), {"text": texts, "label": labels})
    outcome = whet("eval", folder, "test.csv", "--json", *options).ok()
    assert len(outcome.out.strip().splitlines()) == 1, "one JSON object, nothing else, on standard output"
    return json.loads(outcome.out)


def test_every_figure_is_scikit_learns(whet, fair):
    """Proof that it can fail: with two labels of the expected side swapped, the last assertion shows that
    the accuracy is another one."""
    from sklearn import metrics

    texts, _ = house.sentences(60, seed=11)
    probabilities = _softmax(house.expected_logits(fair, texts))
    guessed = [CLASSES[i] for i in probabilities.argmax(axis=1)]
    labels = [guess if i % 5 < 3 else CLASSES[i % 3] for i, guess in enumerate(guessed)]
    assert len(set(guessed)) == len(set(labels)) == 3

    found = _evaluate(whet, fair, texts, labels)
    assert found["rows"] == 60
    figures = found["metrics"]
    macro = {"average": "macro", "labels": CLASSES, "zero_division": 0}
    wanted = {
        "accuracy": metrics.accuracy_score(labels, guessed),
        "macro_precision": metrics.precision_score(labels, guessed, **macro),
        "macro_recall": metrics.recall_score(labels, guessed, **macro),
        "macro_f1": metrics.f1_score(labels, guessed, **macro),
        "mcc": metrics.matthews_corrcoef(labels, guessed),
        "roc_auc": metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        "nll": metrics.log_loss(labels, probabilities, labels=CLASSES),
    }
    for name, value in wanted.items():
        assert figures[name] == pytest.approx(value, abs=1e-5 if name == "nll" else 1e-9), name
    columns = metrics.precision_recall_fscore_support(labels, guessed, labels=CLASSES, zero_division=0)
    for i, entry in enumerate(figures["per_class"]):
        assert entry["label"] == CLASSES[i]
        for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
            assert entry[name] == pytest.approx(column[i]), (entry["label"], name)
        one_against_rest = metrics.roc_auc_score(
            [label == CLASSES[i] for label in labels], probabilities[:, i]
        )
        assert entry["roc_auc"] == pytest.approx(one_against_rest)
    assert figures["confusion"] == metrics.confusion_matrix(labels, guessed, labels=CLASSES).tolist()
    swapped = metrics.accuracy_score([*labels[1:], labels[0]], guessed)
    assert figures["accuracy"] != pytest.approx(swapped)


def test_two_classes(whet, tmp_path):
    from sklearn import metrics

    folder = house.make_checkpoint(tmp_path / "two", ["no", "yes"])
    texts, _ = house.sentences(50, seed=12)
    scores = _softmax(house.expected_logits(folder, texts))[:, 1]
    labels = [
        "yes" if (score > np.median(scores)) != (i % 4 == 0) else "no" for i, score in enumerate(scores)
    ]
    guessed = ["yes" if score > 0.5 else "no" for score in scores]
    figures = _evaluate(whet, folder, texts, labels)["metrics"]
    assert figures["roc_auc"] == pytest.approx(
        metrics.roc_auc_score([label == "yes" for label in labels], scores)
    )
    assert figures["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, guessed))
    assert figures["confusion"] == metrics.confusion_matrix(labels, guessed, labels=["no", "yes"]).tolist()


def test_the_positive_label_is_the_one_binary_f1_is_about(train, whet):
    from sklearn import metrics

    texts, _ = house.sentences(60, labels=("praise", "refund"))
    labels = ["praise", "refund", "praise"] * 20
    house.write_csv(Path("rows.csv"), {"text": texts, "label": labels})
    for name in ("praise", "refund"):
        train("rows.csv", "--set", f"positive_label={name}", "--lr", "1e-3", out=name).ok()
        figures = json.loads(whet("eval", name, "rows.csv", "--json").ok().out)["metrics"]
        guessed = [row["label"] for row in house.read_jsonl(whet("predict", name, "rows.csv").ok().out)]
        wanted = metrics.f1_score(labels, guessed, pos_label=name, zero_division=0)
        binary = [value for key, value in figures.items() if key in ("f1", "binary_f1", "positive_f1")]
        assert binary, f"no binary F1 among {sorted(figures)}"
        assert binary[0] == pytest.approx(wanted)


def test_a_class_that_does_not_occur_leaves_the_others_figures(whet, fair):
    """No row of one class: its ROC AUC does not exist, and JSON has no NaN."""
    texts, _ = house.sentences(30, seed=11)
    labels = [CLASSES[i % 2] for i in range(30)]
    figures = _evaluate(whet, fair, texts, labels)["metrics"]
    assert len(figures["confusion"]) == 3
    assert figures["per_class"][2]["support"] == 0
    assert figures["per_class"][2]["roc_auc"] is None
    assert 0 <= figures["accuracy"] <= 1
    json.dumps(figures, allow_nan=False)


def test_one_row(whet, fair):
    figures = _evaluate(whet, fair, ["good parcel"], ["praise"])["metrics"]
    assert figures["accuracy"] in (0, 1)
    json.dumps(figures, allow_nan=False)


def test_unlabelled_rows_are_counted_and_left_out(whet, fair):
    texts, labels = house.sentences(30, seed=11)
    found = _evaluate(whet, fair, texts, ["" if i % 3 == 0 else label for i, label in enumerate(labels)])
    assert (found["rows"], found["unlabelled_rows"]) == (20, 10)
    alone = _evaluate(whet, fair, *[[x for i, x in enumerate(xs) if i % 3] for xs in (texts, labels)])
    assert found["metrics"] == alone["metrics"]


def test_no_labels_at_all(whet, fair):
    house.write_csv(Path("bare.csv"), {"text": house.sentences(5)[0]})
    whet("eval", fair, "bare.csv").refused("bare.csv", "label")
    house.write_csv(Path("void.csv"), {"text": house.sentences(5)[0], "label": [""] * 5})
    whet("eval", fair, "void.csv").refused("void.csv", "label")


def test_the_table_for_people_has_the_figures(whet, fair):
    texts, labels = house.sentences(30, seed=11)
    figures = _evaluate(whet, fair, texts, labels)["metrics"]
    out = whet("eval", fair, "test.csv").ok().out
    for name in ("accuracy", "macro_f1", "mcc"):
        assert f"{figures[name]:.4f}" in out, name
    assert all(name in out for name in CLASSES)


def test_python_and_the_command_line_agree(whet, fair):
    import whet as library

    texts, labels = house.sentences(30, seed=11)
    by_command = _evaluate(whet, fair, texts, labels)["metrics"]
    for result in (
        library.evaluate(fair, (texts, labels)),
        library.evaluate(library.load(fair), {"text": texts, "label": labels}),
        library.load(fair).evaluate("test.csv", text="text", label="label"),
    ):
        assert dict(result.metrics) == by_command


def test_columns_of_other_names(whet, fair):
    texts, labels = house.sentences(30, seed=11)
    house.write_csv(Path("odd.csv"), {"alpha": texts, "beta": labels, "gamma": texts[::-1]})
    by_name = json.loads(
        whet("eval", fair, "odd.csv", "--json", "--text", "alpha", "--label", "beta").ok().out
    )
    assert by_name["metrics"] == _evaluate(whet, fair, texts, labels)["metrics"]
