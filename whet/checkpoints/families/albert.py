"""ALBERT (Lan et al. 2019): narrow embeddings, and layers that share their weights."""

from dataclasses import replace

from torch import nn

from whet.checkpoints.families.base import (
    Config,
    Family,
    HeadClass,
    bert_like_layers,
    bert_like_spec,
    dropout_of,
    embedding_names,
    layer_names,
    linear_names,
    projected_embeddings,
    size,
)
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head, TextHead, TokenHead, pooler_output
from whet.encoder.network import Encoder, EncoderSpec
from whet.errors import CheckpointError


def _groups(config: Config) -> tuple[int, int]:
    """Groups of layers that share their weights, and layers in each. Raises CheckpointError."""
    n_groups, inner = config.get("num_hidden_groups", 1), config.get("inner_group_num", 1)
    n_layers = size(config, "num_hidden_layers")
    for key, value, most in (("num_hidden_groups", n_groups, n_layers), ("inner_group_num", inner, None)):
        if not isinstance(value, int) or value < 1 or (most is not None and value > most):
            limit = "" if most is None else f" and at most num_hidden_layers, which is {most}"
            raise CheckpointError(
                f"config.json: {key} is {value!r}, and must be a whole number from 1 up{limit}."
            )
    return n_groups, inner


def _spec(config: Config) -> EncoderSpec:
    """A layer counts each time it is run."""
    spec = bert_like_spec({"hidden_dropout_prob": 0.0, **config})
    return replace(spec, n_layers=spec.n_layers * _groups(config)[1])


def _order(spec: EncoderSpec, config: Config) -> list[int]:
    """The layers as they are run: num_hidden_layers times all layers of a group, the groups one after the
    other."""
    n_groups, inner = _groups(config)
    n_times = spec.n_layers // inner
    groups = [int(time / (n_times / n_groups)) for time in range(n_times)]  # rounded as transformers does
    return [group * inner + i for group in groups for i in range(inner)]


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    n_groups, inner = _groups(config)
    return Encoder(
        spec,
        projected_embeddings(spec, size(config, "embedding_size")),
        bert_like_layers(spec, n=n_groups * inner),
        pooler=nn.Linear(spec.hidden_size, spec.hidden_size),
        order=_order(spec, config),
    )


_LAYER = {
    "attention.qkv": ("attention.query", "attention.key", "attention.value"),
    "attention.output": ("attention.dense",),
    "attention_norm": ("attention.LayerNorm",),
    "up": ("ffn",),
    "down": ("ffn_output",),
    "output_norm": ("full_layer_layer_norm",),
}


def _names(spec: EncoderSpec, config: Config) -> NameTable:
    n_groups, inner = _groups(config)
    places = [
        f"encoder.albert_layer_groups.{group}.albert_layers.{i}"
        for group in range(n_groups)
        for i in range(inner)
    ]
    names = embedding_names(spec) | layer_names(places, _LAYER) | linear_names("pooler", "pooler")
    return names | linear_names("embeddings.projection", "encoder.embedding_hidden_mapping_in")


def _dropout(config: Config) -> float:
    return dropout_of({"classifier_dropout_prob": 0.1, **config}, "classifier_dropout_prob")


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TextHead(spec, n_outputs, pooler_output, _dropout(config))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, _dropout(config))


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout=None)


_CLASSIFIER = linear_names("classifier", "classifier")

FAMILY = Family(
    model_type="albert",
    title="ALBERT",
    advice="a tenth of BERT's weights to store at the same cost to run",
    spec=_spec,
    encoder=_encoder,
    encoder_names=_names,
    encoder_prefix="albert.",
    heads={
        "text": HeadClass("AlbertForSequenceClassification", _text_head, _CLASSIFIER, with_pooler=True),
        "token": HeadClass("AlbertForTokenClassification", _token_head, _CLASSIFIER),
        "span": HeadClass("AlbertForQuestionAnswering", _span_head, linear_names("classifier", "qa_outputs")),
    },
)
