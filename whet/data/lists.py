"""Lists of rows for a person to work through: CSV or JSON lines, whole or not at all."""

import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from whet.files import file_beside

Rows = Iterable[Mapping[str, Any]]


def write_list(to: str | os.PathLike[str] | None, rows: Rows, columns: Sequence[str]) -> None:
    """Rows in order, as they come: CSV under these columns where `to` ends in .csv, else JSON lines.

    None is JSON lines on standard output."""
    if to is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        _write_json(sys.stdout, rows)
        return
    target = Path(to).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_beside(target, newline="") as file:
        if target.suffix == ".csv":
            writer = csv.DictWriter(file, list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            _write_json(file, rows)


def with_answers(row: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the input and what is said of it; a column called like an answer becomes `input_...`."""
    taken = set(row) | set(answers)
    renamed: dict[str, Any] = {}
    for name, value in row.items():
        if name in answers:
            while name in taken:
                name = f"input_{name}"
            taken.add(name)
        renamed[name] = value
    return renamed | dict(answers)


def _write_json(file: IO[str], rows: Rows) -> None:
    for row in rows:
        file.write(json_line(row) + "\n")


def json_line(line: Mapping[str, Any]) -> str:
    """A row as JSON, which has no NaN: a column of the input that holds it has a null there."""
    try:
        return json.dumps(line, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(line), ensure_ascii=False, default=str, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
