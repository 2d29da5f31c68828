"""Measurements that can be stopped and gone on with: a JSON line for each cell that is finished."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Cells:
    """The finished cells of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def find(self, **key: Any) -> list[dict[str, Any]]:
        """The rows whose entries are these."""
        return [row for row in self.rows if all(row.get(name) == value for name, value in key.items())]

    def once(self, measure: Callable[[], dict[str, Any]], **key: Any) -> dict[str, Any]:
        """The row of a cell, measured now where it is not there yet."""
        found = self.find(**key)
        if found:
            return found[0]
        began = time.monotonic()
        row = {**key, **measure(), "seconds": round(time.monotonic() - began, 1)}
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        return row
