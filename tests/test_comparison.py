"""The paired tests: against scipy (and statsmodels where it is installed), their size and their power.

`test_an_unpaired_test_would_be_noticed` shows that the size test can fail.
"""

import importlib.util
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as oracle

from whet import comparison as c
from whet import paired
from whet.metrics import answered_confusion, confusion_matrix


def mcnemar_power(share_first: float, share_second: float, n: int) -> float:
    """Chance that McNemar's test finds the difference on n texts: `mcnemar_rows` the other way round."""
    total, difference = share_first + share_second, abs(share_second - share_first)
    z = float(scipy.stats.norm.ppf(0.975))
    found = (difference * math.sqrt(n) - z * math.sqrt(total)) / math.sqrt(total - difference**2)
    return float(scipy.stats.norm.cdf(found))


def _answers(n: int, only_first: float, only_second: float, seed: int, n_labels: int = 2) -> np.ndarray:
    """(3, n): true, first, second; a share only one has right, 0.7 both, the rest neither."""
    rng = np.random.default_rng(seed)
    true = rng.integers(n_labels, size=n)
    wrong = (true + rng.integers(1, n_labels, size=(2, n))) % n_labels
    kind = rng.choice(4, n, p=[0.7, only_first, only_second, 0.3 - only_first - only_second])
    first = np.where(np.isin(kind, [0, 1]), true, wrong[0])
    return np.stack([true, first, np.where(np.isin(kind, [0, 2]), true, wrong[1])])


@pytest.mark.parametrize(("b", "d"), [(0, 0), (0, 1), (3, 17), (17, 3), (11, 11), (101, 149)])
def test_mcnemar_is_the_binomial_test(b: int, d: int) -> None:
    wanted = scipy.stats.binomtest(b, b + d).pvalue if b + d else 1.0
    assert paired.mcnemar(b, d) == pytest.approx(wanted, abs=1e-12)
    if importlib.util.find_spec("statsmodels") is not None:
        from statsmodels.stats.contingency_tables import mcnemar

        assert paired.mcnemar(b, d) == pytest.approx(mcnemar([[5, b], [d, 7]], exact=True).pvalue, abs=1e-12)


def test_holm_s_own_rule() -> None:
    """Worked by hand: 0.01 x 4, 0.02 x 3, then 0.03 x 2 = 0.06 and 0.04 x 1, which may not be less."""
    assert c.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert c.holm([0.9, 0.8]) == [1.0, 1.0]
    assert c.holm([0.03]) == [0.03]


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        ("macro_f1", lambda t, p: oracle.f1_score(t, p, average="macro")),
        ("mcc", oracle.matthews_corrcoef),
        ("accuracy", oracle.accuracy_score),
    ],
)
def test_difference_and_randomisation_are_those_of_scikit_learn_and_scipy(
    metric: str, theirs: Callable[..., float]
) -> None:
    """scipy shuffles with our figures, which test_metrics.py holds to scikit-learn's: those are slow."""
    true, first, second = _answers(47, 0.05, 0.15, 3, 3)
    ours = paired.METRICS[metric]
    difference, (low, high), _ = paired.difference_interval(true, first, second, 3, metric)
    assert difference == pytest.approx(theirs(true, second) - theirs(true, first), abs=1e-12)
    assert low <= difference <= high
    found = scipy.stats.permutation_test(
        (second, first),
        lambda a, b: ours(confusion_matrix(true, a, 3)) - ours(confusion_matrix(true, b, 3)),
        permutation_type="samples",
        n_resamples=2999,
        rng=np.random.default_rng(5),
    )
    assert paired.randomisation(true, first, second, 3, metric) == pytest.approx(found.pvalue, abs=0.04)


def test_the_bootstrap_is_that_of_scipy() -> None:
    true, first, second = _answers(211, 0.05, 0.1, 3, 3)
    mcc = paired.METRICS["mcc"]
    _, (low, high), error = paired.difference_interval(true, first, second, 3, "mcc")
    theirs = scipy.stats.bootstrap(
        (true, first, second),
        lambda t, a, b: mcc(confusion_matrix(t, b, 3)) - mcc(confusion_matrix(t, a, 3)),
        paired=True,
        vectorized=False,
        n_resamples=1000,
        rng=np.random.default_rng(5),
        method="percentile",
    )
    assert error == pytest.approx(theirs.standard_error, rel=0.1)
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


def test_confusions_of_triples_are_confusion_matrices() -> None:
    true, first, second = _answers(97, 0.1, 0.1, 3, 5)
    second[:9] = -1  # no answer
    cells, counts = paired._triples(true, first, second, 5)
    assert (paired._confusions(cells, counts, 1, 5)[:, :5] == confusion_matrix(true, first, 5)).all()
    assert (paired._confusions(cells, counts, 2, 5) == answered_confusion(true, second, 5)).all()


@pytest.mark.parametrize("metric", list(paired.METRICS))
def test_a_row_without_answer_is_not_right(metric: str) -> None:
    """scikit-learn's figure where "no answer" is a label that nothing has."""
    true, first, second = _answers(300, 0.1, 0.1, 3, 3)
    second[:120] = -1
    found = c.compare_answers("test.csv", true, {"a": first, "b": second}, 3, metric)
    wanted = {
        "accuracy": oracle.accuracy_score(true, second),
        "macro_f1": oracle.f1_score(true, second, average="macro", labels=[0, 1, 2]),
        "mcc": oracle.matthews_corrcoef(true, second),
    }[metric]
    assert found.models[1].value == pytest.approx(wanted)
    assert found.pairs[0].verdict == "worse"
    assert found.pairs[0].difference == pytest.approx(wanted - found.models[0].value)


def test_connor_s_formula() -> None:
    """Connor's own kind of example by hand: 0.1 and 0.2 differ, 80% power at 5%."""
    wanted = (1.959964 * math.sqrt(0.3) + 0.841621 * math.sqrt(0.3 - 0.01)) ** 2 / 0.01
    assert paired.mcnemar_rows(0.1, 0.2) == pytest.approx(wanted, rel=1e-6)
    assert mcnemar_power(0.1, 0.2, round(wanted)) == pytest.approx(0.8, abs=0.002)
    assert paired.mcnemar_rows(0.1, 0.1) == math.inf


def test_sentences() -> None:
    true, first, second = _answers(1000, 0.02, 0.2, 3)
    (pair,) = c.compare_answers("f", true, {"A": first, "B": second}, 2).pairs
    assert pair.verdict == "better"
    assert pair.sentence.startswith("B is better than A: accuracy +")
    assert "p < 0.001 (exact McNemar), on 1,000 rows." in pair.sentence
    (pair,) = c.compare_answers("f", true, {"B": second, "A": first}, 2, "mcc").pairs
    assert pair.sentence.startswith("A is worse than B: MCC -")
    (pair,) = c.compare_answers("f", true[:40], {"A": first[:40], "B": second[:40]}, 2, "macro_f1").pairs
    few = _answers(60, 0.05, 0.08, 4)
    (pair,) = c.compare_answers("f", few[0], {"A": few[1], "B": few[2]}, 2).pairs
    assert pair.verdict == "cannot tell"
    assert pair.sentence.startswith("Cannot tell whether B is better than A: accuracy ")
    assert pair.sentence.endswith("rows (80% power).")
    (pair,) = c.compare_answers("f", true, {"A": first, "B": first}, 2).pairs
    assert pair.sentence == "Cannot tell: B and A are right on the same rows, of 1,000."
    assert (pair.p, pair.rows_needed) == (1.0, None)


def test_several_models() -> None:
    true, first, second = _answers(500, 0.02, 0.1, 3, 3)
    answers = {"A": first, "B": second, "C": first}
    for metric in paired.METRICS:
        found = c.compare_answers("f", true, answers, 3, metric)
        assert [(pair.first, pair.second) for pair in found.pairs] == [("A", "B"), ("A", "C"), ("B", "C")]
        assert [pair.p_holm for pair in found.pairs] == c.holm([pair.p for pair in found.pairs])
        assert "Holm over 3 pairs" in found.pairs[0].sentence
        assert found == c.compare_answers("f", true, answers, 3, metric)


def test_a_million_rows_take_seconds() -> None:
    true, first, second = _answers(1_000_000, 0.1, 0.101, 3, 4)
    began = time.process_time()
    c.compare_answers("f", true, {"A": first, "B": second}, 4, "macro_f1")
    assert time.process_time() - began < 20


def _rejections(p_of: Callable[[np.ndarray], float], share: float, other: float, n: int, times: int) -> float:
    return sum(p_of(_answers(n, share, other, seed)) < paired.LEVEL for seed in range(times)) / times


def _mcnemar_of(rows: np.ndarray) -> float:
    true, first, second = rows
    return paired.mcnemar(
        int(((first == true) & (second != true)).sum()), int(((first != true) & (second == true)).sum())
    )


def test_mcnemar_keeps_its_size_and_has_its_power() -> None:
    """1,000 sets. The exact test is on the safe side of 5%, so it has somewhat less than Connor's power."""
    assert _rejections(_mcnemar_of, 0.1, 0.1, 300, 1000) <= 0.05 + 3 * 0.0069
    n = math.ceil(paired.mcnemar_rows(0.08, 0.16))
    assert 0.72 <= _rejections(_mcnemar_of, 0.08, 0.16, n, 1000) <= 0.84


@pytest.mark.parametrize("metric", ["macro_f1", "mcc"])
def test_randomisation_keeps_its_size_and_has_power(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "N_SHUFFLES", 399)

    def p_of(rows: np.ndarray) -> float:
        return paired.randomisation(*rows, 2, metric)

    assert _rejections(p_of, 0.1, 0.1, 150, 300) <= 0.05 + 3 * 0.0126
    assert _rejections(p_of, 0.08, 0.16, math.ceil(paired.mcnemar_rows(0.08, 0.16)), 200) > 0.7


def test_an_unpaired_test_would_be_noticed() -> None:
    """A test that forgets the pairs is far too careful; one without the second tail is not careful enough."""

    def one_tail(rows: np.ndarray) -> float:
        return _mcnemar_of(rows) / 2

    assert _rejections(one_tail, 0.1, 0.1, 1000, 1000) > 0.05 + 3 * 0.0069


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["macro_f1", "mcc"])
def test_size_over_many_sets(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "N_SHUFFLES", 999)

    def p_of(rows: np.ndarray) -> float:
        return paired.randomisation(*rows, 2, metric)

    for n in (50, 300):
        assert 0.02 <= _rejections(p_of, 0.1, 0.1, n, 2000) <= 0.05 + 3 * 0.0049


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
@pytest.mark.parametrize("n", [50, 300, 3000])
def test_the_interval_of_a_difference_covers(metric: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even labels, wrong answers even: macro F1 is accuracy, MCC twice that less one; so 0.08 or 0.16."""
    monkeypatch.setattr(paired, "N_RESAMPLES", 500)
    true_difference = 0.16 if metric == "mcc" else 0.08
    held = 0
    for seed in range(1000):
        _, (low, high), _ = paired.difference_interval(*_answers(n, 0.06, 0.14, seed), 2, metric)
        held += low <= true_difference <= high
    assert abs(held / 1000 - 0.95) <= 0.015 + 2 * 0.0069
