"""Documents of plain files, of WikiText's layout, and of labelled rows."""

from pathlib import Path
from typing import Any

import pytest

from whet.data.corpus import has_text, read_corpus
from whet.errors import DataError

WIKI = """\

 = Valkyria Chronicles = \n\

 Senjō no Valkyria is a game . \n\

 = = Gameplay = = \n\

 As with previous games , it is played . \n\
 = = = Story = = = \n\
 It = fine = . \n\

 = Tower = \n\

 A tower . \n\
"""


def texts(path: Any, layout: Any = "auto", **columns: str) -> list[str]:
    table, found = read_corpus(path, layout, **columns)
    assert (found.task, found.text) == ("masked-lm", "text")
    return table.column("text").to_pylist()


def test_wikitext_titles_begin_documents_and_headings_stay(tmp_path: Path) -> None:
    path = tmp_path / "wiki.train.tokens"
    path.write_text(WIKI, encoding="utf-8")
    found = texts(path)
    assert found == [
        "Valkyria Chronicles\nSenjō no Valkyria is a game .\nGameplay\n"
        "As with previous games , it is played .\nStory\nIt = fine = .",
        "Tower\nA tower .",
    ]
    table, columns = read_corpus(path, "auto")
    assert table.place(1) == f"{path}:12"
    assert "= Title =" in columns.notes[0]
    assert len(texts(path, "blank-lines")) > 4
    assert len(texts(path, "files")) == 1


def test_blank_lines_lines_and_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n\r\n \r\nthree\r\n")
    assert texts(path) == ["one\ntwo", "three"]
    assert texts(path, "lines") == ["one", "two", "three"]
    other = tmp_path / "b.txt"
    other.write_text("first\nsecond", encoding="utf-8")
    assert texts(other) == ["first", "second"]
    assert texts(other, "files") == ["first\nsecond"]
    assert texts((path, other)) == ["one\ntwo", "three", "first", "second"]
    assert texts(tmp_path) == texts((path, other)), "a folder of .txt files"
    assert read_corpus((path, other), "auto")[0].place(2) == f"{path}, {other}, row 3"


def test_rows_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("sentence,label\nA good one,1\n,0\nbad,0\n", encoding="utf-8")
    table, columns = read_corpus(path, "auto")
    assert table.column("text").to_pylist() == ["A good one", "", "bad"]
    assert has_text(table).tolist() == [True, False, True]
    assert "'sentence'" in columns.notes[0]
    assert table.place(2) == f"{path}:4"
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"premise": "a", "hypothesis": "b", "label": "x"}\n', encoding="utf-8")
    assert texts(pairs) == ["a\nb"]
    assert texts(pairs, text="hypothesis") == ["b"]
    assert texts(["in memory", "two"]) == ["in memory", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no text"),
        (b" \n\n \n", "holds no text"),
        (b"PK\x03\x04aaaa", "a zip archive"),
        (b"caf\xe9 au lait\n", "is not UTF-8"),
        (b"a\0b\n", "zero byte"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as told:
        read_corpus(path, "auto")
    assert str(path) in str(told.value)
    with pytest.raises(DataError, match="no such file"):
        read_corpus(tmp_path / "bda.txt", "auto")
    rows = tmp_path / "rows.csv"
    rows.write_text("sentence,label\nA good one,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="there is no column 'sentense'"):
        read_corpus(rows, "auto", text="sentense")
