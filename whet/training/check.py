"""`whet check`: data, labels, tokeniser and encoder brought together; nothing that is wrong is raised.

An error is what `train` refuses; everything else is a warning or a note.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from whet.checkpoints.families import family_of
from whet.checkpoints.loading import read_config
from whet.checkpoints.locate import locate
from whet.config import TrainConfig
from whet.data.columns import Columns, infer_columns
from whet.data.duplicates import duplicate_findings
from whet.data.findings import Finding, Report, finding, quoted, worst_first
from whet.data.labels import label_names
from whet.data.parts import Part, PartName, Spell, part
from whet.data.readers import read_split_of, read_splits
from whet.data.table import Table
from whet.data.validation import cut_finding, label_findings, text_findings
from whet.data.wording import counted
from whet.errors import CheckpointError, DataError
from whet.tasks import TASKS
from whet.text.encoding import Encoded, joined
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser
from whet.text.validation import row_finding, tokeniser_findings, unknown_findings
from whet.training.data import Named, TrainingData

SAMPLE = 20_000  # rows that become tokens where there are more
NEAR_IN_TRAINING = 50_000  # rows; with more, `train` leaves near duplicates to `whet check`
_MOST_LINES = 8  # that `train` says
_FIXED_BY_AN_OPTION = ("skew",)  # of `train`, so it says the fix too
_SLICE = 4096

Tables = dict[PartName, Table]


def check_data(named: Named, model: str, config: TrainConfig) -> Report:
    """Everything that can be told about data and model. Raises UsageError for a task that there is not."""
    tables, found = _read(named)
    sizes: dict[str, tuple[str, int]] = {name: (table.source, len(table)) for name, table in tables.items()}
    if "train" not in tables:
        return Report(worst_first(found), sizes)
    try:
        columns = infer_columns(
            tables["train"], task=named.task, text=named.text, pair=named.pair, label=named.label
        )
    except DataError as error:
        found.append(_error("columns", error, tables["train"].source))
        return Report(worst_first(found), sizes)
    parts: list[Part] = []
    for name, table in tables.items():
        asked = name == "train" or getattr(named, name) is not None
        try:
            parts += _part(name, table, columns, config, asked)
        except DataError as error:
            found.append(_error("columns", error, table.source))
    if parts and parts[0].name == "train":
        found += data_findings(parts, columns, config)
        found += _target_findings(parts, columns, config)
        found += _model_findings(parts, columns, model, config)
    return Report(worst_first(found), sizes, columns)


def _target_findings(parts: list[Part], columns: Columns, config: TrainConfig) -> Iterator[Finding]:
    """What a task cannot read that is not about classes; of those `data_findings` knows more to say."""
    kind = TASKS[columns.task]
    if kind.has_classes:
        return
    task = None
    for table in (one.table for one in parts if columns.are_labelled(one.table.names)):
        try:
            task = kind.learn(table, columns, config) if task is None else task
            task.read(table, columns)
        except DataError as error:
            yield _error("targets", error, table.source)


def data_findings(
    parts: list[Part], columns: Columns, config: TrainConfig, most_near: int | None = None
) -> Iterator[Finding]:
    """What needs no encoder; the first part is train. Near duplicates are looked for in at most `most_near`
    rows, None is any number."""
    if TASKS[columns.task].has_classes:
        classes = parts[0].table.class_names.get(columns.label or "", ())
        yield from label_findings(parts, classes, are_balanced=config.class_weights == "balanced")
    for one in parts:
        yield from text_findings(one)
        yield from TASKS[columns.task].findings(one.table, columns)
    yield from duplicate_findings(parts, most_near)


def warn_before_training(
    data: TrainingData, named: Named, config: TrainConfig, say: Callable[[str], None]
) -> None:
    """The warnings about data that is read already, a line each. Raises DataError for errors."""
    tables: Tables = {"train": data.train.table}
    if data.dev is not None and not data.dev_is_held_out:
        tables["dev"] = data.dev.table
    if data.test is not None:
        tables["test"] = data.test.table
    columns = data.columns
    spell = _spell(columns, config)
    parts = [part(name, table, columns, spell) for name, table in tables.items()]
    n_rows = sum(map(len, parts))
    found = worst_first(data_findings(parts, columns, config, NEAR_IN_TRAINING))
    errors = [f"{one.place()}: {one.message} {one.fix}" for one in found if one.severity == "error"]
    if errors:
        raise DataError("\n".join(errors))
    warnings = [one for one in found if one.severity == "warning"]
    for one in warnings[:_MOST_LINES]:
        fix = f" {one.fix}" if one.kind in _FIXED_BY_AN_OPTION else ""
        say(f"Warning: {one.place()}: {one.message}{fix}")
    command = f"`whet check {' '.join(_files(named))}`"
    if warnings:
        all_of_them = "it" if len(warnings) == 1 else f"all {len(warnings)}"
        say(f"{command} shows {all_of_them} with examples and what to do.")
    if n_rows > NEAR_IN_TRAINING:
        say(
            f"Near duplicates are not looked for in more than {NEAR_IN_TRAINING:,} rows here; {command} does."
        )


def _files(named: Named) -> Iterator[str]:
    """The words behind `whet check` that name the same data again."""
    yield shlex.quote(str(named.data)) if isinstance(named.data, str | os.PathLike) else "FILE"
    for option in ("dev", "test", "text", "pair", "label"):
        value = getattr(named, option)
        for one in value if isinstance(value, tuple) and option == "label" else (value,):
            if isinstance(one, str | os.PathLike):
                yield f"--{option} {shlex.quote(str(one))}"


def _read(named: Named) -> tuple[Tables, list[Finding]]:
    """What can be read, in the order train, dev, test, and what cannot."""
    tables: dict[PartName, Table | None] = {}
    found: list[Finding] = []
    try:
        splits = read_splits(named.data)
        tables = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    except DataError as error:
        found.append(_error("unreadable", error, _name(named.data)))
    others: tuple[PartName, ...] = ("dev", "test")
    for name in others:
        source = getattr(named, name)
        if source is None:
            continue
        try:
            tables[name] = read_split_of(source, name)
        except DataError as error:
            tables[name] = None
            found.append(_error("unreadable", error, _name(source)))
    return {name: table for name, table in tables.items() if table is not None}, found


def _name(source: Any) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else f"<{type(source).__name__}>"


def _part(name: PartName, table: Table, columns: Columns, config: TrainConfig, asked: bool) -> Iterator[Part]:
    """The part, or none where the data brought a split that `train` passes over. Raises DataError."""
    if asked or columns.are_labelled(table.names):
        infer_columns(table, task=columns.task, text=columns.text, pair=columns.pair, label=columns.labels)
    elif not {columns.text, columns.pair or columns.text} <= set(table.names):
        return
    made = part(name, table, columns, _spell(columns, config))
    if asked and name != "train" and made.labels is not None and made.labels.null_count == len(made):
        raise DataError(f"{table.source}: no row has a label in {columns.label_words}.")
    yield made


def _spell(columns: Columns, config: TrainConfig) -> Spell:
    return lambda table, named: TASKS[columns.task].spelled(table, named, config)


def _error(kind: str, error: Exception, source: str) -> Finding:
    """What a reader raised, as a finding: its first sentence is what is wrong, the rest what to do."""
    first, *rest = re.split(r"(?<=[.?!])\s+(?=[A-Z])", str(error), maxsplit=1)
    fix = rest[0] if rest else "Correct what this names, and check again."
    message = first.removeprefix(f"{source}: ")
    numbered = re.match(rf"{re.escape(source)}(?::|, row )(\d+): ", first)
    if numbered is None:
        return Finding("error", kind, message, fix, source)
    unit: Literal["line", "row"] = "row" if ", row " in numbered[0] else "line"
    rows = (int(numbered[1]),)
    return Finding("error", kind, first[numbered.end() :], fix, source, None, unit, rows, 1)


def _model_findings(
    parts: list[Part], columns: Columns, model: str, config: TrainConfig
) -> Iterator[Finding]:
    """What the tokeniser makes of the texts, and whether it belongs to the encoder."""
    try:
        folder = locate(model).folder
        described = read_config(folder)
        family = family_of(described)
        family.head_class(TASKS[columns.task].layout)  # raises, as `train` does
        spec = family.spec(described)
        positions = spec.max_positions
        tokeniser = Tokeniser.load(folder, spec.n_types)
    except CheckpointError as error:
        yield _error("model", error, model)
        return
    kind = TASKS[columns.task]
    max_length = config.max_length or min(kind.usual_length, positions)
    if max_length > positions:
        message = f"max_length={max_length}: this encoder has {positions} positions."
        yield Finding("error", "model", message, f"Choose 4 to {positions}.", model)
        return
    yield from tokeniser_findings(tokeniser, described, model)
    rules = TextRules(max_length, config.cut, config.long_texts, config.context, config.stride)
    for one in parts:
        rows = np.arange(len(one))
        if len(one) > SAMPLE:
            rows = np.sort(np.random.default_rng(0).choice(len(one), SAMPLE, replace=False))
        texts: Any = kind.texts(one.table, columns, rules, rows)
        encoding = kind.encoding(tokeniser, rules)
        starts = range(0, max(len(rows), 1), _SLICE)
        slices = (np.arange(start, min(start + _SLICE, len(rows))) for start in starts)
        encoded = joined([encoding(texts.some(some)) for some in slices])
        yield from cut_finding(one, rows, encoded.kept, encoded.full_lengths, max_length, config.cut)
        yield from unknown_findings(one, rows, encoded, tokeniser)
        yield from _unplaced_findings(one, rows, encoded, columns, config)
    train = parts[0]
    labelled = np.arange(0) if train.labels is None else np.flatnonzero(train.labels.is_valid().to_numpy())
    if len(labelled):
        try:
            target = _target(train, int(labelled[0]), columns)
        except DataError:  # told already
            return
        yield row_finding(train, int(labelled[0]), tokeniser, target, max_length, config.cut)


def _unplaced_findings(
    one: Part, rows: np.ndarray, encoded: Encoded, columns: Columns, config: TrainConfig
) -> Iterator[Finding]:
    """Rows (n,) of the part, encoded, whose answer no window holds."""
    if encoded.marks is None or not set(columns.labels) <= set(one.table.names):
        return
    try:
        task = TASKS[columns.task].learn(one.table, columns, config)
        targets = task.read(one.table, columns)[rows]
    except DataError:  # told already
        return
    marks = np.split(encoded.marks, np.cumsum(encoded.lengths)[:-1])
    labelled = np.flatnonzero(task.is_labelled(targets))
    lost = labelled[task.unplaced(targets[labelled], [marks[i] for i in labelled])]
    if len(lost):
        message = f"{counted(len(lost), 'answer')} stand{'s' if len(lost) == 1 else ''} whole in no window."
        fix = "Raise max_length or stride, or take a shorter answer."
        first = int(rows[lost[0]])
        example = f"{one.table.place(first)} {one.example(first)}"
        yield finding("warning", "no-window", one.table, rows[lost], message, fix, example=example)


def _target(train: Part, row: int, columns: Columns) -> str:
    """What training makes of the label of a row, in words."""
    label = train.label(row) or ""
    if not TASKS[columns.task].has_classes:
        return label or "no label"
    assert columns.label is not None
    return f"{label_names([train.table], columns.label).index(label)} ({quoted(label, 40)})"
