"""Training time against tokens, over files of 1,000 to 100,000 rows: a line, and how far runs are off it.

    python bench/versus_trainer.py convert ../shared/data build/bench                               once
    python bench/growth.py build/bench/sst2/train.csv [--rows 1000 3000 10000 30000 100000] [--rounds 3]

Rows are sentences of FILE, drawn at random, every other word of which (at random) is replaced by a random
word of FILE: lengths and words stay as frequent as they were, and rows are no near duplicates, which would
cost the checks more than rows of one's own do. A smaller file is the beginning of a larger one.

Every run is whet's whole training of one epoch, `mini`, in a process of its own, texts of up to 128 tokens;
the sizes take turns. No step is left out. Two times are held against the tokens that were trained on.

loop: from the first step's begin to the last one's end, checkpoints and the tokenising of what is not
tokenised yet among them (files of up to 50,000 texts are, before it), without dev.

process: from the start of the process to its end: imports, reading, checks (near duplicates up to 50,000
rows), all tokenising, the loop, a look at dev (a tenth of the rows, 5,000 at most), saving.

Each gets the line a + b x tokens with the least squares of relative errors, so that small files count as
much as large ones; "off" is how far a run is from it. The power is the slope of log time over log tokens: 1
is linear. Peak memory is resident memory's high-water mark; for a million rows see bench/million_rows.py.
"""

import argparse
import contextlib
import csv
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.alternating import alternate, child, head, line, median, spread, values

KEPT = 0.5  # chance of a word


def write(source: Path, rows: int, folder: Path) -> Path:
    """A file of so many rows."""
    with source.open(encoding="utf-8", newline="") as stream:
        known = [(row["text"].split(), row["label"]) for row in csv.DictReader(stream)]
    words = [word for text, _ in known for word in text]
    draw = random.Random(0)
    path = folder / f"{rows}.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for _ in range(rows):
            text, label = draw.choice(known)
            writer.writerow(
                [" ".join(word if draw.random() < KEPT else draw.choice(words) for word in text), label]
            )
    return path


def one(file: Path, precision: str) -> dict[str, float]:
    """One run, as seen from inside."""
    import whet
    from whet.training.events import StepDone, TrainingDone, TrainingStarted

    began, ended, tokens = 0.0, 0.0, 0

    def listen(event: Any) -> None:
        nonlocal began, ended, tokens
        if isinstance(event, TrainingStarted):
            began = time.perf_counter()
        elif isinstance(event, StepDone):
            ended = time.perf_counter()
        elif isinstance(event, TrainingDone):
            tokens = event.n_tokens

    with tempfile.TemporaryDirectory() as folder:
        whet.train(
            file, out=Path(folder) / "run", quiet=True, listeners=[listen], epochs=1, max_length=128,
            precision=precision, head_first=0,
        )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"tokens": tokens, "loop": ended - began, "peak_mb": peak}


def fitted(tokens: np.ndarray, seconds: np.ndarray) -> tuple[float, float, np.ndarray]:
    """a, b and how far each of the runs (n,) is above a + b * tokens, as a share of it."""
    columns = np.stack([1 / seconds, tokens / seconds], axis=1)
    a, b = np.linalg.lstsq(columns, np.ones(len(seconds)), rcond=None)[0]
    return a, b, seconds / (a + b * tokens) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", nargs="+", type=int, default=[1000, 3000, 10_000, 30_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--one", action="store_true", help="one run on FILE itself, as a JSON line")
    asked = parser.parse_args()
    if asked.one:
        with contextlib.redirect_stdout(sys.stderr):
            found_one = one(asked.file, asked.precision)
        print(json.dumps(found_one))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = {str(rows): write(asked.file, rows, Path(folder)) for rows in asked.rows}

        def run(rows: str) -> dict[str, Any]:
            began = time.perf_counter()
            found = child(__file__, files[rows], "--one", "--precision", asked.precision)
            return {**found, "process": time.perf_counter() - began}

        found = alternate(list(files), asked.rounds, run)
    tokens = np.array([row["tokens"] for rows in found.values() for row in rows], float)
    lines = {}
    for kind in ("loop", "process"):
        seconds = np.array([row[kind] for rows in found.values() for row in rows])
        a, b, off = fitted(tokens, seconds)
        power = np.polyfit(np.log(tokens), np.log(seconds), 1)[0]
        lines[kind] = (
            off.reshape(len(found), -1),
            f"{kind}: {a:.2f} s + {1e6 * b:.1f} µs a token; power {power:.2f}",
        )
    head("rows", "tokens", "loop, s", "off its line", "process, s", "off its line", "peak memory, MB")
    for place, (rows_named, rows) in enumerate(found.items()):
        times = []
        for kind in ("loop", "process"):
            times += [f"{median(rows, kind):.1f}", spread(lines[kind][0][place].tolist(), "+.1%")]
        peak = spread(values(rows, "peak_mb"), ",.0f")
        line(f"{int(rows_named):,}", f"{median(rows, 'tokens'):,.0f}", *times, peak)
    for _, said in lines.values():
        print(f"\n{said}")


if __name__ == "__main__":
    main()
