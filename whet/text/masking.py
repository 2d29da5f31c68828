"""Tokens that are hidden from the encoder, other ones at each step, and what stands in their place.

Which they are is a function of (seed, step, text, place), as dropout masks are, never of generator state: so
a step cut into pieces, or a run that is gone on with, hides the same tokens (`whet.encoder.dropout`).
"""

from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from whet.encoder.dropout import draws, sequence_keys
from whet.encoder.packing import keys_of_places
from whet.text.store import Sequences, Store

_APART = 0x6D61736B  # so that what is hidden has nothing to do with what dropout drops
_FATE, _OTHER = 1, 2  # draws of a token, behind the one that chooses it
_MASKED, _RANDOM = 0.8, 0.1  # of the hidden tokens; the others keep their place (Devlin et al. 2018)
_AT_ONCE = 4096  # texts

Draw = tuple[int, int]  # seed, step


@final
@dataclass(frozen=True)
class Shown:
    """Some texts end to end."""

    ids: np.ndarray  # (n_tokens,) int32
    is_open: np.ndarray  # (n_tokens,) bool, which tokens may be hidden
    begins: np.ndarray  # (n_tokens,) bool, where what is hidden together begins; of open tokens only
    lengths: np.ndarray  # (n_texts,) int64
    texts: np.ndarray  # (n_texts,) int64, their numbers

    @property
    def places(self) -> np.ndarray:
        """Of each token in its text, (n_tokens,) int64."""
        starts = np.cumsum(self.lengths) - self.lengths
        places: np.ndarray = np.arange(len(self.ids)) - np.repeat(starts, self.lengths)
        return places


class Hiding(Protocol):
    """A way of choosing the tokens that are hidden."""

    def __call__(self, shown: Shown, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        """-> what the encoder sees, (n_tokens,) int32, and which tokens are hidden, (n_tokens,) bool."""


@final
@dataclass(frozen=True)
class Masking:
    """A share of each text's open tokens is hidden: 80% of them behind the mask token, 10% behind a random
    one; 10% stay as they are (Devlin et al. 2018). Other ones at each step (Liu et al. 2019, "RoBERTa").

    Of n tokens rate * n are hidden, rounded up or down by chance so that the mean is exact, and at least one.
    The unit is what `begins` says: a token, or a word whose tokens are all hidden (each has its own fate, as
    in BERT's own whole-word masking)."""

    mask_id: int
    others: np.ndarray  # (n_others,) int32, what may stand in for a token
    rate: float

    def __call__(self, shown: Shown, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        seed, step = draw
        text_keys = sequence_keys(seed ^ _APART, step, shown.texts)
        n_texts = len(shown.texts)
        open_ones = np.flatnonzero(shown.is_open)
        owners = np.repeat(np.arange(n_texts), shown.lengths)[open_ones]
        keys = keys_of_places(text_keys[owners], shown.places[open_ones])
        is_first = shown.begins[open_ones]
        units, firsts = np.cumsum(is_first) - 1, np.flatnonzero(is_first)
        of_texts = np.bincount(owners[firsts], minlength=n_texts)
        wanted = np.floor(self.rate * of_texts + draws(text_keys, 0)).astype(np.int64)
        wanted = np.minimum(np.maximum(wanted, 1), of_texts)
        order = np.lexsort((draws(keys[firsts], 0), owners[firsts]))
        ranks = np.arange(len(order)) - np.repeat(np.cumsum(of_texts) - of_texts, of_texts)
        is_chosen = np.zeros(len(order), np.bool_)
        is_chosen[order] = ranks < np.repeat(wanted, of_texts)
        chosen = is_chosen[units]
        hidden = np.zeros(len(shown.ids), np.bool_)
        hidden[open_ones[chosen]] = True
        fates, own = draws(keys[chosen], _FATE), shown.ids[hidden]
        other = self.others[(draws(keys[chosen], _OTHER) * len(self.others)).astype(np.int64)]
        seen = shown.ids.copy()
        seen[hidden] = np.where(
            fates < _MASKED, self.mask_id, np.where(fates < _MASKED + _RANDOM, other, own)
        )
        return seen, hidden


@final
@dataclass(frozen=True)
class OneEach:
    """One token of each text behind the mask token."""

    mask_id: int
    places: np.ndarray  # (n_texts,) int64, by the text's number: which of its open tokens, from 0

    def __call__(self, shown: Shown, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        open_ones = np.flatnonzero(shown.is_open)
        owners = np.repeat(np.arange(len(shown.texts)), shown.lengths)[open_ones]
        counts = np.bincount(owners, minlength=len(shown.texts))
        chosen = open_ones[np.cumsum(counts) - counts + self.places[shown.texts]]
        seen, hidden = shown.ids.copy(), np.zeros(len(shown.ids), np.bool_)
        seen[chosen], hidden[chosen] = self.mask_id, True
        return seen, hidden


@final
class MaskedStore:
    """A `Store` of texts, some of whose tokens are hidden: these are read, and their own ids are the marks.

    Of `texts` the tokens that are read are those that may be hidden, and the marks, where there are some, say
    which of them begin a word. Each text is one sequence."""

    is_fixed = False

    def __init__(
        self, texts: Store, hiding: Hiding, draw: Draw = (0, 0), labels: np.ndarray | None = None
    ) -> None:
        """Before `at` is asked, the tokens are those of `draw`. labels (n_texts,) is what else is to be said
        of each text; it is a second mark of its tokens."""
        self.texts, self.hiding, self._draw, self._labels = texts, hiding, draw, labels
        self.lengths, self.full_lengths, self.kept = texts.lengths, texts.full_lengths, texts.kept
        self.n_windows: np.ndarray | None = None
        self._n_reads: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def n_reads(self) -> np.ndarray:
        """(n_texts,) int64, the hidden tokens of each text."""
        if self._n_reads is None:
            parts = [
                [int(one.sum()) for one in self.sequences(chosen).reads or ()]
                for chosen in _pieces(len(self))
            ]
            self._n_reads = np.array([n for part in parts for n in part], np.int64)
        return self._n_reads

    def ensure(self, texts: np.ndarray | None = None) -> "MaskedStore":
        """See `Store`."""
        self.texts.ensure(texts)
        return self

    def at(self, seed: int, step: int) -> "MaskedStore":
        """With the tokens hidden that are hidden there."""
        return MaskedStore(self.texts, self.hiding, (seed, step), self._labels)

    def sequences(self, texts: np.ndarray) -> Sequences:
        """See `Store`."""
        _, seen, hidden, found = self._hidden(texts)
        cuts = np.cumsum([len(ids) for ids in found.ids])[:-1]
        return Sequences(np.split(seen, cuts), found.types, np.split(hidden, cuts), None)

    def marks(self, texts: np.ndarray) -> list[np.ndarray]:
        """The ids of the hidden tokens, and the label: (n_reads, 1 or 2) int32 of each text."""
        shown, _, hidden, found = self._hidden(texts)
        cuts = np.cumsum([len(ids) for ids in found.ids])[:-1]
        parts = zip(np.split(shown.ids, cuts), np.split(hidden, cuts), strict=True)
        found_ids = [ids[mask][:, None] for ids, mask in parts]
        if self._labels is None:
            return found_ids
        labels = self._labels[texts].astype(np.int32).tolist()
        return [
            np.pad(ids, ((0, 0), (0, 1)), constant_values=label)
            for ids, label in zip(found_ids, labels, strict=True)
        ]

    def counts(self, vocab_size: int) -> np.ndarray:
        """How often each token stands where it may be hidden, (vocab_size,) int64."""
        found = np.zeros(vocab_size, np.int64)
        for texts in _pieces(len(self)):
            shown, _ = self._shown(texts)
            found += np.bincount(shown.ids[shown.is_open], minlength=vocab_size)
        return found

    def _hidden(self, texts: np.ndarray) -> tuple[Shown, np.ndarray, np.ndarray, Sequences]:
        shown, found = self._shown(texts)
        return shown, *self.hiding(shown, self._draw), found

    def _shown(self, texts: np.ndarray) -> tuple[Shown, Sequences]:
        found = self.texts.sequences(texts)
        assert found.reads is not None
        assert found.windows is None
        lengths = np.array([len(ids) for ids in found.ids], np.int64)
        is_open = np.concatenate(found.reads)
        begins = is_open.copy()
        if (marks := self.texts.marks(texts)) is not None:
            begins[is_open] = np.concatenate(marks)[:, 0] > 0
        return Shown(np.concatenate(found.ids), is_open, begins, lengths, texts), found


def _pieces(n_texts: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + _AT_ONCE, n_texts)) for start in range(0, n_texts, _AT_ONCE)]
