"""The configuration of a training run: flat, frozen, and every bad key or value reported at once.

Values come from four places, later ones winning: defaults, a recipe, options, `--set key=value`.
The reference table in the docs is made from `SETTINGS`.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from whet.config_kinds import Kind, setting
from whet.errors import ConfigError, nearest
from whet.group_rules import parse_groups

Cut = Literal["tail", "head", "middle"]
LongTexts = Literal["cut", "window"]
Context = Literal["sentence", "document"]
Pooling = Literal["own", "mean"]
Precision = Literal["auto", "float32", "bf16", "float64"]
ChooseBy = Literal[
    "auto", "mcc", "accuracy", "f1", "exact", "macro_f1", "micro_f1", "macro_pr_auc", "micro_pr_auc",
    "pearson", "spearman", "loss",
]  # fmt: skip
RateShape = Literal["linear", "cosine", "constant", "slanted"]
RateSpan = Literal["run", "stage"]
Frozen = Literal["nothing", "embeddings", "encoder"]
Averaging = Literal["none", "ema", "mean"]
Switch = Literal["off", "on"]
ClassWeights = Literal["none", "balanced"]
Calibrate = Literal["temperature", "none"]
Documents = Literal["auto", "blank-lines", "wikitext", "lines", "files"]
NewEncoder = Literal["none", "tiny", "mini", "small", "medium", "base"]
Casing = Literal["uncased", "cased"]
Threshold = Literal["auto", "none", "f1", "precision"]

OF_PRETRAINING = (
    "mask_rate", "whole_words", "next_sentence", "documents", "new", "vocab_size", "casing",
)  # fmt: skip
"""The settings that are about pretraining alone."""

_HIGHEST_SEED = 2**53  # what every reader of JSON reads exactly


@final
@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides what a training run computes."""

    epochs: int | None = setting(
        None, "passes over the training rows; none is 3, or more on small data (see min_steps)", 1, 1000
    )
    min_steps: int = setting(
        300, "where epochs is none, small data gets more until there are this many steps (10 at most)", 0
    )
    batch_size: int = setting(32, "texts a step", 1)
    learning_rate: float | None = setting(
        None,
        "peak rate of the encoder; none is by its width: 1e-4 for mini's 384, 5e-5 for 768, 3.8e-5 for 1024",
        0.0,
        1.0,
    )
    relative_rate: float = setting(
        1.0, "where learning_rate is none: the peak rate as a multiple of what the width gives", 0.0, 100.0
    )
    head_learning_rate: float = setting(1e-3, "peak rate of tensors made new", 0.0, 1.0)
    probe_step: float | None = setting(
        None,
        "while the whole encoder is frozen: how far a step of AdamW at the peak moves what the head says, "
        "which sets its rate by the size of what it reads; none leaves head_learning_rate",
        0.0,
        100.0,
    )
    warmup: float = setting(0.1, "share of the steps over which rates rise from 0", 0.0, 1.0)
    head_first: int = setting(
        0,
        "epochs for the head alone, on the frozen encoder, before those of epochs; rates begin anew after "
        "them (linear probing, then fine-tuning: Kumar et al. 2022). Left out with LoRA, for questions, and "
        "where frozen or frozen_layers say otherwise",
        0,
        1000,
    )
    schedule: RateShape = setting(
        "linear",
        "how rates fall after the warm-up: in a line to 0, along half a cosine to 0, not at all, or slanted: "
        "from 1/32 up and back to 1/32 (ULMFiT)",
    )
    schedule_over: RateSpan = setting(
        "run", "stage: warm-up and fall begin anew whenever something is unfrozen"
    )
    layer_decay: float = setting(
        1.0,
        "each layer's rate as a share of that of the layer above; the top layer has learning_rate",
        0.01,
        1.0,
    )
    groups: str | None = setting(
        None,
        "rate and decay of parameters by patterns of their names (the first that fits counts, rate=0 "
        "freezes), as encoder.layers.0.*:rate=1e-5,decay=0;*norm*:decay=0.1",
    )
    frozen: Frozen = setting(
        "nothing", "what is not trained, or not at first: the embeddings, or the whole encoder"
    )
    frozen_layers: int = setting(0, "lowest layers that are not trained, and the embeddings with them", 0)
    unfreeze_at: int | None = setting(
        None, "epochs after which what is frozen is trained too; none is never", 1, 1000
    )
    unfreeze_groups: int = setting(
        1, "what is frozen is unfrozen in so many groups of layers, from the top, one an epoch", 1, 1000
    )
    reinit_layers: int = setting(
        0, "top layers, and the pooler with them, that begin with new weights (Zhang et al. 2021)", 0
    )
    averaging: Averaging = setting(
        "none",
        "ema: a moving average of the weights, mean: the mean of the epochs' last weights; stands for an "
        "epoch only where dev says that it is better",
    )
    ema_decay: float = setting(
        0.9, "what is left of the moving average after ten steps; less in the beginning", 0.0, 0.99999
    )
    r_drop: float = setting(
        0.0,
        "weight of how far two passes with other dropout disagree (R-Drop, Liang et al. 2021); each text is "
        "computed twice; 0 is off",
        0.0,
        100.0,
    )
    dropout_samples: int = setting(
        1, "dropout masks of the head, whose losses are averaged (multi-sample dropout, Inoue 2019)", 1, 100
    )
    lora_rank: int = setting(
        0,
        "the encoder is frozen, and of each linear layer a product of two matrices of this rank is trained "
        "(LoRA, Hu et al. 2021); 0 is off",
        0,
        1024,
    )
    lora_alpha: float = setting(16.0, "LoRA's products are scaled by lora_alpha / lora_rank", 0.0, 1024.0)
    gradient_checkpointing: Switch = setting(
        "off", "on: layers are computed again on the way back: less memory, more time"
    )
    feature_cache: float = setting(
        2.0,
        "gigabytes that results of frozen layers may take, which are then computed once; 0 computes them "
        "again at each step",
        0.0,
    )
    weight_decay: float = setting(0.01, "AdamW's decay; never on biases and LayerNorm", 0.0, 1.0)
    adam_beta1: float = setting(0.9, "AdamW's decay of the mean gradient", 0.0, 0.999999)
    adam_beta2: float = setting(0.999, "AdamW's decay of the mean squared gradient", 0.0, 0.999999)
    adam_epsilon: float = setting(1e-8, "AdamW's epsilon", 0.0, 1.0)
    clip_norm: float = setting(1.0, "largest norm of a step's gradient; 0 switches clipping off", 0.0)
    dropout: float | None = setting(
        None, "dropout of hidden states; none keeps the checkpoint's own", 0.0, 0.99
    )
    max_length: int | None = setting(
        None,
        "tokens of a text (of both texts of a pair), special ones included; none is 256, or 384 for question "
        "answering",
        4,
    )
    cut: Cut = setting("tail", "which part of a text that is too long is cut away: its tail, head or middle")
    long_texts: LongTexts = setting(
        "cut",
        "a text that is too long for classification or regression is cut, or read in overlapping windows "
        "whose logits are averaged",
    )
    context: Context = setting(
        "sentence", "document: neighbouring sentences of the document fill the windows of entity tagging"
    )
    pooling: Pooling = setting(
        "own",
        "what stands for a whole text: own is what the encoder's family has for it, mean is the mean of its "
        "tokens' last states; such a model is saved for sentence-transformers",
    )
    stride: int = setting(
        128, "tokens of a long context that neighbouring windows of question answering share", 0
    )
    max_answer: int = setting(30, "tokens of the longest answer that is looked for", 1)
    dev_fraction: float = setting(
        0.1, "share of the training rows held out as dev where no dev set is given (at most 5,000)", 0.0, 0.9
    )
    choose_by: ChooseBy = setting(
        "auto",
        "the dev figure an epoch is chosen by, auto the task's own (mcc; macro_pr_auc of several labels; "
        "pearson): the last epoch within a standard error of the best",
    )
    class_weights: ClassWeights = setting(
        "none", "balanced: in the loss every label counts as much, however few its training rows"
    )
    focal_gamma: float = setting(
        0.0, "focal loss: each row's loss times (1 - p)^gamma, p of the true label; 0 is off", 0.0, 10.0
    )
    label_smoothing: float = setting(
        0.0, "share of each target that is spread evenly over all labels; 0 is off", 0.0, 0.99
    )
    positive_label: str | None = setting(None, "the label that binary precision, recall and F1 are about")
    calibrate: Calibrate = setting(
        "temperature",
        "how probabilities are made true on dev: by a temperature that divides the logits, or not",
    )
    threshold: Threshold = setting(
        "auto",
        "thresholds fitted on dev: the best F1 of each label, or the largest recall with min_precision; of "
        "two labels that of positive_label, or else of the second; auto is f1 where a row may have several "
        "labels, else none",
    )
    min_precision: float | None = setting(None, "the precision that threshold=precision asks for", 0.0, 1.0)
    abstain_below: float | None = setting(
        None,
        "give no label where its probability is below this; eval and predict can say otherwise",
        0.0,
        1.0,
    )
    label_separator: str | None = setting(
        None, "what stands between the labels of a row that are joined text; none finds out which of | ; ,"
    )
    mask_rate: float = setting(0.15, "pretraining: share of the words that are hidden", 0.01, 0.9)
    whole_words: Switch = setting("off", "pretraining, on: all tokens of a word are hidden together")
    next_sentence: Switch = setting(
        "off",
        "pretraining, on: windows are cut in two, and it is learnt too whether the second part follows the "
        "first (BERT's next-sentence prediction)",
    )
    documents: Documents = setting(
        "auto",
        "pretraining: what begins a document of a plain text file: a blank line, a title of WikiText, each "
        "line, or the file; auto is wikitext where there are such titles, blank-lines where there are blank "
        "lines, else lines",
    )
    new: NewEncoder = setting(
        "none", "pretraining: size of a BERT that begins from nothing, with a tokeniser of its own"
    )
    vocab_size: int = setting(
        30522, "pretraining: words of the tokeniser that is made for a new encoder, at most", 100, 10**6
    )
    casing: Casing = setting(
        "uncased", "pretraining: whether a new tokeniser keeps capitals and accents apart"
    )
    time_limit: float | None = setting(
        None,
        "the run's time, in seconds or as 90s, 10m, 1h30m; the schedule is fitted to it",
        1.0,
        words="seconds from 1 up, or 90s, 10m, 1h30m, or none",
    )
    seed: int = setting(
        0, "decides the split, the head's first weights, the order and the dropout masks", 0, _HIGHEST_SEED
    )
    split_seed: int | None = setting(
        None,
        "decides the dev rows that are held out; none is seed, or the first of several seeds",
        0,
        _HIGHEST_SEED,
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 ...")
    precision: Precision = setting(
        "auto", "auto is bf16 where the processor computes it natively, else float32"
    )
    threads: int = setting(0, "processor threads; 0 leaves it to torch", 0, 4096)
    tokens_per_pass: int = setting(
        8192, "a step with more tokens is cut into pieces; changes memory, results only by rounding", 16
    )

    def __post_init__(self) -> None:
        """Raises ConfigError, which names every value out of its range at once."""
        problems = []
        for name, kind in KINDS.items():
            try:
                kind.checked(getattr(self, name))
            except ConfigError as error:
                problems.append(str(error))
        if not problems and self.focal_gamma > 0 and self.label_smoothing > 0:
            problems.append(
                f"focal_gamma={self.focal_gamma:g} with label_smoothing={self.label_smoothing:g}: both work "
                "against too much confidence, and focal loss has no smoothed form. Set one of them to 0."
            )
        if (self.threshold == "precision") != (self.min_precision is not None):
            problems.append(
                f"threshold={self.threshold} with min_precision={_word(self.min_precision)}: "
                "set both, as threshold=precision and min_precision=0.9, or neither."
            )
        try:
            parse_groups(self.groups)
        except ConfigError as error:
            problems.append(str(error))
        problems += [] if problems else self._freezing_problems()
        if self.label_separator == "":
            problems.append("label_separator is empty: name what stands between labels, or leave it out.")
        if problems:
            raise ConfigError("\n".join(problems))

    @property
    def head_epochs(self) -> int:
        """head_first, where it counts."""
        is_frozen = self.frozen != "nothing" or self.frozen_layers > 0 or self.lora_rank > 0
        return 0 if is_frozen else self.head_first

    @property
    def peak_rate(self) -> float:
        """learning_rate, which is a number once `groups.with_rate` has seen the encoder."""
        if self.learning_rate is None:
            raise ValueError("the rate is not settled")
        return self.learning_rate

    def _freezing_problems(self) -> list[str]:
        """Settings about what is frozen that do not go together."""
        problems = []
        is_frozen = self.frozen != "nothing" or self.frozen_layers > 0
        if self.unfreeze_at is not None and not is_frozen:
            problems.append(
                f"unfreeze_at={self.unfreeze_at}: nothing is frozen. Set frozen=encoder, or leave it out."
            )
        if self.unfreeze_at is None and self.unfreeze_groups > 1:
            problems.append(
                f"unfreeze_groups={self.unfreeze_groups}: say after how many epochs the first group is "
                "unfrozen, as unfreeze_at=1."
            )
        if self.lora_rank and is_frozen:
            problems.append(
                f"lora_rank={self.lora_rank} with frozen={self.frozen} and frozen_layers="
                f"{self.frozen_layers}: LoRA freezes the encoder itself. Leave the others out."
            )
        if self.lora_rank and self.reinit_layers:
            problems.append(
                f"lora_rank={self.lora_rank} with reinit_layers={self.reinit_layers}: the new layers would "
                "never be trained. Set one of them to 0."
            )
        return problems


SETTINGS: Mapping[str, "dataclasses.Field[Any]"] = types.MappingProxyType(
    {setting.name: setting for setting in dataclasses.fields(TrainConfig)}
)
KINDS: Mapping[str, Kind] = types.MappingProxyType(
    {name: Kind.of(SETTINGS[name], hint) for name, hint in typing.get_type_hints(TrainConfig).items()}
)


def make_config(values: Mapping[str, Any]) -> TrainConfig:
    """A configuration from plain values, such as a call's keyword arguments.

    Raises ConfigError, which lists every bad key and every bad value at once."""
    unknown = _unknown(values)
    try:
        config = TrainConfig(**{key: value for key, value in values.items() if key in SETTINGS})
    except ConfigError as error:
        raise ConfigError("\n".join([*unknown, str(error)])) from None
    if unknown:
        raise ConfigError("\n".join([*unknown, f"The settings are: {', '.join(SETTINGS)}."]))
    return config


def check_values(values: Mapping[str, Any]) -> None:
    """Raises ConfigError for settings that are none and for values out of their range, each by itself: some
    of those that another configuration is compared by."""
    problems = _unknown(values)
    for key in values:
        if key in KINDS:
            try:
                KINDS[key].checked(values[key])
            except ConfigError as error:
                problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))


def _unknown(values: Mapping[str, Any]) -> list[str]:
    return [f"there is no setting '{key}'.{meant(key)}" for key in values if key not in SETTINGS]


def _word(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def meant(key: str) -> str:
    """The setting that a key which is none may stand for, as a sentence."""
    return nearest({"lr": "learning_rate", "head_lr": "head_learning_rate"}.get(key, key), SETTINGS)
