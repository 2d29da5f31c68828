"""BERT (Devlin et al. 2018): post-norm, absolute positions, a pooler over the first token."""

from torch import nn

from whet.checkpoints.families.base import (
    MASKED_LM,
    NEXT_SENTENCE,
    Config,
    Family,
    HeadClass,
    bert_like_layers,
    bert_like_names,
    bert_like_spec,
    dropout_of,
    layer_norm,
    linear_names,
    masked_lm_head,
    module_names,
    tied,
)
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, pooler_output
from whet.encoder.masked_lm import MaskedLMHead
from whet.encoder.network import Embeddings, Encoder, EncoderSpec, TokenTypes, Words
from whet.encoder.positions import AbsolutePositions


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    width = spec.hidden_size
    parts = {
        "words": Words(spec.vocab_size, width),
        "types": TokenTypes(spec.n_types, width),
        "positions": AbsolutePositions(spec.max_positions, width),
    }
    embeddings = Embeddings(parts, layer_norm(spec), spec.dropout)
    return Encoder(spec, embeddings, bert_like_layers(spec), pooler=nn.Linear(width, width))


def _names(spec: EncoderSpec, config: Config) -> NameTable:
    return bert_like_names(spec, config) | linear_names("pooler", "pooler.dense")


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TextHead(spec, n_outputs, pooler_output, dropout_of(config, "classifier_dropout"))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout_of(config, "classifier_dropout"))


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout=None)


def _masked_lm_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return masked_lm_head(spec, config, spec.activation)


def _next_sentence_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    transform = Transform(spec, spec.activation, norm=layer_norm(spec))
    return MaskedLMHead(spec, tied(config, transform), with_follows=True)


_PREDICTIONS = module_names(
    {
        "transform.dense": ("cls.predictions.transform.dense",),
        "transform.norm": ("cls.predictions.transform.LayerNorm",),
    }
) | NameTable({"classifier.bias": ("cls.predictions.bias",)})
_FOLLOWS = linear_names("follows", "cls.seq_relationship")
_CLASSIFIER = linear_names("classifier", "classifier")

FAMILY = Family(
    model_type="bert",
    title="BERT",
    advice="the common ground: `mini` and most small and multilingual encoders are of this kind",
    spec=bert_like_spec,
    encoder=_encoder,
    encoder_names=_names,
    encoder_prefix="bert.",
    heads={
        "text": HeadClass("BertForSequenceClassification", _text_head, _CLASSIFIER, with_pooler=True),
        "token": HeadClass("BertForTokenClassification", _token_head, _CLASSIFIER),
        "span": HeadClass("BertForQuestionAnswering", _span_head, linear_names("classifier", "qa_outputs")),
        MASKED_LM: HeadClass("BertForMaskedLM", _masked_lm_head, _PREDICTIONS, with_pooler=True),
        NEXT_SENTENCE: HeadClass(
            "BertForPreTraining", _next_sentence_head, _PREDICTIONS | _FOLLOWS, with_pooler=True
        ),
    },
)
