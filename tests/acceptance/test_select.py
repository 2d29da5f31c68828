"""`whet select`: the rows to label next, what is passed over, and a file that a person can fill in."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance import house

CLASSES = list(house.CLASSES)
OURS = ["line", "predicted", "probability", "uncertainty"]


def read_csv(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def pool(tmp_path):
    texts, _ = house.sentences(150, seed=40)
    return house.write_csv(tmp_path / "pool.csv", {"id": range(150), "text": texts})


def test_what_is_chosen_is_uncertain_and_said_as_predict_says_it(whet, classifier, pool):
    whet("select", classifier, pool, "--rows", "6", "--to", "next.csv").ok()
    chosen = read_csv("next.csv")
    assert list(chosen[0]) == ["id", "text", "label", *OURS]
    assert len({row["id"] for row in chosen}) == 6
    answers = house.read_jsonl(whet("predict", classifier, pool).ok().out)
    chances = np.sort([[row["probabilities"][name] for name in CLASSES] for row in answers], axis=1)
    doubts = 1 - (chances[:, -1] - chances[:, -2])
    for row in chosen:
        answer = answers[int(row["id"])]
        assert (row["text"], row["line"], row["label"]) == (answer["text"], str(int(row["id"]) + 2), "")
        assert row["predicted"] == answer["label"]
        assert float(row["probability"]) == pytest.approx(answer["probability"], abs=1e-4)
        assert float(row["uncertainty"]) == pytest.approx(doubts[int(row["id"])], abs=1e-4)
    found = [float(row["uncertainty"]) for row in chosen]
    assert found == sorted(found, reverse=True)
    assert min(found) >= np.sort(doubts)[-60]


def test_all_rows_are_the_most_uncertain_first(whet, classifier, pool):
    outcome = whet("select", classifier, pool, "--rows", "1000", "--to", "next.csv").ok()
    assert "Only 150 rows can be chosen" in outcome.err
    assert "150 rows of 150 different texts" in outcome.out
    assert sorted(int(row["id"]) for row in read_csv("next.csv")) == list(range(150))


def test_the_seed_decides_and_json_lines_say_the_same(whet, classifier, pool):
    whet("select", classifier, pool, "--rows", "6", "--to", "next.csv").ok()
    printed = whet("select", classifier, pool, "--rows", "6").ok().out
    rows = house.read_jsonl(printed)
    assert [(row["id"], row["label"]) for row in rows] == [(row["id"], None) for row in read_csv("next.csv")]
    whet("select", classifier, pool, "--rows", "6", "--to", "next.jsonl").ok()
    assert Path("next.jsonl").read_text(encoding="utf-8") == printed
    other = house.read_jsonl(whet("select", classifier, pool, "--rows", "6", "--seed", "5").ok().out)
    assert {row["id"] for row in other} != {row["id"] for row in rows}


def test_labelled_empty_repeated_and_known_rows_are_passed_over(whet, train, tmp_path):
    texts, labels = house.sentences(60, seed=41)
    written = labels[:40] + [""] * 20
    data = house.write_csv(tmp_path / "part.csv", {"text": texts, "label": written})
    train(data).ok()
    outcome = whet("select", "run", data, "--rows", "50", "--to", "next.csv").ok()
    assert "40 rows of" in outcome.err
    assert "have a label in 'label': passed over" in outcome.err
    assert {row["text"] for row in read_csv("next.csv")} == set(texts[40:])
    fresh, _ = house.sentences(10, seed=42)
    rows = [*fresh, fresh[0].upper(), "  ", texts[0], texts[50]]
    pool = house.write_csv(tmp_path / "pool.csv", {"text": rows})
    outcome = whet("select", "run", pool, "--rows", "50", "--to", "next.csv").ok()
    for part in ("has an empty text", "has the text of a labelled row", "has the text of an earlier row"):
        assert f"1 row of {pool} {part}: passed over" in outcome.err
    assert {row["text"] for row in read_csv("next.csv")} == {*fresh, texts[50]}, (
        "unlabelled ones are no known rows"
    )
    seen = house.write_csv(tmp_path / "seen.csv", {"text": texts[:5]})
    whet("select", "run", seen).refused("no row is left to choose from", "5 rows", "labelled row")


def test_where_the_training_rows_cannot_be_known_it_is_said(whet, train, reviews, classifier, pool):
    train(reviews).ok()
    reviews.unlink()
    outcome = whet("select", "run", pool, "--rows", "5").ok()
    assert "cannot be read" in outcome.err
    assert "not passed over" in outcome.err
    assert "is no run folder" in whet("select", classifier, pool, "--rows", "5").ok().err


def test_a_filled_in_file_trains(whet, train, classifier, pool):
    whet("select", classifier, pool, "--rows", "30", "--to", "next.csv").ok()
    rows = read_csv("next.csv")
    for i, row in enumerate(rows):
        row["label"] = CLASSES[i % 3]
    house.write_csv(Path("filled.csv"), {name: [row[name] for row in rows] for name in rows[0]})
    outcome = train("filled.csv").ok()
    assert "texts: column 'text'" in outcome.err
    assert "labels: column 'label'" in outcome.err


def test_columns_of_our_names_are_kept_and_named_ones_are_read(whet, train, tmp_path):
    first, second, labels = house.pairs(30)
    data = house.write_csv(tmp_path / "pairs.csv", {"a": first, "b": second, "same": labels})
    train(data, "--text", "a", "--pair", "b", "--label", "same").ok()
    one, other, _ = house.pairs(20, seed=3)
    pool = tmp_path / "pool.jsonl"
    house.write_jsonl(
        pool, [{"x": x, "y": y, "predicted": 7, "line": "z"} for x, y in zip(one, other, strict=True)]
    )
    rows = house.read_jsonl(whet("select", "run", pool, "--text", "x", "--pair", "y", "--rows", "3").ok().out)
    assert list(rows[0]) == ["x", "y", "input_predicted", "input_line", "same", *OURS]
    assert {row["input_predicted"] for row in rows} == {7}
    house.write_jsonl(pool, [{"text": x} for x in one])
    whet("select", "run", pool).refused("the model was trained on pairs of texts")


def test_what_cannot_be_is_refused(whet, classifier, pool):
    message = whet("select", classifier, pool, "--rows", "0", "--seed", "-1").refused("rows=0", "from 1 up")
    assert "seed=-1" in message
    whet("select", classifier, pool, "--to", "next.txt").refused("must end in .csv or .jsonl", status=2)
    whet("select", classifier, "pol.csv").refused("no such file", "did you mean")
    whet("select", classifier, pool, "--text", "txt").refused("no column 'txt'")
    assert not list(Path().glob("next*"))


def test_from_python(classifier, pool):
    import whet

    selection = whet.select(whet.load(classifier), str(pool), rows=4, quiet=True)
    assert len(selection.rows) == 4
    assert selection.n_candidates == 150
    assert selection.columns == ("id", "text", "label", *OURS)
    again = whet.select(
        str(classifier), {"text": [row["text"] for row in selection.rows]}, rows=4, quiet=True
    )
    assert {row["text"] for row in again.rows} == {row["text"] for row in selection.rows}
    assert sorted(row["row"] for row in again.rows) == [1, 2, 3, 4]
