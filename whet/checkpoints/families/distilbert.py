"""DistilBERT (Sanh et al. 2019): half of BERT's layers, taught by BERT; no token types and no pooler."""

from whet.checkpoints.families.base import (
    Config,
    Family,
    HeadClass,
    activation_of,
    bert_like_layers,
    embedding_names,
    layer_names,
    layer_norm,
    linear_names,
    module_names,
    refuse_decoder,
    setting,
)
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, first_state
from whet.encoder.network import Embeddings, Encoder, EncoderSpec, Words
from whet.encoder.positions import AbsolutePositions


def _spec(config: Config) -> EncoderSpec:
    """Sinusoidal positions are the table's first values only, so they need nothing here."""
    refuse_decoder(config)
    return EncoderSpec(
        vocab_size=setting(config, "vocab_size", int),
        max_positions=setting(config, "max_position_embeddings", int),
        n_types=0,
        hidden_size=setting(config, "dim", int),
        n_layers=setting(config, "n_layers", int),
        n_heads=setting(config, "n_heads", int),
        intermediate_size=setting(config, "hidden_dim", int),
        activation=activation_of(config, "activation"),
        norm_epsilon=1e-12,
        dropout=float(config.get("dropout", 0.1)),
        initializer_range=float(config.get("initializer_range", 0.02)),
    )


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    parts = {
        "words": Words(spec.vocab_size, spec.hidden_size),
        "positions": AbsolutePositions(spec.max_positions, spec.hidden_size),
    }
    return Encoder(spec, Embeddings(parts, layer_norm(spec), spec.dropout), bert_like_layers(spec))


_LAYER = {
    "attention.qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention.output": ("attention.out_lin",),
    "attention_norm": ("sa_layer_norm",),
    "up": ("ffn.lin1",),
    "down": ("ffn.lin2",),
    "output_norm": ("output_layer_norm",),
}


def _names(spec: EncoderSpec, config: Config) -> NameTable:
    places = [f"transformer.layer.{i}" for i in range(spec.n_layers)]
    return embedding_names(spec) | layer_names(places, _LAYER)


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    dropout = float(config.get("seq_classif_dropout", 0.2))
    return TextHead(spec, n_outputs, first_state, dropout, Transform(spec, "relu"))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, spec.dropout)


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, float(config.get("qa_dropout", 0.1)))


FAMILY = Family(
    model_type="distilbert",
    title="DistilBERT",
    advice="half of BERT's cost for a little less quality",
    spec=_spec,
    encoder=_encoder,
    encoder_names=_names,
    encoder_prefix="distilbert.",
    heads={
        "text": HeadClass(
            "DistilBertForSequenceClassification",
            _text_head,
            module_names({"transform.dense": ("pre_classifier",), "classifier": ("classifier",)}),
        ),
        "token": HeadClass(
            "DistilBertForTokenClassification", _token_head, linear_names("classifier", "classifier")
        ),
        "span": HeadClass(
            "DistilBertForQuestionAnswering", _span_head, linear_names("classifier", "qa_outputs")
        ),
    },
)
