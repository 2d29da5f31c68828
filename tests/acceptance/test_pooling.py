"""pooling=mean: trained, saved for sentence-transformers, opened, resumed, trained further."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import whet
from tests.acceptance import house
from whet.errors import ConfigError

OPTIONS = {
    "epochs": 2,
    "threads": 1,
    "quiet": True,
    "precision": "float32",
    "learning_rate": 1e-3,
    "dev_fraction": 0.3,
    "max_length": 64,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pooling")
    house.make_checkpoint(folder / "tiny")
    texts, labels = house.sentences(60, 0)
    house.write_csv(folder / "train.csv", {"text": texts, "label": labels})
    whet.train(folder / "train.csv", model=folder / "tiny", out=folder / "run", pooling="mean", **OPTIONS)
    return folder


def test_sentence_transformers_and_transformers_open_it(made: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    texts, _ = house.sentences(9, 50)
    logits = np.array([found.logits for found in whet.load(made / "run").predict(texts, logits=True)])
    theirs = sentence_transformers.SentenceTransformer(str(made / "run" / "model"), device="cpu")
    assert np.abs(theirs.encode(texts) - logits).max() < 1e-5
    assert np.ptp(logits, axis=0).max() > 1e-2

    model, info = transformers.AutoModel.from_pretrained(made / "run" / "model", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokeniser = transformers.AutoTokenizer.from_pretrained(made / "run" / "model")
    dense = json.loads((made / "run" / "model" / "2_Dense" / "config.json").read_text())
    assert dense["out_features"] == 3
    with torch.no_grad():
        for text, row in zip(texts, logits, strict=True):
            mean = model(**tokeniser(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            head = whet.load(made / "run").module.head.classifier
            assert np.abs((head(mean)).numpy() - row).max() < 1e-5


def test_a_card_and_a_line_say_what_opens_it(made: Path) -> None:
    card = (made / "run" / "model" / "README.md").read_text()
    assert "SentenceTransformer('FOLDER')" in card
    assert "pipeline('text-classification'" not in card


def test_trained_further_its_head_is_kept(made: Path) -> None:
    notes: list[str] = []
    whet.train(
        made / "train.csv", model=made / "run", out=made / "further", pooling="mean",
        listeners=[lambda event: notes.append(str(getattr(event, "text", "")))], **OPTIONS,
    )  # fmt: skip
    assert "The checkpoint's head knows these 3 labels and is kept." in notes


def test_it_is_not_for_tags(tmp_path: Path, made: Path) -> None:
    file = tmp_path / "tags.jsonl"
    row = {"tokens": ["our", "refund"], "tags": ["O", "B-X"]}
    file.write_text((json.dumps(row) + "\n") * 8)
    with pytest.raises(ConfigError, match="pooling: not for token-classification"):
        whet.train(file, model=made / "tiny", out=tmp_path / "run", pooling="mean", **OPTIONS)
