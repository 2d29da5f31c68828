"""From texts that the user named to documents to learn from and documents held out."""

from collections.abc import Callable

import numpy as np

from whet.config import TrainConfig
from whet.data.corpus import has_text, read_corpus
from whet.data.folds import row_groups
from whet.data.table import Columns, Table
from whet.data.wording import counted
from whet.errors import DataError
from whet.tasks.masked_lm import MaskedLM
from whet.training.data import Named, Part, TrainingData, hold_out

_FEW = 30  # held-out documents


def read_corpus_data(named: Named, config: TrainConfig, say: Callable[[str], None]) -> TrainingData:
    """Read documents and hold some out. Raises DataError for whatever is wrong with them."""
    table, columns = read_corpus(named.data, config.documents, named.text, named.pair)
    for note in columns.notes:
        say(note)
    MaskedLM.refuse(config)
    task = MaskedLM.learn(table, columns, config)
    whole = _part(table)
    if task.next_sentence and len(whole.rows) == 1:
        raise DataError(
            f"{table.source}: next_sentence=on takes second parts from other documents, and there is one. "
            "Name more texts, or say what begins a document (--set documents=lines)."
        )
    words = "it" if len(whole.rows) == 1 else "them"
    say(f"{counted(len(whole.rows), 'document')} in {table.source}; of {words} {task.describe()}.")
    if named.dev is not None:
        dev = _part(read_corpus(named.dev, config.documents, named.text, named.pair)[0])
        say(f"Held out: {counted(len(dev.rows), 'document')} of {dev.table.source}.")
        return TrainingData(columns, task, whole, dev, None, False)
    return _held_out(columns, task, whole, config, say)


def _held_out(
    columns: Columns, task: MaskedLM, whole: Part, config: TrainConfig, say: Callable[[str], None]
) -> TrainingData:
    seed = config.seed if config.split_seed is None else config.split_seed
    groups = row_groups(whole.table, columns)[whole.rows]
    train, dev = hold_out(whole, task.strata(whole.targets), groups, config.dev_fraction, seed)
    if dev is None and config.dev_fraction > 0:
        n = len(np.unique(groups))
        found = "one document" if n == 1 else f"{n} documents"
        raise DataError(
            f"{whole.table.source}: there is {found} without duplicates, so nothing can be held out. Say "
            "what begins a document (--set documents=lines), name held-out texts with --dev, or hold out "
            "nothing (--set dev_fraction=0)."
        )
    if dev is None:
        say("Nothing is held out, so the last epoch is kept.")
    else:
        say(
            f"Held out: {counted(len(dev.rows), 'document')}, to choose the best epoch (duplicates kept on "
            f"one side, seed {seed}); name your own with --dev."
        )
        if len(dev.rows) < _FEW:
            say("So few documents say little of others.")
    return TrainingData(columns, task, train, dev, None, dev is not None)


def _part(table: Table) -> Part:
    rows = np.flatnonzero(has_text(table))
    if len(rows) == 0:
        raise DataError(f"{table.source}: no document holds any text, so there is nothing to learn from.")
    return Part(table, rows, rows, len(table) - len(rows))
