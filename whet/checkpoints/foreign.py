"""Every other encoder that transformers has: a family made from config.json, which runs padded.

Which encoders these are is found in transformers' own tables of classes. No code from a checkpoint is ever
run: only classes that are part of transformers are used.
"""

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from whet.checkpoints.families.base import LEAST_PLACES, Config, Family, HeadClass
from whet.checkpoints.names import NameTable
from whet.checkpoints.padded import (
    PaddedEncoder,
    PaddedHead,
    Padding,
    Reading,
    layers_of,
    span_logits,
    text_logits,
    token_logits,
)
from whet.encoder.network import EncoderSpec
from whet.errors import CheckpointError

_READINGS: dict[str, Reading] = {"text": text_logits, "token": token_logits, "span": span_logits}
_MOST_PADDING = 0.15  # share of a padded batch
_UNLIMITED = 512  # tokens, where config.json states no limit: what such encoders were pre-trained with
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")  # of a layer, in the name of a tensor
_N_OUTPUTS = 89  # a number of labels by which the classifier is found

_IGNORES_PADDING = frozenset(
    {
        *("big_bird", "data2vec-text", "deberta", "ernie", "esm", "esmc", "eurobert", "flaubert", "gte"),
        *("ibert", "jina_embeddings_v3", "layoutlm", "lilt", "longformer", "luke", "markuplm"),
        *(
            "megatron-bert",
            "nomic_bert",
            "rembert",
            "roberta-prelayernorm",
            "roc_bert",
            "roformer",
            "squeezebert",
        ),
        *("ultrabert", "xlm", "xlm-roberta-xl", "xmod"),
    }
)
"""Model types whose tokens see nothing of padding: tests/checkpoints/test_foreign.py holds them to it. Of all
others only sequences of one length are computed together, so what is computed is the same as alone."""

_CHANGES: dict[str, dict[str, Any]] = {
    # Its blocks need long texts, and the first short one would switch them off for good.
    "big_bird": {"attention_type": "original_full"}
}
"""Entries of config.json that are read otherwise than they stand, and saved so."""

_NOT_OF_THE_ENCODER = ("auto_map", "id2label", "label2id", "problem_type", "quantization_config")
"""Entries of config.json that no module here is built by."""

_UNFIT = {
    "reformer": "in training it takes texts of one length only",
    "nystromformer": "it takes texts of one length only",
    "funnel": "it fails on texts of a few tokens",
    "perceiver": "it reads bytes, and whet gives tokens",
    "canine": "it reads characters, and whet gives tokens",
    "tapas": "it reads tables",
    "layoutlmv2": "it reads pictures of pages",
    "layoutlmv3": "it reads pictures of pages",
    "modernvbert": "it reads pictures",
    "ultravbert": "it reads pictures",
}
"""Encoders that transformers has for something else than texts."""


def foreign_family(config: Config, packed: Sequence[str]) -> Family:
    """A family of its own for a config.json whose model_type is none of `packed`.

    Raises CheckpointError: a model_type that is absent or unknown, code of its own, a decoder, an
    encoder-decoder, no class for texts, or one that transformers cannot build."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise CheckpointError(f"config.json: model_type is {model_type!r}; the folder is not whole.")
    why = _why_not(model_type, config)
    if why is not None:
        raise CheckpointError(
            f"config.json: model_type is '{model_type}'; {why}. whet fine-tunes encoders: packed "
            f"{', '.join(packed)}, and others that transformers has, padded. Choose one of these, or --model "
            "mini."
        )
    return _family(json.dumps({key: config[key] for key in sorted(config)}))


def _why_not(model_type: str, config: Config) -> str | None:
    """The reason why a checkpoint is refused."""
    import transformers
    from transformers.models.auto import modeling_auto as tables

    if model_type not in transformers.CONFIG_MAPPING:
        if config.get("auto_map"):
            return "it needs code that comes with the checkpoint (auto_map), and whet never runs such code"
        return f"transformers {transformers.__version__} does not have it"
    settings = _settings(config)
    kind = type(settings)
    if settings.is_encoder_decoder:
        return "that is an encoder-decoder, which reads one text and writes another"
    writes = kind in tables.MODEL_FOR_CAUSAL_LM_MAPPING and kind not in tables.MODEL_FOR_MASKED_LM_MAPPING
    if writes or getattr(settings, "is_decoder", False):
        return "that is a decoder, which writes texts, and whose tokens see only those before them"
    if model_type in _UNFIT:
        return _UNFIT[model_type]
    if kind not in tables.MODEL_MAPPING or kind not in tables.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        return "transformers has no class of it that classifies texts"
    with torch.device("meta"):
        if any(getattr(part, "is_causal", False) for part in _plain(settings).modules()):
            return "that is a decoder, whose tokens see only those before them"
    return None


@lru_cache(maxsize=8)
def _family(text: str) -> Family:
    """Of a config.json; its modules are made once without memory, to see their names."""
    config: dict[str, Any] = json.loads(text)
    settings = _settings(config)
    classes = _classes(settings)
    heads, rows = {}, dict[str, tuple[str, ...]]()
    with torch.device("meta"):
        for layout, head_class in classes.items():
            whole = _built(head_class, _settings(config, layout=layout))
            heads[layout] = _head_class(head_class, layout, whole)
            rows |= _same_names(_base(whole), "base.").rows
        plain = _plain(settings)
    spec = _spec(settings, plain)
    rows |= _same_names(plain, "base.").rows
    return Family(
        model_type=settings.model_type,
        title=settings.model_type,
        advice="through transformers' own module",
        spec=lambda config: spec,
        encoder=lambda spec, config: _encoder(_plain(_settings(config)), spec),
        encoder_names=lambda spec, config: NameTable(rows),
        encoder_prefix=f"{plain.base_model_prefix}.",
        heads=heads,
        is_packed=False,
        changed=_CHANGES.get(settings.model_type, {}),
        convert=_converted,
    )


def _settings(config: Config, layout: str | None = None, n_outputs: int = _N_OUTPUTS) -> Any:
    """transformers' configuration object. Raises CheckpointError where it takes none of this."""
    import transformers

    model_type = str(config["model_type"])
    own = {key: value for key, value in config.items() if key not in _NOT_OF_THE_ENCODER}
    own |= _CHANGES.get(model_type, {}) | {"num_labels": 2 if layout == "span" else n_outputs}
    try:
        return transformers.CONFIG_MAPPING[model_type].from_dict(copy.deepcopy(own))
    except Exception as error:
        raise CheckpointError(f"config.json: transformers cannot read it ({error}).") from None


def _classes(settings: Any) -> dict[str, Any]:
    """By layout, transformers' class of this model type."""
    from transformers.models.auto import modeling_auto as tables

    mappings = {
        "text": tables.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        "token": tables.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
        "span": tables.MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    }
    kind = type(settings)
    return {layout: mapping[kind] for layout, mapping in mappings.items() if kind in mapping}


def _built(module_class: Any, settings: Any) -> Any:
    """A module with first weights that are the same each time. Raises CheckpointError where transformers
    cannot build it."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        try:
            return module_class(settings)
        except Exception as error:
            raise CheckpointError(
                f"config.json: transformers cannot build {module_class.__name__} from it "
                f"({type(error).__name__}: {error})."
            ) from None


def _plain(settings: Any) -> Any:
    """The base model alone; that of the class which config.json names, where it is one with a head."""
    from transformers.models.auto import modeling_auto as tables

    names = settings.architectures or ()
    for head_class in _classes(settings).values():
        if head_class.__name__ in names:
            return _base(_built(head_class, settings))
    return _built(tables.MODEL_MAPPING[type(settings)], settings)


def _base(whole: Any) -> Any:
    """The base model in a class with a head."""
    return whole.get_submodule(whole.base_model_prefix)


def _encoder(base: Any, spec: EncoderSpec) -> PaddedEncoder:
    settings = base.config
    most = _MOST_PADDING if settings.model_type in _IGNORES_PADDING else 0.0
    inputs = set(signature(base.forward).parameters)
    if spec.n_types < 2:
        inputs.discard("token_type_ids")
    return PaddedEncoder(spec, base, Padding(_pad_token(settings), most, frozenset(inputs)))


def _pad_token(settings: Any) -> int:
    """Any token will do where config.json names none that there is: nothing is read at its place."""
    number = settings.pad_token_id
    return number if isinstance(number, int) and 0 <= number < settings.vocab_size else 0


def _head_class(head_class: Any, layout: str, whole: Any) -> HeadClass:
    """A class without its base, by a module of it that has no memory."""
    base = whole.base_model_prefix
    n_outputs = 2 if layout == "span" else _N_OUTPUTS
    linear = [
        name
        for name, part in whole.named_modules()
        if isinstance(part, nn.Linear) and part.out_features == n_outputs and not name.startswith(f"{base}.")
    ]
    if not linear:
        raise CheckpointError(
            f"transformers' {head_class.__name__} ends with no linear layer; whet needs one."
        )
    classifier = linear[-1]
    names = {}
    for name in whole.state_dict():
        if name.startswith(f"{classifier}."):
            names[f"classifier.{name.removeprefix(f'{classifier}.')}"] = (name,)
        elif not name.startswith(f"{base}."):
            names[f"rest.{name}"] = (name,)

    def build(spec: EncoderSpec, config: Config, n_outputs: int) -> PaddedHead:
        built = _built(head_class, _settings(config, layout, n_outputs))
        return PaddedHead(built, base, classifier, _READINGS[layout])

    def encoder(spec: EncoderSpec, config: Config) -> PaddedEncoder:
        return _encoder(_base(_built(head_class, _settings(config, layout))), spec)

    return HeadClass(head_class.__name__, build, NameTable(names), with_pooler=True, encoder=encoder)


def _same_names(module: nn.Module, prefix: str) -> NameTable:
    return NameTable({prefix + name: (name,) for name in module.state_dict()})


def _spec(settings: Any, base: nn.Module) -> EncoderSpec:
    """Raises CheckpointError for numbers that classes are built with, and fail with later."""
    places = _max_positions(settings, base)
    counts = {"num_hidden_layers": 1, "num_attention_heads": 1}
    wrong = [
        f"{key} is {value}, and must be at least {least}"
        for key, least in counts.items()
        if isinstance(value := getattr(settings, key, None), int) and value < least
    ]
    if places < LEAST_PLACES:
        wrong.append(f"it leaves places for {places} tokens, and must for at least {LEAST_PLACES}")
    if any(
        not isinstance(one, nn.Embedding) and vars(one).get("padding_idx", 0) is None
        for one in base.modules()
    ):
        wrong.append("pad_token_id is None, and must be the token from which this encoder counts places")
    if wrong:
        raise CheckpointError(f"config.json: {'; '.join(wrong)}.")
    return EncoderSpec(
        vocab_size=settings.vocab_size,
        max_positions=places,
        n_types=getattr(settings, "type_vocab_size", None) or 0,
        hidden_size=settings.hidden_size,
        n_layers=len(layers_of(base)),
        n_heads=settings.num_attention_heads,
        intermediate_size=getattr(settings, "intermediate_size", 4 * settings.hidden_size),
        activation=str(getattr(settings, "hidden_act", "gelu")),
        norm_epsilon=float(getattr(settings, "layer_norm_eps", 1e-12)),
        dropout=float(getattr(settings, "hidden_dropout_prob", 0.1)),
        initializer_range=float(getattr(settings, "initializer_range", 0.02)),
    )


def _max_positions(settings: Any, base: nn.Module) -> int:
    """The longest sequence, in tokens. Where a table of positions has a padding row, as RoBERTa's, places
    are counted from behind it."""
    for name, part in base.named_modules():
        padding = getattr(part, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            n_rows: int = part.weight.shape[0]
            return n_rows - int(padding) - 1
    stated = getattr(settings, "max_position_embeddings", None)
    return stated if isinstance(stated, int) and stated > 0 else _UNLIMITED


def _converted(tensors: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """A checkpoint's tensors under the names of today: some model types were renamed when they came into
    transformers, which knows how. A tensor of another shape than config.json's stays as it is."""
    settings = _settings(config)
    classes = {one.__name__: (one, layout) for layout, one in _classes(settings).items()}
    named = [classes[name] for name in settings.architectures or () if name in classes]
    if named:
        module_class, layout = named[0]
        settings = _settings(config, layout, len(config.get("id2label") or range(2)))
    else:
        with torch.device("meta"):
            module_class = type(_plain(settings))
    is_double = any(tensor.dtype == torch.float64 for tensor in tensors.values())
    with _quiet():
        try:
            module, said = module_class.from_pretrained(
                None,
                config=settings,
                state_dict=dict(tensors),
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                dtype=torch.float64 if is_double else torch.float32,
            )
        except Exception as error:
            raise CheckpointError(f"transformers cannot read these weights ({error}).") from None
    _refuse_more_layers(module.state_dict().keys(), said["unexpected_keys"])
    found = {name: tensor for name, tensor in module.state_dict().items() if name not in said["missing_keys"]}
    for name, *_ in said["mismatched_keys"]:
        found.pop(name, None)
        found |= {name: tensors[name]} if name in tensors else {}
    return found


def _refuse_more_layers(known: Iterable[str], more: Iterable[str]) -> None:
    """Raises CheckpointError for tensors that are named as others are, but for the number of a layer."""
    patterns = {_NUMBER.sub("#", name) for name in known}
    layers = sorted(name for name in more if _NUMBER.search(name) and _NUMBER.sub("#", name) in patterns)
    if layers:
        raise CheckpointError(
            f"the weights have more layers than config.json names: {', '.join(layers[:4])} ... "
            f"({len(layers)} tensors)."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers tells what it misses, and shows a bar; we tell it ourselves."""
    from transformers.utils import logging

    theirs: Any = logging
    level, has_bar = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity(theirs.CRITICAL)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if has_bar:
            theirs.enable_progress_bar()
