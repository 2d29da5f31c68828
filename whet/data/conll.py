"""CoNLL columns: a word a line, its tag in the last column, a blank line behind each sentence.

Columns are parted by tabs where the first line has one, else by blanks; a first column that counts the words
of each sentence is left out. A -DOCSTART- line, or CoNLL-U's "# newdoc", begins a document. Columns between
the word and the tag are not kept.

A row is a sentence, and its line is that of its first word: word i stands i lines below.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa

from whet.data.delimited import BATCH_BYTES, Batch
from whet.data.lines import LONGEST_LINE, Lines
from whet.data.wording import counted, shortened
from whet.entities import SCHEMES, split_tag
from whet.errors import DataError

BORDER = re.compile(r"(-DOCSTART-|# newdoc)(?=[ \t\r\n]|$)")
COMMENT = "# "
BLANK = " \t\r\n"
FEWEST_TAGGED = 3  # lines of a head that must be tagged words for a file to be taken for CoNLL by content


@final
@dataclass(frozen=True)
class Layout:
    """How the lines of a file are built, as its beginning shows it."""

    n_columns: int  # 1: words without tags; a column of numbers does not count
    by_tabs: bool
    is_numbered: bool = False  # the first column counts the words of a sentence

    def fields(self, line: str) -> list[str]:
        """The columns of a line, the word first; [] of a blank one."""
        if not line.strip(BLANK):
            return []
        if self.by_tabs:
            found = [field.strip(" ") for field in line.rstrip("\r\n").split("\t")]
        else:
            found = _by_blanks(line)
        return found[self.is_numbered :]


@final
class _Rows:
    """Sentences on their way to a table."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.tags: list[str] = []
        self.ends = [0]  # words up to the end of each sentence
        self.documents: list[int] = []
        self.starts: list[int] = []  # line of each sentence's first word

    def batch(self, tagged: bool) -> Batch:
        """tokens and tags as lists of strings, document as int64; and the lines."""
        ends = pa.array(self.ends, pa.int32())
        columns = {"tokens": pa.ListArray.from_arrays(ends, pa.array(self.words, pa.string()))}
        if tagged:
            columns["tags"] = pa.ListArray.from_arrays(ends, pa.array(self.tags, pa.string()))
        columns["document"] = pa.array(self.documents, pa.int64())
        return pa.table(columns), np.array(self.starts, np.int64)


def conll_batches(lines: Lines, head: bytes, n_rows: int) -> Iterator[Batch]:
    """A CoNLL file as batches; the number of columns is looked for in `head`, its beginning.

    tokens: the words. tags: theirs, as written, where there is more than one column. document: how many
    documents have begun so far; where it is the same in all rows, nothing is known of documents."""
    layout = sniff_layout(head)
    rows = _Rows()
    document, mark, sentence_mark = 0, 0, 0
    empty = True
    for line in lines:
        fields = layout.fields(line)
        within = len(rows.words) > rows.ends[-1]
        is_border = BORDER.match(line) is not None
        if fields and not is_border and (within or not _is_comment(line, fields, layout)):
            if not within:
                rows.starts.append(lines.number)
                rows.documents.append(document)
                sentence_mark = lines.n_bytes
            _add(rows, lines, layout, fields)
            if lines.n_bytes - sentence_mark > LONGEST_LINE:
                raise DataError(
                    f"{lines.source}:{rows.starts[-1]}: the sentence that begins here is longer than "
                    f"{LONGEST_LINE // 2**20} MiB. Put a blank line behind each sentence."
                )
        elif within:
            rows.ends.append(len(rows.words))
            if len(rows.starts) >= n_rows or lines.n_bytes - mark > BATCH_BYTES:
                yield rows.batch(layout.n_columns > 1)
                rows, empty, mark = _Rows(), False, lines.n_bytes
        document += is_border
    if len(rows.words) > rows.ends[-1]:
        rows.ends.append(len(rows.words))
    if rows.starts:
        yield rows.batch(layout.n_columns > 1)
    elif empty:
        raise DataError(
            f"{lines.source}: the file is empty: it holds no word. Put a word and its tag on each line, and "
            f"a blank line behind each sentence."
        )


def sniff_layout(head: bytes) -> Layout:
    """The layout of a file by the first word in its beginning; a line that opens with # only if need be."""
    first = None
    for line in _whole_lines(head):
        if BORDER.match(line) or not line.strip(BLANK):
            continue
        is_word = not line.startswith(COMMENT)
        if first is None or is_word:
            first = line
        if is_word:
            break
    if first is None:
        return Layout(2, by_tabs=False)
    by_tabs = "\t" in first.rstrip("\r\n")
    n_columns = len(first.rstrip("\r\n").split("\t") if by_tabs else _by_blanks(first))
    is_numbered = n_columns > 1 and _is_numbered(head, Layout(n_columns, by_tabs))
    return Layout(n_columns - is_numbered, by_tabs, is_numbered)


def _is_numbered(head: bytes, layout: Layout) -> bool:
    """Whether the first column counts 1, 2, 3 ... in every sentence, and somewhere up to 3 at least."""
    before, highest = 0, 0
    for line in _whole_lines(head):
        fields = layout.fields(line)
        if not fields or BORDER.match(line):
            before = 0
        elif not line.startswith(COMMENT):
            if fields[0] != str(before + 1):
                return False
            before += 1
            highest = max(highest, before)
    return highest >= 3


def looks_like_conll(head: bytes) -> bool:
    """Whether the lines of a file's beginning are words with a tag in the last of several columns."""
    layout = sniff_layout(head)
    lines = [line for line in _whole_lines(head) if not (BORDER.match(line) or line.startswith(COMMENT))]
    tagged = [fields for fields in map(layout.fields, lines) if fields]
    return (
        layout.n_columns > 1
        and len(tagged) >= FEWEST_TAGGED
        and all(len(row) == layout.n_columns and split_tag(row[-1]) is not None for row in tagged)
    )


def _whole_lines(head: bytes) -> list[str]:
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = text.split("\n" if "\n" in text else "\r")
    return lines[:-1] if len(lines) > 1 else lines  # the last may be cut


def _by_blanks(line: str) -> list[str]:
    # Not str.split(): a no-break space is a part of a word.
    return [field for field in line.rstrip("\r\n").replace("\t", " ").split(" ") if field]


def _is_comment(line: str, fields: list[str], layout: Layout) -> bool:
    """Of a line before a sentence: whether it opens with # and is no row, as the word # with its tag is."""
    if not line.startswith(COMMENT):
        return False
    return len(fields) != layout.n_columns or (layout.n_columns > 1 and split_tag(fields[-1]) is None)


def _add(rows: _Rows, lines: Lines, layout: Layout, fields: list[str]) -> None:
    if len(fields) != layout.n_columns:
        raise DataError(f"{lines.source}:{lines.number}: {_ragged(layout, fields)}")
    if not fields[0]:
        raise DataError(
            f"{lines.source}:{lines.number}: the word is missing. Write it before the tab, or leave the line "
            f"blank where the sentence ends."
        )
    if layout.n_columns > 1:
        if split_tag(fields[-1]) is None:
            raise DataError(f"{lines.source}:{lines.number}: {bad_tag(fields[-1])}")
        rows.tags.append(fields[-1])
    rows.words.append(fields[0])


def bad_tag(tag: str) -> str:
    """What to say of a tag that is of no scheme."""
    return (
        f"'{shortened(tag)}' is no entity tag of {', '.join(SCHEMES)}.{_meant(tag)} "
        f"Write O, or B, I, E or S (L, U) with a type, as in B-PER."
    )


def _meant(tag: str) -> str:
    letter, kind = tag[:1].upper(), tag[2:]
    guess = "O" if tag in ("o", "0", "_", "") else f"{letter}-{kind}" if tag[1:2] in ("-", "_", ":") else tag
    return f" Did you mean '{shortened(guess)}'?" if guess != tag and split_tag(guess) else ""


def _ragged(layout: Layout, fields: list[str]) -> str:
    by = "tabs" if layout.by_tabs else "blanks"
    advice = (
        "Is the tag missing?"
        if len(fields) < layout.n_columns
        else "Part the columns by tabs if a word holds a blank."
        if not layout.by_tabs
        else "Remove the tab inside the word."
    )
    return (
        f"{counted(len(fields), 'column')}, but the first word has {layout.n_columns}; columns are parted by "
        f"{by}. {advice}"
    )
