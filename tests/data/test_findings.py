"""Planted instances of everything that `data_findings` tells, each under the file's own row numbers, and
counts on real data beside plain dictionaries."""

import csv
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.data.columns import Columns, infer_columns
from whet.data.duplicates import duplicate_findings
from whet.data.findings import KINDS, MOST_ROWS, Finding, Report, finding, quoted, worst_first
from whet.data.parts import Corpus, part
from whet.data.readers import read_splits, read_table
from whet.data.splitting import text_groups
from whet.data.table import Table
from whet.data.validation import cut_finding, label_findings, text_findings

DATA = Path(__file__).parents[3] / "shared" / "data"
NAMES = ("train", "dev", "test")
SINGLE = Columns("classification", "text", None, ("label",), ())
PAIRS = Columns("classification", "text", "pair", ("label",), ())
LONG = "the parcel that I ordered in the second week of may has not arrived at my door"


def parts_of(tables, columns=SINGLE):
    return [part(name, read_table(table), columns) for name, table in zip(NAMES, tables, strict=False)]


def found_in(*tables, columns=SINGLE):
    """All findings, by kind; tables are dicts of lists or lists of (text, label)."""
    whole = [
        table if isinstance(table, dict) else {"text": [t for t, _ in table], "label": [x for _, x in table]}
        for table in tables
    ]
    parts = parts_of(whole, columns)
    findings = [*label_findings(parts), *duplicate_findings(parts)]
    for one in parts:
        findings += text_findings(one)
    by_kind = defaultdict(list)
    for one in worst_first(findings):
        by_kind[one.kind].append(one)
    return by_kind


def rows_of(findings):
    return [one.rows for one in findings]


def sound(n=40):
    """Rows that nothing is wrong with: two classes, texts that are all different."""
    rng = np.random.default_rng(0)
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet"]
    return [(" ".join(rng.choice(words, 9)) + f" {i}", "yes" if i % 2 else "no") for i in range(n)]


def test_sound_data_has_no_finding():
    assert not found_in(sound(), sound(60)[40:])


def test_exact_duplicates_and_conflicts_within_a_file():
    rows = [
        *sound(),
        ("Twice.", "yes"),
        ("Twice.", "yes"),
        ("Both.", "yes"),
        ("Both.", "no"),
        ("Both.", None),
    ]
    found = found_in(rows)
    assert rows_of(found["exact-repeat"]) == [(41, 42, 43, 44, 45)]  # row 45 has no label: no conflict
    assert rows_of(found["exact-conflict"]) == [(43, 44)]
    assert found["exact-conflict"][0].n_rows == 2
    assert "row 43" in found["exact-conflict"][0].example
    assert "row 44" in found["exact-conflict"][0].example
    assert not found["case-conflict"]
    assert not found["near-conflict"]


def test_case_and_space():
    rows = [*sound(), ("So it goes", "yes"), ("so  it GOES ", "yes"), ("Oh no", "no"), ("oh no", "yes")]
    found = found_in(rows)
    assert rows_of(found["case-repeat"]) == [(41, 42)]
    assert rows_of(found["case-conflict"]) == [(43, 44)]
    assert not found["exact-repeat"]


def test_near_duplicates():
    rows = [*sound(), (LONG, "yes"), (LONG + " yet", "yes"), (LONG.replace("second", "2nd"), "no")]
    found = found_in(rows)
    assert rows_of(found["near-repeat"]) == [(41, 42)]
    assert rows_of(found["near-conflict"]) == [(41, 43)]  # rows 42 and 43 differ twice: 0.76
    assert "similarity 0.9" in found["near-repeat"][0].example


def test_across_files():
    train = [*sound(), ("Shared.", "yes"), ("Turned.", "yes"), (LONG, "no"), ("case it", "no")]
    dev = [*sound(60)[40:], ("Shared.", "yes"), ("Turned.", "no"), (LONG + " yet", "no"), ("Case It", "no")]
    test = [*sound(80)[60:], ("Shared.", "yes"), (LONG + " now", "yes")]
    found = found_in(train, dev, test)
    assert [(one.source, one.other, one.rows) for one in found["exact-leak"]] == [
        ("<lists>", "<lists>", (21,)),
        ("<lists>", "<lists>", (21,)),
        ("<lists>", "<lists>", (21,)),
    ]
    assert rows_of(found["exact-conflict"]) == [(22,)]
    assert rows_of(found["case-leak"]) == [(24,)]
    assert rows_of(found["near-leak"]) == [(23,)]
    assert sorted(rows_of(found["near-conflict"])) == [(22,), (22,)]  # test's beside train and beside dev
    assert "a row of train" in found["exact-leak"][0].message + found["exact-leak"][1].message
    assert not found["exact-repeat"]


def test_an_unlabelled_file_overlaps_too():
    found = found_in(sound(), {"text": [sound()[3][0], "Quite new."]})
    assert rows_of(found["exact-leak"]) == [(1,)]
    assert "label" not in found["exact-leak"][0].message


def test_pairs_are_the_same_where_both_texts_are():
    texts = ["a b c", "a b c", "A b c", "x y z"]
    second = ["one", "two", "ONE", "one"]
    found = found_in({"text": texts, "pair": second, "label": ["p", "q", "q", "p"]}, columns=PAIRS)
    assert rows_of(found["case-conflict"]) == [(1, 3)]
    assert not found["exact-conflict"]


def test_empty_and_short_texts():
    found = found_in([*sound(), ("", "yes"), (" \t", "no"), (None, "no"), ("ok", "yes"), (":-)", "no")])
    assert rows_of(found["empty-text"]) == [(41, 42, 43)]
    assert rows_of(found["short-text"]) == [(44, 45)]
    assert not found["exact-repeat"]  # that empty texts are alike says nothing
    assert not found["case-repeat"]


def test_an_empty_second_text():
    table = {"text": ["a long text", "another text"], "pair": ["with a pair", " "], "label": ["a", "b"]}
    assert rows_of(found_in(table, columns=PAIRS)["empty-text"]) == [(2,)]


def test_no_text_at_all_is_an_error():
    (one,) = found_in([("", "yes"), (" ", "no")])["empty-text"]
    assert one.severity == "error"
    assert "--text" in one.fix


def test_labels_that_differ_by_case_or_space():
    rows = [*sound(), ("One more alpha.", "Yes"), ("One more bravo.", "y es"), ("One more echo.", "no ")]
    (one,) = found_in(rows)["label-spelling"]
    assert one.rows == (41, 42, 43)
    for spelled in ("'yes' (20)", "'Yes' (1)", "'y es' (1)", "'no ' (1)"):
        assert spelled in one.message


def test_rare_classes_and_skew():
    rows = [*sound(), *((f"{text} again", "rare") for text, _ in sound()[:4])]
    found = found_in([*rows, *((f"{text} more", "five") for text, _ in sound()[10:15])])
    assert rows_of(found["rare-class"]) == [(41, 42, 43, 44)]
    assert "'rare' (4)" in found["rare-class"][0].message
    assert "five" not in found["rare-class"][0].message
    assert not found["skew"]
    (skew,) = found_in([*sound(100)[1::2], *sound(10)[::2]])["skew"]
    assert "10 times" in skew.message
    assert "91%" in skew.message


def test_a_declared_class_without_rows_is_rare():
    (train,) = parts_of([{"text": ["one text", "two texts"] * 9, "label": ["a", "b"] * 9}])
    (rare,) = [one for one in label_findings([train], ("a", "b", "c")) if one.kind == "rare-class"]
    assert "'c' (0)" in rare.message
    assert rare.n_rows == 0


def test_too_few_classes_are_errors():
    (one,) = found_in([("some text", "a"), ("other words", "a")])["one-class"]
    assert one.severity == "error"
    assert "'a'" in one.message.replace('"', "'")
    (none,) = found_in([("some text", None), ("other words", " ")])["no-labels"]
    assert none.severity == "error"


def test_a_class_that_train_lacks_is_an_error_with_all_its_rows():
    dev = [("New words here.", "yes"), ("And here too.", "Maybe"), ("A third.", "yse"), ("A fourth.", "yse")]
    (one,) = found_in(sound(), dev)["unknown-class"]
    assert (one.severity, one.rows, one.n_rows) == ("error", (2, 3, 4), 3)
    assert "'Maybe' (1), 'yse' (2)" in one.message


def test_unlabelled_rows_are_a_note():
    (one,) = found_in([*sound(), ("No label here.", None)])["unlabelled"]
    assert (one.severity, one.rows) == ("note", (41,))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("mojibake", "we went to the cafÃ© again"),
        ("mojibake", "itâ€™s broken"),
        ("mojibake", "itâ\x80\x99s broken"),
        ("mojibake", "5Â°C outside"),
        ("mojibake", "so happy \u00f0\u0178\u02dc\u20ac"),
        ("mojibake", "lost \ufffd for ever"),
        ("control", "a bell \x07 rings"),
        ("control", "zero\u200bwidth"),
        ("control", "turned \u202e round"),
        ("markup", "first line<br />second line"),
        ("markup", 'a <a href="x">link</a>'),
        ("markup", "salt &amp; pepper"),
        ("markup", "it&#39;s"),
    ],
)
def test_damaged_texts(kind, text):
    (one,) = found_in([*sound(), (text, "yes")])[kind]
    assert one.rows == (41,)
    assert one.example.startswith("<lists>, row 41")
    assert one.example.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d, so a <3 you",
        "AT&T and R&D; they are fine",
        "EM SÃO PAULO, CAFÉ” disse",
        "naïve façade, 20 °C, “quoted” – it’s",
        "tabs\tand\nline ends",
        "family 👨‍👩‍👧 and می‌خواهم",
        "< .DJI > added 2 %",
    ],
)
def test_what_is_not_damaged(text):
    found = found_in([*sound(), (text, "yes")])
    assert not any(found[kind] for kind in ("mojibake", "control", "markup"))


def test_cut_texts():
    (train,) = parts_of([{"text": ["a", "b", "c", "d"], "label": ["x", "y", "x", "y"]}])
    full = np.array([10, 30, 4, 8])
    assert not list(cut_finding(train, np.arange(4), full, full, 30, "tail"))
    (one,) = cut_finding(train, np.arange(4), np.minimum(full, 9), full, 9, "tail")
    assert one.rows == (1, 2)
    assert "2 rows (50.0%)" in one.message
    assert f"{(1 + 21) / 52:.1%} of all tokens" in one.message
    assert "30 tokens" in one.fix
    (sampled,) = cut_finding(train, np.array([1, 3]), np.array([9, 8]), full[[1, 3]], 9, "tail")
    assert sampled.rows == (2,)
    assert "in a sample of 2 of 4" in sampled.message


def test_rows_are_the_lines_of_the_file(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text('text,label\n"two\nlines",a\nonce more,b\n\nonce more,a\n', encoding="utf-8")
    parts = [part("train", read_table(path), SINGLE)]
    (one,) = [one for one in duplicate_findings(parts) if one.kind == "exact-conflict"]
    assert (one.unit, one.rows) == ("line", (4, 6))
    assert one.place() == f"{path}, lines 4 and 6"


def test_many_rows_are_counted_and_some_are_listed():
    table = read_table({"text": ["x"] * 9000})
    one = finding("warning", "exact-repeat", table, np.arange(9000), "", "")
    assert (one.n_rows, len(one.rows)) == (9000, MOST_ROWS)
    assert one.place() == "<lists>, rows 1, 2, 3, 4, 5 and 8,995 more"


def test_the_report_is_worst_first_and_plain():
    kinds = ["skew", "unlabelled", "unknown-class", "exact-conflict"]
    severities = ["warning", "note", "error", "warning"]
    ordered = worst_first(Finding(s, k, "m", "f", "x.csv") for s, k in zip(severities, kinds, strict=True))
    assert [one.kind for one in ordered] == ["unknown-class", "exact-conflict", "skew", "unlabelled"]
    report = Report(ordered, {"train": ("x.csv", 3)}, SINGLE)
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["counts"] == {"errors": 1, "warnings": 2, "notes": 1}
    assert plain["has_errors"] is True
    assert plain["findings"][0].keys() >= {"severity", "file", "rows", "example", "fix"}


def test_a_quoted_text_cannot_move_the_cursor():
    assert quoted("a\x1b[2Jb\nc\u202e") == '"a\\x1b[2Jb\\nc\\u202e"'


texts = st.one_of(
    st.none(), st.text(max_size=12), st.sampled_from(["", " ", "a", "A", "a ", "<b>", LONG, LONG + "s"])
)
labels = st.one_of(st.none(), st.sampled_from(["", "x", "X", " x", "y", "-1"]), st.text(max_size=3))
tables = st.lists(st.tuples(texts, texts, labels), min_size=1, max_size=12)


@settings(deadline=None)
@given(st.lists(tables, min_size=1, max_size=3))
def test_any_table_gives_findings_and_no_exception(made):
    encodable = [
        {name: [_plain(row[i]) for row in rows] for i, name in enumerate(("text", "pair", "label"))}
        for rows in made
    ]
    for columns in (SINGLE, PAIRS):
        for kind, findings in found_in(*encodable, columns=columns).items():
            assert kind in KINDS
            for one in findings:
                assert len(one.rows) == one.n_rows
                assert all(1 <= row <= 12 for row in one.rows)
                assert one.message
                assert one.fix
                json.dumps(one.to_json()).encode()


def _plain(value):
    return None if value is None else value.encode("utf-8", "replace").decode()


@settings(deadline=None)
@given(st.data())
def test_rows_of_several_chunked_tables_are_taken_in_any_order(data):
    sizes = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    made = [[f"{i}-{j}" for j in range(size)] for i, size in enumerate(sizes)]
    chunks = pa.chunked_array([pa.array(chunk, pa.large_string()) for chunk in made])
    table = Table("x", pa.table({"text": chunks, "label": chunks}))
    corpus = Corpus([part("train", table, SINGLE), part("dev", table, SINGLE)])
    whole = [text for chunk in made for text in chunk] * 2
    rows = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=9)) if whole else []
    assert corpus.texts(0, np.array(rows, np.int64)).to_pylist() == [whole[row] for row in rows]


# ------------------------------------------------------------------ beside plain dictionaries


def expected_rows(parts, fold):
    """{(part, other, conflict): rows of part}, by dictionaries: (text as folded) -> rows."""
    rows = [
        (p, i, tuple(column[i].as_py() for column in one.texts), one.label(i))
        for p, one in enumerate(parts)
        for i in range(len(one))
    ]
    by_text = defaultdict(list)
    for row in rows:
        if any(text.strip() for text in row[2]):
            by_text[fold(row[2])].append(row)
    expected = defaultdict(set)
    for same in by_text.values():
        for p, i, text, label in same:
            for q, j, other, its in same:
                if (p, i) == (q, j) or q > p or (fold is not identity and text == other):
                    continue
                conflict = label is not None and its is not None and label != its
                expected[p, q, int(conflict)].add(i)
    return {key: sorted(found) for key, found in expected.items()}


def identity(texts):
    return texts


def folded(texts):
    return tuple(" ".join(text.casefold().split()) for text in texts)


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
@pytest.mark.parametrize("source", ["banking77", "glue/CoLA", "glue/MRPC", "glue/RTE", "glue/SST-2"])
def test_duplicates_beside_a_dictionary(source):
    splits = read_splits(DATA / source)
    columns = infer_columns(splits.train)
    tables = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    parts = [part(name, table, columns) for name, table in tables.items() if table is not None]
    sources = [one.source for one in parts]
    found = {}
    for one in duplicate_findings(parts, most_near=0):
        match, what = one.kind.split("-")
        p = sources.index(one.source)
        q = p if one.other is None else sources.index(one.other)
        assert one.n_rows <= MOST_ROWS
        found[match, p, q, int(what == "conflict")] = list(one.rows)
    expected = {}
    for match, fold in (("exact", identity), ("case", folded)):
        for (p, q, conflict), rows in expected_rows(parts, fold).items():
            expected[match, p, q, conflict] = parts[p].table.numbers(np.array(rows)).tolist()
    assert found == expected
    assert found or source == "glue/MRPC"


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
def test_banking77_counts_by_hand():
    with (DATA / "banking77" / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = read_table(DATA / "banking77" / "train.csv")
    assert len(set(text_groups([table.strings("text")], as_written=True))) == len({r["text"] for r in rows})
    counts = Counter(row["category"] for row in rows)
    (skew,) = [
        one for one in label_findings([part("train", table, infer_columns(table))]) if one.kind == "skew"
    ] or [None]
    assert (skew is None) == (max(counts.values()) < 10 * min(counts.values()))
