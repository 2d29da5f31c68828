"""What it costs or gains that steps hold texts of about one length: scores by how steps are made.

    python bench/step_order.py build/bench --sets trec cola sst2 mrpc --windows 1 16 --seeds 3
    python bench/step_order.py build/bench --sets conll --conll ../shared/data/conll2003 --windows 1 16

A window of 1 is whet's way: steps are drawn at random. With more, texts are sorted by length among so many
steps, which are then shuffled. Everything else is whet's default. One JSON line a run, on standard output:
the reported split's main figure.
SETS are folders that `versus_trainer.py convert` wrote.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import whet
import whet.training.loop
from bench.versus_trainer import files_of
from whet.text.batches import plan_epoch
from whet.text.store import TokenStore


def by_length(window: int, store: TokenStore, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Steps of about one length each, as whet once made them."""
    order = np.random.default_rng([seed, epoch]).permutation(len(store))
    for number, start in enumerate(range(0, len(order), window * batch_size)):
        texts = order[start : start + window * batch_size]
        texts = texts[np.argsort(store.ensure(texts).lengths[texts], kind="stable")]
        steps = [texts[i : i + batch_size] for i in range(0, len(texts), batch_size)]
        for i in np.random.default_rng([seed, epoch, number]).permutation(len(steps)):
            yield steps[i]


def run(
    train: Path, test: Path, figure: str, window: int, seed: int, options: dict[str, Any]
) -> dict[str, Any]:
    whet.training.loop.plan_epoch = partial(by_length, window) if window > 1 else plan_epoch
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        trained = whet.train(train, out=Path(place) / "run", seed=seed, quiet=True, **options)
        seconds = time.perf_counter() - began
        metrics = whet.load(trained.folder).evaluate(test).metrics
        results = trained.manifest["results"]
        return {
            "window": window,
            "seed": seed,
            figure: metrics[figure],
            "epoch": results["best_epoch"],
            "seconds": round(seconds, 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--conll", type=Path)
    parser.add_argument("--windows", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="mini")
    asked = parser.parse_args()
    for name in asked.sets:
        for seed in range(asked.seeds):
            for window in asked.windows:
                options: dict[str, Any] = {"model": asked.model}
                if name == "conll":
                    options["max_length"] = 128
                files = files_of(asked.work, name, asked.conll)
                print(json.dumps({"set": name, **run(*files, window, seed, options)}), flush=True)


if __name__ == "__main__":
    main()
