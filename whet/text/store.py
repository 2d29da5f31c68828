"""Tokens of many texts, made when they are first needed and kept: in memory, or mapped files when many."""

import mmap
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any, final

import numpy as np

from whet.config import Cut
from whet.text.tokens import Tokeniser

ALL_AT_ONCE = 50_000  # texts; a store of no more is tokenised whole on first use and held in memory

Rows = Callable[[np.ndarray], Sequence[Sequence[str]]]


@final
class TokenStore:
    """Texts by number, as token ids and type ids. Not for several threads at once."""

    def __init__(
        self, tokeniser: Tokeniser, rows: Rows, n_texts: int, max_length: int, cut: Cut = "tail"
    ) -> None:
        """rows gives the (text,) or (text, pair) of some indices (n,) int64 below n_texts."""
        self._tokeniser, self._rows, self._max_length, self._cut = tokeniser, rows, max_length, cut
        self.lengths = np.zeros(n_texts, np.int64)  # tokens of each text; 0 until it is tokenised
        self.full_lengths = np.zeros(n_texts, np.int64)  # tokens before cutting
        self._starts = np.zeros(n_texts, np.int64)
        self._ids = np.empty(0, np.int32)
        self._types = np.empty(0, np.uint8)
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        if n_texts > ALL_AT_ONCE:  # nameless files, which a crash cannot leave behind; open as long as this
            self._files = (tempfile.TemporaryFile(), tempfile.TemporaryFile())  # noqa: SIM115

    def __len__(self) -> int:
        return len(self.lengths)

    def ensure(self, texts: np.ndarray | None = None) -> "TokenStore":
        """Tokenise those of `texts` (n,) that are not yet; None is all. Returns itself."""
        wanted = np.arange(len(self)) if texts is None else texts
        missing = wanted[self.lengths[wanted] == 0]
        if len(missing) and self._files is None:
            missing = np.flatnonzero(self.lengths == 0)
        for start in range(0, len(missing), ALL_AT_ONCE):
            chosen = missing[start : start + ALL_AT_ONCE]
            encoded = self._tokeniser.encode(self._rows(chosen), self._max_length, self._cut)
            self._starts[chosen] = len(self._ids) + np.cumsum(encoded.lengths) - encoded.lengths
            self.lengths[chosen] = encoded.lengths
            self.full_lengths[chosen] = encoded.full_lengths
            self._append(encoded.ids, encoded.types)
        return self

    def sequences(self, texts: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Token ids and type ids of some texts, (length,) each."""
        self.ensure(texts)
        spans = [slice(self._starts[i], self._starts[i] + self.lengths[i]) for i in texts]
        return [self._ids[span] for span in spans], [self._types[span] for span in spans]

    def _append(self, ids: np.ndarray, types: np.ndarray) -> None:
        if self._files is None:
            self._ids, self._types = np.concatenate([self._ids, ids]), np.concatenate([self._types, types])
            return
        for file, array in zip(self._files, (ids, types), strict=True):
            file.write(array.data)
            file.flush()
        self._ids, self._types = _mapped(self._files[0], np.int32), _mapped(self._files[1], np.uint8)


def _mapped(file: IO[bytes], dtype: type) -> "np.ndarray[Any, Any]":
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype)


def store_of(rows: Sequence[Sequence[str]], tokeniser: Tokeniser, max_length: int, cut: Cut) -> TokenStore:
    """A store of rows that are at hand."""
    return TokenStore(tokeniser, lambda texts: [rows[i] for i in texts], len(rows), max_length, cut)
