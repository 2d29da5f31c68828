"""What every task must do, whichever it is: one entry in TASKS here, and all of it is checked.

The oracle of logits and losses is transformers' own class, opened from the saved folder.
"""

import ast
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from tests.acceptance import house

N_TRAIN, N_TEST = 90, 30


@dataclass(frozen=True)
class Entry:
    """One task: rows to train on, and what is its own."""

    targets: Callable[[Sequence[str], random.Random], dict[str, list[Any]]]  # label columns, from true labels
    hf_labels: Callable[[Any, dict[str, list[Any]]], torch.Tensor]  # for transformers' loss, from config
    bad: tuple[tuple[dict[str, Any], str], ...]  # a row's label columns, and what the message says
    coverages: bool = True  # has prediction sets or intervals
    shape: Literal["text", "words", "question"] = "text"  # of what stands in a row


def _one_label(labels: Sequence[str], _: random.Random) -> dict[str, list[Any]]:
    return {"label": list(labels)}


def _number(labels: Sequence[str], rng: random.Random) -> dict[str, list[Any]]:
    middle = {"delivery": 10.0, "praise": 20.0, "refund": 45.0}
    return {"score": [round(middle[label] + rng.uniform(-3, 3), 2) for label in labels]}


def _tags(labels: Sequence[str], rng: random.Random) -> dict[str, list[Any]]:
    """Sentences with a name and often a town; both columns, since the words are made here."""
    names, towns = (["Emma", "Clark"], ["Ito"], ["Ana", "da", "Silva"]), (["Bonn"], ["New", "York"])
    tokens, tags = [], []
    for label in labels:
        name, town = rng.choice(names), rng.choice([*towns, []])
        tokens.append(["our", label, "by", *name, *["in"] * bool(town), *town, "."])
        tags.append(
            ["O", "O", "O", *_iob("PER", name), *["O"] * bool(town), *_iob("LOC", town), "O"],
        )
    return {"tokens": tokens, "tags": tags}


def _questions(labels: Sequence[str], rng: random.Random) -> dict[str, list[Any]]:
    """Who it was, who stands behind "by" in the context; two questions to each context."""
    names = ("Emma Clark", "Ito", "Ana da Silva")
    contexts, answers = [], []
    for i, label in enumerate(labels):
        name = rng.choice(names)
        context = f"our {label} number {i // 2} by {name} ."
        contexts.append(context)
        known = i % 5 > 0  # of the others nobody knows who it was
        starts = [context.index(name)] if known else []
        answers.append({"text": [name] * known, "answer_start": starts})
    return {"question": [f"by {label} ?" for label in labels], "context": contexts, "answers": answers}


def _iob(kind: str, words: list[str]) -> list[str]:
    return [f"{'I' if i else 'B'}-{kind}" for i in range(len(words))]


def _some_labels(labels: Sequence[str], rng: random.Random) -> dict[str, list[Any]]:
    """The true label, half the time "loud" beside it, and now and then none; lists as pandas writes them."""
    rows = [[label, *rng.choice((["loud"], []))] for label in labels]
    return {"labels": [str(rng.choice([[], *[row] * 6])) for row in rows]}


def _zeros_and_ones(model: Any, columns: dict[str, list[Any]]) -> torch.Tensor:
    names = list(model.config.label2id)
    rows = [ast.literal_eval(row) for row in columns["labels"]]
    return torch.tensor([[float(name in row) for name in names] for row in rows], dtype=torch.float64)


TASKS = {
    "classification": Entry(
        _one_label,
        lambda model, columns: torch.tensor([model.config.label2id[name] for name in columns["label"]]),
        (({"label": "deliverry"}, "'deliverry' is not one of the 3 labels"),),
    ),
    "multilabel-classification": Entry(
        _some_labels,
        _zeros_and_ones,
        (
            ({"labels": "['delivery', 'laud']"}, "bad.csv:3: label 'laud' is not one of the 4 labels"),
            (
                {"labels": "['delivery', laud]"},
                "bad.csv:3: 'labels' holds ['delivery', laud], which is no list",
            ),
        ),
        coverages=False,
    ),
    "regression": Entry(
        _number,
        lambda model, columns: torch.tensor(columns["score"], dtype=torch.float64),
        (
            ({"score": "high"}, "no finite number: line 3 'high'"),
            ({"score": "nan"}, "no finite number: line 3 'nan'"),
        ),
    ),
    "token-classification": Entry(
        _tags,
        lambda model, columns: torch.tensor(
            [model.config.label2id[tag] for tags in columns["tags"] for tag in tags]
        ),
        (
            ({"tokens": ["a"], "tags": ["PER"]}, "bad.jsonl:2: 'PER' is no entity tag of IOB2"),
            ({"tokens": ["a", "b"], "tags": ["O"]}, "bad.jsonl:2: 2 words and 1 tag"),
            (
                {"tokens": ["a"], "tags": ["B-PERS"]},
                "bad.jsonl:2: 'PERS' is not one of the types of entities",
            ),
        ),
        coverages=False,
        shape="words",
    ),
    "question-answering": Entry(
        _questions,
        lambda model, columns: torch.tensor([]),
        (
            (
                {"question": "by?", "context": "by us", "answers": {"text": ["us"], "answer_start": [1, 2]}},
                "bad.jsonl:2: ",
            ),
        ),
        coverages=False,
        shape="question",
    ),
}


def _write(path: Path, entry: Entry, texts: list[Any], columns: dict[str, list[Any]]) -> Path:
    """A file of these rows, in a format that can hold them."""
    if entry.shape == "text":
        return house.write_csv(path.with_suffix(".csv"), {"text": texts, **columns})
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    file = path.with_suffix(".jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@dataclass
class Trained:
    """One run of a task, and rows that it has not seen."""

    name: str
    entry: Entry
    folder: Path
    test: Path
    texts: list[Any]  # strings, or lists of words
    columns: dict[str, list[Any]]
    task: Any

    @property
    def run(self) -> Path:
        return self.folder / "run"


@pytest.fixture(scope="module", params=list(TASKS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    import whet

    name, entry = request.param, TASKS[request.param]
    folder = tmp_path_factory.mktemp(name)
    rng = random.Random(3)
    files = {}
    for split, count, seed in (("train", N_TRAIN, 0), ("test", N_TEST, 50)):
        texts, labels = house.sentences(count, seed)
        columns = entry.targets(labels, rng)
        if entry.shape == "words":
            texts = columns["tokens"]
        if entry.shape == "question":
            texts = list(zip(columns["question"], columns["context"], strict=True))
        files[split] = _write(folder / split, entry, texts, columns)
    encoder = house.make_checkpoint(folder / "tiny")
    whet.train(
        files["train"], model=encoder, out=folder / "run", epochs=2, threads=1, precision="float32",
        quiet=True, learning_rate=1e-3, dev_fraction=0.3,
    )  # fmt: skip
    model = whet.load(folder / "run")
    assert model.module.task.name == name, "the task is inferred from the file"
    return Trained(name, entry, folder, files["test"], texts, columns, model.module.task)


IN_UNITS = ("value", "interval")  # keys whose numbers are logits in units of the target's spread
SPREAD = 14.0  # of the targets of `_number`, about


def _close(one: Any, other: Any, unit: float = 1.0) -> bool:
    """Equal but for rounding, whatever they are made of."""
    if isinstance(one, dict):
        units = {key: SPREAD if key in IN_UNITS else unit for key in one}
        return one.keys() == other.keys() and all(_close(one[key], other[key], units[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_close(a, b, unit) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float | int):
        return abs(one - other) <= 1e-5 * max(unit, abs(one))
    return bool(one == other)


def test_file_python_single_rows_and_any_batching_agree(trained, whet, monkeypatch):
    import whet as library
    from whet import predictor

    options = ["--label-sets", "0.8"] if trained.entry.coverages else []
    lines = house.read_jsonl(
        whet("predict", trained.run, trained.test, "--no-input", "--logits", *options).ok().out
    )
    assert len(lines) == N_TEST
    model = library.load(trained.run)
    keywords = {"label_sets": 0.8} if trained.entry.coverages else {}
    together = [found.to_json() for found in model.predict(trained.texts, logits=True, **keywords)]
    assert _close(together, lines)
    alone = [
        found.to_json() for text in trained.texts for found in model.predict([text], logits=True, **keywords)
    ]
    assert _close(alone, lines)
    monkeypatch.setattr(predictor, "_WINDOW", 7)
    monkeypatch.setattr(predictor, "_TOKENS", 32)
    windows = [found.to_json() for found in model.predict(trained.texts, logits=True, **keywords)]
    assert _close(windows, lines)
    assert not _close(together, together[::-1]), "else this test shows nothing"


def test_figures_are_about_what_is_predicted(trained, whet):
    found = json.loads(whet("eval", trained.run, trained.test, "--json").ok().out)
    assert (found["task"], found["rows"]) == (trained.name, N_TEST)
    metrics = found["metrics"]
    for key in trained.task.figures:
        ends = metrics["intervals"][key]
        assert metrics[key] is None or ends is None or ends[0] <= metrics[key] <= ends[1], key
    import whet as library

    assert library.load(trained.run).evaluate(trained.test).to_json()["metrics"] == metrics
    printed = whet("eval", trained.run, trained.test).ok().out
    for key, title in trained.task.figures.items():
        assert title in printed
        assert metrics[key] is None or f"{metrics[key]:.4f}" in printed


def test_decision_rules_are_kept_in_a_copy_of_the_model(trained, whet, tmp_path):
    import shutil

    import whet as library

    shutil.copytree(trained.run / "model", tmp_path / "copy")
    again = library.load(tmp_path / "copy").module.task
    assert again.to_json() == library.load(trained.run).module.task.to_json()
    saved = json.loads((tmp_path / "copy" / "whet.json").read_text())["task"]
    assert saved["decision"]["n_rows"] > 0


def test_transformers_opens_the_model_and_computes_the_same_logits_and_loss(trained):
    """In float64, on weights that training has made, at 1e-10. Proof that it can fail: without the division
    by the deviation in Regression.losses."""
    import transformers

    import whet as library

    folder = trained.run / "model"
    shape = trained.entry.shape
    opened = getattr(transformers, CLASSES[shape]).from_pretrained
    theirs, report = opened(folder, dtype=torch.float64, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokeniser = transformers.AutoTokenizer.from_pretrained(folder)
    if shape == "question":
        _check_spans(trained, theirs.eval(), tokeniser, library.load(folder, precision="float64").module)
        return
    encoded = tokeniser(
        trained.texts, return_tensors="pt", padding=True, is_split_into_words=shape == "words"
    )
    labels = trained.entry.hf_labels(theirs, trained.columns)
    firsts = None
    if shape == "words":
        firsts = torch.tensor([_first_tokens(encoded.word_ids(i)) for i in range(len(trained.texts))])
        labels = torch.full(firsts.shape, -100).masked_scatter(firsts, labels)
    ours = library.load(folder, precision="float64").module
    scaled = getattr(trained.task, "scale", None)
    wanted = labels if scaled is None else torch.from_numpy(scaled.scaled(labels.numpy()))
    with torch.no_grad():
        output = theirs.eval()(**encoded, labels=wanted)
        found = ours(trained.texts, trained.columns["tags"] if shape == "words" else labels)
    logits = output.logits if firsts is None else output.logits[firsts]
    np.testing.assert_allclose(found.logits, logits, atol=1e-10)
    assert float(found.loss) == pytest.approx(float(output.loss), abs=1e-10)
    assert theirs.config.problem_type == trained.task.problem_type


CLASSES = {
    "text": "AutoModelForSequenceClassification",
    "words": "AutoModelForTokenClassification",
    "question": "AutoModelForQuestionAnswering",
}


def _check_spans(trained: Trained, theirs: Any, tokeniser: Any, ours: Any) -> None:
    """Question by question, since transformers' loss sees padding; answers placed by its char_to_token."""
    logits, losses, targets = [], [], []
    for (question, context), answer in zip(trained.texts, trained.columns["answers"], strict=True):
        encoded = tokeniser(question, context, return_tensors="pt")
        first = last = 0
        for start, text in zip(answer["answer_start"], answer["text"], strict=True):
            first, last = (encoded.char_to_token(0, at, 1) for at in (start, start + len(text) - 1))
        with torch.no_grad():
            output = theirs(
                **encoded, start_positions=torch.tensor([first]), end_positions=torch.tensor([last])
            )
        logits.append(torch.stack([output.start_logits[0], output.end_logits[0]], 1))
        losses.append(float(output.loss))
        targets.append([len(logits[-1]), first, last])
    with torch.no_grad():
        found = ours(trained.texts, torch.tensor(targets))
    np.testing.assert_allclose(found.logits, torch.cat(logits), atol=1e-10)
    assert float(found.loss) == pytest.approx(np.mean(losses), abs=1e-10)
    store = ours._store(trained.texts).ensure()
    rows = np.arange(len(trained.texts))
    table = {name: list(values) for name, values in trained.columns.items()}
    from whet.data.columns import infer_columns
    from whet.data.readers import read_table

    read = trained.task.read(read_table(table), infer_columns(read_table(table)))
    assert trained.task.tensor(read, store.marks(rows)).tolist() == targets


def _first_tokens(words: list[int | None]) -> list[bool]:
    """Whether each token is the first of its word."""
    before = [None, *words[:-1]]
    return [word is not None and word != last for word, last in zip(words, before, strict=True)]


def test_every_kind_of_bad_row_is_named(trained, whet, tmp_path):
    texts, columns = list(trained.texts), {name: list(values) for name, values in trained.columns.items()}
    for bad, message in trained.entry.bad:
        wrong = {name: [*values[:1], bad[name], *values[2:]] for name, values in columns.items()}
        file = _write(tmp_path / "bad", trained.entry, texts, wrong)
        error = whet("eval", trained.run, file).refused(message)
        assert "Traceback" not in error


def test_rows_without_target_are_counted_and_left_out(trained, whet, tmp_path):
    columns = {name: list(values) for name, values in trained.columns.items()}
    missing = {"words": "tags", "question": "answers"}.get(trained.entry.shape, next(iter(columns)))
    columns[missing][0] = "" if trained.entry.shape == "text" else None
    file = _write(tmp_path / "some", trained.entry, trained.texts, columns)
    found = json.loads(whet("eval", trained.run, file, "--json").ok().out)
    assert (found["rows"], found["unlabelled_rows"]) == (N_TEST - 1, 1)


def test_a_card_and_a_manifest_say_what_it_is(trained):
    card = (trained.run / "model" / "README.md").read_text()
    assert f"pipeline_tag: {trained.task.pipeline}" in card
    assert all(trained.task.figures[key] in card for key in trained.task.headlines)
    manifest = json.loads((trained.run / "run.json").read_text())
    assert manifest["task"] == trained.name


WAYS: tuple[dict[str, Any], ...] = (
    {
        "frozen": "encoder", "unfreeze_at": 1, "unfreeze_groups": 2, "epochs": 3, "schedule": "cosine",
        "schedule_over": "stage",
    },
    {"frozen": "encoder", "epochs": 2, "averaging": "mean", "probe_step": 0.5},
    {"frozen_layers": 1, "epochs": 2, "dropout_samples": 2, "r_drop": 1.0, "layer_decay": 0.8},
    {"lora_rank": 2, "gradient_checkpointing": "on", "schedule": "slanted", "epochs": 1},
    {
        "reinit_layers": 1, "averaging": "ema", "groups": "*norm*:rate=1e-4,decay=0.1",
        "frozen": "embeddings", "schedule": "constant", "epochs": 2,
    },
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: ",".join(way))
def test_every_way_of_training_gives_a_plain_model(trained, way, tmp_path):
    """Pieces of `--set` together: the folder opens in transformers, and its dev figures are those that the
    run says, computed anew."""
    import transformers

    import whet as library

    file = next(trained.folder.glob("train.*"))
    run = library.train(
        file, model=trained.folder / "tiny", out=tmp_path / "run", threads=1, precision="float32", quiet=True,
        learning_rate=1e-3, dev_fraction=0.3, **way,
    )  # fmt: skip
    config = run.manifest["config"]
    assert {name: config[name] for name in way} == way
    kind = getattr(transformers, CLASSES[trained.entry.shape])
    _, report = kind.from_pretrained(tmp_path / "run" / "model", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    model = library.load(tmp_path / "run")
    answers = [found.to_json() for found in model.predict(trained.texts, logits=True)]
    assert len(answers) == N_TEST
    steps = house.read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert all(np.isfinite(line["loss"]) for line in steps if line["event"] == "step")
    dev = [line["dev"] for line in steps if line["event"] == "evaluation"]
    kept = dev[run.manifest["results"]["best_epoch"] - 1]
    by = trained.task.loss if trained.entry.shape == "question" else trained.task.choices[0]  # no rule of it
    assert kept[by] == pytest.approx(run.metrics[by], abs=1e-4)
