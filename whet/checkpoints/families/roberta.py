"""RoBERTa (Liu et al. 2019): BERT's layers; places are counted from behind the padding token, and the head
for texts has a layer of its own in place of a pooler."""

from whet.checkpoints.families.base import (
    MASKED_LM,
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
    size,
)
from whet.checkpoints.names import NameTable
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, first_state
from whet.encoder.network import Embeddings, Encoder, EncoderSpec, TokenTypes, Words
from whet.encoder.positions import AbsolutePositions


def _offset(config: Config) -> int:
    """The first place has the number behind the padding token's."""
    return size(config, "pad_token_id", 0) + 1


def _spec(config: Config) -> EncoderSpec:
    return bert_like_spec(config, _offset(config))


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    width = spec.hidden_size
    parts = {
        "words": Words(spec.vocab_size, width),
        "types": TokenTypes(spec.n_types, width),
        "positions": AbsolutePositions(spec.max_positions, width, _offset(config)),
    }
    return Encoder(spec, Embeddings(parts, layer_norm(spec), spec.dropout), bert_like_layers(spec))


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    dropout = dropout_of(config, "classifier_dropout")
    return TextHead(spec, n_outputs, first_state, dropout, Transform(spec, "tanh", dropout))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout_of(config, "classifier_dropout"))


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout=None)


def _masked_lm_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return masked_lm_head(spec, config, "gelu")


LM_HEAD = module_names(
    {"transform.dense": ("lm_head.dense",), "transform.norm": ("lm_head.layer_norm",)}
) | NameTable({"classifier.bias": ("lm_head.bias",)})
"""What RoBERTa calls its masked-LM head."""


def family_like_roberta(model_type: str, title: str, advice: str, name: str) -> Family:
    """A family that is RoBERTa under another name; `name` begins the names of transformers' classes."""
    text = module_names({"transform.dense": ("classifier.dense",), "classifier": ("classifier.out_proj",)})
    return Family(
        model_type=model_type,
        title=title,
        advice=advice,
        spec=_spec,
        encoder=_encoder,
        encoder_names=bert_like_names,
        encoder_prefix="roberta.",
        heads={
            "text": HeadClass(f"{name}ForSequenceClassification", _text_head, text),
            "token": HeadClass(
                f"{name}ForTokenClassification", _token_head, linear_names("classifier", "classifier")
            ),
            "span": HeadClass(
                f"{name}ForQuestionAnswering", _span_head, linear_names("classifier", "qa_outputs")
            ),
            MASKED_LM: HeadClass(f"{name}ForMaskedLM", _masked_lm_head, LM_HEAD),
        },
    )


FAMILY = family_like_roberta(
    "roberta", "RoBERTa", "English with capitals; better than BERT at the same size and cost", "Roberta"
)
