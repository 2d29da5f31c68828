"""Does `whet select` beat rows chosen at random?

    python bench/label_next.py build/bench fine-tuned [--sets trec] [--seeds 0 1 2] [--labelled 200]
    python bench/label_next.py build/bench frozen [--sets trec banking77 sst2] [--seeds 0 1 ... 11]

fine-tuned: whet trains on some labelled rows, `whet select` chooses as many more from the pool, and whet
trains on both; beside it, as many rows at random. frozen: the same with a logistic regression on mini's
frozen mean vectors, which is quick enough to compare ways of choosing over many seeds. The score is accuracy
on rows outside the pool.
"""

import argparse
import csv
import math
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import whet
from whet.selection import spread_out, uncertainty, worth_a_look

POOL, MOST_ROWS = 4000, 6000
Choice = Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]  # vectors, probabilities, how many, seed


def rows_of(work: Path, name: str, seed: int) -> tuple[list[str], list[str]]:
    """Texts and labels in the order of a seed; single texts only."""
    with (work / name / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS]
    return [rows[i]["text"] for i in order], [rows[i]["label"] for i in order]


def fine_tuned(work: Path, name: str, seed: int, n: int, n_more: int, epochs: int) -> dict[str, float]:
    """Accuracy with n rows, and with n_more chosen either way."""
    texts, labels = rows_of(work, name, seed)
    settings: dict[str, Any] = {"epochs": epochs, "dev_fraction": 0.0, "max_length": 64, "seed": seed}

    def trained(rows: list[int], folder: Path) -> tuple[Any, float]:
        data = ([texts[i] for i in rows], [labels[i] for i in rows])
        run = whet.train(data, out=folder, overwrite=True, quiet=True, threads=1, **settings)
        answers = run.model().predict(texts[POOL:])  # of labels that no row had, too: they count as wrong
        return run, statistics.mean(a.label == label for a, label in zip(answers, labels[POOL:], strict=True))

    with tempfile.TemporaryDirectory() as folder:
        first = list(range(n))
        run, before = trained(first, Path(folder, "first"))
        pool = {"text": texts[n:POOL]}
        selection = whet.select(run.folder, pool, rows=n_more, seed=seed, quiet=True)
        chosen = [n + row["row"] - 1 for row in selection.rows]
        other = np.random.default_rng(seed).choice(np.arange(n, POOL), n_more, replace=False).tolist()
        return {
            "before": before,
            "random": trained(first + other, Path(folder, "random"))[1],
            "whet select": trained(first + chosen, Path(folder, "chosen"))[1],
        }


def at_random(vectors: np.ndarray, chances: np.ndarray, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(chances), n, replace=False)


def by_margin(vectors: np.ndarray, chances: np.ndarray, n: int, seed: int) -> np.ndarray:
    return worth_a_look(uncertainty(chances), n)[:n]


def by_entropy(vectors: np.ndarray, chances: np.ndarray, n: int, seed: int) -> np.ndarray:
    return np.argsort((chances * np.log(chances + 1e-12)).sum(axis=1), kind="stable")[:n]


def by_badge(vectors: np.ndarray, chances: np.ndarray, n: int, seed: int) -> np.ndarray:
    """k-means++ on the gradients of the last layer: Ash and others, ICLR 2020."""
    random = np.random.default_rng(seed)
    errors = chances.copy()
    errors[np.arange(len(chances)), chances.argmax(axis=1)] -= 1
    lengths = (errors**2).sum(axis=1) * (vectors**2).sum(axis=1)
    chosen, nearest = [int(lengths.argmax())], np.full(len(chances), np.inf)
    while len(chosen) < n:
        last = chosen[-1]
        products = (errors @ errors[last]) * (vectors @ vectors[last])
        nearest = np.minimum(nearest, np.maximum(lengths + lengths[last] - 2 * products, 0))
        nearest[chosen] = 0
        chosen.append(int(random.choice(len(chances), p=nearest / nearest.sum())))
    return np.array(chosen)


def as_whet(vectors: np.ndarray, chances: np.ndarray, n: int, seed: int) -> np.ndarray:
    doubts = uncertainty(chances)
    looked_at = worth_a_look(doubts, n)
    return looked_at[spread_out(vectors[looked_at], doubts[looked_at], n, seed)]


WAYS: dict[str, Choice] = {
    "random": at_random,
    "margin": by_margin,
    "entropy": by_entropy,
    "BADGE": by_badge,
    "whet select": as_whet,
}


def frozen(work: Path, name: str, seeds: list[int], n: int, n_more: int) -> dict[str, list[float]]:
    """Accuracy of each way, one a seed."""
    from sklearn.linear_model import LogisticRegression

    found: dict[str, list[float]] = {way: [] for way in WAYS}
    all_texts, _ = rows_of(work, name, 0)
    vectors = dict(zip(all_texts, mean_vectors(all_texts), strict=True))
    for seed in seeds:
        texts, labels = rows_of(work, name, 0)
        order = np.random.default_rng(seed).permutation(len(texts))
        x = np.stack([vectors[texts[i]] for i in order])
        y = np.array([labels[i] for i in order])

        def fitted(rows: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> Any:
            return LogisticRegression(C=20, max_iter=200).fit(x[rows], y[rows])

        first, pool = np.arange(n), np.arange(n, POOL)
        chances = fitted(first).predict_proba(x[pool])
        for way, choose in WAYS.items():
            chosen = pool[choose(x[pool], chances, n_more, seed)]
            found[way].append(fitted(np.concatenate([first, chosen])).score(x[POOL:], y[POOL:]))
    return found


def mean_vectors(texts: list[str]) -> np.ndarray:
    """Of mini, brought to length 1, (n, 384)."""
    encoder = whet.load_encoder("mini", max_length=64)
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            encoded = encoder(texts[start : start + 64])
            sums = encoded.last_hidden_state.sum(dim=1)
            found.append(sums / encoded.attention_mask.sum(dim=1, keepdim=True))
    vectors = torch.cat(found).numpy()
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def line_of(name: str, way: str, found: list[float], at_random: list[float]) -> str:
    """A row of the table: the mean, and the paired difference from random with its 95% interval."""
    mean = f"| {name} | {way} | {100 * statistics.mean(found):.1f} |"
    if way == "random" or len(found) < 2:
        return f"{mean} |"
    from scipy import stats

    gaps = [100 * (one - other) for one, other in zip(found, at_random, strict=True)]
    half = stats.t.ppf(0.975, len(gaps) - 1) * statistics.stdev(gaps) / math.sqrt(len(gaps))
    gap = statistics.mean(gaps)
    return f"{mean} {gap:+.1f} ({gap - half:+.1f} to {gap + half:+.1f}) |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("mode", choices=("fine-tuned", "frozen"))
    parser.add_argument("--sets", nargs="+", default=["trec"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--labelled", type=int, default=200)
    parser.add_argument("--more", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| set | rows chosen | accuracy | difference from random |\n| --- | --- | --- | --- |", flush=True)
    for name in given.sets:
        if given.mode == "frozen":
            found = frozen(given.work, name, given.seeds, given.labelled, given.more)
        else:
            runs = []
            for seed in given.seeds:
                runs.append(fine_tuned(given.work, name, seed, given.labelled, given.more, given.epochs))
                print(f"{name}, seed {seed}: {runs[-1]}", flush=True)
            found = {way: [run[way] for run in runs] for way in runs[0]}
        for way, scores in found.items():
            print(line_of(name, way, scores, found["random"]), flush=True)


if __name__ == "__main__":
    main()
