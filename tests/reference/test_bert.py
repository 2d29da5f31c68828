"""Attention kernels, the training loop and the pooled vector against transformers' BERT in float64.

Wide weights, so that no bug can hide; what holds for every family is in test_families.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from whet.checkpoints.families import family_named
from whet.checkpoints.loading import open_checkpoint
from whet.config import TrainConfig
from whet.encoder.attention import FastAttention, Kernel, PlainAttention
from whet.encoder.packing import PackedBatch, pack
from whet.model import TextModel
from whet.tasks.classification import Classification
from whet.text.batches import plan_epoch
from whet.text.encoding import Encoded
from whet.text.rules import TextRules
from whet.text.store import store_of
from whet.training.events import Event, StepDone
from whet.training.gradient import Examples, accumulate
from whet.training.loop import NonFiniteLoss, fit, plan, train_step
from whet.training.state import TrainingState

transformers = pytest.importorskip("transformers")

N_LABELS = 5
LENGTHS = [1, 2, 3, 3, 17, 64, 129, 300, 512, 17, 3]  # 1 to 512, some equal, in no order


@pytest.fixture(scope="module")
def theirs() -> Iterator[torch.nn.Module]:
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=101,
        hidden_size=44,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=53,
        max_position_embeddings=512,
        type_vocab_size=2,
        initializer_range=0.3,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
        num_labels=N_LABELS,
    )
    model = transformers.BertForSequenceClassification(config)
    for name, parameter in model.named_parameters():  # LayerNorm and biases too
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=1.0 if "LayerNorm.weight" in name else 0.0, std=0.3)
    return model.double().eval()


FAST = FastAttention()


def ours_from(theirs: torch.nn.Module, kernel: Kernel = FAST) -> TextModel:
    family = family_named("bert")
    config = theirs.config.to_dict()
    spec = family.spec(config)
    foreign = {name.removeprefix("bert."): tensor for name, tensor in theirs.state_dict().items()}
    encoder = family.encoder(spec, config).double()
    encoder.load_state_dict(family.encoder_names(spec, config).load(foreign))
    for layer in encoder.layers:
        layer.attention.kernel = kernel
    head = family.heads["text"].build(spec, config, N_LABELS).double()
    head.load_state_dict(family.heads["text"].names.load(foreign))
    task = Classification(tuple("abcde"))
    return TextModel(encoder, head, task, None, TextRules(512), config).eval()  # type: ignore[arg-type]


def make_pairs(seed: int, lengths: list[int] = LENGTHS) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token ids and type ids; every second sequence is a pair."""
    random = np.random.default_rng(seed)
    ids = [random.integers(1, 101, n) for n in lengths]
    types = [(np.arange(n) >= n // 2).astype(np.int64) * (i % 2) for i, n in enumerate(lengths)]
    return ids, types


def padded(ids: list[np.ndarray], types: list[np.ndarray]) -> dict[str, Tensor]:
    n, longest = len(ids), max(map(len, ids))
    batch = {
        name: torch.zeros(n, longest, dtype=torch.long)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    for i in range(n):
        batch["input_ids"][i, : len(ids[i])] = torch.from_numpy(ids[i])
        batch["token_type_ids"][i, : len(ids[i])] = torch.from_numpy(types[i])
        batch["attention_mask"][i, : len(ids[i])] = 1
    return batch


def largest_difference(theirs: torch.nn.Module, ours: TextModel, seed: int = 3) -> float:
    """Over every hidden state of every token, the pooled vectors and the logits."""
    ids, types = make_pairs(seed)
    inputs, batch = padded(ids, types), pack(ids, types)
    with torch.no_grad():
        expected = theirs.bert(**inputs, output_hidden_states=True)
        logits = theirs(**inputs).logits
        hidden = ours.encoder.embeddings(batch)
        states = [hidden]
        for layer in ours.encoder.layers:
            states.append(layer(states[-1], batch, None))
        encoded = ours.encoder(batch)
        differences = [
            (mine - state[i, : len(mine)]).abs().max()
            for own, state in zip(states, expected.hidden_states, strict=True)
            for i, mine in enumerate(batch.unpack(own))
        ]
        assert encoded.pooled is not None
        differences.append((encoded.pooled - expected.pooler_output).abs().max())
        differences.append((ours.logits(batch) - logits).abs().max())
    return float(max(differences))


@pytest.mark.parametrize("kernel", [FAST, PlainAttention()])
def test_hidden_states_pooled_and_logits_equal_transformers(theirs: torch.nn.Module, kernel: Kernel) -> None:
    assert largest_difference(theirs, ours_from(theirs, kernel)) < 1e-10


class Spoilt(Kernel):
    """Right but for what is done to queries, keys and values, or to the pack, before."""

    def __init__(self, spoil_qkv: Any = None, spoil_kv: Any = None, spoil_batch: Any = None) -> None:
        self.qkv, self.kv, self.batch = spoil_qkv, spoil_kv, spoil_batch

    def __call__(self, qkv: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        batch = self.batch(batch, len(qkv)) if self.batch else batch
        return FAST(self.qkv(qkv) if self.qkv else qkv, batch, places)

    def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        return FAST.first_tokens(q, self.kv(kv) if self.kv else kv, batch, places)


BUGS = {
    "swapped query and key": Spoilt(lambda qkv: qkv[:, [1, 0, 2]]),
    "no scaling": Spoilt(lambda qkv: qkv * qkv.new_tensor([qkv.shape[3] ** 0.5, 1, 1])[None, :, None, None]),
    "texts see each other": Spoilt(
        spoil_batch=lambda batch, n: replace(batch, runs=(type(batch.runs[0])(1, n),))
    ),
    "swapped key and value in the last layer, which has a path of its own": Spoilt(
        spoil_kv=lambda kv: kv[:, [1, 0]]
    ),
}


@pytest.mark.parametrize("bug", list(BUGS))
def test_planted_attention_bugs_are_seen(theirs: torch.nn.Module, bug: str) -> None:
    assert largest_difference(theirs, ours_from(theirs, BUGS[bug])) > 1e-3


def test_planted_name_bug_is_seen(theirs: torch.nn.Module) -> None:
    ours = ours_from(theirs)
    state = ours.encoder.state_dict()
    first, second = "layers.0.attention_norm.weight", "layers.0.output_norm.weight"
    ours.encoder.load_state_dict({**state, first: state[second], second: state[first]})
    assert largest_difference(theirs, ours) > 1e-3


def test_gradients_equal_transformers(theirs: torch.nn.Module) -> None:
    ids, types = make_pairs(5)
    labels = torch.tensor([i % N_LABELS for i in range(len(ids))])
    ours = ours_from(theirs)
    theirs.zero_grad()
    theirs(**padded(ids, types), labels=labels).loss.backward()
    (ours.task.losses(ours.logits(pack(ids, types)), labels).sum() / len(ids)).backward()
    assert worst_by_name(theirs, ours, gradients=True) < 1e-10
    theirs.zero_grad()


def worst_by_name(theirs: torch.nn.Module, ours: TextModel, gradients: bool = False) -> float:
    """Compared under transformers' names, so the name table is part of what is tested."""

    def named(module: torch.nn.Module) -> dict[str, Tensor]:
        return {name: p.grad if gradients else p.detach() for name, p in module.named_parameters()}  # type: ignore[misc]

    family = family_named("bert")
    table = family.encoder_names(ours.encoder.spec, ours.config)
    mine = {"bert." + name: value for name, value in table.save(named(ours.encoder)).items()}
    mine |= family.heads["text"].names.save(named(ours.head))
    expected = named(theirs)
    assert mine.keys() == expected.keys()
    return max(float((mine[name] - expected[name]).abs().max()) for name in expected)


class FixedTokens:
    """Stands for a tokeniser: texts are their own token ids."""

    def __init__(self, ids: list[np.ndarray], types: list[np.ndarray]) -> None:
        self.ids, self.types = ids, types

    def __call__(self, rows: list[tuple[str, ...]]) -> Encoded:
        ids, types = ([part[int(row[0])] for row in rows] for part in (self.ids, self.types))
        lengths = np.array([len(row) for row in ids])
        return Encoded(
            np.concatenate(ids).astype(np.int32),
            np.concatenate(types).astype(np.uint8),
            *(lengths, lengths, lengths),
        )


def make_examples(n: int, seed: int = 11) -> Examples:
    random = np.random.default_rng(seed)
    tokens = FixedTokens(*make_pairs(seed, random.integers(3, 40, n).tolist()))
    store = store_of([(str(i),) for i in range(n)], tokens)
    return Examples(store.ensure(), random.integers(0, N_LABELS, n))


@pytest.mark.parametrize("tokens_per_pass", [100_000, 70])
def test_five_training_steps_equal_a_plain_transformers_loop(
    theirs: torch.nn.Module, tokens_per_pass: int
) -> None:
    """Losses and all weights at 1e-9: AdamW, decay, warm-up, clipping, a head rate of its own."""
    import copy

    config = TrainConfig(
        epochs=1, min_steps=0, batch_size=7, dropout=0.0, learning_rate=1e-3, head_learning_rate=5e-3,
        weight_decay=0.1, clip_norm=0.5, warmup=0.4, tokens_per_pass=tokens_per_pass, device="cpu",
    )  # fmt: skip
    examples = make_examples(35)
    ours = ours_from(theirs)
    for module in ours.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    new = frozenset({"head.classifier.weight", "head.classifier.bias"})
    events: list[StepDone] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepDone):
            events.append(event)

    state = TrainingState(ours, new, config, plan(len(examples.store), config))
    fit(state, examples, None, config, "float64", listen, lambda: None)

    reference = copy.deepcopy(theirs).train()
    for module in reference.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    groups = []
    for head in (False, True):
        for decayed in (False, True):
            chosen = [
                p for name, p in reference.named_parameters()
                if name.startswith("classifier") == head
                and (not name.endswith("bias") and "LayerNorm" not in name) == decayed
            ]  # fmt: skip
            groups.append(
                {"params": chosen, "lr": 5e-3 if head else 1e-3, "weight_decay": 0.1 if decayed else 0.0}
            )
    optimizer = torch.optim.AdamW(groups)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 2, 5)
    losses = []
    for texts in plan_epoch(examples.store, 7, config.seed, 1):
        ids, types, *_ = examples.store.sequences(texts)
        inputs = padded([row.astype(np.int64) for row in ids], [row.astype(np.int64) for row in types])
        loss = reference(**inputs, labels=torch.from_numpy(examples.targets[texts])).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    assert len(events) == 5
    assert [event.loss for event in events] == pytest.approx(losses, abs=1e-9)
    assert worst_by_name(reference, ours) < 1e-9
    assert worst_by_name(theirs, ours) > 1e-3  # it did train


def total(losses: list[Tensor]) -> float:
    return float(torch.cat(losses).sum())


@pytest.mark.parametrize("tokens_per_pass", [20, 70, 333])
def test_cutting_a_step_changes_nothing_dropout_on(theirs: torch.nn.Module, tokens_per_pass: int) -> None:
    examples = make_examples(23)
    texts = np.arange(23)
    gradients = []
    for budget in (100_000, tokens_per_pass):
        ours = ours_from(theirs).train()
        config = TrainConfig(tokens_per_pass=budget)
        loss = total(accumulate(ours, examples, texts, 4, config, "float64"))
        gradients.append((loss, {name: p.grad for name, p in ours.named_parameters()}))
    (whole, expected), (cut, found) = gradients
    assert cut == pytest.approx(whole, abs=1e-12)
    assert max(float((expected[name] - found[name]).abs().max()) for name in expected) < 1e-12
    ours = ours_from(theirs).train()
    another = total(accumulate(ours, examples, texts, 5, TrainConfig(), "float64"))
    assert abs(another - whole) > 1e-6  # dropout was on: another step drops other units


@pytest.mark.parametrize("tokens_per_pass", [100_000, 70])
def test_a_loss_that_is_not_finite_names_its_texts_and_moves_nothing(
    theirs: torch.nn.Module, tokens_per_pass: int
) -> None:
    examples, ours = make_examples(14), ours_from(theirs)
    config = TrainConfig(batch_size=14, tokens_per_pass=tokens_per_pass, warmup=0.0, learning_rate=5e-5)
    word = int(examples.store.sequences(np.array([5])).ids[0][0])
    ours.encoder.embeddings.parts["words"].table.weight.data[word, 0] = float("nan")
    having = [i for i in range(14) if word in examples.store.sequences(np.array([i])).ids[0]]
    state = TrainingState(ours, frozenset(), config, plan(14, config))
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(NonFiniteLoss) as raised:
        train_step(state, examples, np.arange(14), 1, config, "float64")
    assert raised.value.texts == having
    assert len(having) < 14
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor.nan_to_num(7.0), before[name].nan_to_num(7.0)), name


def test_a_folder_saved_by_transformers_opens_here(theirs: torch.nn.Module, tmp_path: Path) -> None:
    theirs.float().save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.labels == tuple(f"LABEL_{i}" for i in range(N_LABELS))
    assert checkpoint.state("text").keys() == ours_from(theirs).state_dict().keys()
    theirs.double()
