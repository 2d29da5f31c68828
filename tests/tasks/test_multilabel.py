"""Any number of labels: loss, rules, figures and targets, against torch, scikit-learn and closed formulas."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from scipy.special import expit

from whet.config import TrainConfig
from whet.data.columns import infer_columns
from whet.data.readers import read_table
from whet.errors import ConfigError, DataError
from whet.tasks import TASKS
from whet.tasks.label_rules import LabelRules
from whet.tasks.multilabel import Multilabel

NAMES = ("anger", "fear", "joy", "love", "pride")
N = 211


def _dev(scale: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `scale` times too large, and targets of labels from common to rare."""
    random = np.random.default_rng(seed)
    true = random.random((N, len(NAMES))) < np.array([0.5, 0.3, 0.2, 0.1, 0.05])
    logits = np.log([1.0, 0.43, 0.25, 0.11, 0.05]) + random.normal(size=true.shape) + 1.5 * (true - 0.3)
    return scale * logits, true.astype(np.int8)


def _fitted(scale: float = 3.0, **settings: Any) -> Multilabel:
    return Multilabel(NAMES).fitted(*_dev(scale), TrainConfig(**settings))


def _learnt(labels: list[Any], **settings: Any) -> tuple[Multilabel, np.ndarray]:
    table = read_table({"text": [f"a text {i}" for i in range(len(labels))], "labels": labels})
    columns = infer_columns(table, task="multilabel-classification", label="labels")
    task = Multilabel.learn(table, columns, TrainConfig(**settings))
    return task, task.read(table, columns)


def test_losses_are_torchs_in_float64_and_the_mean_is_over_all_cells() -> None:
    logits, true = (torch.from_numpy(one) for one in _dev())
    losses = Multilabel(NAMES).losses(logits, true)
    assert losses.shape == (N,)
    wanted = torch.nn.BCEWithLogitsLoss()(logits, true.double())
    assert float(losses.sum()) / Multilabel(NAMES).weight(true) == pytest.approx(float(wanted), abs=1e-12)
    assert Multilabel(NAMES).losses(logits.bfloat16(), true).dtype == torch.float32


def test_guessing_costs_the_entropy_and_is_where_a_new_head_begins() -> None:
    _, true = _dev()
    task = Multilabel(NAMES).trained_on(true, TrainConfig())
    share = true.mean(axis=0)
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share)).mean()
    mean, deviation, plain = task.of_guessing(true)
    assert (mean, plain) == pytest.approx((entropy, entropy), abs=1e-12)
    bias = task.first_bias()
    assert bias is not None
    losses = task.losses(bias.expand(N, -1), torch.from_numpy(true))
    assert float(losses.mean()) == pytest.approx(entropy, abs=1e-12)
    assert deviation == pytest.approx(float(losses.std(correction=0)), abs=1e-12)
    never = task.trained_on(np.zeros((50, 5), np.int8), TrainConfig()).first_bias()
    assert never is not None
    assert float(never[0]) == pytest.approx(math.log(0.01 / 0.99))
    assert task.of_guessing(np.zeros((50, 5), np.int8)) == (0.0, 0.0, 0.0)


def test_what_is_fitted_follows_the_settings() -> None:
    logits, true = _dev()
    whole = _fitted().rules
    assert whole.n_rows == N
    assert whole.goal == "macro F1"
    grid = np.exp(np.linspace(-1, 2, 3001))
    cost = [
        N * len(NAMES) * sklearn.metrics.log_loss(true.ravel(), expit(logits.ravel() / t))
        + (math.log(t) / 0.25) ** 2 / 2
        for t in grid[::20]
    ]
    assert whole.temperature == pytest.approx(grid[::20][int(np.argmin(cost))], rel=0.02)
    assert whole.temperature > 1.5, "logits three times too large"
    assert _fitted(calibrate="none").rules.temperature == 1
    plain = _fitted(threshold="none").rules
    assert plain.thresholds is None
    chances = plain.probabilities(logits)
    assert (plain.given(chances) == (chances >= 0.5)).all()
    assert Multilabel(NAMES).fitted(logits[:0], true[:0], TrainConfig()) == Multilabel(NAMES)


def test_fitted_thresholds_find_more_than_a_half_on_new_rows() -> None:
    logits, true = _dev(1.0, seed=1)
    fitted, plain = _fitted(1.0), _fitted(1.0, threshold="none")
    assert fitted.metrics(logits, true)["macro_f1"] > plain.metrics(logits, true)["macro_f1"] + 0.03


def test_figures_answers_and_rightness_agree_with_scikit_learn() -> None:
    logits, true = _dev(seed=2)
    task = _fitted()
    found = task.decode(logits)
    given = np.array([[name in one.labels for name in NAMES] for one in found])
    metrics = task.metrics(logits, true)
    for average in ("micro", "macro"):
        wanted = sklearn.metrics.f1_score(true, given, average=average, zero_division=0)
        assert metrics[f"{average}_f1"] == pytest.approx(wanted, abs=1e-12)
    assert metrics["subset_accuracy"] == sklearn.metrics.accuracy_score(true, given)
    assert task.is_right(logits, true).mean() == metrics["subset_accuracy"]
    assert set(task.figures) <= set(metrics)
    assert set(task.figures) <= set(task.intervals(logits, true))
    decisions = task.trust(logits, true)["decisions"]
    chances = np.array([list(one.probabilities.values()) for one in found])
    assert decisions["after"]["bce"] == pytest.approx(metrics["bce"])
    wanted = sklearn.metrics.brier_score_loss(true.ravel(), chances.ravel())
    assert decisions["after"]["brier"] == pytest.approx(wanted)
    assert decisions["after"]["ece"] < decisions["before"]["ece"]


def test_an_epoch_is_told_by_thresholds_of_its_own_rows() -> None:
    """From 0.5 on, a model that knows the order of texts and not yet the level gives nothing."""
    logits, true = _dev(1.0)
    early = logits - 6
    assert Multilabel(NAMES).metrics(early, true)["macro_f1"] == 0
    told = Multilabel(NAMES).scored_while_training(early, true).metrics(early, true)
    assert told["macro_f1"] > 0.4
    for by in Multilabel.choices:
        assert Multilabel(NAMES).standing(told, by)[1] >= 0
    assert Multilabel(NAMES).standing(told, "macro_pr_auc")[0] == told["macro_pr_auc"]


def test_the_luck_of_an_epoch_is_about_the_spread_over_draws() -> None:
    """Against 60 draws of the texts: within a factor of two, which is what the rule needs."""
    task = Multilabel(NAMES)
    drawn = [task.metrics(*_dev(1.0, seed)) for seed in range(60)]
    for by in ("macro_pr_auc", "micro_pr_auc", "macro_f1", "micro_f1"):
        spread = np.std([task.standing(one, by)[0] for one in drawn])
        told = np.mean([task.standing(one, by)[1] for one in drawn])
        assert spread / 2 < told < 2 * spread, by


def test_no_label_on_dev_stands_below_everything() -> None:
    logits, true = _dev()
    task = Multilabel(NAMES)
    assert task.standing(task.metrics(logits, np.zeros_like(true)), "macro_pr_auc") == (-1.0, 0.0)


def test_strata_are_the_rarest_label_of_a_row() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 1, 0]], np.int8)
    assert Multilabel(("a", "b", "c")).strata(targets).tolist() == [1, 0, 2, 3, 1]


def test_rules_are_kept_and_damaged_ones_refused() -> None:
    task = replace(_fitted(), separator=";")
    saved = json.loads(json.dumps(task.to_json()))
    assert TASKS[task.name].from_json(saved) == task
    for change in (
        {"temperature": 0},
        {"thresholds": {"joy": 0.5}},
        {"thresholds": dict.fromkeys(NAMES, 2)},
        {"n_rows": "7"},
        {"odd": 1},
    ):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Multilabel.from_json({**saved, "decision": {**saved["decision"], **change}})
    with pytest.raises(ValueError, match="separator"):
        Multilabel.from_json({**saved, "separator": ""})


def test_how_labels_are_written_and_read() -> None:
    task, targets = _learnt(["joy|anger", "", "[]", "joy"])
    assert (task.labels, task.separator) == (("anger", "joy"), "|")
    assert targets.tolist() == [[1, 1], [-1, -1], [0, 0], [0, 1]]
    assert task.is_labelled(targets).tolist() == [True, False, True, True]
    assert _learnt(["a, b", "c; d", "c"], label_separator=";")[0].labels == ("a, b", "c", "d")
    blank, _ = _learnt(["a b", "c"], label_separator=" ")
    assert blank.labels == ("a", "b", "c")
    with pytest.raises(DataError, match="--set label_separator="):
        _learnt(["a, b", "c; d", "c"])


def test_a_file_may_write_labels_in_another_way() -> None:
    task, _ = _learnt(["joy|anger", "joy"])
    for columns in ({"labels": [["anger"], []]}, {"labels": ["['anger']", "[]"]}):
        table = read_table({"text": ["a", "b"], **columns})
        found = task.read(table, infer_columns(table, task=task.name))
        assert found.tolist() == [[1, 0], [0, 0]]
    table = read_table({"text": ["a", "b"], "anger": [1, 0], "joy": [0, 1], "fear": [0, 1]})
    found = task.read(table, infer_columns(table, task=task.name, label=["joy", "anger"]))
    assert found.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(
        DataError, match=r"the label columns are joy, fear, and the labels of this model anger"
    ):
        task.read(table, infer_columns(table, task=task.name, label=["joy", "fear"]))


def test_answers_in_a_csv_are_joined_by_what_joins_them_in_the_training_file() -> None:
    logits = np.array([[9.0, -9, 9, -9, -9]])
    assert Multilabel(NAMES).decode(logits)[0].to_row()["labels"] == "anger|joy"
    assert Multilabel(NAMES, ";").decode(logits)[0].to_row()["labels"] == "anger;joy"
    assert Multilabel(("a|b", "c")).decode(logits[:, [0, 2]])[0].to_row()["labels"] == "a|b;c"
    found = Multilabel(NAMES).decode(-abs(logits), with_logits=True)[0]
    assert found.labels == ()
    assert found.to_json()["logits"] == dict(zip(NAMES, (-9.0,) * 5, strict=True))


def test_a_model_from_elsewhere_gives_labels_from_a_half_on() -> None:
    kind = "multi_label_classification"
    for n_outputs in (1, 3):
        names = tuple(f"LABEL_{i}" for i in range(n_outputs))
        (task,) = filter(None, (one.foreign(kind, names) for one in TASKS.values()))
        assert isinstance(task, Multilabel)
        assert task.rules == LabelRules()
    assert not isinstance(TASKS["classification"].foreign(None, ("a", "b")), Multilabel)
    assert Multilabel.foreign("single_label_classification", ("a", "b")) is None
    table = read_table({"text": ["a", "b", "c"], "labels": ["0,2", "1", "2"]})
    columns = infer_columns(table, task=task.name)
    named, notes = task.matched(table, columns)
    assert named.read(table, columns).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert notes == ("The model's labels have no names; column 'labels' holds numbers: matched by number.",)


def test_labels_of_ones_own_loop() -> None:
    task = Multilabel(("a", "b"))
    assert task.parse([["b"], [], ["a", "b"]], 3).tolist() == [[0, 1], [0, 0], [1, 1]]
    assert task.parse(torch.tensor([[0.0, 1.0]]), 1).tolist() == [[0.0, 1.0]]
    for labels, what in (([["c"]], "none of"), (torch.tensor([[0, 2]]), "0 or 1"), ([["a"]] * 2, "1 texts")):
        with pytest.raises(ValueError, match=what):
            task.parse(labels, 1)


@pytest.mark.parametrize(
    "setting",
    [{"class_weights": "balanced"}, {"focal_gamma": 2.0}, {"label_smoothing": 0.1}, {"abstain_below": 0.5},
     {"threshold": "precision", "min_precision": 0.9}, {"positive_label": "a"}],
)  # fmt: skip
def test_settings_of_one_label_a_row_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="where a row has any number of labels"):
        Multilabel.refuse(TrainConfig(**setting))


def test_what_needs_one_label_is_refused() -> None:
    task = _fitted()
    with pytest.raises(ConfigError, match="any number of labels as it is"):
        task.decode(np.zeros((1, 5)), coverage=0.8)
    with pytest.raises(ConfigError, match="always answers"):
        task.abstaining_below(0.5)
    with pytest.raises(ConfigError, match="choose_by=mcc: for multilabel-classification"):
        task.chosen_by(TrainConfig(choose_by="mcc"))
    with pytest.raises(ConfigError, match="each once"):
        Multilabel(("a", "a"))
