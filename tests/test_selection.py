"""What to label next, in numbers: margins, and one text of each kind."""

import numpy as np

from whet.selection import LOOKED_AT, spread_out, uncertainty, worth_a_look


def test_uncertainty_is_one_less_the_margin():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), 101)
    two = np.sort(probabilities, axis=1)[:, -2:]
    np.testing.assert_allclose(uncertainty(probabilities), 1 - (two[:, 1] - two[:, 0]), atol=1e-15)
    assert uncertainty(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist() == [1.0, 0.0]


def test_only_the_most_uncertain_are_looked_at():
    doubts = np.random.default_rng(1).random(997)
    looked_at = worth_a_look(doubts, 7)
    assert len(looked_at) == 7 * LOOKED_AT
    assert doubts[looked_at].min() > np.delete(doubts, looked_at).max()
    assert (np.diff(doubts[looked_at]) <= 0).all()


def clusters(n_clusters=6, n_each=20, width=11):
    random = np.random.default_rng(2)
    centres = np.linalg.qr(random.normal(size=(width, width)))[0][:n_clusters]
    kinds = np.repeat(np.arange(n_clusters), n_each)
    return centres[kinds] + 0.05 * random.normal(size=(len(kinds), width)), kinds


def test_one_text_of_each_kind_whatever_its_length():
    """Planted once: the most uncertain in place of the clusters took 3 kinds of 6."""
    vectors, kinds = clusters()
    random = np.random.default_rng(3)
    doubts = 0.5 + 0.1 * random.random(len(kinds)) - 0.1 * (kinds > 2)
    scaled = vectors * random.uniform(0.1, 10, size=(len(kinds), 1))  # directions count, lengths do not
    chosen = spread_out(scaled, doubts, 6, seed=0)
    assert sorted(kinds[chosen]) == list(range(6))
    assert (np.diff(doubts[chosen]) <= 0).all()


def test_the_text_nearest_to_the_weighted_middle_is_taken():
    angles = np.array([0.0, 0.1, 0.2, 2.0, 2.1, 2.2])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    even = spread_out(vectors, np.full(6, 0.5), 2, seed=0)
    assert sorted(even) == [1, 4]
    uneven = spread_out(vectors, np.array([1.0, 0.01, 0.01, 0.01, 0.01, 1.0]), 2, seed=0)
    assert sorted(uneven) == [0, 5]


def test_the_seed_decides_and_nothing_is_chosen_twice():
    vectors = np.random.default_rng(4).normal(size=(300, 11))
    doubts = np.random.default_rng(5).random(300)
    chosen = spread_out(vectors, doubts, 30, seed=1)
    assert len(set(chosen.tolist())) == 30
    np.testing.assert_array_equal(chosen, spread_out(vectors, doubts, 30, seed=1))
    assert set(chosen.tolist()) != set(spread_out(vectors, doubts, 30, seed=2).tolist())


def test_all_of_few():
    doubts = np.array([0.2, 0.9, 0.5])
    assert spread_out(np.eye(3), doubts, 3, seed=0).tolist() == [1, 2, 0]
    assert spread_out(np.eye(3), doubts, 9, seed=0).tolist() == [1, 2, 0]


def test_texts_that_the_encoder_cannot_tell_apart_still_fill_the_number():
    vectors = np.repeat(np.eye(3), 4, axis=0)
    chosen = spread_out(vectors, np.linspace(0.1, 0.9, 12), 6, seed=0)
    assert len(set(chosen.tolist())) == 6
    assert {index // 4 for index in chosen.tolist()} == {0, 1, 2}
