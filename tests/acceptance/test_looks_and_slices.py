"""`whet eval --slice`, and the ledger that every look leaves: from the command line and from Python."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.acceptance import house


@pytest.fixture
def rows() -> Path:
    texts, labels = house.sentences(60, seed=11)
    sources = ["mail" if i % 3 else "" for i in range(60)]
    return house.write_csv(Path("test.csv"), {"text": texts, "label": labels, "source": sources})


@pytest.fixture
def run(train, reviews) -> Path:
    train(reviews).ok()
    return Path("run")


def _looks(run: Path) -> list[dict]:
    return house.read_jsonl((run / "ledger.jsonl").read_text())


# ------------------------------------------------------------------ slices


def test_slices_are_those_of_the_predictions(whet, run, rows):
    found = json.loads(whet("eval", run, rows, "--slice", "source", "--json").ok().out)["slices"]
    predictions = house.read_jsonl(whet("predict", run, rows).ok().out)
    right = [row["label"] == row["input_label"] for row in predictions]
    for kind, column, values in (
        ("label", None, [row["input_label"] for row in predictions]),
        ("column", "source", [row["source"] or "(none)" for row in predictions]),
    ):
        mine = [one for one in found if one["kind"] == kind]
        assert {one["name"] for one in mine} == set(values)
        for one in mine:
            hits = [hit for hit, value in zip(right, values, strict=True) if value == one["name"]]
            assert (one["column"], one["rows"]) == (column, len(hits))
            assert one["accuracy"] == pytest.approx(sum(hits) / len(hits))
    assert sum(one["rows"] for one in found if one["kind"] == "length") == 60


def test_a_weak_slice_is_named_in_one_sentence(whet, train, reviews):
    """Rows of "forum" have the wrong label on purpose."""
    train(reviews, "--lr", "1e-3", "--epochs", "8", out="good").ok()
    texts, _ = house.sentences(120, seed=5)
    predictions = house.read_jsonl(
        whet("predict", "good", house.write_csv(Path("in.csv"), {"text": texts})).ok().out
    )
    labels = [row["label"] for row in predictions]
    sources = ["forum" if i % 4 == 0 else "web" for i in range(120)]
    names = sorted(set(labels))
    wrong = [
        names[names.index(label) - 1] if s == "forum" else label
        for s, label in zip(sources, labels, strict=True)
    ]
    house.write_csv(Path("test.csv"), {"text": texts, "label": wrong, "source": sources})
    out = whet("eval", "good", "test.csv", "--slice", "source").ok().out
    warnings = [line for line in out.splitlines() if line.startswith("WARNING source")]
    assert len(warnings) == 1
    assert (
        "source = forum: worse than the other rows, accuracy 0.000 against 1.000, on 30 rows" in warnings[0]
    )
    assert "source = web" not in out


def test_a_column_that_is_not_there(whet, run, rows):
    whet("eval", run, rows, "--slice", "sorce").refused("test.csv", "sorce", "did you mean 'source'")
    assert not (run / "ledger.jsonl").exists()


def test_python_gives_the_same_slices(whet, run, rows):
    import whet as library

    by_command = json.loads(whet("eval", run, rows, "--slice", "source", "--json").ok().out)["slices"]
    for evaluation in (
        library.evaluate(run, rows, slices=["source"]),
        library.load(run).evaluate(pd.read_csv(rows), slices=["source", "source"]),
    ):
        assert [one.to_json() for one in evaluation.slices] == by_command


# ------------------------------------------------------------------ looks


def test_every_door_counts(whet, run, rows):
    import whet as library

    assert "Look 1 at test.csv by this run." in whet("eval", run, rows).ok().err
    assert json.loads(whet("eval", run / "model", rows, "--json").ok().out)["look"] == 2
    Path("copy.csv").write_bytes(rows.read_bytes())
    assert "Look 3 at copy.csv by this run. What is chosen by looks" in whet("eval", run, "copy.csv").ok().err
    frame = pd.read_csv(rows, keep_default_na=False)
    assert library.load(run).evaluate(frame).look == 4
    assert library.evaluate(run, frame.to_dict("list")).look == 5
    assert [look["command"] for look in _looks(run)] == ["eval"] * 5
    assert len({look["fingerprint"] for look in _looks(run)}) == 1
    figures = json.loads(whet("eval", run, rows, "--json").ok().out)["metrics"]
    assert _looks(run)[0]["figures"] == {
        name: figures[name] for name in ("accuracy", "macro_f1", "mcc", "nll")
    }


def test_rows_of_training_are_no_look(whet, train, reviews, run, rows):
    seen = whet("eval", run, reviews)
    assert "trained on most of these rows" in seen.ok().err
    assert "Look" not in seen.err
    train(reviews, "--dev", rows, out="other").ok()
    assert "the run was trained on these rows" in whet("eval", "other", reviews).ok().err
    assert "the run chose its epoch by these rows" in whet("eval", "other", rows).ok().err
    assert not (run / "ledger.jsonl").exists()
    assert not Path("other/ledger.jsonl").exists()


def test_training_with_a_test_file_is_a_look(whet, train, reviews, rows):
    said = train(reviews, "--test", rows, out="runs/a").ok()
    assert "Look 1 at test.csv by this run." in said.err
    manifest = json.loads(Path("runs/a/run.json").read_text())
    (look,) = _looks(Path("runs/a"))
    assert (look["command"], look["rows"]) == ("train --test", 60)
    assert look["fingerprint"] == manifest["data"]["test"]["fingerprint"]
    assert look["figures"]["accuracy"] == manifest["results"]["test"]["accuracy"]
    said = train(reviews, "--test", rows, "--seed", "1", out="runs/b").ok()
    assert "test.csv has been looked at 2 times by 2 runs of runs/" in said.err
    assert "Look 2" in whet("eval", "runs/a", rows).ok().err


def test_compare_is_a_look_by_each(whet, train, reviews, rows):
    train(reviews, out="runs/a").ok()
    train(reviews, "--seed", "1", out="runs/b").ok()
    said = whet("compare", "runs/a", "runs/b", rows, "--metric", "mcc").ok().err
    assert "runs/a: Look 1 at test.csv by this run." in said
    assert said.count("test.csv has been looked at 2 times by 2 runs of runs/") == 1
    assert [_looks(Path("runs") / name)[0]["command"] for name in "ab"] == ["compare"] * 2
    whet("compare", "runs/a", "runs/b", reviews).ok()
    assert len(_looks(Path("runs/a"))) == 1


def test_overwrite_begins_anew_and_resume_keeps(whet, train, reviews, run, rows):
    whet("eval", run, rows).ok()
    whet("train", reviews, "--out", run, "--resume").ok()
    assert len(_looks(run)) == 1
    train(reviews, "--overwrite").ok()
    assert not (run / "ledger.jsonl").exists()


def test_a_model_without_its_run_has_no_ledger(whet, run, rows, classifier):
    (run / "model").rename("model")
    for model in ("model", classifier):
        said = whet("eval", model, rows, "--json").ok()
        assert json.loads(said.out)["look"] is None
        assert "Look" not in said.err


def test_a_bad_ledger_costs_a_line(whet, run, rows):
    before = (run / "run.json").read_bytes()
    (run / "ledger.jsonl").write_text("nonsense\n")
    said = whet("eval", run, rows).ok()
    assert said.err.count("ledger.jsonl:1 is damaged") == 1
    (run / "ledger.jsonl").unlink()
    (run / "ledger.jsonl").mkdir()
    said = whet("eval", run, rows).ok()
    assert said.err.count("ledger.jsonl") == 1
    assert "accuracy" in said.out
    assert (run / "run.json").read_bytes() == before
