"""Candidates for the default recipe, screened on inner splits: the reported splits are never read.

    python -m bench.recipe_screen build/bench build/screen [--only NAME ...] [--seeds 0 1] [--sets ...]
    python -m bench.recipe_screen build/bench build/screen --table
    python -m bench.recipe_screen build/bench build/screen --sst2 TRAIN.TSV --sets sst2-sentences

Of each training file a seventh (1,500 rows at most) is set aside to choose by; each candidate trains on the
rest, holds a tenth of that out for its epoch as whet does, and is scored once on the rows set aside. Every
finished run is a file of the ledger folder, so several processes share the work and a stopped one goes on.

sst2-sentences: SST-2's training rows are phrases, its dev whole sentences, and phrases of one sentence lie on
both sides of a random split. Here the rows to choose by are sentences of 12 words and more behind the first
6,920 rows, which share no four words in a row with these or with each other.
"""

import argparse
import csv
import json
import math
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.versus_trainer import SETS, SST2_ROWS

SCREENED = ("sst2", "cola", "trec", "mrpc")
SENTENCES = "sst2-sentences"
SHARE, MOST = 1 / 7, 1500  # rows to choose by

CANDIDATES: dict[str, dict[str, Any]] = {
    "rate 5e-5": {"head_first": 0, "learning_rate": 5e-5},
    "rate 1e-4": {"head_first": 0, "learning_rate": 1e-4},
    "rate 2e-4": {"head_first": 0, "learning_rate": 2e-4},
    "rate 4e-4": {"head_first": 0, "learning_rate": 4e-4},
    "1e-4, mean pooling": {"head_first": 0, "learning_rate": 1e-4, "pooling": "mean"},
    "2e-4, mean pooling": {"head_first": 0, "learning_rate": 2e-4, "pooling": "mean"},
    "1e-4, head first": {"head_first": 2, "learning_rate": 1e-4},
    "2e-4, head first": {"head_first": 2, "learning_rate": 2e-4},
    "head first 10": {"head_first": 10, "learning_rate": 1e-4},
    "head first 10, head rate 5e-3": {"head_first": 10, "learning_rate": 1e-4, "head_learning_rate": 5e-3},
    "head first 4, head rate 5e-3": {"head_first": 4, "learning_rate": 1e-4, "head_learning_rate": 5e-3},
    "head first 10, head rate 2e-2": {"head_first": 10, "learning_rate": 1e-4, "head_learning_rate": 2e-2},
    "head first 10, 16 a step": {"head_first": 10, "learning_rate": 1e-4, "batch_size": 16},
    "head first 10, dropout 0.05": {"head_first": 10, "learning_rate": 1e-4, "dropout": 0.05},
    "head first 10, top layer anew": {"head_first": 10, "learning_rate": 1e-4, "reinit_layers": 1},
    "head first 10, smoothed": {"head_first": 10, "learning_rate": 1e-4, "label_smoothing": 0.1},
    "head first, by size": {"head_first": 2, "learning_rate": 1e-4, "probe_step": 1.0},
    "fast": {"head_first": 3, "learning_rate": 2e-4, "probe_step": 1.0, "epochs": 1},
    "fast, 1e-4": {"head_first": 3, "learning_rate": 1e-4, "probe_step": 1.0, "epochs": 1},
    "fast, mean pooling": {
        "head_first": 3,
        "learning_rate": 2e-4,
        "probe_step": 1.0,
        "epochs": 1,
        "pooling": "mean",
    },
    "fast, 1.5e-4, 2 epochs": {"head_first": 3, "learning_rate": 1.5e-4, "probe_step": 1.0, "epochs": 2},
    **{
        f"one epoch, {rate:g}, {pooling}": {
            "head_first": 5,
            "head_learning_rate": 1e-2,
            "learning_rate": rate,
            "epochs": 1,
            "pooling": pooling,
        }
        for pooling in ("own", "mean")
        for rate in (1e-4, 2e-4, 3e-4)
    },
    **{
        f"head first, {n} lowest layers frozen": {
            "head_first": 2,
            "learning_rate": 1e-4,
            "groups": ";".join(
                f"encoder.{part}:rate=0" for part in ("embeddings.*", *(f"layers.{i}.*" for i in range(n)))
            ),
        }
        for n in (2, 3, 4)
    },
}


def runs_of_four(text: str) -> set[tuple[str, ...]]:
    """Each four words in a row."""
    words = text.split()
    return {tuple(words[i : i + 4]) for i in range(len(words) - 3)}


def write_sentences(work: Path, tsv: Path) -> None:
    """The split of sst2-sentences, see above."""
    lines = tsv.read_text(encoding="utf-8").splitlines()[1:]
    rows = [(text.strip(), label) for text, label in (line.split("\t") for line in lines)]
    known = {run for text, _ in rows[:SST2_ROWS] for run in runs_of_four(text)}
    others = [
        row for row in rows[SST2_ROWS:] if len(row[0].split()) >= 12 and not runs_of_four(row[0]) & known
    ]
    random.Random(0).shuffle(others)
    chosen = []
    for row in sorted(others, key=lambda row: -len(row[0].split())):
        found = runs_of_four(row[0])
        if not found & known:
            known |= found
            chosen.append(row)
    (work / SENTENCES / "inner").mkdir(parents=True, exist_ok=True)
    for part, kept in zip(parts_of(work, SENTENCES), (rows[:SST2_ROWS], chosen), strict=True):
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *kept])


def parts_of(work: Path, name: str) -> tuple[Path, Path]:
    """Rows to train on, rows to choose by."""
    return work / name / "inner" / "train.csv", work / name / "inner" / "choice.csv"


def split(work: Path, name: str) -> tuple[Path, Path]:
    """The set's rows to train on and to choose by, written once."""
    parts = parts_of(work, name)
    if not parts[1].exists():
        with (work / name / "train.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        random.Random(0).shuffle(rows)
        n_choice = min(int(len(rows) * SHARE), MOST)
        parts[0].parent.mkdir(exist_ok=True)
        for part, kept in zip(parts, (rows[n_choice:], rows[:n_choice]), strict=True):
            with part.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(kept)
    return parts


def run(work: Path, name: str, candidate: str, seed: int) -> dict[str, Any]:
    """One training run, and its figure on the rows to choose by."""
    import whet

    train, choice = split(work, name)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        settings = CANDIDATES[candidate]
        made = whet.train(train, test=choice, out=Path(place) / "run", seed=seed, quiet=True, **settings)
    results = made.manifest["results"]
    figure = SETS["sst2" if name == SENTENCES else name][1]
    return {
        "candidate": candidate,
        "set": name,
        "seed": seed,
        "figure": figure,
        "score": results["test"][figure],
        "nll": results["test"]["nll"],
        "epoch": results["best_epoch"],
        "cpu_seconds": time.process_time() - began,
    }


def work_through(work: Path, ledger: Path, cells: list[tuple[str, str, int]]) -> None:
    """Every cell that no other process has finished or begun."""
    ledger.mkdir(parents=True, exist_ok=True)
    for name, candidate, seed in cells:
        cell = ledger / f"{name}-{candidate.replace(' ', '_')}-{seed}.json"
        claim = cell.with_suffix(".claim")
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        try:
            row = run(work, name, candidate, seed)
        except BaseException:
            claim.unlink()
            raise
        cell.write_text(json.dumps(row))
        print(json.dumps(row), flush=True)


def table(ledger: Path) -> None:
    """Means over seeds, in points, and the mean over sets of what all candidates have."""
    rows = [json.loads(file.read_text()) for file in sorted(ledger.glob("*.json"))]
    sets = list(dict.fromkeys(row["set"] for row in rows))
    print("| candidate | " + " | ".join(sets) + " | mean | seeds | processor seconds |")
    print("| --- |" + " --- |" * (len(sets) + 3))
    for candidate in CANDIDATES:
        mine = [row for row in rows if row["candidate"] == candidate]
        if not mine:
            continue
        means = []
        for name in sets:
            scores = [100 * row["score"] for row in mine if row["set"] == name]
            means.append(statistics.mean(scores) if scores else math.nan)
        seeds = sorted({row["seed"] for row in mine})
        cost = sum(row["cpu_seconds"] for row in mine) / len(seeds)
        shown = " | ".join(f"{mean:.1f}" for mean in (*means, statistics.mean(means)))
        print(f"| {candidate} | {shown} | {len(seeds)} | {cost:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--only", nargs="+", default=list(CANDIDATES), choices=CANDIDATES)
    parser.add_argument("--sets", nargs="+", default=SCREENED)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--sst2", type=Path, help="SST-2's train.tsv: write the split of sst2-sentences")
    asked = parser.parse_args()
    if asked.sst2:
        write_sentences(asked.work, asked.sst2)
    if not asked.table:
        cells = [(name, one, seed) for seed in asked.seeds for name in asked.sets for one in asked.only]
        work_through(asked.work, asked.ledger, cells)
    table(asked.ledger)


if __name__ == "__main__":
    main()
