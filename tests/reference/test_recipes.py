"""What trains when, and how fast, against a plain transformers loop in float64, written by hand."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.reference.test_bert import make_examples, ours_from, padded, theirs, worst_by_name  # noqa: F401
from whet.config import TrainConfig, make_config
from whet.model import TextModel
from whet.text.batches import plan_epoch
from whet.training.groups import beginnings
from whet.training.loop import fit, plan
from whet.training.state import TrainingState, groups_of

transformers = pytest.importorskip("transformers")

N_TEXTS, BATCH, LAYERS = 28, 7, 3
NEW = frozenset({"head.classifier.weight", "head.classifier.bias"})
BASE: dict[str, Any] = {
    "batch_size": BATCH, "min_steps": 0, "dropout": 0.0, "learning_rate": 1e-3, "head_learning_rate": 5e-3,
    "weight_decay": 0.1, "clip_norm": 0.5, "warmup": 0.25, "device": "cpu",
}  # fmt: skip

First = Callable[[str], int | None]  # transformers' name of a parameter -> first epoch that trains it


def depth(name: str) -> int:
    """0: embeddings, 1 to 3: layers, 4: pooler, 5: classifier."""
    if ".layer." in name:
        return 1 + int(name.split(".layer.")[1].split(".")[0])
    return 0 if "embeddings" in name else 4 if "pooler" in name else 5


def never_below(lowest: int) -> First:
    return lambda name: 1 if depth(name) >= lowest else None


def gradually(name: str) -> int:
    return {0: 5, 1: 5, 2: 4, 3: 3, 4: 3, 5: 1}[depth(name)]


WAYS: dict[str, tuple[dict[str, Any], First, Callable[[str], float], Callable[[str], float]]] = {
    "head only": ({"frozen": "encoder", "epochs": 2}, never_below(5), lambda n: 1.0, lambda n: 0.1),
    "embeddings frozen": (
        {"frozen": "embeddings", "epochs": 2},
        never_below(1),
        lambda n: 1.0,
        lambda n: 0.1,
    ),
    "two layers frozen": ({"frozen_layers": 2, "epochs": 2}, never_below(3), lambda n: 1.0, lambda n: 0.1),
    "layer decay": (
        {"layer_decay": 0.5, "epochs": 2},
        never_below(0),
        lambda name: 0.5 ** max(0, LAYERS - depth(name)),
        lambda name: 0.1,
    ),
    "head, then all": (
        {"frozen": "encoder", "unfreeze_at": 1, "epochs": 3},
        lambda name: 1 if depth(name) == 5 else 2,
        lambda name: 1.0,
        lambda name: 0.1,
    ),
    "head by the size of what it reads, then all": (
        {"frozen": "encoder", "unfreeze_at": 1, "epochs": 3, "probe_step": 0.3},
        lambda name: 1 if depth(name) == 5 else 2,
        lambda name: 1.0,
        lambda name: 0.1,
    ),
    "gradual": (
        {"frozen": "encoder", "unfreeze_at": 2, "unfreeze_groups": 3, "epochs": 6, "layer_decay": 0.8},
        gradually,
        lambda name: 0.8 ** max(0, LAYERS - depth(name)),
        lambda name: 0.1,
    ),
    "by names": (
        {
            "groups": "encoder.layers.1.*:rate=0;encoder.layers.*.up.weight:rate=2e-3,decay=0.3",
            "epochs": 2,
        },
        lambda name: None if ".layer.1." in name else 1,
        lambda name: 2.0 if name.endswith("intermediate.dense.weight") else 1.0,
        lambda name: 0.3 if name.endswith("intermediate.dense.weight") else 0.1,
    ),
}


def without_dropout(module: torch.nn.Module) -> torch.nn.Module:
    for part in module.modules():
        if hasattr(part, "p"):
            part.p = 0.0
    return module


def trained_by_us(ours: TextModel, config: TrainConfig) -> TextModel:
    examples = make_examples(N_TEXTS)
    stages = beginnings(groups_of(ours, NEW, config))
    state = TrainingState(ours, NEW, config, plan(N_TEXTS, config, stages))
    fit(state, examples, None, config, "float64", lambda event: None, lambda: None)
    state.write_back()
    for name, parameter in ours.named_parameters():
        assert parameter.requires_grad == (name in state.trained and name not in state.used), name
        if not any(name in group.names for group in state.groups if group.first_epoch):
            assert parameter not in state.optimizer.state
    return ours


def trained_by_hand(model: torch.nn.Module, config: TrainConfig, way: str) -> torch.nn.Module:
    _, first, factor, decay = WAYS[way]
    reference: Any = without_dropout(copy.deepcopy(model).train())
    groups = []
    for name, parameter in reference.named_parameters():
        vector = name.endswith("bias") or "LayerNorm" in name
        rate = 5e-3 if name.startswith("classifier") else 1e-3 * factor(name)
        groups.append({"params": [parameter], "lr": rate, "weight_decay": 0.0 if vector else decay(name)})
    optimizer = torch.optim.AdamW(groups)
    per_epoch = N_TEXTS // BATCH
    assert config.epochs is not None
    n_steps = per_epoch * config.epochs
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, n_steps // 4, n_steps)
    examples = make_examples(N_TEXTS)
    scale = 1.0
    for epoch in range(1, config.epochs + 1):
        for number, texts in enumerate(plan_epoch(examples.store, BATCH, config.seed, epoch)):
            ids, types, *_ = examples.store.sequences(texts)
            inputs = padded([row.astype("int64") for row in ids], [row.astype("int64") for row in types])
            if config.probe_step is not None and number == 0:
                with torch.no_grad():
                    read = reference.bert(**inputs).pooler_output
                scale = config.probe_step / read.abs().sum(1).mean().item() / 5e-3 if epoch == 1 else 1.0
            reference(**inputs, labels=torch.from_numpy(examples.targets[texts])).loss.backward()
            for name, parameter in reference.named_parameters():
                begins = first(name)
                if begins is None or epoch < begins:
                    parameter.grad = None
            torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
            for group in optimizer.param_groups:
                group["lr"] *= scale
            optimizer.step()
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] /= scale
            schedule.step()
    return reference  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", list(WAYS))
def test_training_is_that_of_a_plain_loop(theirs: torch.nn.Module, way: str) -> None:  # noqa: F811
    """All weights at 1e-9. Proof that it can fail: with `_highest_frozen` or `first_epoch` one too high, or
    with the sizes of `probe_factor` summed over a first text alone."""
    config = make_config({**BASE, **WAYS[way][0]})
    ours = trained_by_us(without_dropout(ours_from(theirs)), config)  # type: ignore[arg-type]
    reference = trained_by_hand(theirs, config, way)
    assert worst_by_name(reference, ours) < 1e-9
    assert worst_by_name(theirs, ours) > 1e-3  # it did train
