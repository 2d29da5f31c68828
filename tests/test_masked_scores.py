"""Figures over hidden words, and intervals that see documents as drawn whole."""

import math

import numpy as np

from whet.intervals import loss_interval
from whet.masked_scores import cluster_loss_interval, masked_intervals, masked_metrics, pseudo_perplexity


def test_figures_are_means() -> None:
    losses, ranks = np.array([0.5, 2.0, 3.5, 1.0]), np.array([0.0, 4.0, 5.0, 0.0])
    found = masked_metrics(losses, ranks, np.array([1.0, 2.0, 3.0, 4.0]))
    assert found == {"n_tokens": 4, "accuracy": 0.5, "top_5": 0.75, "nll": 1.75, "unigram_nll": 2.5}
    one_at_a_time = pseudo_perplexity(losses, np.array([0, 0, 1, 2]))
    assert math.isclose(one_at_a_time["pseudo_perplexity"], math.exp(1.75))
    low, high = one_at_a_time["intervals"]["pseudo_perplexity"]
    assert low < math.exp(1.75) < high


def test_documents_of_one_token_are_the_plain_interval() -> None:
    losses = np.random.default_rng(0).exponential(2.0, 80)
    found, plain = cluster_loss_interval(losses, np.arange(80)), loss_interval(losses)
    assert found is not None
    assert plain is not None
    assert np.allclose(found, plain)
    assert cluster_loss_interval(losses, np.zeros(80)) is None, "one document says nothing of others"


def test_the_interval_holds_the_truth_where_documents_differ() -> None:
    """Coverage over 1,000 draws of 40 documents; taken one by one, tokens would cover far less."""
    random = np.random.default_rng(3)
    covered, naive = 0, 0
    for _ in range(1000):
        sizes = random.integers(5, 60, 40)
        level = random.gamma(4.0, 0.5, 40)  # the mean loss of each document, 2 on average
        documents = np.repeat(np.arange(40), sizes)
        losses = random.exponential(level[documents])
        low, high = cluster_loss_interval(losses, documents) or (0, 0)
        covered += low <= 2.0 <= high
        low, high = loss_interval(losses) or (0, 0)
        naive += low <= 2.0 <= high
    assert covered / 1000 > 0.91
    assert naive / 1000 < 0.6


def test_intervals_have_the_figures_inside() -> None:
    random = np.random.default_rng(2)
    losses, ranks = random.exponential(2.0, 300), random.geometric(0.3, 300) - 1.0
    guess, documents = random.exponential(6.0, 300), random.integers(0, 25, 300)
    found, ends = masked_metrics(losses, ranks, guess), masked_intervals(losses, ranks, guess, documents)
    for name, interval in ends.items():
        assert interval is not None
        assert interval[0] < found[name] < interval[1]
