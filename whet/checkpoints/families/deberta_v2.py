"""DeBERTa, second and third version (He et al. 2020 and 2021): BERT's layers with disentangled attention,
whose table of relative positions all layers share. mDeBERTa is one of the third."""

from collections import OrderedDict

from torch import nn

from whet.checkpoints.families.base import (
    Config,
    Family,
    HeadClass,
    activation_of,
    bert_like_spec,
    dropout_of,
    layer_norm,
    linear_names,
    module_names,
    number,
)
from whet.checkpoints.names import NameTable
from whet.encoder.convolution import ConvolvedLayer
from whet.encoder.disentangled import DisentangledAttention, RelativeBuckets
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, first_state
from whet.encoder.network import Embeddings, Encoder, EncoderSpec, Layer, PostNormLayer, TokenTypes, Words
from whet.encoder.positions import AbsolutePositions
from whet.errors import CheckpointError

_DEFAULTS = {"layer_norm_eps": 1e-7, "conv_act": "tanh", "pooler_hidden_act": "gelu"}  # transformers' own


def _spec(config: Config) -> EncoderSpec:
    spec = bert_like_spec({**_DEFAULTS, **config}, least_types=0)
    kinds = config.get("pos_att_type") or ()
    kinds = kinds.lower().split("|") if isinstance(kinds, str) else kinds
    if not config.get("relative_attention") or sorted(kind.strip() for kind in kinds) != ["c2p", "p2c"]:
        raise CheckpointError(
            f"config.json: relative_attention is {config.get('relative_attention')} and pos_att_type "
            f"{config.get('pos_att_type')!r}; only relative attention of both types, c2p and p2c, is built."
        )
    head_dim = spec.hidden_size // spec.n_heads
    for key, value in (("attention_head_size", head_dim), ("pooler_hidden_size", spec.hidden_size)):
        if config.get(key, value) != value:
            raise CheckpointError(
                f"config.json: {key} is {config[key]}; only {value} fits this encoder's width."
            )
    if _kernel_size(config) and _kernel_size(config) % 2 == 0:
        raise CheckpointError(f"config.json: conv_kernel_size is {_kernel_size(config)}, and must be odd.")
    for key in ("conv_act", "pooler_hidden_act"):
        activation_of({**_DEFAULTS, **config}, key)
    return spec


def _kernel_size(config: Config) -> int:
    """Of the convolution beside the first layer; 0 where there is none."""
    return max(0, int(config.get("conv_kernel_size", 0)))


def _embedded(spec: EncoderSpec, config: Config) -> int:
    """The width of the embeddings before they are projected."""
    return int(config.get("embedding_size", spec.hidden_size))


def _embeddings(spec: EncoderSpec, config: Config) -> Embeddings:
    width = _embedded(spec, config)
    parts: dict[str, nn.Module] = {"words": Words(spec.vocab_size, width)}
    if spec.n_types:
        parts["types"] = TokenTypes(spec.n_types, width)
    if config.get("position_biased_input", True):
        parts["positions"] = AbsolutePositions(spec.max_positions, width)
    norm: nn.Module = layer_norm(spec)
    if width != spec.hidden_size:
        projection = nn.Linear(width, spec.hidden_size, bias=False)
        norm = nn.Sequential(OrderedDict(projection=projection, norm=norm))
    return Embeddings(parts, norm, spec.dropout)


def _normed_positions(config: Config) -> bool:
    return "layer_norm" in [kind.strip() for kind in config.get("norm_rel_ebd", "none").lower().split("|")]


def _positions(spec: EncoderSpec, config: Config) -> RelativeBuckets:
    farthest = int(config.get("max_relative_positions", -1))
    farthest = spec.max_positions if farthest < 1 else farthest
    n_buckets = int(config.get("position_buckets", -1))
    norm = layer_norm(spec) if _normed_positions(config) else None
    return RelativeBuckets(
        n_buckets if n_buckets > 0 else farthest, farthest, n_buckets > 0, spec.hidden_size, norm
    )


def _layers(spec: EncoderSpec, config: Config) -> list[Layer]:
    layers: list[Layer] = []
    for i in range(spec.n_layers):
        shared = config.get("share_att_key", False)
        projection = None if shared else nn.Linear(spec.hidden_size, 2 * spec.hidden_size)
        attention = DisentangledAttention(spec.hidden_size, spec.n_heads, projection)
        layers.append(PostNormLayer(spec, i, attention))
    size = _kernel_size(config)
    if size:
        groups = int(config.get("conv_groups", 1))
        conv = nn.Conv1d(spec.hidden_size, spec.hidden_size, size, padding=size // 2, groups=groups)
        activation = activation_of({**_DEFAULTS, **config}, "conv_act")
        layers[0] = ConvolvedLayer(spec, layers[0], conv, activation)
    return layers


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    return Encoder(spec, _embeddings(spec, config), _layers(spec, config), _positions(spec, config))


_LAYER = {
    "attention.qkv": tuple(f"attention.self.{kind}_proj" for kind in ("query", "key", "value")),
    "attention.position_projection": ("attention.self.pos_query_proj", "attention.self.pos_key_proj"),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}


def _names(spec: EncoderSpec, config: Config) -> NameTable:
    tables = {
        "embeddings.parts.words.table.weight": ("embeddings.word_embeddings.weight",),
        "positions.table.weight": ("encoder.rel_embeddings.weight",),
    }
    if spec.n_types:
        tables["embeddings.parts.types.table.weight"] = ("embeddings.token_type_embeddings.weight",)
    if config.get("position_biased_input", True):
        tables["embeddings.parts.positions.table.weight"] = ("embeddings.position_embeddings.weight",)
    modules: dict[str, tuple[str, ...]] = {}
    if _embedded(spec, config) == spec.hidden_size:
        modules["embeddings.norm"] = ("embeddings.LayerNorm",)
    else:
        tables["embeddings.norm.projection.weight"] = ("embeddings.embed_proj.weight",)
        modules["embeddings.norm.norm"] = ("embeddings.LayerNorm",)
    if _normed_positions(config):
        modules["positions.norm"] = ("encoder.LayerNorm",)
    if _kernel_size(config):
        modules |= {"layers.0.conv": ("encoder.conv.conv",), "layers.0.norm": ("encoder.conv.LayerNorm",)}
    for i in range(spec.n_layers):
        place = "layers.0.layer" if i == 0 and _kernel_size(config) else f"layers.{i}"
        for ours, theirs in _LAYER.items():
            if ours != "attention.position_projection" or not config.get("share_att_key", False):
                modules[f"{place}.{ours}"] = tuple(f"encoder.layer.{i}.{name}" for name in theirs)
    return NameTable(tables) | module_names(modules)


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    activation = activation_of({**_DEFAULTS, **config}, "pooler_hidden_act")
    transform = Transform(spec, activation, number(config, "pooler_dropout", 0.0, below=1.0))
    return TextHead(spec, n_outputs, first_state, dropout_of(config, "cls_dropout"), transform)


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, spec.dropout)


def _span_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, dropout=None)


_CLASSIFIER = linear_names("classifier", "classifier")

FAMILY = Family(
    model_type="deberta-v2",
    title="DeBERTa-v2 and -v3",
    advice="often the best of its size, in English and (mDeBERTa) a hundred languages; slower than BERT",
    spec=_spec,
    encoder=_encoder,
    encoder_names=_names,
    encoder_prefix="deberta.",
    heads={
        "text": HeadClass(
            "DebertaV2ForSequenceClassification",
            _text_head,
            linear_names("transform.dense", "pooler.dense") | _CLASSIFIER,
        ),
        "token": HeadClass("DebertaV2ForTokenClassification", _token_head, _CLASSIFIER),
        "span": HeadClass(
            "DebertaV2ForQuestionAnswering", _span_head, linear_names("classifier", "qa_outputs")
        ),
    },
)
