"""Questions about texts, from the command line: forms of input, exact characters, what is wrong."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whet as library
from tests.acceptance import house

NAMES = ("Emma Clark", "Ito", "Ana da Silva", "Zoë O'Neil", "東京太郎")
OPTIONS = {
    "epochs": 9,
    "batch_size": 8,
    "min_steps": 0,
    "threads": 1,
    "learning_rate": 5e-3,
    "head_learning_rate": 5e-3,
}


def rows(count: int, seed: int = 0, unanswerable: bool = True) -> list[dict[str, Any]]:
    """Who stands behind "by"; where nobody does, there is no answer. Five questions to each title."""
    rng, made = random.Random(seed), []
    for i in range(count):
        name = rng.choice(NAMES)
        known = not unanswerable or rng.random() > 0.3
        before = " ".join(rng.choices(house.FILLER, k=rng.randint(1, 8)))
        after = " ".join(rng.choices(house.FILLER, k=rng.randint(1, 8)))
        context = f"{before} by {name} , {after} {i}." if known else f"{before} {i} , {after}."
        answers = {"text": [name] * known, "answer_start": [len(before) + 4] * known}
        made.append({"title": f"t{seed}-{i // 5}", "question": "by?", "context": context, "answers": answers})
    return made


def squad(path: Path, made: list[dict[str, Any]], version_two: bool = True) -> Path:
    articles: dict[str, list[Any]] = {}
    for i, row in enumerate(made):
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        question = {
            "id": f"q{i}",
            "question": row["question"],
            "answers": [{"text": text, "answer_start": start} for text, start in pairs],
        }
        if version_two:
            question["is_impossible"] = not row["answers"]["text"]
        articles.setdefault(row["title"], []).append({"context": row["context"], "qas": [question]})
    data = [{"title": title, "paragraphs": paragraphs} for title, paragraphs in articles.items()]
    path.write_text(json.dumps({"version": "2", "data": data}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on SQuAD 2.0's form, and a test file."""
    made = tmp_path_factory.mktemp("questions")
    encoder = house.make_checkpoint(made / "tiny")
    squad(made / "train.json", rows(150))
    squad(made / "test.json", rows(40, 1))
    library.train(made / "train.json", model=encoder, out=made / "run", quiet=True, **OPTIONS)
    return made


def figures(whet: Callable[..., Any], run: Path, file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(whet("eval", run, file, "--json").ok().out)["metrics"]
    return found


def test_it_learns_and_every_form_scores_the_same(whet, folder, tmp_path):
    wanted = figures(whet, folder / "run", folder / "test.json")
    assert wanted["f1"] > 60, "it learns, so that equal figures mean something"
    assert {"has_answer_f1", "no_answer_f1", "best_f1", "best_f1_threshold"} <= wanted.keys()
    made = rows(40, 1)
    nested = tmp_path / "nested.jsonl"
    nested.write_text("".join(json.dumps(row) + "\n" for row in made))
    flat = {
        "title": [row["title"] for row in made],
        "question": [row["question"] for row in made],
        "context": [row["context"] for row in made],
        "answer": [(row["answers"]["text"] or [""])[0] for row in made],
        "answer_start": [(row["answers"]["answer_start"] or [""])[0] for row in made],
        "is_impossible": [not row["answers"]["text"] for row in made],
    }
    for file in (nested, house.write_csv(tmp_path / "flat.csv", flat)):
        found = figures(whet, folder / "run", file)
        assert {key: found[key] for key in ("f1", "exact", "nll", "no_answer_f1")} == {
            key: pytest.approx(wanted[key], abs=1e-9) for key in ("f1", "exact", "nll", "no_answer_f1")
        }


def test_characters_are_exact_and_no_answer_has_none(whet, folder):
    lines = house.read_jsonl(whet("predict", folder / "run", folder / "test.json").ok().out)
    assert len(lines) == 40
    empty = [line for line in lines if line["answer"] == ""]
    assert 0 < len(empty) < 40
    assert all(line["start"] is None and line["end"] is None for line in empty)
    for line in lines:
        for one in line["answers"]:
            assert line["context"][one["start"] : one["end"]] == one["text"]
        if line["answer"]:
            assert line["context"][line["start"] : line["end"]] == line["answer"]
        chances = sum(one["probability"] for one in line["answers"]) + line["no_answer_probability"]
        assert 0 < chances <= 1 + 1e-9


def test_a_long_context_is_read_in_windows_and_answered_wherever_it_stands(folder):
    model = library.load(folder / "run")
    filler = "the a an it is was we you they i " * 400
    (one,) = model.predict([("by?", f"{filler}by Emma Clark , {filler}")])
    assert len(filler) * 2 > 25_000
    assert all(one.answers[i].text for i in range(len(one.answers)))
    store = model.module._store([("by?", f"{filler}by Emma Clark , {filler}")]).ensure()
    assert store.n_windows[0] > 20
    (huge,) = model.predict([("by?", "word " * 20_000)])  # 100,000 characters
    assert huge.answers


def test_a_model_without_unanswerable_questions_always_answers(whet, folder, tmp_path):
    file = squad(tmp_path / "one.json", rows(60, 3, unanswerable=False), version_two=False)
    library.train(file, model=folder / "tiny", out=tmp_path / "run", quiet=True, **{**OPTIONS, "epochs": 1})
    lines = house.read_jsonl(whet("predict", tmp_path / "run", folder / "test.json", "--no-input").ok().out)
    assert all(line["answer"] for line in lines)
    saved = json.loads((tmp_path / "run" / "model" / "whet.json").read_text())["task"]
    assert saved["decision"]["null_threshold"] is None


def test_whole_articles_are_held_out(folder):
    held = house.read_jsonl(folder / "run" / "predictions.dev.jsonl")
    counts = np.unique([row["title"] for row in held], return_counts=True)[1]
    assert counts.tolist() == [5] * len(counts)


def test_intervals_see_articles_as_drawn_at_random(whet, folder, tmp_path):
    """Proof that it can fail: without `QuestionAnswering.clusters` both files had the same intervals."""
    together = figures(whet, folder / "run", folder / "test.json")
    alone = [row | {"title": f"own-{i}"} for i, row in enumerate(rows(40, 1))]
    apart = figures(whet, folder / "run", squad(tmp_path / "alone.json", alone))
    assert together["f1"] == pytest.approx(apart["f1"])
    assert together["intervals"]["f1"] != apart["intervals"]["f1"]


def test_a_model_fine_tuned_elsewhere_opens(whet, folder, tmp_path):
    import transformers

    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder / "run" / "model")
    model.save_pretrained(tmp_path / "theirs")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "theirs" / name).write_bytes((folder / "run" / "model" / name).read_bytes())
    found = figures(whet, tmp_path / "theirs", folder / "test.json")
    ours = figures(whet, folder / "run", folder / "test.json")
    assert found["no_answer_f1"] == 0, "no threshold is known of it"
    assert found["nll"] == pytest.approx(ours["nll"], abs=1e-6)


@pytest.mark.parametrize("max_length", [4, 5])
def test_the_shortest_windows_hold_a_token_of_the_context(folder, tmp_path, max_length):
    options = {**OPTIONS, "epochs": 1, "max_length": max_length}
    library.train(folder / "train.json", model=folder / "tiny", out=tmp_path / "run", quiet=True, **options)
    model = library.load(tmp_path / "run")
    context = " ".join(house.FILLER[:10])
    store = model.module._store([("who is it by ?", context)]).ensure()
    assert store.n_windows[0] == 10
    (one,) = model.predict([("who is it by ?", context)])
    assert {answer.text for answer in one.answers} <= set(context.split())


def test_what_is_wrong_is_told_by_row_and_mended(whet, folder, tmp_path):
    made = rows(60, 4)
    wrong = next(i for i, row in enumerate(made) if row["answers"]["text"])
    made[wrong]["answers"]["answer_start"] = [made[wrong]["answers"]["answer_start"][0] + 3]
    absent = next(i for i, row in enumerate(made) if row["answers"]["text"] and i > wrong)
    made[absent]["answers"] = {"text": ["nobody at all"], "answer_start": [0]}
    made[absent + 1]["question"] = " "
    file = squad(tmp_path / "bad.json", made)
    printed = whet("check", file, "--model", folder / "tiny").out
    for part in (
        "1 question has an answer that does not begin where it should; it was moved.",
        "1 question has an answer that is not in their context",
        "1 question is empty, and left out.",
        f"bad.json, question q{wrong}: the answer",
    ):
        assert part in printed, part
    library.train(file, model=folder / "tiny", out=tmp_path / "run", quiet=True, **{**OPTIONS, "epochs": 1})
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["task"] == "question-answering"


def test_answers_that_no_window_holds_are_told(whet, train, folder, tmp_path):
    made = rows(30, 5)
    long = " ".join(house.FILLER[:50])
    context = f"so {long} by us"
    made[3] |= {"context": context, "answers": {"text": [long], "answer_start": [3]}}
    file = squad(tmp_path / "long.json", made)
    options = ("--max-length", "40", "--set", "min_steps=0", "--set", "dev_fraction=0", "--epochs", "1")
    ended = train(file, *options, model=folder / "tiny").ok()
    assert "1 of the training answers stand whole in no window" in ended.err
    printed = whet("check", file, "--model", folder / "tiny", "--set", "max_length=40").out
    assert "1 answer stands whole in no window." in printed
    assert "long.json, row 4" in printed


@pytest.mark.parametrize("setting", ["class_weights=balanced", "threshold=f1", "long_texts=window"])
def test_settings_that_are_not_for_questions_are_refused(train, folder, setting):
    """Settings that do nothing would be believed to do something."""
    error = train(folder / "train.json", "--set", setting, model=folder / "tiny").refused(
        "question-answering"
    )
    assert setting.partition("=")[0] in error


def test_questions_have_no_epochs_of_the_head_alone(folder):
    """The default's head_first is left out: two passes over all contexts would teach a head of two outputs
    next to nothing."""
    run = folder / "run"
    config = json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]
    assert config["head_first"] == 0
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    looks = [line for line in map(json.loads, lines) if line["event"] == "evaluation"]
    assert [look["epoch"] for look in looks] == list(range(1, OPTIONS["epochs"] + 1))
