"""ELECTRA (Clark et al. 2020): BERT's layers, trained to tell replaced tokens from others; the small ones
have narrower embeddings, and there is no pooler."""

from whet.checkpoints.families.base import (
    Config,
    Family,
    HeadClass,
    bert_like_layers,
    bert_like_names,
    bert_like_spec,
    dropout_of,
    linear_names,
    module_names,
    projected_embeddings,
    size,
)
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, first_state
from whet.encoder.network import Encoder, EncoderSpec


def _is_projected(spec: EncoderSpec, config: Config) -> bool:
    return bool(size(config, "embedding_size") != spec.hidden_size)


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    width = size(config, "embedding_size")
    embeddings = projected_embeddings(spec, width, _is_projected(spec, config))
    return Encoder(spec, embeddings, bert_like_layers(spec))


def _names(spec: EncoderSpec, config: Config) -> NameTable:
    names = bert_like_names(spec, config)
    if _is_projected(spec, config):
        names |= linear_names("embeddings.projection", "embeddings_project")
    return names


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    dropout = dropout_of(config, "classifier_dropout")
    return TextHead(spec, n_outputs, first_state, dropout, Transform(spec, "gelu", dropout))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout_of(config, "classifier_dropout"))


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout=None)


FAMILY = Family(
    model_type="electra",
    title="ELECTRA",
    advice="strong for its size, above all the small one; its discriminators are what to fine-tune",
    spec=bert_like_spec,
    encoder=_encoder,
    encoder_names=_names,
    encoder_prefix="electra.",
    heads={
        "text": HeadClass(
            "ElectraForSequenceClassification",
            _text_head,
            module_names({"transform.dense": ("classifier.dense",), "classifier": ("classifier.out_proj",)}),
        ),
        "token": HeadClass(
            "ElectraForTokenClassification", _token_head, linear_names("classifier", "classifier")
        ),
        "span": HeadClass(
            "ElectraForQuestionAnswering", _span_head, linear_names("classifier", "qa_outputs")
        ),
    },
)
