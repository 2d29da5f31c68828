"""A process that runs `whet` in forks and can kill them at any moment (faults.py), with data to train on."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance import house

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("--epochs", "2", "--batch-size", "8", "--threads", "1", "--precision", "float32", "--quiet")


@dataclass
class Forks:
    """The process of faults.py, and a folder with data."""

    process: "subprocess.Popen[str]"
    folder: Path
    train: tuple[str, ...]
    notes: Path  # a folder for what is said of a run, on another disk where the run's may be full

    def run(
        self, *arguments: str, at: int = 0, how: str = "kill", number: int = signal.SIGTERM
    ) -> tuple[int, str]:
        case = {
            "arguments": arguments, "at": at, "how": how, "signal": int(number), "folder": str(self.folder),
            "trace": str(self.notes / "trace.txt"), "output": str(self.notes / "output.txt"),
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.moments: list[str] = answer["moments"]
        return answer["status"], (self.notes / "output.txt").read_text()

    def result(self, *folders: str) -> dict[str, str]:
        """What must be the same, as sha256; of the run, or of these folders in it."""
        names = ("metrics.jsonl", "predictions.dev.jsonl", "model/model.safetensors", "model/config.json")
        paths = [Path(folder, name) for folder in folders or (".",) for name in names]
        run = self.folder / "run"
        return {str(path): hashlib.sha256((run / path).read_bytes()).hexdigest() for path in paths}


def prepared(folder: Path, notes: Path) -> Iterator[Forks]:
    texts, labels = house.sentences(40)
    house.write_csv(folder / "reviews.csv", {"text": texts, "label": labels})
    model = house.make_checkpoint(folder / "tiny")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.faults"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    train = ("train", str(folder / "reviews.csv"), "--out", "run", "--model", str(model), *SETTINGS)
    yield Forks(process, folder, train, notes)
    process.kill()
    process.wait()


def spread(moments: list[str], n: int) -> list[int]:
    """n moments, from 1: the kinds in turn, each kind spread over the run."""
    kinds: dict[str, list[int]] = {}
    for number, name in enumerate(moments, 1):
        kinds.setdefault(name.split(" step-")[0], []).append(number)
    chosen: list[int] = []
    turn = 0
    while len(chosen) < n:
        for places in kinds.values():
            share = ((turn + 1) * 0.6180339887) % 1.0
            chosen.append(places[int(share * len(places))])
        turn += 1
    return chosen[:n]
