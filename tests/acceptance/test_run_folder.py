"""The run folder: what stands in it, what opens it, and that a reader never sees half of it."""

import hashlib
import json
import threading
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance import house

CLASSES = list(house.CLASSES)
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy"}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_model_opens_in_transformers_with_the_same_logits(train, whet, reviews):
    import transformers

    train(reviews, "--lr", "1e-3").ok()
    model = transformers.AutoModelForSequenceClassification.from_pretrained("run/model")
    assert model.config.id2label == dict(enumerate(CLASSES))
    assert model.config.label2id == {name: number for number, name in enumerate(CLASSES)}
    texts = [*house.sentences(20, seed=4)[0], "", "unknownword xyz", "a " * 300]
    house.write_jsonl(Path("texts.jsonl"), [{"text": text} for text in texts])
    rows = house.read_jsonl(whet("predict", "run", "texts.jsonl", "--logits").ok().out)
    found = np.array([[row["logits"][name] for name in CLASSES] for row in rows])
    expected = house.expected_logits(Path("run/model"), [*texts[:-1], "a " * 254])  # 256 with [CLS] and [SEP]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_model_of_pairs_opens_in_transformers_with_the_same_logits(train, whet):
    first, second, labels = house.pairs(48)
    data = house.write_csv(Path("pairs.csv"), {"sentence1": first, "sentence2": second, "label": labels})
    train(data, "--lr", "1e-3").ok()
    rows = house.read_jsonl(whet("predict", "run", data, "--logits").ok().out)
    found = np.array([[row["logits"][name] for name in ("different", "same")] for row in rows])
    np.testing.assert_allclose(found, house.expected_logits(Path("run/model"), first, second), atol=1e-5)


def test_the_default_is_mini_and_its_tokeniser_is_not_cut_at_128(whet, reviews):
    """The one full-size run: the default encoder, a text longer than mini's own 128 tokens, transformers."""
    whet(
        "train", reviews, "--set", "min_steps=0", "--epochs", "1", "--max-length", "200", "--out", "run"
    ).ok()
    manifest = json.loads(Path("run/run.json").read_text())
    assert manifest["model"] == "mini"
    texts = ["a short one", "good " * 140 + "bad " * 40]
    house.write_jsonl(Path("texts.jsonl"), [{"text": text} for text in texts])
    rows = house.read_jsonl(whet("predict", "run", "texts.jsonl", "--logits").ok().out)
    found = np.array([[row["logits"][name] for name in CLASSES] for row in rows])
    np.testing.assert_allclose(found, house.expected_logits(Path("run/model"), texts), atol=1e-5)


def test_what_stands_in_a_run(train, reviews, encoder):
    options = ["--seed", "3", "--batch-size", "16", "--set", "clip_norm=0.5", "--epochs", "2"]
    train(reviews, *options).ok()
    assert {path.name for path in Path("run").iterdir()} == {
        "model",
        "run.json",
        "metrics.jsonl",
        "predictions.dev.jsonl",
        "train.log",
    }
    model = Path("run/model")
    assert {path.name for path in model.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "whet.json",
        "README.md",
    }

    manifest = json.loads(Path("run/run.json").read_text())
    assert manifest["task"] == "classification"
    assert manifest["columns"] == {"text": "text", "pair": None, "label": "label"}
    assert manifest["labels"] == CLASSES
    assert manifest["model"] == str(encoder)
    assert manifest["seed"] == 3
    assert manifest["threads"] == 1
    from whet import TrainConfig

    asked = {"seed": 3, "batch_size": 16, "clip_norm": 0.5, "epochs": 2, "min_steps": 0, "threads": 1}
    config = manifest["config"]
    assert set(config) == set(TrainConfig.__dataclass_fields__), (
        "every option, also those left at their defaults"
    )
    assert {key: config[key] for key in asked} == asked
    assert manifest["versions"]["torch"] == metadata.version("torch")
    assert manifest["versions"]["whet"] == metadata.version("whet")
    assert manifest["versions"].keys() >= {"python", "tokenizers", "safetensors", "numpy"}
    for split in ("train", "dev"):
        assert manifest["data"][split]["fingerprint"]
    assert manifest["data"]["train"]["rows"] + manifest["data"]["dev"]["rows"] == 48
    assert 0 <= manifest["results"]["dev"]["accuracy"] <= 1
    assert manifest["sha256"]["model.safetensors"] == _digest(model / "model.safetensors")
    for name, digest in manifest["sha256"].items():
        assert digest == _digest(model / name), name

    card = (model / "README.md").read_text()
    assert all(name in card for name in CLASSES)
    rules = json.dumps(json.loads((model / "whet.json").read_text()))
    assert all(part in rules for part in ("classification", "256", *CLASSES))


def test_metrics_and_dev_predictions_agree_with_the_manifest(train, reviews):
    from sklearn import metrics

    train(reviews, "--epochs", "3", "--set", "dev_fraction=0.3", "--lr", "1e-3", "--set", "head_first=1").ok()
    lines = house.read_jsonl(Path("run/metrics.jsonl"))
    steps = [line for line in lines if "loss" in line]
    assert len(steps) == (1 + 3) * 2
    assert all(np.isfinite(line["loss"]) for line in steps)
    results = json.loads(Path("run/run.json").read_text())["results"]
    rows = house.read_jsonl(Path("run/predictions.dev.jsonl"))
    assert len(rows) == results["dev"]["n"]
    truth, guessed = [row["input_label"] for row in rows], [row["label"] for row in rows]
    assert results["dev"]["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guessed))
    assert results["dev"]["mcc"] == pytest.approx(metrics.matthews_corrcoef(truth, guessed))
    evaluations = [line for line in lines if "dev" in line]
    assert len(evaluations) == 1 + 3
    assert results["dev"]["mcc"] == pytest.approx(max(line["dev"]["mcc"] for line in evaluations))


def test_no_pickle_anywhere(train, reviews):
    train(reviews, "--epochs", "2").ok()
    for path in Path("run").rglob("*"):
        assert path.suffix not in PICKLES, path
        if path.is_file():
            assert not path.read_bytes()[:2].startswith((b"\x80\x02", b"\x80\x04", b"PK")), path


def test_a_reader_never_sees_half_of_a_run(train, tmp_path):
    """A thread reads whatever stands in the run folder, over and over, while the run is going on.

    Proof that it can fail: with a `write_json` planted that writes half, waits 50 ms and writes the whole,
    the thread reports half a JSON file."""
    from safetensors import safe_open

    texts, labels = house.sentences(600)
    data = house.write_csv(tmp_path / "rows.csv", {"text": texts, "label": labels})
    run, over, problems, looks, before = tmp_path / "run", threading.Event(), [], [], [""]

    def model(folder: Path) -> None:
        if not folder.exists():
            return
        json.loads((folder / "config.json").read_text())
        json.loads((folder / "tokenizer.json").read_text())
        checksums = json.loads((folder / "whet.json").read_text())["sha256"]
        with safe_open(folder / "model.safetensors", "np") as weights:
            assert list(weights.keys())
        assert checksums["model.safetensors"] == _digest(folder / "model.safetensors")

    def look() -> None:
        if (run / "run.json").exists():
            manifest = json.loads((run / "run.json").read_text())
            if manifest["status"] == "finished":
                assert (run / "model").is_dir(), "finished without a model"
            looks.append(manifest["status"])
        if (run / "metrics.jsonl").exists():
            whole = (run / "metrics.jsonl").read_text()
            for line in whole[: whole.rfind("\n") + 1].splitlines():
                json.loads(line)
            # What follows the last newline is being written: a reader may meet it between two of its pages.
            assert whole.startswith(before[-1]), "a line that stood there has changed"
            before.append(whole[: whole.rfind("\n") + 1])
        if (run / "predictions.dev.jsonl").exists():
            house.read_jsonl(run / "predictions.dev.jsonl")
        model(run / "model")

    def watch() -> None:
        while not over.is_set():
            try:
                look()
            except FileNotFoundError as error:
                # A folder that is replaced is gone for a moment; one that stays broken is not.
                time.sleep(0.002)
                if Path(str(error.filename)).parent.exists() and not Path(str(error.filename)).exists():
                    problems.append(repr(error))
            except Exception as error:
                problems.append(repr(error))
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        outcome = train(data, "--epochs", "8", out=str(run))
    finally:
        over.set()
        thread.join()
    outcome.ok()
    assert problems == []
    look()
    assert (run / "metrics.jsonl").read_text() == before[-1], "the last line is whole in the end"
    assert len(looks) > 20
    assert looks[0] != "finished", "the manifest is written at the start"
    assert looks[-1] == "finished", "and at the end"


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(train, reviews):
    """Proof that it can fail: the third run differs, so the comparison does look at the weights."""
    for out, seed in (("one", 5), ("two", 5), ("three", 6)):
        train(reviews, "--seed", seed, "--epochs", "2", "--batch-size", "8", out=out).ok()
    weights = {out: Path(f"{out}/model/model.safetensors").read_bytes() for out in ("one", "two", "three")}
    assert weights["one"] == weights["two"]
    assert weights["one"] != weights["three"]
    assert Path("one/predictions.dev.jsonl").read_bytes() == Path("two/predictions.dev.jsonl").read_bytes()
    losses = [
        [line.get("loss") for line in house.read_jsonl(Path(f"{out}/metrics.jsonl"))]
        for out in ("one", "two")
    ]
    assert losses[0] == losses[1]


def test_python_and_the_command_line_train_the_same_model(train, reviews, encoder):
    import whet

    train(reviews, out="by-command").ok()
    run = whet.train(
        reviews,
        model=encoder,
        out="by-python",
        quiet=True,
        min_steps=0,
        epochs=1,
        threads=1,
        precision="float32",
    )
    assert run.folder == Path("by-python")
    files = [Path(out, "model/model.safetensors").read_bytes() for out in ("by-command", "by-python")]
    assert files[0] == files[1]
    assert (
        run.metrics["accuracy"]
        == json.loads(Path("by-command/run.json").read_text())["results"]["dev"]["accuracy"]
    )


def test_out_defaults_to_runs_and_the_stem_then_2_then_3(train, reviews):
    for _ in range(3):
        train(reviews, out=None).ok()
    assert sorted(path.name for path in Path("runs").iterdir()) == ["reviews", "reviews-2", "reviews-3"]


def test_settings_win_over_options_and_options_over_defaults(train, reviews):
    train(reviews, "--epochs", "2", "--set", "epochs=3", "--batch-size", "24").ok()
    config = json.loads(Path("run/run.json").read_text())["config"]
    assert (config["epochs"], config["batch_size"], config["max_length"]) == (3, 24, 256)


def test_the_best_epoch_is_kept_and_not_the_last(train, reviews):
    """A dev set that wants the opposite of what is taught, so dev gets worse as training goes on."""
    texts, labels = house.sentences(90, seed=8)
    turned = {"delivery": "praise", "praise": "refund", "refund": "delivery"}
    house.write_csv(Path("dev.csv"), {"text": texts, "label": [turned[label] for label in labels]})
    data = house.write_csv(Path("more.csv"), dict(zip(["text", "label"], house.sentences(300), strict=True)))
    options = ("--dev", "dev.csv", "--epochs", "5", "--lr", "5e-3", "--batch-size", "16")
    for measure, sign in (("loss", -1), ("mcc", 1)):
        train(data, *options, "--set", f"choose_by={measure}", "--set", "head_first=0", out=measure).ok()
        results = json.loads(Path(f"{measure}/run.json").read_text())["results"]
        key = "nll" if measure == "loss" else measure
        lines = house.read_jsonl(Path(f"{measure}/metrics.jsonl"))
        scores = [sign * line["dev"][key] for line in lines if "dev" in line]
        assert len(scores) == 5
        assert scores[-1] < max(scores), "else this test shows nothing"
        assert results["best_epoch"] == 1 + int(np.argmax(scores)), (measure, scores)
        final = results["dev"]["calibration"]["before"] if measure == "loss" else results["dev"]
        assert final[key] == pytest.approx(sign * max(scores))  # logs know no temperature


def test_a_small_encoder_learns_what_can_be_learnt(train, whet):
    texts, labels = house.sentences(600)
    house.write_csv(Path("rows.csv"), {"text": texts, "label": labels})
    house.write_csv(Path("test.csv"), dict(zip(["text", "label"], house.sentences(150, 77), strict=True)))
    train("rows.csv", "--test", "test.csv", "--epochs", "5", "--lr", "5e-3", "--batch-size", "16").ok()
    results = json.loads(Path("run/run.json").read_text())["results"]
    assert results["test"]["accuracy"] > 0.9
    found = json.loads(whet("eval", "run", "test.csv", "--json").ok().out)["metrics"]
    assert found["accuracy"] == pytest.approx(results["test"]["accuracy"])


def test_a_copy_of_the_model_folder_is_complete(train, whet, reviews, tmp_path):
    import shutil

    train(reviews, "--max-length", "8", "--set", "cut=head").ok()
    shutil.copytree("run/model", tmp_path / "elsewhere")
    long = tmp_path / "long.jsonl"
    house.write_jsonl(long, [{"text": " ".join(house.FILLER[:30])}])
    assert whet("predict", "run", long).ok().out == whet("predict", "elsewhere", long).ok().out


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_run_whose_files_were_changed_says_so(file, train, whet, reviews):
    """Checksums that nobody looks at are no checksums."""
    train(reviews).ok()
    path = Path("run/model") / file
    content = path.read_bytes()
    if file == "model.safetensors":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.write_bytes(content.replace(b"0.1", b"0.2", 1) if file == "config.json" else content + b"\n")
    whet("predict", "run", "--text", "good").refused(file)


def test_quiet_prints_the_results_only_and_else_progress_is_plain_lines(train, reviews):
    """Messages go to stderr; off a terminal, progress is a line now and then, without control characters."""
    loud = train(reviews, "--epochs", "3", out="loud").ok()
    assert not set("\r\x1b\b") & set(loud.err + loud.out)
    assert "epoch 3" in loud.err
    quiet = train(reviews, "--epochs", "3", "--quiet", out="quiet").ok()
    assert quiet.err == ""
    assert quiet.out.replace("quiet", "loud") == loud.out
