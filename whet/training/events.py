"""What a training run says while it goes on. Listeners subscribe; the loop knows none of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True)
class Note:
    """One line for the user: what was inferred, chosen or noticed."""

    text: str


@final
@dataclass(frozen=True)
class TrainingStarted:
    n_steps: int
    n_epochs: int
    n_rows: int
    steps_done: int = 0  # in earlier sittings
    seconds_done: float = 0.0
    n_head_steps: int = 0  # the first, in which the head alone is trained


@final
@dataclass(frozen=True)
class StepDone:
    step: int  # from 1
    epoch: int  # from 1
    loss: float  # nats a text, mean over the step
    gradient_norm: float  # before clipping
    learning_rate: float  # of the encoder
    head_learning_rate: float
    n_texts: int
    n_tokens: int
    seconds: float  # of training so far, evaluation left out


@final
@dataclass(frozen=True)
class Evaluated:
    """Dev was looked at, at the end of an epoch."""

    step: int
    epoch: int
    metrics: Mapping[str, Any]
    headline: Mapping[str, float]  # what a line shows of them, by what people read
    is_kept: bool  # not worse than the best so far by more than a standard error
    seconds: float


@final
@dataclass(frozen=True)
class Looked:
    """Dev was looked at within an epoch, where somebody asked for it; nothing is kept."""

    step: int
    epoch: int
    metrics: Mapping[str, Any]
    headline: Mapping[str, float]
    seconds: float


@final
@dataclass(frozen=True)
class TrainingDone:
    n_steps: int
    n_tokens: int  # of the steps in which more than the head was trained
    best_epoch: int
    seconds: float  # of training, evaluation left out


@final
@dataclass(frozen=True)
class Saved:
    """A checkpoint is on the disk."""

    step: int
    seconds: float  # it took
    next_in: float  # seconds, at the earliest


@final
@dataclass(frozen=True)
class Replanned:
    """The schedule was shortened to meet a time limit."""

    n_steps: int
    n_epochs: int


@final
@dataclass(frozen=True)
class Warned:
    """The doctor noticed something: one line, with what to do."""

    step: int
    sign: str  # a short name of what was noticed
    text: str


Event = Note | TrainingStarted | StepDone | Evaluated | Looked | Saved | Replanned | Warned | TrainingDone
Listener = Callable[[Event], None]
