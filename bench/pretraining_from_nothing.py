"""An encoder and its tokeniser from nothing, on the texts of SST-2's train.tsv alone; then fine-tuned.

    python -m bench.pretraining_from_nothing SST-2 build/bench WORK [--size tiny] [--epochs 12]

SST-2 is GLUE's folder. Its 67,349 training texts are phrases of some 6,900 sentences, so held out are the
sentences of its test.tsv, of which none is among them; the loss of their hidden words stands beside that of
guessing by frequency. Then the 6,920 labelled rows in build/bench, as `versus_trainer.py convert` wrote them,
are fine-tuned from this encoder and from the same one with random weights (pretrained at rate 0, so with the
same tokeniser), by three seeds at three rates each; each side's rate is the one that is best on the rows
that its runs hold out of train, and the figure is that of SST-2's dev. WORK keeps a line for each finished
cell, so that the command can be stopped and given again.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

import whet
from bench.cells import Cells

RATES = (2e-4, 5e-4, 1e-3)
SIDES = {"pretrained": 1e-3, "random weights": 0.0}  # and the rate of pretraining


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    kind = asked.size
    cells = Cells(asked.work / "cells.jsonl")
    for side, rate in SIDES.items():
        folder = asked.work / f"{kind} {side}".replace(" ", "-")
        cells.once(lambda: pretrained(folder, rate, asked), kind=kind, side=side)  # noqa: B023
        for seed in range(asked.seeds):
            for lr in RATES:
                cells.once(
                    lambda: fine_tuned(folder, asked, lr, seed),  # noqa: B023
                    kind=kind, side=side, seed=seed, lr=lr,
                )  # fmt: skip
    report(cells, kind)


def pretrained(folder: Path, rate: float, asked: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {"new": asked.size, "vocab_size": asked.vocab_size, "learning_rate": rate}
    settings |= {"epochs": asked.epochs if rate else 1, "documents": "lines", "threads": asked.threads}
    train, held_out = asked.texts / "train.tsv", asked.texts / "test.tsv"
    run = whet.pretrain(
        train, text="sentence", dev=held_out, out=folder, overwrite=True, quiet=True, **settings
    )
    names = ("accuracy", "nll", "unigram_nll", "pseudo_perplexity")
    found = {name: run.metrics[name] for name in names}
    return found | {"intervals": {name: run.metrics["intervals"][name] for name in names}}


def fine_tuned(folder: Path, asked: argparse.Namespace, lr: float, seed: int) -> dict[str, Any]:
    run = whet.train(
        asked.data / "sst2" / "train.csv",
        model=folder,
        out=asked.work / "fine-tuned",
        overwrite=True,
        quiet=True,
        seed=seed,
        learning_rate=lr,
        threads=asked.threads,
    )
    evaluation = whet.load(run.folder).evaluate(asked.data / "sst2" / "dev.csv")
    return {"held_out": run.metrics["accuracy"], "accuracy": evaluation.metrics["accuracy"]}


def report(cells: Cells, kind: str) -> None:
    """A table in Markdown."""
    (row,) = [row for row in cells.find(kind=kind, side="pretrained") if "nll" in row]
    for name in ("nll", "unigram_nll", "accuracy", "pseudo_perplexity"):
        low, high = row["intervals"][name]
        print(f"{name}: {row[name]:.3f} ({low:.3f} to {high:.3f})")
    print("\n| from | rate | accuracy of the seeds | mean | 95% interval over seeds |")
    print("| --- | --- | --- | --- | --- |")
    chosen = {}
    for side in SIDES:
        runs = [row for row in cells.find(kind=kind, side=side) if "lr" in row]
        best = max(RATES, key=lambda lr: np.mean([row["held_out"] for row in runs if row["lr"] == lr]))
        chosen[side] = np.array([row["accuracy"] for row in runs if row["lr"] == best])
        seeds = ", ".join(f"{value:.4f}" for value in chosen[side])
        print(f"| {side} | {best:g} | {seeds} | {chosen[side].mean():.4f} | {interval(chosen[side])} |")
    difference = chosen["pretrained"] - chosen["random weights"]
    print(f"\nDifference: {difference.mean():+.4f} ({interval(difference)})")


def interval(values: np.ndarray) -> str:
    """Student's, of the mean."""
    if len(values) < 2:
        return "-"
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean() - half:.4f} to {values.mean() + half:.4f}"


if __name__ == "__main__":
    main()
