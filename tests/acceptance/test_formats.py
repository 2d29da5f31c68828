"""Every kind of input trains, and its texts and labels arrive as they were written."""

import json
from pathlib import Path

import pytest

from tests.acceptance import house

CLASSES = list(house.CLASSES)
HARD = [
    'she said "lovely", twice',
    "one; two; three",
    "a, b, c",
    "over\ntwo lines",
    "tab\there",
    "caf\u00e9 \u65e5\u672c",
]
ROOMY = ("--set", "dev_fraction=0.3")


def _hard_rows(count: int = 36) -> tuple[list[str], list[str]]:
    texts, labels = house.sentences(count)
    for i, hard in enumerate(HARD):
        texts[i] = f"{hard} {texts[i]}"
    return texts, labels


def _manifest(out: str = "run") -> dict:
    return json.loads(Path(out, "run.json").read_text())


def _read_back(whet, file, column: str = "text") -> tuple[list[str], list[str]]:
    """A file's texts and labels as `predict` gives them back: how they were read."""
    rows = house.read_jsonl(whet("predict", "run", file).ok().out)
    return [row[column] for row in rows], [row["input_label"] for row in rows]


@pytest.mark.parametrize(
    ("delimiter", "quoting"), [(",", 0), (",", 1), (";", 0), (";", 1), ("\t", 1), ("|", 1)], ids=str
)
def test_csv_with_real_quoting_and_a_sniffed_delimiter(delimiter, quoting, train, whet):
    texts, labels = _hard_rows()
    data = house.write_csv(
        Path("a.csv"), {"text": texts, "label": labels}, delimiter=delimiter, quoting=quoting
    )
    train(data).ok()
    assert _manifest()["labels"] == CLASSES
    assert _read_back(whet, data) == (texts, labels)


def test_csv_with_a_byte_order_mark_windows_lines_and_no_final_newline(train, whet):
    texts, labels = house.sentences(36)
    body = "\r\n".join(
        ["text,label", *(f'"{text}",{label}' for text, label in zip(texts, labels, strict=True))]
    )
    Path("a.csv").write_bytes(b"\xef\xbb\xbf" + body.encode())
    train("a.csv").ok()
    assert _read_back(whet, "a.csv") == (texts, labels)


def test_tsv_is_tabs_only_and_quotes_are_text(train, whet):
    texts, labels = house.sentences(36)
    texts[3] = f'"an open quote, {texts[3]}'
    texts[4] = f'{texts[4]} "'
    texts[5] = f'""{texts[5]}"; and, commas'
    lines = ["text\tlabel", *(f"{text}\t{label}" for text, label in zip(texts, labels, strict=True))]
    Path("a.tsv").write_text("\n".join(lines))
    train("a.tsv").ok()
    manifest = _manifest()
    assert manifest["data"]["train"]["rows"] + manifest["data"]["dev"]["rows"] == 36
    assert _read_back(whet, "a.tsv") == (texts, labels)


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson"])
def test_json_lines(name, train, whet):
    texts, labels = _hard_rows()
    house.write_jsonl(
        Path(name), [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    )
    train(name).ok()
    assert _read_back(whet, name) == (texts, labels)


def test_parquet(train, whet):
    import pyarrow
    import pyarrow.parquet

    texts, labels = _hard_rows()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": labels}), "a.parquet")
    train("a.parquet").ok()
    assert _read_back(whet, "a.parquet") == (texts, labels)


# --- GLUE folders -------------------------------------------------------------------------------------------


def _cola(folder: Path, rows: int = 40) -> list[str]:
    texts, _ = house.sentences(rows + 20)
    texts[2] = f'" {texts[2]}'
    labels = [str(i % 2) for i in range(rows + 20)]
    lines = [
        f"gj04\t{label}\t{'*' if label == '0' else ''}\t{text}"
        for text, label in zip(texts, labels, strict=True)
    ]
    folder.mkdir()
    (folder / "train.tsv").write_text("\n".join(lines[:rows]) + "\n")
    (folder / "dev.tsv").write_text("\n".join(lines[rows:]))  # as published: no final newline
    (folder / "test.tsv").write_text(
        "index\tsentence\n" + "".join(f"{i}\t{t}\n" for i, t in enumerate(texts[:7]))
    )
    return texts


def test_a_glue_folder_without_header_as_cola(train, whet, tmp_path):
    texts = _cola(tmp_path / "CoLA")
    outcome = train("CoLA").ok()
    manifest = _manifest()
    assert manifest["data"]["train"]["rows"] == 40
    assert manifest["data"]["dev"]["rows"] == 20
    assert manifest["labels"] == ["0", "1"]
    assert manifest["columns"]["pair"] is None
    assert "new head" in outcome.err.lower()
    found = json.loads(whet("eval", "run", "CoLA/dev.tsv", "--json").ok().out)
    assert found["rows"] == 20
    rows = house.read_jsonl(Path("run/predictions.dev.jsonl"))
    assert [row[manifest["columns"]["text"]] for row in rows] == texts[40:]
    unlabelled = house.read_jsonl(whet("predict", "run", "CoLA/test.tsv").ok().out)
    assert [(row["index"], row["sentence"]) for row in unlabelled] == [(str(i), texts[i]) for i in range(7)]


def test_a_glue_folder_of_pairs_as_mrpc_with_byte_order_marks(train, tmp_path):
    first, second, _ = house.pairs(50)
    first[1], second[3] = f'" {first[1]}', f'{second[3]} "'
    head = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    lines = [f"{i % 2}\t{i}\t{i + 1}\t{a}\t{b}\n" for i, (a, b) in enumerate(zip(first, second, strict=True))]
    (tmp_path / "MRPC").mkdir()
    (tmp_path / "MRPC/train.tsv").write_text(head + "".join(lines[:36]))
    (tmp_path / "MRPC/dev.tsv").write_text(head + "".join(lines[36:]).rstrip("\n"))
    train("MRPC").ok()
    manifest = _manifest()
    assert (manifest["data"]["train"]["rows"], manifest["data"]["dev"]["rows"]) == (36, 14)
    assert manifest["columns"] == {"text": "#1 String", "pair": "#2 String", "label": "Quality"}
    assert manifest["labels"] == ["0", "1"]
    rows = house.read_jsonl(Path("run/predictions.dev.jsonl"))
    assert [(row["#1 String"], row["#2 String"]) for row in rows] == list(
        zip(first[36:], second[36:], strict=True)
    )


def test_in_a_glue_folder_minus_one_is_unlabelled(train, tmp_path):
    texts, _ = house.sentences(60)
    labels = ["-1" if i % 5 == 0 else str(i % 2) for i in range(60)]
    lines = [f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)]
    (tmp_path / "SST-2").mkdir()
    (tmp_path / "SST-2/train.tsv").write_text("sentence\tlabel\n" + "".join(lines[:40]))
    (tmp_path / "SST-2/dev.tsv").write_text("sentence\tlabel\n" + "".join(lines[40:]))
    outcome = train("SST-2").ok()
    manifest = _manifest()
    assert manifest["labels"] == ["0", "1"]
    assert manifest["data"]["train"]["rows"] == 32
    assert manifest["data"]["train"]["unlabelled_rows"] == 8
    assert manifest["data"]["dev"]["unlabelled_rows"] == 4
    assert "8" in "".join(
        line for line in outcome.err.splitlines() if "label" in line and "no" in line.lower()
    )


@pytest.mark.parametrize("task", ["CoLA", "MRPC", "RTE", "SST-2"])
def test_the_published_glue_folders_are_read(task, train, whet, shared_data, classifier):
    """The dev part of each, labelled by a tiny model trained on a few rows: every row arrives."""
    expected = {"CoLA": 1043, "MRPC": 408, "RTE": 277, "SST-2": 872}[task]
    pair = task in ("MRPC", "RTE")
    first, second, labels = house.pairs(32)
    data = house.write_csv(
        Path("few.csv"), {"sentence1": first, **({"sentence2": second} if pair else {}), "label": labels}
    )
    names = {"RTE": ["entailment", "not_entailment"]}.get(task, ["0", "1"])
    data.write_text(data.read_text().replace("different", names[0]).replace("same", names[1]))
    train(data).ok()
    found = json.loads(whet("eval", "run", shared_data / "glue" / task / "dev.tsv", "--json").ok().out)
    assert found["rows"] == expected


# --- saved `datasets` folders -------------------------------------------------------------------------------


def _dataset(names: list[str], texts: list[str], labels: list[int]):
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)


def test_a_saved_datasets_folder_with_class_labels(train):
    """The labels' order is the features' own, -1 is unlabelled, validation is dev and test is test."""
    import datasets

    names = ["refund", "delivery", "praise"]
    texts, labels = house.sentences(60)
    numbers = [names.index(label) for label in labels]
    numbers[0] = numbers[7] = -1
    datasets.DatasetDict(
        {
            "train": _dataset(names, texts[:36], numbers[:36]),
            "validation": _dataset(names, texts[36:48], numbers[36:48]),
            "test": _dataset(names, texts[48:], numbers[48:]),
        }
    ).save_to_disk("saved")
    train("saved").ok()
    manifest = _manifest()
    assert manifest["labels"] == names
    assert json.loads(Path("run/model/config.json").read_text())["id2label"] == {
        str(number): name for number, name in enumerate(names)
    }
    assert manifest["data"]["train"]["rows"] == 34
    assert manifest["data"]["train"]["unlabelled_rows"] == 2
    assert manifest["data"]["dev"]["rows"] == 12
    assert manifest["data"]["test"]["rows"] == 12
    assert "test" in manifest["results"]
    rows = house.read_jsonl(Path("run/predictions.dev.jsonl"))
    assert [row["input_label"] for row in rows] == labels[36:48], "names, never bare ids"


def test_a_single_saved_dataset_gets_a_held_out_dev(train):
    names = ["refund", "delivery", "praise"]
    texts, labels = house.sentences(36)
    _dataset(names, texts, [names.index(label) for label in labels]).save_to_disk("saved")
    train("saved").ok()
    manifest = _manifest()
    assert manifest["labels"] == names
    assert manifest["data"]["train"]["rows"] + manifest["data"]["dev"]["rows"] == 36


# --- from Python --------------------------------------------------------------------------------------------


def _train(encoder, data, **more):
    import whet

    return whet.train(
        data,
        model=encoder,
        out="run",
        quiet=True,
        min_steps=0,
        epochs=1,
        threads=1,
        precision="float32",
        **more,
    )


def _kinds(texts, labels):
    import pandas

    yield "data frame", pandas.DataFrame({"text": texts, "label": labels})
    yield (
        "odd index",
        pandas.DataFrame({"text": texts, "label": labels}, index=range(100, 100 - len(texts), -1)),
    )
    yield "dictionary", {"text": texts, "label": labels}
    yield "lists", (texts, labels)


@pytest.mark.parametrize("which", range(4), ids=["data frame", "odd index", "dictionary", "lists"])
def test_what_python_holds_trains_as_the_file_does(which, encoder, train):
    import shutil

    texts, labels = _hard_rows()
    data = house.write_csv(Path("a.csv"), {"text": texts, "label": labels})
    train(data).ok()
    from_file = Path("run/model/model.safetensors").read_bytes()
    shutil.rmtree("run")
    kind, value = list(_kinds(texts, labels))[which]
    run = _train(encoder, value)
    assert run.manifest["labels"] == CLASSES
    assert Path("run/model/model.safetensors").read_bytes() == from_file, kind


def test_pairs_from_python(encoder):
    first, second, labels = house.pairs(36)
    run = _train(encoder, {"premise": first, "hypothesis": second, "label": labels})
    assert run.manifest["columns"] == {"text": "premise", "pair": "hypothesis", "label": "label"}
    (prediction,) = run.model().predict([(first[0], second[0])])
    assert prediction.label in ("same", "different")


@pytest.mark.parametrize(
    "data",
    [
        [],
        ([], []),
        (["a"], []),
        {},
        {"text": ["a", "b"]},
        {"text": ["a"], "label": ["x", "y"]},
        7,
        None,
        "",
        ("a", "b"),
    ],
    ids=repr,
)
def test_what_python_cannot_train_on_is_a_whet_error(data, encoder):
    import whet

    with pytest.raises(whet.WhetError):
        _train(encoder, data)
    assert not Path("run").exists()


# --- columns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("sentence", "category"),
        ("review", "class"),
        ("text", "target"),
        ("Text", "Label"),
        ("words", "intent"),
    ],
    ids="+".join,
)
def test_columns_are_inferred_and_a_line_each_says_so(names, train):
    texts, labels = house.sentences(36)
    house.write_csv(Path("a.csv"), {"id": range(36), names[0]: texts, names[1]: labels})
    outcome = train("a.csv").ok()
    assert _manifest()["columns"] == {"text": names[0], "pair": None, "label": names[1]}
    for word in (f"'{names[0]}'", f"'{names[1]}'", "classification"):
        assert any(word in line for line in outcome.err.splitlines()), word


@pytest.mark.parametrize("names", [("sentence1", "sentence2"), ("premise", "hypothesis")], ids="+".join)
def test_pairs_are_inferred(names, train):
    first, second, labels = house.pairs(36)
    house.write_csv(Path("a.csv"), {names[0]: first, names[1]: second, "label": labels})
    train("a.csv").ok()
    assert _manifest()["columns"] == {"text": names[0], "pair": names[1], "label": "label"}


def test_every_inference_can_be_overridden(train):
    first, second, labels = house.pairs(36)
    other = ["x" if i % 3 else "y" for i in range(36)]
    house.write_csv(Path("a.csv"), {"text": first, "label": labels, "title": second, "kind": other})
    options = ("--text", "title", "--pair", "text", "--label", "kind", "--task", "classification")
    train("a.csv", *options).ok()
    assert _manifest()["columns"] == {"text": "title", "pair": "text", "label": "kind"}
    assert _manifest()["labels"] == ["x", "y"]


# --- labels -------------------------------------------------------------------------------------------------


def test_minus_one_is_a_label_in_a_csv(train):
    texts, _ = house.sentences(36)
    house.write_csv(Path("a.csv"), {"text": texts, "label": [str(i % 3 - 1) for i in range(36)]})
    train("a.csv").ok()
    manifest = _manifest()
    assert sorted(manifest["labels"]) == ["-1", "0", "1"]
    assert manifest["data"]["train"]["unlabelled_rows"] == 0


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_an_empty_label_is_dropped_from_training_and_counted(name, train):
    texts, labels = house.sentences(36)
    for row in (3, 17, 18):
        labels[row] = ""
    if name == "a.jsonl":
        rows = [{"text": text, "label": label or None} for text, label in zip(texts, labels, strict=True)]
        house.write_jsonl(Path(name), rows)
    else:
        how = {"delimiter": "\t"} if name == "a.tsv" else {}
        house.write_csv(Path(name), {"text": texts, "label": labels}, **how)
    outcome = train(name).ok()
    manifest = _manifest()
    assert manifest["data"]["train"]["rows"] + manifest["data"]["dev"]["rows"] == 33
    assert manifest["data"]["train"]["unlabelled_rows"] == 3
    assert manifest["labels"] == CLASSES
    assert any("3" in line and "label" in line for line in outcome.err.splitlines())


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_numbers_as_labels_are_names(name, train, whet):
    import pyarrow
    import pyarrow.parquet

    texts, _ = house.sentences(36)
    numbers = [i % 2 + 1 for i in range(36)]
    if name == "a.csv":
        house.write_csv(Path(name), {"text": texts, "label": numbers})
    elif name == "a.jsonl":
        house.write_jsonl(Path(name), [{"text": t, "label": n} for t, n in zip(texts, numbers, strict=True)])
    else:
        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": numbers}), name)
    train(name).ok()
    assert _manifest()["labels"] == ["1", "2"]
    (row, *_) = house.read_jsonl(whet("predict", "run", name).ok().out)
    assert row["label"] in ("1", "2")
    assert set(row["probabilities"]) == {"1", "2"}
    assert row["input_label"] in (1, "1")


def test_true_and_false_as_labels(train):
    texts, _ = house.sentences(36)
    house.write_jsonl(Path("a.jsonl"), [{"text": text, "label": i % 2 == 0} for i, text in enumerate(texts)])
    train("a.jsonl").ok()
    assert [label.lower() for label in _manifest()["labels"]] == ["false", "true"]


def test_labels_are_sorted_by_name(train):
    texts, labels = house.sentences(36)
    house.write_csv(Path("a.csv"), {"text": texts[::-1], "label": labels[::-1]})
    train("a.csv").ok()
    assert _manifest()["labels"] == CLASSES


# --- dev and test -------------------------------------------------------------------------------------------


def _dev_texts(out: str = "run") -> list[str]:
    return [row["text"] for row in house.read_jsonl(Path(out, "predictions.dev.jsonl"))]


def test_the_dev_split_is_seeded_stratified_and_said(train):
    texts, labels = house.sentences(120)
    labels = [("rare" if i % 20 == 0 else "often" if i % 4 else "some") for i in range(120)]
    house.write_csv(Path("a.csv"), {"text": texts, "label": labels})
    kept = {}
    for out, seed in (("one", 1), ("two", 1), ("three", 2)):
        outcome = train("a.csv", *ROOMY, "--seed", seed, out=out).ok()
        assert any("held out" in line and "stratified" in line for line in outcome.err.splitlines())
        kept[out] = _dev_texts(out)
    assert kept["one"] == kept["two"]
    assert set(kept["one"]) != set(kept["three"])
    for chosen in kept.values():
        assert len(chosen) == pytest.approx(36, abs=2)
        for label in ("rare", "often", "some"):
            of_all = labels.count(label)
            of_dev = sum(labels[texts.index(text)] == label for text in chosen)
            assert of_dev == pytest.approx(0.3 * of_all, abs=1.5), label


def test_duplicates_stay_on_one_side(train):
    """Proof that it can fail: a plain random choice of 30 of these 90 rows parts some of the triples."""
    import random

    texts, labels = house.sentences(30)
    texts, labels = texts * 3, labels * 3
    house.write_csv(Path("a.csv"), {"text": texts, "label": labels})
    train("a.csv", *ROOMY).ok()
    chosen = _dev_texts()
    assert chosen
    assert all(chosen.count(text) == 3 for text in chosen)
    naive = random.Random(0).sample(texts, 30)
    assert not all(naive.count(text) == 3 for text in naive)


def test_dev_and_test_files(train, whet):
    files = {}
    for name, count, seed in (("train", 48, 0), ("dev", 15, 1), ("test", 18, 2)):
        texts, labels = house.sentences(count, seed)
        files[name] = house.write_csv(Path(f"{name}.csv"), {"text": texts, "label": labels})
    outcome = train(files["train"], "--dev", files["dev"], "--test", files["test"]).ok()
    assert "held out" not in outcome.err
    manifest = _manifest()
    assert [manifest["data"][name]["rows"] for name in files] == [48, 15, 18]
    assert len({manifest["data"][name]["fingerprint"] for name in files}) == 3
    assert _dev_texts() == house.sentences(15, 1)[0]
    for name in ("dev", "test"):
        found = json.loads(whet("eval", "run", files[name], "--json").ok().out)["metrics"]
        assert manifest["results"][name]["accuracy"] == pytest.approx(found["accuracy"])
    assert "test" in outcome.out


def test_the_fingerprint_follows_the_content(train):
    texts, labels = house.sentences(36)
    prints = []
    for out, last in (("one", texts[-1]), ("two", texts[-1]), ("three", texts[-1] + " more")):
        house.write_csv(Path("a.csv"), {"text": [*texts[:-1], last], "label": labels})
        train("a.csv", out=out).ok()
        prints.append(_manifest(out)["data"]["train"]["fingerprint"])
    assert prints[0] == prints[1] != prints[2]


def test_without_a_dev_set_when_none_is_wanted(train):
    texts, labels = house.sentences(36)
    house.write_csv(Path("a.csv"), {"text": texts, "label": labels})
    train("a.csv", "--set", "dev_fraction=0").ok()
    assert _manifest()["data"]["train"]["rows"] == 36
    assert "dev" not in _manifest()["results"]


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_very_small_data_trains_or_says_why_not(count, train):
    texts, labels = house.sentences(count)
    house.write_csv(Path("a.csv"), {"text": texts, "label": labels})
    outcome = train("a.csv")
    if outcome.status:
        outcome.refused("a.csv")
        assert not Path("run").exists()
    else:
        assert _manifest()["labels"] == sorted(set(labels))
