"""Entities in a text: one tag for each word."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from whet.calibration import fit_temperature, softmax
from whet.config import TrainConfig
from whet.data.columns import Columns
from whet.data.sentences import Sentence, Sentences
from whet.data.table import Table
from whet.data.tags import read_tags
from whet.data.wording import counted
from whet.entities import (
    Tags,
    repaired,
    scheme_of_names,
    spans_of,
    split_tag,
    tag_names,
)
from whet.entity_scores import EntityCounts, count_entities, entity_intervals, entity_metrics
from whet.errors import ConfigError, DataError
from whet.examples import TagsPrediction
from whet.intervals import loss_interval, wilson
from whet.tasks.base import Task
from whet.tasks.objective import PLAIN, Objective, divergence, make_objective
from whet.tasks.tagging import (
    SCHEME,
    end_to_end,
    entities_of,
    kind_of,
    summed_by_type,
    tagged,
    told,
    type_places,
    words_of,
)
from whet.text.encoding import Encoding
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser
from whet.text.words import WordWindows

_SHOWN_TYPES = 8
_OF_WHOLE_TEXTS = ("positive_label", "threshold", "min_precision", "abstain_below", "long_texts", "pooling")


@final
@dataclass(frozen=True)
class TokenClassification(Task):
    """Softmax over tags for each word; the entities are what the tags say.

    Targets are (n_sentences,) object arrays of `Tagged`, logits (n_sentences,) object arrays of
    (n_words, n_tags) float64, and as tensors both are the words of all sentences end to end."""

    tags: tuple[str, ...]  # of one scheme, O among them
    temperature: float = 1.0  # what logits are divided by
    n_rows: int = 0  # sentences that the temperature was fitted on
    found: str = ""  # what was found in the training tags, to be told
    objective: Objective = PLAIN  # of training alone; not saved

    name: ClassVar[str] = "token-classification"
    layout: ClassVar[str] = "token"
    problem_type: ClassVar[str | None] = None
    pipeline: ClassVar[str] = "token-classification"
    opened_with: ClassVar[str] = "pipeline('token-classification', 'FOLDER')"
    figures: ClassVar[Mapping[str, str]] = {
        "precision": "precision",
        "recall": "recall",
        "f1": "entity F1",
        "macro_f1": "macro F1",
        "accuracy": "word accuracy",
        "nll": "loss",
    }
    headlines: ClassVar[tuple[str, ...]] = ("f1", "precision", "recall", "nll")
    loss: ClassVar[str] = "nll"
    choices: ClassVar[tuple[str, ...]] = ("f1", "macro_f1", "accuracy", "loss")
    has_classes: ClassVar[bool] = False
    not_here: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Task.not_here,
        "where each word has a tag": _OF_WHOLE_TEXTS,
    }

    def __post_init__(self) -> None:
        """Raises ConfigError for what are no tags of one scheme, or without an entity."""
        if len(self.tags) < 2 or len(set(self.tags)) < len(self.tags) or "O" not in self.tags:
            raise ConfigError(f"tags {list(self.tags)}: name O and at least one other, each once.")
        if any(split_tag(tag) is None for tag in self.tags):
            raise ConfigError(f"tags {list(self.tags)}: each must be O, or a letter and a type as in B-PER.")

    @classmethod
    def learn(cls, table: Table, columns: Columns, config: TrainConfig) -> "TokenClassification":
        """The types of entities that the training table has, tagged in IOB2 whatever the file is in."""
        assert columns.label is not None
        column = read_tags(table, columns.text, columns.label)
        types = spans_of(column.tags).types
        if not types:
            raise DataError(
                f"{table.source}: no word of '{columns.label}' is part of an entity, so there is nothing to "
                "learn. Tag some, or name another column with --label."
            )
        return cls(tag_names(types, SCHEME), found=told(column.tags))

    @classmethod
    def foreign(cls, problem_type: str | None, names: tuple[str, ...]) -> "TokenClassification | None":
        """Outputs that are all tags."""
        is_tags = "O" in names and all(split_tag(name) is not None for name in names)
        return cls(names) if is_tags else None

    def read(self, table: Table, columns: Columns) -> np.ndarray:
        """(n_rows,) object, a `Tagged` each."""
        assert columns.label is not None
        return tagged(table, columns.text, columns.label, self.tags)

    def clusters(self, targets: np.ndarray) -> np.ndarray:
        """By document."""
        return np.array([target.document for target in targets], np.int64)

    def is_labelled(self, targets: np.ndarray) -> np.ndarray:
        """A sentence without words has nothing to learn from."""
        return np.array([target.tags is not None for target in targets], np.bool_)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The rarest type of entity in each sentence."""
        kinds = type_places(self.tags, self.types)
        inside = [np.unique(kinds[target.tags]) for target in targets]
        counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *inside]), minlength=len(self.types) + 1)
        return np.array([found[counts[found].argmin()] if len(found) else 0 for found in inside], np.int64)

    def trained_on(self, targets: np.ndarray, config: TrainConfig) -> "TokenClassification":
        """With the loss that the settings ask for."""
        return replace(self, objective=make_objective(config, words_of(targets), len(self.tags)))

    def describe(self) -> str:
        types = self.types
        shown = ", ".join(types[:_SHOWN_TYPES]) + (", ..." if len(types) > _SHOWN_TYPES else "")
        return f"{counted(len(types), 'type')} of entities: {shown}. {self.found}".removesuffix(". ")

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.tags

    @property
    def types(self) -> tuple[str, ...]:
        """Of entities, sorted."""
        return tuple(sorted({kind for tag in self.tags if (kind := kind_of(tag)) is not None}))

    @classmethod
    def texts(
        cls, table: Table, columns: Columns, rules: TextRules, rows: np.ndarray | None = None
    ) -> Sequence[Sentence]:
        context = rules.max_length if rules.context == "document" else 0
        return Sentences(table, columns.text, rows, context)

    def text(self, value: Any, index: int, rules: TextRules) -> Sentence:
        """A string is split into words, a list of strings are words."""
        if isinstance(value, str):
            return Sentence.of_text(value)
        if isinstance(value, list | tuple) and all(isinstance(word, str) and word for word in value):
            return Sentence.of_words(value)
        raise DataError(
            f"text {index}: expected a string, or a list of words, none of them empty; found "
            f"{type(value).__name__}."
        )

    @classmethod
    def encoding(cls, tokeniser: Tokeniser, rules: TextRules) -> Encoding:
        return WordWindows(tokeniser, rules.max_length)

    def tensor(self, targets: np.ndarray, marks: Sequence[np.ndarray] | None = None) -> Tensor:
        """(n_words,) int64 of all sentences."""
        return torch.from_numpy(words_of(targets))

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.losses`; a word is what a text is there."""
        return self.objective.losses(logits, targets)

    def disagreement(self, one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
        """See `divergence`."""
        return divergence(one, other)

    def weight(self, targets: Tensor) -> float:
        """The words, or their weights."""
        return self.objective.weight(targets)

    def of_guessing(self, targets: np.ndarray) -> tuple[float, float, float]:
        """Of the plain loss it is the entropy of the tags' shares."""
        words = words_of(targets)
        counts = np.bincount(words, minlength=len(self.tags))
        deviation = 0.0
        if self.objective == PLAIN:
            costs = np.log(np.maximum(counts, 1) / len(words))[words]
            sizes = np.array([len(target.tags) for target in targets])
            sums = np.add.reduceat(costs, np.cumsum(sizes) - sizes)
            deviation = float((sums - costs.mean() * sizes).std() / sizes.mean())
        return self.objective.of_guessing(counts), deviation, PLAIN.of_guessing(counts)

    def standing(self, metrics: Mapping[str, Any], by: str) -> tuple[float, float]:
        """By chance: a binomial standard error over the entities, true or found; for accuracy over the
        words; nothing for the loss."""
        if by == "loss":
            return -float(metrics["nll"]), 0.0
        value = float(metrics[by])
        n = metrics["n_words"] if by == "accuracy" else max(metrics["n_entities"], metrics["n_found"], 1)
        return value, math.sqrt(value * (1 - value) / n)

    def parse(self, labels: Any, n_texts: int) -> Tensor:
        """A list of tags for each text, (n_words,) int64 of all of them end to end."""
        if isinstance(labels, Tensor):
            found = labels
        else:
            names = [tag for sentence in labels for tag in sentence]
            unknown = sorted(set(names) - set(self.tags))
            if unknown:
                raise ValueError(f"tags {unknown} are not among this model's: {', '.join(self.tags)}")
            found = torch.tensor([self.tags.index(tag) for tag in names], dtype=torch.long)
        if found.shape != (n_texts,):
            raise ValueError(f"{n_texts} words, and tags of shape {tuple(found.shape)}")
        if found.is_floating_point() or bool(((found < 0) | (found >= len(self.tags))).any()):
            raise ValueError(f"tags must be whole numbers from 0 to {len(self.tags) - 1}")
        return found.long()

    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "TokenClassification":
        """With the temperature that makes the words' probabilities true."""
        words = words_of(targets)
        if config.calibrate == "none" or len(words) == 0:
            return self
        rows = end_to_end(logits, len(self.tags))
        return replace(self, temperature=fit_temperature(rows, words), n_rows=len(logits))

    def decode(
        self,
        logits: np.ndarray,
        with_logits: bool = False,
        coverage: float | None = None,
        rows: Sequence[Sentence] = (),
    ) -> Sequence[TagsPrediction]:
        """The likeliest tag of each word, broken sequences repaired, and the entities that they say."""
        if coverage is not None:
            raise ConfigError(f"label_sets={coverage:g}: {self.name} has none. Leave it out.")
        mended, chances = self._answers(logits)
        entities = entities_of(mended, summed_by_type(chances, self.tags, self.types), self.types, rows)
        return [
            TagsPrediction(
                tags=tuple(tags),
                words=one.words,
                entities=tuple(found),
                logits=tuple(map(tuple, raw.tolist())) if with_logits else None,
            )
            for tags, one, found, raw in zip(mended.sentences(), rows, entities, logits, strict=True)
        ]

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.entity_scores.entity_metrics`; and n, n_words, n_entities, n_found, accuracy (of words),
        nll (the words' mean, in nats) and n_repaired (words whose predicted tag did not fit its neighbours).
        """
        counts, is_right, losses, n_repaired = self._scored(logits, targets)
        return {
            "n": len(targets),
            "n_words": len(is_right),
            "n_entities": int(counts.true.sum()),
            "n_found": int(counts.found.sum()),
            "n_repaired": n_repaired,
            "accuracy": float(is_right.mean()),
            "nll": float(losses.mean()),
            **entity_metrics(counts),
        }

    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.entity_scores.entity_intervals`. Documents are what was drawn at random where they are
        known, else sentences; the accuracy of words and the loss see words as drawn one by one."""
        counts, is_right, losses, _ = self._scored(logits, targets)
        return entity_intervals(counts) | {
            "accuracy": wilson(int(is_right.sum()), len(is_right)),
            "nll": loss_interval(losses),
        }

    def _answers(self, logits: np.ndarray) -> tuple[Tags, np.ndarray]:
        """The repaired tags of (n_sentences,) logits, and the words' probabilities (n_words, n_tags)."""
        rows = end_to_end(logits, len(self.tags))
        return repaired(self._raw(logits, rows), scheme_of_names(self.tags))[0], softmax(
            rows / self.temperature
        )

    def _raw(self, logits: np.ndarray, rows: np.ndarray) -> Tags:
        boundaries = np.concatenate([[0], np.cumsum([len(one) for one in logits])]).astype(np.int64)
        return Tags(self.tags, rows.argmax(axis=1), boundaries)

    def _scored(
        self, logits: np.ndarray, targets: np.ndarray
    ) -> tuple[EntityCounts, np.ndarray, np.ndarray, int]:
        """Counts by document, which words are right (n_words,), their losses, and how many were repaired."""
        rows, words = end_to_end(logits, len(self.tags)), words_of(targets)
        raw = self._raw(logits, rows)
        mended, changed = repaired(raw, scheme_of_names(self.tags))
        true = Tags(self.tags, words, raw.boundaries)
        chances = softmax(rows / self.temperature)[np.arange(len(words)), words]
        is_right = np.array(mended.names)[mended.ids] == np.array(self.tags)[words]
        losses = -np.log(np.maximum(chances, np.finfo(np.float64).tiny))
        counts = count_entities(spans_of(true), spans_of(mended), self.clusters(targets))
        return counts, is_right, losses, int(changed.sum())

    def to_json(self) -> Mapping[str, Any]:
        return {
            "tags": list(self.tags),
            "decision": {"temperature": self.temperature, "n_rows": self.n_rows},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "TokenClassification":
        decision = saved["decision"]
        temperature = float(decision["temperature"])
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature must be finite and above 0: {temperature}")
        return cls(tuple(saved["tags"]), temperature, int(decision["n_rows"]))
