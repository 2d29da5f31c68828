"""Bytes to lines of text: the one place that meets encodings, line ends and binary files."""

import codecs
from collections.abc import Callable, Iterator
from typing import final

from whet.errors import DataError

BLOCK_BYTES = 1024 * 1024
LONGEST_LINE = 16 * 1024 * 1024  # bytes; a line beyond it is refused before it is held
FORMATS = ".csv, .tsv, .jsonl (or .ndjson, .json) and .parquet"

# What a file begins with -> (what it is, what to do)
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "a Parquet file", "Rename it to end in .parquet."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first (gunzip)."),
    (b"BZh", "a bzip2 archive", "Unpack it first (bunzip2)."),
    (b"\xfd7zXZ\x00", "an xz archive", "Unpack it first (unxz)."),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it first (unzstd)."),
    (b"PK\x03\x04", "a zip archive", "Unpack it first (unzip)."),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "Save it as CSV (UTF-8)."),
    (b"ARROW1", "an Arrow file", "Save it as Parquet."),
    (b"%PDF", "a PDF", "Save its rows as CSV (UTF-8)."),
    (b"SQLite format 3\x00", "an SQLite database", "Export its rows as CSV (UTF-8)."),
    (b"\x89PNG", "an image", "Name a file that holds rows of text."),
    (b"\xff\xd8\xff", "an image", "Name a file that holds rows of text."),
    (
        b"\x80\x04",
        "a Python pickle, which can run code and is never opened",
        "Save its rows as CSV or Parquet.",
    ),
    (b"\xff\xfe", "UTF-16 text", "Save it as UTF-8."),
    (b"\xfe\xff", "UTF-16 text", "Save it as UTF-8."),
)


def refuse_binary(source: str, head: bytes) -> None:
    """Raise where the first bytes of a file show that it is not text, and say what it looks like."""
    for magic, looks_like, advice in MAGIC:
        if head.startswith(magic):
            if magic == b"PK\x03\x04" and (b"xl/" in head or b"[Content_Types]" in head):
                looks_like, advice = "an Excel workbook", "Save it as CSV (UTF-8)."
            raise DataError(f"{source}: this looks like {looks_like}, not like text. {advice}")
    if b"\0" in head:
        raise DataError(
            f"{source}: this is a binary file (it holds a zero byte), not text. "
            f"Save it as {FORMATS}, in UTF-8."
        )


@final
class Lines:
    """Lines of UTF-8 text with their ends, read in blocks; `number` is the 1-based line given last."""

    def __init__(self, source: str, read: Callable[[int], bytes], *, only_newline: bool = False) -> None:
        """only_newline: a lone carriage return stays in its line, unless there are no newlines."""
        self.source = source
        self.number = 0
        self.n_bytes = 0
        self.n_broken = 0  # lines that the format's reader left out
        self._read = read
        self._only_newline = only_newline

    def __iter__(self) -> Iterator[str]:
        for raw in self._raw():
            self.number += 1
            try:
                yield raw.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{self.source}:{self.number}: byte 0x{raw[error.start]:02x} at position "
                    f"{error.start + 1} of the line is not UTF-8. Save the file as UTF-8, or mend the line."
                ) from None

    def blocks(self) -> Iterator[str]:
        """The text in pieces as they are read, for formats that mind no lines; instead of the lines."""
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        block = b"first"
        while block:
            block = self._read(BLOCK_BYTES)
            self.n_bytes += len(block)
            if b"\0" in block:
                raise DataError(
                    _zero_byte(self.source, self.number + block[: block.index(b"\0")].count(b"\n") + 1)
                )
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line = self.number + error.object[: error.start].count(b"\n") + 1
                raise DataError(
                    f"{self.source}:{line}: byte 0x{error.object[error.start]:02x} in this line is not "
                    f"UTF-8. Save the file as UTF-8, or mend the line."
                ) from None
            self.number += text.count("\n")
            if text:  # a block may hold no more than a part of a character
                yield text

    def _raw(self) -> Iterator[bytes]:
        rest = b""
        first = True
        split: Callable[[bytes], list[bytes]] = _split_anywhere
        while block := self._read(BLOCK_BYTES):
            self.n_bytes += len(block)
            block = rest + block
            if first:
                # A pipe may give a byte at a time; a mark needs three, the kind of line end a whole line.
                waits = self._only_newline and b"\n" not in block and len(block) < BLOCK_BYTES
                if len(block) < 3 or waits:
                    rest = block
                    continue
                first = False
                block = block.removeprefix(codecs.BOM_UTF8)
                if self._only_newline and b"\n" in block:
                    split = _split_newlines
            if b"\0" in block:
                before = split(block[: block.index(b"\0") + 1])
                raise DataError(_zero_byte(self.source, self.number + len(before)))
            lines = split(block)
            # What has no newline yet may go on in the next block; so may a carriage return before one.
            rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
            if len(rest) > LONGEST_LINE:
                raise DataError(
                    f"{self.source}:{self.number + len(lines) + 1}: this line is longer than "
                    f"{LONGEST_LINE // 2**20} MiB, which no text to classify is. "
                    f"Cut the line, or name another file."
                )
            yield from lines
        rest = rest.removeprefix(codecs.BOM_UTF8) if first else rest
        if rest:
            yield from split(rest)


def _zero_byte(source: str, line: int) -> str:
    return (
        f"{source}:{line}: this line holds a zero byte, so the file is not plain text. "
        f"Remove the byte, or save the file as UTF-8 text."
    )


def _split_anywhere(block: bytes) -> list[bytes]:
    return block.splitlines(keepends=True)


def _split_newlines(block: bytes) -> list[bytes]:
    lines = block.split(b"\n")
    last = lines.pop()
    lines = [line + b"\n" for line in lines]
    return [*lines, last] if last else lines
