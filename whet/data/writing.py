"""Predictions out: JSON lines or CSV, one line a row, in order, the input's columns kept."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from whet.data.lists import with_answers
from whet.examples import LabelPrediction
from whet.files import file_beside

Write = Callable[[Sequence[Mapping[str, Any]], Sequence[LabelPrediction]], None]


@contextmanager
def open_writer(to: str | os.PathLike[str] | None, labels: Sequence[str]) -> Iterator[Write]:
    """A function that writes rows (none at all to leave the input out) with their predictions.

    to ends in .csv or .jsonl; None is JSON lines on standard output. A file is written beside and renamed
    when all is there. An input column that is called like an answer, as `label` is, becomes `input_label`."""
    if to is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON lines are, whatever the terminal is
        yield lambda rows, predictions: _write_json(sys.stdout, rows, predictions, labels)
        return
    target = Path(to).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_beside(target, newline="") as file:
        if target.suffix == ".csv":
            yield _CsvWriter(file, labels)
        else:
            yield lambda rows, predictions: _write_json(file, rows, predictions, labels)


def _joined(rows: Sequence[Mapping[str, Any]], answers: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row, answer in zip(rows or [{}] * len(answers), answers, strict=True):
        yield with_answers(row, answer)


def _write_json(
    file: IO[str],
    rows: Sequence[Mapping[str, Any]],
    predictions: Sequence[LabelPrediction],
    labels: Sequence[str],
) -> None:
    answers = []
    for prediction in predictions:
        answer: dict[str, Any] = {
            "label": prediction.label,
            "probability": prediction.probability,
            "probabilities": dict(prediction.probabilities),
        }
        if prediction.label_set is not None:
            answer["label_set"] = list(prediction.label_set)
        if prediction.logits is not None:
            answer["logits"] = dict(zip(labels, prediction.logits, strict=True))
        answers.append(answer)
    for line in _joined(rows, answers):
        file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


class _CsvWriter:
    """One column for each label's probability, and logit where asked for; the first rows give the header."""

    def __init__(self, file: IO[str], labels: Sequence[str]) -> None:
        self._file = file
        self._labels = labels
        self._writer: csv.DictWriter[str] | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]], predictions: Sequence[LabelPrediction]) -> None:
        answers = []
        for prediction in predictions:
            answer: dict[str, Any] = {"label": prediction.label, "probability": prediction.probability}
            answer |= {f"probability_{label}": prediction.probabilities[label] for label in self._labels}
            if prediction.label_set is not None:
                answer["label_set"] = json.dumps(prediction.label_set, ensure_ascii=False)
            if prediction.logits is not None:
                pairs = zip(self._labels, prediction.logits, strict=True)
                answer |= {f"logit_{label}": value for label, value in pairs}
            answers.append(answer)
        for line in _joined(rows, answers):
            if self._writer is None:
                self._writer = csv.DictWriter(self._file, list(line), lineterminator="\n")
                self._writer.writeheader()
            self._writer.writerow(line)
