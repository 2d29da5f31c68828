"""The labels of rows that have any number of them, as small as they can be kept."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class LabelSets:
    """The labels of each row, as numbers; what a row has none of takes no room."""

    offsets: Int64s  # (n_rows + 1,) row i has labels[offsets[i]:offsets[i + 1]]
    labels: Int64s  # (n_given,) in [0, n_labels), ascending within a row, each once
    labelled: Bools  # (n_rows,) whether the row has a value at all; an empty list is one
    n_labels: int

    @classmethod
    def of(cls, rows: Int64s, labels: Int64s, labelled: Bools, n_labels: int) -> "LabelSets":
        """From the row and the label of each that is given, both (n_given,), sorted by row, then label."""
        counts = np.bincount(rows, minlength=len(labelled))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(offsets, labels.astype(np.int64), labelled, n_labels)

    def __len__(self) -> int:
        return len(self.labelled)

    def dense(self, rows: Int64s) -> Bools:
        """Whether each of these rows has each label: rows (m,) -> (m, n_labels)."""
        found = np.zeros((len(rows), self.n_labels), np.bool_)
        sizes = self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(sizes)
        within = np.arange(sizes.sum()) - np.repeat(ends - sizes, sizes)
        given = self.labels[np.repeat(self.offsets[rows], sizes) + within]
        found[np.repeat(np.arange(len(rows)), sizes), given] = True
        return found
