"""ModernBERT (Warner et al. 2024): rotary positions, layers that look at all of a text and layers that look
at near tokens only, gated feed-forward networks, norms before them."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from whet.checkpoints.families.base import (
    MASKED_LM,
    Config,
    Family,
    HeadClass,
    activation_of,
    linear_names,
    module_names,
    n_places,
    number,
    setting,
    size,
    tied,
    width_and_heads,
)
from whet.checkpoints.names import NameTable
from whet.encoder.attention import FastAttention, SelfAttention
from whet.encoder.heads import Head, TextHead, TokenHead, Transform, first_state, mean_state
from whet.encoder.local_attention import LocalAttention
from whet.encoder.masked_lm import MaskedLMHead
from whet.encoder.network import Embeddings, Encoder, EncoderSpec, Layer, Words
from whet.encoder.prenorm import GatedFeedForward, PreNormLayer
from whet.encoder.rotary import RotaryAttention, RotaryPositions
from whet.errors import CheckpointError

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_BASES = {_GLOBAL: ("global_rope_theta", 160_000.0), _LOCAL: ("local_rope_theta", 10_000.0)}
_POOLS = {"cls": first_state, "mean": mean_state}


def _spec(config: Config) -> EncoderSpec:
    vocab_size = size(config, "vocab_size")
    hidden_size, n_heads = width_and_heads(config, "hidden_size", "num_attention_heads")
    spec = EncoderSpec(
        vocab_size=vocab_size,
        max_positions=n_places(config),
        n_types=0,
        hidden_size=hidden_size,
        n_layers=size(config, "num_hidden_layers"),
        n_heads=n_heads,
        intermediate_size=size(config, "intermediate_size"),
        activation=activation_of(config, "hidden_activation"),
        norm_epsilon=number(config, "norm_eps", 1e-5),
        dropout=_dropout(config, "embedding_dropout"),
        initializer_range=number(config, "initializer_range", 0.02),
    )
    if spec.hidden_size % (2 * spec.n_heads):
        raise CheckpointError(
            f"config.json: hidden_size is {spec.hidden_size} with {spec.n_heads} heads; rotary positions "
            "need a width of an even number for each."
        )
    for kind in _kinds(spec, config):
        _base(kind, config)
    _reach(config)
    if config.get("classifier_pooling", "cls") not in _POOLS:
        raise CheckpointError(
            f"config.json: classifier_pooling is {config['classifier_pooling']!r}; whet has "
            f"{', '.join(_POOLS)}."
        )
    return spec


def _dropout(config: Config, key: str) -> float:
    return number({**config, key: config.get(key) or 0.0}, key, 0.0, below=1.0)


def _kinds(spec: EncoderSpec, config: Config) -> list[str]:
    """What each layer looks at: layer_types, in older files by global_attn_every_n_layers."""
    kinds = config.get("layer_types")
    if kinds is None:
        every = setting({"global_attn_every_n_layers": 3, **config}, "global_attn_every_n_layers", int)
        if every < 1:
            raise CheckpointError(
                f"config.json: global_attn_every_n_layers is {every}, and must be at least 1."
            )
        kinds = [_LOCAL if i % every else _GLOBAL for i in range(spec.n_layers)]
    if not isinstance(kinds, list) or len(kinds) != spec.n_layers or not set(kinds) <= {_GLOBAL, _LOCAL}:
        raise CheckpointError(
            f"config.json: layer_types is {kinds!r}, and must be a list of {spec.n_layers}, each {_GLOBAL} "
            f"or {_LOCAL}."
        )
    return kinds


def _base(kind: str, config: Config) -> float:
    """Of the rotary angles: in rope_parameters, in older files under a name of its own. Raises
    CheckpointError for angles that are made in another way than Su et al.'s."""
    parameters: Mapping[str, Any] = (config.get("rope_parameters") or {}).get(kind) or {}
    scaling = config.get("rope_scaling") or {}
    for found in (parameters, scaling):
        made = found.get("rope_type", found.get("type", "default"))
        if made != "default":
            raise CheckpointError(
                f"config.json: the rotary positions are of type '{made}'; only 'default' is built for this "
                "family."
            )
    key, usual = _BASES[kind]
    base = parameters.get("rope_theta", config.get(key, usual))
    if isinstance(base, bool) or not isinstance(base, int | float) or base <= 0:
        raise CheckpointError(
            f"config.json: the base of the rotary positions ({key}, or rope_theta of {kind}) is {base!r}, "
            "and must be a number above 0."
        )
    return float(base)


def _reach(config: Config) -> int:
    """How many places a local layer looks to either side."""
    window: int = setting({"local_attention": 128, **config}, "local_attention", int)
    if window < 2:
        raise CheckpointError(f"config.json: local_attention is {window}, and must be at least 2.")
    return window // 2


def _norm(spec: EncoderSpec, config: Config) -> nn.LayerNorm:
    bias = bool(config.get("norm_bias", False))
    return nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon, bias=bias)


def _encoder(spec: EncoderSpec, config: Config) -> Encoder:
    kinds = _kinds(spec, config)
    bases = {kind: _base(kind, config) for kind in kinds}
    kernels = {_GLOBAL: FastAttention(), _LOCAL: LocalAttention(_reach(config))}
    rotary = {kind: RotaryAttention(base, kernels[kind]) for kind, base in bases.items()}
    layers: list[Layer] = []
    for i, kind in enumerate(kinds):
        attention_bias, feed_bias = (bool(config.get(f"{part}_bias", False)) for part in ("attention", "mlp"))
        layers.append(
            PreNormLayer(
                i,
                SelfAttention(spec.hidden_size, spec.n_heads, rotary[kind], attention_bias),
                GatedFeedForward(spec, i, _dropout(config, "mlp_dropout"), feed_bias),
                attention_norm=_norm(spec, config) if i else None,  # the embeddings have one already
                feed_norm=_norm(spec, config),
                dropout=_dropout(config, "attention_dropout"),
            )
        )
    words = {"words": Words(spec.vocab_size, spec.hidden_size)}
    embeddings = Embeddings(words, _norm(spec, config), spec.dropout)
    positions = RotaryPositions(spec.hidden_size // spec.n_heads, tuple(sorted(set(bases.values()))))
    return Encoder(spec, embeddings, layers, positions, norm=_norm(spec, config))


_LAYER = {
    "attention_norm": "attn_norm",
    "attention.qkv": "attn.Wqkv",
    "attention.output": "attn.Wo",
    "feed_norm": "mlp_norm",
    "feed_forward.up": "mlp.Wi",
    "feed_forward.down": "mlp.Wo",
}


def _names(spec: EncoderSpec, config: Config) -> NameTable:
    """With the names of biases that most checkpoints do not have."""
    modules: dict[str, tuple[str, ...]] = {"embeddings.norm": ("embeddings.norm",), "norm": ("final_norm",)}
    for i in range(spec.n_layers):
        modules |= {f"layers.{i}.{ours}": (f"layers.{i}.{theirs}",) for ours, theirs in _LAYER.items()}
    words = {"embeddings.parts.words.table.weight": ("embeddings.tok_embeddings.weight",)}
    return NameTable(words) | module_names(modules)


def _transform(spec: EncoderSpec, config: Config) -> Transform:
    """A masked-LM checkpoint has it too, and every head starts from that."""
    activation = activation_of({"classifier_activation": "gelu", **config}, "classifier_activation")
    bias = bool(config.get("classifier_bias", False))
    return Transform(spec, activation, norm=_norm(spec, config), bias=bias)


def _text_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    pool = _POOLS[config.get("classifier_pooling", "cls")]
    dropout = _dropout(config, "classifier_dropout")
    return TextHead(spec, n_outputs, pool, dropout, _transform(spec, config))


def _token_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TokenHead(spec, n_outputs, _dropout(config, "classifier_dropout"), _transform(spec, config))


def _masked_lm_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    """Raises CheckpointError for a decoder without a bias."""
    if config.get("decoder_bias", True) is False:
        raise CheckpointError("config.json: decoder_bias is false; whet has masked-LM heads with one only.")
    return MaskedLMHead(spec, tied(config, _transform(spec, config)))


_TRANSFORM = module_names({"transform.dense": ("head.dense",), "transform.norm": ("head.norm",)})
_HEAD = _TRANSFORM | linear_names("classifier", "classifier")
_DECODER = _TRANSFORM | NameTable({"classifier.bias": ("decoder.bias",)})

FAMILY = Family(
    model_type="modernbert",
    title="ModernBERT",
    advice="English and code; texts up to 8,192 tokens",
    spec=_spec,
    encoder=_encoder,
    encoder_names=_names,
    encoder_prefix="model.",
    heads={
        "text": HeadClass("ModernBertForSequenceClassification", _text_head, _HEAD),
        "token": HeadClass("ModernBertForTokenClassification", _token_head, _HEAD),
        "span": HeadClass("ModernBertForQuestionAnswering", _token_head, _HEAD),
        MASKED_LM: HeadClass("ModernBertForMaskedLM", _masked_lm_head, _DECODER),
    },
)
