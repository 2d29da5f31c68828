"""`whet pretrain`: an encoder gone on with, and one made from nothing; issue 10."""

import hashlib
import json
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import house
from tests.acceptance.forks import Forks, prepared

FAST = ("--epochs", "1", "--threads", "1", "--precision", "float32", "--batch-size", "8")


def write_corpus(path: Path, n: int = 60, seed: int = 0) -> Path:
    """Documents of a few sentences, a blank line between them; each about one thing, so words can be guessed
    from each other."""
    rng = random.Random(seed)
    documents = []
    for i in range(n):
        kind = list(house.CLASSES.values())[i % 3]
        lines = [" ".join(rng.choices(house.FILLER[:30], k=5) + rng.choices(kind, k=4)) for _ in range(3)]
        documents.append("\n".join(lines))
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.txt")


def manifest_of(run: str = "run") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(run, "run.json").read_text())
    return found


def test_an_encoder_is_gone_on_with_and_fine_tuned(whet, encoder, corpus, reviews):
    import torch
    import transformers

    done = whet(
        "pretrain", corpus, "--model", encoder, "--out", "run", *FAST, "--epochs", "12", "--lr", "3e-3",
        "--set", "dev_fraction=0.2",
    ).ok()  # fmt: skip
    assert "no masked-LM head" in done.err
    assert "a blank line between them" in done.err
    assert "Next:  whet train FILE --model run" in done.out
    assert sorted(path.name for path in Path("run").iterdir()) == [
        "metrics.jsonl", "model", "run.json", "train.log",
    ]  # fmt: skip
    dev = manifest_of()["results"]["dev"]
    assert dev["n_documents"] == 12
    log = [row for row in house.read_jsonl(Path("run/metrics.jsonl")) if row["event"] == "evaluation"]
    looks = [row["dev"]["nll"] for row in log]
    assert min(looks[-3:]) < looks[0] - 0.5, "it learns"
    for name in ("accuracy", "nll", "unigram_nll", "pseudo_perplexity"):
        low, high = dev["intervals"][name]
        assert low < dev[name] < high
        assert f"{dev[name]:.4f}" in done.out
    card = Path("run", "model", "README.md").read_text()
    assert "fill-mask" in card
    opened, info = transformers.AutoModelForMaskedLM.from_pretrained("run/model", output_loading_info=True)
    assert not info["missing_keys"]
    tokeniser = transformers.AutoTokenizer.from_pretrained("run/model")
    with torch.no_grad():
        logits = opened(**tokeniser("the [MASK] of the box", return_tensors="pt")).logits
    assert logits.shape[-1] == len(house.vocabulary())
    trained = whet("train", reviews, "--model", "run", "--out", "fine", *house.FAST).ok()
    assert "New pooler" not in trained.err, "the encoder's own was kept"
    assert "New head" in trained.err
    whet("predict", "fine", reviews, "--to", "answers.csv").ok()
    whet("predict", "run", reviews).refused("run has no classifier", "whet train FILE --model run")
    again = whet("pretrain", corpus, "--model", "run", "--out", "further", *FAST).ok()
    assert "masked-LM head is kept" in again.err


@pytest.mark.parametrize("options", [(), ("--set", "next_sentence=on")])
def test_an_encoder_from_nothing(whet, corpus, reviews, options):
    import transformers

    whole = ("--new", "tiny", "--vocab-size", "150", "--max-length", "24", *options)
    done = whet("pretrain", corpus, "--out", "run", *FAST, *whole, "--set", "min_steps=0").ok()
    assert "New tokeniser" in done.err
    assert "from a new tiny BERT" not in done.err
    name = "BertForPreTraining" if options else "BertForMaskedLM"
    assert json.loads(Path("run/model/config.json").read_text())["architectures"] == [name]
    opened, info = getattr(transformers, name).from_pretrained("run/model", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert opened.config.vocab_size == len(transformers.AutoTokenizer.from_pretrained("run/model"))
    trained = whet("train", reviews, "--model", "run", "--out", "fine", *house.FAST).ok()
    assert ("New pooler" in trained.err) == (not options), "without next sentences a pooler learns nothing"
    dev = manifest_of()["results"]["dev"]
    assert ("next_accuracy" in dev) == bool(options)
    assert manifest_of()["model"] == "a new tiny BERT"


def test_rows_whole_words_and_a_file_held_out(whet, encoder, reviews, tmp_path):
    other = write_corpus(tmp_path / "other.txt", 9, seed=1)
    done = whet(
        "pretrain", reviews, "--model", encoder, "--out", "run", *FAST, "--whole-words", "--dev", other,
        "--set", "mask_rate=0.3",
    ).ok()  # fmt: skip
    assert "the rows of" in done.err
    assert "30% of the words hidden" in done.err
    manifest = manifest_of()
    assert manifest["results"]["dev"]["n_documents"] == 9
    assert manifest["config"]["whole_words"] == "on"
    saved = json.loads(Path("run/model/whet.json").read_text())["task"]
    assert (saved["name"], saved["rate"], saved["whole_words"]) == ("masked-lm", 0.3, True)


def test_held_out_documents_have_no_duplicate_in_training(whet, encoder, tmp_path):
    """Of six texts, each ten times, those held out are wholly held out."""
    texts = [" ".join([word] * 5) for word in house.FILLER[:6]]
    path = tmp_path / "twice.txt"
    path.write_text("\n".join(texts * 10), encoding="utf-8")
    whet("pretrain", path, "--model", encoder, "--out", "run", *FAST, "--set", "dev_fraction=0.2").ok()
    dev, train = manifest_of()["results"]["dev"], manifest_of()["data"]["train"]
    assert dev["n_documents"] % 10 == 0
    assert train["rows"] + dev["n_documents"] == 60


def test_a_dry_run_and_a_time_limit(whet, encoder, corpus):
    done = whet("pretrain", corpus, "--model", encoder, *FAST, "--dry-run").ok()
    assert "Steps:" in done.out
    assert not Path("runs").exists()
    whet("pretrain", corpus, "--model", encoder, "--out", "free", *FAST).ok()
    whet("pretrain", corpus, "--model", encoder, "--out", "limited", *FAST, "--time-limit", "1h").ok()
    free, limited = (Path(run, "model", "model.safetensors").read_bytes() for run in ("free", "limited"))
    assert free == limited
    import whet as library

    found = library.estimate((corpus,), task="masked-lm", model=encoder, batch_size=8, quiet=True)
    assert found.n_rows > 50


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("pretraining")
    write_corpus(folder / "corpus.txt", 16)
    yield from prepared(folder, folder)


@pytest.mark.parametrize("kind", [pytest.param("continued", marks=pytest.mark.slow), "new"])
def test_a_killed_run_ends_with_the_same_bits(forks: Forks, kind: str) -> None:
    """Proof that it can fail: where what is hidden follows a generator's state, or a new tokeniser another
    order of characters, the weights differ."""
    own = ("--model", str(forks.folder / "tiny"))
    if kind == "new":
        own = ("--new", "tiny", "--vocab-size", "120", "--max-length", "24")
    command = (
        "pretrain", str(forks.folder / "corpus.txt"), "--out", "run", *own, "--epochs", "2", "--batch-size",
        "8", "--threads", "1", "--precision", "float32", "--quiet",
    )  # fmt: skip

    def result() -> dict[str, str]:
        names = ("metrics.jsonl", "model/model.safetensors", "model/tokenizer.json")
        run = forks.folder / "run"
        return {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names}

    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, output = forks.run(*command)
    assert status == 0, output
    expected, moments = result(), forks.moments
    flips = [place for place, name in enumerate(moments, 1) if name == "flipped last"]
    at = flips[len(flips) // 2] + 2
    shutil.rmtree(forks.folder / "run")
    assert forks.run(*command, at=at)[0] == -signal.SIGKILL
    status, output = forks.run(*command, "--resume")
    assert status == 0, output
    assert result() == expected, f"killed at moment {at}: {moments[at - 1]}"


def test_bad_input_is_one_message(whet, encoder, corpus, reviews, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n", encoding="utf-8")
    whet("pretrain", empty, "--model", encoder).refused("empty.txt", "no text")
    one = tmp_path / "one.txt"
    one.write_text("a document of one line\nand another line\n\n", encoding="utf-8")
    whet("pretrain", one, "--model", encoder).refused("one document", "dev_fraction=0", "documents=lines")
    whet("pretrain", one, "--model", encoder, "--out", "run", *FAST, "--set", "dev_fraction=0").ok()
    whet("pretrain", one, "--model", encoder, "--set", "next_sentence=on").refused(
        "next_sentence=on", "one.txt"
    )
    unknown = tmp_path / "unknown.txt"
    unknown.write_text("☃☃\n\n☃\n\n♞\n", encoding="utf-8")
    whet("pretrain", unknown, "--model", encoder).refused("no word that the tokeniser knows")
    whet("pretrain", reviews, "--model", encoder, "--text", "txet").refused("no column 'txet'", "text")
    whet("pretrain", corpus, "--model", encoder, "--new", "tiny").refused("go on with one", status=2)
    whet("pretrain", corpus, "--new", "tinny").refused("new=tinny", "tiny, mini, small, medium, base")
    whet("pretrain", corpus, "--new", "tiny", "--vocab-size", "20").refused("vocab_size=20")
    whet("pretrain", corpus, "--model", encoder, "--vocab-size", "500").refused("vocab_size", "--new tiny")
    whet("pretrain", corpus, "--cased", "--dry-run").refused("casing: about a new encoder's tokeniser")
    whet("pretrain", corpus, "--model", encoder, "--set", "threshold=f1").refused(
        "threshold: not for masked-lm"
    )
    whet("pretrain", corpus, "--model", encoder, "--set", "mask_rate=0").refused("mask_rate=0")
    whet("pretrain").refused("Name the texts", status=2)
    whet("train", reviews, "--task", "masked-lm").refused("whet pretrain", status=2)
    whet("train", reviews, "--set", "mask_rate=0.2").refused("mask_rate: not for classification")
    maskless = tmp_path / "maskless"
    shutil.copytree(encoder, maskless)
    content = (maskless / "tokenizer.json").read_text().replace("[MASK]", "[HIDE]")
    (maskless / "tokenizer.json").write_text(content)
    whet("pretrain", corpus, "--model", maskless).refused("no mask token", "maskless")
    assert not Path("runs").exists()
