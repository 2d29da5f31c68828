"""Texts to token ids: one tokeniser, cut to a length, kept in flat arrays.

Special tokens are put on by ourselves from the tokeniser's own template, so that a text can lose its tail,
its head or its middle, and so that what a saved tokenizer.json says of padding and cutting cannot matter.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from tokenizers import Tokenizer

from whet.config import Cut
from whet.errors import CheckpointError

_CHUNK = 8192  # texts tokenised at once
_ON_DISK = 16 << 20  # tokens; a larger store is memory-mapped


@final
@dataclass(frozen=True)
class TokenStore:
    """Tokens of many texts in flat arrays: text i is starts[i] : starts[i] + lengths[i]."""

    ids: np.ndarray  # (n_tokens,) int32; memory-mapped when large
    types: np.ndarray  # (n_tokens,) uint8
    starts: np.ndarray  # (n_texts,) int64
    lengths: np.ndarray  # (n_texts,) int64, tokens of each text
    full_lengths: np.ndarray  # (n_texts,) int64, tokens before cutting

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_cut(self) -> int:
        """Texts that lost tokens to the limit."""
        return int((self.full_lengths > self.lengths).sum())

    def take(self, texts: np.ndarray) -> "TokenStore":
        """Some of the texts, over the same tokens: indices (n,) or a mask (n_texts,)."""
        rows = (self.starts[texts], self.lengths[texts], self.full_lengths[texts])
        return TokenStore(self.ids, self.types, *rows)

    def sequences(self, texts: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Token ids and type ids of some texts, (length,) each."""
        spans = [slice(self.starts[i], self.starts[i] + self.lengths[i]) for i in texts]
        return [self.ids[span] for span in spans], [self.types[span] for span in spans]


@final
@dataclass(frozen=True)
class _Template:
    """Special tokens around the texts: parts[0] text parts[1] [pair parts[2]], each a list of (id, type)."""

    parts: tuple[tuple[tuple[int, int], ...], ...]
    types: tuple[int, ...]  # type id of each text's own tokens

    @property
    def n_special(self) -> int:
        return sum(len(part) for part in self.parts)


@final
class Tokeniser:
    """A tokenizer.json, read by the tokenizers library."""

    def __init__(self, backend: Tokenizer, source: Path) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.source = source  # the folder whose tokeniser files are copied on saving
        self._single = self._template(1)
        self._pair = self._template(2)

    @classmethod
    def load(cls, folder: Path) -> "Tokeniser":
        """From tokenizer.json, else by transformers. Raises CheckpointError where neither can."""
        path = folder / "tokenizer.json"
        if path.exists():
            try:
                return cls(Tokenizer.from_file(str(path)), folder)
            except Exception as error:
                raise CheckpointError(f"{path} cannot be read as a tokeniser: {error}") from None
        if not any((folder / name).exists() for name in ("vocab.txt", "tokenizer_config.json", "vocab.json")):
            raise CheckpointError(f"{folder} has no tokeniser: tokenizer.json (or vocab.txt) is missing.")
        from transformers import AutoTokenizer  # slow to import, and only old folders need it

        try:
            slow: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            return cls(Tokenizer.from_str(slow.backend_tokenizer.to_str()), folder)
        except Exception as error:
            raise CheckpointError(f"{folder}: its tokeniser cannot be loaded ({error}).") from None

    @property
    def vocab_size(self) -> int:
        return self.backend.get_vocab_size()

    def encode(self, texts: Iterable[Sequence[str]], max_length: int, cut: Cut = "tail") -> TokenStore:
        """Tokenise single texts, as (text,), or pairs, as (text, pair).

        max_length counts special tokens. A pair that is too long loses from its longer text first, as
        transformers' longest_first.
        """
        ids, types = _Sink(np.int32), _Sink(np.uint8)
        lengths: list[int] = []
        full: list[int] = []
        for chunk in _chunks(texts):
            flat: list[int] = []
            kinds: list[int] = []
            counts: list[int] = []  # kinds[i] holds for the next counts[i] tokens
            for encoded in self._bare(chunk):
                template = self._pair if len(encoded) == 2 else self._single
                kept = _cut_lengths([len(part) for part in encoded], max_length - template.n_special)
                before = len(flat)
                for i, special in enumerate(template.parts):
                    for token, kind in special:
                        flat.append(token)
                        kinds.append(kind)
                        counts.append(1)
                    if i < len(encoded):
                        flat += _cut(encoded[i], kept[i], cut)
                        kinds.append(template.types[i])
                        counts.append(kept[i])
                lengths.append(len(flat) - before)
                full.append(sum(map(len, encoded)) + template.n_special)
            ids.write(np.array(flat, np.int32))
            types.write(np.repeat(np.array(kinds, np.uint8), counts))
        sizes = np.array(lengths, np.int64)
        return TokenStore(
            ids.array(), types.array(), np.cumsum(sizes) - sizes, sizes, np.array(full, np.int64)
        )

    def _bare(self, rows: list[Sequence[str]]) -> Iterator[list[list[int]]]:
        """Token ids without special tokens, one list a text of each row."""
        flat = [text for row in rows for text in row]
        encoded = iter(self.backend.encode_batch_fast(flat, add_special_tokens=False))
        for row in rows:
            yield [next(encoded).ids for _ in row]

    def _template(self, n_texts: int) -> _Template:
        bare = self.backend.encode("a", add_special_tokens=False)
        whole = self.backend.post_process(bare, bare if n_texts == 2 else None, add_special_tokens=True)
        parts: list[list[tuple[int, int]]] = [[] for _ in range(n_texts + 1)]
        types = [0] * n_texts
        seen = 0
        for token, kind, sequence in zip(whole.ids, whole.type_ids, whole.sequence_ids, strict=True):
            if sequence is None:
                parts[seen].append((token, kind))
            else:
                types[sequence] = kind
                seen = sequence + 1
        return _Template(tuple(map(tuple, parts)), tuple(types))


class _Sink:
    """Collects arrays; past a size they go to a nameless file, which a crash cannot leave behind."""

    def __init__(self, dtype: type) -> None:
        self._dtype = np.dtype(dtype)
        self._parts: list[np.ndarray] = []
        self._waiting = 0
        self._file: Any = None
        self._written = 0

    def write(self, array: np.ndarray) -> None:
        self._parts.append(array)
        self._waiting += len(array)
        if self._waiting > _ON_DISK:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="whet-tokens-")  # noqa: SIM115  it lives with the array
            for part in self._parts:
                self._file.write(part.data)
            self._written += self._waiting
            self._parts, self._waiting = [], 0

    def array(self) -> np.ndarray:
        tail = np.concatenate(self._parts) if self._parts else np.empty(0, self._dtype)
        if self._file is None:
            return tail
        self._file.write(tail.data)
        self._file.flush()
        return np.memmap(self._file, self._dtype, mode="r", shape=(self._written + len(tail),))


def _chunks(rows: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    chunk: list[Sequence[str]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


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
