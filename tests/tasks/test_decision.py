"""Decision rules: what they choose, when they give no answer, and that they survive saving."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from whet.config import TrainConfig
from whet.errors import ConfigError
from whet.tasks.classification import Classification
from whet.tasks.decision import NO_ANSWER, Decision

THREE = ("a", "b", "c")


def _dev(n: int = 211, n_labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    true = random.choice(n_labels, n, p=np.arange(n_labels, 0, -1) / np.arange(1, n_labels + 1).sum())
    logits = random.normal(size=(n, n_labels))
    logits[np.arange(n), true] += 1.2
    return 3 * logits, true


def _fitted(n_labels: int = 3, **settings: Any) -> Classification:
    task = Classification(tuple("abcdefg"[:n_labels]))
    return task.fitted(*_dev(n_labels=n_labels), TrainConfig(**settings))


def test_as_it_stands_a_task_takes_the_likeliest_label() -> None:
    logits, true = _dev()
    task = Classification(THREE)
    assert task.answers(logits) == [THREE[i] for i in logits.argmax(axis=1)]
    assert [p.label for p in task.decode(logits)] == task.answers(logits)
    assert task.fitted(np.empty((0, 3)), np.empty(0, np.int64), TrainConfig()) == task
    calibration = task.trust(logits, true)["calibration"]
    assert calibration["before"] == calibration["after"]


def test_what_is_fitted_follows_the_settings() -> None:
    plain = _fitted().decision
    assert plain.temperature > 1.2, "logits three times too large"
    assert plain.n_rows == 211
    assert plain.thresholds is None
    assert plain.quantiles is not None
    assert list(plain.quantiles) == sorted(plain.quantiles)
    assert _fitted(calibrate="none").decision.temperature == 1
    assert _fitted(abstain_below=0.7).decision.abstain_below == 0.7
    assert _fitted(threshold="f1").decision.goal == "f1"
    assert _fitted(threshold="precision", min_precision=0.9).decision.goal == "precision >= 0.9"


@pytest.mark.parametrize("positive", ["a", "b"])
def test_two_labels_have_the_best_f1_there_is(positive: str) -> None:
    logits, true = _dev(n_labels=2)
    task = Classification(("a", "b"), positive).fitted(logits, true, TrainConfig(threshold="f1"))
    index = task.positive
    scores = task.probabilities(logits)[:, index]
    precision, recall, _ = sklearn.metrics.precision_recall_curve(true == index, scores)
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    metrics = task.metrics(logits, true)
    assert metrics["f1"] == pytest.approx(best)
    assert metrics["f1"] > replace(task, decision=Decision()).metrics(logits, true)["f1"]
    assert task.decision.thresholds is not None
    assert task.decision.thresholds[index] != pytest.approx(0.5, abs=1e-3)


def test_two_labels_are_positive_from_the_threshold_on() -> None:
    """To the digit, and for each of the two."""
    for positive in (0, 1):
        decision = Decision(thresholds=(0.25, 0.75) if positive else (0.75, 0.25))
        chances = np.array([[0.25, 0.75], [0.250001, 0.749999], [0.75, 0.25], [0.749999, 0.250001]])
        chosen = decision.best(chances, positive)
        assert (chosen == positive).tolist() == (chances[:, positive] >= 0.75).tolist()


def test_several_labels_with_a_precision_abstain_below_their_thresholds() -> None:
    logits, _ = _dev()
    task = _fitted(threshold="precision", min_precision=0.9)
    bounds = np.array([np.inf if t is None else t for t in task.decision.thresholds or ()])
    chances = task.probabilities(logits)
    answers = np.array([-1 if a is None else THREE.index(a) for a in task.answers(logits)])
    reached = (chances >= bounds).any(axis=1)
    assert ((answers == NO_ANSWER) == ~reached).all()
    assert 0 < reached.sum() < len(logits)
    assert (answers[reached] == (chances / bounds).argmax(axis=1)[reached]).all()
    silent = [p for p in task.decode(logits) if p.label is None]
    assert len(silent) == (~reached).sum()


def test_a_precision_that_no_threshold_reaches_is_never_answered() -> None:
    logits = np.array([[2.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
    task = Classification(THREE).fitted(
        logits, np.array([0, 1, 1]), TrainConfig(threshold="precision", min_precision=1.0)
    )
    assert task.decision.thresholds is not None
    assert [t is None for t in task.decision.thresholds] == [True, False, True]
    assert task.answers(logits) == [None, None, "b"]
    two = Classification(("a", "b")).fitted(
        logits[:, :2], np.array([0, 0, 0]), TrainConfig(threshold="precision", min_precision=0.9)
    )
    assert two.answers(logits[:, :2]) == ["a", "a", "a"]


def test_where_no_label_has_a_threshold_the_likeliest_is_the_one_left_unsaid() -> None:
    logits = np.array([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [1.0, 0.0, 2.0]])
    task = Classification(THREE).fitted(
        logits, np.array([1, 2, 0]), TrainConfig(threshold="precision", min_precision=1.0)
    )
    assert task.decision.thresholds == (None, None, None)
    assert task.answers(logits) == [None, None, None]
    assert [p.probability for p in task.decode(logits)] == task.probabilities(logits).max(axis=1).tolist()
    assert task.trust(logits, np.array([0, 1, 2]))["selective"]["answered"]["accuracy_of_all"] == 1


def test_abstaining_keeps_the_probability_of_the_best_label() -> None:
    task = _fitted().abstaining_below(0.6)
    logits, _ = _dev()
    chances = task.probabilities(logits)
    for prediction, row in zip(task.decode(logits), chances, strict=True):
        assert prediction.probability == row.max()
        assert (prediction.label is None) == (row.max() < 0.6)
    assert None not in task.abstaining_below(0.0).answers(logits)
    assert task.abstaining_below(None) == task
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            task.abstaining_below(wrong)


def test_figures_are_those_of_the_answers() -> None:
    logits, true = _dev()
    task = _fitted(threshold="f1", abstain_below=0.7)
    answers = np.array([-1 if a is None else THREE.index(a) for a in task.answers(logits)])
    figures, trust = task.metrics(logits, true), task.trust(logits, true)
    assert figures["accuracy"] == pytest.approx((answers == true).mean())
    answered = trust["selective"]["answered"]
    assert answered["n"] == (answers >= 0).sum()
    assert answered["accuracy"] == pytest.approx((answers == true)[answers >= 0].mean())
    assert figures["nll"] == trust["calibration"]["after"]["nll"]
    assert trust["calibration"]["after"]["nll"] < trust["calibration"]["before"]["nll"]
    assert figures["nll"] == pytest.approx(sklearn.metrics.log_loss(true, task.probabilities(logits)))
    json.dumps([figures, trust, task.intervals(logits, true)], allow_nan=False)


def test_label_sets_are_the_likeliest_first() -> None:
    logits, true = _dev()
    task = _fitted()
    wide, narrow = (task.decode(logits, coverage=coverage) for coverage in (0.95, 0.8))
    for many, few in zip(wide, narrow, strict=True):
        assert many.label_set is not None
        assert few.label_set is not None
        assert many.label_set[: len(few.label_set)] == few.label_set
        assert few.label_set[0] == few.label
    held = np.mean([THREE[label] in (p.label_set or ()) for p, label in zip(wide, true, strict=True)])
    assert held == pytest.approx(task.trust(logits, true)["label_sets"][2]["coverage"])
    with pytest.raises(ConfigError, match=r"0\.8, 0\.9, 0\.95"):
        task.decode(logits, coverage=0.85)
    with pytest.raises(ConfigError, match="no label sets"):
        Classification(THREE).decode(logits, coverage=0.9)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"threshold": "f1", "abstain_below": 0.4},
        {"threshold": "precision", "min_precision": 0.99},
        {"calibrate": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_labels", [2, 3])
def test_saved_and_read_back_it_is_the_same(settings: dict[str, Any], n_labels: int) -> None:
    task = _fitted(n_labels, **settings)
    saved = json.loads(json.dumps(task.to_json(), allow_nan=False))
    assert Classification.from_json(saved) == task
    assert Classification.from_json({"labels": ["a", "b"]}) == Classification(("a", "b"))


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": "warm"},
        {"temperature": float("nan")},
        {"thresholds": {"a": 0.5}},
        {"thresholds": {"a": 0.5, "b": -1, "c": 0.5}},
        {"quantiles": {"0.8": 0.5}},
        {"abstain_below": 2},
        {"heat": 1},
        {"quantiles": {"0.8": 0.5, "0.9": float("nan"), "0.95": 1}},
        {"n_rows": "many"},
        {"abstains": "no"},
    ],
    ids=str,
)
def test_rules_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    saved = dict(_fitted().to_json())
    saved["decision"] = {**saved["decision"], **change}
    with pytest.raises((KeyError, TypeError, ValueError, ConfigError)):
        Classification.from_json(saved)


def test_a_positive_label_that_is_none_is_refused() -> None:
    for labels, positive in ((["a", "b"], "c"), (["a", "b", "c"], "a")):
        with pytest.raises(ValueError, match="positive_label"):
            Classification.from_json({"labels": labels, "positive_label": positive})


def test_settings_that_do_not_fit_are_refused() -> None:
    for wrong in ({"threshold": "precision"}, {"min_precision": 0.9}):
        with pytest.raises(ConfigError, match="set both"):
            TrainConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"abstain_below=1\.5: must be a number from 0 to 1"):
        TrainConfig(abstain_below=1.5)


def test_one_row_and_labels_that_dev_lacks() -> None:
    for settings in ({"threshold": "f1"}, {"threshold": "precision", "min_precision": 0.5}):
        task = Classification(THREE).fitted(
            np.array([[9.0, 0.0, -9.0]]),
            np.array([0]),
            TrainConfig(**settings),  # type: ignore[arg-type]
        )
        rows = np.array([[9.0, 0.0, -9.0]]), np.array([0])
        json.dumps([task.metrics(*rows), task.intervals(*rows), task.trust(*rows)], allow_nan=False)
        assert task.answers(rows[0]) == ["a"]
        assert task.decode(rows[0], coverage=0.9)[0].label_set == THREE
