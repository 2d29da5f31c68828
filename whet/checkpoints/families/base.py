"""What a family of encoders has to say about itself."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from torch import Tensor, nn

from whet.checkpoints.names import NameTable
from whet.encoder.attention import FastAttention, Kernel, SelfAttention
from whet.encoder.heads import Head, TextHead, Transform, mean_state
from whet.encoder.masked_lm import MaskedLMHead
from whet.encoder.network import (
    ACTIVATIONS,
    AnyEncoder,
    Embeddings,
    EncoderSpec,
    Layer,
    PostNormLayer,
    TokenTypes,
    Words,
)
from whet.encoder.positions import AbsolutePositions
from whet.errors import CheckpointError

Config = Mapping[str, Any]
"""config.json as it stands."""

Tensors = Mapping[str, Tensor]
"""A checkpoint's, by name."""

MEAN = "mean"
"""The layout of a head for whole texts that reads the mean of their tokens, whatever the family."""

LEAST_PLACES = 4
"""Tokens that an encoder must be able to read: special ones, and one of each of two texts."""

MASKED_LM, NEXT_SENTENCE = "masked-lm", "next-sentence"
"""The layouts of pretraining: hidden words; and with them, whether the second part of a text follows the
first."""

_PURPOSES = {"text": "classifies texts", "token": "tags words", "span": "answers questions"}


@final
@dataclass(frozen=True)
class Family:
    """How config.json and parameter names of one `model_type` map to ours."""

    model_type: str
    title: str  # as people call it
    advice: str  # when to choose it, one sentence
    spec: Callable[[Config], EncoderSpec]  # raises CheckpointError
    encoder: Callable[[EncoderSpec, Config], AnyEncoder]
    encoder_names: Callable[[EncoderSpec, Config], NameTable]
    encoder_prefix: str  # what stands before the encoder's names in a model with a head
    heads: Mapping[str, "HeadClass"]  # by what a task's `layout` is
    is_packed: bool = True  # else it is padded inside
    changed: Config = field(default_factory=dict)  # entries of config.json that are computed otherwise
    convert: Callable[[Tensors, Config], Tensors] = lambda tensors, config: tensors  # to the names of today

    def head_class(self, layout: str) -> "HeadClass":
        """Raises CheckpointError where transformers has none."""
        if layout == MEAN:
            return HeadClass(
                self._base_class, _mean_head, linear_names("classifier", "linear"), with_pooler=True
            )
        if layout not in self.heads and layout in (MASKED_LM, NEXT_SENTENCE):
            what = "masked-LM head" if layout == MASKED_LM else "next-sentence prediction"
            raise CheckpointError(
                f"config.json: model_type is '{self.model_type}', for which whet has no {what}. Choose "
                f"an encoder of another family (whet models), or --model mini."
            )
        if layout not in self.heads:
            raise CheckpointError(
                f"config.json: model_type is '{self.model_type}', of which transformers has no class that "
                f"{_PURPOSES[layout]}. Choose another encoder, or --model mini."
            )
        return self.heads[layout]

    @property
    def _base_class(self) -> str:
        """transformers' class of the encoder without a head."""
        return next(iter(self.heads.values())).architecture.rpartition("For")[0] + "Model"

    def encoder_of(self, layout: str | None, spec: EncoderSpec, config: Config) -> AnyEncoder:
        """As it is in the class of a layout; None: by itself."""
        head = None if layout is None else self.head_class(layout)
        if head is not None and head.encoder is not None:
            return head.encoder(spec, config)
        encoder = self.encoder(spec, config)
        if head is not None and not head.with_pooler:
            encoder.pooler = None
        return encoder


@final
@dataclass(frozen=True)
class HeadClass:
    """A head as transformers has it."""

    architecture: str  # the class
    build: Callable[[EncoderSpec, Config, int], Head]  # for a number of outputs
    names: NameTable  # the head's tensors in it
    with_pooler: bool = False  # whether the class has the encoder's pooler, or its folder keeps one, unread
    encoder: Callable[[EncoderSpec, Config], AnyEncoder] | None = None  # where it has another one


def _mean_head(spec: EncoderSpec, config: Config, n_outputs: int) -> Head:
    return TextHead(spec, n_outputs, mean_state, spec.dropout)


def masked_lm_head(spec: EncoderSpec, config: Config, activation: str) -> MaskedLMHead:
    """With a transform of one linear layer, an activation and a norm, as BERT and RoBERTa have it."""
    return MaskedLMHead(spec, tied(config, Transform(spec, activation, norm=layer_norm(spec))))


def tied(config: Config, transform: Transform) -> Transform:
    """The same. Raises CheckpointError where the decoder is no table that the encoder has."""
    if config.get("tie_word_embeddings", True) is False:
        raise CheckpointError(
            "config.json: tie_word_embeddings is false; whet has masked-LM heads only whose decoder is the "
            "encoder's own table of words."
        )
    return transform


def linear_names(ours: str, *theirs: str) -> NameTable:
    """The names of one linear layer of ours, and of those that are stacked to make it."""
    return NameTable(
        {f"{ours}.{kind}": tuple(f"{name}.{kind}" for name in theirs) for kind in ("weight", "bias")}
    )


def module_names(modules: Mapping[str, tuple[str, ...]]) -> NameTable:
    """The same of several modules that have a weight and a bias each."""
    table = NameTable({})
    for ours, theirs in modules.items():
        table |= linear_names(ours, *theirs)
    return table


def dropout_of(config: Config, key: str, otherwise: str = "hidden_dropout_prob") -> float:
    """A head's own dropout where config.json has one, else that of another entry, else 0.1."""
    found = otherwise if config.get(key) is None else key
    return number(config, found, 0.1, below=1.0)


def setting(config: Config, key: str, kind: type) -> Any:
    """One entry of config.json. Raises CheckpointError where it is absent or of another type."""
    value = config.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CheckpointError(
            f"config.json: {key} is {value!r}, and must be {kind.__name__}; the folder is not whole."
        )
    return value


def size(config: Config, key: str, least: int = 1) -> int:
    """A whole number of config.json. Raises CheckpointError where it is absent or too small."""
    value: int = setting(config, key, int)
    if value < least:
        raise CheckpointError(f"config.json: {key} is {value}, and must be at least {least}.")
    return value


def number(config: Config, key: str, otherwise: float, below: float = math.inf) -> float:
    """A number from 0 up of config.json, `otherwise` where it is absent. Raises CheckpointError."""
    value = config.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise CheckpointError(f"config.json: {key} is {value!r}, and must be a number from 0 up{limit}.")
    return float(value)


def width_and_heads(config: Config, width: str, heads: str) -> tuple[int, int]:
    """Under their keys. Raises CheckpointError where the heads do not divide the width."""
    hidden_size, n_heads = size(config, width), size(config, heads)
    if hidden_size % n_heads:
        raise CheckpointError(
            f"config.json: {heads} is {n_heads}, and must divide {width}, which is {hidden_size}."
        )
    return hidden_size, n_heads


def n_places(config: Config, offset: int = 0) -> int:
    """Tokens of the longest sequence; `offset` rows of the table of positions are not used. Raises
    CheckpointError."""
    return size(config, "max_position_embeddings", LEAST_PLACES + offset) - offset


def architectures(config: Config) -> tuple[str, ...]:
    """The classes that config.json names. Raises CheckpointError."""
    found = config.get("architectures") or []
    if not isinstance(found, list):
        raise CheckpointError(f"config.json: architectures is {found!r}, and must be a list of names.")
    return tuple(map(str, found))


def activation_of(config: Config, key: str = "hidden_act") -> str:
    """Raises CheckpointError for one that is not built."""
    activation: str = setting(config, key, str)
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json: {key} is '{activation}'; whet has {', '.join(sorted(ACTIVATIONS))}."
        )
    return activation


def refuse_decoder(config: Config) -> None:
    """Raises CheckpointError for an encoder that was made to be a decoder."""
    if config.get("is_decoder"):
        raise CheckpointError("config.json: is_decoder is true; whet fine-tunes encoders only.")


def bert_like_spec(config: Config, offset: int = 0, least_types: int = 1) -> EncoderSpec:
    """What config.json says under BERT's names, which most families kept; `offset` rows of the table of
    positions are not used, and there are at least so many types of tokens. Raises CheckpointError."""
    refuse_decoder(config)
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise CheckpointError(
            f"config.json: position_embedding_type is '{config['position_embedding_type']}'; "
            "only 'absolute' is built for this family."
        )
    vocab_size = size(config, "vocab_size")
    hidden_size, n_heads = width_and_heads(config, "hidden_size", "num_attention_heads")
    return EncoderSpec(
        vocab_size=vocab_size,
        max_positions=n_places(config, offset),
        n_types=size({"type_vocab_size": 0, **config}, "type_vocab_size", least_types),
        hidden_size=hidden_size,
        n_layers=size(config, "num_hidden_layers"),
        n_heads=n_heads,
        intermediate_size=size(config, "intermediate_size"),
        activation=activation_of(config),
        norm_epsilon=number(config, "layer_norm_eps", 1e-12),
        dropout=number(config, "hidden_dropout_prob", 0.1, below=1.0),
        initializer_range=number(config, "initializer_range", 0.02),
    )


def layer_norm(spec: EncoderSpec) -> nn.LayerNorm:
    """Of the encoder's width."""
    return nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)


def bert_like_layers(spec: EncoderSpec, kernel: Kernel | None = None, n: int | None = None) -> list[Layer]:
    """BERT's own; n of them where not each has weights of its own, another kernel than the usual one."""
    kernel = FastAttention() if kernel is None else kernel
    return [
        PostNormLayer(spec, i, SelfAttention(spec.hidden_size, spec.n_heads, kernel))
        for i in range(spec.n_layers if n is None else n)
    ]


def projected_embeddings(spec: EncoderSpec, width: int, projected: bool = True) -> Embeddings:
    """BERT's own, but `width` wide; a linear layer brings them to the encoder's width."""
    return Embeddings(
        {
            "words": Words(spec.vocab_size, width),
            "types": TokenTypes(spec.n_types, width),
            "positions": AbsolutePositions(spec.max_positions, width),
        },
        nn.LayerNorm(width, eps=spec.norm_epsilon),
        spec.dropout,
        nn.Linear(width, spec.hidden_size) if projected else None,
    )


_LAYER = {
    "attention.qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}


def bert_like_names(spec: EncoderSpec, config: Config) -> NameTable:
    """BERT's own, without a pooler."""
    return embedding_names(spec) | layer_names([f"encoder.layer.{i}" for i in range(spec.n_layers)], _LAYER)


def embedding_names(spec: EncoderSpec) -> NameTable:
    """BERT's own; of token types only where there are some."""
    tables = {
        "embeddings.parts.words.table.weight": ("embeddings.word_embeddings.weight",),
        "embeddings.parts.positions.table.weight": ("embeddings.position_embeddings.weight",),
    }
    if spec.n_types:
        tables["embeddings.parts.types.table.weight"] = ("embeddings.token_type_embeddings.weight",)
    return NameTable(tables) | linear_names("embeddings.norm", "embeddings.LayerNorm")


def layer_names(places: Sequence[str], modules: Mapping[str, tuple[str, ...]]) -> NameTable:
    """Of layers whose modules are named alike: where each layer stands, and its modules' names there."""
    return module_names(
        {
            f"layers.{i}.{ours}": tuple(f"{place}.{name}" for name in theirs)
            for i, place in enumerate(places)
            for ours, theirs in modules.items()
        }
    )
