"""Is next-sentence prediction worth its place in pretraining? Two encoders from nothing that differ in it.

    python -m bench.next_sentence TRAIN-V1.1.json build/bench WORK [--articles 60] [--epochs 20]

Both read the paragraphs of SQuAD's first articles (a document is an article) for the same number of epochs.
With it, windows are cut in two, half of the second parts come from another document, and the pooler is
trained; without it the pooler begins in fine-tuning. Each is fine-tuned on texts (sst2, trec) and on pairs
(mrpc, stsb), by three seeds at two rates; the rate is the one that is best on the rows that these runs hold
out of train, and the figure is that of the reported split. WORK keeps a line for each finished cell;
--worker 0/2 and --worker 1/2 share the fine-tuning between two processes, once both encoders are there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import whet
from bench.cells import Cells
from bench.pretraining_from_nothing import interval
from bench.versus_trainer import SETS

SIDES = {"words alone": "off", "and next sentence": "on"}  # and the setting
CHOSEN = ("sst2", "trec", "mrpc", "stsb")
RATES = (2e-4, 1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("squad", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--articles", type=int, default=60)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--vocab-size", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--max-length", type=int, default=64, help="of a window; short, so that there are many steps"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=list(CHOSEN))
    parser.add_argument("--worker", default="0/1")
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    number, n_workers = map(int, asked.worker.split("/"))
    asked.work.mkdir(parents=True, exist_ok=True)
    shared = Cells(asked.work / "pretrained.jsonl")
    for side in SIDES if number == 0 else ():
        shared.once(lambda: pretrained(asked, side), side=side)  # noqa: B023
    cells = Cells(asked.work / f"worker-{number}.jsonl")
    turns = [
        (name, seed, lr, side)
        for seed in range(asked.seeds) for name in asked.sets for lr in RATES for side in SIDES
    ]  # fmt: skip
    for name, seed, lr, side in turns[number::n_workers]:
        cells.once(
            lambda: fine_tuned(asked, name, seed, lr, side, number),  # noqa: B023
            set=name, seed=seed, lr=lr, side=side,
        )  # fmt: skip
    report(shared.rows, [row for path in asked.work.glob("worker-*.jsonl") for row in Cells(path).rows])


def folder_of(asked: argparse.Namespace, side: str) -> Path:
    found: Path = asked.work / side.replace(" ", "-")
    return found


def pretrained(asked: argparse.Namespace, side: str) -> dict[str, Any]:
    """Pretrain on the articles, in WikiText's layout."""
    articles = json.loads(asked.squad.read_text(encoding="utf-8"))["data"][: asked.articles]
    text = asked.work / "articles.txt"
    with text.open("w", encoding="utf-8") as file:
        for article in articles:
            file.write(f" = {article['title'].replace('_', ' ')} = \n\n")
            for paragraph in article["paragraphs"]:
                file.write(" ".join(paragraph["context"].split()) + "\n\n")
    run = whet.pretrain(
        text, out=folder_of(asked, side), overwrite=True, quiet=True, threads=asked.threads,
        new=asked.size, vocab_size=asked.vocab_size, epochs=asked.epochs, documents="wikitext",
        batch_size=asked.batch_size, max_length=asked.max_length,
        next_sentence=SIDES[side],
    )  # fmt: skip
    names = "accuracy", "nll", "unigram_nll", "next_accuracy"
    return {name: run.metrics[name] for name in names if name in run.metrics}


def fine_tuned(
    asked: argparse.Namespace, name: str, seed: int, lr: float, side: str, number: int
) -> dict[str, Any]:
    split, figure = SETS[name]
    run = whet.train(
        asked.data / name / "train.csv", model=folder_of(asked, side), out=asked.work / f"tuned-{number}",
        overwrite=True, quiet=True, seed=seed, learning_rate=lr, threads=asked.threads,
    )  # fmt: skip
    evaluation = whet.load(run.folder).evaluate(asked.data / name / f"{split}.csv")
    return {"held_out": run.metrics[figure], "figure": evaluation.metrics[figure]}


def report(pretraining: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Tables in Markdown."""
    for row in pretraining:
        print(json.dumps(row))
    print("\n| set, figure | words alone | and next sentence | difference | 95% interval over seeds |")
    print("| --- | --- | --- | --- | --- |")
    for name in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == name]
        seeds = {row["seed"] for row in own}
        if len(own) < len(seeds) * len(RATES) * len(SIDES):
            continue  # not all of its cells are finished
        means, figures = [], []
        for side in SIDES:
            runs = {lr: [row for row in own if (row["side"], row["lr"]) == (side, lr)] for lr in RATES}
            best = max(RATES, key=lambda lr: np.mean([row["held_out"] for row in runs[lr]]))
            figures.append(
                np.array([row["figure"] for row in sorted(runs[best], key=lambda row: row["seed"])])
            )
            means.append(f"{100 * figures[-1].mean():.1f} (rate {best:g})")
        apart = figures[1] - figures[0]
        print(f"| {name}, {SETS[name][1]} | {' | '.join(means)} | {100 * apart.mean():+.1f} | "
              f"{interval(100 * apart)} |")  # fmt: skip


if __name__ == "__main__":
    main()
