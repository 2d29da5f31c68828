"""What every way of turning rows into tokens gives."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Encoded(NamedTuple):
    """Tokens of some texts, end to end."""

    ids: np.ndarray  # (n_tokens,) int32
    types: np.ndarray  # (n_tokens,) uint8
    lengths: np.ndarray  # (n_texts,) int64, tokens of each text, in all its windows
    full_lengths: np.ndarray  # (n_texts,) int64, tokens before cutting
    kept: np.ndarray  # (n_texts,) int64, how many of those are in some window
    n_windows: np.ndarray | None = None  # (n_texts,) int64, at least 1; None: one for each text
    windows: np.ndarray | None = None  # (n_windows,) int64, tokens of each window, text by text
    reads: np.ndarray | None = None  # (n_tokens,) bool, which tokens a head reads one by one
    marks: np.ndarray | None = None  # (n_reads, n_marks) int32, what the task has to know of those


def joined(pieces: Sequence[Encoded]) -> Encoded:
    """Several as one; all of one encoding."""
    columns: list[Any] = [
        None if parts[0] is None else np.concatenate(parts) for parts in zip(*pieces, strict=True)
    ]
    return Encoded(*columns)


class Encoding(Protocol):
    """A way of turning rows into tokens."""

    def __call__(self, rows: Sequence[Any]) -> Encoded:
        """Rows as the task gives them."""
