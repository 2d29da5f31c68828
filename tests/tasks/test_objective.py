"""What training minimises: against torch's weighted mean, scikit-learn's weights, scipy's optimum."""

import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from tests.acceptance import house
from whet.api import load_module
from whet.config import TrainConfig, make_config
from whet.errors import ConfigError
from whet.tasks.classification import Classification
from whet.tasks.objective import Objective, balanced, make_objective
from whet.text.store import store_of
from whet.training.gradient import Examples, accumulate

WEIGHTS = (0.5, 3.0, 1.25, 0.7, 2.0)
LABELS = ("a", "b", "c", "d", "e")
CASES = [(None, 0.0), (WEIGHTS, 0.0), (None, 0.1), (WEIGHTS, 0.1)]


def drawn(n: int = 13) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, 5) float64 and targets (n,) of which not all labels are one."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(n, 5, dtype=torch.float64, generator=generator)
    return logits, torch.randint(5, (n,), generator=generator)


@pytest.mark.parametrize(("weights", "smoothing"), CASES)
def test_pieces_add_up_to_torch_s_weighted_mean(weights: Any, smoothing: float) -> None:
    logits, targets = drawn()
    task = Classification(LABELS, objective=Objective(weights, 0.0, smoothing))
    whole = task.weight(targets)
    pieces = [
        task.losses(logits[a:b], targets[a:b]).sum() / whole for a, b in [(0, 2), (2, 3), (3, 10), (10, 13)]
    ]
    wanted = F.cross_entropy(
        logits,
        targets,
        None if weights is None else torch.tensor(weights, dtype=torch.float64),
        label_smoothing=smoothing,
    )
    assert float(sum(pieces)) == pytest.approx(float(wanted), abs=1e-14)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_loss_is_its_formula(weights: Any, gamma: float) -> None:
    logits, targets = drawn()
    chances = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    p = chances[np.arange(13), targets.numpy()]
    own = np.ones(13) if weights is None else np.array(weights)[targets.numpy()]
    found = Objective(weights, gamma).losses(logits, targets)
    assert found.numpy() == pytest.approx(-own * (1 - p) ** gamma * np.log(p), abs=1e-14)
    moving = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: Objective(weights, gamma).losses(x, targets), moving)


def test_a_text_that_is_certain_has_a_slope_of_zero() -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    Objective(None, 0.5).losses(logits, torch.tensor([0, 0])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0]]


def test_balanced_is_scikit_learn_s() -> None:
    targets = np.array([0] * 17 + [1] * 3 + [2] * 5)
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    assert balanced(np.bincount(targets)) == pytest.approx(wanted, abs=1e-15)
    with_one_absent = balanced(np.bincount(targets, minlength=4))
    assert with_one_absent == pytest.approx([*wanted, 1.0], abs=1e-15)


def test_a_run_s_objective_follows_its_settings() -> None:
    targets = np.array([0, 0, 0, 1])
    assert make_objective(TrainConfig(), targets, 2) == Objective()
    config = TrainConfig(class_weights="balanced", focal_gamma=2.0)
    assert make_objective(config, targets, 3) == Objective((4 / 6, 4 / 2, 1.0), 2.0)
    assert make_objective(TrainConfig(label_smoothing=0.1), targets, 2) == Objective(None, 0.0, 0.1)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"focal_gamma=2 with label_smoothing=0.1.*Set one of them to 0"):
        make_config({"focal_gamma": 2.0, "label_smoothing": 0.1})
    with pytest.raises(ConfigError, match=r"class_weights=balance: must be none, balanced.*'balanced'"):
        make_config({"class_weights": "balance"})
    with pytest.raises(ConfigError, match="label_smoothing=1"):
        make_config({"label_smoothing": 1.0})


@pytest.mark.parametrize(
    "objective",
    [
        Objective(),
        Objective(WEIGHTS),
        Objective(None, 0.0, 0.1),
        Objective(WEIGHTS, 0.0, 0.1),
        Objective(None, 2.0),
    ],
)
def test_guessing_is_the_best_answer_that_is_always_the_same(objective: Objective) -> None:
    """scipy looks for it among constant logits, with the losses of texts one by one."""
    counts = np.array([41, 7, 3, 2, 5])
    targets = torch.from_numpy(np.repeat(np.arange(5), counts))

    def mean(logits: np.ndarray) -> float:
        same = torch.from_numpy(logits).expand(len(targets), 5)
        return float(objective.losses(same, targets).sum()) / objective.weight(targets)

    best = scipy.optimize.minimize(mean, np.log(counts / counts.sum()), tol=1e-12)
    assert objective.of_guessing(counts) == pytest.approx(best.fun, abs=1e-7)


def test_guessing_in_closed_form() -> None:
    counts = np.array([90, 10, 0])
    plain = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert Objective().of_guessing(counts) == pytest.approx(plain, abs=1e-12)
    weighted = Objective(balanced(counts))
    assert weighted.of_guessing(counts) == pytest.approx(math.log(2), abs=1e-12)
    even = np.array([5, 5])
    assert Objective(None, 2.0).of_guessing(even) == pytest.approx(0.25 * math.log(2), abs=1e-12)


@pytest.mark.parametrize("objective", [Objective(WEIGHTS[:3], 0.0, 0.1), Objective(WEIGHTS[:3], 2.0)])
def test_a_step_of_the_loop(tmp_path: Any, objective: Objective) -> None:
    """The gradient of a step in several pieces is that of the whole; a module of one's own stays plain."""
    checkpoint = house.make_checkpoint(
        tmp_path / "tiny", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    names = tuple(house.CLASSES)
    texts, labels = house.sentences(11)
    module = load_module(checkpoint, labels=names).double()
    targets = torch.tensor([names.index(label) for label in labels])
    plain = module(texts, labels)
    assert plain.loss is not None
    assert float(plain.loss.detach()) == pytest.approx(
        float(F.cross_entropy(plain.logits.detach(), targets)), abs=1e-12
    )

    module.task = Classification(names, objective=objective)
    whole = objective.losses(plain.logits, targets).sum() / objective.weight(targets)
    whole.backward()
    wanted = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    store = store_of([(text,) for text in texts], module.encoding)
    config = TrainConfig(tokens_per_pass=40)
    losses = accumulate(module, Examples(store, targets.numpy()), np.arange(11), 1, config, "float64")
    assert float(torch.cat(losses).sum()) == pytest.approx(float(whole.detach()), abs=1e-12)
    for name, p in module.named_parameters():
        if name in wanted:
            assert p.grad is not None
            assert torch.allclose(p.grad, wanted[name], rtol=0, atol=1e-12), name


def test_it_is_not_saved() -> None:
    task = Classification(("a", "b"), objective=Objective((1.0, 2.0)))
    saved = json.loads(json.dumps(task.to_json()))
    assert Classification.from_json(saved) == Classification(("a", "b"))
