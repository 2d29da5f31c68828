"""Encoders that run padded, through transformers' own module: the same seam, and the same logits.

The oracle is transformers' module on one sequence at a time, without any padding, in float64.
"""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.acceptance import house
from tests.checkpoints import encoders
from whet.artifact import load_model, save_model
from whet.checkpoints.families import MODEL_TYPES
from whet.checkpoints.foreign import _IGNORES_PADDING
from whet.checkpoints.loading import open_checkpoint
from whet.checkpoints.padded import PaddedEncoder, layers_of
from whet.encoder.dropout import sequence_keys
from whet.encoder.packing import PackedBatch, pack
from whet.encoder.padding import padded
from whet.errors import CheckpointError
from whet.model import TextModel, start_model
from whet.tasks import TASKS
from whet.tasks.base import Task
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser

FEW = ("roformer", "convbert", "fnet", "xlm")
FOREIGN = tuple(name for name in encoders.CONFIGS if name not in MODEL_TYPES)
MANY = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in FOREIGN]
SINGLE = (
    "xlm",
    "flaubert",
    "longformer",
    "markuplm",
)  # their attention is a softmax in float32, whatever the rest
LENGTHS = (5, 3, 6, 64, 1, 6, 2, 9, 10, 10, 11)
CLASSES = list(house.CLASSES)


def task_of(layout: str) -> Task:
    decision = {"temperature": 1.0, "n_rows": 0}
    if layout == "text":
        return TASKS["classification"].from_json({"labels": list("abcde"), "decision": decision})
    if layout == "token":
        tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
        return TASKS["token-classification"].from_json({"tags": tags, "decision": decision})
    return TASKS["question-answering"]()


def labelled(module: Any, layout: str) -> Any:
    """The module with the labels of the task, so that its head is kept."""
    names = task_of(layout).output_names
    module.config.id2label = dict(enumerate(names))
    module.config.label2id = {name: i for i, name in enumerate(names)}
    return module


def started(folder: Path, layout: str) -> TextModel:
    opened = open_checkpoint(folder)
    rules = TextRules(min(64, opened.spec.max_positions))
    return start_model(opened, task_of(layout), Tokeniser.load(folder), rules, seed=3).model


def packs(model: TextModel, layout: str, seed: int = 4) -> tuple[list[dict[str, Tensor]], PackedBatch]:
    """Sequences as transformers takes each, and packed; every second one is a pair of texts."""
    random = np.random.default_rng(seed)
    spec = model.encoder.spec
    ids = [random.integers(5, spec.vocab_size, n) for n in LENGTHS]
    for one in ids:
        if layout == "span" and len(one) > 4:  # some classes look for the separators
            one[[1, 2, -1]] = 2
    types = [(np.arange(n) >= n // 2) * (i % 2) * (spec.n_types > 1) for i, n in enumerate(LENGTHS)]
    rows = [{"input_ids": torch.from_numpy(one)[None]} for one in ids]
    if spec.n_types > 1:
        for row, kinds in zip(rows, types, strict=True):
            row["token_type_ids"] = torch.from_numpy(kinds)[None]
    reads = None if layout == "text" else [np.ones(n, np.bool_) for n in LENGTHS]
    return rows, pack(ids, types, sequence_keys(1, seed, np.arange(len(ids))), reads)


def their_logits(module: Any, rows: list[dict[str, Tensor]], layout: str) -> Tensor:
    """One sequence at a time, padded nowhere."""
    found = [module(**row) for row in rows]
    if layout == "span":
        return torch.cat([torch.stack([one.start_logits, one.end_logits], -1)[0] for one in found])
    return torch.cat([one.logits if layout == "text" else one.logits[0] for one in found])


def has(model_type: str, layout: str) -> bool:
    try:
        encoders.make(model_type, layout)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("layout", list(encoders.KINDS))
@pytest.mark.parametrize("model_type", MANY)
def test_logits_equal_transformers_and_so_do_saved_folders(
    model_type: str, layout: str, tmp_path: Path
) -> None:
    """Proof that it can fail: with the mask left out, with padding where it is not ignored, or with the
    caller's order forgotten."""
    if not has(model_type, layout):
        pytest.skip("transformers has no such class")
    theirs = labelled(encoders.make(model_type, layout), layout)
    if model_type == "longformer" and layout == "span":
        pytest.skip("its class takes questions with exactly three separators")
    model = started(encoders.save(theirs, tmp_path / "theirs"), layout).double().eval()
    rows, batch = packs(model, layout)
    with torch.no_grad():
        expected = their_logits(theirs.double(), rows, layout)
        found = model.logits(batch)
        scale, tolerance = max(1.0, float(expected.abs().max())), 1e-6 if model_type in SINGLE else 1e-10
        assert float((found - expected).abs().max()) < tolerance * scale
        if layout != "text":
            some = [np.arange(n) % 3 == 0 for n in LENGTHS]
            read = replace(batch, reads=batch.reads[torch.from_numpy(np.concatenate(some))])
            assert torch.equal(model.logits(read), found[torch.from_numpy(np.concatenate(some))])
    save_model(model, tmp_path / "ours")
    opened, info = encoders.KINDS[layout].from_pretrained(
        tmp_path / "ours", output_loading_info=True, dtype=torch.float64
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(opened) is type(theirs)
    with torch.no_grad():
        assert float((their_logits(opened.eval(), rows, layout) - expected).abs().max()) < tolerance * scale
        again = load_model(tmp_path / "ours").double().logits(batch)
    assert float((again - expected).abs().max()) < tolerance * scale


@pytest.mark.parametrize("model_type", MANY)
def test_padding_is_used_only_where_it_is_ignored(model_type: str, tmp_path: Path) -> None:
    model = started(encoders.save(encoders.make(model_type, "text"), tmp_path / "theirs"), "text").double()
    model.eval()
    _, batch = packs(model, "text")
    encoder = model.encoder
    assert isinstance(encoder, PaddedEncoder)
    with torch.no_grad():
        alone = model.logits(batch) if encoder.padding.most == 0.0 else None
        encoder.padding = replace(encoder.padding, most=0.9)
        assert len(padded(batch, 0, 0.9)) < 4
        mixed = model.logits(batch)
        encoder.padding = replace(encoder.padding, most=0.0)
        difference = float((mixed - model.logits(batch)).abs().max())
    if model_type in _IGNORES_PADDING:
        assert alone is None
        assert difference < (1e-6 if model_type in SINGLE else 1e-10)
    else:
        assert difference > 1e-3


@pytest.mark.parametrize("model_type", MANY)
def test_layers_are_ordered_and_cover_the_encoder(model_type: str, tmp_path: Path) -> None:
    """The first is nearest to the embeddings: the order in which forward calls them."""
    model = started(encoders.save(encoders.make(model_type), tmp_path / "theirs"), "text").eval()
    layers = list(model.encoder.sequence)
    assert len(layers) == 3 == model.encoder.spec.n_layers
    called: list[int] = []
    for i, layer in enumerate(layers):
        for part in layer.modules():
            part.register_forward_hook(lambda *_, i=i: called.append(i))
    model.logits(packs(model, "text")[1])
    first_calls = called[: called.index(2) + 1]
    assert sorted(first_calls) == first_calls
    assert set(called) == {0, 1, 2}
    inside = {id(parameter) for layer in layers for parameter in layer.parameters()}
    others = [name for name, one in model.encoder.named_parameters() if id(one) not in inside]
    others = [name for name in others if "embeddings" not in name]
    assert not [name for name in others if any(f".{i}." in name for i in range(3))], others


def test_every_parameter_is_found_once_and_only_a_head_is_new(tmp_path: Path) -> None:
    theirs = encoders.make("big_bird")
    opened = open_checkpoint(encoders.save(theirs, tmp_path / "theirs"))
    start = start_model(opened, task_of("text"), Tokeniser.load(opened.folder), TextRules(32), seed=3)
    names = [name for name, _ in start.model.named_parameters()]
    assert len(names) == len(set(names))
    assert start.new == {name for name in names if name.startswith("head.")}
    assert "head.classifier.weight" in start.new
    assert len(names) == len(list(encoders.make("big_bird", "text").parameters()))
    assert any("big_bird runs padded" in note and MODEL_TYPES[0] in note for note in start.notes)
    again = start_model(opened, task_of("text"), Tokeniser.load(opened.folder), TextRules(32), seed=3)
    ours, theirs_ = start.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(ours[name], theirs_[name]) for name in ours)


def test_dropout_follows_from_the_step_and_leaves_the_generator_alone(tmp_path: Path) -> None:
    model = started(encoders.save(encoders.make("roformer"), tmp_path / "theirs"), "text").train()
    _, batch = packs(model, "text", 4)
    other = replace(batch, dropout_keys=batch.dropout_keys + 1)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second, different = model.logits(batch), model.logits(batch), model.logits(other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, second)
    assert not torch.equal(first, different)
    copied = copy.deepcopy(model)
    assert torch.equal(copied.logits(batch), first)
    copied.encoder.base.embeddings.word_embeddings.weight.data.zero_()
    assert not torch.equal(copied.logits(batch), first)
    assert torch.equal(model.logits(batch), first)


@pytest.mark.parametrize("model_type", ["roformer", "xlm"])
def test_the_dropout_setting_reaches_every_dropout(model_type: str, tmp_path: Path) -> None:
    opened = open_checkpoint(encoders.save(encoders.make(model_type), tmp_path / "theirs"))
    tokeniser = Tokeniser.load(opened.folder)
    model = start_model(opened, task_of("text"), tokeniser, TextRules(32), seed=3, dropout=0.0).model
    _, batch = packs(model, "text")
    assert torch.equal(model.train().logits(batch), model.eval().logits(batch))


def test_the_bare_encoder_and_what_select_looks_at(tmp_path: Path) -> None:
    import whet
    from whet.predictor import Predictor

    theirs = encoders.make("roformer")
    folder = encoders.save(theirs, tmp_path / "theirs")
    texts = ["good parcel", "the courier was late again today", "money"]
    encoder = whet.load_encoder(folder, max_length=16)
    with torch.no_grad():
        found = encoder(texts)
        for i, text in enumerate(texts):
            ids = torch.tensor(Tokeniser.load(folder).encode([(text,)], 16).ids.astype(np.int64))[None]
            expected = theirs(input_ids=ids).last_hidden_state[0]
            torch.testing.assert_close(found.last_hidden_state[i, : ids.shape[1]], expected)
    assert found.pooler_output is None
    model = started(folder, "text").eval()
    from whet.text.store import store_of

    vectors = Predictor(model).vectors(store_of([(text,) for text in texts], model.encoding))
    means = (found.last_hidden_state * found.attention_mask[:, :, None]).sum(1) / found.attention_mask.sum(
        1, keepdim=True
    )
    np.testing.assert_allclose(vectors, means.numpy(), atol=1e-5)


def test_windows_of_a_text_are_averaged(tmp_path: Path) -> None:
    model = started(encoders.save(encoders.make("roformer"), tmp_path / "theirs"), "text").eval()
    _, batch = packs(model, "text")
    owners = torch.tensor([0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 5])
    with torch.no_grad():
        whole = model.logits(batch)
        found = model.logits(replace(batch, owners=owners))
    expected = torch.stack([whole[owners == i].mean(0) for i in range(6)])
    torch.testing.assert_close(found, expected)


# --- training -----------------------------------------------------------------------------------------------


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts, labels = house.sentences(60)
    return house.write_csv(tmp_path / "reviews.csv", {"text": texts, "label": labels})


@pytest.mark.parametrize("model_type", ["convbert", pytest.param("fnet", marks=pytest.mark.slow), "xlm"])
def test_trained_here_transformers_predicts_the_same(
    model_type: str, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import whet

    folder = encoders.save(encoders.make(model_type), tmp_path / "theirs")
    run = whet.train(reviews, model=folder, out="run", recipe="fast", threads=1, batch_size=16)
    said = capsys.readouterr().err
    assert f"{model_type} runs padded" in said
    assert "the head's rate" in said
    texts = house.sentences(20, seed=5)[0]
    found = run.model().predict(texts, logits=True)
    opened = encoders.KINDS["text"].from_pretrained("run/model").eval()
    tokeniser = Tokeniser.load(Path("run/model"))
    for text, one in zip(texts, found, strict=True):
        encoded = tokeniser.encode([(text,)], 64)
        with torch.no_grad():
            logits = opened(input_ids=torch.from_numpy(encoded.ids.astype(np.int64))[None]).logits[0]
        np.testing.assert_allclose(one.logits, logits.numpy(), atol=1e-5)
    kept = whet.train(
        reviews, model="run", out="again", learning_rate=0.0, head_learning_rate=0.0, epochs=1, min_steps=0
    )
    assert "head knows these 3 labels and is kept" in capsys.readouterr().err
    assert [one.label for one in kept.model().predict(texts)] == [one.label for one in found]


class Died(BaseException):
    """What no code of ours catches."""


def test_a_run_that_died_ends_with_the_same_bits(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proof that it can fail: with dropout that follows torch's generator."""
    import whet
    from whet.training.resume import Checkpoints

    monkeypatch.setattr(Checkpoints, "due", property(lambda self: True))
    folder = encoders.save(encoders.make("roformer"), tmp_path / "theirs")
    how = {"epochs": 2, "min_steps": 0, "threads": 1, "batch_size": 12, "seed": 5, "quiet": True}
    whet.train(reviews, model=folder, out="whole", **how)
    steps: list[int] = []

    def die(event: Any) -> None:
        if type(event).__name__ == "StepDone":
            steps.append(event.step)
            if len(steps) == 7:  # of ten
                raise Died

    torch.manual_seed(11)
    with pytest.raises(Died):
        whet.train(reviews, model=folder, out="killed", listeners=[die], **how)
    assert not Path("killed/model").exists()
    assert Path("killed/checkpoints/best").exists()
    torch.manual_seed(12)
    whet.train(out="killed", resume=True, quiet=True)
    for name in ("model/model.safetensors", "metrics.jsonl"):
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes(), name


# --- refusals -----------------------------------------------------------------------------------------------


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    missing = [part for part in parts if part not in str(caught.value)]
    assert not missing, f"{caught.value} lacks {missing}"


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ({"model_type": "gpt2"}, ["'gpt2'", "decoder", "bert"]),
        ({"model_type": "llama"}, ["'llama'", "decoder"]),
        ({"model_type": "xlnet"}, ["'xlnet'", "decoder"]),
        ({"model_type": "rembert", "is_decoder": True}, ["'rembert'", "decoder"]),
        ({"model_type": "t5"}, ["'t5'", "encoder-decoder", "--model mini"]),
        ({"model_type": "bart"}, ["'bart'", "encoder-decoder"]),
        ({"model_type": "vit"}, ["'vit'", "no class of it that classifies texts"]),
        ({"model_type": "reformer"}, ["'reformer'", "one length"]),
        ({"model_type": "new", "auto_map": {"AutoModel": "modeling.New"}}, ["'new'", "never runs such code"]),
        ({"model_type": "nobody-knows"}, ["'nobody-knows'", "does not have it"]),
        ({"model_type": ["bert"]}, ["model_type is ['bert']"]),
        ({}, ["model_type is None"]),
        ({"model_type": "roformer", "hidden_size": "wide"}, ["transformers cannot"]),
        ({"model_type": "rembert", "hidden_size": 7, "num_attention_heads": 3}, ["cannot build"]),
    ],
)
def test_what_cannot_be_fine_tuned_is_refused(
    config: dict[str, Any], parts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "modeling.py").write_text("raise SystemExit('code of a checkpoint was run')")
    refused(tmp_path, str(tmp_path), *parts)


def test_remote_code_beside_a_type_that_transformers_has_is_not_run(tmp_path: Path) -> None:
    folder = encoders.save(encoders.make("roformer"), tmp_path / "theirs")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling.New", "AutoConfig": "modeling.NewConfig"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text("raise SystemExit('code of a checkpoint was run')")
    assert started(folder, "text").encoder.spec.n_layers == 3


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = encoders.save(encoders.make("roformer"), tmp_path / "theirs")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not a pickle at all")
    refused(folder, "pytorch_model.bin", "pickle", "save_pretrained")


@pytest.mark.parametrize("layout", [None, "text"])
def test_missing_and_misshapen_tensors_are_named(layout: str | None, tmp_path: Path) -> None:
    folder = encoders.save(encoders.make("roformer", layout), tmp_path / "theirs")
    name = "encoder.layer.1.output.dense.weight"
    prefix = "" if layout is None else "roformer."

    def bend(tensors: dict[str, Tensor]) -> None:
        tensors[prefix + name] = tensors[prefix + name][:, :-1].clone()
        del tensors[prefix + "encoder.layer.2.output.dense.bias"]

    house.rewrite(folder, bend)
    refused(folder, f"{name} (48, 52): config.json asks for (48, 53)", "encoder.layer.2.output.dense.bias")


def test_a_task_that_transformers_has_no_class_for(tmp_path: Path, reviews: Path) -> None:
    folder = encoders.save(encoders.make("nomic_bert"), tmp_path / "theirs")
    with pytest.raises(
        CheckpointError, match="'nomic_bert', of which transformers has no class that answers"
    ):
        started(folder, "span")
    import whet

    rows = {"question": ["Who?"], "context": ["Emma sings."], "answer": ["Emma"], "answer_start": [0]}
    with pytest.raises(CheckpointError, match="answers questions"):
        whet.train({name: value * 20 for name, value in rows.items()}, model=folder, out="run", quiet=True)
    assert not Path("run").exists()


def test_layers_beside_each_other_are_one() -> None:
    base = encoders.make("xlm")
    layers = layers_of(base)
    assert len(layers) == 3
    assert {id(p) for p in layers[1].parameters()} == {
        id(p) for name, p in base.named_parameters() if ".1." in name
    }


def test_what_is_computed_otherwise_is_saved_so(tmp_path: Path) -> None:
    """BigBird computes full attention here; transformers would take its own blocks for long texts again."""
    folder = encoders.save(encoders.make("big_bird", "text"), tmp_path / "theirs")
    config = json.loads((folder / "config.json").read_text())
    assert config["attention_type"] == "block_sparse"
    save_model(load_model(folder), tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["attention_type"] == "original_full"


def test_the_class_without_a_head_is_one_that_there_is(tmp_path: Path) -> None:
    """Its name may hold "For" itself: RoFormer."""
    folder = encoders.save(encoders.make("roformer", "text"), tmp_path / "theirs")
    assert open_checkpoint(folder).family.head_class("mean").architecture == "RoFormerModel"
