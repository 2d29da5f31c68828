"""BERT (Devlin et al. 2018): post-norm, absolute positions, a pooler over the first token."""

from collections.abc import Mapping
from typing import Any

from whet.checkpoints.families.base import Family, HeadClass, one_linear, setting
from whet.checkpoints.names import NameTable
from whet.encoder.network import ACTIVATIONS, EncoderSpec
from whet.errors import CheckpointError

_LAYER = {
    "attention.qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}


def _spec(config: Mapping[str, Any]) -> EncoderSpec:
    activation = setting(config, "hidden_act", str)
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json: hidden_act is '{activation}'; whet has {', '.join(sorted(ACTIVATIONS))}."
        )
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise CheckpointError(
            f"config.json: position_embedding_type is '{config['position_embedding_type']}'; "
            "only 'absolute' is built for BERT."
        )
    if config.get("is_decoder"):
        raise CheckpointError("config.json: is_decoder is true; whet fine-tunes encoders only.")
    return EncoderSpec(
        vocab_size=setting(config, "vocab_size", int),
        max_positions=setting(config, "max_position_embeddings", int),
        n_types=setting(config, "type_vocab_size", int),
        hidden_size=setting(config, "hidden_size", int),
        n_layers=setting(config, "num_hidden_layers", int),
        n_heads=setting(config, "num_attention_heads", int),
        intermediate_size=setting(config, "intermediate_size", int),
        activation=activation,
        norm_epsilon=float(config.get("layer_norm_eps", 1e-12)),
        dropout=float(config.get("hidden_dropout_prob", 0.1)),
        initializer_range=float(config.get("initializer_range", 0.02)),
    )


def _names(spec: EncoderSpec) -> NameTable:
    rows: dict[str, tuple[str, ...]] = {
        "embeddings.words.weight": ("embeddings.word_embeddings.weight",),
        "embeddings.positions.weight": ("embeddings.position_embeddings.weight",),
        "embeddings.types.weight": ("embeddings.token_type_embeddings.weight",),
    }
    modules: dict[str, tuple[str, ...]] = {
        "embeddings.norm": ("embeddings.LayerNorm",),
        "pooler": ("pooler.dense",),
    }
    for i in range(spec.n_layers):
        modules |= {
            f"layers.{i}.{ours}": tuple(f"encoder.layer.{i}.{name}" for name in theirs)
            for ours, theirs in _LAYER.items()
        }
    for ours, theirs in modules.items():
        for kind in ("weight", "bias"):
            rows[f"{ours}.{kind}"] = tuple(f"{name}.{kind}" for name in theirs)
    return NameTable(rows)


FAMILY = Family(
    model_type="bert",
    spec=_spec,
    encoder_names=_names,
    encoder_prefix="bert.",
    heads={
        "text": HeadClass("BertForSequenceClassification", one_linear("classifier")),
        "token": HeadClass("BertForTokenClassification", one_linear("classifier")),
        "span": HeadClass("BertForQuestionAnswering", one_linear("qa_outputs")),
    },
)
