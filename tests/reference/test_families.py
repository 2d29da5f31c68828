"""Every packed family against transformers' own modules in float64, with wide weights so that no bug hides.

A family has its file in whet/checkpoints/families/ and its entry in tests/reference/entries/; all else here
is the same for all.
"""

import contextlib
import copy
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.acceptance import house
from tests.reference.entries import Entry, entry_of
from whet.artifact import load_model, save_model
from whet.checkpoints.families import MODEL_TYPES, family_named
from whet.checkpoints.families.base import Family
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head
from whet.encoder.network import Encoder
from whet.encoder.packing import PackedBatch, pack
from whet.model import TextModel
from whet.tasks import TASKS
from whet.tasks.base import Task
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser

transformers = pytest.importorskip("transformers")

N_LABELS = 5
LAYOUTS = {"text": "classification", "token": "token-classification", "span": "question-answering"}


@dataclass
class Pair:
    """One head of one family: transformers' module and ours, with the same weights."""

    family: Family
    entry: Entry
    layout: str
    theirs: torch.nn.Module
    encoder: Encoder
    head: Head
    table: NameTable  # of "encoder." and "head." to transformers' names

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.theirs.config.to_dict()
        return found

    def named(self) -> dict[str, torch.nn.Parameter]:
        modules = {"encoder": self.encoder, "head": self.head}
        return {
            f"{place}.{name}": parameter
            for place, module in modules.items()
            for name, parameter in module.named_parameters()
        }


def make_pair(model_type: str, layout: str, variant: str = "") -> Pair:
    family, entry = family_named(model_type), entry_of(model_type)
    if variant:
        entry = replace(entry, config={**entry.config, **entry.variants[variant]})
    head_class = family.heads[layout]
    torch.manual_seed(7)
    settings = {**entry.config, "initializer_range": 0.3}
    config = transformers.AutoConfig.for_model(
        model_type, **settings, num_labels=2 if layout == "span" else N_LABELS
    )
    theirs = getattr(transformers, head_class.architecture)(config)
    for name, parameter in theirs.named_parameters():  # norms and biases too
        if parameter.ndim == 1:
            is_norm = "norm" in name.lower() and name.endswith("weight")
            torch.nn.init.normal_(parameter, mean=1.0 if is_norm else 0.0, std=0.3)
        elif float(parameter.detach().std()) < 0.1:  # some classes have starts of their own
            torch.nn.init.normal_(parameter, std=0.3)
    theirs = theirs.double().eval()
    settings = config.to_dict()
    spec = family.spec(settings)
    encoder = family.encoder(spec, settings).double()
    if not head_class.with_pooler:
        encoder.pooler = None
    head = head_class.build(spec, settings, config.num_labels).double()
    table = family.encoder_names(spec, settings).under("encoder.", family.encoder_prefix)
    table |= head_class.names.under("head.", "")
    ours = table.load(theirs.state_dict())
    for prefix, module in (("encoder.", encoder), ("head.", head)):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in ours.items() if k.startswith(prefix)})
    return Pair(family, entry, layout, theirs, encoder.eval(), head.eval(), table)


CASES = [
    (name, layout, variant)
    for name in MODEL_TYPES
    for layout in family_named(name).heads
    if layout in LAYOUTS
    for variant in ("", *entry_of(name).variants)
]


@pytest.fixture(scope="module", params=CASES, ids=["-".join(filter(None, case)) for case in CASES])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with exact_functions(request.param[0]):
        yield make_pair(*request.param)


@contextlib.contextmanager
def exact_functions(model_type: str) -> Iterator[None]:
    """transformers with the stand-ins of a family's entry."""
    with pytest.MonkeyPatch.context() as patch:
        for place, other in entry_of(model_type).stand_ins.items():
            patch.setattr(place, pkgutil.resolve_name(other))
        yield


def texts(pair: Pair, seed: int, lengths: tuple[int, ...] = ()) -> tuple[dict[str, Tensor], PackedBatch]:
    """The same sequences padded for transformers, and packed; every second one is a pair of texts. Where the
    seed is even the pack has a filler."""
    random = np.random.default_rng(seed)
    lengths = lengths or pair.entry.lengths
    ids = [random.integers(5, pair.entry.config["vocab_size"], n) for n in lengths]
    n_types = pair.family.spec(pair.config).n_types
    types = [
        (np.arange(n) >= n // 2).astype(np.int64) * (i % 2) * (n_types > 1) for i, n in enumerate(lengths)
    ]
    shape = (len(ids), max(lengths))
    pad = pair.config.get("pad_token_id") or 0
    inputs = {
        "input_ids": torch.full(shape, pad),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "token_type_ids": torch.zeros(shape, dtype=torch.long),
    }
    for i, n in enumerate(lengths):
        inputs["input_ids"][i, :n] = torch.from_numpy(ids[i])
        inputs["token_type_ids"][i, :n] = torch.from_numpy(types[i])
        inputs["attention_mask"][i, :n] = 1
    if n_types < 2:
        del inputs["token_type_ids"]
    reads = None if pair.layout == "text" else [np.ones(n, np.bool_) for n in lengths]
    return inputs, pack(ids, types, reads=reads, multiple=32 if seed % 2 == 0 else 1)


def their_logits(pair: Pair, module: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """(n_texts or n_tokens, n_outputs), padding left out."""
    found = module(**inputs)
    if pair.layout == "text":
        logits: Tensor = found.logits
        return logits
    real = inputs["attention_mask"].bool()
    if pair.layout == "span":
        return torch.stack([found.start_logits[real], found.end_logits[real]], dim=-1)
    return found.logits[real]  # type: ignore[no-any-return]


def largest(differences: list[Tensor]) -> float:
    return max(float(one.detach().abs().max()) for one in differences)


def test_hidden_states_equal_transformers(pair: Pair) -> None:
    inputs, batch = texts(pair, 3)
    with torch.no_grad():
        expected = pair.theirs(**inputs, output_hidden_states=True).hidden_states
        places = None if pair.encoder.positions is None else pair.encoder.positions(batch)
        states = [pair.encoder.embeddings(batch)]
        for layer in pair.encoder.sequence:
            states.append(layer(states[-1], batch, places))
        states[-1] = pair.encoder(batch).tokens
        firsts = pair.encoder.first_states(batch)
    assert len(states) == len(expected)
    differences = [
        own - theirs[i, : len(own)]
        for state, theirs in zip(states, expected, strict=True)
        for i, own in enumerate(batch.unpack(state))
    ]
    assert largest([*differences, firsts - expected[-1][:, 0]]) < 1e-10


def test_logits_equal_transformers(pair: Pair) -> None:
    inputs, batch = texts(pair, 4)
    with torch.no_grad():
        difference = pair.head(pair.encoder, batch) - their_logits(pair, pair.theirs, inputs)
    assert largest([difference]) < 1e-10


def gradients_of(pair: Pair, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Of one random linear function of the logits: ours under transformers' names, and theirs."""
    inputs, batch = texts(pair, seed)
    logits = pair.head(pair.encoder, batch)
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed), dtype=logits.dtype)
    for module in (pair.encoder, pair.head, pair.theirs):
        module.zero_grad()
    (logits * direction).sum().backward()
    (their_logits(pair, pair.theirs, inputs) * direction).sum().backward()
    ours = pair.table.save({name: p.grad for name, p in pair.named().items() if p.grad is not None})
    return ours, {name: p.grad for name, p in pair.theirs.named_parameters() if p.grad is not None}


def test_gradients_equal_transformers(pair: Pair) -> None:
    ours, theirs = gradients_of(pair, 5)
    assert ours.keys() == theirs.keys()
    scale = max(1.0, largest(list(theirs.values())))
    assert largest([ours[name] - theirs[name] for name in theirs]) < 1e-10 * scale


def test_five_training_steps_equal_transformers(pair: Pair) -> None:
    pair = copy.deepcopy(pair)
    ours = torch.optim.AdamW(pair.named().values(), lr=1e-3, eps=1e-3, weight_decay=0.1)
    theirs = torch.optim.AdamW(pair.theirs.parameters(), lr=1e-3, eps=1e-3, weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in pair.theirs.named_parameters()}
    for step in range(5):
        gradients_of(pair, 20 + step)
        torch.nn.utils.clip_grad_norm_(pair.named().values(), 0.5)
        torch.nn.utils.clip_grad_norm_(pair.theirs.parameters(), 0.5)
        ours.step()
        theirs.step()
    found = pair.table.save({name: p.detach() for name, p in pair.named().items()})
    expected = {name: p.detach() for name, p in pair.theirs.named_parameters()}
    assert largest([found[name] - expected[name] for name in found]) < 1e-10
    assert largest([before[name] - expected[name] for name in found]) > 1e-3, "it did train"


def test_names_go_both_ways(pair: Pair) -> None:
    """Nothing missing, nothing invented."""
    foreign = {name: parameter.detach() for name, parameter in pair.theirs.named_parameters()}
    there = pair.table.load(foreign)
    assert there.keys() == pair.named().keys()
    back = pair.table.save(there)
    assert back.keys() == foreign.keys()
    assert all(torch.equal(back[name], foreign[name]) for name in foreign)


def test_planted_bugs_are_seen(pair: Pair) -> None:
    """Each of our tensors a little off, and texts that attend to each other."""
    inputs, batch = texts(pair, 6, (2, 3, 11, 31, 11))
    with torch.no_grad():
        expected = their_logits(pair, pair.theirs, inputs)

        def difference(seen: PackedBatch) -> float:
            return largest([pair.head(pair.encoder, seen) - expected])

        assert difference(batch) < 1e-10
        for name, parameter in pair.named().items():
            right = parameter.clone()
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            if name not in pair.entry.idle:
                assert difference(batch) > 1e-6, name
            parameter.copy_(right)
        merged = replace(batch, runs=(type(batch.runs[0])(1, batch.n_tokens),))
        if pair.layout != "text":  # a pooled head looks for as many texts as there are runs
            assert difference(merged) > 1e-3


@pytest.fixture(scope="module")
def tokeniser(tmp_path_factory: pytest.TempPathFactory) -> Tokeniser:
    return Tokeniser.load(house.make_checkpoint(tmp_path_factory.mktemp("tokeniser") / "tiny"))


def task_of(layout: str) -> Task:
    if layout == "text":
        return TASKS["classification"].from_json(
            {"labels": list("abcde"), "decision": {"temperature": 1.0, "n_rows": 0}}
        )
    if layout == "token":
        tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
        return TASKS["token-classification"].from_json(
            {"tags": tags, "decision": {"temperature": 1.0, "n_rows": 0}}
        )
    return TASKS["question-answering"]()


def test_a_saved_folder_opens_in_transformers_and_here(
    pair: Pair, tokeniser: Tokeniser, tmp_path: Path
) -> None:
    rules = TextRules(min(64, pair.encoder.spec.max_positions))
    task = task_of(pair.layout)
    model = TextModel(pair.encoder, pair.head, task, tokeniser, rules, pair.config)
    save_model(model, tmp_path / "model")
    name = pair.family.heads[pair.layout].architecture
    opened, info = getattr(transformers, name).from_pretrained(
        tmp_path / "model", output_loading_info=True, dtype=torch.float64
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    inputs, batch = texts(pair, 8)
    ours = load_model(tmp_path / "model")
    with torch.no_grad():
        expected = pair.head(pair.encoder, batch)
        assert largest([their_logits(pair, opened.double().eval(), inputs) - expected]) < 1e-10
        found = ours.double().logits(batch)  # saved in float64, opened as float32
    scale = max(1.0, largest([expected]))
    assert largest([found - expected]) < 1e-3 * scale
