"""`whet models`: the table, and what a checkpoint is from its config.json alone."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.acceptance import house


@pytest.fixture
def bare(classifier, tmp_path):
    """A classifier's folder without its weights."""
    folder = Path(shutil.copytree(classifier, tmp_path / "bare"))
    (folder / "model.safetensors").unlink()
    return folder


def described(whet, *arguments):
    return json.loads(whet("models", *arguments, "--json").ok().out)


def test_every_packed_family_has_a_line(whet):
    from whet.checkpoints.families import MODEL_TYPES

    found = whet("models").ok().out
    for model_type in MODEL_TYPES:
        assert any(line.split()[:1] == [model_type] and " packed " in line for line in found.splitlines())
    assert "padded" in found
    rows = json.loads(whet("models", "--json").ok().out)
    assert [row["model_type"] for row in rows] == list(MODEL_TYPES)
    assert all(row["title"] and row["advice"] for row in rows)


def test_a_classifier_is_described_without_its_weights(whet, bare):
    """The oracle of the number of parameters is transformers' own module."""
    import transformers

    found = described(whet, bare)
    config = transformers.AutoConfig.from_pretrained(bare)
    n_parameters = sum(p.numel() for p in transformers.AutoModel.from_config(config).parameters())
    assert found["n_parameters"] == n_parameters
    assert (found["model_type"], found["runs"], found["weights"]) == ("bert", "packed", "none")
    assert (found["n_layers"], found["hidden_size"], found["n_heads"]) == (2, 32, 4)
    assert (found["vocab_size"], found["max_positions"]) == (len(house.vocabulary()), 512)
    assert (found["head"], found["labels"]) == ("BertForSequenceClassification", list(house.CLASSES))
    assert set(found["tasks"]) >= {"classification", "token-classification", "question-answering"}
    assert found["tokeniser"] == ["tokenizer.json", "tokenizer_config.json"]
    text = whet("models", bare).ok().out
    assert "delivery, praise, refund" in text
    assert "none here" in text


def test_a_run_and_mini_are_described(whet, train, reviews, encoder):
    train(reviews, model=encoder).ok()
    found = described(whet, "run")
    assert (found["labels"], found["weights"]) == (list(house.CLASSES), "safetensors")
    found = described(whet, "mini")
    assert (found["model_type"], found["n_layers"], found["head"]) == ("bert", 6, None)
    assert 22.6e6 < found["n_parameters"] < 22.8e6


@pytest.mark.parametrize(
    ("config", "runs", "why"),
    [
        ({"model_type": "gpt2"}, "refused", "decoder"),
        ({"model_type": "t5"}, "refused", "encoder-decoder"),
        ({"model_type": "other", "auto_map": {"AutoModel": "x.Y"}}, "refused", "never runs such code"),
        ({"model_type": "bert", "hidden_size": 7}, "refused", "vocab_size"),
        ({"model_type": "roformer", "num_hidden_layers": 3}, "padded", "transformers' own"),
    ],
)
def test_what_runs_how_and_why_not(config, runs, why, whet, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = described(whet, tmp_path)
    assert (found["model_type"], found["runs"]) == (config["model_type"], runs)
    assert why in found["why"]
    assert (found["n_layers"] == 3) == (runs == "padded")
    assert runs in whet("models", tmp_path).ok().out


def test_a_pickle_is_told(whet, bare):
    (bare / "pytorch_model.bin").write_bytes(b"not a pickle at all")
    assert described(whet, bare)["weights"] == "pickle"
    assert "refused" in whet("models", bare).ok().out


def test_what_is_no_checkpoint(whet, tmp_path):
    (tmp_path / "empty").mkdir()
    whet("models", tmp_path / "empty").refused("empty", "config.json")
    whet("models", "./nowhere").refused("nowhere", "no such folder")


def test_a_hub_name(whet, classifier, tmp_path, monkeypatch, without_network):
    """Local cache first; else config.json alone is fetched, and not into the cache, where `train` would take
    it for the whole."""
    import huggingface_hub
    from huggingface_hub import constants

    cached = tmp_path / "hub/models--somebody--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/main").write_text("0" * 40)
    shutil.copytree(classifier, cached / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert described(whet, "somebody/tiny")["labels"] == list(house.CLASSES)
    assert not without_network
    whet("models", "nobody/nothing").refused("nobody/nothing", "network")
    assert without_network

    fetched = []

    def fetch(repository, name, revision, local_dir):
        fetched.append((repository, name, revision))
        return shutil.copy(classifier / name, local_dir)

    files = [SimpleNamespace(rfilename=name) for name in ("config.json", "onnx/model.bin")]
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: SimpleNamespace(siblings=files))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    found = described(whet, "somebody/else@v2")
    assert fetched == [("somebody/else", "config.json", "v2")]
    assert (found["labels"], found["weights"], found["tokeniser"]) == (list(house.CLASSES), "none", [])
    assert [path.name for path in (tmp_path / "hub").iterdir()] == ["models--somebody--tiny"]


def test_the_library_says_the_same(encoder):
    import whet as library

    assert library.models()[0].model_type <= library.models()[-1].model_type
    assert library.models(encoder).n_layers == 2
