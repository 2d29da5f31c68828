"""What each row is answered by the model that was not trained on it, and the lists that follow from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from whet.artifact import load_model
from whet.data.lists import write_list
from whet.data.texts import Texts
from whet.intervals import classification_intervals
from whet.label_errors import hardest_rows, label_errors
from whet.metrics import classification_metrics
from whet.predictor import Predictor
from whet.runs import RunFolder
from whet.tasks.classification import Classification
from whet.tasks.decision import NO_ANSWER
from whet.training.data import Part, examples
from whet.training.prepare import Prepared
from whet.training.several import Member

MOST_HARDEST = 100
_SHOWN = 3  # likely label errors that the manifest holds, to be printed
_PLACES = 4  # of what a person reads


@final
@dataclass(frozen=True)
class Answers:
    """Out-of-fold answers to the rows of the folds that could be trained, in the order of the file."""

    part: Part
    texts: Texts
    folds: np.ndarray  # (n,) int64, from 1
    probabilities: np.ndarray  # (n, n_labels), calibrated on each fold's own dev rows
    predicted: np.ndarray  # (n,) int64 labels by each fold's own rules, NO_ANSWER where they give none
    labels: tuple[str, ...]
    metrics: dict[str, Any]  # over all rows at once, with intervals

    def places(self, chosen: np.ndarray) -> Iterator[dict[str, Any]]:
        """File and line (where there are no lines, row) of some rows, (m,) int64 places in `part`."""
        table = self.part.table
        unit = "row" if table.first_lines is None else "line"
        for number in table.numbers(self.part.rows[chosen]).tolist():
            yield {"file": table.source, unit: number}


def answers(members: Sequence[Member], folds: np.ndarray, prepared: Prepared) -> Answers:
    """Let the model of each finished fold answer the rows that it was tested on. folds (n_rows,) from 0."""
    data, asked = prepared.data, prepared.task
    assert isinstance(asked, Classification)
    whole, labels = data.whole, asked.labels
    probabilities = np.full((len(whole.rows), len(labels)), np.nan)
    predicted = np.full(len(whole.rows), NO_ANSWER)
    for member in members:
        test = member.prepared.data.test
        assert test is not None
        model = load_model(member.folder.model).to(prepared.device)
        task = model.task
        assert isinstance(task, Classification)
        store = examples(test, data.columns, task, prepared.tokeniser, prepared.rules).store
        chances = task.probabilities(Predictor(model).logits(store))
        rows = np.searchsorted(whole.rows, test.rows)
        probabilities[rows], predicted[rows] = chances, task.decision.answers(chances, task.positive)
    answered = ~np.isnan(probabilities[:, 0])
    part, probabilities, predicted = whole.some(answered), probabilities[answered], predicted[answered]
    scored = (probabilities, part.targets, labels, asked.positive_label, predicted)
    metrics = classification_metrics(*scored) | {"intervals": classification_intervals(*scored)}
    texts = Texts(part.table, data.columns, part.rows)
    return Answers(part, texts, folds[answered] + 1, probabilities, predicted, labels, metrics)


def write_answers(found: Answers, folder: RunFolder) -> dict[str, Any]:
    """Write all answers, the likely label errors, and the hardest of the other rows; -> what the manifest
    says of the label errors."""
    given = found.part.targets
    errors = label_errors(found.probabilities, given)
    hardest = hardest_rows(found.probabilities, given, errors.rows, MOST_HARDEST)
    write_list(folder.fold_predictions, _all(found), ())
    wrong = list(_described(found, errors.rows, errors.suggested, "suggested"))
    write_list(folder.label_errors, wrong, _columns(found, "suggested"))
    likeliest = found.probabilities[hardest].argmax(axis=1)
    hard = _described(found, hardest, likeliest, "likeliest")
    write_list(folder.hardest, hard, _columns(found, "likeliest"))
    return {"rows": len(wrong), "first": wrong[:_SHOWN]}


def _all(found: Answers) -> Iterator[dict[str, Any]]:
    names = found.labels
    for i, place in enumerate(found.places(np.arange(len(found.folds)))):
        yield place | {
            "label": names[found.part.targets[i]],
            "predicted": None if found.predicted[i] == NO_ANSWER else names[found.predicted[i]],
            "probabilities": dict(zip(names, found.probabilities[i].tolist(), strict=True)),
            "fold": int(found.folds[i]),
        }


def _described(found: Answers, rows: np.ndarray, others: np.ndarray, other: str) -> Iterator[dict[str, Any]]:
    """rows (m,) places in the part, others (m,) the label that each is set against, called `other`."""
    given, names = found.part.targets, found.labels
    texts = found.texts.some(rows)
    for row, label, text, place in zip(rows, others, texts, found.places(rows), strict=True):
        probabilities = found.probabilities[row]
        yield {
            **place,
            **dict(zip(("text", "pair"), text, strict=False)),
            "label": names[given[row]],
            other: names[label],
            "label_probability": round(float(probabilities[given[row]]), _PLACES),
            f"{other}_probability": round(float(probabilities[label]), _PLACES),
        }


def _columns(found: Answers, other: str) -> list[str]:
    """The header of `_described`, of which there may be no row."""
    place = next(found.places(np.zeros(1, np.int64)))
    texts = ("text", "pair")[: found.texts.n_columns]
    return [*place, *texts, "label", other, "label_probability", f"{other}_probability"]
