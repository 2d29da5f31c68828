"""What config.json may not say: shapes that no family's file builds, each with a reason to act on."""

from typing import Any

import pytest

from tests.reference.entries import entry_of
from whet.checkpoints.families import family_named
from whet.checkpoints.loading import described
from whet.errors import CheckpointError

USUAL = {"hidden_act": "gelu", "hidden_activation": "gelu", "activation": "gelu", "pad_token_id": 1}

REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("distilbert", {"is_decoder": True}, ["is_decoder", "encoders only"]),
    ("distilbert", {"activation": "mish"}, ["activation is 'mish'", "gelu"]),
    ("distilbert", {"dim": None}, ["dim is None", "int"]),
    ("electra", {"is_decoder": True}, ["is_decoder", "encoders only"]),
    ("electra", {"position_embedding_type": "relative_key"}, ["relative_key", "absolute"]),
    ("electra", {"embedding_size": "128"}, ["embedding_size is '128'", "int"]),
    ("albert", {"position_embedding_type": "relative_key_query"}, ["relative_key_query", "absolute"]),
    ("albert", {"num_hidden_groups": 4}, ["num_hidden_groups is 4", "num_hidden_layers, which is 3"]),
    ("albert", {"num_hidden_groups": 0}, ["num_hidden_groups is 0", "from 1 up"]),
    ("albert", {"inner_group_num": 1.5}, ["inner_group_num is 1.5", "from 1 up"]),
    ("bert", {"hidden_size": -44}, ["hidden_size is -44", "at least 1"]),
    ("bert", {"num_hidden_layers": 0}, ["num_hidden_layers is 0", "at least 1"]),
    (
        "bert",
        {"num_attention_heads": 3},
        ["num_attention_heads is 3", "must divide hidden_size, which is 44"],
    ),
    ("bert", {"type_vocab_size": 0}, ["type_vocab_size is 0", "at least 1"]),
    ("bert", {"type_vocab_size": "2"}, ["type_vocab_size is '2'", "int"]),
    ("bert", {"layer_norm_eps": "tiny"}, ["layer_norm_eps is 'tiny'", "a number from 0 up"]),
    ("bert", {"hidden_dropout_prob": 2}, ["hidden_dropout_prob is 2", "below 1"]),
    ("bert", {"initializer_range": None}, ["initializer_range is None", "a number"]),
    ("roberta", {"pad_token_id": -1}, ["pad_token_id is -1", "at least 0"]),
    ("roberta", {"pad_token_id": 300}, ["max_position_embeddings is 217", "at least 305"]),
    ("distilbert", {"n_heads": 5}, ["n_heads is 5", "must divide dim"]),
    ("modernbert", {"norm_eps": "tiny"}, ["norm_eps is 'tiny'", "a number"]),
    ("mpnet", {"is_decoder": True}, ["is_decoder", "encoders only"]),
    ("mpnet", {"relative_attention_num_buckets": 64}, ["relative_attention_num_buckets is 64", "32"]),
]


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [("deberta-v2", {"position_buckets": None}), ("modernbert", {"rope_parameters": 5})],
)
def test_other_types_than_an_entry_has_are_a_message(model_type: str, changes: dict[str, Any]) -> None:
    config = {**USUAL, **entry_of(model_type).config, "model_type": model_type}
    described(config)
    with pytest.raises(CheckpointError, match=r"config\.json does not describe an encoder of this family"):
        described({**config, **changes})


@pytest.mark.parametrize(("model_type", "changes", "parts"), REFUSED)
def test_what_is_not_built_is_refused(model_type: str, changes: dict[str, Any], parts: list[str]) -> None:
    family, config = family_named(model_type), {**USUAL, **entry_of(model_type).config}

    def build(settings: dict[str, Any]) -> None:
        family.encoder(family.spec(settings), settings)

    build(config)
    with pytest.raises(CheckpointError) as refused:
        build({**config, **changes})
    assert all(part in str(refused.value) for part in ["config.json", *parts]), refused.value
