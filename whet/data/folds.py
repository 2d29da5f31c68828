"""Folds of a cross-validation: seeded, stratified by label, rows that belong together in one fold."""

import numpy as np
import pyarrow.compute as pc

from whet.data.splitting import Int64s, text_groups
from whet.data.table import Columns, Table
from whet.data.texts import readable
from whet.errors import DataError


def row_groups(table: Table, columns: Columns, group: str | None = None) -> Int64s:
    """What may not be torn apart, (n_rows,) numbers: rows of the same text (see `text_groups`), or of the
    same value in the column `group` (or, without one, in that of `columns`), blanks around it left out; a row
    without a value goes with its text.

    Raises DataError for a column that is not there or holds lists."""
    texts = [readable(table, name) for name in (columns.text, columns.pair) if name is not None]
    by_text = text_groups(texts)
    group = group or columns.group
    if group is None:
        return by_text
    values = pc.fill_null(pc.utf8_trim_whitespace(table.strings(group)), "")
    has_value = pc.not_equal(values, "").to_numpy()
    by_value = text_groups([values], as_written=True)
    return np.where(has_value, by_value, by_value.max(initial=0) + 1 + by_text)


def fold_numbers(
    labels: Int64s, groups: Int64s, n_folds: int, seed: int, source: str, unit: str = "different texts"
) -> Int64s:
    """The fold of each row, (n_rows,) from 0; no fold is empty. labels, groups (n_rows,) any numbers.

    Groups of several rows go first, the largest first, each to the fold that has least of its labels, as
    shares of all rows with that label (the rule of scikit-learn's StratifiedGroupKFold, with squares in place
    of standard deviations). The single rows then even out what is left, label by label.
    Raises DataError for fewer groups than folds; the message calls the data `source` and groups `unit`."""
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < n_folds:
        raise DataError(
            f"{source}: {n_folds} folds need as many {unit} among the labelled rows, and there are "
            f"{len(sizes)}. Choose fewer folds, or add rows."
        )
    _, classes = np.unique(labels, return_inverse=True)
    random = np.random.default_rng(seed)
    folds = np.full(len(labels), -1, np.int64)
    counts = np.zeros((n_folds, int(classes.max()) + 1), np.int64)  # rows of each label in each fold
    of_class = np.bincount(classes)
    in_order = np.argsort(group_of, kind="stable")
    ends = np.cumsum(sizes)
    several = random.permutation(np.flatnonzero(sizes > 1))
    for group in several[np.argsort(-sizes[several], kind="stable")]:
        rows = in_order[ends[group] - sizes[group] : ends[group]]
        present, added = np.unique(classes[rows], return_counts=True)
        cost = counts[:, present] @ (added / of_class[present] ** 2)
        fold = np.lexsort((counts.sum(axis=1), cost))[0]
        counts[fold, present] += added
        folds[rows] = fold
    single = random.permutation(np.flatnonzero(sizes[group_of] == 1))
    for label in np.unique(classes[single]):
        rows = single[classes[single] == label]
        places = _evened(counts[:, label], counts.sum(axis=1), len(rows))
        counts[:, label] += np.bincount(places, minlength=n_folds)
        folds[rows] = places
    return folds


def _evened(counts: Int64s, sizes: Int64s, n_rows: int) -> Int64s:
    """The folds that `n_rows` rows of a label go to, (n_rows,): always the one with fewest of that label, of
    equals the smallest. counts, sizes (n_folds,) rows of the label, and all rows, so far."""
    n_each = -(-n_rows // len(counts)) + int(counts.max() - counts.min())
    levels = counts[:, None] + np.arange(n_each)
    ranks = np.argsort(np.argsort(sizes, kind="stable"), kind="stable")
    order = np.lexsort((np.repeat(ranks, n_each), levels.ravel()))
    return order[:n_rows] // n_each
