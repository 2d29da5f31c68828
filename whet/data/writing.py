"""Predictions out: JSON lines or CSV, one line a row, in order, the input's columns kept."""

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from whet.data.lists import json_line, with_answers
from whet.errors import DataError
from whet.examples import Prediction
from whet.files import file_beside

Write = Callable[[Sequence[Mapping[str, Any]], Sequence[Prediction]], None]


@contextmanager
def open_writer(to: str | os.PathLike[str] | None) -> Iterator[Write]:
    """A function that writes rows (none at all to leave the input out) with their predictions.

    to ends in .csv or .jsonl; None is JSON lines on standard output. A file is written beside and renamed
    when all is there. An input column that is called like an answer, as `label` is, becomes `input_label`."""
    if to is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON lines are, whatever the terminal is
        yield lambda rows, predictions: _write_json(sys.stdout, rows, predictions)
        return
    target = Path(to).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_beside(target, newline="") as file:
        if target.suffix == ".csv":
            yield _CsvWriter(file)
        else:
            yield lambda rows, predictions: _write_json(file, rows, predictions)


def _write_json(file: IO[str], rows: Sequence[Mapping[str, Any]], predictions: Sequence[Prediction]) -> None:
    for row, prediction in zip(rows or [{}] * len(predictions), predictions, strict=True):
        line = with_answers(row, prediction.to_json())
        file.write(json_line(line) + "\n")


class _CsvWriter:
    """The first row gives the header."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._writer: csv.DictWriter[str] | None = None
        self._n_written = 0

    def __call__(self, rows: Sequence[Mapping[str, Any]], predictions: Sequence[Prediction]) -> None:
        for row, prediction in zip(rows or [{}] * len(predictions), predictions, strict=True):
            line = with_answers(row, prediction.to_row())
            if self._writer is None:
                self._writer = csv.DictWriter(self._file, list(line), lineterminator="\n")
                self._writer.writeheader()
            try:
                self._writer.writerow(line)
            except ValueError:
                new = ", ".join(name for name in line if name not in self._writer.fieldnames)
                raise DataError(
                    f"Row {self._n_written + 1} has {new}, which no row before it has, and a CSV file has "
                    "one header. Write JSON lines (--to NAME.jsonl)."
                ) from None
            self._n_written += 1
