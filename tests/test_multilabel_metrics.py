"""Multi-label figures against scikit-learn."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import multilabel_metrics as ours


def draw(n: int, n_labels: int, seed: int, decimals: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, decisions and targets; few decimals make ties."""
    rng = np.random.default_rng(seed)
    true = rng.random((n, n_labels)) < rng.uniform(0, 0.6, n_labels)
    probabilities = np.round(1 / (1 + np.exp(-(rng.normal(size=(n, n_labels)) + 2 * true - 1))), decimals)
    return probabilities, probabilities >= 0.5, true


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 10_000), st.sampled_from([1, 2, 9]))
def test_every_figure_is_scikit_learns(n: int, n_labels: int, seed: int, decimals: int) -> None:
    probabilities, decided, true = draw(n, n_labels, seed, decimals)
    names = [f"label {i}" for i in range(n_labels)]
    found = ours.multilabel_metrics(probabilities, decided, true, names)
    json.dumps(found, allow_nan=False)
    assert found["n"] == n
    # scikit-learn takes one column for a binary problem, so its target is given as label indicators of two
    wide = [np.hstack([x, x]) if n_labels == 1 else x for x in (true, decided)]
    for average in ("micro", "macro", "samples"):
        scores = theirs.precision_recall_fscore_support(*wide, average=average, zero_division=0)
        for name, score in zip(ours.RATIOS, scores[:3], strict=True):
            assert found[f"{average}_{name}"] == pytest.approx(score, abs=1e-12), (average, name)
    assert found["subset_accuracy"] == pytest.approx(theirs.accuracy_score(*wide))
    assert found["hamming_loss"] == pytest.approx(theirs.hamming_loss(*wide))
    losses = [theirs.log_loss(true[:, i], probabilities[:, i], labels=[0, 1]) for i in range(n_labels)]
    assert found["bce"] == pytest.approx(np.mean(losses))
    areas = []
    for i, row in enumerate(found["per_class"]):
        scores = theirs.precision_recall_fscore_support(
            true[:, i], decided[:, i], average="binary", zero_division=0
        )
        assert [row[name] for name in ours.RATIOS] == pytest.approx(scores[:3])
        assert (row["label"], row["support"], row["predicted"]) == (
            names[i],
            true[:, i].sum(),
            decided[:, i].sum(),
        )
        if not true[:, i].any():
            assert row["pr_auc"] is None
            continue
        areas.append(theirs.average_precision_score(true[:, i], probabilities[:, i]))
        assert row["pr_auc"] == pytest.approx(areas[-1], abs=1e-12)
    assert found["macro_pr_auc"] == (pytest.approx(np.mean(areas)) if areas else None)
    if areas:
        micro = theirs.average_precision_score(true.ravel(), probabilities.ravel())
        assert found["micro_pr_auc"] == pytest.approx(micro, abs=1e-12)


def test_confusions_are_scikit_learns() -> None:
    _, decided, true = draw(53, 5, 1)
    for samplewise in (False, True):
        wanted = theirs.multilabel_confusion_matrix(true, decided, samplewise=samplewise)
        assert (ours.multilabel_confusions(decided, true, samplewise) == wanted).all()


def test_rows_without_labels_that_are_rightly_given_none() -> None:
    true = np.array([[True, False], [False, False]])
    found = ours.multilabel_metrics(true * 0.9, true, true, ["a", "b"])
    assert found["samples_f1"] == 0.5
    assert found["subset_accuracy"] == 1
    assert found["hamming_loss"] == 0


def test_order_of_rows_does_not_matter() -> None:
    probabilities, decided, true = draw(211, 5, 3, 2)
    order = np.random.default_rng(0).permutation(211)
    names = list("abcde")
    first = ours.multilabel_metrics(probabilities, decided, true, names)
    assert ours.multilabel_metrics(probabilities[order], decided[order], true[order], names) == first


def test_scores_of_other_types() -> None:
    positive = np.array([True, False, True, False, False])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scores in (np.array([3, 2, 1, 1, 0], np.uint8), np.array([3, 2, 1, 1, 0], np.float32)):
            wanted = theirs.average_precision_score(positive, scores)
            assert ours.average_precision(scores, positive) == pytest.approx(wanted)
    assert np.isnan(ours.average_precision([0.5], [False]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": [[0.5, 1.5]]}, "row 0 holds values that are no probabilities"),
        ({"probabilities": [[0.5, np.nan]]}, "no probabilities"),
        ({"probabilities": [[0.5]]}, r"must be \(n, 2\) all"),
        ({"decided": [[1, 0]]}, "must be bool"),
        ({"decided": [[True]]}, r"\(n, n_labels\) both"),
        ({"labels": ["a"]}, r"must be \(n, 1\) all"),
        ({"labels": ["a", "a"]}, "named twice"),
        (dict.fromkeys(("probabilities", "decided", "true"), np.zeros((0, 2), bool)), "no text"),
    ],
)
def test_what_is_refused(change: dict[str, object], message: str) -> None:
    given = {
        "probabilities": [[0.5, 0.2]],
        "decided": [[True, False]],
        "true": [[True, False]],
        "labels": ["a", "b"],
    }
    with pytest.raises(ValueError, match=message):
        ours.multilabel_metrics(**{**given, **change})
    with pytest.raises(ValueError, match="is nan"):
        ours.average_precision([np.nan], [True])
