"""What goes wrong in fine-tuning, noticed while it happens: one line each, with what to do.

The yardstick is the loss of guessing by the training labels' shares: their entropy H in nats (ln K where K
labels are even), or what the objective makes of it. The bounds below are ours: the demo and the runs beside
the dry runs of docs/benchmarks.md stay silent, and planted failures are named
(tests/training/test_doctor.py). Each sign is given once.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, final

import numpy as np

from whet.config import TrainConfig
from whet.data.labels import shown_labels
from whet.errors import TrainingError
from whet.tasks import Task
from whet.training.events import Evaluated, Event, Replanned, StepDone, TrainingStarted, Warned

_WINDOW = 12  # steps whose mean loss is compared with that of the steps before them
_FALLING = 0.99  # of the window before: a loss below this is on its way
_AT_CHANCE = 0.97  # of H: a loss above this has learnt nothing
_SURE = 3  # standard deviations of luck that are not held against a run
_HARM = 1.1  # of guessing, or of the lowest loss so far: what has risen so far was pushed up
_FADED = 0.1  # of the strongest gradient: what is left of it when activations have saturated
_FEW = 20  # dev rows; a sound model may give fewer one label
_LATE = 0.4  # share of the steps after which having learnt nothing is a sign
_TINY_TRAVEL = 1e-3  # rate x steps / 2, about how far AdamW can move a weight; they are some 0.04 wide


@final
class Collapsed(TrainingError):
    """The model gives every text the same label and has learnt nothing, and shows that the rate did it: the
    loss has risen, or the gradient has faded."""


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return None if value == float("inf") else float(value)


@final
class Doctor:
    """Listens to one attempt at training."""

    def __init__(self, targets: np.ndarray, task: Task, config: TrainConfig, may_restart: bool) -> None:
        """targets (n_texts, ...) of the training rows. may_restart: a collapse raises Collapsed, else it is
        a warning like the others."""
        self._chance, deviation, plain = task.of_guessing(targets)
        # how far the mean of a window may lie above it because of the texts that happen to be in it
        self._luck = _SURE * deviation / (_WINDOW * config.batch_size) ** 0.5
        # what turns a loss of training into one of dev, which is always plain
        self._to_plain = plain / self._chance if self._chance > 0 else 1.0
        self._labels, self._loss, self._unlearnt = task.output_names, task.loss, task.unlearnt
        self._config, self._may_restart = config, may_restart
        self._n_steps = self._n_head_steps = 0
        self._losses: deque[float] = deque(maxlen=2 * _WINDOW)
        self._norms: deque[float] = deque(maxlen=_WINDOW)
        self._highest = self._strongest = 0.0
        self._shows_harm = False  # of a rate that has broken something
        self._lowest = self._best_dev = float("inf")
        self._best_epoch = 0
        self._given: set[str] = set()

    def to_json(self) -> dict[str, Any]:
        """What it has seen, as plain values; `see` takes them back."""
        return {
            "losses": list(self._losses),
            "norms": list(self._norms),
            "highest": float(self._highest),
            "strongest": float(self._strongest),
            "lowest": _finite(self._lowest),
            "best_dev": _finite(self._best_dev),
            "best_epoch": self._best_epoch,
            "shows_harm": bool(self._shows_harm),
            "given": sorted(self._given),
        }

    def see(self, saved: Mapping[str, Any]) -> None:
        """What an earlier sitting at this attempt saw."""
        self._losses.extend(saved["losses"])
        self._norms.extend(saved["norms"])
        self._highest, self._strongest = saved["highest"], saved["strongest"]
        self._lowest, self._best_dev = (
            float("inf") if saved[name] is None else saved[name] for name in ("lowest", "best_dev")
        )
        self._best_epoch, self._shows_harm = saved["best_epoch"], saved["shows_harm"]
        self._given = set(saved["given"])

    def __call__(self, event: Event) -> list[Warned]:
        """What an event shows. Raises Collapsed."""
        match event:
            case TrainingStarted():
                self._n_head_steps, self._n_steps = event.n_head_steps, event.n_steps
                return []
            case Replanned():
                self._n_steps = event.n_steps
                return []
            case StepDone() | Evaluated() if (
                event.step <= self._n_head_steps
            ):  # a head alone may learn little
                return []
            case StepDone():
                return self._new(event.step, self._after_step(event))
            case Evaluated():
                return self._new(event.step, self._after_evaluation(event))
            case _:
                return []

    def _new(self, step: int, signs: dict[str, str]) -> list[Warned]:
        fresh = {sign: text for sign, text in signs.items() if sign not in self._given}
        self._given |= fresh.keys()
        return [Warned(step, sign, text) for sign, text in fresh.items()]

    def _after_step(self, event: StepDone) -> dict[str, str]:
        self._losses.append(event.loss)
        self._norms.append(event.gradient_norm)
        if len(self._losses) < 2 * _WINDOW:
            return {}
        losses, chance, config = np.array(self._losses), self._chance, self._config
        before, loss = losses.reshape(2, -1).mean(axis=1)
        self._lowest, self._highest = min(self._lowest, before), max(self._highest, loss)
        norm = float(np.mean(self._norms))
        self._strongest = max(self._strongest, norm)
        self._shows_harm = (
            self._highest - self._luck > _HARM * chance
            or loss > _HARM * self._lowest
            or norm < _FADED * self._strongest
        )
        lower = f"Try --lr {config.peak_rate / 4:g}."
        risen = f"the loss has risen to {loss:.2f}, and guessing costs {chance:.2f} nats"
        least = loss - self._luck
        if least > 1.2 * chance and least > 1.5 * self._lowest:
            return {"divergence": f"{risen}: training diverges. {lower}"}
        if least > 1.3 * chance and event.step > self._at(config.warmup):
            return {"rate too high": f"{risen}: the rate is too high. {lower}"}
        if event.step == round(self._at(_LATE)) and loss > max(_AT_CHANCE * chance, _FALLING * before):
            return self._nothing_learnt(loss)
        return {}

    def _at(self, share: float) -> float:
        """The step at a share of those in which more than the head is trained."""
        return self._n_head_steps + share * (self._n_steps - self._n_head_steps)

    def _nothing_learnt(self, loss: float) -> dict[str, str]:
        config = self._config
        said = (
            f"after {_LATE:.0%} of the steps the loss, {loss:.2f}, is that of guessing ({self._chance:.2f})"
        )
        if config.peak_rate * (self._n_steps - self._n_head_steps) / 2 < _TINY_TRAVEL:
            return {"rate too low": f"{said}, and the rate is low for so few steps. Leave --lr out."}
        return {"no learning": f"{said}. {self._unlearnt}"}

    def _after_evaluation(self, event: Evaluated) -> dict[str, str]:
        found = self._overfitting(event) | self._given_to_all(event)
        if "confusion" not in event.metrics:
            return found
        confusion = np.array(event.metrics["confusion"])  # true labels as rows
        predicted, true = confusion.sum(axis=0), confusion.sum(axis=1)
        if (predicted > 0).sum() != 1 or (true > 0).sum() < 2:
            return found
        if event.step < self._at(_LATE) or len(self._losses) < 2 * _WINDOW or true.sum() < _FEW:
            return found | (self._short(predicted) if event.step == self._n_steps else {})
        label = self._labels[int(predicted.argmax())]
        shares = true[true > 0] / true.sum()
        chance = float(-(shares * np.log(shares)).sum())
        loss = float(event.metrics[self._loss])
        said = f"every dev text is given the label '{label}', and its loss, {loss:.2f}, is that of guessing"
        train = float(np.mean(self._losses))
        if loss < _AT_CHANCE * chance or train < _AT_CHANCE * self._chance:
            return found | {
                "one label": f"every dev text is still given the label '{label}'. Try more --epochs, or "
                "where labels are skewed --set class_weights=balanced."
            }
        if not self._shows_harm:
            return found | {
                "one label": f"{said}. Nothing is learnt yet; more --epochs or a higher --lr may help."
            }
        if self._may_restart:
            raise Collapsed(f"Doctor, step {event.step}: {said}: training has collapsed.")
        return found | {"collapse": f"{said}. Try a lower --lr, more rows, or other labels."}

    def _given_to_all(self, event: Evaluated) -> dict[str, str]:
        """Where rows have several labels: the best threshold of one that was not learnt gives it always."""
        if "subset_accuracy" not in event.metrics:
            return {}
        n, rows = event.metrics["n"], event.metrics["per_class"]
        given = [row["label"] for row in rows if row["predicted"] > 0.9 * n and row["support"] < 0.5 * n]
        if not given or event.step < self._n_steps or n < _FEW:
            return {}
        return {
            "given to all": f"{len(given)} of {len(rows)} labels are given to nearly every dev text "
            f"({shown_labels(given)}): they are not learnt. Try more --epochs or rows."
        }

    def _short(self, predicted: np.ndarray) -> dict[str, str]:
        """A run that was too short or had too few dev rows for more than this."""
        label = self._labels[int(predicted.argmax())]
        return {
            "one label": f"at the end every dev text is given the label '{label}'. Try more --epochs or rows."
        }

    def _overfitting(self, event: Evaluated) -> dict[str, str]:
        loss = float(event.metrics[self._loss])
        if loss < self._best_dev:
            self._best_dev, self._best_epoch = loss, event.epoch
            return {}
        train = float(np.mean(self._losses)) if self._losses else loss
        if event.epoch < self._best_epoch + 2 or loss < 1.25 * self._best_dev:
            return {}
        if train * self._to_plain > 0.5 * loss:
            return {}
        return {
            "overfitting": f"the dev loss rose from {self._best_dev:.2f} (epoch {self._best_epoch}) to "
            f"{loss:.2f} while the training loss fell to {train:.2f}: overfitting. Try --epochs "
            f"{self._best_epoch}."
        }
