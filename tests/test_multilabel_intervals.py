"""Intervals of multi-label figures: against closed formulas and slow exact ways, and how often they hold.

That the coverage test can fail is shown by `test_rows_taken_for_independent_decisions_are_noticed`.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from whet import intervals, multilabel_metrics
from whet import multilabel_intervals as ours

_BENCH = Path(__file__).resolve().parents[1] / "bench" / "multilabel_coverage.py"


def _bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_multilabel_coverage", _BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def draw(n: int, n_labels: int, seed: int, decimals: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.random((n, n_labels)) < rng.uniform(0, 0.6, n_labels)
    probabilities = np.round(1 / (1 + np.exp(-(rng.normal(size=(n, n_labels)) + 2 * true - 1))), decimals)
    return probabilities, probabilities >= 0.5, true


def test_one_decision_a_row_is_wilson_with_students_t() -> None:
    """Ratios over rows that hold one decision each are shares; t is Z for so many rows."""
    hits = np.arange(100_003) % 4 == 0
    theirs = scipy.stats.binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    assert ours.ratio_interval(hits, np.ones(len(hits))) == pytest.approx([theirs.low, theirs.high], abs=1e-7)
    assert ours.ratio_interval(np.zeros(5), np.zeros(5)) is None
    assert ours.ratio_interval(np.ones(5), np.ones(5)) == intervals.wilson(5, 5)


def test_decisions_that_repeat_within_a_row_count_once() -> None:
    hits = np.arange(100_003) % 4 == 0
    once = ours.ratio_interval(hits, np.ones(len(hits)))
    assert ours.ratio_interval(7 * hits, np.full(len(hits), 7)) == pytest.approx(once)


@pytest.mark.parametrize("decimals", [1, 9])
@pytest.mark.parametrize("n_positive", [1, 2, 11])
def test_leaving_out_is_scikit_learn_without_that_text(decimals: int, n_positive: int) -> None:
    rng = np.random.default_rng(3)
    scores = np.round(rng.random(41), decimals)
    positive = rng.permutation(np.arange(41) < n_positive)
    found, without = ours.left_out_precisions(scores, positive)
    assert found == pytest.approx(average_precision_score(positive, scores))
    for i in range(41):
        if n_positive == 1 and positive[i]:
            assert np.isnan(without[i])
        else:
            wanted = average_precision_score(np.delete(positive, i), np.delete(scores, i))
            assert without[i] == pytest.approx(wanted, abs=1e-12)


def test_macro_figures_of_one_label_are_about_its_own() -> None:
    """With one label macro recall is a share, so the resampling can be held to Wilson."""
    true = np.arange(2000) < 1000
    decided = np.arange(2000) % 5 > 0
    found = ours.macro_intervals(decided[:, None], true[:, None])
    assert found["macro_recall"] == pytest.approx(intervals.wilson(800, 1000), abs=3e-3)


def test_labels_that_are_copies_are_one_label() -> None:
    """Ten copies of a label tell no more than the label."""
    probabilities, decided, true = draw(500, 1, 4)
    one = ours.multilabel_intervals(probabilities, decided, true, ["a"])
    many = [np.repeat(x, 10, axis=1) for x in (probabilities, decided, true)]
    ten = ours.multilabel_intervals(*many, [str(i) for i in range(10)])
    for name in ("macro_f1", "micro_f1", "macro_pr_auc", "micro_pr_auc", "hamming_loss", "samples_f1", "bce"):
        assert ten[name][1] - ten[name][0] == pytest.approx(one[name][1] - one[name][0], rel=0.1), name


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 10_000), st.sampled_from([0, 1, 9]))
def test_every_interval_holds_its_figure(n: int, n_labels: int, seed: int, decimals: int) -> None:
    names = [str(i) for i in range(n_labels)]
    given_set = draw(n, n_labels, seed, decimals)
    figures = multilabel_metrics.multilabel_metrics(*given_set, names)
    ends = ours.multilabel_intervals(*given_set, names)
    json.dumps(ends, allow_nan=False)
    assert set(ends) == set(figures) - {"n"}
    pairs = [(figures[name], ends[name]) for name in ends if name != "per_class"]
    for row, row_ends in zip(figures["per_class"], ends["per_class"], strict=True):
        pairs += [(row[name], row_ends[name]) for name in ("precision", "recall", "f1", "pr_auc")]
    for value, interval in pairs:
        if value is None:
            assert interval is None
        elif interval is not None:
            assert interval[0] - 1e-12 <= value <= interval[1] + 1e-12
            assert interval[0] >= 0


def test_all_right_is_not_certain() -> None:
    _, _, true = draw(40, 3, 1)
    found = ours.multilabel_intervals(true * 0.9 + 0.05, true, true, ["a", "b", "c"])
    for name in ("micro_f1", "macro_f1", "subset_accuracy", "micro_pr_auc", "macro_pr_auc"):
        assert found[name][1] == 1
        assert 0.5 < found[name][0] < 0.999, name
    assert 0 < found["hamming_loss"][1] < 0.1


def test_seeds_and_large_data(monkeypatch: pytest.MonkeyPatch) -> None:
    given_set = draw(50_000, 5, 1)
    began = time.process_time()
    whole = ours.multilabel_intervals(*given_set, list("abcde"))
    assert time.process_time() - began < 10
    monkeypatch.setattr(ours, "MOST_DECISIONS", 50_000)
    sampled = ours.multilabel_intervals(*given_set, list("abcde"), seed=1)
    assert sampled["macro_f1"] != whole["macro_f1"]
    assert np.ptp(sampled["micro_pr_auc"]) == pytest.approx(np.ptp(whole["micro_pr_auc"]), rel=0.1)
    assert np.mean(sampled["micro_pr_auc"]) == pytest.approx(np.mean(whole["micro_pr_auc"]), abs=1e-4)
    small = draw(97, 3, 5)
    first, again = (ours.multilabel_intervals(*small, list("abc")) for _ in range(2))
    assert first == again


def _misses(shares: dict[str, float], margin: float) -> list[str]:
    return [name for name, share in shares.items() if share < intervals.LEVEL - margin]


@pytest.mark.slow
def test_intervals_cover() -> None:
    """150 sets, so a share is known to 1.8 points: three of these beyond the two that are allowed."""
    bench = _bench()
    population = bench.POPULATIONS["six labels, 30 to 5"]
    known = bench.truth(population, 100_000)
    assert not _misses(bench.coverage(population, known, 300, 150), 0.02 + 3 * 0.018)


@pytest.mark.slow
def test_rows_taken_for_independent_decisions_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variance over texts, what remains counts decisions as independent, which they are not."""
    bench = _bench()
    population = bench.POPULATIONS["five even labels of 40, nearly right"]
    monkeypatch.setattr(bench, "TOGETHER", 0.9)
    together = bench.truth(population, 100_000)
    right = bench.coverage(population, together, 300, 100)
    monkeypatch.setattr(ours, "_wilson_of", lambda share, *_: intervals.wilson(1500 * share, 1500))
    wrong = bench.coverage(population, together, 300, 100)
    names = ("hamming_loss", "micro_recall")
    assert not _misses({name: right[name] for name in names}, 0.08)
    assert set(_misses({name: wrong[name] for name in names}, 0.08)) == set(names)
