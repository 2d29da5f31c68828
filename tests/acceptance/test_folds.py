"""`whet train --folds`: a run a fold, each row answered by a model that has not seen it, and the lists."""

import csv
import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef

from tests.acceptance import house
from tests.acceptance.forks import Forks, prepared

FOLDS = ("--folds", "3", "--epochs", "2")
LABELS = list(house.CLASSES)


def manifest_of(folder: Path | str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / "run.json").read_text())
    return content


def weights_of(folder: Path | str) -> bytes:
    return (Path(folder) / "model" / "model.safetensors").read_bytes()


def read_csv(path: Path | str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def answers_of(folder: str = "run") -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    """The lines of predictions.folds.jsonl, their probabilities (n, k) and labels (n,)."""
    rows = house.read_jsonl(Path(folder, "predictions.folds.jsonl"))
    chances = np.array([[row["probabilities"][label] for label in LABELS] for row in rows])
    return rows, chances, np.array([LABELS.index(row["label"]) for row in rows])


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """90 rows, of which nine carry a wrong label, six are one text, and one has no label."""
    texts, labels = house.sentences(84)
    for i in range(0, 81, 9):
        labels[i] = LABELS[(LABELS.index(labels[i]) + 1) % 3]
    texts += [
        "The same  text",
        "the same text",
        "the SAME text",
        "the same text ",
        "The same text",
        " the same text",
    ]
    labels += ["refund"] * 5 + [""]
    return house.write_csv(tmp_path / "noisy.csv", {"text": texts, "label": labels})


def test_each_row_is_answered_once_by_a_model_that_has_not_seen_it(whet, train, noisy):
    train(noisy, *FOLDS).ok()
    rows, chances, _ = answers_of()
    data = read_csv(noisy)
    assert [row["line"] for row in rows] == list(range(2, 91))
    assert [row["label"] for row in rows] == [row["label"] for row in data[:89]]
    assert len({row["fold"] for row in rows[84:]}) == 1, "one text, one fold"
    for fold in (1, 2, 3):
        own = [row["line"] for row in rows if row["fold"] == fold]
        assert 28 <= len(own) <= 31
        run = manifest_of(f"run/folds/{fold}")
        assert (run["data"]["test"]["rows"], run["data"]["train"]["rows"] + run["data"]["dev"]["rows"]) == (
            len(own),
            89 - len(own),
        )
        texts = [data[line - 2]["text"] for line in own]
        held_out = house.read_jsonl(Path(f"run/folds/{fold}/predictions.dev.jsonl"))
        assert not {row["text"] for row in held_out} & set(texts)
        house.write_csv(Path("own.csv"), {"text": texts})
        again = house.read_jsonl(whet("predict", f"run/folds/{fold}", "own.csv").ok().out)
        expected = [[row["probabilities"][label] for label in LABELS] for row in again]
        np.testing.assert_allclose(chances[[line - 2 for line in own]], expected, atol=1e-6)


def test_the_model_is_the_one_of_a_run_without_folds(train, reviews):
    train(reviews, *FOLDS).ok()
    train(reviews, "--epochs", "2", out="alone").ok()
    assert weights_of("run") == weights_of("alone")
    assert Path("run/metrics.jsonl").read_bytes() == Path("alone/metrics.jsonl").read_bytes()
    assert manifest_of("run")["results"]["dev"] == manifest_of("alone")["results"]["dev"]


def test_figures_are_those_of_the_folds_and_of_all_rows(train, noisy):
    outcome = train(noisy, *FOLDS).ok()
    found = manifest_of("run")["cross_validation"]
    tests = [manifest_of(f"run/folds/{fold}")["results"]["test"] for fold in (1, 2, 3)]
    for name in ("accuracy", "macro_f1", "mcc", "nll"):
        values = np.array([test[name] for test in tests])
        assert found["summary"][name]["mean"] == pytest.approx(values.mean(), abs=1e-12)
        assert found["summary"][name]["sd"] == pytest.approx(values.std(ddof=1), abs=1e-12)
        assert f"{values.mean():.4f}" in outcome.out
    rows, chances, labels = answers_of()
    predicted = [LABELS.index(row["predicted"]) for row in rows]
    pooled = found["out_of_fold"]
    assert pooled["n"] == 89
    assert pooled["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert pooled["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert pooled["mcc"] == pytest.approx(matthews_corrcoef(labels, predicted))
    assert pooled["nll"] == pytest.approx(log_loss(labels, chances))
    low, high = pooled["intervals"]["accuracy"]
    assert low < pooled["accuracy"] < high


def test_label_errors_are_cleanlabs_and_the_hardest_are_the_others(train, noisy):
    outcome = train(noisy, *FOLDS, "--epochs", "6").ok()
    rows, chances, labels = answers_of()
    expected = find_label_issues(labels, chances, return_indices_ranked_by="self_confidence", n_jobs=1)
    errors = read_csv("run/label_errors.csv")
    data = read_csv(noisy)
    assert len(expected) > 0, "else this test shows nothing"
    assert [int(error["line"]) for error in errors] == [rows[i]["line"] for i in expected]
    for error, i in zip(errors, expected, strict=True):
        assert (error["file"], error["text"]) == (str(noisy), data[rows[i]["line"] - 2]["text"])
        assert (error["label"], error["suggested"]) == (LABELS[labels[i]], LABELS[chances[i].argmax()])
        assert float(error["label_probability"]) == pytest.approx(chances[i, labels[i]], abs=1e-4)
        assert float(error["suggested_probability"]) == pytest.approx(chances[i].max(), abs=1e-4)
    assert f"{len(expected)} row" in outcome.out
    for error in errors[:3]:
        assert f"{error['file']}:{error['line']}" in outcome.out
    others = np.delete(np.arange(89), expected)
    order = others[np.argsort(chances[others, labels[others]], kind="stable")]
    hardest = read_csv("run/hardest.csv")
    assert [int(row["line"]) for row in hardest] == [rows[i]["line"] for i in order]
    assert len(hardest) + len(errors) == 89


def test_a_group_stays_in_one_fold_and_on_one_side_of_dev(train, tmp_path):
    texts, labels = house.sentences(72)
    authors = [f"a{i // 4}" for i in range(72)]
    data = house.write_csv(tmp_path / "grouped.csv", {"text": texts, "label": labels, "author": authors})
    outcome = train(data, *FOLDS, "--group", "author").ok()
    assert "'author'" in outcome.err
    rows, _, _ = answers_of()
    folds: dict[str, set[int]] = {}
    for row in rows:
        folds.setdefault(authors[row["line"] - 2], set()).add(row["fold"])
    assert all(len(found) == 1 for found in folds.values())
    for run in ("run", "run/folds/1", "run/folds/2", "run/folds/3"):
        held_out = {row["author"] for row in house.read_jsonl(Path(run, "predictions.dev.jsonl"))}
        n_held_out = manifest_of(run)["data"]["dev"]["rows"]
        assert n_held_out == 4 * len(held_out), "whole authors"
    assert manifest_of("run")["named"]["group"] == "author"


def test_pairs_without_lines_and_a_dev_of_the_users_own(train, tmp_path):
    import pandas as pd

    first, second, labels = house.pairs(48)
    data = tmp_path / "pairs.parquet"
    pd.DataFrame({"premise": first, "hypothesis": second, "label": labels}).to_parquet(data)
    first, second, labels = house.pairs(12, seed=5)
    pd.DataFrame({"premise": first, "hypothesis": second, "label": labels}).to_parquet(
        tmp_path / "dev.parquet"
    )
    train(data, "--folds", "2", "--dev", tmp_path / "dev.parquet").ok()
    header = Path("run/hardest.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "file,row,text,pair,label,likeliest,label_probability,likeliest_probability"
    assert len(house.read_jsonl(Path("run/predictions.folds.jsonl"))) == 48
    for fold in (1, 2):
        assert manifest_of(f"run/folds/{fold}")["data"]["dev"]["rows"] == 12
        assert manifest_of(f"run/folds/{fold}")["data"]["train"]["rows"] == 24


def test_what_cannot_be_leaves_nothing_behind(train, reviews, tmp_path):
    train(reviews, "--folds", "1").refused("folds=1", "from 2 up")
    train(reviews, "--folds", "2", "--seeds", "2", out="run").refused("choose one of the two", status=2)
    train(reviews, "--folds", "49").refused("49 folds need as many different texts", "there are 48")
    train(reviews, "--folds", "2", "--group", "autor").refused("no column 'autor'", "text, label")
    train(reviews, "--folds", "4", "--group", "label").refused("different values of 'label'", "there are 3")
    assert not Path("run").exists()
    train(reviews, *FOLDS).ok()
    train(reviews, "--resume", "--folds", "4").refused("folds: the run has 3, now 4")
    assert "finished already" in train(reviews, "--resume", *FOLDS).ok().err


def test_a_fold_that_fails_is_told_and_its_rows_are_left_out(train, reviews, monkeypatch):
    from whet.training import loop

    real = loop.accumulate
    broken_texts = {0}

    def broken(model: Any, examples: Any, texts: Any, step: int, config: Any, *others: Any) -> float:
        if len(examples.store) in broken_texts:
            raise loop.NonFiniteLoss(step, [0])
        return real(model, examples, texts, step, config, *others)

    train(reviews, "--folds", "5", out="whole").ok()
    sizes = [manifest_of(f"whole/folds/{fold}")["data"]["train"]["rows"] for fold in range(1, 6)]
    odd = next(size for size in sizes if sizes.count(size) < 3)
    broken_texts = {odd}
    monkeypatch.setattr(loop, "accumulate", broken)
    outcome = train(reviews, "--folds", "5").ok()
    lost = [fold for fold, size in enumerate(sizes, 1) if size == odd]
    found = manifest_of("run")["cross_validation"]
    assert list(found["failed"]) == [f"Fold {fold}" for fold in lost]
    assert f"Fold {lost[0]} failed" in outcome.err
    expected = [row for row in answers_of("whole")[0] if row["fold"] not in lost]
    assert answers_of()[0] == expected
    assert found["out_of_fold"]["n"] == len(expected)
    assert weights_of("run") == weights_of("whole")


def test_a_dry_run_counts_all_runs(train, reviews):
    assert "4 times" in train(reviews, "--dry-run", *FOLDS, out=None).ok().out


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("faults")
    yield from prepared(folder, folder)


def test_killed_folds_go_on_to_the_same_bits(forks: Forks):
    command = [*forks.train, "--folds", "2"]
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, output = forks.run(*command)
    assert status == 0, output

    def result() -> dict[str, Any]:
        run = forks.folder / "run"
        names = ("model/model.safetensors", "predictions.folds.jsonl", "label_errors.csv", "hardest.csv")
        files = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names}
        return files | {
            "folds": forks.result("folds/1", "folds/2"),
            "cv": manifest_of(run)["cross_validation"],
        }

    def without_seconds(found: dict[str, Any]) -> dict[str, Any]:
        for run in found["cv"]["runs"].values():
            run.pop("training_seconds")
        return found

    expected, moments = without_seconds(result()), forks.moments
    ends = [place for place, name in enumerate(moments, 1) if name == "renamed run.json"]
    in_second_fold = ends[1] + 20
    in_lists = next(place for place, name in enumerate(moments, 1) if name == "renamed label_errors.csv")
    for at in (in_second_fold, in_lists, in_lists + 25, len(moments) - 3):
        shutil.rmtree(forks.folder / "run")
        status, output = forks.run(*command, at=at)
        assert status == -signal.SIGKILL, output
        status, output = forks.run(*forks.train, "--resume")
        assert status == 0, output
        assert without_seconds(result()) == expected, f"killed at {at}, {moments[at - 1]}"


def test_a_dry_run_refuses_what_the_run_would(train, reviews):
    train(reviews, "--folds", "49", "--dry-run", out=None).refused("49")
