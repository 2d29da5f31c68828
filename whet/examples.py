"""What comes out of a model, as plain records."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, final


class Prediction(Protocol):
    """What every task says of one row."""

    def to_json(self) -> dict[str, Any]:
        """As a line of JSON lines has it; values may be lists and objects."""

    def to_row(self) -> dict[str, Any]:
        """As a line of a CSV file has it: the same columns for every row, a plain value in each."""


@final
@dataclass(frozen=True)
class LabelPrediction:
    """The label a classifier chose for one text, and what it thinks of all of them."""

    label: str | None  # None where the decision rules say to give no answer
    probability: float  # of the label chosen, also where it was not given
    probabilities: Mapping[str, float]  # label -> probability, in the model's order; they add up to 1
    logits: tuple[float, ...] | None = None  # in the model's order; only where asked for
    label_set: tuple[str, ...] | None = None  # the likeliest first; only where asked for

    def to_json(self) -> dict[str, Any]:
        """label, probability, probabilities by label; label_set and logits where asked for."""
        found: dict[str, Any] = {
            "label": self.label,
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
        }
        if self.label_set is not None:
            found["label_set"] = list(self.label_set)
        if self.logits is not None:
            found["logits"] = dict(zip(self.probabilities, self.logits, strict=True))
        return found

    def to_row(self) -> dict[str, Any]:
        """One column for each label's probability, and logit where asked for."""
        found: dict[str, Any] = {"label": self.label, "probability": self.probability}
        found |= {f"probability_{label}": value for label, value in self.probabilities.items()}
        if self.label_set is not None:
            found["label_set"] = json.dumps(self.label_set, ensure_ascii=False)
        if self.logits is not None:
            pairs = zip(self.probabilities, self.logits, strict=True)
            found |= {f"logit_{label}": value for label, value in pairs}
        return found


@final
@dataclass(frozen=True)
class MultilabelPrediction:
    """The labels that a model gave one text, any number of them, and what it thinks of all."""

    labels: tuple[str, ...]  # in the model's order
    probabilities: Mapping[str, float]  # label -> probability, in the model's order, each for itself
    logits: tuple[float, ...] | None = None  # in the model's order; only where asked for
    separator: str = "|"  # what joins the labels in a line of a CSV file

    def to_json(self) -> dict[str, Any]:
        """labels, probabilities by label; logits where asked for."""
        found: dict[str, Any] = {
            "labels": list(self.labels),
            "probabilities": dict(self.probabilities),
        }
        if self.logits is not None:
            found["logits"] = dict(zip(self.probabilities, self.logits, strict=True))
        return found

    def to_row(self) -> dict[str, Any]:
        """The labels joined; one column for each label's probability, and logit where asked for."""
        found: dict[str, Any] = {"labels": self.separator.join(self.labels)}
        found |= {f"probability_{label}": value for label, value in self.probabilities.items()}
        if self.logits is not None:
            pairs = zip(self.probabilities, self.logits, strict=True)
            found |= {f"logit_{label}": value for label, value in pairs}
        return found


@final
@dataclass(frozen=True)
class ValuePrediction:
    """The number that a regression gives for one text, in the unit of its training data."""

    value: float
    interval: tuple[float, float] | None = None  # low, high; only where a coverage was asked for
    logit: float | None = None  # in standard deviations from the training mean; only where asked for

    def to_json(self) -> dict[str, Any]:
        """value; interval and logit where asked for."""
        found: dict[str, Any] = {"value": self.value}
        if self.interval is not None:
            found["interval"] = list(self.interval)
        if self.logit is not None:
            found["logit"] = self.logit
        return found

    def to_row(self) -> dict[str, Any]:
        """value; low, high and logit where asked for."""
        found: dict[str, Any] = {"value": self.value}
        if self.interval is not None:
            found |= {"low": self.interval[0], "high": self.interval[1]}
        if self.logit is not None:
            found["logit"] = self.logit
        return found


@final
@dataclass(frozen=True)
class Answer:
    """A part of a context that may answer a question."""

    text: str
    start: int  # first character of the context, a Unicode code point
    end: int  # last character + 1
    probability: float  # among the 20 best parts and no answer


@final
@dataclass(frozen=True)
class AnswerPrediction:
    """The answer to one question, or none."""

    answer: str  # "" where there is none
    start: int | None  # in characters of the context; None where there is no answer
    end: int | None
    probability: float  # of what was answered
    no_answer_probability: float
    answers: tuple[Answer, ...]  # the best parts, best first, also where none of them is given

    def to_json(self) -> dict[str, Any]:
        """answer, start, end, probability, no_answer_probability, answers."""
        return asdict(self) | {"answers": [asdict(one) for one in self.answers]}

    def to_row(self) -> dict[str, Any]:
        """The same, answers as JSON."""
        found = self.to_json()
        return found | {"answers": json.dumps(found["answers"], ensure_ascii=False)}


@final
@dataclass(frozen=True)
class Entity:
    """A part of a text that is the name of something."""

    type: str
    start: int  # first character, a Unicode code point; of a list of words, in them joined by single blanks
    end: int  # last character + 1
    text: str
    probability: float  # that a word of it belongs to such an entity: the mean over its words


@final
@dataclass(frozen=True)
class TagsPrediction:
    """The tag of each word of one text, and the entities that they say."""

    words: tuple[str, ...]
    tags: tuple[str, ...]  # one a word
    entities: tuple[Entity, ...]
    logits: tuple[tuple[float, ...], ...] | None = None  # one row a word; only where asked for

    def to_json(self) -> dict[str, Any]:
        """words, tags, entities; logits where asked for."""
        found: dict[str, Any] = {
            "words": list(self.words),
            "tags": list(self.tags),
            "entities": [asdict(entity) for entity in self.entities],
        }
        if self.logits is not None:
            found["logits"] = [list(row) for row in self.logits]
        return found

    def to_row(self) -> dict[str, Any]:
        """The same, each as JSON."""
        return {key: json.dumps(value, ensure_ascii=False) for key, value in self.to_json().items()}
