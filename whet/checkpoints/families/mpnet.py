"""MPNet (Song et al. 2020): BERT's layers, absolute positions, and a bias on attention for each distance that
all layers share; what most sentence encoders begin with."""

from dataclasses import replace

from whet.checkpoints.families.base import (
    MASKED_LM,
    Config,
    Family,
    HeadClass,
    bert_like_layers,
    bert_like_spec,
    embedding_names,
    layer_names,
    layer_norm,
    linear_names,
    masked_lm_head,
    module_names,
)
from whet.checkpoints.families.roberta import LM_HEAD
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, first_state
from whet.encoder.network import Embeddings, Encoder, EncoderSpec, Words
from whet.encoder.positions import AbsolutePositions
from whet.encoder.relative_bias import BiasedAttention, RelativeBias
from whet.errors import CheckpointError

_OFFSET = 2  # the first place has the number behind the padding token's, which is 1 whatever config.json says
_N_BUCKETS = 32


def _spec(config: Config) -> EncoderSpec:
    found = config.get("relative_attention_num_buckets", _N_BUCKETS)
    if found != _N_BUCKETS:
        raise CheckpointError(
            f"config.json: relative_attention_num_buckets is {found!r}; only {_N_BUCKETS} is built, "
            "which is what MPNet is made with."
        )
    return replace(bert_like_spec(config, _OFFSET, least_types=0), n_types=0)


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    parts = {
        "words": Words(spec.vocab_size, spec.hidden_size),
        "positions": AbsolutePositions(spec.max_positions, spec.hidden_size, _OFFSET),
    }
    return Encoder(
        spec,
        Embeddings(parts, layer_norm(spec), spec.dropout),
        bert_like_layers(spec, BiasedAttention()),
        positions=RelativeBias(_N_BUCKETS, spec.n_heads),
    )


_LAYER = {
    "attention.qkv": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
    "attention.output": ("attention.attn.o",),
    "attention_norm": ("attention.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}


def _names(spec: EncoderSpec, config: Config) -> NameTable:
    bias = NameTable({"positions.table.weight": ("encoder.relative_attention_bias.weight",)})
    places = [f"encoder.layer.{i}" for i in range(spec.n_layers)]
    return embedding_names(spec) | layer_names(places, _LAYER) | bias


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TextHead(spec, n_outputs, first_state, spec.dropout, Transform(spec, "tanh", spec.dropout))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, spec.dropout)


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout=None)


def _masked_lm_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return masked_lm_head(spec, config, "gelu")


FAMILY = Family(
    model_type="mpnet",
    title="MPNet",
    advice="English; what many of the best small sentence encoders are",
    spec=_spec,
    encoder=_encoder,
    encoder_names=_names,
    encoder_prefix="mpnet.",
    heads={
        "text": HeadClass(
            "MPNetForSequenceClassification",
            _text_head,
            module_names({"transform.dense": ("classifier.dense",), "classifier": ("classifier.out_proj",)}),
        ),
        "token": HeadClass(
            "MPNetForTokenClassification", _token_head, linear_names("classifier", "classifier")
        ),
        "span": HeadClass("MPNetForQuestionAnswering", _span_head, linear_names("classifier", "qa_outputs")),
        MASKED_LM: HeadClass("MPNetForMaskedLM", _masked_lm_head, LM_HEAD),
    },
)
