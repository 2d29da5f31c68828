"""The ledger: what it counts, what it says, and what becomes of it when the file or the folder is bad."""

import errno
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from whet.data.memory import table_of_frame, table_of_lists
from whet.data.readers import read_table
from whet.ledger import Ledger, Seen, expected_maximum, ledger_of, look_together, optimism

FIGURES = {"accuracy": 0.9, "macro_f1": 0.8, "mcc": 0.7, "nll": 0.3, "roc_auc": None}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return _run(tmp_path / "runs" / "a")


def _run(folder: Path, **manifest: Any) -> Ledger:
    (folder / "model").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(manifest))
    found = ledger_of(folder / "model")
    assert found is not None
    return found


def _look(ledger: Ledger, fingerprint: str = "f", source: str = "test.csv") -> Seen:
    return ledger.look("eval", source, fingerprint, 100, FIGURES)


def test_looks_are_counted_and_written_down(ledger: Ledger) -> None:
    assert _look(ledger) == Seen(1, ("Look 1 at test.csv by this run.",), None)
    second = _look(ledger, source="renamed.csv")
    assert second.number == 2
    assert second.notes[0].startswith("Look 2 at renamed.csv by this run. What is chosen by looks")
    assert _look(ledger, "other").number == 1
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert [line["source"] for line in lines] == ["test.csv", "renamed.csv", "test.csv"]
    assert set(lines[0]) == {"time", "command", "source", "fingerprint", "rows", "figures"}
    assert lines[0]["figures"] == {"accuracy": 0.9, "macro_f1": 0.8, "mcc": 0.7, "nll": 0.3}
    assert lines[0]["time"].endswith("+00:00")


def test_rows_of_training_are_no_look(tmp_path: Path) -> None:
    data = {"train": {"fingerprint": "t"}, "dev": {"fingerprint": "d"}, "test": {"fingerprint": "f"}}
    ledger = _run(tmp_path / "a", data=data)
    assert _look(ledger, "t").number is None
    assert "trained on these rows" in _look(ledger, "t").notes[0]
    assert "chose its epoch by these rows" in _look(ledger, "d").notes[0]
    assert not ledger.path.exists()
    assert _look(ledger, "f").number == 1
    held_out = _run(
        tmp_path / "b",
        data={"train": {"fingerprint": "t"}, "dev": {"fingerprint": "t"}},
        dev_is_held_out=True,
    )
    assert "trained on most of these rows and chose its epoch by the others" in _look(held_out, "t").notes[0]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"data": 3}', '{"data": {"train": null}}', '{"data": {"train": {}}}']
)
def test_a_damaged_manifest_only_hides_what_was_trained_on(ledger: Ledger, content: str) -> None:
    (ledger.run / "run.json").write_text(content)
    assert _look(ledger).number == 1


def test_runs_beside_it(tmp_path: Path) -> None:
    a, b, c = (_run(tmp_path / "runs" / name) for name in "abc")
    _look(a)
    _look(a)
    _look(c, "other")
    seen = _look(b, source="copy.csv")
    assert seen.number == 1
    assert seen.beside == (
        "copy.csv has been looked at 3 times by 2 runs of runs/: choosing the best of them by it makes its "
        "figure too good (by up to about 1.7 points of accuracy); choose on dev, and report on rows not "
        "looked at."
    )
    (tmp_path / "runs" / "link").symlink_to(b.run)
    assert _look(a).beside == seen.beside.replace("3 times", "4 times").replace("copy", "test")


def test_several_models_at_once_are_written_down_before_any_is_spoken_of(tmp_path: Path) -> None:
    ledgers = {name: _run(tmp_path / "runs" / name) for name in "ab"}
    notes = look_together(ledgers, "compare", "test.csv", "f", 100, {"a": {"mcc": 0.5}, "b": {"mcc": 0.6}})
    assert notes[:2] == ("a: Look 1 at test.csv by this run.", "b: Look 1 at test.csv by this run.")
    assert len(notes) == 3
    assert notes[2].startswith("test.csv has been looked at 2 times by 2 runs of runs/")


def test_a_model_of_no_run_has_no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    assert ledger_of(tmp_path / "model") is None
    (tmp_path / "run.json").write_text("{}")
    assert ledger_of(tmp_path / "model") == Ledger(tmp_path)
    assert ledger_of(tmp_path) is None
    monkeypatch.chdir(tmp_path / "model")
    assert ledger_of(Path()) == Ledger(tmp_path)


# ------------------------------------------------------------------ bad files


def test_a_torn_last_line_is_passed_over(ledger: Ledger) -> None:
    _look(ledger)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole[:40])
    seen = _look(ledger)
    assert seen.number == 2
    assert json.loads(ledger.path.read_bytes().splitlines()[-1])["fingerprint"] == "f"
    assert "ledger.jsonl:2 is damaged and not counted; remove it." in seen.notes[0]


def test_a_torn_last_line_alone_is_not_spoken_of(ledger: Ledger) -> None:
    _look(ledger)
    ledger.path.write_bytes(ledger.path.read_bytes() + b'{"time": "20')
    seen = ledger.told("test.csv", "f", 100, FIGURES)
    assert seen.notes == ("Look 1 at test.csv by this run.",)


@pytest.mark.parametrize(
    "content",
    [b"no json\n", b"\xff\xfe\n", b"[1]\n", b"{}\n", b"[" * 100_000 + b"\n", b'"text"\n', b"null\n", b"3\n",
     b'{"time": 1, "command": "eval", "source": "s", "fingerprint": "f", "rows": 1, "figures": {}}\n',
     b'{"time": "", "command": "eval", "source": "s", "fingerprint": "f", "rows": "1", "figures": {}}\n',
     b'{"time": "", "command": "eval", "source": "s", "fingerprint": ["f"], "rows": 1, "figures": {}}\n'],
)  # fmt: skip
def test_a_bad_ledger_costs_a_line(ledger: Ledger, content: bytes) -> None:
    ledger.path.write_bytes(content)
    seen = _look(ledger)
    assert seen.number == 1
    assert len(seen.notes) == 2
    assert "ledger.jsonl:1 is damaged" in seen.notes[0]
    ledger.path.write_bytes(content * 3)
    assert (
        "ledger.jsonl:1 and 2 other lines are damaged and not counted; remove them." in _look(ledger).notes[0]
    )


def test_a_folder_in_its_place(ledger: Ledger) -> None:
    ledger.path.mkdir()
    seen = _look(ledger)
    assert seen.number == 1
    assert len(seen.notes) == 2
    assert "cannot be written (Is a directory), so this look is not counted." in seen.notes[0]


def test_a_folder_that_cannot_be_written(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by hand: a test run by root may write everywhere."""
    _look(ledger)
    real = Path.open

    def refuse(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "a" in mode:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    for _ in range(2):
        seen = _look(ledger)
        assert seen.number == 2  # the first, and this one
        assert "cannot be written (Read-only file system), so this look is not counted." in seen.notes[0]


def test_a_name_that_is_no_utf8(ledger: Ledger) -> None:
    _look(ledger, source="t\udcff.csv")
    assert _look(ledger).number == 2


def test_two_processes_do_not_mix_their_lines(ledger: Ledger) -> None:
    code = (
        "import sys; from pathlib import Path; from whet.ledger import Ledger\n"
        "for i in range(100):\n"
        "    assert Ledger(Path(sys.argv[1])).record('eval', 's' * 500, 'f', i, {'accuracy': 0.5}) is None\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(ledger.run)], cwd=Path(__file__).parents[1])
        for _ in range(2)
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert sorted(line["rows"] for line in lines) == sorted([*range(100), *range(100)])


# ------------------------------------------------------------------ arithmetic and fingerprints


def test_the_expected_maximum_has_closed_forms() -> None:
    """Of 2, 3 and 5 normal numbers; H. A. David, Order Statistics, 1981, section 3.2."""
    root = math.sqrt(math.pi)
    assert expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert expected_maximum(2) == pytest.approx(1 / root)
    assert expected_maximum(3) == pytest.approx(3 / (2 * root))
    assert expected_maximum(5) == pytest.approx(5 / (4 * root) * (1 + 6 / math.pi * math.asin(1 / 3)))


@pytest.mark.parametrize(("n_models", "shared"), [(3, 0.0), (10, 0.0), (10, 0.7)])
def test_optimism_is_what_choosing_adds(n_models: int, shared: float) -> None:
    """Models of the same true accuracy, chosen by one test set; with a share of rows on which all agree."""
    rng = np.random.default_rng(0)
    n, share = 500, 0.85
    together = rng.random((2000, 1, n)) < share
    apart = rng.random((2000, n_models, n), dtype=np.float32) < share
    is_right = np.where(rng.random((2000, 1, n)) < shared, together, apart)
    gain = is_right.mean(axis=2).max(axis=1).mean() - share
    stated = optimism(n_models, share, n)
    assert stated is not None
    assert gain <= stated * 1.03
    assert shared > 0 or gain == pytest.approx(stated, rel=0.05)


def test_optimism_where_nothing_is_wrong_or_known() -> None:
    assert optimism(2, None, 10) is None
    perfect = optimism(2, 1.0, 100)
    assert perfect is not None
    assert 0 < perfect < 0.02


def test_the_same_rows_from_a_file_and_from_memory(tmp_path: Path) -> None:
    rows = {"text": ["a b", "c d"], "label": ["x", "y"]}
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "one.csv", index=False)
    frame.to_csv(tmp_path / "two.csv", index=False)
    tables = [
        read_table(tmp_path / "one.csv"),
        read_table(tmp_path / "two.csv"),
        table_of_frame(frame),
        table_of_lists(rows),
    ]
    assert len({table.fingerprint() for table in tables}) == 1
