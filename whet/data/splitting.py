"""A held-out part of a training set: seeded, stratified by class, duplicates on one side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]


def text_groups(columns: Sequence[Any], *, as_written: bool = False) -> Int64s:
    """Group numbers, (n_rows,), in order of first appearance, from one or two text columns.

    Rows are together where their texts, those of all columns, are equal but for case and white space, or
    `as_written` to the letter. A column is an Arrow array or a sequence of texts; null is an empty text."""
    folded = [_hashed(column, as_written) for column in columns]
    # 64 bits: the chance that any two different texts of a million fall together is 3e-8, and harmless.
    keys = folded[0] if len(folded) == 1 else np.fromiter(map(hash, zip(*folded, strict=True)), np.int64)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    # Python's hashes differ between processes; numbers by first appearance do not.
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def _hashed(column: Any, as_written: bool) -> Int64s:
    pieces = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    keys = [
        _hashes(piece.to_pylist() if isinstance(piece, pa.Array) else piece, as_written) for piece in pieces
    ]
    return np.concatenate(keys) if keys else np.zeros(0, np.int64)


def _hashes(texts: Sequence[str | None], as_written: bool) -> Int64s:
    if as_written:
        read = (text or "" for text in texts)
    else:
        read = (" ".join((text or "").casefold().split()) for text in texts)
    return np.fromiter(map(hash, read), np.int64, len(texts))


def grouped_stratified_split(
    labels: Int64s, groups: Int64s, fraction: float, seed: int, most: int = 5000
) -> npt.NDArray[np.bool_]:
    """Which rows to hold out, (n_rows,) bool: about `fraction` of them, at most `most`.

    A group is wholly on one side; every class keeps a row in training; the classes' shares are as near to
    those of all rows as whole groups allow; a class of two groups or more is represented if there is room."""
    n_rows = len(labels)
    if n_rows == 0:
        return np.zeros(0, np.bool_)
    _, classes = np.unique(labels, return_inverse=True)
    _, group_of = np.unique(groups, return_inverse=True)
    classes, group_of = classes.reshape(-1).astype(np.int64), group_of.reshape(-1).astype(np.int64)
    n_groups, n_classes = int(group_of.max()) + 1, int(classes.max()) + 1
    # What each group is made of: one entry for each class in it, a group's entries together.
    keys, counts = np.unique(group_of * n_classes + classes, return_counts=True)
    entry_class = keys % n_classes
    begins = np.searchsorted(keys // n_classes, np.arange(n_groups + 1))
    sizes = np.bincount(classes, minlength=n_classes)
    groups_of_class = np.bincount(entry_class, minlength=n_classes)
    total = min(most, max(1, round(fraction * n_rows)), n_rows - 1)
    quotas = _quotas(sizes, groups_of_class >= 2, total)

    order = np.random.default_rng(seed).permutation(n_groups)
    held = _Held(entry_class.tolist(), counts.tolist(), begins.tolist(), sizes.tolist(), quotas, most)
    held.fill(order.tolist(), exact=True)
    held.fill(order.tolist(), exact=False)
    held.represent(order.tolist(), groups_of_class.tolist(), total)
    taken = np.zeros(n_groups, np.bool_)
    taken[held.groups] = True
    return taken[group_of]


def _quotas(sizes: Int64s, may_be_held: npt.NDArray[np.bool_], total: int) -> list[int]:
    """Rows to hold out of each class: shares of `total` by largest remainder, at least one if it fits."""
    ceiling = np.where(may_be_held, sizes - 1, 0)
    wanted = total * sizes / sizes.sum()
    least = (may_be_held & (ceiling > 0)).astype(np.int64)
    if least.sum() > total:
        least[:] = 0
    quotas = np.minimum(np.maximum(np.floor(wanted).astype(np.int64), least), ceiling)
    while quotas.sum() != total:
        step = 1 if quotas.sum() < total else -1
        room = quotas < ceiling if step > 0 else quotas > least
        if not room.any():
            break
        gap = np.where(room, (wanted - quotas) * step, -np.inf)
        quotas[int(np.argmax(gap))] += step
    return [int(quota) for quota in quotas]


class _Held:
    """The groups held out so far, counted by class."""

    def __init__(
        self,
        classes: list[int],
        counts: list[int],
        begins: list[int],
        sizes: list[int],
        quotas: list[int],
        most: int,
    ) -> None:
        self.groups: list[int] = []
        self._classes, self._counts, self._begins = classes, counts, begins
        self._missing = list(quotas)  # rows still to hold out; negative where more are held than asked
        self._left = list(sizes)  # rows that stay in training
        self._open = sum(quotas)
        self._room = most
        self._is_held = bytearray(len(begins) - 1)

    def fill(self, order: Sequence[int], *, exact: bool) -> None:
        """Take groups in order: if `exact` those that overshoot no class, else those that help."""
        for group in order:
            if self._open <= 0:
                return
            if self._is_held[group]:
                continue
            entries = range(self._begins[group], self._begins[group + 1])
            if exact:
                fits = all(self._counts[entry] <= self._missing[self._classes[entry]] for entry in entries)
            else:
                gain = 0
                for entry in entries:
                    missing = self._missing[self._classes[entry]]
                    gain += abs(missing) - abs(missing - self._counts[entry])
                fits = gain > 0
            if fits and self._allowed(entries):
                self._take(group, entries)

    def represent(self, order: Sequence[int], groups_of_class: Sequence[int], total: int) -> None:
        """Give each class that has none held its smallest group, if it is asked for and there is room."""
        bare = {c for c, missing in enumerate(self._missing) if missing > 0 and groups_of_class[c] >= 2}
        bare -= {self._classes[e] for g in self.groups for e in range(self._begins[g], self._begins[g + 1])}
        if not bare:
            return
        size = {}
        for group in order:
            entries = range(self._begins[group], self._begins[group + 1])
            if not bare.isdisjoint(self._classes[entry] for entry in entries):
                size[group] = sum(self._counts[entry] for entry in entries)
        for group in sorted(size, key=size.__getitem__):
            entries = range(self._begins[group], self._begins[group + 1])
            here = bare.intersection(self._classes[entry] for entry in entries)
            # An empty held-out part is of no use, so the first group may be larger than what was asked for.
            if here and (size[group] <= total or not self.groups) and self._allowed(entries):
                self._take(group, entries)
                bare -= here

    def _allowed(self, entries: range) -> bool:
        size = sum(self._counts[entry] for entry in entries)
        return size <= self._room and all(self._counts[e] < self._left[self._classes[e]] for e in entries)

    def _take(self, group: int, entries: range) -> None:
        for entry in entries:
            kind, count = self._classes[entry], self._counts[entry]
            self._missing[kind] -= count
            self._left[kind] -= count
            self._open -= count
            self._room -= count
        self._is_held[group] = 1
        self.groups.append(group)
