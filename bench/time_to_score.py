"""Seconds from the command, start-up included, to the score that Trainer's three epochs reach.

    python bench/versus_trainer.py convert ../shared/data build/bench                               once
    python -m bench.time_to_score build/bench --sets sst2 trec banking77 [--rounds 1]
    python -m bench.time_to_score build/bench --sets conll --conll ../shared/data/conll2003
    python -m bench.time_to_score build/bench --sets conll --conll FOLDER --target 0.903 --steps 100
    python -m bench.time_to_score build/bench --sets squad --squad TRAIN.json DEV.json --target 65 --epochs 2

Sides alternate, each run a process of its own: Trainer as it comes, Trainer with bf16 and length groups, and
`whet train TRAIN --dev REPORTED` with its defaults, or with each of --recipes. A Trainer's time is that from
the start of its process to the end of its training; its score, on the reported split, is measured afterwards
and costs it nothing. whet looks at the reported split after each epoch, which costs it time, and its clock
stops at the first look that is not below the better one of both Trainers; where none is, the row says so and
shows the best.

SQuAD's Trainer (run_qa's settings) takes hours here, so its score is given by --target (F1 of a whole run of
--epochs elsewhere, see docs/benchmarks.md), and its time is that of --steps steps times what these epochs
have of them; start-up is counted once. So does CoNLL-2003 where --target is given (F1, as a share); 50 steps
are one of the Trainer's groups by length.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, final

from bench.alternating import head, line, spread
from bench.versus_trainer import SETS, files_of
from whet.recipes import DEFAULT

POLL = 0.05  # seconds between looks at metrics.jsonl
BEST_FLAGS = ["--bf16", "--group"]


@final
class Job:
    """One data set: its commands, and the figure that is the score."""

    def __init__(self, asked: argparse.Namespace, name: str) -> None:
        self.name, self._asked = name, asked
        self.percent = 1 if name == "squad" else 100  # what makes the figure one
        if name == "squad":
            self.figure, self._files = "f1", tuple(asked.squad)
        else:
            train, reported, self.figure = files_of(asked.work, name, asked.conll)
            self._files = train, reported

    def trainer(self, flags: list[str]) -> dict[str, float]:
        """Seconds and score of one of Trainer's runs."""
        work = str(self._asked.work)
        if self.name == "squad":
            words = ["bench.squad", "trainer", *map(str, self._asked.squad), work]
            return self._begun([*words, "--device", "cpu", "--epochs", str(self._asked.epochs), *flags])
        if self.name == "conll":
            words = ["bench.conll", "trainer", str(self._asked.conll), work, *flags]
            if self._asked.target is not None:
                return self._begun(words)
        else:
            words = ["bench.trainer_run", work, self.name, *flags]
        began = time.time()
        row = printed(words)
        return {"seconds": row["ended"] - began, "score": row[self.figure]}

    def _begun(self, words: list[str]) -> dict[str, float]:
        """The same of a run of which --steps are timed."""
        asked = self._asked
        began = time.time()
        row = printed([*words, "--steps", str(asked.steps)])
        whole = row["training_seconds"] * row["steps_of_all"] / asked.steps
        return {"seconds": row["ended"] - began - row["training_seconds"] + whole, "score": asked.target}

    def whet(self, target: float, recipe: str) -> dict[str, Any]:
        """Seconds to the first look that is not below the target."""
        train, reported = self._files
        with tempfile.TemporaryDirectory() as place:
            out = Path(place) / "run"
            words = ["train", str(train), "--dev", str(reported), "--out", str(out), "--quiet"]
            words += ["--recipe", recipe]
            words += [word for pair in self._asked.set for word in ("--set", pair)]
            began = time.time()
            process = subprocess.Popen([sys.executable, "-m", "whet", *words], stdout=subprocess.DEVNULL)
            looks: list[float] = []
            try:
                while True:
                    ended = process.poll()
                    found = evaluations(out / "metrics.jsonl", self.figure)
                    seconds = time.time() - began
                    if (found and max(found) >= target) or ended is not None:
                        break
                    time.sleep(POLL)
                looks = found
            finally:
                process.terminate()
                process.wait()
        if ended:
            raise SystemExit(f"whet train ended with status {ended}")
        row = {"seconds": seconds, "score": max(looks), "epoch": len(looks)}
        return row | {"reached": max(looks) >= target}


def printed(words: list[str]) -> dict[str, Any]:
    """The JSON object that a module prints last."""
    run = subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def evaluations(file: Path, figure: str) -> list[float]:
    """The dev figures so far; the line that is just being written is left out."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return [line["dev"][figure] for line in lines if line["event"] == "evaluation"]


def compared(job: Job, recipes: list[str], rounds: int, given: float | None) -> None:
    """A row of the table for each recipe, over the rounds."""
    plain, best = [], []
    mine: dict[str, list[dict[str, Any]]] = {recipe: [] for recipe in recipes}
    for _ in range(rounds):
        plain.append(job.trainer([]))
        best.append(job.trainer(BEST_FLAGS))
        target = max(plain[-1]["score"], best[-1]["score"]) if given is None else given
        for recipe, rows in mine.items():
            rows.append(job.whet(target, recipe))
        for side, rows in (("trainer", plain), ("trainer, best flags", best), *mine.items()):
            print(json.dumps({"set": job.name, "side": side, **rows[-1]}), file=sys.stderr, flush=True)
    for recipe, own in mine.items():

        def over(rows: list[dict[str, float]], own: list[dict[str, Any]] = own) -> str:
            return spread([a["seconds"] / b["seconds"] for a, b in zip(rows, own, strict=True)])

        n_reached = sum(row["reached"] for row in own)
        epochs = "/".join(str(row["epoch"]) for row in own)
        line(
            f"{job.name}, {job.figure}",
            recipe,
            *(spread([job.percent * row["score"] for row in rows], ".1f") for rows in (plain, best, own)),
            *(spread([row["seconds"] for row in rows], ".0f") for rows in (plain, best, own)),
            over(plain),
            over(best),
            epochs if n_reached == rounds else f"{epochs}, reached by {n_reached}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", required=True, choices=[*SETS, "conll", "squad"])
    parser.add_argument("--conll", type=Path, help="folder of CoNLL-2003")
    parser.add_argument("--squad", nargs=2, type=Path, metavar=("TRAIN", "DEV"))
    parser.add_argument("--target", type=float, help="a score, instead of Trainer's own")
    parser.add_argument("--steps", type=int, default=40, help="of a Trainer with --target that are timed")
    parser.add_argument("--epochs", type=int, default=3, help="of SQuAD's Trainer, as that of --target had")
    parser.add_argument("--recipes", nargs="+", default=[DEFAULT])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of whet")
    asked = parser.parse_args()
    head(
        "set", "recipe", "Trainer", "best flags", "whet", "seconds: Trainer", "best flags", "whet",
        "Trainer / whet", "best flags / whet", "whet's epochs",
    )  # fmt: skip
    for name in asked.sets:
        compared(Job(asked, name), asked.recipes, asked.rounds, asked.target)


if __name__ == "__main__":
    main()
