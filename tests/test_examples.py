"""The example scripts run, and moving one over to whet changes fewer than ten lines of it."""

import csv
import difflib
import runpy
from collections.abc import Sequence
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TEXTS = {
    "positive": ("A joy from start to end.", "Warm and clever.", "I laughed all the way through.", "Lovely."),
    "negative": ("Dull and far too long.", "I left before the end.", "Nobody seems to care.", "A waste."),
}
PAIRS = {"yes": "Somebody eats.", "no": "Nobody eats."}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    rows = [(text, label) for label, texts in TEXTS.items() for text in texts]
    _write(path, ("text", "label"), rows)
    return path


@pytest.fixture
def mini() -> str:
    from whet import locate

    return str(locate("mini").folder)


def test_fewer_than_ten_lines_differ() -> None:
    old, new = (
        (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
        for name in ("transformers_script.py", "whet_script.py")
    )
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    # A block counts by its longer side, so that lines taken away count too.
    changed = sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal")
    assert 0 < changed < 10


@pytest.mark.parametrize(
    ("script", "labels"),
    [
        ("transformers_script.py", ("LABEL_0", "LABEL_1")),
        ("whet_script.py", ("negative", "positive")),
    ],
)
def test_the_classifier_scripts_run_and_transformers_opens_what_they_save(
    script: str,
    labels: tuple[str, ...],
    data: Path,
    mini: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    import whet

    out = tmp_path / "fine-tuned"
    _run(script, [mini, "--data", str(data), "--out", str(out), "--epochs", "1"], monkeypatch)
    model = AutoModelForSequenceClassification.from_pretrained(out).eval()
    assert tuple(model.config.id2label.values()) == labels
    text = TEXTS["positive"][0]
    inputs = AutoTokenizer.from_pretrained(out)(text, return_tensors="pt")
    theirs = model(**inputs).logits[0].tolist()
    opened = whet.load(out)
    (ours,) = opened.predict([text], logits=True)
    assert opened.labels == labels
    assert ours.logits == pytest.approx(theirs, abs=1e-5)


def test_own_loop_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"A man eats {meal}.", PAIRS[label], label) for meal in ("soup", "bread") for label in PAIRS]
    for name in ("pairs.csv", "dev.csv"):
        _write(tmp_path / name, ("premise", "hypothesis", "label"), rows)
    out = tmp_path / "fine-tuned"
    arguments = ["--data", str(tmp_path / "pairs.csv"), "--dev", str(tmp_path / "dev.csv"), "--out", str(out)]
    _run("own_loop.py", [*arguments, "--epochs", "1", "--batch-size", "3"], monkeypatch)
    assert "epoch 1: dev accuracy" in capsys.readouterr().out
    assert (out / "model.safetensors").exists()


def _run(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("sys.argv", [script, *arguments])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


def _write(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
