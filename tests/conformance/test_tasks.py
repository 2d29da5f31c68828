"""What every task must do, whichever it is: one entry in TASKS here, and all of it is checked.

The oracle of logits and losses is transformers' own class, opened from the saved folder.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.acceptance import house

N_TRAIN, N_TEST = 90, 30


@dataclass(frozen=True)
class Entry:
    """One task: rows to train on, and what is its own."""

    targets: Callable[[Sequence[str], random.Random], dict[str, list[Any]]]  # label columns, from true labels
    hf_labels: Callable[[Any, dict[str, list[Any]]], torch.Tensor]  # for transformers' loss, from config
    bad: tuple[tuple[dict[str, Any], str], ...]  # a row's label columns, and what the message says
    options: tuple[str, ...] = ()
    coverages: bool = True  # has prediction sets or intervals


def _one_label(labels: Sequence[str], _: random.Random) -> dict[str, list[Any]]:
    return {"label": list(labels)}


def _number(labels: Sequence[str], rng: random.Random) -> dict[str, list[Any]]:
    middle = {"delivery": 10.0, "praise": 20.0, "refund": 45.0}
    return {"score": [round(middle[label] + rng.uniform(-3, 3), 2) for label in labels]}


TASKS = {
    "classification": Entry(
        _one_label,
        lambda model, columns: torch.tensor([model.config.label2id[name] for name in columns["label"]]),
        (({"label": "deliverry"}, "'deliverry' is not one of the 3 labels"),),
    ),
    "regression": Entry(
        _number,
        lambda model, columns: torch.tensor(columns["score"], dtype=torch.float64),
        (
            ({"score": "high"}, "no finite number: line 3 'high'"),
            ({"score": "nan"}, "no finite number: line 3 'nan'"),
        ),
    ),
}


@dataclass
class Trained:
    """One run of a task, and rows that it has not seen."""

    name: str
    entry: Entry
    folder: Path
    test: Path
    texts: list[str]
    columns: dict[str, list[Any]]
    task: Any

    @property
    def run(self) -> Path:
        return self.folder / "run"


@pytest.fixture(scope="module", params=list(TASKS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    import whet

    name, entry = request.param, TASKS[request.param]
    folder = tmp_path_factory.mktemp(name)
    rng = random.Random(3)
    files = {}
    for split, count, seed in (("train", N_TRAIN, 0), ("test", N_TEST, 50)):
        texts, labels = house.sentences(count, seed)
        columns = entry.targets(labels, rng)
        files[split] = house.write_csv(folder / f"{split}.csv", {"text": texts, **columns})
    encoder = house.make_checkpoint(folder / "tiny")
    whet.train(
        files["train"], model=encoder, out=folder / "run", epochs=2, threads=1, precision="float32",
        quiet=True, learning_rate=1e-3, dev_fraction=0.3,
    )  # fmt: skip
    model = whet.load(folder / "run")
    assert model.module.task.name == name, "the task is inferred from the file"
    return Trained(name, entry, folder, files["test"], texts, columns, model.module.task)


def _close(one: Any, other: Any) -> bool:
    """Equal but for rounding, whatever they are made of."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float | int):
        return abs(one - other) <= 1e-5 * max(1.0, abs(one))
    return bool(one == other)


def test_file_python_single_rows_and_any_batching_agree(trained, whet, monkeypatch):
    import whet as library
    from whet import predictor

    options = ["--label-sets", "0.8"] if trained.entry.coverages else []
    lines = house.read_jsonl(
        whet("predict", trained.run, trained.test, "--no-input", "--logits", *options).ok().out
    )
    assert len(lines) == N_TEST
    model = library.load(trained.run)
    keywords = {"label_sets": 0.8} if trained.entry.coverages else {}
    together = [found.to_json() for found in model.predict(trained.texts, logits=True, **keywords)]
    assert _close(together, lines)
    alone = [
        found.to_json() for text in trained.texts for found in model.predict([text], logits=True, **keywords)
    ]
    assert _close(alone, lines)
    monkeypatch.setattr(predictor, "_WINDOW", 7)
    monkeypatch.setattr(predictor, "_TOKENS", 32)
    windows = [found.to_json() for found in model.predict(trained.texts, logits=True, **keywords)]
    assert _close(windows, lines)
    assert not _close(together, together[::-1]), "else this test shows nothing"


def test_figures_are_about_what_is_predicted(trained, whet):
    found = json.loads(whet("eval", trained.run, trained.test, "--json").ok().out)
    assert (found["task"], found["rows"]) == (trained.name, N_TEST)
    metrics = found["metrics"]
    for key in trained.task.figures:
        ends = metrics["intervals"][key]
        assert metrics[key] is None or ends is None or ends[0] <= metrics[key] <= ends[1], key
    import whet as library

    assert library.load(trained.run).evaluate(trained.test).to_json()["metrics"] == metrics
    printed = whet("eval", trained.run, trained.test).ok().out
    for key, title in trained.task.figures.items():
        assert title in printed
        assert metrics[key] is None or f"{metrics[key]:.4f}" in printed


def test_decision_rules_are_kept_in_a_copy_of_the_model(trained, whet, tmp_path):
    import shutil

    import whet as library

    shutil.copytree(trained.run / "model", tmp_path / "copy")
    again = library.load(tmp_path / "copy").module.task
    assert again.to_json() == library.load(trained.run).module.task.to_json()
    saved = json.loads((tmp_path / "copy" / "whet.json").read_text())["task"]
    assert saved["decision"]["n_rows"] > 0


def test_transformers_opens_the_model_and_computes_the_same_logits_and_loss(trained):
    """In float64, on weights that training has made, at 1e-10. Proof that it can fail: without the division
    by the deviation in Regression.losses."""
    import transformers

    import whet as library

    folder = trained.run / "model"
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float64
    ).eval()
    tokeniser = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = tokeniser(trained.texts, return_tensors="pt", padding=True)
    labels = trained.entry.hf_labels(theirs, trained.columns)
    ours = library.load(folder, precision="float64").module
    scaled = getattr(trained.task, "scale", None)
    wanted = labels if scaled is None else torch.from_numpy(scaled.scaled(labels.numpy()))
    with torch.no_grad():
        output = theirs(**encoded, labels=wanted)
        found = ours(trained.texts, labels)
    np.testing.assert_allclose(found.logits, output.logits, atol=1e-10)
    assert float(found.loss) == pytest.approx(float(output.loss), abs=1e-10)
    assert theirs.config.problem_type == trained.task.problem_type


def test_every_kind_of_bad_row_is_named(trained, whet, tmp_path):
    texts, columns = list(trained.texts), {name: list(values) for name, values in trained.columns.items()}
    for bad, message in trained.entry.bad:
        wrong = {name: [*values[:1], bad[name], *values[2:]] for name, values in columns.items()}
        file = house.write_csv(tmp_path / "bad.csv", {"text": texts, **wrong})
        error = whet("eval", trained.run, file).refused(message)
        assert "Traceback" not in error


def test_rows_without_target_are_counted_and_left_out(trained, whet, tmp_path):
    columns = {name: ["", *values[1:]] for name, values in trained.columns.items()}
    file = house.write_csv(tmp_path / "some.csv", {"text": trained.texts, **columns})
    found = json.loads(whet("eval", trained.run, file, "--json").ok().out)
    assert (found["rows"], found["unlabelled_rows"]) == (N_TEST - 1, 1)


def test_a_card_and_a_manifest_say_what_it_is(trained):
    card = (trained.run / "model" / "README.md").read_text()
    assert f"pipeline_tag: {trained.task.pipeline}" in card
    assert all(trained.task.figures[key] in card for key in trained.task.headlines)
    manifest = json.loads((trained.run / "run.json").read_text())
    assert manifest["task"] == trained.name
