"""`whet compare`, and the intervals of `whet eval` and of a run, through the command line."""

import json
import shutil
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


# ------------------------------------------------------------------ runs of several seeds


def make_run(folder, checkpoints, n_asked=None, unfinished=()):
    """A run folder as `train --seeds` leaves it, of these checkpoints."""
    for seed, checkpoint in enumerate(checkpoints):
        shutil.copytree(checkpoint, folder / "seeds" / str(seed) / "model")
        status = "stopped" if seed in unfinished else "finished"
        (folder / "seeds" / str(seed) / "run.json").write_text(json.dumps({"status": status}))
    shutil.copytree(checkpoints[0], folder / "model")
    manifest = {"status": "finished", "seeds": n_asked or len(checkpoints)}
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def seeded(three, tmp_path):
    """Two runs; one of the seeds names its labels in another order."""
    first, second, constant = three
    return make_run(tmp_path / "one", [first, second]), make_run(
        tmp_path / "other", [constant, second, first]
    )


def test_runs_of_several_seeds(whet, three, seeded, rows):
    one, other = seeded
    found = json.loads(whet("compare", one, other, "test.csv", "--json").ok().out)
    right = {
        folder: [a == b for a, b in zip(_predicted(whet, folder), rows[1], strict=True)] for folder in three
    }
    first, second, constant = (sum(right[folder]) / 120 for folder in three)
    assert found["models"][0]["seeds"] == pytest.approx({"0": first, "1": second})
    assert found["models"][1]["seeds"] == pytest.approx({"0": constant, "1": second, "2": first})
    assert found["models"][1]["value"] == pytest.approx((first + second + constant) / 3)
    (pair,) = found["pairs"]
    assert pair["seeds"] == [2, 3]
    counts = [
        sum(a and not b for a, b in zip(right[mine], right[theirs], strict=True))
        for mine in three[:2]
        for theirs in (three[2], *three[1::-1])
    ]
    assert sum(counts) > 0
    assert pair["only_first"] == pytest.approx(sum(counts) / 6)
    assert pair["test"] == "t test over texts and seeds"
    told = whet("compare", one, other, "test.csv").ok()
    assert pair["sentence"] in told.out
    assert f"over 2 seeds of {one} and 3 seeds of {other}, on 120 rows" in told.out
    assert "lowest to highest" in told.out
    looks = house.read_jsonl(one / "ledger.jsonl")
    assert [look["figures"]["accuracy"] for look in looks] == pytest.approx([(first + second) / 2] * 2)
    assert not (one / "seeds" / "0" / "ledger.jsonl").exists()

    import whet as library

    assert library.compare(one, other, "test.csv").to_json() == found


def test_one_model_of_such_a_run_is_one_model(whet, three, seeded, rows):
    one, other = seeded
    found = json.loads(whet("compare", one / "model", other, "test.csv", "--json").ok().out)
    assert found["models"][0]["seeds"] == {}
    assert f"{one / 'model'} is one model: how lucky its seed was" in found["pairs"][0]["sentence"]
    pair = json.loads(whet("compare", one / "model", other / "model", "test.csv", "--json").ok().out)[
        "pairs"
    ][0]
    assert pair["test"] == "exact McNemar"


def test_seeds_that_are_not_finished_are_left_out(whet, three, rows, tmp_path):
    first, second, constant = three
    some = make_run(tmp_path / "some", [first, second, constant], n_asked=5, unfinished=(1,))
    told = whet("compare", some, second, "test.csv", "--json").ok()
    assert f"{some}: 2 of its 5 seeds are finished; these are compared." in told.err
    assert list(json.loads(told.out)["models"][0]["seeds"]) == ["0", "2"]
    hardly = make_run(tmp_path / "hardly", [first, second], unfinished=(1,))
    told = whet("compare", hardly, second, "test.csv", "--json").ok()
    assert f"{hardly}: 1 of its 2 seeds is finished, so it is one model here." in told.err
    assert json.loads(told.out)["models"][0]["seeds"] == {}
    assert json.loads(told.out)["pairs"][0]["test"] == "exact McNemar"


def test_a_damaged_seed_is_named(whet, three, rows, tmp_path):
    run = make_run(tmp_path / "run", three[:2])
    (run / "seeds" / "1" / "model" / "model.safetensors").write_bytes(b"none")
    whet("compare", run, three[2], "test.csv").refused("seeds", "model.safetensors")


def test_runs_as_train_makes_them(whet, train, reviews):
    for name, options in (("slow", ("--lr", "1e-5")), ("fast", ())):
        train(reviews, "--seeds", "2", *options, out=name).ok()
    found = json.loads(whet("compare", "slow", "fast", reviews, "--json").ok().out)
    for score in found["models"]:
        for seed, value in score["seeds"].items():
            folder = Path(score["model"], "seeds", seed)
            figures = json.loads(whet("eval", folder, reviews, "--json").ok().out)["metrics"]
            assert value == pytest.approx(figures["accuracy"])
    assert ", over 2 seeds each, on 48 rows" in found["pairs"][0]["sentence"]


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
