"""Lines, rows and files beyond all measure: refused, or read, in bounded memory.

The content comes through a named pipe, so that nothing is on the disk, and is counted: what is refused must
be refused before much of it was read. Each case is a process of its own, whose peak memory is its own.
"""

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 2**20
MOST_READ = 80 * MIB  # of a line that is refused beyond 16 MiB, or beyond as many characters in a JSON array
MOST_MEMORY = 640 * MIB  # above what the process holds before it reads
MOST_STREAMED = 96 * MIB  # the same, of a file of 128 MiB in which no row is long

READ = """
import sys
from whet.data.readers import read_table, stream_tables
from whet.errors import DataError

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

before, rows, message = peak(), 0, None
try:
    if sys.argv[2] == "stream":
        for table in stream_tables(sys.argv[1]):
            rows += len(table)
    else:
        rows = len(read_table(sys.argv[1]))
except DataError as error:
    message = str(error)
import json
print(json.dumps([rows, message, peak() - before]))
"""

LINE = "this line is longer than 16 MiB"
ROW = "this row is longer than 16 MiB"
VALUE = "the value that begins here is longer than 16 MiB"

# Name of the file: how it begins, what is repeated after that, and what the refusal says.
ENDLESS = {
    "field.csv": (b"text,label\na,b\n", b"a" * 1000, f":3: {LINE}"),
    "header.csv": (b"", b"a" * 1000, f":1: {LINE}"),
    "commas.csv": (b"text,label\na,b\n", b"ab," * 1000, f":3: {LINE}"),
    "quote.csv": (b'text,label\na,b\n"', b"some words\n" * 100, f":3: {ROW}"),
    "quotes.csv": (b'text,label\na,b\n"a', b'\n","\n' * 100, f":3: {ROW}"),
    "return.csv": (b'text,label\ra,b\r"', b"some words\r" * 100, f":3: {ROW}"),
    "field.tsv": (b"text\tlabel\na\tb\n", b"a" * 1000, f":3: {LINE}"),
    "tabs.tsv": (b"text\tlabel\na\tb\n", b"ab\t" * 1000, f":3: {LINE}"),
    "text.jsonl": (b'{"text": "a"}\n{"text": "', b"a" * 1000, f":2: {LINE}"),
    "nested.jsonl": (b'{"text": "a"}\n', b"[" * 1000, f":2: {LINE}"),
    "text.json": (b'[{"text": "a"},\n{"text": "', b"a" * 1000, f":2: {VALUE}"),
    "emoji.json": (b'[{"text": "', "🎉".encode() * 250, f":1: {VALUE}"),
    "list.json": (b'[{"text": [', b"[1], " * 1000, f":1: {VALUE}"),
    "nested.json": (b'[{"text": "a"},', b"[" * 1000, ":1: lists or objects are nested too deeply"),
    "number.json": (b"[", b"1" * 1000, ":1: a whole number of thousands of digits"),
}


def endless(name: str, size: int) -> Iterator[bytes]:
    begin, piece, _ = ENDLESS[name]
    piece *= -(-64_000 // len(piece))
    return itertools.chain([begin], itertools.repeat(piece, size // len(piece)))


def read(path: Path, content: Iterator[bytes], door: str) -> tuple[int, str | None, int, int]:
    """What a process makes of a file: rows, message, peak memory above its start; and the bytes it took."""
    os.mkfifo(path)
    taken = 0

    def feed() -> None:
        nonlocal taken
        try:
            with path.open("wb", buffering=0) as pipe:
                for piece in content:
                    taken += pipe.write(piece)
        except BrokenPipeError:
            pass

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), door],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    feeder.join(timeout=10)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, message, memory = json.loads(done.stdout)
    return rows, message, memory, taken


def check_refused(tmp_path: Path, name: str, size: int, door: str) -> None:
    _, message, memory, taken = read(tmp_path / name, endless(name, size), door)
    assert message is not None
    assert message.startswith(f"{tmp_path / name}{ENDLESS[name][2]}"), message[:300]
    assert len(message) < 500
    assert taken < MOST_READ
    assert memory < MOST_MEMORY, f"{memory / MIB:.0f} MiB"


@pytest.mark.parametrize("name", ["field.csv", "quote.csv", "text.jsonl", "text.json"])
def test_a_line_without_end_is_refused_before_it_is_held(tmp_path, name):
    check_refused(tmp_path, name, 64 * MIB, "stream")


@pytest.mark.slow
@pytest.mark.parametrize("door", ["stream", "table"])
@pytest.mark.parametrize("name", ENDLESS)
def test_a_line_of_a_gigabyte_is_refused_before_it_is_held(tmp_path, name, door):
    check_refused(tmp_path, name, 1024 * MIB, door)


# One line just within the limit that is the worst of its kind: how it begins, what is repeated, how it ends.
FULL = {
    "text.csv": (b"text,label\n", "🎉".encode(), b",x\n"),
    "fields.csv": (b"text,label\n", b"ab,", b"a\n"),
    "header.tsv": (b"text\tlabel", b"\tab", b"\n"),
    "text.jsonl": (b'{"text": "', b"\\u00e9", b'"}\n'),
    "lists.jsonl": (b'{"text": "a", "more": [', b"[],", b"[]]}\n"),
    "objects.json": (b'[{"text": "a", "more": [', b'{"a":1},', b"{}]}]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_the_longest_line_that_is_read_needs_bounded_memory(tmp_path, name):
    begin, piece, end = FULL[name]
    content = [begin, piece * (15 * MIB // len(piece)), end]
    rows, message, memory, _ = read(tmp_path / name, iter(content), "table")
    assert (rows == 1) == (message is None)
    assert memory < MOST_MEMORY, f"{memory / MIB:.0f} MiB"


# A file of many rows, one of a single line among them, and one that is blank for long.
LONG = {
    "line.json": (b"[", b'{"text": "some words or other", "label": "a"}, ' * 1000, b'{"text": "a"}]'),
    "blank.json": (b"[", b" " * 1000, b'{"text": "a"}]'),
    "blank.csv": (b"\n", b" " * 999 + b"\n", b"text,label\na,b\n"),
    "rows.csv": (b"text,label\n", b"some words or other,a\n" * 1000, b"a,b\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_long_file_is_streamed_in_bounded_memory(tmp_path, name):
    begin, piece, end = LONG[name]
    n_pieces = 128 * MIB // len(piece)
    content = itertools.chain([begin], itertools.repeat(piece, n_pieces), [end])
    rows, message, memory, _ = read(tmp_path / name, content, "stream")
    assert message is None
    assert rows == 1 + (0 if "blank" in name else n_pieces * 1000)
    assert memory < MOST_STREAMED, f"{memory / MIB:.0f} MiB"
