"""The test over texts and seeds: its parts against analysis of variance and scipy, its size and its power.

`test_forgetting_the_seeds_would_be_noticed` shows that the size test can fail.
"""

import time
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from bench.seeds_size import Population
from whet import comparison as c
from whet.over_seeds import Figure, figure, seeds_test, spread
from whet.paired import LEVEL, METRICS, paired_test

POPULATION = Population((0.5, 0.3, 0.2), margin=2.2, seed_spread=0.2)
SURE = Population((0.5, 0.5), margin=2.0, seed_spread=0.3)


def drawn(n: int, n_seeds: int, seed: int = 0, shift: float = 0.0) -> tuple[Any, Any, Any]:
    """true (n,), and the answers of two sides (n_seeds, n)."""
    return POPULATION.draw(n, (n_seeds, n_seeds), np.random.default_rng(seed), shift)


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        ("accuracy", sklearn.metrics.accuracy_score),
        ("mcc", sklearn.metrics.matthews_corrcoef),
        (
            "macro_f1",
            lambda t, p: sklearn.metrics.f1_score(t, p, labels=[0, 1, 2], average="macro", zero_division=0),
        ),
    ],
)
def test_influence_is_what_is_lost_without_a_text(metric: str, theirs: Any) -> None:
    true, answers, _ = drawn(29, 2)
    found = figure(true, answers, 3, metric)
    assert found.by_seed == pytest.approx([theirs(true, one) for one in answers], abs=1e-12)
    lost = [
        [28 * (theirs(true, one) - theirs(np.delete(true, i), np.delete(one, i))) for i in range(29)]
        for one in answers
    ]
    assert found.influence == pytest.approx(np.mean(lost, axis=0), abs=1e-10)


def test_a_text_without_answer_is_not_right() -> None:
    true, answers, _ = drawn(29, 2)
    answers[0, 3] = -1
    right = (answers == true).mean(axis=0)
    found = figure(true, answers, 3, "accuracy")
    assert found.influence == pytest.approx(right - right.mean(), abs=1e-12)


def test_the_seeds_part_is_that_of_an_analysis_of_variance() -> None:
    """Two ways, one answer in each cell: the seeds' component is (MS seeds - MS residual) / texts."""
    n, k = 211, 5
    true, answers, _ = drawn(n, k, seed=2)
    y = (answers == true).astype(float).ravel()
    texts, seeds = np.tile(np.eye(n), (k, 1)), np.repeat(np.eye(k), n, axis=0)

    def left(design: np.ndarray) -> float:
        return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())

    residual = left(np.hstack([texts, seeds])) / ((n - 1) * (k - 1))
    of_seeds = (left(texts) - left(np.hstack([texts, seeds]))) / (k - 1)
    found = figure(true, answers, 3, "accuracy")
    assert found.seed_variance == pytest.approx(of_seeds / (n * k), abs=1e-12)
    assert found.shared_variance == pytest.approx(residual / (n * k), abs=1e-12)
    of = spread(found)
    assert of_seeds > residual
    assert of.seeds == pytest.approx((of_seeds - residual) / (n * k), abs=1e-12)
    by_texts = np.var((answers == true).mean(axis=0), ddof=1) / n
    satterthwaite = (by_texts + of.seeds) ** 2 / (by_texts**2 / (n - 1) + (of_seeds / (n * k)) ** 2 / (k - 1))
    assert of.freedom == pytest.approx(satterthwaite, rel=1e-9)


def test_seeds_that_agree_leave_student_s_paired_test() -> None:
    true, first, second = (x if x.ndim == 1 else x[[0, 0, 0]] for x in drawn(97, 1, shift=0.5))
    found = seeds_test(*(figure(true, side, 3, "accuracy") for side in (first, second)), LEVEL)
    theirs = scipy.stats.ttest_rel(second[0] == true, (first[0] == true).astype(float))
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)
    assert found.interval == pytest.approx(list(theirs.confidence_interval(0.95)), abs=1e-12)


def test_texts_without_end_leave_welch_s_test() -> None:
    by_seed = np.array([0.81, 0.84, 0.79]), np.array([0.88, 0.85, 0.89, 0.86, 0.91])
    sides = [Figure(seeds, np.zeros(1000), seeds.var(ddof=1) / len(seeds), 0.0) for seeds in by_seed]
    found = seeds_test(sides[0], sides[1], LEVEL)
    theirs = scipy.stats.ttest_ind(by_seed[1], by_seed[0], equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)
    assert found.interval == pytest.approx(list(theirs.confidence_interval(0.95)), abs=1e-12)
    assert found.rows == float("inf") or found.rows == 0


def test_one_model_beside_seeds_has_no_part_for_its_seed() -> None:
    true, first, second = drawn(101, 3)
    one = figure(true, first[:1], 3, "accuracy")
    both = spread(one, figure(true, second, 3, "accuracy"))
    alone = spread(figure(true, second, 3, "accuracy"))
    assert one.seed_variance == 0
    assert both.seeds == pytest.approx(alone.seeds)


def _rejections(n: int, n_seeds: int, metric: str, times: int, shift: float = 0.0) -> float:
    count = 0
    for seed in range(times):
        rng = np.random.default_rng([seed, n])
        true, first, second = SURE.draw(n, (n_seeds, n_seeds), rng, shift)
        found = seeds_test(*(figure(true, side, 2, metric) for side in (first, second)), LEVEL)
        count += found.p < LEVEL
    return count / times


@pytest.mark.parametrize("metric", list(METRICS))
def test_it_keeps_its_size_and_has_power(metric: str) -> None:
    assert _rejections(100, 3, metric, 200) <= 0.05 + 3 * 0.0154
    assert _rejections(300, 5, metric, 60, shift=1.0) > 0.9


def test_forgetting_the_seeds_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the texts, as of one model each: its size is several times 5%."""
    count = 0
    for seed in range(200):
        true, first, second = SURE.draw(300, (3, 3), np.random.default_rng(seed))
        sides = [figure(true, side, 2, "accuracy") for side in (first, second)]
        bare = [Figure(side.by_seed, side.influence, 0.0, 0.0) for side in sides]
        count += seeds_test(bare[0], bare[1], LEVEL).p < LEVEL
    assert count / 200 > 0.05 + 3 * 0.0154


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize("n", [100, 1000])
def test_size_over_many_sets(n: int, n_seeds: int) -> None:
    for metric in METRICS:
        assert _rejections(n, n_seeds, metric, 1000) <= 0.05 + 2 * 0.0069


# ------------------------------------------------------------------ what is said


def sides(n: int, n_seeds: tuple[int, int], shift: float) -> tuple[Any, dict[str, Any]]:
    true, first, second = POPULATION.draw(n, n_seeds, np.random.default_rng(1), shift)
    named = {name: dict(zip("01234", side, strict=False)) for name, side in (("A", first), ("B", second))}
    return true, named


def test_a_sentence_over_seeds() -> None:
    true, answers = sides(800, (5, 5), 1.0)
    found = c.compare_answers("f", true, answers, 3)
    (pair,) = found.pairs
    assert pair.verdict == "better"
    assert pair.sentence.startswith("B is better than A: accuracy +")
    assert "(t test over texts and seeds), over 5 seeds each, on 800 rows." in pair.sentence
    one, other = found.to_json()["models"]
    assert list(one["seeds"]) == ["0", "1", "2", "3", "4"]
    assert one["seeds"]["2"] == pytest.approx((answers["A"]["2"] == true).mean())
    assert other["value"] == pytest.approx(np.mean(list(other["seeds"].values())))
    assert one["interval"][0] < one["value"] < one["interval"][1]
    right = [(np.array(list(answers[name].values())) == true).mean(axis=0) for name in "AB"]
    assert pair.only_second == pytest.approx((right[1] * (1 - right[0])).sum())
    assert pair.seeds == (5, 5)


def test_what_cannot_be_told_says_rows_or_seeds() -> None:
    true, answers = sides(200, (3, 2), 0.1)
    (pair,) = c.compare_answers("f", true, answers, 3, "macro_f1").pairs
    assert pair.sentence.startswith("Cannot tell whether B is better than A: macro F1 ")
    assert ", over 3 seeds of A and 2 seeds of B, on 200 rows;" in pair.sentence
    if pair.rows_needed is None:
        assert pair.sentence.endswith("more rows are not enough, it takes more seeds.")
    else:
        assert pair.sentence.endswith("rows (80% power).")
    true, answers = sides(20_000, (3, 3), 0.0)
    (pair,) = c.compare_answers("f", true, answers, 3).pairs
    assert pair.rows_needed is None
    assert pair.sentence.endswith(
        "; for a difference of this size more rows are not enough, it takes more seeds."
    )


def test_one_model_beside_several_seeds_says_what_is_left_out() -> None:
    true, answers = sides(400, (1, 4), 0.0)
    given = {"A": answers["A"]["0"], "B": answers["B"]}
    (pair,) = c.compare_answers("f", true, given, 3, "mcc").pairs
    assert ", over 4 seeds of B, on 400 rows" in pair.sentence
    assert pair.sentence.endswith(". A is one model: how lucky its seed was is not in the interval.")
    assert c.compare_answers("f", true, given, 3).models[0].seeds == {}


@pytest.mark.parametrize("metric", list(METRICS))
def test_where_nothing_varies_it_is_one_model_against_one(metric: str) -> None:
    true = np.arange(60) % 3
    right = {"0": true, "1": true}
    wrong = {"0": (true + 1) % 3, "1": (true + 1) % 3}
    same = c.compare_answers("f", true, {"A": right, "B": right}, 3, metric)
    assert same.pairs[0].sentence == "Cannot tell: B and A are right on the same rows, of 60."
    assert same.models[0].interval[0] < 1
    (pair,) = c.compare_answers("f", true, {"A": wrong, "B": right}, 3, metric).pairs
    assert pair.verdict == "better"
    assert pair.p == paired_test(true, wrong["0"], true, 3, metric).p
    (one_row,) = c.compare_answers("f", [0], {"A": {"0": [0], "1": [0]}, "B": {"0": [1], "1": [0]}}, 2).pairs
    assert one_row.verdict == "cannot tell"


def test_three_sides_and_holm() -> None:
    true, answers = sides(500, (3, 3), 0.5)
    given = {**answers, "C": answers["A"]["0"]}
    found = c.compare_answers("f", true, given, 3)
    assert [pair.seeds for pair in found.pairs] == [(3, 3), (3, 1), (3, 1)]
    assert [pair.p_holm for pair in found.pairs] == c.holm([pair.p for pair in found.pairs])
    assert found == c.compare_answers("f", true, given, 3)


def test_a_million_rows_take_seconds() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(4, size=1_000_000)
    flip = [np.where(rng.random(1_000_000) < 0.2, 0, true) for _ in range(4)]
    given = {"A": dict(zip("01", flip[:2], strict=True)), "B": dict(zip("01", flip[2:], strict=True))}
    began = time.process_time()
    c.compare_answers("f", true, given, 4, "macro_f1")
    assert time.process_time() - began < 20
