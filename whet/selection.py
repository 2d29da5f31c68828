"""Which of many texts to label next: those that the model doubts, and no two of them alike."""

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

Floats = npt.NDArray[np.floating]
Int64s = npt.NDArray[np.int64]

LOOKED_AT = 10
"""Texts that are looked at closely for each one that is chosen: the factor of Zhdanov's experiments."""
_MOST_ROUNDS = 50


def uncertainty(probabilities: Floats) -> Floats:
    """1 less the margin between the likeliest label and the next, in [0, 1]: (n, k) -> (n,).

    Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction", IDA 2001. For
    fine-tuned encoders it is as good as any other measure (Schröder, Niekler and Potthast, "Revisiting
    uncertainty-based query strategies for active learning with transformers", Findings of ACL 2022)."""
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    margins: Floats = two[:, 1] - two[:, 0]
    return 1 - margins


def worth_a_look(doubts: Floats, n_chosen: int) -> Int64s:
    """The most uncertain texts, ten for each one that will be chosen, most uncertain first: (n,) -> (m,)."""
    return np.argsort(-doubts, kind="stable")[: LOOKED_AT * n_chosen]


def spread_out(vectors: Floats, doubts: Floats, n_chosen: int, seed: int) -> Int64s:
    """The texts to label, most uncertain first, (n_chosen,) or all there are: k-means cuts the texts,
    weighted by uncertainty, into as many clusters, and of each the text nearest to its centre is taken.

    Clusters that no text falls into leave their place to the most uncertain of the others.
    vectors (n, width), doubts (n,). Zhdanov, "Diverse mini-batch active learning", arXiv 1901.05954, 2019.
    Vectors are brought to length 1, so that the distance is that of their angle."""
    if n_chosen >= len(doubts):
        return np.argsort(-doubts, kind="stable")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    points = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    clusters = KMeans(n_chosen, n_init=1, max_iter=_MOST_ROUNDS, random_state=seed)
    with warnings.catch_warnings():  # of fewer different vectors than clusters, which is seen to below
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters.fit(points, sample_weight=np.maximum(doubts, np.finfo(np.float64).tiny))
    gaps = ((points - clusters.cluster_centers_[clusters.labels_]) ** 2).sum(axis=1)
    order = np.lexsort((gaps, clusters.labels_))
    is_chosen = np.zeros(len(doubts), np.bool_)
    is_chosen[order[np.unique(clusters.labels_[order], return_index=True)[1]]] = True
    by_doubt = np.argsort(-doubts, kind="stable")
    is_chosen[by_doubt[~is_chosen[by_doubt]][: n_chosen - is_chosen.sum()]] = True
    return by_doubt[is_chosen[by_doubt]]
