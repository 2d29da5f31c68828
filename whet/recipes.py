"""Named ways of training. A recipe is a set of settings and nothing else: whatever it does, `--set` can do,
and what the user sets wins over the recipe.

`measured` says at what time and scores, and on what, a recipe was measured.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from whet.errors import ConfigError, nearest

DEFAULT = "default"
_THOUSAND = "mini, two cores with bf16, 1,000 rows of TREC, seed 0: accuracy"  # bench/recipe_times.py


@final
@dataclass(frozen=True)
class Recipe:
    """Settings under a name."""

    name: str
    purpose: str  # what it is for, one sentence
    source: str  # who found it, and what is ours
    settings: Mapping[str, Any]  # fields of TrainConfig; all others keep their defaults
    measured: str  # on what, its score, its time


_ALL = (
    Recipe(
        DEFAULT,
        "what `whet train` does without a recipe: the head first, on vectors that are computed once, then "
        "all layers, the head faster",
        "linear probe, then fine-tuning (Kumar et al. 2022); AdamW with bias correction, 10% warm-up, a line "
        "to 0 and clipping (Mosbach et al. 2021); the rates and at least 300 steps are ours",
        {"head_first": 2},
        f"{_THOUSAND} 95.6, 56 s; all rows, scores over five seeds, seconds of one run: TREC 96.9, 88 s, "
        "SST-2 (6,920 rows) 85.4, 123 s; Trainer 96.9 and 86.4, as it comes 232 and 444 s; six more sets in "
        "docs/benchmarks.md",
    ),
    Recipe(
        "small-data",
        "a few hundred rows: more passes, two dropout masks that must agree, averaged weights where dev "
        "likes them",
        "more steps: Zhang et al. 2021, Mosbach et al. 2021; R-Drop: Liang et al. 2021; put together here",
        {"epochs": 10, "r_drop": 1.0, "averaging": "ema"},
        f"{_THOUSAND} 96.0, 84 s",
    ),
    Recipe(
        "fast",
        "a first good model soon: a linear probe on vectors that are computed once, then one epoch of all at "
        "twice the usual rate",
        "linear probe, then fine-tuning (Kumar et al. 2022); the numbers are ours, by docs/benchmarks.md",
        {"head_first": 3, "probe_step": 1.0, "epochs": 1, "relative_rate": 2.0},
        f"{_THOUSAND} 92.0, 11 s; seconds to Trainer's final score: BANKING77 21 (Trainer as it comes 761), "
        "SQuAD's 44 articles 823 (two epochs: 10,302), TREC 39 (244); CoNLL-2003 ends 0.2 points below it, "
        "SST-2 2.7",
    ),
    Recipe(
        "head-then-all",
        "the common practice: the new head on the frozen encoder first, then all layers",
        "Howard and Gugger 2020 (fastai's fine_tune: one epoch frozen); each stage has its own warm-up and "
        "fall",
        {"head_first": 1, "epochs": 3},
        f"{_THOUSAND} 92.8, 18 s",
    ),
    Recipe(
        "gradual",
        "unfreezing from the top, group by group, lower layers slower",
        "ULMFiT (Howard and Ruder 2018): gradual unfreezing, slanted triangular rates, discriminative rates "
        "(2.6 a group of theirs; 0.8 a layer, as ELECTRA, is ours)",
        {
            "frozen": "encoder",
            "unfreeze_at": 1,
            "unfreeze_groups": 3,
            "epochs": 6,
            "schedule": "slanted",
            "layer_decay": 0.8,
        },
        f"{_THOUSAND} 92.0, 21 s",
    ),
    Recipe(
        "head-only",
        "a classifier on a frozen encoder in seconds after one pass: a yardstick, or very few rows",
        "linear probing (Alain and Bengio 2016); the number of epochs is ours",
        {"frozen": "encoder", "epochs": 20, "probe_step": 1.0},
        f"{_THOUSAND} 50.6, 7 s",
    ),
    Recipe(
        "bert-2018",
        "what BERT's authors did, to compare with: one rate for encoder and head",
        "Devlin et al. 2018 and their run_classifier.py: 3 epochs of 32 texts at 2e-5, 10% warm-up; their "
        "AdamW lacks the bias correction that ours has",
        {
            "epochs": 3,
            "batch_size": 32,
            "learning_rate": 2e-5,
            "head_learning_rate": 2e-5,
            "warmup": 0.1,
            "adam_epsilon": 1e-6,
        },
        f"{_THOUSAND} 28.6, 16 s",
    ),
    Recipe(
        "long-stable",
        "the stable baseline for small data: low rate, 20 epochs",
        "Mosbach et al. 2021: 20 epochs of 16 texts at 2e-5, 10% warm-up, bias correction",
        {
            "epochs": 20,
            "batch_size": 16,
            "learning_rate": 2e-5,
            "head_learning_rate": 2e-5,
            "warmup": 0.1,
            "adam_epsilon": 1e-6,
        },
        f"{_THOUSAND} 96.0, 100 s",
    ),
    Recipe(
        "lora",
        "training a hundredth of the weights: less memory for the optimiser, more epochs",
        "LoRA (Hu et al. 2021), rank 8 and rate 5e-4 as theirs on GLUE, here beside every linear layer; the "
        "number of epochs is ours",
        {"lora_rank": 8, "learning_rate": 5e-4, "epochs": 10, "warmup": 0.06},
        f"{_THOUSAND} 93.8, 41 s",
    ),
)

RECIPES: Mapping[str, Recipe] = types.MappingProxyType({recipe.name: recipe for recipe in _ALL})


def find_recipe(name: str) -> Recipe:
    """Raises ConfigError, with the nearest name and all others."""
    if name not in RECIPES:
        raise ConfigError(
            f"recipe={name}: there is none of that name.{nearest(name, RECIPES)} There are: "
            f"{', '.join(RECIPES)}. (whet recipes)"
        )
    return RECIPES[name]


def with_recipe(name: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's settings, and over them those that were given; None is the default. Raises ConfigError."""
    return {**find_recipe(name or DEFAULT).settings, **settings}
