"""Class weights, focal loss and label smoothing through the command line."""

import json
import math
from pathlib import Path

import pytest

from tests.acceptance import house


@pytest.fixture
def skewed(tmp_path):
    """60 rows of delivery, 5 of refund; the rows of dev come first."""
    texts, labels = house.sentences(120, labels=("delivery", "refund"))
    rare = [i for i, label in enumerate(labels) if label == "refund"][5:]
    kept = [i for i in range(120) if i not in rare]
    rows = {"text": [texts[i] for i in kept], "label": [labels[i] for i in kept]}
    return house.write_csv(tmp_path / "skewed.csv", rows)


def test_class_weights_are_said_and_dev_figures_stay_plain(train, skewed):
    told = train(skewed, "--set", "dev_fraction=0").ok().err
    assert "--set class_weights=balanced" in told
    assert "Class weights" not in told
    told = (
        train(skewed, "--set", "class_weights=balanced", "--set", "dev_fraction=0.4", "--overwrite").ok().err
    )
    assert "--set class_weights" not in told
    counts = json.loads(Path("run/run.json").read_text())["data"]
    n = counts["train"]["rows"]
    weights = {label: n / (2 * rows) for label, rows in (("refund", 3), ("delivery", n - 3))}
    said = ", ".join(f"{label} {weight:.3g}" for label, weight in weights.items())
    assert f"Class weights: {said}." in told

    manifest = json.loads(Path("run/run.json").read_text())
    assert manifest["config"]["class_weights"] == "balanced"
    assert "objective" not in Path("run/model/whet.json").read_text()
    rows = house.read_jsonl(Path("run/predictions.dev.jsonl"))
    plain = [-math.log(row["probabilities"][row["input_label"]]) for row in rows]
    assert manifest["results"]["dev"]["nll"] == pytest.approx(sum(plain) / len(plain))


@pytest.mark.parametrize("setting", ["focal_gamma=2", "label_smoothing=0.1", "class_weights=balanced"])
def test_each_changes_what_is_learnt(train, reviews, setting):
    steps = []
    for options in ((), ("--set", setting)):
        train(reviews, *options, "--overwrite").ok()
        steps.append(house.read_jsonl(Path("run/metrics.jsonl"))[-2]["loss"])
    assert steps[0] != steps[1]


def test_two_at_once_are_refused(train, reviews):
    train(reviews, "--set", "focal_gamma=2", "--set", "label_smoothing=0.1").refused("Set one of them to 0")
