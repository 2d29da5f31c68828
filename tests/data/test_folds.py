"""Folds: whole groups, no fold empty, as even by label as scikit-learn's StratifiedGroupKFold."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from whet.data.columns import Columns
from whet.data.folds import fold_numbers, row_groups
from whet.data.readers import read_table
from whet.errors import DataError

COLUMNS = Columns("classification", "text", None, ("label",), ())


def spread(labels, folds, n_folds):
    """Mean over labels of the standard deviation over folds of the label's share."""
    counts = np.zeros((n_folds, labels.max() + 1))
    np.add.at(counts, (folds, labels), 1)
    return (counts / counts.sum(axis=0)).std(axis=0).mean()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_groups_stay_whole_and_no_fold_is_empty(data):
    rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=2, max_size=60)
    labels, groups = (np.array(column) for column in zip(*data.draw(rows), strict=True))
    n_folds = data.draw(st.integers(2, max(2, len(np.unique(groups)))))
    if len(np.unique(groups)) < n_folds:
        return
    folds = fold_numbers(labels, groups, n_folds, data.draw(st.integers(0, 9)), "rows")
    assert set(folds.tolist()) == set(range(n_folds))
    assert len(np.unique(np.stack([groups, folds]), axis=1).T) == len(np.unique(groups))


def test_single_rows_are_even_to_one_row_by_label_and_by_size():
    random = np.random.default_rng(0)
    labels = random.choice(7, size=997, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])
    folds = fold_numbers(labels, np.arange(997), 5, 0, "rows")
    for label in range(7):
        assert np.ptp(np.bincount(folds[labels == label], minlength=5)) <= 1
    assert np.ptp(np.bincount(folds)) <= 1


@pytest.mark.parametrize("seed", range(12))
def test_as_even_as_scikit_learn(seed):
    """Planted once: with the cost's sign turned, the largest spread here was 14 times scikit-learn's."""
    random = np.random.default_rng(seed)
    n_rows, n_labels, n_folds = (int(random.integers(*ends)) for ends in ((200, 1500), (2, 12), (2, 8)))
    groups = random.integers(int(n_rows / random.choice([1.5, 3, 10])), size=n_rows)
    labels = random.choice(n_labels, size=n_rows, p=random.dirichlet(np.full(n_labels, 5.0)))
    labels = np.unique(labels, return_inverse=True)[1]
    ours = fold_numbers(labels, groups, n_folds, seed, "rows")
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    theirs = np.empty(n_rows, np.int64)
    for fold, (_, rows) in enumerate(splitter.split(np.zeros(n_rows), labels, groups)):
        theirs[rows] = fold
    assert spread(labels, ours, n_folds) <= 1.05 * spread(labels, theirs, n_folds)


def test_the_seed_decides_and_nothing_else():
    labels, groups = np.arange(300) % 3, np.arange(300) // 2
    first = fold_numbers(labels, groups, 4, 5, "rows")
    np.testing.assert_array_equal(first, fold_numbers(labels + 10, groups * 7 - 3, 4, 5, "rows"))
    assert (first != fold_numbers(labels, groups, 4, 6, "rows")).any()


def test_too_many_folds():
    with pytest.raises(DataError, match=r"few\.csv: 4 folds need as many different texts .* there are 3\."):
        fold_numbers(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 2]), 4, 0, "few.csv")


def table_of(tmp_path: Path, rows):
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label", "author"), *rows])
    return read_table(path)


def test_rows_go_together_by_text_or_by_column(tmp_path):
    table = table_of(
        tmp_path,
        [
            ("Good.", "a", "Ann"),
            ("good. ", "b", "Bob"),
            ("Bad", "a", "Ann"),
            ("New", "a", ""),
            ("new", "b", ""),
        ],
    )
    by_text = row_groups(table, COLUMNS)
    assert by_text[0] == by_text[1] != by_text[2]
    by_author = row_groups(table, COLUMNS, "author")
    assert by_author[0] == by_author[2] != by_author[1]
    with pytest.raises(DataError, match="there is no column 'autor'"):
        row_groups(table, COLUMNS, "autor")
