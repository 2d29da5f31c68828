"""Files for GLUE's leaderboard: one line a test row, in GLUE's label names, and all files in one zip.

The format is that of GLUE's own sample submission: a header of index and prediction, a tab between them.
"""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from whet.data.glue import SPAN
from whet.data.readers import stream_tables
from whet.data.table import Table
from whet.errors import DataError
from whet.examples import LabelPrediction, ValuePrediction
from whet.files import file_beside, sync
from whet.user_model import Model

_INDEX_NAMES = ("index", "id")  # id in QQP
_DATE = (1980, 1, 1, 0, 0, 0)  # in the zip, so that the same predictions are the same bytes


def write_submission(path: Path, model: Model, test: Path, text: str, pair: str | None) -> int:
    """Predict the rows of a test file into `path`; -> how many they are. Raises DataError."""
    n_rows = 0
    with file_beside(path) as file:
        file.write("index\tprediction\n")
        for table in stream_tables(test):
            _, predictions = model.predict_table(table, text=text, pair=pair)
            for index, prediction in zip(_indices(table, n_rows), predictions, strict=True):
                file.write(f"{index}\t{_answer(prediction)}\n")
            n_rows += len(table)
    return n_rows


def zip_submission(target: Path, files: Sequence[Path]) -> None:
    """The files, without folders, in one zip; in place of `target`, whole or not at all."""
    beside = target.with_name(f".{target.name}.new")
    with zipfile.ZipFile(beside, "w") as archive:
        for path in files:
            info = zipfile.ZipInfo(path.name, _DATE)
            archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED)
    sync(beside)
    os.replace(beside, target)
    sync(target.parent)


def _indices(table: Table, first: int) -> list[str]:
    """What the file itself calls its rows; else they are counted from 0."""
    for name in _INDEX_NAMES:
        if name in table.names:
            found: list[str] = table.strings(name).to_pylist()
            return found
    return [str(number) for number in range(first, first + len(table))]


def _answer(prediction: LabelPrediction | ValuePrediction) -> str:
    if isinstance(prediction, ValuePrediction):
        return f"{np.clip(prediction.value, *SPAN):.3f}"
    if prediction.label is None:
        raise DataError("the model gives no answer for a row, and GLUE wants one for each.")
    return prediction.label
