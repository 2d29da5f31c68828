"""What is wrong with questions and answers, as findings of `whet check`."""

from collections.abc import Iterator, Mapping

import numpy as np

from whet.data.findings import Finding, Severity, finding
from whet.data.questions import Kind, question_table
from whet.data.table import Columns, Table
from whet.data.wording import counted

_SAID: Mapping[Kind, tuple[str, str]] = {  # of counted rows, and what to do
    "duplicate-id": ("have the id of an earlier one.", "Give every question its own."),
    "empty-question": ("are empty, and left out.", "Write them, or take the rows out."),
    "empty-context": ("have an empty context, and are left out.", "Write it, or take the rows out."),
    "no-answers": ("have no answers, and are unlabelled.", "Where there is none, say is_impossible."),
    "impossible": ("are marked as impossible, and have answers.", "Write false, or take the answers out."),
    "empty-answer": ("have empty answers, which are left out.", "Take them out."),
    "moved": ("have an answer that does not begin where it should; it was moved.", "Mend answer_start."),
    "moved-nearest": (
        "have an answer that does not begin where it should; the nearest of several places is taken.",
        "Mend answer_start.",
    ),
    "not-placed": (
        "have an answer without a place, which stands at several; the first is taken.",
        "Write answer_start.",
    ),
    "absent": (
        "have an answer that is not in their context: it counts in scores, and cannot be learnt.",
        "Copy answers from the contexts, letter for letter.",
    ),
}


def question_findings(table: Table, columns: Columns) -> Iterator[Finding]:
    """One finding a kind of problem, with its rows. Raises DataError as `question_table`."""
    assert columns.pair is not None
    _, problems = question_table(table, columns.text, columns.pair, columns.label)
    for kind, (message, fix) in _SAID.items():
        own = [problem for problem in problems if problem.kind == kind]
        if own:
            rows = np.unique([problem.row for problem in own])
            severity: Severity = "note" if kind == "no-answers" else "warning"
            told = f"{counted(len(rows), 'question')} {message}"
            if len(rows) == 1:
                told = told.replace(" have ", " has ", 1).replace(" are ", " is ", 1)
            yield finding(severity, kind, table, rows, told, fix, example=own[0].message)
