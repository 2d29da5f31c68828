"""What config.json may not say: shapes that no family's file builds, each with a reason to act on."""

from typing import Any

import pytest

from tests.reference.entries import entry_of
from whet.checkpoints.families import family_named
from whet.errors import CheckpointError

USUAL = {"hidden_act": "gelu", "activation": "gelu", "pad_token_id": 1}

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
    ("mpnet", {"is_decoder": True}, ["is_decoder", "encoders only"]),
    ("mpnet", {"relative_attention_num_buckets": 64}, ["relative_attention_num_buckets is 64", "32"]),
]


@pytest.mark.parametrize(("model_type", "changes", "parts"), REFUSED)
def test_what_is_not_built_is_refused(model_type: str, changes: dict[str, Any], parts: list[str]) -> None:
    family, config = family_named(model_type), {**USUAL, **entry_of(model_type).config}

    def build(settings: dict[str, Any]) -> None:
        family.encoder(family.spec(settings), settings)

    build(config)
    with pytest.raises(CheckpointError) as refused:
        build({**config, **changes})
    assert all(part in str(refused.value) for part in ["config.json", *parts]), refused.value
