"""Does masked-word training on a task's own texts help 1,000 labelled rows? With and without it, from `mini`.

    python bench/task_adaptive.py build/bench WORK [--sets sst2 cola] [--seeds 5] [--epochs 3]

For each seed 1,000 training rows are drawn. One side fine-tunes `mini` on them; the other goes on with `mini`
on the texts of the whole training file, without labels, and fine-tunes what comes of it on the same rows with
the same seed. Figures are those of the set's dev file, differences are paired by seed. WORK keeps a line for
each finished cell, so that the command can be stopped and given again; --worker 0/2 and --worker 1/2 share
the cells between two processes. build/bench holds the sets as `versus_trainer.py convert` wrote them.
"""

import argparse
import csv
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import whet
from bench.cells import Cells
from bench.pretraining_from_nothing import interval

FIGURES = {"sst2": "accuracy", "cola": "mcc"}
SIDES = ("plain", "adapted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", default=["sst2", "cola"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3, help="of masked words")
    parser.add_argument("--texts", type=int, default=0, help="of train, for masked words; 0 is all")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--worker", default="0/1")
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    number, n_workers = map(int, asked.worker.split("/"))
    place = asked.work / f"worker-{number}"
    place.mkdir(parents=True, exist_ok=True)
    cells = Cells(place / "cells.jsonl")
    turns = [(name, seed) for seed in range(asked.seeds) for name in asked.sets]
    for name, seed in turns[number::n_workers]:
        rows = drawn(asked.data / name / "train.csv", place, asked.rows, asked.texts, seed)
        for side in SIDES:
            cells.once(
                lambda: measured(name, side, seed, rows, asked, place),  # noqa: B023
                set=name, side=side, seed=seed, epochs=asked.epochs,
            )  # fmt: skip
    found = [row for path in sorted(asked.work.glob("worker-*/cells.jsonl")) for row in Cells(path).rows]
    report([row for row in found if row["epochs"] == asked.epochs])


def drawn(path: Path, place: Path, n: int, n_texts: int, seed: int) -> tuple[Path, Path]:
    """n rows of a file, drawn by the seed, and the texts of all, or of the first ones, as files."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    chosen = random.Random(seed).sample(rows, n)
    texts = [[row[header.index("text")]] for row in (rows[:n_texts] if n_texts else rows)]
    found = place / "rows.csv", place / "texts.csv"
    for file_path, head, content in zip(found, (header, ["text"]), (chosen, texts), strict=True):
        with file_path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([head, *content])
    return found


def measured(
    name: str, side: str, seed: int, files: tuple[Path, Path], asked: argparse.Namespace, place: Path
) -> dict[str, Any]:
    rows, texts = files
    model, found = asked.model, dict[str, Any]()
    if side == "adapted":
        shutil.rmtree(place / "adapted", ignore_errors=True)
        run = whet.pretrain(
            texts, text="text", model=asked.model, out=place / "adapted", seed=seed, epochs=asked.epochs,
            threads=asked.threads, quiet=True,
        )  # fmt: skip
        model = str(run.folder)
        found = {key: run.metrics[key] for key in ("nll", "unigram_nll", "pseudo_perplexity")}
    tuned = whet.train(
        rows, model=model, out=place / "tuned", overwrite=True, seed=seed, threads=asked.threads, quiet=True
    )
    evaluation = whet.load(tuned.folder).evaluate(asked.data / name / "dev.csv")
    return {**found, "figure": evaluation.metrics[FIGURES[name]]}


def report(rows: list[dict[str, Any]]) -> None:
    """A table in Markdown."""
    print("\n| set | figure | seeds | plain | adapted | difference | 95% interval over seeds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, figure in FIGURES.items():
        sides = [{row["seed"]: row["figure"] for row in rows if (row["set"], row["side"]) == (name, side)}
                 for side in SIDES]  # fmt: skip
        seeds = sorted(sides[0].keys() & sides[1].keys())
        if seeds:
            plain, adapted = (np.array([side[seed] for seed in seeds]) for side in sides)
            apart = adapted - plain
            print(
                f"| {name} | {figure} | {len(seeds)} | {plain.mean():.4f} | {adapted.mean():.4f} | "
                f"{apart.mean():+.4f} | {interval(apart)} |"
            )


if __name__ == "__main__":
    main()
