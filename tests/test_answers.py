"""The best spans against all of them, one by one, in Python."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.answers import AnswerWindows, Spans, best_spans


def windows_of(rows: list[tuple[int, int, int, int, int]]) -> AnswerWindows:
    """(question, tokens before the context part, its tokens, tokens behind it, its place) of each window."""
    question, before, inside, behind, place = (np.array(part, np.int64) for part in zip(*rows, strict=True))
    boundaries = np.concatenate([[0], np.cumsum(before + inside + behind)])
    return AnswerWindows(boundaries, question, before, before + inside, place)


def by_definition(starts, ends, windows, n_questions, max_answer, n_best) -> list[dict[str, Any]]:
    """Every pair of tokens of every window, as the issue says it."""
    found = []
    for question in range(n_questions):
        spans: dict[tuple[int, int], tuple[float, int]] = {}
        null = math.inf
        for w in np.flatnonzero(windows.questions == question):
            first = windows.boundaries[w]
            null = min(null, starts[first] + ends[first])
            for i in range(windows.context_starts[w], windows.context_stops[w]):
                for j in range(i, windows.context_stops[w]):
                    if j - i + 1 <= max_answer:
                        begin = windows.places[w] + i - windows.context_starts[w]
                        score = starts[first + i] + ends[first + j]
                        key = (int(begin), int(begin + j - i))
                        if key not in spans or score > spans[key][0]:
                            spans[key] = (score, int(w))
        ranked = sorted(spans.items(), key=lambda item: (-item[1][0], item[0]))[:n_best]
        scores = [score for _, (score, _) in ranked]
        weights = np.exp(np.array([*scores, null]) - max([*scores, null]))
        found.append(
            {
                "spans": [span for span, _ in ranked],
                "scores": scores,
                "windows": [window for _, (_, window) in ranked],
                "null": null,
                "probabilities": weights / weights.sum(),
            }
        )
    return found


def check(found: Spans, expected: list[dict[str, Any]]) -> None:
    n_best = found.starts.shape[1]
    for row, wanted in enumerate(expected):
        n = len(wanted["spans"])
        spans = list(zip(found.starts[row].tolist(), found.ends[row].tolist(), strict=True))
        assert spans == wanted["spans"] + [(-1, -1)] * (n_best - n)
        assert found.windows[row].tolist() == wanted["windows"] + [-1] * (n_best - n)
        assert found.scores[row].tolist() == wanted["scores"] + [-math.inf] * (n_best - n)
        assert found.null_scores[row] == wanted["null"]
        together = [*found.probabilities[row, :n], found.null_probabilities[row]]
        assert together == pytest.approx(wanted["probabilities"], abs=1e-12)
        assert not found.probabilities[row, n:].any()
        best = wanted["scores"][0] if n else -math.inf
        assert found.no_answer()[row] == wanted["null"] - best


@st.composite
def cases(draw):
    """Windows of a few questions in any order, which may overlap, and logits with many ties."""
    n_questions = draw(st.integers(1, 3))
    shape = st.tuples(st.integers(1, 3), st.integers(0, 5), st.integers(0, 2), st.integers(0, 4))
    rows = [(question, *draw(shape)) for question in range(n_questions)]
    rows += draw(
        st.lists(st.tuples(st.integers(0, n_questions - 1), shape).map(lambda p: (p[0], *p[1])), max_size=3)
    )
    windows = windows_of(draw(st.permutations(rows)))
    n = int(windows.boundaries[-1])
    logits = st.lists(st.integers(-2, 2).map(float), min_size=n, max_size=n)
    return np.array(draw(logits)), np.array(draw(logits)), windows, n_questions


@given(cases(), st.integers(1, 6), st.integers(1, 7))
@settings(deadline=None, max_examples=300)
def test_small_logits(case, max_answer, n_best):
    check(best_spans(*case, max_answer, n_best), by_definition(*case, max_answer, n_best))


def test_larger_logits_at_random():
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = []
        for question in range(5):
            place = 0
            for _ in range(int(rng.integers(1, 4))):
                inside = int(rng.integers(1, 60))
                rows.append((question, int(rng.integers(1, 9)), inside, int(rng.integers(0, 9)), place))
                place += int(rng.integers(inside // 2, inside + 1))
        windows = windows_of([rows[i] for i in rng.permutation(len(rows))])
        logits = rng.normal(0, 3, (2, windows.boundaries[-1])).astype(np.float32)
        wide = logits.astype(np.float64)
        check(best_spans(*logits, windows, 5), by_definition(*wide, windows, 5, 30, 20))


def test_logits_outside_the_context_do_not_count():
    windows = windows_of([(0, 2, 3, 1, 0)])
    starts, ends = np.array([1.0, 9, 0, 5, 0, 9]), np.array([1.0, 9, 3, 0, 2, 9])
    found = best_spans(starts, ends, windows, 1, n_best=1)
    assert (found.starts[0, 0], found.ends[0, 0], found.scores[0, 0]) == (1, 2, 7.0)
    assert found.no_answer().tolist() == [2.0 - 7.0]


def test_no_answer_needs_every_window():
    """One window is sure that it holds no answer, the other that it does."""
    windows = windows_of([(0, 1, 2, 0, 0), (0, 1, 2, 0, 2)])
    starts, ends = np.array([9.0, 0, 0, -9, 8, 0]), np.array([9.0, 0, 0, -9, 0, 8])
    found = best_spans(starts, ends, windows, 1)
    assert found.null_scores.tolist() == [-18.0]
    assert (found.starts[0, 0], found.ends[0, 0]) == (2, 3)
    assert found.probabilities[0, 0] > 0.99


def test_a_span_in_two_windows_counts_once():
    windows = windows_of([(0, 1, 1, 0, 4), (0, 1, 1, 0, 4)])
    found = best_spans([0.0, 2, 0, 3], [0.0, 2, 0, 3], windows, 1)
    assert found.starts[0, :2].tolist() == [4, -1]
    assert (found.scores[0, 0], found.windows[0, 0]) == (6.0, 1)
    assert found.probabilities[0, 0] == pytest.approx(1 / (1 + math.exp(-6)))


def test_a_window_without_context():
    found = best_spans([1.0, 2], [1.0, 2], windows_of([(0, 2, 0, 0, 0)]), 1)
    assert found.starts[0].tolist() == [-1] * 20
    assert found.no_answer().tolist() == [math.inf]
    assert found.null_probabilities.tolist() == [1.0]


def test_large_logits_have_probabilities():
    found = best_spans([0.0, 1e4], [0.0, 1e4], windows_of([(0, 1, 1, 0, 0)]), 1)
    assert found.probabilities[0, 0] == 1.0
    assert found.null_probabilities[0] == 0.0


def test_a_limit_beyond_all_windows_costs_nothing():
    windows = windows_of([(0, 1, 3, 0, 0)])
    logits = [0.0, 1, 3, 2]
    found = best_spans(logits, logits, windows, 1, 10**12)
    assert found.scores.tolist() == best_spans(logits, logits, windows, 1, 3).scores.tolist()


@pytest.mark.parametrize(
    ("n_questions", "max_answer", "n_best", "message"),
    [
        (2, 30, 20, "only 1 of 2 questions"),
        (1, 0, 20, "must be at least 1"),
        (1, 30, 0, "must be at least 1"),
    ],
)
def test_what_is_refused(n_questions, max_answer, n_best, message):
    with pytest.raises(ValueError, match=message):
        best_spans([0.0, 1], [0.0, 1], windows_of([(0, 1, 1, 0, 0)]), n_questions, max_answer, n_best)
