"""Better, equal or cannot tell: against `compare_answers`, a closed formula, and for other figures."""

from typing import Any

import numpy as np
import pytest
import scipy.stats

from whet.comparison import compare_answers
from whet.tasks import Task
from whet.tasks.classification import Classification
from whet.tasks.regression import Regression
from whet.training.verdict import EQUAL, Said, judge, the_same

TASK = Classification(("no", "yes"))


def logits_of(answers: np.ndarray) -> np.ndarray:
    return np.stack([1.0 - answers, answers], axis=1).astype(float)


def side(answers: np.ndarray, task: Task = TASK) -> Said:
    """answers (n_seeds, n)."""
    return Said(dict.fromkeys(range(len(answers)), task), dict(enumerate(map(logits_of, answers))))


def drawn(share: float, n_seeds: int, true: np.ndarray, seed: int) -> np.ndarray:
    """Answers that are right with this chance."""
    right = np.random.default_rng(seed).random((n_seeds, len(true))) < share
    return np.where(right, true, 1 - true)


TRUE = np.random.default_rng(0).integers(0, 2, 2000)


@pytest.mark.parametrize("by", ["accuracy", "mcc", "macro_f1"])
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_labels_are_compared_as_compare_does(by: str, n_seeds: int) -> None:
    first, second = drawn(0.8, n_seeds, TRUE, 1), drawn(0.85, n_seeds, TRUE, 2)
    found = judge(by, TRUE, side(first), side(second))
    answers: dict[str, Any] = {"a": first[0], "b": second[0]}
    if n_seeds > 1:
        both = zip("ab", (first, second), strict=True)
        answers = {name: {str(i): row for i, row in enumerate(rows)} for name, rows in both}
    (pair,) = compare_answers("", TRUE, answers, 2, by).pairs
    assert (found.difference, found.p) == pytest.approx((pair.difference, pair.p))
    assert list(found.interval) == pytest.approx(pair.interval)
    assert found.word == "better"
    assert judge(by, TRUE, side(second), side(first)).word == "worse"


def test_a_difference_that_is_surely_small_is_equal() -> None:
    true = np.zeros(20_000, int)
    first = np.repeat([0, 1], [18_000, 2_000])[None]
    found = judge("accuracy", true, side(first), side(first.copy()))
    assert found.word == "equal"
    assert max(map(abs, found.interval)) <= EQUAL
    assert found.sentence.startswith("Equal (within ±")


def test_few_rows_cannot_tell() -> None:
    first, second = (drawn(share, 1, TRUE[:40], i) for i, share in enumerate((0.8, 0.82)))
    found = judge("accuracy", TRUE[:40], side(first), side(second))
    assert found.word == "cannot tell"
    assert "95% interval" in found.sentence
    assert "40 rows" in found.sentence


def test_the_default_against_itself_is_equal() -> None:
    found = the_same("mcc", 0.5, 100, 3)
    assert (found.word, found.difference, found.interval) == ("equal", 0.0, (0.0, 0.0))
    assert found.sentence.endswith("the default itself is the best on dev; its MCC is 0.5000 on 100 rows.")


def test_a_default_that_stands_alone_is_no_equal():
    found = the_same("mcc", 0.5, 100, 3, alone=True)
    assert found.word == "cannot tell"
    assert found.sentence.startswith("Cannot tell: no trial beside the default was trained to its end;")


def test_losses_are_told_as_losses():
    same = the_same("loss", -0.4321, 100, 3)  # `scored` turns them, so that greater is better
    assert (same.default, same.winner) == (0.4321, 0.4321)
    assert "its loss is 0.4321 on" in same.sentence
    task = Classification(("no", "yes"))
    logits = [np.stack([scale + 0.01 * np.arange(400), np.zeros(400)], axis=1) for scale in (1.0, 2.0)]
    worse, better = (Said({0: task}, {0: one}) for one in logits)
    found = judge("loss", np.zeros(400, int), worse, better)
    assert found.default == pytest.approx(task.metrics(logits[0], np.zeros(400, int))["nll"])
    assert found.winner < found.default
    assert found.difference == pytest.approx(found.default - found.winner)


class Share:
    """A task that is nothing but the share of right answers."""

    perfect = 1.0

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        return {"f1": self.perfect * float((logits.argmax(1) == targets).mean())}

    def standing(self, metrics: dict[str, float], by: str) -> tuple[float, float]:
        return metrics[by], 0.0

    def clusters(self, targets: np.ndarray) -> np.ndarray:
        return np.arange(len(targets))


def test_rows_that_were_drawn_together_are_left_out_together() -> None:
    """40 articles of ten questions that are right or wrong together: as sure as 40 questions, not as 400."""

    class InTens(Share):
        def clusters(self, targets: np.ndarray) -> np.ndarray:
            return 7 * (np.arange(len(targets)) // 10)

    first, second = (drawn(share, 1, TRUE[:40], i) for i, share in enumerate((0.6, 0.8)))
    apart = (second[0] == TRUE[:40]).astype(float) - (first[0] == TRUE[:40])
    error = apart.std(ddof=1) / np.sqrt(40)
    sides = [side(np.repeat(own, 10, axis=1), InTens()) for own in (first, second)]  # type: ignore[arg-type]
    found = judge("f1", np.repeat(TRUE[:40], 10), *sides)
    half = scipy.stats.t.ppf(0.975, 39) * error
    assert list(found.interval) == pytest.approx([apart.mean() - half, apart.mean() + half], abs=1e-9)


def test_labels_of_rows_that_a_user_keeps_together_are_judged_by_group() -> None:
    """40 authors of ten texts each that are right or wrong together, in closed form."""
    first, second = (drawn(share, 1, TRUE[:40], i) for i, share in enumerate((0.6, 0.8)))
    apart = (second[0] == TRUE[:40]).astype(float) - (first[0] == TRUE[:40])
    sides = [side(np.repeat(own, 10, axis=1)) for own in (first, second)]
    true, authors = np.repeat(TRUE[:40], 10), np.repeat(np.arange(40), 10)
    found = judge("accuracy", true, *sides, authors)
    half = scipy.stats.t.ppf(0.975, 39) * apart.std(ddof=1) / np.sqrt(40)
    assert list(found.interval) == pytest.approx([apart.mean() - half, apart.mean() + half], abs=1e-9)
    low, high = judge("accuracy", true, *sides).interval
    assert high - low < half


def test_one_article_alone_is_judged_by_its_questions() -> None:
    class AllOne(Share):
        def clusters(self, targets: np.ndarray) -> np.ndarray:
            return np.full(len(targets), 3)

    sides = [drawn(share, 1, TRUE[:40], i) for i, share in enumerate((0.6, 0.8))]
    one, apart = (
        judge("f1", TRUE[:40], *(side(own, kind()) for own in sides))  # type: ignore[arg-type]
        for kind in (AllOne, Share)
    )
    assert one == apart


def test_figures_in_percent_are_told_as_shares() -> None:
    """Those of questions. Found in a last reading: a difference of 5 points was told as 500."""

    class Percent(Share):
        perfect = 100.0

    first, second = drawn(0.8, 2, TRUE, 1), drawn(0.85, 2, TRUE, 2)
    share, percent = (
        judge("f1", TRUE, side(first, kind()), side(second, kind()))  # type: ignore[arg-type]
        for kind in (Share, Percent)
    )
    assert (percent.word, percent.test) == (share.word, share.test) == ("better", share.test)
    assert percent.difference == pytest.approx(share.difference)
    assert percent.interval == pytest.approx(share.interval)
    assert percent.sentence == share.sentence
    assert 0.03 < share.difference < 0.07


def test_other_figures_go_by_a_jackknife_over_groups_of_rows() -> None:
    """Of a mean over rows the jackknife is the standard error of the groups' means, in closed form."""
    loss = np.random.default_rng(3).gamma(2.0, 0.2, (2, 400))
    labels = np.zeros(400, int)

    def of(losses: np.ndarray) -> Said:
        logits = np.stack([np.log(1 / np.expm1(losses)), np.zeros(400)], axis=1)  # nll of label 0 is the loss
        return Said({0: TASK}, {0: logits})

    found = judge("loss", labels, of(loss[0]), of(loss[1]))
    groups = (loss[0] - loss[1]).reshape(10, 40).mean(axis=0)
    error = groups.std(ddof=1) / np.sqrt(40)
    half = scipy.stats.t.ppf(0.975, 39) * error
    assert found.difference == pytest.approx((loss[0] - loss[1]).mean(), abs=1e-9)
    assert list(found.interval) == pytest.approx([groups.mean() - half, groups.mean() + half], abs=1e-9)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(abs(groups.mean()) / error, 39))


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_numbers_are_judged_too(n_seeds: int) -> None:
    rng = np.random.default_rng(4)
    true = rng.normal(size=600)
    task = Regression()

    def of(noise: float) -> Said:
        logits = {i: (true + noise * rng.normal(size=600))[:, None] for i in range(n_seeds)}
        return Said(dict.fromkeys(logits, task), logits)

    worse, better = of(1.0), of(0.4)
    found = judge("pearson", true, worse, better)
    expected = [
        np.mean([np.corrcoef(true, one[:, 0])[0, 1] for one in said.logits.values()])
        for said in (worse, better)
    ]
    assert [found.default, found.winner] == pytest.approx(expected)
    assert found.word == "better"
    assert judge("pearson", true, better, worse).word == "worse"
    assert judge("pearson", true, better, better).word == "equal"
