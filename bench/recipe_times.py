"""Every recipe on the same few rows: seconds from the command to its end, and its score on reported rows.

    python bench/versus_trainer.py convert ../shared/data build/bench       once
    python -m bench.recipe_times build/bench --set trec --rows 1000 --seeds 0 1

Each run is a process of its own, and recipes alternate within a seed; nothing should run beside them. whet
chooses its epoch on rows of its own training rows, and the reported split is scored once, at the end.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from bench.alternating import head, line, spread
from bench.versus_trainer import SETS
from whet.recipes import RECIPES


def first_rows(file: Path, n: int, out: Path) -> Path:
    """The header and n rows of a table, as a table."""
    with (
        file.open(encoding="utf-8", newline="") as source,
        out.open("w", encoding="utf-8", newline="") as sink,
    ):
        csv.writer(sink).writerows(islice(csv.reader(source), n + 1))
    return out


def run(train: Path, test: Path, recipe: str, seed: int, figure: str) -> tuple[float, float]:
    """Seconds and score."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"
        words = ["train", str(train), "--test", str(test), "--out", str(out), "--quiet"]
        began = time.time()
        subprocess.run(
            [sys.executable, "-m", "whet", *words, "--recipe", recipe, "--seed", str(seed)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.time() - began
        results = json.loads((out / "run.json").read_text(encoding="utf-8"))["results"]
    return seconds, results["test"][figure]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--set", default="trec", choices=list(SETS))
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    asked = parser.parse_args()
    reported, figure = SETS[asked.set]
    found: dict[str, list[tuple[float, float]]] = {recipe: [] for recipe in asked.recipes}
    with tempfile.TemporaryDirectory() as place:
        train = first_rows(asked.work / asked.set / "train.csv", asked.rows, Path(place) / "train.csv")
        for seed in asked.seeds:
            for recipe, rows in found.items():
                rows.append(run(train, asked.work / asked.set / f"{reported}.csv", recipe, seed, figure))
                print(
                    json.dumps({"recipe": recipe, "seed": seed, "run": rows[-1]}), file=sys.stderr, flush=True
                )
    head("recipe", f"{asked.set}, {figure}", "by seed", "seconds")
    for recipe, rows in found.items():
        scores = [100 * score for _, score in rows]
        by_seed = ", ".join(f"{score:.1f}" for score in scores)
        line(
            recipe, f"{statistics.mean(scores):.1f}", by_seed, spread([seconds for seconds, _ in rows], ".0f")
        )


if __name__ == "__main__":
    main()
