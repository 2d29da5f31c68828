"""Answers out of logits: the best spans of the contexts, over all windows of a question at once.

A span is scored by its start logit plus its end logit, and no answer by those of a window's first token, as
BERT's run_squad.py and transformers' run_qa.py do. Those look at the 20 best starts and ends only; here every
span counts that lies in the context and is not too long.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet.metrics import Floats

Ids = NDArray[np.int64]
Bools = NDArray[np.bool_]
MAX_ANSWER: Final = 30  # tokens
N_BEST: Final = 20  # spans
QUESTIONS_AT_ONCE: Final = 256


@final
@dataclass(frozen=True, eq=False)
class AnswerWindows:
    """Windows over contexts: which tokens of the logits they are, and where in its context each lies."""

    boundaries: Ids  # (n_windows + 1,); window w is the tokens boundaries[w]:boundaries[w + 1] of all
    questions: Ids  # (n_windows,), the question of each, from 0, in any order
    context_starts: Ids  # (n_windows,), first token of the context part, counted within the window
    context_stops: Ids  # (n_windows,), last one + 1
    places: Ids  # (n_windows,), which token of the whole context is the first one of the part


@final
@dataclass(frozen=True, eq=False)
class Spans:
    """The best spans of each question, best first; the rest of a row is empty where there are fewer."""

    starts: Ids  # (n_questions, n_best), first token of the span in the whole context; -1 where empty
    ends: Ids  # (n_questions, n_best), its last token; -1 where empty
    windows: Ids  # (n_questions, n_best), the window in which it scores so; -1 where empty
    scores: Floats  # (n_questions, n_best), start logit + end logit; -inf where empty
    probabilities: Floats  # (n_questions, n_best), 0 where empty
    null_scores: Floats  # (n_questions,)
    null_probabilities: Floats  # (n_questions,)

    def no_answer(self) -> Floats:
        """How much better no answer scores than the best span: (n_questions,), inf without a span.

        A question has no answer where this is above the threshold (`squad_scores.best_threshold`)."""
        return np.asarray(self.null_scores - self.scores[:, 0])


def best_spans(
    start_logits: ArrayLike,
    end_logits: ArrayLike,
    windows: AnswerWindows,
    n_questions: int,
    max_answer: int = MAX_ANSWER,
    n_best: int = N_BEST,
) -> Spans:
    """The n_best spans of at most max_answer tokens of each question: logits (n_tokens,) both.

    A span that several windows hold counts once, with its best score. Equal scores: the earlier span first,
    then the shorter. A token whose logit is -inf neither begins nor ends one.

    No answer scores as the start plus the end logit of a window's first token, in the window where that is
    least: a context holds no answer only if none of its windows does. Probabilities are the softmax of the
    scores of the n_best spans and of no answer, which together add up to 1, as in run_squad.py: they depend
    a little on n_best, which is 20 there.

    ValueError: a question without a window, max_answer or n_best below 1."""
    if max_answer < 1 or n_best < 1:
        raise ValueError(f"max_answer ({max_answer}) and n_best ({n_best}) must be at least 1")
    if len(np.unique(windows.questions)) < n_questions:
        raise ValueError(f"only {len(np.unique(windows.questions))} of {n_questions} questions have a window")
    starts, ends = np.asarray(start_logits, np.float64), np.asarray(end_logits, np.float64)
    first = windows.boundaries[:-1]
    null_scores = np.full(n_questions, np.inf)
    np.minimum.at(null_scores, windows.questions, starts[first] + ends[first])
    tokens = _context_tokens(windows)
    max_answer = min(max_answer, int(tokens.left.max(initial=1)))
    score = _from_each(starts, ends, tokens, max_answer)
    least = _nth_best(score, tokens, n_questions, n_best)
    tokens = tokens.where(score >= least[tokens.questions])

    found, scores = [], []
    for more in range(max_answer):
        reach = np.flatnonzero(tokens.left > more)
        score = starts[tokens.of_all[reach]] + ends[tokens.of_all[reach] + more]
        good = (score >= least[tokens.questions[reach]]) & (score > -np.inf)
        reach = reach[good]
        begin = tokens.places[reach]
        found.append(np.stack([tokens.questions[reach], begin, begin + more, tokens.windows[reach]]))
        scores.append(score[good])
    return _ranked(*_once(np.concatenate(found, axis=1), np.concatenate(scores)), null_scores, n_best)


class _Tokens(NamedTuple):
    """Tokens of context parts, (n,) int64 all."""

    of_all: Ids  # which of the logits
    windows: Ids
    questions: Ids
    places: Ids  # in the whole context
    left: Ids  # tokens from here to the end of the part, this one included

    def where(self, chosen: Bools) -> "_Tokens":
        return _Tokens(*(part[chosen] for part in self))


def _context_tokens(windows: AnswerWindows) -> _Tokens:
    lengths = windows.context_stops - windows.context_starts
    window = np.repeat(np.arange(len(lengths)), lengths)
    inside = np.arange(len(window)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return _Tokens(
        (windows.boundaries[:-1] + windows.context_starts)[window] + inside,
        window,
        windows.questions[window],
        windows.places[window] + inside,
        lengths[window] - inside,
    )


def _from_each(starts: Floats, ends: Floats, tokens: _Tokens, max_answer: int) -> Floats:
    """The score of the best span that begins at each token: (n_tokens,)."""
    best, width = ends[tokens.of_all], 1  # the best end of so many tokens from each on
    while width < max_answer:
        step = min(width, max_answer - width)
        within = tokens.left[:-step] > step
        best[:-step] = np.where(within, np.maximum(best[:-step], best[step:]), best[:-step])
        width += step
    return np.asarray(starts[tokens.of_all] + best)


def _nth_best(scores: Floats, tokens: _Tokens, n_questions: int, n: int) -> Floats:
    """The n-th best score (n_questions,) of each question's places, -inf where there are fewer.

    scores (n_tokens,), of which a place in several windows has any one. At least n spans of a question score
    no less than this, so none that scores less is needed."""
    sizes = np.full(n_questions, n)
    np.maximum.at(sizes, tokens.questions, tokens.places + 1)
    firsts = np.cumsum(sizes) - sizes
    best = np.full(int(sizes.sum()), -np.inf)
    best[firsts[tokens.questions] + tokens.places] = scores
    least = np.empty(n_questions)
    by_size = np.argsort(sizes, kind="stable")  # so that rows put side by side are about equally long
    for start in range(0, n_questions, QUESTIONS_AT_ONCE):
        some = by_size[start : start + QUESTIONS_AT_ONCE]
        place = np.arange(sizes[some[-1]])
        cells = np.minimum(firsts[some, None] + place, len(best) - 1)
        table = np.where(place < sizes[some, None], best[cells], -np.inf)
        least[some] = np.partition(table, -n, axis=1)[:, -n]
    return least


def _once(spans: Ids, scores: Floats) -> tuple[Ids, Floats]:
    """Each span of a question once, with its best score: spans (4, n), rows as in `_ranked`; scores (n,)."""
    question, begin, end, _ = spans
    order = np.lexsort((-scores, end, begin, question))
    spans = spans[:, order]
    new = np.append(True, (spans[:3, 1:] != spans[:3, :-1]).any(axis=0))[: len(order)]
    return spans[:, new], scores[order][new]


def _ranked(spans: Ids, scores: Floats, null_scores: Floats, n_best: int) -> Spans:
    """spans (4, n): question, first token, last token, window; scores (n,)."""
    question, begin, end, _ = spans
    order = np.lexsort((end, begin, -scores, question))
    order = order[_rank(question[order]) < n_best]
    row, column = question[order], _rank(question[order])
    shape = (len(null_scores), n_best)
    starts, ends, windows = (np.full(shape, -1) for _ in range(3))
    for table, values in zip((starts, ends, windows), spans[1:], strict=True):
        table[row, column] = values[order]
    table = np.full(shape, -np.inf)
    table[row, column] = scores[order]
    highest = np.maximum(table[:, 0], null_scores)
    shares, null_shares = np.exp(table - highest[:, None]), np.exp(null_scores - highest)
    total = shares.sum(axis=1) + null_shares
    return Spans(starts, ends, windows, table, shares / total[:, None], null_scores, null_shares / total)


def _rank(groups: Ids) -> Ids:
    """The place of each within its run of equal numbers, from 0: (n,)."""
    new = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
    firsts = np.flatnonzero(new)
    return np.arange(len(groups)) - np.repeat(firsts, np.diff(np.append(firsts, len(groups))))
