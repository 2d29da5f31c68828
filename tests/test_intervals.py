"""The intervals: against scipy and statsmodels' formulas, at the edges, and how often they hold the truth.

That the coverage tests can fail is shown by `test_narrow_intervals_are_noticed`.
"""

import importlib.util
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import intervals, metrics

_BENCH = Path(__file__).resolve().parents[1] / "bench" / "coverage.py"


def _bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_coverage", _BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _draw(n: int, n_labels: int, seed: int, margin: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(n_labels, size=n)
    logits = rng.normal(size=(n, n_labels))
    logits[np.arange(n), true] += margin
    raised = np.exp(logits)
    return raised / raised.sum(axis=1, keepdims=True), true


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 11), (501, 997), (999_983, 1_000_003)])
def test_wilson_is_scipys(hits: int, n: int) -> None:
    theirs = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert intervals.wilson(hits, n) == pytest.approx([theirs.low, theirs.high], abs=1e-12)


def test_f1_is_the_jaccard_share_carried_over() -> None:
    theirs = scipy.stats.binomtest(13, 13 + 7).proportion_ci(method="wilson")
    wanted = [2 * theirs.low / (1 + theirs.low), 2 * theirs.high / (1 + theirs.high)]
    assert intervals.f1_interval(13, 7) == pytest.approx(wanted)
    assert intervals.f1_interval(0, 0) is None


def test_delong_s_variance_is_that_of_all_pairs() -> None:
    """DeLong's structural components from the full matrix of pairs, ties included."""
    rng = np.random.default_rng(3)
    positive = np.arange(61) < 19
    scores = np.round(rng.normal(size=61) + positive, 1)
    order = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
    wanted = order.mean(axis=1).var(ddof=1) / 19 + order.mean(axis=0).var(ddof=1) / 42
    auc, shares = intervals._auc_shares(scores, positive)
    assert auc == pytest.approx(metrics.roc_auc(scores, positive), abs=1e-12)
    assert (shares**2).sum() == pytest.approx(wanted, abs=1e-12)


def test_a_loss_without_skewness_has_student_s_interval() -> None:
    losses = np.array([0.25, 0.5, 0.75, 1.0, 1.25])
    wanted = scipy.stats.t.interval(0.95, 4, loc=0.75, scale=scipy.stats.sem(losses))
    assert intervals.loss_interval(losses) == pytest.approx([max(wanted[0], 0), wanted[1]])


def test_macro_recall_of_even_labels_is_about_accuracy() -> None:
    """With two labels of equal support both are the same figure, so the bootstrap can be held to Wilson."""
    confusion = np.array([[410, 90], [60, 440]])
    found = intervals.macro_and_mcc_intervals(confusion)["macro_recall"]
    assert found == pytest.approx(intervals.wilson(850, 1000), abs=2e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 10_000), st.sampled_from([0.0, 2.0, 50.0]))
def test_every_interval_holds_its_figure(n: int, n_labels: int, seed: int, margin: float) -> None:
    names = [str(i) for i in range(n_labels)]
    chances, true = _draw(n, n_labels, seed, margin)
    answers = np.where(np.random.default_rng(seed).random(n) < seed % 3 / 3, -1, chances.argmax(axis=1))
    figures = metrics.classification_metrics(chances, true, names, answers=answers)
    ends = intervals.classification_intervals(chances, true, names, answers=answers)
    json.dumps(ends, allow_nan=False)
    assert set(ends) == set(figures) - {"n", "confusion"}
    pairs = [(figures[name], ends[name]) for name in ends if name != "per_class"]
    for row, row_ends in zip(figures["per_class"], ends["per_class"], strict=True):
        pairs += [(row[name], row_ends[name]) for name in ("precision", "recall", "f1", "roc_auc")]
    for value, interval in pairs:
        if interval is not None:
            assert interval[0] - 1e-12 <= value <= interval[1] + 1e-12
            assert -1 <= interval[0] <= interval[1]


def test_the_same_seed_gives_the_same_intervals() -> None:
    chances, true = _draw(97, 3, 5)
    first, again, other = (
        intervals.classification_intervals(chances, true, ["a", "b", "c"], seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first["mcc"] != other["mcc"]
    assert first["mcc"] == pytest.approx(other["mcc"], abs=0.02)


def test_the_positive_label() -> None:
    chances, true = _draw(53, 2, 5)
    found = intervals.classification_intervals(chances, true, ["no", "yes"], "no")
    assert found["f1"] == found["per_class"][0]["f1"]
    assert found["roc_auc"] == found["per_class"][0]["roc_auc"]


def test_a_perfect_classifier_is_not_certain() -> None:
    true = np.arange(40) % 2
    found = intervals.classification_intervals(np.eye(2)[true] * 0.9 + 0.05, true, ["no", "yes"])
    for name in ("accuracy", "macro_f1", "mcc", "roc_auc"):
        low, high = found[name]
        assert high == 1
        assert 0.6 < low < 0.99, name


def test_many_rows_and_many_labels_take_seconds() -> None:
    chances, true = _draw(1_000_000, 2, 1)
    began = time.process_time()
    found = intervals.classification_intervals(chances, true, ["no", "yes"])
    assert time.process_time() - began < 10
    sampled = found["roc_auc"][1] - found["roc_auc"][0]
    full = math.sqrt((intervals._auc_shares(chances[:, 1], true == 1)[1] ** 2).sum())
    assert sampled == pytest.approx(2 * intervals.Z * full, rel=0.03)
    wide = intervals.classification_intervals(*_draw(3000, 211, 1), [str(i) for i in range(211)])
    assert wide["macro_f1"][1] - wide["macro_f1"][0] > 0.01


def test_how_a_person_reads_it() -> None:
    figures = {"mcc": 0.92, "roc_auc": None, "intervals": {"mcc": [0.8712, 0.9531], "roc_auc": None}}
    assert intervals.with_interval(figures, "mcc") == "0.9200 (0.87 to 0.95)"
    assert intervals.with_interval(figures, "roc_auc") == "-"
    assert intervals.with_interval({"mcc": 0.92}, "mcc") == "0.9200"
    assert intervals.interval_text([0.9181, 0.9219]) == "0.918 to 0.922"


def _misses(shares: dict[str, float], margin: float) -> list[str]:
    return [name for name, share in shares.items() if abs(share - intervals.LEVEL) > margin]


def test_intervals_cover() -> None:
    """300 sets: a margin of three standard errors beyond the 1.5 points that the slow test holds them to."""
    bench = _bench()
    population = bench.POPULATIONS["three labels, 50 to 30 to 20"]
    known = bench.truth(population, 300_000)
    assert not _misses(bench.coverage(population, known, 300, 300), 0.015 + 3 * 0.0126)


def test_narrow_intervals_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "Z", 1.5)
    bench = _bench()
    population = bench.POPULATIONS["two even labels, accuracy 0.86"]
    shares = bench.coverage(population, bench.truth(population, 300_000), 300, 300)
    assert {"accuracy", "roc_auc"} <= set(_misses(shares, 0.015 + 3 * 0.0126))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two even labels, accuracy 0.86", "three labels, 50 to 30 to 20"])
@pytest.mark.parametrize("n", [50, 300, 3000])
def test_intervals_cover_to_a_point_and_a_half(name: str, n: int) -> None:
    """1,000 sets, so a share is known to 0.7 points; two of these are allowed beyond the 1.5.

    What the other populations of bench/coverage.py do stands in docs/benchmarks.md."""
    bench = _bench()
    shares = bench.coverage(bench.POPULATIONS[name], bench.truth(bench.POPULATIONS[name]), n, 1000, seed=1)
    checked = {figure: shares[figure] for figure in ("accuracy", "macro_f1", "mcc", "roc_auc")}
    assert not _misses(checked, 0.015 + 2 * 0.0069), checked
