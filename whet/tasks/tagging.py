"""Between rows of words and tags end to end: targets of sentences, and the entities that tags say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from whet.data.sentences import Sentence, document_numbers
from whet.data.table import Table
from whet.data.tags import check_types, read_tags
from whet.data.wording import counted
from whet.entities import Tags, converted, find_scheme, repaired, scheme_of_names, spans_of, split_tag
from whet.examples import Entity

SCHEME: Final = "IOB2"  # in which new models tag


@final
@dataclass(frozen=True, eq=False)
class Tagged:
    """The target of one sentence."""

    tags: np.ndarray | None  # (n_words,) int64 places in the task's tags; None where it is not labelled
    document: int  # which the sentence is of; a number of its own where nothing is known of documents


def tagged(table: Table, words: str, tags: str, names: Sequence[str]) -> np.ndarray:
    """The targets of a table, (n_rows,) objects, as places in a model's tags. Raises DataError."""
    column = read_tags(table, words, tags)
    check_types(table, column, sorted({kind for name in names if (kind := kind_of(name)) is not None}))
    found_tags = converted(column.tags, scheme_of_names(names))
    ids = np.array([_place(tag, names) for tag in found_tags.names], np.int64)[found_tags.ids]
    sentences = np.split(ids, found_tags.boundaries[1:-1])
    documents = document_numbers(table)
    is_known = documents is not None and np.ptp(documents) > 0  # one document says nothing of others
    numbers = documents if is_known and documents is not None else np.arange(len(table))
    found = np.empty(len(table), object)
    found[:] = [
        Tagged(sentence if is_labelled and len(sentence) else None, int(document))
        for sentence, is_labelled, document in zip(sentences, column.labelled, numbers, strict=True)
    ]
    return found


def _place(tag: str, names: Sequence[str]) -> int:
    """The tag's place in a model's names; of a model that lacks it, that of another tag of its type, and -1
    of a type that no word of the table has."""
    kind = kind_of(tag)
    alike = [i for i, name in enumerate(names) if kind_of(name) == kind]
    return names.index(tag) if tag in names else alike[0] if alike else -1


def entities_of(
    tags: Tags, chances: np.ndarray, types: Sequence[str], rows: Sequence[Sentence]
) -> list[list[Entity]]:
    """The entities of each sentence: chances (n_words, n_types) that a word is part of one of each type."""
    spans = spans_of(tags)
    found: list[list[Entity]] = [[] for _ in rows]
    for kind, sentence, first, stop in zip(*spans[1:5], strict=True):
        one, name = rows[sentence], spans.types[kind]
        words = slice(tags.boundaries[sentence] + first, tags.boundaries[sentence] + stop)
        start, end = int(one.offsets[first, 0]), int(one.offsets[stop - 1, 1])
        chance = float(chances[words, types.index(name)].mean())
        found[sentence].append(Entity(name, start, end, one.text[start:end], chance))
    return found


def type_places(names: Sequence[str], types: Sequence[str]) -> np.ndarray:
    """(n_tags,) 0 for O, else 1 + the place of the tag's type."""
    place = {kind: 1 + i for i, kind in enumerate(types)}
    return np.array([0 if (kind := kind_of(name)) is None else place[kind] for name in names], np.int64)


def summed_by_type(chances: np.ndarray, names: Sequence[str], types: Sequence[str]) -> np.ndarray:
    """That a word is part of an entity of each type: chances (n_words, n_tags) -> (n_words, n_types)."""
    found = np.zeros((len(types) + 1, len(chances)))
    np.add.at(found, type_places(names, types), chances.T)
    return found[1:].T


def told(tags: Tags) -> str:
    """What a user is told of the tags of a file."""
    scheme = find_scheme(tags)
    n_repaired = int(repaired(tags, scheme)[1].sum())
    read = "" if scheme == SCHEME else f", read as {SCHEME}"
    broken = f", {counted(n_repaired, 'word')} with a broken sequence repaired" if n_repaired else ""
    return f"Tags in {scheme}{read}{broken}"


def kind_of(tag: str) -> str | None:
    """The type of a tag, None of O."""
    found = split_tag(tag)
    return None if found is None or found[0] == "O" else found[1]


def words_of(targets: np.ndarray) -> np.ndarray:
    """The tags of all sentences, (n_words,) int64."""
    return np.concatenate([np.zeros(0, np.int64), *(target.tags for target in targets)])


def end_to_end(logits: np.ndarray, n_tags: int) -> np.ndarray:
    """(n_sentences,) object -> (n_words, n_tags)."""
    return np.concatenate([np.zeros((0, n_tags)), *logits])
