"""A new encoder and its tokeniser: the same in every process, and opened by transformers with equal ids."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance import house
from whet.checkpoints.loading import open_checkpoint
from whet.checkpoints.new import SPECIAL, bert_config, new_checkpoint, wordpiece
from whet.config import make_config
from whet.errors import DataError
from whet.text.tokens import Tokeniser

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [text.replace("box", "Bóx") for text in house.sentences(300)[0]]
HARD = ["The Bóx, courier's LATE!", "日本 ☃ unheard-of", "", "reboxing 3.14 [MASK] end"]

MAKE = """
import hashlib, sys
from tests.checkpoints.test_new import TEXTS
from whet.checkpoints.new import wordpiece
print(hashlib.sha256(wordpiece(lambda: TEXTS, 150, False).to_str().encode()).hexdigest())
"""


def made(seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MAKE], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_tokeniser_is_the_same_in_every_process() -> None:
    """Proof that it can fail: without the characters named in order, these differ in each process."""
    here = hashlib.sha256(wordpiece(lambda: TEXTS, 150, False).to_str().encode()).hexdigest()
    again = hashlib.sha256(wordpiece(lambda: TEXTS, 150, False).to_str().encode()).hexdigest()
    assert here == again == made("1")


@pytest.mark.parametrize("casing", ["uncased", "cased"])
def test_transformers_reads_the_same_ids(tmp_path: Path, casing: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = make_config({"new": "tiny", "vocab_size": 200, "casing": casing})
    n_words = new_checkpoint(tmp_path, lambda: TEXTS, config)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = Tokeniser.load(tmp_path, 2)
    assert ours.vocab_size == n_words <= 200
    assert ours.mask == theirs.mask_token_id
    assert [theirs.convert_tokens_to_ids(one) for one in SPECIAL] == [0, 1, 2, 3, 4]
    for text in [*TEXTS[:50], *HARD]:
        found = ours.encode([(text,)], 64)
        assert found.ids.tolist() == theirs(text)["input_ids"], text
    pair = ours.encode([(HARD[0], HARD[3])], 64)
    expected = theirs(HARD[0], HARD[3])
    assert pair.ids.tolist() == expected["input_ids"]
    assert pair.types.tolist() == expected["token_type_ids"]
    is_split = theirs.tokenize("Bóx") != theirs.tokenize("box")
    assert is_split == (casing == "cased")
    whole = theirs.decode(theirs("the courier")["input_ids"], skip_special_tokens=True)
    assert whole == "the courier"


def test_a_new_encoder_is_bert_as_it_begins(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = make_config({"new": "tiny", "vocab_size": 200, "seed": 5})
    new_checkpoint(tmp_path, lambda: TEXTS, config)
    opened, info = transformers.BertModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"]
    assert all("pooler" in name for name in info["missing_keys"])
    assert (opened.config.num_hidden_layers, opened.config.hidden_size) == (2, 128)
    state = opened.state_dict()
    for name, tensor in state.items():
        if "pooler" in name or "position_ids" in name:
            continue
        if tensor.ndim > 1 and tensor.numel() > 500:
            assert abs(float(tensor.std()) - 0.02) < 0.002, name
        elif tensor.ndim == 1:
            assert (tensor == (1.0 if name.endswith("LayerNorm.weight") else 0.0)).all(), name
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.layout is None
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "again").mkdir()
    new_checkpoint(tmp_path / "again", lambda: TEXTS, config)
    assert {name: (tmp_path / "again" / name).read_bytes() for name in files} == files


def test_sizes_are_the_miniatures() -> None:
    sizes = {size: bert_config(size, 9) for size in ("tiny", "mini", "small", "medium", "base")}
    shapes = [(one["num_hidden_layers"], one["hidden_size"]) for one in sizes.values()]
    assert shapes == [(2, 128), (4, 256), (4, 512), (8, 512), (12, 768)]
    assert all(one["hidden_size"] // one["num_attention_heads"] == 64 for one in sizes.values())


def test_texts_without_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tokeniser can be made"):
        new_checkpoint(tmp_path, lambda: [" ", "\t"], make_config({"new": "tiny"}))
