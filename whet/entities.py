"""Entities in tagged words: what a sequence of tags says, in which scheme, and how a broken one is mended.

A tag is O or a letter and a type (B-PER); data of a single kind may leave the type out (B). Four schemes
are in use, and one reading fits them all, that of the CoNLL-2000 evaluation script (conlleval):

    An entity goes on through an I or E of its type that follows it directly.
    B and S begin another one, and so does any I or E that has nothing of its type to go on from.
    E and S end an entity; without them it ends where it does not go on.

So a broken sequence has a reading too. Mending it is writing that reading down again in its own scheme, and
the words whose tag is another one then are what is counted as repaired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final, NamedTuple, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whet.errors import DataError

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

SCHEMES: Final[Mapping[str, str]] = {"IOB2": "BIIB", "IOB1": "IIII", "IOBES": "BIES", "BILOU": "BILU"}
"""The letters of an entity's first, inner, last and only word.

IOB1 has a B too, for a first word that directly follows another entity of its type. IOBES is also known as
BIOES; BILOU is IOBES with L for E and U for S. IOB2 is also known as BIO."""

_LETTERS: Final = "OBIESLU"
_OPENS: Final = np.array([letter in "BSU" for letter in _LETTERS])
_CLOSES: Final = np.array([letter in "ESLU" for letter in _LETTERS])


@final
@dataclass(frozen=True, eq=False)
class Tags:
    """The tags of many sentences, end to end."""

    names: tuple[str, ...]  # every different tag, as written
    ids: Ids  # (n_words,), places in names
    boundaries: Ids  # (n_sentences + 1,); sentence i is ids[boundaries[i] : boundaries[i + 1]]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]]) -> "Tags":
        """From a list of tags for each sentence."""
        boundaries = np.zeros(len(sentences) + 1, np.int64)
        np.cumsum([len(sentence) for sentence in sentences], out=boundaries[1:])
        known: dict[str, int] = {}
        ids = [known.setdefault(tag, len(known)) for tag in chain.from_iterable(sentences)]
        return cls(tuple(known), np.array(ids, np.int64), boundaries)

    @classmethod
    def of_column(cls, column: pa.ChunkedArray) -> "Tags":
        """From a table's list column of strings without nulls."""
        lists = column.cast(pa.large_list(pa.large_string())).combine_chunks()
        if isinstance(lists, pa.ChunkedArray):
            lists = pa.concat_arrays(lists.chunks)
        offsets = np.asarray(lists.offsets, np.int64)
        encoded = lists.flatten().dictionary_encode()
        return cls(
            tuple(encoded.dictionary.to_pylist()), np.asarray(encoded.indices, np.int64), offsets - offsets[0]
        )

    def sentences(self) -> list[list[str]]:
        """The tags as strings, a list for each sentence."""
        words = [self.names[i] for i in self.ids.tolist()]
        return [words[start:stop] for start, stop in pairwise(self.boundaries.tolist())]


class Spans(NamedTuple):
    """The entities of many sentences, in order. Words are counted from 0 in each sentence."""

    types: tuple[str, ...]  # sorted
    type_ids: Ids  # (n_entities,), places in types
    sentences: Ids  # (n_entities,)
    firsts: Ids  # (n_entities,), first word
    stops: Ids  # (n_entities,), last word + 1
    n_sentences: int

    def chosen(self, mask: Mask) -> "Spans":
        """Those where mask (n_entities,) is true."""
        return self._replace(
            type_ids=self.type_ids[mask],
            sentences=self.sentences[mask],
            firsts=self.firsts[mask],
            stops=self.stops[mask],
        )


def split_tag(tag: str) -> tuple[str, str] | None:
    """The letter and the type ("" where there is none) of a tag; None of what is no tag of any scheme."""
    letter, dash, kind = tag[:1], tag[1:2], tag[2:]
    if letter not in _LETTERS or not letter or (dash != "-" and dash) or (dash and not kind):
        return None
    return None if letter == "O" and dash else (letter, kind)


def tag_names(types: Sequence[str], scheme: str) -> tuple[str, ...]:
    """All tags of these types: O first, then type by type."""
    letters = _letters(scheme)
    return ("O", *(f"{letter}-{kind}" if kind else letter for kind in types for letter in letters))


def scheme_of_names(names: Sequence[str]) -> str:
    """The scheme that a model's tags are in, told by their letters alone."""
    letters = {name[:1] for name in names}
    if "E" in letters or "S" in letters:
        return "IOBES"
    if "L" in letters or "U" in letters:
        return "BILOU"
    return "IOB2" if "B" in letters else "IOB1"


def find_scheme(tags: Tags) -> str:
    """The scheme with the fewest words to repair; of equals the first in SCHEMES, so IOB2 without entities.

    Raises DataError for what is no tag of any scheme."""
    return min(SCHEMES, key=lambda scheme: int(repaired(tags, scheme)[1].sum()))


def repaired(tags: Tags, scheme: str) -> tuple[Tags, Mask]:
    """The tags without broken sequences, and the words (n_words,) whose tag had to be changed for that."""
    mended = converted(tags, scheme)
    before = {name: i for i, name in enumerate(tags.names)}
    as_before = np.array([before.get(name, -1) for name in mended.names])
    return mended, as_before[mended.ids] != tags.ids


def converted(tags: Tags, scheme: str) -> Tags:
    """The same entities in another scheme, or in the same with broken sequences mended.

    Raises DataError for what is no tag of any scheme."""
    types, kinds, begins, ends = _read(tags)
    letters = _letters(scheme)
    first, inner, last, only = (letters.index(letter) for letter in SCHEMES[scheme])
    letter = np.where(begins, np.where(ends, only, first), np.where(ends, last, inner))
    if scheme == "IOB1":
        touches = np.zeros(len(kinds), np.bool_)
        touches[1:] = begins[1:] & (kinds[1:] == kinds[:-1])
        touches[_sentence_starts(tags)] = False
        letter[touches] = letters.index("B")
    ids = np.where(kinds < 0, 0, 1 + kinds * len(letters) + letter)
    return Tags(tag_names(types, scheme), ids, tags.boundaries)


def spans_of(tags: Tags) -> Spans:
    """The entities by the reading above, in whatever scheme. Raises DataError for what is no tag."""
    types, kinds, begins, ends = _read(tags)
    first, last = np.flatnonzero(begins), np.flatnonzero(ends)
    sentences = np.searchsorted(tags.boundaries, first, "right") - 1
    starts = tags.boundaries[sentences]
    return Spans(types, kinds[first], sentences, first - starts, last + 1 - starts, len(tags.boundaries) - 1)


def _letters(scheme: str) -> str:
    return "".join(letter for letter in "BIELSU" if letter in SCHEMES[scheme] or letter == "B")


def _sentence_starts(tags: Tags) -> Ids:
    starts = tags.boundaries[:-1]
    return starts[starts < len(tags.ids)]  # the last sentences may be empty


def _read(tags: Tags) -> tuple[tuple[str, ...], Ids, Mask, Mask]:
    """Types, and for each word (n_words,): its type or -1, whether an entity begins or ends with it."""
    letters, kinds, types = _split(tags.names)
    letter, kind = letters[tags.ids], kinds[tags.ids]
    goes_on = np.zeros(len(kind) + 1, np.bool_)  # one more: nothing goes on beyond the last word
    goes_on[1:-1] = (kind[1:] == kind[:-1]) & ~_OPENS[letter[1:]] & ~_CLOSES[letter[:-1]]
    goes_on[_sentence_starts(tags)] = False
    inside = kind >= 0
    return types, kind, inside & ~goes_on[:-1], inside & ~goes_on[1:]


def _split(names: Sequence[str]) -> tuple[Ids, Ids, tuple[str, ...]]:
    """The letter (n_names,) and the type (n_names,) of each tag, -1 of O; and the types."""
    split = []
    for name in names:
        parts = split_tag(name)
        if parts is None:
            raise DataError(
                f"'{name[:80]}' is no tag of any scheme ({', '.join(SCHEMES)}). "
                f"O, or a letter and a type as in B-PER."
            )
        split.append(parts)
    types = tuple(sorted({kind for letter, kind in split if letter != "O"}))
    place = {kind: i for i, kind in enumerate(types)}
    kinds = [-1 if letter == "O" else place[kind] for letter, kind in split]
    letters = [_LETTERS.index(letter) for letter, _ in split]
    return np.array(letters, np.int64), np.array(kinds, np.int64), types
