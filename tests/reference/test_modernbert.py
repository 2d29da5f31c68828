"""What is ModernBERT's own: config.json old and new, the head of a masked-LM checkpoint, long texts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.acceptance import house
from tests.reference import test_families as families
from tests.reference.entries import entry_of
from whet import api
from whet.artifact import load_model
from whet.checkpoints.families.modernbert import FAMILY
from whet.checkpoints.loading import encoder_from, head_from, open_checkpoint
from whet.encoder.dropout import KeyedDropout
from whet.encoder.local_attention import LocalAttention
from whet.encoder.packing import pack
from whet.encoder.rotary import RotaryAttention
from whet.errors import CheckpointError

transformers = pytest.importorskip("transformers")

ENTRY = entry_of("modernbert")
OLD = {  # as config.json on the hub has it
    **{key: value for key, value in ENTRY.config.items() if not key.endswith("_token_id")},
    "model_type": "modernbert",
    "hidden_activation": "gelu",
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 170000.0,
    "local_rope_theta": 11000.0,
    "position_embedding_type": "absolute",
}


def kernels(config: dict[str, Any]) -> list[tuple[float, int | None]]:
    """The base of each layer's rotary angles, and how far it looks."""
    found = []
    for layer in FAMILY.encoder(FAMILY.spec(config), config).sequence:
        outer = layer.attention.kernel  # type: ignore[union-attr]
        assert isinstance(outer, RotaryAttention)
        inner = outer.kernel
        found.append((outer.base, inner.reach if isinstance(inner, LocalAttention) else None))
    return found


def test_old_and_new_config_say_the_same() -> None:
    """transformers reads the old one and writes the new one."""
    expected = [(170000.0, None), (11000.0, 7), (11000.0, 7), (170000.0, None)]
    assert kernels(OLD) == expected
    new = transformers.AutoConfig.for_model(**OLD, **{f"{k}_token_id": 0 for k in ("pad", "bos", "eos")})
    written = json.loads(new.to_json_string(use_diff=False))
    assert "local_rope_theta" not in written
    assert kernels(written) == expected
    every_second = kernels({**OLD, "global_attn_every_n_layers": 2})
    assert [reach for _, reach in every_second] == [None, 7, None, 7]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            {"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 1e5}}},
            ["yarn", "default"],
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, ["linear", "default"]),
        ({"local_rope_theta": None}, ["local_rope_theta", "None", "above 0"]),
        ({"layer_types": ["full_attention"] * 3}, ["layer_types", "4"]),
        ({"layer_types": ["chunked_attention"] * 4}, ["layer_types", "chunked_attention"]),
        ({"global_attn_every_n_layers": 0}, ["global_attn_every_n_layers", "0"]),
        ({"local_attention": 1}, ["local_attention", "1"]),
        ({"hidden_size": 63}, ["hidden_size", "63", "even"]),
        ({"hidden_activation": "swish"}, ["hidden_activation", "swish"]),
        ({"classifier_pooling": "max"}, ["classifier_pooling", "max", "cls, mean"]),
    ],
)
def test_what_is_not_built_is_refused(change: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(CheckpointError) as caught:
        FAMILY.spec({**OLD, **change})
    assert all(part in str(caught.value) for part in parts), caught.value


@pytest.mark.parametrize("layout", list(FAMILY.heads))
def test_as_transformers_has_it_only_its_rounding_differs(layout: str) -> None:
    """It rounds queries and keys to float32, which the tests of all families leave out."""
    pair = families.make_pair("modernbert", layout, "other")
    inputs, batch = families.texts(pair, 4)
    with torch.no_grad():
        difference = pair.head(pair.encoder, batch) - families.their_logits(pair, pair.theirs, inputs)
    assert 1e-12 < families.largest([difference]) < 1e-4


@pytest.fixture
def masked_lm(tmp_path: Path) -> Path:
    """A checkpoint as ModernBERT's authors give it out, with a tokeniser of ours."""
    folder = house.make_checkpoint(tmp_path / "modernbert")
    settings = {
        **ENTRY.config,
        "vocab_size": len(house.vocabulary()),
        "max_position_embeddings": 8192,
        "initializer_range": 0.2,
    }
    config = transformers.AutoConfig.for_model("modernbert", **settings)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        transformers.ModernBertForMaskedLM(config).save_pretrained(folder)
    return folder


def test_a_masked_lm_checkpoint_brings_what_stands_before_the_classifier(masked_lm: Path) -> None:
    checkpoint = open_checkpoint(masked_lm)
    assert checkpoint.layout is None
    generator = torch.Generator().manual_seed(0)
    encoder, new = encoder_from(checkpoint, 0.25, generator)
    assert new == frozenset()
    for layout in FAMILY.heads.keys() - {"masked-lm"}:  # which the checkpoint has whole
        head, new = head_from(checkpoint, layout, 5, None, 0.25, generator)
        assert new == {"classifier.weight", "classifier.bias"}
        assert torch.equal(head.transform.dense.weight, checkpoint.tensors["head.dense.weight"])  # type: ignore[union-attr]
        parts = (*encoder.modules(), *head.modules())
        drops = [part.p for part in parts if isinstance(part, KeyedDropout)]
        assert drops == [0.25] * (1 + 2 * 4 + 1), "dropout overrides all"


def test_texts_of_thousands_of_tokens_are_trained_and_predicted(masked_lm: Path, tmp_path: Path) -> None:
    """Short and long ones in one step, the longest beyond tokens_per_pass; nothing is cut."""
    words = ["good", "bad"]
    labels = [words[i % 2] for i in range(16)]
    texts = [f"{label} " * n for label, n in zip(labels, [3, 1500, 40, 400] * 4, strict=True)]
    run = api.train(
        {"text": texts, "label": labels},
        model=str(masked_lm),
        out=tmp_path / "run",
        max_length=8192,
        tokens_per_pass=512,
        epochs=1,
        batch_size=8,
        threads=1,
        quiet=True,
        precision="float32",
    )
    model = load_model(run.folder / "model")
    assert model.rules.max_length == 8192
    batch = model.pack(texts[:4])
    assert max(batch.lengths) > 1500
    with torch.no_grad():
        together = model.logits(batch)
        alone = torch.cat([model.logits(model.pack([text])) for text in texts[:4]])
    assert (together - alone).abs().max() < 1e-5


def test_a_long_text_sees_to_its_end_through_global_layers(masked_lm: Path) -> None:
    """8,192 tokens in float64: the last one changes the first one's state."""
    encoder, _ = encoder_from(open_checkpoint(masked_lm), None, torch.Generator())
    encoder = encoder.double().eval()
    ids = np.random.default_rng(0).integers(5, 60, 8192)
    other = np.append(ids[:-1], 61)
    with torch.no_grad():
        first, second = (encoder.first_states(pack([one], [one * 0])) for one in (ids, other))
    assert (first - second).abs().max() > 1e-9
