"""A million-row CSV: seconds to the first step and peak memory, beside 4x the parameters' bytes.

    python bench/million_rows.py [--rows 1000000]

The file is generated (varied lengths, quoting, two labels). Peak memory is the process's resident high-water
mark up to a few steps after the first; the four copies are weights, gradients and AdamW's two averages.
"""

import argparse
import contextlib
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = [
    *("good", "bad", "film", "parcel", "the", "a", "was", "late", "and", "never", "arrived", "again"),
    *("but", "lovely", "broken", "screen", "refund", "please", "today", "really", "quite", "story", "acting"),
]


def write(path: Path, rows: int) -> None:
    draw = random.Random(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        for i in range(rows):
            text = " ".join(draw.choices(WORDS, k=draw.randint(3, 30)))
            writer.writerow([i, f'"{text}", {i}', "yes" if draw.random() < 0.5 else "no"])


class _Enough(Exception):
    pass


def one(path: Path, began: float) -> None:
    """Train until a few steps after the first; print what it took."""
    from whet import api
    from whet.training.events import StepDone, TrainingStarted

    times: dict[str, float] = {}

    def listen(event: Any) -> None:
        if isinstance(event, TrainingStarted):
            times["loop"] = time.time() - began
        if isinstance(event, StepDone):
            times.setdefault("first_step", time.time() - began)
            if event.step == 20:
                raise _Enough

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Enough):
        api.train(path, out=Path(folder) / "run", listeners=[listen])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    parameters = 4 * 22_713_986 * 4  # mini with a head of two labels, float32
    print(json.dumps({**times, "peak_gb": peak / 1e9, "beyond_parameters_gb": (peak - parameters) / 1e9}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", type=Path)
    parser.add_argument("--began", type=float)
    asked = parser.parse_args()
    if asked.child:
        one(asked.child, asked.began)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.csv"
        write(path, asked.rows)
        print(f"{asked.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
        command = [sys.executable, __file__, "--child", str(path), "--began", str(time.time())]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
