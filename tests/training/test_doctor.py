"""The doctor names planted failures and is silent about a sound run."""

import json
import math
from typing import Any

import numpy as np
import pytest

from whet.config import TrainConfig
from whet.tasks.classification import Classification
from whet.tasks.multilabel import Multilabel
from whet.tasks.objective import PLAIN, Objective
from whet.training.doctor import Collapsed, Doctor
from whet.training.events import Evaluated, StepDone, TrainingStarted

N_STEPS = 200
CHANCE = math.log(3)  # three even labels
SOUND = [[20, 1, 2], [1, 21, 0], [2, 0, 19]]
THRASHED = [*np.full(50, 1.2 * CHANCE), *np.full(50, CHANCE)]  # losses of 100 steps
ONE_LABEL = [[23, 0, 0], [22, 0, 0], [21, 0, 0]]


def doctor(may_restart: bool = True, objective: Objective = PLAIN, **settings: Any) -> Doctor:
    targets = np.arange(300) % 3
    task = Classification(("a", "b", "c"), objective=objective)
    return Doctor(targets, task, TrainConfig(**{"learning_rate": 5e-5} | settings), may_restart)


def steps(patient: Doctor, losses: Any, start: int = 1) -> list[str]:
    given = []
    for step, loss in enumerate(losses, start):
        event = StepDone(step, 1, float(loss), 1.0, 5e-5, 1e-3, 32, 100, 1.0)
        given += [warning.sign for warning in patient(event)]
    return given


def look(patient: Doctor, step: int, nll: float, confusion: Any, epoch: int = 1) -> list[str]:
    metrics = {"nll": nll, "confusion": confusion}
    return [warning.sign for warning in patient(Evaluated(step, epoch, metrics, {}, True, 1.0))]


def begin(patient: Doctor) -> Doctor:
    assert patient(TrainingStarted(N_STEPS, 2, 3200)) == []
    return patient


def test_a_sound_run_is_left_in_peace() -> None:
    random = np.random.default_rng(0)
    falling = CHANCE * np.exp(-np.arange(N_STEPS) / 60) + random.normal(0, 0.15, N_STEPS)
    patient = begin(doctor())
    assert steps(patient, falling[:100]) == []
    assert look(patient, 100, 0.5, SOUND) == []
    assert steps(patient, falling[100:], 101) == []
    assert look(patient, 200, 0.4, SOUND, 2) == []


def test_while_the_head_alone_learns_little_is_expected() -> None:
    """As long as the whole run above, and as flat; then a sound run. Steps count from behind it."""
    patient = doctor()
    assert patient(TrainingStarted(3 * N_STEPS, 6, 3200, n_head_steps=2 * N_STEPS)) == []
    assert steps(patient, np.full(2 * N_STEPS, CHANCE)) == []
    assert look(patient, 2 * N_STEPS, CHANCE, ONE_LABEL, 2) == []
    flat = steps(patient, np.full(N_STEPS, CHANCE), 2 * N_STEPS + 1)
    assert flat == ["no learning"]


def test_slow_but_falling_is_no_failure() -> None:
    assert steps(begin(doctor()), np.linspace(CHANCE, 0.9 * CHANCE, N_STEPS)) == []


def test_divergence() -> None:
    losses = [*np.linspace(CHANCE, 0.6, 60), *np.linspace(0.6, 6, 40)]
    assert "divergence" in steps(begin(doctor()), losses)


def test_a_rate_far_too_high() -> None:
    assert steps(begin(doctor(learning_rate=1e-2)), np.full(60, 1.5 * CHANCE)) == ["rate too high"]


def test_nothing_learnt_and_a_rate_too_low() -> None:
    flat = np.full(N_STEPS, CHANCE)
    assert steps(begin(doctor()), flat) == ["no learning"]
    assert steps(begin(doctor(learning_rate=1e-7)), flat) == ["rate too low"]


def test_collapse_asks_for_one_restart() -> None:
    patient = begin(doctor())
    steps(patient, THRASHED)
    with pytest.raises(Collapsed, match=r"step 100: every dev text is given the label 'a'.*collapsed"):
        look(patient, 100, CHANCE, ONE_LABEL)
    second = begin(doctor(may_restart=False))
    steps(second, THRASHED)
    assert look(second, 100, CHANCE, ONE_LABEL) == ["collapse"]


@pytest.mark.parametrize("at", [10, 60, 90, 100])
def test_a_sitting_that_goes_on_finds_what_the_one_before_saw(at: int) -> None:
    """A collapse is seen from losses of long ago. Proof that it can fail: a new doctor sees none."""
    first = begin(doctor())
    steps(first, THRASHED[:at])
    second = begin(doctor())
    second.see(json.loads(json.dumps(first.to_json(), allow_nan=False)))
    steps(second, THRASHED[at:], at + 1)
    with pytest.raises(Collapsed):
        look(second, 100, CHANCE, ONE_LABEL)
    unaware = begin(doctor())
    steps(unaware, THRASHED[at:], at + 1)
    if at >= 60:
        look(unaware, 100, CHANCE, ONE_LABEL)  # and nothing is raised


def test_a_sign_is_given_once_over_all_sittings() -> None:
    first = begin(doctor())
    rising = np.linspace(CHANCE, 4 * CHANCE, 60)
    assert steps(first, rising) == ["rate too high", "divergence"]
    second = begin(doctor())
    second.see(first.to_json())
    assert steps(second, [4.5 * CHANCE] * 20, 61) == []


def test_a_gradient_that_fades_is_a_collapse() -> None:
    patient = begin(doctor())
    for step in range(1, 101):
        norm = 1.0 if step < 40 else 0.01
        patient(StepDone(step, 1, CHANCE, norm, 5e-5, 1e-3, 32, 100, 1.0))
    with pytest.raises(Collapsed):
        look(patient, 100, CHANCE, ONE_LABEL)


def test_a_slow_start_is_no_collapse() -> None:
    """Half the rate would make it worse."""
    patient = begin(doctor())
    steps(patient, np.full(100, CHANCE))
    assert look(patient, 100, CHANCE, ONE_LABEL) == ["one label"]


@pytest.mark.parametrize(
    ("step", "nll", "confusion", "train"),
    [
        (60, CHANCE, ONE_LABEL, CHANCE),  # early in the run
        (100, CHANCE, SOUND, CHANCE),  # several labels are given
        (100, CHANCE, [[5, 0, 0], [5, 0, 0], [5, 0, 0]], CHANCE),  # few rows
    ],
)
def test_what_is_no_collapse(step: int, nll: float, confusion: Any, train: float) -> None:
    patient = begin(doctor())
    steps(patient, np.full(step, train))
    assert look(patient, step, nll, confusion) == []


def test_one_label_that_is_likely_is_said_and_goes_on() -> None:
    patient = begin(doctor())
    steps(patient, np.full(100, 0.5 * CHANCE))
    assert look(patient, 100, 0.5 * CHANCE, ONE_LABEL) == ["one label"]


def test_a_run_too_short_to_judge_says_so_at_its_end() -> None:
    patient = doctor()
    patient(TrainingStarted(10, 2, 300))
    steps(patient, np.full(5, CHANCE))
    assert look(patient, 5, CHANCE, ONE_LABEL) == []
    assert look(patient, 10, CHANCE, ONE_LABEL, 2) == ["one label"]


def test_overfitting() -> None:
    patient = begin(doctor())
    steps(patient, np.full(50, 0.1))
    assert look(patient, 50, 0.4, SOUND, 1) == []
    assert look(patient, 100, 0.45, SOUND, 2) == []
    assert look(patient, 150, 0.7, SOUND, 3) == ["overfitting"]
    assert look(patient, 200, 0.8, SOUND, 4) == []  # once is enough


@pytest.mark.parametrize(
    ("objective", "guessing"),
    [(Objective(None, 2.0), 4 / 9 * CHANCE), (Objective((3.0, 1.0, 0.5)), 0.8487), (PLAIN, CHANCE)],
)
def test_guessing_costs_what_the_objective_makes_of_it(objective: Objective, guessing: float) -> None:
    """Weights of 3, 1 and 0.5 make shares of 2/3, 2/9 and 1/9, whose entropy is 0.8487."""
    flat = np.full(N_STEPS, guessing)
    assert steps(begin(doctor(objective=objective)), flat) == ["no learning"]
    assert steps(begin(doctor(objective=objective)), np.linspace(guessing, 0.9 * guessing, N_STEPS)) == []


def test_a_small_focal_loss_is_no_overfitting_by_itself() -> None:
    """A training loss of 0.2 is as much of guessing's as 0.45 is of the plain one's."""
    for objective, signs in ((PLAIN, ["overfitting"]), (Objective(None, 2.0), [])):
        patient = begin(doctor(objective=objective))
        steps(patient, np.full(50, 0.2))
        assert look(patient, 50, 0.4, SOUND, 1) == []
        assert look(patient, 150, 0.7, SOUND, 3) == signs


def test_rare_labels_that_come_together_are_not_a_rate_too_high() -> None:
    """Ten to one: the mean of 12 steps of 16 texts moves by 0.05 nats by luck alone. What is
    beyond luck is named."""
    targets = np.array([0] * 400 + [1] * 40)
    config = TrainConfig(batch_size=16, learning_rate=5e-5)
    skewed = Doctor(targets, Classification(("fine", "complaint")), config, may_restart=True)
    chance = float(-(np.array([400, 40]) / 440 * np.log(np.array([400, 40]) / 440)).sum())
    lucky = np.concatenate([np.full(26, chance), np.full(12, 1.35 * chance)])
    assert steps(begin(skewed), lucky) == []
    broken = np.concatenate([np.full(26, chance), np.full(12, 2.5 * chance)])
    assert steps(begin(Doctor(targets, Classification(("a", "b")), config, may_restart=True)), broken) != []


def test_labels_that_are_given_to_every_text() -> None:
    def rows(*given: int) -> dict[str, Any]:
        per_class = [
            {"label": name, "support": support, "predicted": predicted}
            for name, support, predicted in zip("abc", (70, 8, 5), given, strict=True)
        ]
        return {"bce": 0.3, "n": 100, "subset_accuracy": 0.0, "per_class": per_class}

    def told(step: int, *given: int) -> list[str]:
        targets = (np.arange(30).reshape(10, 3) % 4 == 0).astype(np.int8)
        patient = Doctor(targets, Multilabel(("a", "b", "c")), TrainConfig(learning_rate=5e-5), True)
        begin(patient)
        return [found.text for found in patient(Evaluated(step, 1, rows(*given), {}, True, 1.0))]

    assert told(N_STEPS, 100, 20, 0) == [], "a frequent label may be given always"
    assert told(N_STEPS // 2, 100, 95, 95) == [], "there is time to learn it"
    (text,) = told(N_STEPS, 100, 95, 3)
    assert text.startswith("1 of 3 labels are given to nearly every dev text (b)")
