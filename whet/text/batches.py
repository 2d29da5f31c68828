"""Which texts go into which step, and how a step is cut into packs. Pure functions of their arguments."""

from collections.abc import Iterator

import numpy as np

from whet.encoder.dropout import sequence_keys
from whet.encoder.packing import PackedBatch, pack
from whet.text.store import Store

_AHEAD = 16  # steps whose texts are tokenised together


def plan_epoch(store: Store, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """The steps of one epoch: arrays of text indices, batch_size each but for the last one.

    All texts are shuffled, and each step's are then sorted by length, so that what is cut off together is of
    about one length. Texts are tokenised some steps ahead, so a million rows do not wait for the last."""
    order = np.random.default_rng([seed, epoch]).permutation(len(store))
    for start in range(0, len(order), batch_size):
        if start % (_AHEAD * batch_size) == 0:
            store.ensure(order[start : start + _AHEAD * batch_size])
        texts = order[start : start + batch_size]
        yield texts[np.argsort(store.lengths[texts], kind="stable")]


def cut_by_tokens(texts: np.ndarray, lengths: np.ndarray, most_tokens: int) -> list[np.ndarray]:
    """Pieces of `texts`, in order, of at most `most_tokens` tokens each; a longer text goes alone.

    texts (n,) indices into lengths (n_texts,)."""
    pieces, start, tokens = [], 0, 0
    for i, length in enumerate(lengths[texts].tolist()):
        if tokens + length > most_tokens and i > start:
            pieces.append(texts[start:i])
            start, tokens = i, 0
        tokens += length
    return [*pieces, texts[start:]]


def inference_batches(lengths: np.ndarray, most_tokens: int) -> list[np.ndarray]:
    """Every text once, sorted by length, in packs of at most `most_tokens` tokens. lengths (n_texts,)."""
    if len(lengths) == 0:
        return []
    return cut_by_tokens(np.argsort(lengths, kind="stable"), lengths, most_tokens)


def pack_texts(
    store: Store, texts: np.ndarray, dropout: tuple[int, int] | None = None, multiple: int = 1
) -> PackedBatch:
    """A pack of some texts, with all their windows, its size rounded up to a multiple; dropout is (seed,
    step) while training."""
    found = store.sequences(texts)
    numbers, owners = texts, None
    if found.windows is not None:
        owners = np.repeat(np.arange(len(texts)), found.windows)
        firsts = np.cumsum(found.windows) - found.windows
        nth = np.arange(len(owners)) - firsts[owners]
        numbers = texts[owners] + nth * len(store)  # a number of its own for each window
    keys = None if dropout is None else sequence_keys(*dropout, numbers)
    return pack(found.ids, found.types, keys, found.reads, owners, multiple)
