"""Confident learning: row for row what cleanlab finds, and the errors that were planted."""

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues

from whet.label_errors import confident_joint, hardest_rows, label_errors


def noisy(seed, n_labels=None, n_rows=None):
    """(probabilities (n, k), given (n,), true (n,)); every third seed lacks a label, every fifth has ties."""
    random = np.random.default_rng(seed)
    k = n_labels or int(random.integers(2, 40))
    n = n_rows or int(random.integers(2 * k, 1200))
    true = random.integers(k, size=n)
    given = np.where(random.random(n) < random.choice([0.02, 0.1, 0.4]), random.integers(k, size=n), true)
    if seed % 3 == 0:
        given[given == 1] = 0
    given[0] = k - 1  # cleanlab takes the number of labels from the largest
    logits = random.normal(size=(n, k)) * random.choice([0.3, 1, 2])
    logits[np.arange(n), true] += random.choice([0, 1, 3, 6])
    if seed % 5 == 0:
        logits = logits.round(1)
    raised = np.exp(logits)
    return raised / raised.sum(axis=1, keepdims=True), given, true


@pytest.mark.filterwarnings("ignore:May not flag all label issues")
@pytest.mark.parametrize("seed", range(60))
def test_cleanlab_finds_the_same_rows_in_the_same_order(seed):
    """Planted once, each seen by dozens of seeds: the largest of the confident labels in place of the largest
    of all; no calibration; the row kept where the model agrees with its label."""
    probabilities, given, _ = noisy(seed)
    np.testing.assert_array_equal(
        confident_joint(probabilities, given), compute_confident_joint(given, probabilities)
    )
    expected = find_label_issues(
        given,
        probabilities,
        filter_by="prune_by_noise_rate",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    found = label_errors(probabilities, given)
    np.testing.assert_array_equal(found.rows, expected)
    np.testing.assert_array_equal(found.suggested, probabilities[expected].argmax(axis=1))
    assert (found.suggested != given[found.rows]).all()


def test_planted_errors_are_found_by_a_good_model():
    random = np.random.default_rng(7)
    true = random.integers(5, size=2000)
    given = true.copy()
    planted = random.choice(2000, 100, replace=False)
    given[planted] = (true[planted] + random.integers(1, 5, size=100)) % 5
    logits = random.normal(size=(2000, 5))
    logits[np.arange(2000), true] += 5
    raised = np.exp(logits)
    found = label_errors(raised / raised.sum(axis=1, keepdims=True), given)
    hits = np.isin(found.rows, planted)
    assert hits.mean() > 0.95
    assert hits.sum() > 85
    np.testing.assert_array_equal(found.suggested[hits], true[found.rows[hits]])


def test_hardest_rows_are_those_of_least_probability_that_are_not_left_out():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]])
    given = np.array([0, 0, 1, 1, 1])  # their probabilities: 0.9, 0.2, 0.4, 0.3, 0.9
    assert hardest_rows(probabilities, given, np.array([1]), 2).tolist() == [3, 2]
    assert hardest_rows(probabilities, given, np.array([], np.int64), 9).tolist() == [1, 3, 2, 0, 4]


def test_what_cannot_be_is_refused():
    probabilities = np.full((3, 2), 0.5)
    for given in (np.array([0, 1]), np.array([0, 1, 2]), np.array([0, -1, 1])):
        with pytest.raises(ValueError, match="label"):
            label_errors(probabilities, given)
