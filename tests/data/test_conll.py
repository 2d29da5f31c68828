"""CoNLL columns: what is read, and what is said of what cannot be."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.data.conll import Layout, conll_batches, looks_like_conll, sniff_layout
from whet.data.lines import BLOCK_BYTES, LONGEST_LINE, Lines
from whet.data.readers import read_table
from whet.errors import DataError

DATA = Path(__file__).parents[3] / "shared" / "data" / "conll2003"


def batches(content: bytes | str, n_rows: int = 1000, piece: int = BLOCK_BYTES):
    content = content.encode() if isinstance(content, str) else content
    at = 0

    def read(n_bytes: int) -> bytes:
        nonlocal at
        at += min(n_bytes, piece)
        return content[at - min(n_bytes, piece) : at]

    return conll_batches(Lines("a.conll", read, only_newline=True), content[:4096], n_rows)


def rows(content: bytes | str, n_rows: int = 1000, piece: int = BLOCK_BYTES) -> list[tuple]:
    """(line, document, words, tags) of each sentence."""
    return [
        (int(line), row["document"], row["tokens"], row.get("tags"))
        for table, lines in batches(content, n_rows, piece)
        for line, row in zip(lines, table.to_pylist(), strict=True)
    ]


def refused(content: bytes | str) -> str:
    with pytest.raises(DataError) as caught:
        rows(content)
    return str(caught.value)


CONTENT = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

Peter NNP I-NP I-PER
-DOCSTART- -X- O O


BRUSSELS NNP I-NP I-LOC
"""


def test_columns_parted_by_blanks():
    assert rows(CONTENT) == [
        (3, 1, ["EU", "rejects"], ["I-ORG", "O"]),
        (6, 1, ["Peter"], ["I-PER"]),
        (10, 2, ["BRUSSELS"], ["I-LOC"]),
    ]
    (table, _), *_ = batches(CONTENT)
    assert table.schema.types == [pa.list_(pa.string()), pa.list_(pa.string()), pa.int64()]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends(end):
    assert rows(CONTENT.replace("\n", end)) == rows(CONTENT)


def test_a_byte_order_mark_and_a_missing_last_line_end():
    assert rows(b"\xef\xbb\xbf" + CONTENT.rstrip("\n").encode()) == rows(CONTENT)


def test_tabs_keep_blanks_in_words():
    assert rows("New York\tB-LOC\nis\tO\n \nbig\tO") == [
        (1, 0, ["New York", "is"], ["B-LOC", "O"]),
        (4, 0, ["big"], ["O"]),
    ]


def test_a_no_break_space_is_part_of_a_word():
    assert rows("10\u00a0000 O\nEuro O\n")[0][2] == ["10\u00a0000", "Euro"]


def test_words_without_tags():
    assert rows("EU\nrejects\n\n# a comment\n#\n#tag\n") == [
        (1, 0, ["EU", "rejects"], None),
        (5, 0, ["#", "#tag"], None),
    ]


def test_comments_of_conll_u_stand_before_a_sentence():
    content = "# newdoc id = a\n# text = EU\nEU\tB-ORG\n\n# newdoc\n# sent_id = 2\nto\tO\n"
    assert rows(content) == [(3, 1, ["EU"], ["B-ORG"]), (7, 2, ["to"], ["O"])]


def test_comments_with_as_many_fields_as_a_row():
    content = "# id 5239 domain=en\nEU _ _ B-ORG\nto _ _ O\n\n# id 77 domain=en\nto _ _ O\n"
    assert [row[2] for row in rows(content)] == [["EU", "to"], ["to"]]


def test_the_word_hash_is_a_word():
    assert rows("a O\n# O\n\n# B-X\n1 I-X\n\n# of four words\nb O\n") == [
        (1, 0, ["a", "#"], ["O", "O"]),
        (4, 0, ["#", "1"], ["B-X", "I-X"]),
        (8, 0, ["b"], ["O"]),
    ]


@given(
    st.lists(
        st.lists(
            st.tuples(st.text("ab#-é", min_size=1, max_size=3), st.sampled_from(["O", "B-X"])),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 4),
    st.integers(1, 20),
    st.sampled_from([" ", "\t", "  x "]),
)
@settings(deadline=None)
def test_batches_and_pieces_do_not_matter(sentences, n_rows, piece, between):
    content = "\n".join(
        "".join(f"{word}{between}{tag}\n" for word, tag in sentence) for sentence in sentences
    )
    found = rows(content, n_rows, piece)
    assert [row[2] for row in found] == [[word for word, _ in sentence] for sentence in sentences]
    assert [row[3] for row in found] == [[tag for _, tag in sentence] for sentence in sentences]
    lines = content.split("\n")
    assert all(
        lines[line - 1 + i].startswith(word) for line, _, words, _ in found for i, word in enumerate(words)
    )
    assert all(table.num_rows <= n_rows for table, _ in batches(content, n_rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "EU O\nrejects\n",
            "a.conll:2: 1 column, but the first word has 2; columns are parted by blanks. Is the tag",
        ),
        (
            "EU O\nNew York O\n",
            "a.conll:2: 3 columns, but the first word has 2; columns are parted by blanks. Part",
        ),
        (
            "EU\tO\n\nNew\tYork\tO\n",
            "a.conll:3: 3 columns, but the first word has 2; columns are parted by tabs. Rem",
        ),
        ("EU\tO\n\tO\n", "a.conll:2: the word is missing."),
        (
            "EU O\nUN B_ORG\n",
            "a.conll:2: 'B_ORG' is no entity tag of IOB2, IOB1, IOBES, BILOU. Did you mean 'B-ORG'?",
        ),
        ("EU o\n", "a.conll:1: 'o' is no entity tag of IOB2, IOB1, IOBES, BILOU. Did you mean 'O'?"),
        ("EU NNP\n", "a.conll:1: 'NNP' is no entity tag of IOB2, IOB1, IOBES, BILOU. Write O, or"),
        ("EU\t\n", "a.conll:1: '' is no entity tag"),
        ("word tag\nEU O\n", "a.conll:1: 'tag' is no entity tag"),
        ("\n \n-DOCSTART- O\n", "a.conll: the file is empty: it holds no word."),
        ("", "a.conll: the file is empty"),
        ("EU O\n# a b c\n", "a.conll:2: 4 columns, but the first word has 2"),  # no comment within a sentence
        (b"EU O\nM\xfcnchen B-LOC\n", "a.conll:2: byte 0xfc at position 2 of the line is not UTF-8."),
        (b"EU O\n\x00 O\n", "a.conll:2: this line holds a zero byte"),
    ],
)
def test_what_is_refused(content, message):
    found = refused(content)
    assert found.startswith(message), found


def test_long_tags_are_shortened():
    assert len(refused(f"EU {'x' * 100_000}\n")) < 300


def test_a_sentence_without_end_is_refused():
    line = b"word" * 250 + b" O\n"
    content = (line * 2000 + b"\n") * 20 + line * (LONGEST_LINE // len(line) + 2000)
    assert refused(content).startswith("a.conll:40021: the sentence that begins here is longer than 16 MiB.")


@pytest.mark.parametrize(
    ("head", "yes"),
    [
        (CONTENT.encode(), True),
        (b"a\tO\nb\tO\n\nc\tB-X\ncut", True),
        (b"a O\nb O\nc O\n", True),
        (b"text\tlabel\ngood film\tpos\nbad\tneg\n", False),
        (b"text,label\ngood film,pos\nbad,neg\n", False),
        (b"some words\nin plain lines\nof text\n", False),
        (b'{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n', False),
        (b"a\nb\nc\n", False),
        (b"", False),
    ],
)
def test_what_looks_like_conll(head, yes):
    assert looks_like_conll(head) is yes


def test_the_layout_is_that_of_the_first_word():
    assert sniff_layout(CONTENT.encode()) == Layout(4, by_tabs=False)
    assert sniff_layout(b"# a b\nEU\tNNP\tO\n") == Layout(3, by_tabs=True)


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
@pytest.mark.parametrize(("name", "n_sentences", "n_words"), [("eng.testa", 3250, 51_362)])
def test_conll_2003_is_what_a_plain_split_gives(name, n_sentences, n_words):
    text = (DATA / name).read_text()
    blocks = [block.splitlines() for block in text.split("\n\n") if block.strip()]
    expected = [[line.split() for line in block] for block in blocks if "DOCSTART" not in block[0]]
    found = rows(text.encode(), 100)
    assert [row[2] for row in found] == [[fields[0] for fields in block] for block in expected]
    assert [row[3] for row in found] == [[fields[-1] for fields in block] for block in expected]
    assert (len(found), sum(len(row[2]) for row in found)) == (n_sentences, n_words)
    assert found[-1][1] == 215
    assert looks_like_conll(text.encode())


@pytest.mark.parametrize("border", ["\n", "# newdoc\n"])
def test_a_column_that_counts_the_words_is_left_out(tmp_path, border):
    """As in GermEval 2014 and CoNLL-U."""
    file = tmp_path / "numbered.tsv.conll"
    sentence = "1\tEmma\tB-PER\n2\tClark\tI-PER\n3\tleft\tO\n"
    file.write_text(f"# from a paper\n{sentence}\n{border}{sentence}")
    table = read_table(file)
    assert table.column("tokens").to_pylist() == [["Emma", "Clark", "left"]] * 2
    assert table.column("tags").to_pylist() == [["B-PER", "I-PER", "O"]] * 2
    years = tmp_path / "years.conll"
    years.write_text("1 B-X\n2 I-X\n4 O\n")
    assert read_table(years).column("tokens").to_pylist() == [["1", "2", "4"]]
