"""DistilBERT (Sanh et al. 2019): half of BERT's layers, taught by BERT; no token types and no pooler."""

from whet.checkpoints.families.base import (
    MASKED_LM,
    Config,
    Family,
    HeadClass,
    activation_of,
    bert_like_layers,
    embedding_names,
    layer_names,
    layer_norm,
    linear_names,
    masked_lm_head,
    module_names,
    n_places,
    number,
    refuse_decoder,
    size,
    width_and_heads,
)
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, first_state
from whet.encoder.network import Embeddings, Encoder, EncoderSpec, Words
from whet.encoder.positions import AbsolutePositions


def _spec(config: Config) -> EncoderSpec:
    """Sinusoidal positions are the table's first values only, so they need nothing here."""
    refuse_decoder(config)
    vocab_size = size(config, "vocab_size")
    hidden_size, n_heads = width_and_heads(config, "dim", "n_heads")
    return EncoderSpec(
        vocab_size=vocab_size,
        max_positions=n_places(config),
        n_types=0,
        hidden_size=hidden_size,
        n_layers=size(config, "n_layers"),
        n_heads=n_heads,
        intermediate_size=size(config, "hidden_dim"),
        activation=activation_of(config, "activation"),
        norm_epsilon=1e-12,
        dropout=number(config, "dropout", 0.1, below=1.0),
        initializer_range=number(config, "initializer_range", 0.02),
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
    dropout = number(config, "seq_classif_dropout", 0.2, below=1.0)
    return TextHead(spec, n_outputs, first_state, dropout, Transform(spec, "relu"))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, spec.dropout)


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, number(config, "qa_dropout", 0.1, below=1.0))


def _masked_lm_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return masked_lm_head(spec, config, spec.activation)


_VOCAB = module_names(
    {"transform.dense": ("vocab_transform",), "transform.norm": ("vocab_layer_norm",)}
) | NameTable({"classifier.bias": ("vocab_projector.bias",)})

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
        MASKED_LM: HeadClass("DistilBertForMaskedLM", _masked_lm_head, _VOCAB),
    },
)
