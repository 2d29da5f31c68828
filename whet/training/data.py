"""From what the user named to examples: columns, labels, the dev split, and a line about each decision."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from whet.config import TrainConfig
from whet.data.columns import Columns, infer_columns
from whet.data.folds import row_groups
from whet.data.readers import read_split_of, read_splits
from whet.data.splitting import grouped_stratified_split
from whet.data.table import LabelColumns, Table
from whet.data.texts import Texts
from whet.data.wording import counted
from whet.errors import DataError
from whet.tasks import TASKS, Task
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser
from whet.training.gradient import Examples

_FEW_ROWS = 30  # of dev: a standard error of 9 points and more at 50% accuracy


@final
@dataclass(frozen=True)
class Named:
    """Data and columns as the user named them; None is left to inference."""

    data: Any
    dev: Any = None
    test: Any = None
    task: str | None = None
    text: str | None = None
    pair: str | None = None
    label: LabelColumns = None  # several are columns of 0 and 1
    group: str | None = None  # a column whose rows of one value stay together where rows are held out


@final
@dataclass(frozen=True)
class Part:
    """Some rows of a table, and the label of each."""

    table: Table
    rows: np.ndarray  # (n,) int64 rows of the table
    targets: np.ndarray  # (n, ...) as the task reads them, all labelled
    n_unlabelled: int  # rows of the table that were left out

    def some(self, mask: np.ndarray) -> "Part":
        """The rows where mask (n,) is true."""
        return replace(self, rows=self.rows[mask], targets=self.targets[mask])

    def record(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {
            "source": self.table.source,
            "rows": len(self.rows),
            "unlabelled_rows": self.n_unlabelled,
            "fingerprint": self.table.fingerprint(),
        }


@final
@dataclass(frozen=True)
class TrainingData:
    columns: Columns
    task: Task
    train: Part
    dev: Part | None
    test: Part | None
    dev_is_held_out: bool  # dev's rows come from the training table

    @property
    def whole(self) -> Part:
        """All labelled rows of the training table in their order, those that are held out among them."""
        if self.dev is None or not self.dev_is_held_out:
            return self.train
        rows = np.concatenate([self.train.rows, self.dev.rows])
        targets = np.concatenate([self.train.targets, self.dev.targets])
        order = np.argsort(rows)
        return replace(self.train, rows=rows[order], targets=targets[order])


def read_training_data(named: Named, config: TrainConfig, say: Callable[[str], None]) -> TrainingData:
    """Read, infer, encode and split. Raises DataError for whatever is wrong with the data."""
    splits = read_splits(named.data)
    table = splits.train
    dev = splits.dev if named.dev is None else read_split_of(named.dev, "dev")
    test = splits.test if named.test is None else read_split_of(named.test, "test")
    columns = infer_columns(table, task=named.task, text=named.text, pair=named.pair, label=named.label)
    for note in columns.notes:
        say(note)
    assert columns.labels
    for part in (table, dev, test):
        if part is not None and part.n_broken:
            say(f"{part.source}: {counted(part.n_broken, 'line')} left out that hold no whole row of QQP.")
    if named.group is not None:
        table.strings(named.group)  # raises for a column that is not there, also where dev is given
    n_empty = Texts(table, columns).n_empty()
    if n_empty == len(table):
        raise DataError(
            f"{table.source}: column '{columns.text}' is empty in all {len(table):,} rows, so there is "
            f"nothing to learn from. Name the right column with --text; there are: {', '.join(table.names)}."
        )
    if n_empty:
        rows, verb = counted(n_empty, "row"), "has" if n_empty == 1 else "have"
        say(f"{rows} of {table.source} {verb} an empty text, and {'is' if n_empty == 1 else 'are'} kept.")
    kind = TASKS[columns.task]
    kind.refuse(config)
    task = kind.learn(table, columns, config)
    whole = _part(table, columns, task)
    if whole.n_unlabelled:
        rows, verb = counted(whole.n_unlabelled, "row"), "has" if whole.n_unlabelled == 1 else "have"
        say(f"{rows} of {table.source} {verb} no label: left out of training.")
    say(f"{counted(len(whole.rows), 'training row')} in {table.source}, {task.describe().removesuffix('.')}.")
    dev_part = None if dev is None else _labelled_part(dev, columns, task, required=named.dev is not None)
    test_part = None if test is None else _labelled_part(test, columns, task, required=named.test is not None)
    if dev_part is not None:
        say(f"Dev: {len(dev_part.rows):,} rows of {dev_part.table.source}, to choose the best epoch.")
        return TrainingData(columns, task, whole, dev_part, test_part, False)
    split_seed = config.seed if config.split_seed is None else config.split_seed
    groups = row_groups(table, columns, named.group)[whole.rows]
    train_part, held_out = hold_out(
        whole, task.strata(whole.targets), groups, config.dev_fraction, split_seed
    )
    group, what = named.group or columns.group, "label" if task.has_classes else "what they hold"
    together = "duplicates" if group is None else f"rows of one '{group}'"
    if held_out is None:
        say("There is no dev set, so the last epoch is kept.")
    else:
        say(
            f"Dev: {len(held_out.rows):,} of these rows are held out to choose the best epoch (stratified by "
            f"{what}, {together} kept on one side, seed {split_seed}); give your own with --dev."
        )
    if held_out is not None and len(held_out.rows) < _FEW_ROWS:
        say(f"So few dev rows say little: one of them is {1 / len(held_out.rows):.0%} of all.")
    return TrainingData(columns, task, train_part, held_out, test_part, held_out is not None)


def examples(part: Part, columns: Columns, task: Task, tokeniser: Tokeniser, rules: TextRules) -> Examples:
    """The part's texts, in the order of its rows; they become tokens when they are first needed."""
    texts: Any = task.texts(part.table, columns, rules, part.rows)
    store, rows = task.tokenised(texts, tokeniser, rules)
    return Examples(store, part.targets if rows is None else part.targets[rows], rows)


def _part(table: Table, columns: Columns, task: Task) -> Part:
    targets = task.read(table, columns)
    rows = np.flatnonzero(task.is_labelled(targets))
    return Part(table, rows, targets[rows], len(table) - len(rows))


def _labelled_part(table: Table, columns: Columns, task: Task, required: bool) -> Part | None:
    """None for a split that came with the data and has no labels, as GLUE's test files."""
    if not required and not columns.are_labelled(table.names):
        return None
    infer_columns(table, task=columns.task, text=columns.text, pair=columns.pair, label=columns.labels)
    part = _part(table, columns, task)
    if len(part.rows) == 0:
        if required:
            raise DataError(f"{table.source}: no row has a label in {columns.label_words}.")
        return None
    return part


def hold_out(
    part: Part, strata: np.ndarray, groups: np.ndarray, fraction: float, seed: int
) -> tuple[Part, Part | None]:
    """The rows to train on, and those held out; None where there are none. groups (n,) numbers of the part's
    rows, which stay whole, and strata (n,) what the split is stratified by."""
    if fraction == 0.0:
        return part, None
    held_out = grouped_stratified_split(strata, groups, fraction, seed)
    return (part.some(~held_out), part.some(held_out)) if held_out.any() else (part, None)
