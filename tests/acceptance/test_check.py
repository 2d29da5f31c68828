"""`whet check` as a command: what it prints, `--json`, and its status."""

import json
from pathlib import Path

import pytest

from tests.acceptance import house

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def check(whet, encoder):
    return lambda *arguments: whet("check", *arguments, "--model", encoder)


def test_sound_data_is_status_0(check, reviews):
    done = check(reviews).ok()
    assert "0 errors, 0 warnings, 1 note." in done.out
    assert done.err == ""


def test_warnings_are_status_0_and_worst_first(check, tmp_path):
    texts, labels = house.sentences(30)
    table = {"text": [*texts, texts[0], texts[1], "<p>"], "label": [*labels, labels[0], labels[0], labels[0]]}
    path = house.write_csv(tmp_path / "doubled.csv", table)
    out = check(path).ok().out
    assert f"WARNING {path}, lines 3 and 33" in out
    assert out.index("under another label") < out.index("markup") < out.index("under the same label")
    assert f'{path}:33 "{texts[1]}" is "{labels[0]}"' in out
    assert "0 errors, 4 warnings, 1 note." in out


def test_json_is_one_line_that_holds_every_finding(check, tmp_path):
    texts, labels = house.sentences(30)
    path = house.write_csv(
        tmp_path / "doubled.csv", {"text": [*texts, texts[0]], "label": [*labels, "praise"]}
    )
    done = check(path, "--json").ok()
    (line,) = done.out.splitlines()
    report = json.loads(line)
    assert report["has_errors"] is False
    assert report["parts"] == {"train": {"file": str(path), "rows": 31}}
    assert report["columns"] == {"text": "text", "pair": None, "label": "label"}
    first = report["findings"][0]
    assert (first["severity"], first["kind"], first["file"]) == ("warning", "exact-conflict", str(path))
    assert (first["unit"], first["rows"], first["n_rows"]) == ("line", [2, 32], 2)
    for one in report["findings"]:
        assert one.keys() == {
            *("severity", "kind", "file", "other_file", "unit", "rows", "n_rows", "message", "example", "fix")
        }
        assert one["message"]
        assert one["fix"]
        assert one["example"]


@pytest.mark.parametrize("json_", [(), ("--json",)])
@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        (None, "unreadable", "no such file"),
        ("text,label\nGood,a\nBad,a\n", "one-class", "one class"),
        ("text,thing\nGood,a\n", "columns", "which column holds the labels"),
    ],
)
def test_errors_are_status_1_and_no_traceback(check, tmp_path, text, kind, word, json_):
    path = tmp_path / "data.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    done = check(path, *json_)
    assert done.status == 1
    assert done.err == ""
    assert word.lower() in done.out.lower()
    if json_:
        assert [one["kind"] for one in json.loads(done.out)["findings"]] == [kind]
    else:
        assert f"ERROR {path}" in done.out


def test_dev_and_test_by_place_and_by_name(check, tmp_path, reviews):
    dev = house.write_csv(tmp_path / "dev.csv", {"text": ["The money again."], "label": ["refunds"]})
    for arguments in (
        (reviews, dev),
        (reviews, "--dev", dev),
        (reviews, reviews, dev),
        (reviews, "--test", dev),
    ):
        done = check(*arguments)
        assert done.status == 1
        assert f"ERROR {dev}, line 2" in done.out
        assert "Did you mean 'refund'?" in done.out


def test_wrong_usage_is_status_2(check, reviews):
    check(reviews, reviews, "--dev", reviews).refused("dev is named twice", status=2)
    check(reviews, reviews, reviews, reviews).refused("train, dev and test", status=2)
    check(reviews, "--task", "clasification").refused("did you mean", status=2)


def test_max_length_and_columns(check, tmp_path):
    texts, labels = house.sentences(12)
    path = house.write_csv(tmp_path / "odd.csv", {"one": texts, "two": labels, "three": labels[::-1]})
    out = check(path, "--text", "one", "--label", "three", "--max-length", "5").ok().out
    assert "lose their tail at max_length=5" in out
    assert "labels: column 'three', as asked" in out


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
@pytest.mark.parametrize("source", ["glue/CoLA", "glue/RTE", "glue/MRPC", "banking77"])
def test_published_data_warns_and_is_no_error(check, source):
    out = check(DATA / source).ok().out
    assert "WARNING" in out
    assert "ERROR" not in out


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
def test_trec_warns_and_is_no_error(check, tmp_path):
    files = []
    for name, source in (("train", "train_5500.label"), ("test", "TREC_10.label")):
        lines = (DATA / "trec" / source).read_text(encoding="latin-1").splitlines()
        rows = [line.split(" ", 1) for line in lines]
        table = {"text": [text for _, text in rows], "label": [label.split(":")[0] for label, _ in rows]}
        files.append(house.write_csv(tmp_path / f"{name}.csv", table))
    out = check(files[0], "--test", files[1]).ok().out
    assert "10 rows have the same text as a row of train, under the same label." in out
    assert "under another label" in out
