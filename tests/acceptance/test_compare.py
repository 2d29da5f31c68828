"""`whet compare`, and the intervals of `whet eval` and of a run, through the command line."""

import json
from pathlib import Path

import pytest
import scipy.stats

from tests.acceptance import house
from whet.comparison import Comparison

CLASSES = list(house.CLASSES)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A classifier, one with its labels in another order that answers otherwise, and one that is constant."""
    root = tmp_path_factory.mktemp("three")
    first = house.make_checkpoint(root / "first", CLASSES)
    second = house.make_checkpoint(root / "second", CLASSES[::-1])
    constant = house.make_checkpoint(root / "constant", CLASSES)

    def fix(tensors):
        tensors["classifier.bias"][0] += 1000

    house.rewrite(constant, fix)
    return first, second, constant


@pytest.fixture
def rows():
    """120 rows, of which the fixture's first model is not right on all."""
    texts, labels = house.sentences(120, seed=11)
    return texts, labels, house.write_csv(Path("test.csv"), {"text": texts, "label": labels})


def _predicted(whet, folder):
    return [row["label"] for row in house.read_jsonl(whet("predict", folder, "test.csv").ok().out)]


def test_two_models(whet, three, rows):
    """The order of the labels differs between the two, so a comparison by number would be another one."""
    first, second, _ = three
    found = json.loads(whet("compare", first, second, "test.csv", "--json").ok().out)
    answers = [_predicted(whet, folder) for folder in (first, second)]
    right = [[a == b for a, b in zip(answer, rows[1], strict=True)] for answer in answers]
    only = [sum(a and not b for a, b in zip(*sides, strict=True)) for sides in (right, right[::-1])]
    (pair,) = found["pairs"]
    assert [pair["only_first"], pair["only_second"]] == only
    assert sum(only) > 0
    assert pair["p"] == pytest.approx(scipy.stats.binomtest(only[0], sum(only)).pvalue)
    assert pair["difference"] == pytest.approx((only[1] - only[0]) / 120)
    assert [score["value"] for score in found["models"]] == pytest.approx([sum(r) / 120 for r in right])
    assert found["rows"] == 120
    told = whet("compare", first, second, "test.csv").ok().out
    assert pair["sentence"] in told
    assert str(second) in pair["sentence"]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
def test_three_models(whet, three, rows, metric):
    found = json.loads(whet("compare", *three, "test.csv", "--json", "--metric", metric).ok().out)
    assert len(found["models"]) == len(found["pairs"]) == 3
    for folder, score in zip(three, found["models"], strict=True):
        figures = json.loads(whet("eval", folder, "test.csv", "--json").ok().out)["metrics"]
        assert score["value"] == pytest.approx(figures[metric])
        # To the letter where the labels stand in one order; a bootstrap draws otherwise in another.
        near = 0.01 if folder == three[1] else 1e-9
        assert score["interval"] == pytest.approx(figures["intervals"][metric], abs=near)
    assert (
        whet("compare", *three, "test.csv", "--json", "--metric", metric).ok().out == json.dumps(found) + "\n"
    )


def test_python_and_the_command_line_agree(whet, three, rows):
    import whet as library

    first, second, _ = three
    by_command = json.loads(whet("compare", first, second, "test.csv", "--json").ok().out)
    for models in ((first, second), (library.load(first), library.load(second))):
        found = library.compare(*models, "test.csv")
        assert isinstance(found, Comparison)
        assert found.to_json() == by_command


def test_wrong_usage(whet, three, rows):
    first, second, _ = three
    whet("compare", first, "test.csv").refused("two models", status=2)
    whet("compare", first, second, "test.csv", "--metric", "f1").refused("accuracy, macro_f1, mcc", status=2)
    whet("compare", first, first, "test.csv").refused("twice", status=2)
    whet("compare", first, second, "none.csv").refused("none.csv")


def test_models_of_other_labels(whet, three, rows, tmp_path):
    other = house.make_checkpoint(tmp_path / "other", ["delivery", "praise"])
    house.write_csv(Path("two.csv"), {"text": rows[0][:2], "label": ["delivery", "praise"]})
    whet("compare", three[0], other, "two.csv").refused("different labels", "refund", str(other))


def test_eval_shows_intervals(whet, three, rows):
    figures = json.loads(whet("eval", three[0], "test.csv", "--json").ok().out)["metrics"]
    low, high = figures["intervals"]["accuracy"]
    assert low < figures["accuracy"] < high
    wanted = scipy.stats.binomtest(round(120 * figures["accuracy"]), 120).proportion_ci(method="wilson")
    assert [low, high] == pytest.approx([wanted.low, wanted.high])
    assert [entry["label"] for entry in figures["intervals"]["per_class"]] == CLASSES
    assert f"{low:.2f} to {high:.2f}" in whet("eval", three[0], "test.csv").ok().out


def test_a_run_keeps_intervals_and_its_log_does_not(train, reviews):
    out = train(reviews, "--test", reviews, "--set", "dev_fraction=0.3").ok().out
    results = json.loads(Path("run/run.json").read_text())["results"]
    for split in ("dev", "test"):
        low, high = results[split]["intervals"]["accuracy"]
        assert low <= results[split]["accuracy"] <= high
        assert f"{results[split]['accuracy']:.4f} ({low:.2f} to {high:.2f})" in out
    card = Path("run/model/README.md").read_text()
    low, high = results["dev"]["intervals"]["accuracy"]
    assert f"{results['dev']['accuracy']:.4f} ({low:.2f} to {high:.2f})" in card
    assert "intervals" not in Path("run/metrics.jsonl").read_text()
