"""Tokenising and packing as a share of training time, inside whole runs of whet.

    python bench/versus_trainer.py convert ../shared/data build/bench                               once
    python bench/data_share.py build/bench [--sets sst2 mrpc] [--rounds 3] [--epochs 1]

Every run is a process of its own, from `mini` with whet's defaults and texts of up to 128 tokens.
Tokenising is all that `TokenStore.ensure` takes in the run, dev rows among it; packing is `pack_texts`, of
dev rows too; both are wrapped from outside, and what one calls of the other counts once. Training
seconds are the run's own: those of its steps, packing among them, evaluation and saving not. Rows are
tokenised once and trained on in every epoch, so one epoch shows the largest share; the default is three or
more.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.alternating import alternate, child, head, line, median, spread


def one(file: Path, epochs: int, precision: str) -> dict[str, float]:
    """One run."""
    import whet
    from bench.stopwatch import Stopwatch
    from whet import model
    from whet.text.store import TokenStore
    from whet.training.events import TrainingDone

    watch = Stopwatch()
    watch.wrap(TokenStore, "ensure", "tokenising")
    watch.wrap(model, "pack_texts", "packing")
    done: list[TrainingDone] = []

    def listen(event: Any) -> None:
        if isinstance(event, TrainingDone):
            done.append(event)

    with tempfile.TemporaryDirectory() as folder:
        whet.train(
            file, out=Path(folder) / "run", quiet=True, listeners=[listen], epochs=epochs, max_length=128,
            precision=precision, head_first=0,
        )  # fmt: skip
    return {**watch.seconds, "training": done[-1].seconds, "tokens": done[-1].n_tokens}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", default=["sst2", "mrpc"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", metavar="SET", help="one run, as a JSON line")
    asked = parser.parse_args()
    if asked.one:
        with contextlib.redirect_stdout(sys.stderr):
            found_one = one(asked.work / asked.one / "train.csv", asked.epochs, asked.precision)
        print(json.dumps(found_one))
        return
    options = ("--epochs", asked.epochs, "--precision", asked.precision)
    found = alternate(
        asked.sets, asked.rounds, lambda name: child(__file__, asked.work, "--one", name, *options)
    )
    head(
        f"set, epochs: {asked.epochs}", "tokens trained on", "training, s", "tokenising, s", "packing, s",
        "both / training (least to most)",
    )  # fmt: skip
    for name, rows in found.items():
        seconds = [f"{median(rows, key):.2f}" for key in ("training", "tokenising", "packing")]
        shares = [(row["tokenising"] + row["packing"]) / row["training"] for row in rows]
        line(name, f"{median(rows, 'tokens'):,.0f}", *seconds, spread(shares, ".1%"))


if __name__ == "__main__":
    main()
