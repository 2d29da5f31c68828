"""Tokens of many texts, made when they are first needed and kept: in memory, or mapped files when many."""

import mmap
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple, Protocol, final

import numpy as np

from whet.text.encoding import Encoding

ALL_AT_ONCE = 50_000  # texts; a store of no more is tokenised whole on first use and held in memory

Rows = Callable[[np.ndarray], Sequence[Any]]


class Sequences(NamedTuple):
    """Token sequences of some texts, in the order of the texts, a text's windows side by side."""

    ids: list[np.ndarray]  # (length,) int32 each
    types: list[np.ndarray]  # (length,) uint8 each
    reads: list[np.ndarray] | None  # (length,) bool each: the tokens that a head reads one by one
    windows: np.ndarray | None  # (n_texts,) int64, sequences of each text; None: one each


class Store(Protocol):
    """Texts by number, as token ids and type ids. Not for several threads at once."""

    is_fixed: bool  # whether the texts are the same at each step
    lengths: np.ndarray  # (n_texts,) int64, tokens of each text; 0 until it is tokenised
    full_lengths: np.ndarray  # (n_texts,) int64, tokens before cutting
    kept: np.ndarray  # (n_texts,) int64, those of them that were not cut away
    n_windows: np.ndarray | None  # (n_texts,) int64; None: one for each text

    @property
    def n_reads(self) -> np.ndarray | None:
        """(n_texts,) int64, tokens that a head reads one by one; None: it reads whole texts."""

    def __len__(self) -> int:
        """Texts."""

    def ensure(self, texts: np.ndarray | None = None) -> "Store":
        """Tokenise those of `texts` (n,) that are not yet; None is all. Returns itself."""

    def sequences(self, texts: np.ndarray) -> Sequences:
        """The sequences of some texts (n,)."""

    def marks(self, texts: np.ndarray) -> list[np.ndarray] | None:
        """What the task has to know of the tokens that are read: (n_reads, n_marks) of each of texts (n,)."""

    def at(self, seed: int, step: int) -> "Store":
        """The texts as they are at a step of training."""


@final
class TokenStore:
    """A `Store` of texts that stay as they are."""

    is_fixed = True

    def __init__(self, encoding: Encoding, rows: Rows, n_texts: int) -> None:
        """rows gives what the encoding reads, of some indices (n,) int64 below n_texts."""
        self._encoding, self._rows = encoding, rows
        self.lengths = np.zeros(n_texts, np.int64)  # tokens of each text; 0 until it is tokenised
        self.full_lengths = np.zeros(n_texts, np.int64)  # tokens before cutting
        self.kept = np.zeros(n_texts, np.int64)  # those of them that were not cut away
        self._starts = np.zeros(n_texts, np.int64)
        self._tokens = Column(np.int32), Column(np.uint8), Column(np.bool_)  # ids, types, reads
        self._windows = np.empty(0, np.int64)  # tokens of each window, where texts have several
        self._first_windows = np.zeros(n_texts, np.int64)
        self.n_windows: np.ndarray | None = None  # (n_texts,) int64; None: one for each text
        self.n_reads: np.ndarray | None = None  # (n_texts,) int64, tokens that a head reads one by one
        self._first_reads = np.zeros(n_texts, np.int64)
        self._marks, self._n_marks = Column(np.int32), 0
        if n_texts > ALL_AT_ONCE:
            for column in (*self._tokens, self._marks):
                column.spill()

    def __len__(self) -> int:
        return len(self.lengths)

    def ensure(self, texts: np.ndarray | None = None) -> "TokenStore":
        """Tokenise those of `texts` (n,) that are not yet; None is all. Returns itself."""
        wanted = np.arange(len(self)) if texts is None else texts
        missing = wanted[self.lengths[wanted] == 0]
        if len(missing) and len(self) <= ALL_AT_ONCE:
            missing = np.flatnonzero(self.lengths == 0)
        for start in range(0, len(missing), ALL_AT_ONCE):
            self._add(missing[start : start + ALL_AT_ONCE])
        return self

    def at(self, seed: int, step: int) -> "TokenStore":
        """The same."""
        return self

    def sequences(self, texts: np.ndarray) -> Sequences:
        """The sequences of some texts (n,)."""
        self.ensure(texts)
        starts, lengths, n_windows = self._starts[texts], self.lengths[texts], None
        if self.n_windows is not None:
            n_windows = self.n_windows[texts]
            lengths = self._windows[ranges(self._first_windows[texts], n_windows)]
            starts = np.repeat(starts, n_windows) + _within(lengths, n_windows)
        spans = [slice(start, start + n) for start, n in zip(starts.tolist(), lengths.tolist(), strict=True)]
        ids, types, reads = self._tokens
        return Sequences(
            [ids.values[span] for span in spans],
            [types.values[span] for span in spans],
            [reads.values[span] for span in spans] if len(reads.values) else None,
            n_windows,
        )

    def marks(self, texts: np.ndarray) -> list[np.ndarray] | None:
        """What the encoding says of the tokens that are read: (n_reads, n_marks) of each of texts (n,)."""
        if self._n_marks == 0 or self.n_reads is None:
            return None
        firsts, counts = self._first_reads[texts] * self._n_marks, self.n_reads[texts] * self._n_marks
        return [
            self._marks.values[first : first + count].reshape(-1, self._n_marks)
            for first, count in zip(firsts.tolist(), counts.tolist(), strict=True)
        ]

    def _add(self, chosen: np.ndarray) -> None:
        encoded = self._encoding(self._rows(chosen))
        self._starts[chosen] = len(self._tokens[0].values) + np.cumsum(encoded.lengths) - encoded.lengths
        self.lengths[chosen] = encoded.lengths
        self.full_lengths[chosen] = encoded.full_lengths
        self.kept[chosen] = encoded.kept
        for column, values in zip(self._tokens, (encoded.ids, encoded.types, encoded.reads), strict=True):
            if values is not None:
                column.append(values)
        if encoded.reads is not None:
            if self.n_reads is None:
                self.n_reads = np.zeros(len(self), np.int64)
            counts = np.concatenate([[0], np.cumsum(encoded.reads)])
            self.n_reads[chosen] = np.diff(counts[np.concatenate([[0], np.cumsum(encoded.lengths)])])
            if encoded.marks is not None:
                self._n_marks = encoded.marks.shape[1]
                before = len(self._marks.values) // self._n_marks
                self._first_reads[chosen] = before + np.cumsum(self.n_reads[chosen]) - self.n_reads[chosen]
                self._marks.append(encoded.marks.ravel())
        if encoded.n_windows is not None and encoded.windows is not None:
            if self.n_windows is None:
                self.n_windows = np.zeros(len(self), np.int64)
            self.n_windows[chosen] = encoded.n_windows
            first = len(self._windows) + np.cumsum(encoded.n_windows) - encoded.n_windows
            self._first_windows[chosen] = first
            self._windows = np.concatenate([self._windows, encoded.windows])


@final
class Column:
    """Numbers that grow at their end, in memory or in a file."""

    def __init__(self, dtype: type) -> None:
        self.values: np.ndarray = np.empty(0, dtype)
        self.file: IO[bytes] | None = None

    def spill(self) -> None:
        """Keep them in a nameless file, which a crash cannot leave behind; open as long as this."""
        self.file = tempfile.TemporaryFile()  # noqa: SIM115

    def close(self) -> None:
        """No more will come; what is there stays."""
        if self.file is not None:
            self.file.close()

    def append(self, values: np.ndarray) -> None:
        if self.file is None:
            self.values = np.concatenate([self.values, values])
            return
        if len(values) == 0:  # and what is empty cannot be mapped
            return
        self.file.write(np.ascontiguousarray(values).data)
        self.file.flush()
        mapped = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        self.values = np.frombuffer(mapped, self.values.dtype)


def ranges(firsts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """firsts[i], firsts[i] + 1 ... of counts[i] numbers, for each i: two (n,) -> (sum of counts,)."""
    ends = np.cumsum(counts)
    ranges: np.ndarray = np.repeat(firsts - (ends - counts), counts) + np.arange(counts.sum())
    return ranges


def _within(lengths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Where each window (n_windows,) begins among the tokens of its text; counts (n_texts,) windows."""
    before = np.cumsum(lengths) - lengths
    first = np.cumsum(counts) - counts
    begins: np.ndarray = before - np.repeat(before[first], counts)
    return begins


def store_of(rows: Sequence[Any], encoding: Encoding) -> TokenStore:
    """A store of rows that are at hand."""
    return TokenStore(encoding, lambda texts: [rows[i] for i in texts], len(rows))
