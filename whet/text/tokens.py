"""Texts to token ids: one tokeniser, cut to a length.

Special tokens are put on by ourselves from the tokeniser's own template, so that a text can lose its tail,
its head or its middle, and so that what a saved tokenizer.json says of padding and cutting cannot matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from tokenizers import Tokenizer

from whet.config import Cut
from whet.errors import CheckpointError, ConfigError
from whet.text.characters import exact
from whet.text.encoding import Encoded
from whet.text.tokeniser_files import converted, settings_of, special_tokens, write_files

_CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
_MASKS = ("[MASK]", "<mask>")
_NOWHERE = "\uf8ff"  # for private use: no vocabulary has it


@final
@dataclass(frozen=True)
class Template:
    """Special tokens around the texts: part 0, text, part 1, and for a pair text, part 2."""

    tokens: tuple[tuple[int, ...], ...]  # of each part
    kinds: tuple[tuple[int, ...], ...]  # type ids of those
    text_kinds: tuple[int, ...]  # type id of each text's own tokens

    @property
    def n_special(self) -> int:
        return sum(len(part) for part in self.tokens)

    def lay(self, texts: Sequence[Sequence[int]], ids: list[int], types: list[int]) -> None:
        """Add a sequence's tokens and type ids: one text, or the two of a pair."""
        for i, special in enumerate(self.tokens):
            ids += special
            types += self.kinds[i]
            if i < len(texts):
                ids += texts[i]
                types += [self.text_kinds[i]] * len(texts[i])


@final
class Tokeniser:
    """A tokenizer.json, read by the tokenizers library."""

    def __init__(self, backend: Tokenizer, source: Path, n_types: int | None = None) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.source = source  # the folder whose tokeniser files are copied on saving
        self._templates = {n: self._template(n, n_types) for n in (1, 2)}
        self._added = {str(token.content) for token in backend.get_added_tokens_decoder().values()}
        # To byte-level BPE without add_prefix_space a word behind a blank is another than one alone.
        alone, behind = backend.encode_batch([["a"], [" a"]], is_pretokenized=True, add_special_tokens=False)
        self._minds_blanks = alone.ids != behind.ids

    @classmethod
    def load(cls, folder: Path, n_types: int | None = None) -> "Tokeniser":
        """From tokenizer.json, else by transformers. n_types: how many token types the encoder has, if any;
        a type beyond them is 0, as for DistilBERT, whose tokeniser is BERT's. None: those of the tokeniser.

        Raises CheckpointError where there is none, or neither can read it."""
        path = folder / "tokenizer.json"
        settings_of(folder)  # which is saved with it, so it is refused now
        if path.exists():
            try:
                return cls(Tokenizer.from_file(str(path)), folder, n_types)
            except Exception as error:
                raise CheckpointError(
                    f"{path} cannot be read as a tokeniser ({error}). Copy it again."
                ) from None
        return cls(converted(folder), folder, n_types)

    def save(self, folder: Path, for_words: bool = False) -> None:
        """Write the files with which transformers reads texts the same way; for_words, as `words` does."""
        write_files(self.backend, self.source, folder, behind_blanks=for_words and self._minds_blanks)

    @property
    def vocab_size(self) -> int:
        return self.backend.get_vocab_size()

    def encode(self, rows: Sequence[Sequence[str]], max_length: int, cut: Cut = "tail") -> Encoded:
        """Tokenise single texts, as (text,), or pairs, as (text, pair).

        max_length counts special tokens. A pair that is too long loses from its longer text first, as
        transformers' longest_first.
        """
        bare = iter(self.bare([text for row in rows for text in row]))
        ids: list[int] = []
        kinds: list[int] = []
        counts: list[int] = []  # kinds[i] holds for the next counts[i] tokens
        templates = {n: (template, template.n_special) for n, template in self._templates.items()}
        lengths = np.empty(len(rows), np.int64)
        full_lengths = np.empty(len(rows), np.int64)
        for i, row in enumerate(rows):
            template, n_special = templates[len(row)]
            texts = [next(bare) for _ in row]
            room = max_length - n_special
            n_bare = len(texts[0]) + (len(texts[1]) if len(row) == 2 else 0)
            if n_bare > room:
                kept = _cut_lengths([len(text) for text in texts], room)
                texts = [_cut(text, keep, cut) for text, keep in zip(texts, kept, strict=True)]
            before = len(ids)
            for j, special in enumerate(template.tokens):
                ids += special
                kinds += template.kinds[j]
                counts += [1] * len(special)
                if j < len(texts):
                    ids += texts[j]
                    kinds.append(template.text_kinds[j])
                    counts.append(len(texts[j]))
            lengths[i] = len(ids) - before
            full_lengths[i] = n_bare + n_special
        types = np.repeat(np.array(kinds, np.uint8), counts)
        return Encoded(np.array(ids, np.int32), types, lengths, full_lengths, lengths)

    def bare(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts without special tokens; an empty text is the unknown token where there are none
        of those, since a sequence has at least one."""
        found = self.plain(texts)
        if self._templates[1].n_special == 0:
            found = [ids or [self.unknown] for ids in found]
        return found

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts without special tokens, none for an empty text."""
        return [one.ids for one in self.backend.encode_batch_fast(texts, add_special_tokens=False)]

    def with_words(self, texts: Sequence[str]) -> list[tuple[list[int], list[int | None]]]:
        """The ids of texts without special tokens, and the word of its text that each is a part of, as the
        tokeniser itself cuts a text into words."""
        found = self.backend.encode_batch(texts, add_special_tokens=False)
        return [(one.ids, one.word_ids) for one in found]

    @property
    def ids(self) -> list[int]:
        """Of all tokens."""
        return sorted(self.backend.get_vocab().values())

    def check_fits(self, n_words: int) -> None:
        """Raises CheckpointError where a token has no row in a table of so many words."""
        largest = max(self.backend.get_vocab().values(), default=0)
        if largest >= n_words:
            raise CheckpointError(
                f"{self.source}: the tokeniser has a token number {largest} and the encoder {n_words} words; "
                "they do not belong together."
            )

    def check_room(self, max_length: int, n_texts: int) -> None:
        """Raises ConfigError where no token of so many texts fits beside the special tokens."""
        n_special = self.template(n_texts).n_special
        if max_length <= n_special:
            what = "a text" if n_texts == 1 else "two texts"
            raise ConfigError(
                f"max_length={max_length}: {n_special} tokens stand around {what}. Choose at least "
                f"{n_special + 1}."
            )

    @property
    def mask(self) -> int | None:
        """The token that stands for a hidden one, by its role or its usual names; None without one."""
        named = special_tokens(self.source).get("mask")
        found = [self.backend.token_to_id(name) for name in (named, *_MASKS) if name is not None]
        return next((number for number in found if number is not None), None)

    @property
    def special(self) -> list[int]:
        """The tokens that are no text: those around texts, and all that the tokeniser calls special."""
        around = [token for part in self._templates[2].tokens for token in part]
        added = [n for n, token in self.backend.get_added_tokens_decoder().items() if token.special]
        named = [self.backend.token_to_id(name) for name in special_tokens(self.source).values()]
        return sorted({*around, *added, *(number for number in named if number is not None)})

    def with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], np.ndarray]]:
        """The same of texts, each with its tokens' first character and last + 1, (n_tokens, 2) int32: see
        `whet.text.characters.exact`."""
        found = self.backend.encode_batch(texts, add_special_tokens=False)
        return [
            (one.ids, exact(text, self._offsets(one, text))) for one, text in zip(found, texts, strict=True)
        ]

    def words(self, rows: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int | None]]]:
        """Of rows of words: ids without special tokens, and the word that each is a part of.

        Each is read as it stands behind a blank, as transformers does with add_prefix_space=True."""
        if self._minds_blanks:
            rows = [[self._behind_blank(word) for word in row] for row in rows]
        found = self.backend.encode_batch(rows, is_pretokenized=True, add_special_tokens=False)
        return [one.ids for one in found], [one.word_ids for one in found]

    def template(self, n_texts: int) -> Template:
        """What stands around one text, or around the two of a pair."""
        return self._templates[n_texts]

    @property
    def unknown(self) -> int:
        """Stands for a word that the tokeniser makes nothing of: the unknown token where there is one."""
        found = [token.id for token in self.backend.model.tokenize(_NOWHERE)]
        special = [token for part in self._templates[1].tokens for token in part]
        return found[0] if len(found) == 1 else special[-1] if special else 0

    def _offsets(self, found: Any, text: str) -> np.ndarray:
        """(n_tokens, 2) int32 as the library says, but for control characters at the beginning: where
        SentencePiece's table drops those, it counts all characters behind them wrongly."""
        offsets, lead = found.offsets, len(text) - len(text.lstrip(_CONTROLS))
        if lead:
            rest = self.backend.encode(text[lead:], add_special_tokens=False)
            if rest.ids == found.ids:
                offsets = [(start + lead, end + lead) for start, end in rest.offsets]
        return np.array(offsets, np.int32).reshape(-1, 2)

    def _behind_blank(self, word: str) -> str:
        return word if word.startswith(" ") or word in self._added else f" {word}"

    def _template(self, n_texts: int, n_types: int | None) -> Template:
        whole = self.backend.encode("a", "b") if n_texts == 2 else self.backend.encode("a")
        tokens: list[list[int]] = [[] for _ in range(n_texts + 1)]
        kinds: list[list[int]] = [[] for _ in range(n_texts + 1)]
        text_kinds = [0] * n_texts
        part = 0
        for token, its, sequence in zip(whole.ids, whole.type_ids, whole.sequence_ids, strict=True):
            kind = its if n_types is None or its < n_types else 0
            if sequence is None:
                tokens[part].append(token)
                kinds[part].append(kind)
            else:
                text_kinds[sequence] = kind
                part = sequence + 1
        return Template(tuple(map(tuple, tokens)), tuple(map(tuple, kinds)), tuple(text_kinds))


def _cut_lengths(lengths: list[int], room: int) -> list[int]:
    """How many tokens each text keeps: longest first, in tokenizers' own rounding."""
    room = max(room, 0)
    if sum(lengths) <= room:
        return lengths
    if len(lengths) == 1:
        return [room]
    short, long = sorted(lengths)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return [short, long] if lengths[0] <= lengths[1] else [long, short]


def _cut(tokens: list[int], keep: int, cut: Cut) -> list[int]:
    lost = len(tokens) - keep
    if lost <= 0:
        return tokens
    if cut == "head":
        return tokens[lost:]
    if cut == "middle":
        front = (keep + 1) // 2
        return tokens[:front] + tokens[front + lost :]
    return tokens[:keep]
