"""Exact match and F1 of extracted answers, as SQuAD's own scripts have them. With 95% intervals.

Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", EMNLP 2016, and "Know what
you don't know", ACL 2018. The rules are those of the script for 2.0; for questions that all have answers they
give what the script for 1.1 gives, unless an answer is nothing but articles and punctuation.

The figures are percentages, as in every table of SQuAD, and are added up in the order of the questions, as
there: so they agree to the last digit.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from whet.intervals import LEVEL, Interval, wilson
from whet.metrics import Floats

Bools = NDArray[np.bool_]
HALF_TRUST: Final = 30  # values whose own variance counts as much as that of zeros and ones
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")


@final
@dataclass(frozen=True, eq=False)
class AnswerScores:
    """What each question scores, from 0 to 1."""

    exact: Floats  # (n,), 0 or 1
    f1: Floats  # (n,)
    has_answer: Bools  # (n,), whether there is a true answer


class Best(NamedTuple):
    """The best figure that a threshold on no-answer scores can give, and that threshold."""

    figure: float  # percent
    threshold: float  # a question has no answer where its no-answer score is above it


def normalised(answer: str) -> str:
    """The answer in lower case without punctuation (ASCII's), English articles and superfluous white space.

    Other languages keep their articles and their punctuation, and where no blanks stand between words, as in
    Chinese or Thai, an answer is one word or few: F1 is then close to exact match."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def answer_scores(found: Sequence[str], true: Sequence[Sequence[str]]) -> AnswerScores:
    """Scores of one answer found a question, "" for no answer: the best over its true ones.

    true: the texts of each question's answers, none where it has no answer. Exact is whether the normalised
    texts are equal, F1 that of their words, as multisets; without a word on either side both are whether
    there is none on both. ValueError: different numbers of questions."""
    if len(found) != len(true):
        raise ValueError(f"{len(found)} answers found for {len(true)} questions")
    exact, f1 = np.zeros(len(true)), np.zeros(len(true))
    for i, (answer, texts) in enumerate(zip(found, true, strict=True)):
        given = normalised(answer)
        wanted = {text for text in map(normalised, texts) if text} or {""}
        exact[i] = given in wanted
        f1[i] = 1.0 if exact[i] else max(_f1(given.split(), text.split()) for text in wanted)
    return AnswerScores(exact, f1, np.array([len(texts) > 0 for texts in true], np.bool_))


def with_threshold(scores: AnswerScores, no_answer: ArrayLike, threshold: float) -> AnswerScores:
    """Scores where questions whose no-answer score (n,) is above the threshold are said to have no answer."""
    refused = np.asarray(no_answer) > threshold
    right = (~scores.has_answer).astype(np.float64)
    exact, f1 = (np.where(refused, right, part) for part in (scores.exact, scores.f1))
    return AnswerScores(exact, f1, scores.has_answer)


def best_threshold(scores: ArrayLike, has_answer: ArrayLike, no_answer: ArrayLike) -> Best:
    """The threshold with the best mean of scores (n,), exact or F1, which are those without any threshold.

    has_answer (n,) bool; no_answer (n,), higher where an answer is less likely. Of the lowest no-answer
    scores as many are let through as give the best figure, the fewest where several do, and the threshold is
    the last one. That is `best_f1_thresh` and `best_exact_thresh` of the script for 2.0, with two
    corrections: questions of equal no-answer scores go together, and where it is best to answer nothing, the
    threshold is just below all scores, not 0. ValueError: no question."""
    gains, levels = np.asarray(scores, np.float64), np.asarray(no_answer, np.float64)
    if not len(gains):
        raise ValueError("no question to fit a threshold on")
    nothing = ~np.asarray(has_answer, np.bool_)
    order = np.argsort(levels, kind="stable")
    ranked = levels[order]
    total = np.cumsum(np.concatenate([[nothing.sum()], (gains - nothing)[order]]))  # by how many are answered
    possible = np.append(True, np.append(ranked[1:] > ranked[:-1], True))
    n_answered = int(np.argmax(np.where(possible, total, -np.inf)))
    threshold = ranked[n_answered - 1] if n_answered else np.nextafter(ranked[0], -np.inf)
    return Best(100.0 * float(total[n_answered]) / len(gains), float(threshold))


def squad_metrics(scores: AnswerScores) -> dict[str, float | int]:
    """exact and f1 in percent, and total; the same as has_answer_... and no_answer_... where there are both.

    ValueError: no question."""
    if not len(scores.exact):
        raise ValueError("no question to score")
    figures: dict[str, float | int] = {}
    for prefix, chosen in _groups(scores).items():
        n = int(chosen.sum())
        for name, part in (("exact", scores.exact), ("f1", scores.f1)):
            figures[f"{prefix}{name}"] = 100.0 * float(np.cumsum(part[chosen])[-1]) / n
        figures[f"{prefix}total"] = n
    return figures


def squad_intervals(scores: AnswerScores, units: ArrayLike | None = None) -> dict[str, Interval]:
    """95% intervals [low, high] in percent under the names of `squad_metrics`.

    units (n,) integers, of which each is drawn at random with all of its questions: the articles, for
    questions about one text are right or wrong together. None: each question is its own."""
    of = np.arange(len(scores.exact)) if units is None else np.asarray(units)
    return {
        f"{prefix}{name}": [100 * end for end in mean_interval(part[chosen], of[chosen])]
        for prefix, chosen in _groups(scores).items()
        for name, part in (("exact", scores.exact), ("f1", scores.f1))
    }


def mean_interval(values: ArrayLike, units: ArrayLike) -> Interval:
    """Interval of the mean of values (n,) in [0, 1], with units (n,) drawn at random, whole.

    A mean of clusters is a ratio of sums, whose variance is known (Cochran, Sampling Techniques, 1977, ch.
    6). It is not taken to be less than if values were drawn one by one; and of few values even that is drawn
    towards the variance of zeros and ones. Wilson's interval is that of a share of so many trials as would
    have the variance, fewer for few units, by Student's t: Korn and Graubard, "Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data", Survey Methodology
    24, 1998. Units of different sizes count as fewer equal ones (Kish, Survey Sampling, 1965). All of it is
    measured in bench/squad_coverage.py. ValueError: no value."""
    numbers = np.asarray(values, np.float64)
    n = len(numbers)
    if n == 0:
        raise ValueError("an interval needs at least one value")
    unit = np.unique(np.asarray(units), return_inverse=True)[1]
    sizes = np.bincount(unit)
    mean = float(numbers.mean())
    apart = numbers - mean
    of_units = float((np.bincount(unit, apart) ** 2).sum()) * len(sizes) / max(len(sizes) - 1, 1)
    one_by_one = float((apart**2).sum() + HALF_TRUST * mean * (1 - mean)) * n / (n - 1 + HALF_TRUST)
    variance = max(of_units, one_by_one) / n**2
    trials = mean * (1 - mean) / variance if variance > 0 else float(n)
    freedom = [n - 1, float(n**2 / (sizes**2).sum()) - 1]
    t_values, t_units = scipy.special.stdtrit(np.maximum(freedom, 1), (1 + LEVEL) / 2)
    trials *= float(t_values / t_units) ** 2
    interval = wilson(mean * trials, trials)
    assert interval is not None
    return interval


def _groups(scores: AnswerScores) -> dict[str, Bools]:
    """What the names begin with, and the questions that are meant."""
    groups = {"": np.ones(len(scores.exact), np.bool_)}
    if scores.has_answer.any() and not scores.has_answer.all():
        groups |= {"has_answer_": scores.has_answer, "no_answer_": ~scores.has_answer}
    return groups


def _f1(found: Sequence[str], true: Sequence[str]) -> float:
    n_same = sum((Counter(found) & Counter(true)).values())
    if n_same == 0:
        return 0.0
    precision, recall = n_same / len(found), n_same / len(true)
    return 2 * precision * recall / (precision + recall)
