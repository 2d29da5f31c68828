"""Decision rules from training to answer: eval, predict, compare and Python use those of the folder."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance import house

CLASSES = list(house.CLASSES)


@pytest.fixture
def rows(tmp_path):
    texts, labels = house.sentences(60, seed=41)
    return house.write_csv(tmp_path / "rows.csv", {"text": texts, "gold": labels})


@pytest.fixture
def trained(train, reviews):
    def run(*settings, out="run"):
        pairs = [part for setting in settings for part in ("--set", setting)]
        return train(reviews, "--lr", "1e-3", "--set", "dev_fraction=0.4", *pairs, out=out).ok()

    return run


def _predictions(whet, *options):
    return house.read_jsonl(whet("predict", "run", "rows.csv", *options).ok().out)


def _metrics(whet, *options):
    found = whet("eval", "run", "rows.csv", "--label", "gold", "--json", *options).ok().out
    return json.loads(found)["metrics"]


def test_the_temperature_is_fitted_on_dev_and_saved(trained, whet, rows):
    """Against a minimum by grid, from the logits of dev; transformers' logits stay what they were."""
    outcome = trained()
    rules = json.loads(Path("run/model/whet.json").read_text())["task"]["decision"]
    assert f"temperature {rules['temperature']:.3g}, fitted on {rules['n_rows']} dev rows" in outcome.out
    assert f"{rules['temperature']:.3g}" in Path("run/model/README.md").read_text()
    assert json.loads(Path("run/run.json").read_text())["results"]["decision"] == rules
    dev = house.read_jsonl(Path("run/predictions.dev.jsonl"))
    assert rules["n_rows"] == len(dev)
    logits = house.expected_logits(Path("run/model"), [row["text"] for row in dev]).astype(float)
    true = [CLASSES.index(row["input_label"]) for row in dev]
    grid = np.exp(np.linspace(-2, 2, 2001))
    scaled = logits[None] / grid[:, None, None]
    losses = np.log(np.exp(scaled).sum(axis=2)) - scaled[:, np.arange(len(true)), true]
    best = grid[(losses.sum(axis=1) + np.log(grid) ** 2 / (2 * 0.25**2)).argmin()]
    assert rules["temperature"] == pytest.approx(best, rel=0.005)

    found = _predictions(whet, "--logits")
    raw = np.array([[row["logits"][name] for name in CLASSES] for row in found])
    np.testing.assert_allclose(
        raw, house.expected_logits(Path("run/model"), [row["text"] for row in found]), atol=1e-5
    )
    scaled = np.exp(raw / rules["temperature"])
    np.testing.assert_allclose(
        [[row["probabilities"][name] for name in CLASSES] for row in found],
        scaled / scaled.sum(axis=1, keepdims=True),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    "settings",
    [("abstain_below=0.45",), ("threshold=f1",), ("threshold=precision", "min_precision=0.8")],
    ids=lambda settings: settings[0],
)
def test_predict_eval_compare_and_python_agree(settings, trained, whet, rows):
    """A row without answer counts as not right, to scikit-learn too: "" is a label that no row has."""
    from sklearn import metrics

    import whet as library

    trained(*settings)
    found = _predictions(whet)
    model = library.load("run")
    assert [p.label for p in model.predict([row["text"] for row in found])] == [r["label"] for r in found]
    gold, given = [row["gold"] for row in found], [row["label"] or "" for row in found]
    figures = _metrics(whet)
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(gold, given))
    assert figures["macro_f1"] == pytest.approx(
        metrics.f1_score(gold, given, average="macro", labels=CLASSES, zero_division=0)
    )
    assert figures["mcc"] == pytest.approx(metrics.matthews_corrcoef(gold, given))
    assert figures["selective"]["answered"]["n"] == sum(row["label"] is not None for row in found)
    assert dict(model.evaluate("rows.csv", label="gold").metrics) == figures
    shutil.copytree("run", "copy")
    compared = json.loads(whet("compare", "run", "copy", "rows.csv", "--label", "gold", "--json").ok().out)
    assert [one["value"] for one in compared["models"]] == [figures["accuracy"]] * 2
    if settings[0] != "threshold=f1":
        assert "" in given, "nothing abstains, so this test shows nothing"
        assert "no answer" in whet("compare", "run", "copy", "rows.csv", "--label", "gold").ok().err


def test_a_copy_of_model_is_complete(trained, whet, rows, tmp_path):
    trained("abstain_below=0.45")
    first = _predictions(whet)
    shutil.copytree("run/model", "elsewhere")
    shutil.rmtree("run")
    Path("elsewhere").rename("run")
    assert _predictions(whet) == first
    import whet as library

    library.load("run").save("again")
    shutil.rmtree("run")
    Path("again").rename("run")
    assert [row["label"] for row in _predictions(whet)] == [row["label"] for row in first]


def test_abstain_below_for_one_call(trained, whet, rows):
    import whet as library

    trained("abstain_below=0.45")
    chances = [max(row["probabilities"].values()) for row in _predictions(whet)]
    middle = float(np.median(chances))
    found = _predictions(whet, "--abstain-below", middle)
    assert [row["label"] is None for row in found] == [p < middle for p in chances]
    assert [row["probability"] for row in found] == chances
    assert None not in [row["label"] for row in _predictions(whet, "--abstain-below", "0")]
    answered = _metrics(whet, "--abstain-below", middle)["selective"]["answered"]
    assert answered["n"] == sum(p >= middle for p in chances)
    assert answered["abstain_below"] == middle
    assert (
        library.evaluate("run", "rows.csv", label="gold", abstain_below=middle).metrics["selective"][
            "answered"
        ]
        == answered
    )
    out = whet("eval", "run", "rows.csv", "--label", "gold", "--abstain-below", middle).ok().out
    assert f"{answered['n']} of 60 rows" in out
    for option in (("predict", "run", "rows.csv"), ("eval", "run", "rows.csv", "--label", "gold")):
        whet(*option, "--abstain-below", "1.5").refused("abstain_below=1.5", "0 to 1")


def test_label_sets(trained, whet, rows):
    import whet as library

    trained()
    found = _predictions(whet, "--label-sets", "0.9")
    assert all(row["label"] == row["label_set"][0] for row in found)
    one = next(entry for entry in _metrics(whet)["label_sets"] if entry["level"] == 0.9)
    assert one["coverage"] == pytest.approx(np.mean([row["gold"] in row["label_set"] for row in found]))
    assert one["mean_size"] == pytest.approx(np.mean([len(row["label_set"]) for row in found]))
    texts = [row["text"] for row in found]
    assert [list(p.label_set) for p in library.load("run").predict(texts, label_sets=0.9)] == [
        row["label_set"] for row in found
    ]
    whet("predict", "run", "rows.csv", "--label-sets", "0.9", "--abstain-below", "1", "--to", "o.csv").ok()
    with Path("o.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [json.loads(row["label_set"]) for row in written] == [row["label_set"] for row in found]
    assert {row["label"] for row in written} == {""}
    whet("predict", "run", "rows.csv", "--label-sets", "0.85").refused("0.8, 0.9, 0.95")


def test_classifiers_from_elsewhere_and_older_runs_have_no_rules(classifier, trained, whet, rows):
    from tests.acceptance.house import expected_logits

    found = house.read_jsonl(whet("predict", classifier, "rows.csv").ok().out)
    raw = np.exp(expected_logits(classifier, [row["text"] for row in found]).astype(float))
    np.testing.assert_allclose(
        [[row["probabilities"][name] for name in CLASSES] for row in found],
        raw / raw.sum(axis=1, keepdims=True),
        atol=1e-5,
    )
    whet("predict", classifier, "rows.csv", "--label-sets", "0.9").refused("no label sets")
    out = json.loads(whet("eval", classifier, "rows.csv", "--label", "gold", "--json").ok().out)["metrics"]
    assert (out["calibration"]["temperature"], out["calibration"]["fitted_rows"]) == (1, 0)
    assert out["label_sets"] == []

    trained()
    saved = json.loads(Path("run/model/whet.json").read_text())
    del saved["task"]["decision"]
    Path("run/model/whet.json").write_text(json.dumps(saved))
    assert _metrics(whet)["calibration"]["temperature"] == 1
    saved["task"]["decision"] = {"temperature": -1}
    Path("run/model/whet.json").write_text(json.dumps(saved))
    whet("predict", "run", "rows.csv").refused("whet.json", "damaged")


def test_thresholds_need_dev_rows_and_a_precision(train, reviews, whet):
    train(reviews, "--set", "dev_fraction=0", "--set", "threshold=f1").refused("threshold=f1", "dev")
    train(reviews, "--set", "threshold=precision").refused("min_precision", "threshold=precision")
    train(reviews, "--set", "threshold=f2").refused("threshold=f2", "none, f1, precision")
    train(reviews, "--set", "dev_fraction=0", "--set", "abstain_below=0.5").ok()
    assert json.loads(Path("run/model/whet.json").read_text())["task"]["decision"]["abstain_below"] == 0.5


def test_a_badly_edited_whet_json_is_refused(trained, whet, rows):
    """A label that whet.json calls otherwise than config.json would get a new head, and answers by chance."""
    trained()
    path = Path("run/model/whet.json")
    sound = path.read_text()
    for place, key, value, word in (
        ("task", "labels", ["Delivery", "praise", "refund"], "Delivery"),
        ("task", "labels", ["delivery", "refund"], "config.json"),
        ("task", "name", [], "task"),
        ("task", "positive_label", "zz", "positive_label"),
        ("rules", "cutt", "head", "cutt"),
        ("rules", "cut", "hed", "hed"),
        ("rules", "max_length", "long", "whet.json"),
        ("rules", "stride", "128", "stride must be a whole number from 0 up, and is '128'"),
        ("rules", "long_texts", "windows", "long_texts must be one of cut, window, and is 'windows'"),
        ("rules", "context", None, "context must be one of sentence, document, and is None"),
        (None, "sha256", None, "whet.json"),
        (None, "task", None, "whet.json"),
    ):
        saved = json.loads(sound)
        (saved if place is None else saved[place])[key] = value
        path.write_text(json.dumps(saved))
        whet("predict", "run", "rows.csv").refused(word)
    path.write_text(json.dumps(json.loads(sound) | {"rules": {"max_length": 64}}))
    whet("predict", "run", "rows.csv").ok()
