"""Texts that stand in the data more than once: to the letter, but for case and white space, or nearly.

Within a file they count twice in training; across files they make dev and test figures too good; with
different labels they cannot be learnt.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, final

import numpy as np
import pyarrow.compute as pc

from whet.data.findings import Finding, finding
from whet.data.near import SIMILAR, near_duplicates
from whet.data.parts import Bools, Corpus, Int64s, Part
from whet.data.splitting import text_groups
from whet.data.wording import counted

Match = Literal["exact", "case", "near"]

_WORDS: dict[Match, tuple[str, str]] = {
    # how a row's text stands to the other one: within a file, and in another file
    "exact": ("the same text as another row", "the same text as a row of"),
    "case": (
        "the same text as another row but for case or spaces",
        "the same text, but for case or spaces, as a row of",
    ),
    "near": ("almost the same text as another row", "almost the same text as a row of"),
}


def duplicate_findings(parts: Sequence[Part], most_near: int | None = None) -> Iterator[Finding]:
    """One finding for each kind of match, pair of files, and same or different labels.

    Near duplicates are looked for where there are at most `most_near` rows; None is any number."""
    corpus = Corpus(parts)
    full = np.flatnonzero(~_empty(parts))
    written = text_groups(corpus.columns, as_written=True)[full]
    folded = text_groups(corpus.columns)[full]
    equal = _Equal(corpus.part_of[full], corpus.labels[full], len(parts))
    exact, alike = equal.counts(written), equal.counts(folded)
    levels: tuple[tuple[Match, np.ndarray, Int64s], ...] = (
        ("exact", exact, written),
        ("case", alike - exact, folded),
    )
    for match, counts, groups in levels:
        for part, other, conflict in _relations(len(parts)):
            rows = np.flatnonzero((corpus.part_of[full] == part) & (counts[:, other, conflict] > 0))
            if len(rows):
                partner = _partner(corpus, full, groups, written, int(rows[0]), other, conflict, match)
                n_texts = len(np.unique(groups[rows]))
                yield _finding(corpus, match, conflict, full[rows], partner, n_texts)
    if most_near is None or len(full) <= most_near:
        yield from _near(corpus, full, folded)


def _empty(parts: Sequence[Part]) -> Bools:
    bare = [[pc.equal(pc.utf8_trim_whitespace(column), "") for column in part.texts] for part in parts]
    return np.concatenate([np.logical_and.reduce([one.to_numpy() for one in columns]) for columns in bare])


def _relations(n_parts: int) -> Iterator[tuple[int, int, int]]:
    """(part whose rows are told, part that has their partners, 1 for different labels): each pair of parts
    once, told from the later one, which is the one whose figures suffer."""
    for part in range(n_parts):
        for other in range(part + 1):
            yield part, other, 1
            yield part, other, 0


@final
class _Equal:
    """Counts rows of equal text by part and label."""

    def __init__(self, parts: Int64s, labels: Int64s, n_parts: int) -> None:
        self._parts, self._labels, self._n_parts = parts, labels, n_parts

    def counts(self, groups: Int64s) -> Int64s:
        """(n_rows, n_parts, 2): other rows of the group in each part, with the same label or none (0) and
        with another label (1)."""
        found = np.zeros((len(groups), self._n_parts, 2), np.int64)
        if not len(groups):
            return found
        n_labels = int(self._labels.max()) + 2
        keys = groups * n_labels + self._labels + 1
        distinct, key_of = np.unique(keys, return_inverse=True)
        bare = np.searchsorted(distinct, groups * n_labels)  # where the group's unlabelled rows would be
        has_bare = distinct[np.minimum(bare, len(distinct) - 1)] == groups * n_labels
        labelled = self._labels >= 0
        for part in range(self._n_parts):
            here = self._parts == part
            of_key = np.bincount(key_of[here], minlength=len(distinct))
            whole = np.bincount(groups[here], minlength=int(groups.max()) + 1)[groups]
            unlabelled = np.where(has_bare, of_key[np.minimum(bare, len(distinct) - 1)], 0)
            same = np.where(labelled, of_key[key_of] + unlabelled, whole)
            found[:, part, 0] = same - here
            found[:, part, 1] = whole - same
        return found


def _partner(
    corpus: Corpus,
    full: Int64s,
    groups: Int64s,
    written: Int64s,
    row: int,
    other: int,
    conflict: int,
    match: Match,
) -> int:
    """A row of the corpus that makes row (of `full`) one of its finding."""
    labels = corpus.labels[full]
    differs = (labels != labels[row]) & (labels >= 0) & (labels[row] >= 0)
    fits = (groups == groups[row]) & (corpus.part_of[full] == other) & (differs == bool(conflict))
    fits[row] = False
    if match == "case":
        fits &= written != written[row]
    return int(full[np.flatnonzero(fits)[0]])


def _near(corpus: Corpus, full: Int64s, folded: Int64s) -> Iterator[Finding]:
    """Only one row of each text, part and label is compared; the others share what it finds."""
    parts, labels = corpus.part_of[full], corpus.labels[full]
    keys = (folded * len(corpus.parts) + parts) * (len(corpus.names) + 1) + labels + 1
    _, first, compared = np.unique(keys, return_index=True, return_inverse=True)
    columns = [
        lambda rows, column=column: corpus.texts(column, full[first[rows]])
        for column in range(len(corpus.columns))
    ]
    near = near_duplicates(columns, folded[first], parts[first], labels[first], len(corpus.parts))
    for part, other, conflict in _relations(len(corpus.parts)):
        partners = near.partner[compared, other, conflict]
        rows = np.flatnonzero((parts == part) & (partners >= 0))
        if len(rows):
            partner = int(full[first[partners[rows[0]]]])
            similarity = float(near.similarity[compared[rows[0]], other, conflict])
            n_texts = len(np.unique(folded[rows]))
            yield _finding(corpus, "near", conflict, full[rows], partner, n_texts, similarity)


def _finding(
    corpus: Corpus,
    match: Match,
    conflict: int,
    rows: Int64s,
    partner: int,
    n_texts: int,
    similarity: float | None = None,
) -> Finding:
    """rows (n,) and partner, which makes the first of them one of the finding, are rows of the corpus."""
    part, its = corpus.part(int(rows[0])), corpus.part(partner)
    within = part is its
    words = _WORDS[match][0] if within else f"{_WORDS[match][1]} {its.name}"
    if conflict:
        words += ", under another label"
    elif part.labels is not None and its.labels is not None:
        words += ", under the same label"
    texts = f" ({counted(n_texts, 'different text')})" if n_texts < len(rows) else ""
    measured = "" if similarity is None else f"\nsimilarity {similarity:.2f}; told from {SIMILAR} up"
    return finding(
        "warning",
        f"{match}-{'conflict' if conflict else 'repeat' if within else 'leak'}",
        part.table,
        rows - corpus.begins[corpus.part_of[rows[0]]],
        f"{counted(len(rows), 'row')} {'has' if len(rows) == 1 else 'have'} {words}{texts}.",
        _fix(match, conflict, part, its),
        example=f"{corpus.example(int(rows[0]))}\n{corpus.example(partner)}{measured}",
        other=None if within else its.source,
    )


def _fix(match: Match, conflict: int, part: Part, its: Part) -> str:
    if conflict and match == "near":
        return "Read them: one word may be the whole difference. Where it is not, give both one label."
    if conflict:
        return "Give each text one label, or drop it: no model can have both right."
    if part is not its:
        return f"Drop them from {its.name}, or figures on {part.name} are better than on new texts."
    return "Keep one of each, unless it is meant to count more than once."
