"""What a check finds: one record a finding, and the report that holds them worst first."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from whet.data.table import Columns, Table

Severity = Literal["error", "warning", "note"]

MOST_ROWS = 5000  # row numbers that a finding carries; it counts them all
SHOWN_ROWS = 5

# Within a severity, worst first. An "exact" match is letter for letter, "case" is equal but for case and
# white space, "near" is near.py's. A conflict has different labels, a leak is in two files, a repeat in one.
KINDS: tuple[str, ...] = (
    *("unreadable", "columns", "targets", "no-labels", "one-class", "unknown-class", "model"),
    *("tokeniser", "exact-conflict", "case-conflict", "exact-leak", "case-leak", "near-leak"),
    *(
        "duplicate-id",
        "empty-question",
        "empty-context",
        "absent",
        "no-window",
        "moved-nearest",
        "not-placed",
        "moved",
    ),
    *("impossible", "empty-answer"),
    *("near-conflict", "label-spelling", "cut", "unknown-tokens", "empty-text", "mojibake", "control"),
    *("markup", "rare-class", "skew", "exact-repeat", "case-repeat", "near-repeat", "short-text"),
    *("unlabelled", "no-answers", "row"),
)
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@final
@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the data, or worth knowing."""

    severity: Severity
    kind: str  # one of KINDS
    message: str  # what is the case, with its numbers
    fix: str
    source: str  # the file, as the user named it
    other: str | None = None  # the other file, where two are concerned
    unit: Literal["line", "row"] = "row"  # what `rows` counts, from 1
    rows: tuple[int, ...] = ()  # the first MOST_ROWS of them
    n_rows: int = 0  # all of them
    example: str = ""

    def place(self) -> str:
        """ "train.csv, lines 12, 48 and 31 more"; the file alone where no row is concerned."""
        if not self.n_rows:
            return self.source
        shown = [str(row) for row in self.rows[:SHOWN_ROWS]]
        rest = self.n_rows - len(shown)
        if rest:
            words = f"{', '.join(shown)} and {rest:,} more" if shown else f"{rest:,}"
        else:
            words = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
        return f"{self.source}, {self.unit}{'s' if self.n_rows > 1 else ''} {words}"

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "kind": self.kind,
            "file": self.source,
            "other_file": self.other,
            "unit": self.unit,
            "rows": list(self.rows),
            "n_rows": self.n_rows,
            "message": self.message,
            "example": self.example,
            "fix": self.fix,
        }


def finding(
    severity: Severity,
    kind: str,
    table: Table,
    rows: "np.ndarray[Any, Any]",
    message: str,
    fix: str,
    *,
    example: str = "",
    other: str | None = None,
) -> Finding:
    """A finding about rows (n,) of a table, under the numbers that the file gives them."""
    numbers = tuple(table.numbers(rows[:MOST_ROWS].astype(np.int64)).tolist())
    unit: Literal["line", "row"] = "row" if table.first_lines is None else "line"
    return Finding(severity, kind, message, fix, table.source, other, unit, numbers, len(rows), example)


@final
@dataclass(frozen=True)
class Report:
    """All findings about some data, worst first."""

    findings: tuple[Finding, ...]
    parts: Mapping[str, tuple[str, int]]  # train, dev, test -> file and rows, of what could be read
    columns: Columns | None = None  # None where they could not be told

    @property
    def has_errors(self) -> bool:
        """Whether `train` would refuse the data."""
        return any(found.severity == "error" for found in self.findings)

    def count(self, severity: Severity) -> int:
        """Findings of this severity."""
        return Counter(found.severity for found in self.findings)[severity]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        columns = self.columns
        return {
            "has_errors": self.has_errors,
            "counts": {f"{severity}s": self.count(severity) for severity in _SEVERITIES},
            "parts": {name: {"file": source, "rows": n} for name, (source, n) in self.parts.items()},
            "task": None if columns is None else columns.task,
            "columns": None if columns is None else columns.to_json(),
            "findings": [found.to_json() for found in self.findings],
        }


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By severity, then by KINDS, then by the rows concerned."""
    return tuple(
        sorted(
            findings,
            key=lambda found: (_SEVERITIES.index(found.severity), KINDS.index(found.kind), -found.n_rows),
        )
    )


def quoted(text: str, most: int = 100) -> str:
    """A text in quotes for one line of a terminal: cut in the middle, nothing in it that moves the cursor."""
    if len(text) > most:
        text = f"{text[: most * 2 // 3]} ... {text[-most // 3 :]}"
    return f'"{visible(text)}"'


def visible(text: str) -> str:
    """The text with everything that does not print written as an escape."""
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "replace").decode()
