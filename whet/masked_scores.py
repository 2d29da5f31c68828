"""How well hidden words are guessed: figures over hidden tokens. With 95% intervals.

The intervals see documents as drawn at random, whole, for the words of one are easy or hard together.

The loss of hidden tokens, of which several of one text are hidden together, is no perplexity: the chances of
words that are hidden together do not multiply to that of the text. The pseudo-perplexity hides one token at a
time (Salazar et al. 2020, "Masked language model scoring").
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet.entity_scores import share_interval
from whet.intervals import Interval, loss_interval

Floats = NDArray[np.float64]
_TOP = 5


def masked_metrics(losses: Floats, ranks: Floats, of_guessing: Floats) -> dict[str, Any]:
    """n_tokens, accuracy (the word is the likeliest), top_5 (among the five likeliest), nll (nats a token),
    and unigram_nll: what guessing by the words' frequency in training costs.

    All (n_tokens,): losses in nats, ranks of the true words from 0, and losses of guessing."""
    return {
        "n_tokens": len(losses),
        "accuracy": float((ranks < 1).mean()),
        "top_5": float((ranks < _TOP).mean()),
        "nll": float(losses.mean()),
        "unigram_nll": float(of_guessing.mean()),
    }


def masked_intervals(
    losses: Floats, ranks: Floats, of_guessing: Floats, documents: ArrayLike
) -> dict[str, Interval | None]:
    """Under the names of `masked_metrics`, from the same and the document (n_tokens,) of each token."""
    units = np.unique(np.asarray(documents), return_inverse=True)[1].reshape(-1)
    counts = np.bincount(units)
    hits, near = (np.bincount(units, ranks < most) for most in (1, _TOP))
    return {
        "accuracy": share_interval(hits, counts),
        "top_5": share_interval(near, counts),
        "nll": cluster_loss_interval(losses, units),
        "unigram_nll": cluster_loss_interval(of_guessing, units),
    }


def pseudo_perplexity(losses: Floats, documents: ArrayLike) -> dict[str, Any]:
    """exp of the mean loss of tokens of which each was hidden alone, with "intervals"; losses, documents
    (n_tokens,), and pseudo_tokens, their number."""
    ends = cluster_loss_interval(losses, documents)
    return {
        "pseudo_perplexity": math.exp(losses.mean()),
        "pseudo_tokens": len(losses),
        "intervals": {"pseudo_perplexity": None if ends is None else [math.exp(end) for end in ends]},
    }


def cluster_loss_interval(losses: Floats, documents: ArrayLike) -> Interval | None:
    """Interval of a mean of losses (n_tokens,) whose documents (n_tokens,) are drawn at random, whole; None
    of fewer than two documents.

    A mean of clusters is a ratio of sums, and its error that of a mean over documents of their pseudo-values:
    how far it moves without each (the jackknife; Cochran, Sampling Techniques, 1977, ch. 6). `loss_interval`
    takes the skewness out of them."""
    units = np.unique(np.asarray(documents), return_inverse=True)[1].reshape(-1)
    counts, sums = np.bincount(units), np.bincount(units, losses)
    mean, n = float(losses.mean()), len(counts)
    if n < 2:
        return None
    moves = mean - (sums.sum() - sums) / (counts.sum() - counts)
    return loss_interval(mean + (n - 1) * (moves - moves.mean()))
