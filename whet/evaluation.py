"""How good a model is on labelled rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from whet.predictor import Predictor
from whet.slices import Slice
from whet.tasks.base import Task
from whet.text.store import Store


@final
@dataclass(frozen=True)
class Evaluation:
    """Figures over the labelled rows of one file."""

    source: str
    task: str
    n_rows: int  # labelled rows, the ones the figures are about
    n_unlabelled: int
    metrics: Mapping[str, Any]  # figures, "intervals" under their names, and the blocks of `Task.trust`
    slices: tuple[Slice, ...] = ()  # the worst first
    look: int | None = None  # which look at these rows it is by the run; None where that is not counted
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What `whet eval --json` prints."""
        return {
            "source": self.source,
            "task": self.task,
            "rows": self.n_rows,
            "unlabelled_rows": self.n_unlabelled,
            "metrics": dict(self.metrics),
            "slices": [one.to_json() for one in self.slices],
            "look": self.look,
        }


def evaluate_store(
    predictor: Predictor, task: Task, store: Store, targets: np.ndarray, source: str
) -> tuple[Evaluation, np.ndarray]:
    """Figures over the labelled texts of a store, and the logits (n_texts, n_outputs) of all of them.

    targets (n_texts, ...) as the task reads them; at least one is labelled. The task names the model's
    outputs as the data does."""
    logits = predictor.logits(store)
    return evaluate_logits(task, logits, targets, source), logits


def evaluate_logits(task: Task, logits: np.ndarray, targets: np.ndarray, source: str) -> Evaluation:
    """As `evaluate_store`, from logits (n_texts, n_outputs)."""
    labelled = task.is_labelled(targets)
    rows = logits[labelled], targets[labelled]
    metrics = task.metrics(*rows) | {"intervals": task.intervals(*rows)} | task.trust(*rows)
    return Evaluation(source, task.name, int(labelled.sum()), int((~labelled).sum()), metrics)
