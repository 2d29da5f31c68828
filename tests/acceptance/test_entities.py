"""Entities in texts, from the command line: forms of input, long sentences, offsets, and what is wrong."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whet as library
from tests.acceptance import house

PEOPLE = (["Emma", "Clark"], ["Ito"], ["Ana", "da", "Silva"], ["Zoë", "O'Neil"])
TOWNS = (["Bonn"], ["New", "York"], ["東京"])


def sentences(count: int, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Words and IOB2 tags; who is "by" is a person, where it is "in" a town."""
    rng, made = random.Random(seed), []
    for _ in range(count):
        person, town = rng.choice(PEOPLE), rng.choice(TOWNS)
        filler = rng.choices(house.FILLER, k=rng.randint(1, 6))
        words = [*filler, "by", *person, "in", *town, "."]
        tags = ["O"] * (len(filler) + 1) + iob("PER", person) + ["O"] + iob("LOC", town) + ["O"]
        made.append((words, tags))
    return made


def iob(kind: str, words: list[str]) -> list[str]:
    return [f"{'I' if i else 'B'}-{kind}" for i in range(len(words))]


def conll(path: Path, rows: list[tuple[list[str], list[str]]], every: int = 10) -> Path:
    """A file of documents of `every` sentences."""
    blocks = []
    for i, (words, tags) in enumerate(rows):
        head = "-DOCSTART- -X- O\n\n" if i % every == 0 else ""
        blocks.append(head + "".join(f"{w} X {t}\n" for w, t in zip(words, tags, strict=True)))
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def spans(words: list[str], tags: list[str]) -> dict[str, Any]:
    """The same as a text and character spans; words are parted so that the text splits into them again."""
    text, found, at = "", [], 0
    for word, tag in zip(words, tags, strict=True):
        at = len(text)
        text += word + " "
        if tag[0] == "B":
            found.append({"start": at, "end": at + len(word), "label": tag[2:]})
        elif tag[0] == "I":
            found[-1]["end"] = at + len(word)
    return {"text": text, "entities": found}


OPTIONS = (
    "--set",
    "min_steps=0",
    "--epochs",
    "3",
    "--threads",
    "1",
    "--precision",
    "float32",
    "--lr",
    "1e-3",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run and a test file."""
    made = tmp_path_factory.mktemp("entities")
    encoder = house.make_checkpoint(made / "tiny")
    conll(made / "train.conll", sentences(150))
    conll(made / "test.conll", sentences(40, 1))
    library.train(
        made / "train.conll", model=encoder, out=made / "run", epochs=12, batch_size=8, min_steps=0,
        threads=1, learning_rate=5e-3, head_learning_rate=5e-3, precision="float32", quiet=True,
    )  # fmt: skip
    return made


def figures(whet: Callable[..., Any], run: Path, file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(whet("eval", run, file, "--json").ok().out)["metrics"]
    return found


def test_every_form_of_the_same_rows_scores_the_same(whet, folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = sentences(40, 1)
    wanted = figures(whet, folder / "run", folder / "test.conll")
    assert wanted["f1"] > 0.5, "it learns, so that equal figures mean something"
    lists = jsonl(tmp_path / "l.jsonl", [{"tokens": w, "tags": t} for w, t in rows])
    names = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
        }
    )
    ids = {"tokens": [w for w, _ in rows], "ner_tags": [[names.index(x) for x in t] for _, t in rows]}
    datasets.Dataset.from_dict(ids, features=features).to_parquet(tmp_path / "d.parquet")
    iob1 = [(w, ["I" + x[1:] if x[0] == "B" else x for x in t]) for w, t in rows]
    iobes = [(w, last_and_single(t)) for w, t in rows]
    for file in (
        lists,
        tmp_path / "d.parquet",
        conll(tmp_path / "iob1.conll", iob1),
        conll(tmp_path / "iobes.data", iobes),  # told by its content
    ):
        found = figures(whet, folder / "run", file)
        assert {key: found[key] for key in ("f1", "precision", "recall", "nll", "n_entities")} == {
            key: pytest.approx(wanted[key], abs=1e-9)
            for key in ("f1", "precision", "recall", "nll", "n_entities")
        }


def last_and_single(tags: list[str]) -> list[str]:
    after = [*tags[1:], "O"]
    ends = [tag[0] != "O" and following[0] != "I" for tag, following in zip(tags, after, strict=True)]
    letters = {("B", True): "S", ("I", True): "E"}
    return [letters.get((tag[0], end), tag[0]) + tag[1:] for tag, end in zip(tags, ends, strict=True)]


def test_raw_texts_with_spans_train_and_predict_exact_offsets(whet, train, folder, tmp_path):
    rows = [spans(words, tags) for words, tags in sentences(120)]
    file = jsonl(tmp_path / "spans.jsonl", rows)
    ended = train(file, *OPTIONS, model=folder / "tiny").ok()
    assert "token-classification, because 'text' and 'entities' hold texts and lists of spans" in ended.err
    text = "  Zoë O'Neil…  met Ana\tda Silva in 東京, 🎉 in Bonn."
    (line,) = house.read_jsonl(whet("predict", "run", "--text", text).ok().out)
    assert "".join(line["words"]) == "".join(text.split())
    assert len(line["tags"]) == len(line["words"])
    for entity in line["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert 0 < entity["probability"] <= 1


def test_words_in_words_out_and_long_sentences_lose_none(whet, folder):
    model = library.load(folder / "run")
    words = [word for row, _ in sentences(300, 5) for word in row]
    assert len(words) > 3 * model.module.rules.max_length
    (long,) = model.predict([words])
    assert len(long.tags) == len(words)
    short = model.predict([words[:20], [], ["."]])
    assert [len(one.tags) for one in short] == [20, 0, 1]
    assert long.entities
    assert all(" ".join(words)[one.start : one.end] == one.text for one in long.entities)


def test_neighbouring_sentences_matter_with_context_and_only_then(whet, train, folder, tmp_path):
    train(folder / "train.conll", *OPTIONS, "--set", "context=document", "--max-length", "32",
          model=folder / "tiny").ok()  # fmt: skip
    rows = sentences(6, 3)
    apart = conll(tmp_path / "apart.conll", rows, every=1)
    together = conll(tmp_path / "together.conll", rows, every=6)

    def logits(run: Path | str, file: Path) -> list[Any]:
        lines = house.read_jsonl(whet("predict", run, file, "--no-input", "--logits").ok().out)
        return [line["logits"] for line in lines]

    assert logits("run", apart) != logits("run", together)
    assert logits(folder / "run", apart) == logits(folder / "run", together)
    assert json.loads(Path("run/model/whet.json").read_text())["rules"]["context"] == "document"


def test_documents_stay_whole_and_are_what_intervals_see(folder):
    rows = house.read_jsonl(folder / "run" / "predictions.dev.jsonl")
    held = {row["document"] for row in rows}
    assert len(rows) == 10 * len(held)
    model = library.load(folder / "run")
    by_document = model.evaluate(folder / "test.conll").metrics["intervals"]["f1"]
    rows = [{"tokens": w, "tags": t} for w, t in sentences(40, 1)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert by_document != model.evaluate(columns).metrics["intervals"]["f1"]


def test_a_model_fine_tuned_elsewhere_opens(whet, folder, tmp_path):
    import transformers

    model = transformers.AutoModelForTokenClassification.from_pretrained(folder / "run" / "model")
    model.save_pretrained(tmp_path / "theirs")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "theirs" / name).write_bytes((folder / "run" / "model" / name).read_bytes())
    found = figures(whet, tmp_path / "theirs", folder / "test.conll")
    assert found["f1"] == pytest.approx(figures(whet, folder / "run", folder / "test.conll")["f1"])


def test_broken_sequences_are_told(train, folder, tmp_path):
    rows = sentences(40)
    rows[3] = (["by", "Ito"], ["O", "I-PER"])
    ended = train(conll(tmp_path / "a.conll", rows), *OPTIONS, model=folder / "tiny").ok()
    assert "Tags in IOB2, 1 word with a broken sequence repaired" in ended.err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"text": "in Bonn", "entities": [{"start": 3, "end": 6, "label": "LOC"}]},
            "ends inside the word 'Bonn'",
        ),
        (
            {"text": "in Bonn", "entities": [{"start": 3, "end": 9, "label": "LOC"}]},
            "does not lie in its text",
        ),
    ],
)
def test_bad_spans_are_named_in_training_and_check(whet, train, folder, tmp_path, row, message):
    rows = [spans(words, tags) for words, tags in sentences(30)]
    file = jsonl(tmp_path / "bad.jsonl", [*rows, row])
    error = train(file, *OPTIONS, model=folder / "tiny").refused(message)
    assert "bad.jsonl:31: span 1 (LOC, 3 to " in error
    assert message in whet("check", file).out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("predict", "run", "test.conll", "--label-sets", "0.9"), 1),
        (("predict", "run", "test.conll", "--abstain-below", "0.5"), 1),
        (("compare", "run", "run/model", "test.conll"), 2),
        (("select", "run", "test.conll"), 2),
    ],
)
def test_what_is_not_for_entities_says_so(whet, folder, monkeypatch, arguments, status):
    monkeypatch.chdir(folder)
    ended = whet(*arguments)
    assert ended.status == status
    assert "token-classification" in ended.err


def test_slices_are_not_for_sentences_of_many_tags(whet, folder):
    """Long sentences have a wrong tag more often, which says nothing."""
    ended = whet("eval", folder / "run", folder / "test.conll", "--slice", "document").ok()
    assert "slices" not in ended.out.lower()
    assert "Slices are about rows that are right or wrong" in ended.err


def test_settings_that_are_not_for_entities_are_refused(train, folder):
    settings = ("--set", "abstain_below=0.5", "--set", "long_texts=window")
    train(folder / "train.conll", *settings, model=folder / "tiny").refused(
        "abstain_below, long_texts: not for token-classification, where each word has a tag."
    )


def test_a_model_that_lacks_a_tag_is_scored_by_another_of_its_type():
    """As those that were tagged in IOB1 and never saw a B: place -1 would be the last tag of all."""
    from whet.data.readers import read_table
    from whet.tasks.tagging import tagged

    rows = {"tokens": [["a", "b"], ["c", "d"]], "tags": [["B-PER", "B-PER"], ["B-LOC", "O"]]}
    found = tagged(read_table(rows), "tokens", "tags", ("O", "I-PER", "I-LOC"))
    assert [one.tags.tolist() for one in found] == [[1, 1], [2, 0]]
