"""Raw text with entities as character spans, to words and IOB2 tags, and back.

A word is a run of characters between blanks; every punctuation mark, symbol and Chinese or Japanese
character is a word of its own, much as before BERT's WordPiece. The rule looks at the text alone, so that
every model sees the same words; and the finer the words, the fewer spans begin or end within one.

A character is one of Python's, a Unicode code point: neither a byte nor one of JavaScript's UTF-16 units.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.data.wording import shortened

Offsets = NDArray[np.int64]

IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
LAST_MARK = 0x1FFFF  # beyond it Unicode has no blank, no punctuation and no symbol
MOST_ROWS = 10_000  # at a time
KIND_KEYS = ("label", "type")


class _Refused(Exception):
    """Why a span cannot become tags."""


def word_offsets(text: str) -> Offsets:
    """First character and last + 1 of each word: (n_words, 2), in order."""
    found = [match.span() for match in _words().finditer(text)]
    return np.array(found, np.int64).reshape(-1, 2)


def words_at(offsets: Offsets, characters: NDArray[np.int64]) -> NDArray[np.int64]:
    """The word that each character (n,) is in, -1 between words."""
    if len(offsets) == 0:
        return np.full(len(characters), -1, np.int64)
    word = np.searchsorted(offsets[:, 0], characters, "right") - 1
    return np.where((word >= 0) & (characters < offsets[word, 1]), word, -1)


def joined(words: Sequence[str], separators: Sequence[str] | None = None) -> tuple[str, Offsets]:
    """A text of words, and where they stand in it (n_words, 2).

    separators: what stands behind each word; None is one blank between any two."""
    between = [" "] * (len(words) - 1) + [""] if separators is None and words else list(separators or ())
    pieces = [piece for pair in zip(words, between, strict=True) for piece in pair]
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1]])
    return "".join(pieces), np.stack([starts[::2], ends[::2]], axis=1)


def tags_of_spans(
    text: str, offsets: Offsets, spans: Sequence[object]
) -> tuple[list[str], list[tuple[int, str]]]:
    """IOB2 tags of the words at offsets (n_words, 2), and (number, reason) of each span that has none.

    A span is {"start", "end", "label" or "type"}, end being the last character + 1; with a "text" that is
    compared. Blanks at its ends do not count. The spans of a text may come in any order."""
    tags = ["O"] * len(offsets)
    starts = {int(start): word for word, start in enumerate(offsets[:, 0])}
    stops = {int(stop): word + 1 for word, stop in enumerate(offsets[:, 1])}
    problems = []
    for number, span in enumerate(spans):
        try:
            start, end, kind = _read(text, span)
            first, stop = starts.get(start), stops.get(end)
            if first is None or stop is None:
                raise _Refused(_within(text, offsets, start if first is None else end - 1, first is None))
            if any(tag != "O" for tag in tags[first:stop]):
                raise _Refused("shares words with another span, and a word has one tag. Keep one of the two.")
        except _Refused as problem:
            problems.append((number, f"{_described(span)} {problem}"))
            continue
        tags[first:stop] = [f"B-{kind}", *[f"I-{kind}"] * (stop - first - 1)]
    return tags, problems


@cache
def blanks() -> NDArray[np.bool_]:
    """Whether each code point up to LAST_MARK + 1 is a blank between words: none beyond is."""
    found = [
        chr(code).isspace() or unicodedata.category(chr(code)) in ("Cc", "Zs", "Zl", "Zp")
        for code in range(LAST_MARK + 2)
    ]
    return np.array(found)


@cache
def marks() -> NDArray[np.bool_]:
    """The same of punctuation marks and symbols."""
    found = [unicodedata.category(chr(code))[0] in "PS" for code in range(LAST_MARK + 2)]
    return np.array(found) & ~blanks()


@cache
def _words() -> re.Pattern[str]:
    alone = _ranges(np.flatnonzero(marks()).tolist()) + IDEOGRAPHS
    return re.compile(f"[{alone}]|[^{_ranges(np.flatnonzero(blanks()).tolist())}{alone}]+")


def _ranges(codes: Sequence[int]) -> str:
    """Code points in order, as the inside of a regular expression's class."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


def _read(text: str, span: object) -> tuple[int, int, str]:
    """First character, last + 1 and type of a span within its text, without blanks at its ends."""
    if not isinstance(span, Mapping):
        raise _Refused('is no object. Write {"start": 0, "end": 5, "label": "PER"}.')
    start, end = _character(span, "start"), _character(span, "end")
    kind = next((span[key] for key in KIND_KEYS if span.get(key) is not None), None)
    if not isinstance(kind, str) or not kind.strip():
        raise _Refused("has no type. Write its name as 'label' or 'type'.")
    if not 0 <= start < end <= len(text):
        raise _Refused(
            f"does not lie in its text, which has {len(text):,} characters. Count characters from 0; the end "
            f"is the last one + 1."
        )
    inside = text[start:end]
    given = span.get("text")
    if isinstance(given, str) and given != inside:
        raise _Refused(
            f"covers '{shortened(inside)}', but its text is '{shortened(given)}'. Count Unicode characters, "
            f"not bytes or UTF-16 units."
        )
    words = word_offsets(inside)
    if len(words) == 0:
        raise _Refused("covers no word, only blanks. Move it or drop it.")
    return start + int(words[0, 0]), start + int(words[-1, 1]), kind.strip()


def _character(span: Mapping[Any, Any], key: str) -> int:
    value = span.get(key)
    if (
        isinstance(value, float) and value.is_integer()
    ):  # integers beside nulls, as pandas and Arrow hold them
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Refused(f"has no whole number as its '{key}'. Give the place of a character, from 0.")
    return value


def _within(text: str, offsets: Offsets, character: int, begins: bool) -> str:
    word = int(words_at(offsets, np.array([character]))[0])
    start, end = offsets[word]
    return (
        f"{'begins' if begins else 'ends'} inside the word '{shortened(text[start:end])}' ({start:,} to "
        f"{end:,}). Move it to the word's border, or part the word by a blank."
    )


def _described(span: object) -> str:
    """ " (PER, 0 to 5)", as far as it is there."""
    if not isinstance(span, Mapping):
        return ""
    kind = next((span[key] for key in KIND_KEYS if span.get(key) is not None), "no type")
    return shortened(f" ({kind}, {span.get('start')} to {span.get('end')})")
