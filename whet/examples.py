"""What comes out of a model, as plain records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class LabelPrediction:
    """The label a classifier chose for one text, and what it thinks of all of them."""

    label: str | None  # None where the decision rules say to give no answer
    probability: float  # of the label chosen, also where it was not given
    probabilities: Mapping[str, float]  # label -> probability, in the model's order; they add up to 1
    logits: tuple[float, ...] | None = None  # in the model's order; only where asked for
    label_set: tuple[str, ...] | None = None  # the likeliest first; only where asked for
