"""`whet check` on a million generated rows: seconds, peak memory, and the planted near duplicates it finds.

    python bench/check_rows.py [--rows 1000000] [--planted 1000]

The rows are those of million_rows.py, short and from few words, so that any two share many pieces. Behind
them stand copies of some of the longer ones with one word put in, which whet/data/near.py calls near where
the similarity is still 0.8.
"""

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from million_rows import write


def plant(path: Path, n_rows: int, n_planted: int) -> int:
    """Append altered copies of random rows of 12 words or more; -> the line before the first."""
    chosen = set(random.Random(1).sample(range(n_rows), min(n_rows, 3 * n_planted)))
    altered = []
    with path.open(encoding="utf-8", newline="") as file:
        for i, (_, text, label) in enumerate(list(row) for row in csv.reader(file) if row[0] != "id"):
            words = text.split()
            if i in chosen and len(words) > 12 and len(altered) < n_planted:
                altered.append([i, " ".join([*words[:6], "surely", *words[6:]]), label])
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(altered)
    return n_rows + 1


def one(path: Path, last: int, began: float) -> None:
    """Check and print what it took."""
    import whet

    report = whet.check(path)
    seconds = time.time() - began
    near = [found for found in report.findings if found.kind.startswith("near-")]
    rows = {row for found in near for row in found.rows if row > last}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": round(seconds, 1),
                "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
                "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 2),
                "planted_found": len(rows),
                "findings": {found.kind: found.n_rows for found in report.findings},
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--planted", type=int, default=1000)
    parser.add_argument("--child", type=Path)
    parser.add_argument("--last", type=int)
    parser.add_argument("--began", type=float)
    asked = parser.parse_args()
    if asked.child:
        one(asked.child, asked.last, asked.began)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write(path, asked.rows)
        last = plant(path, asked.rows, asked.planted)
        print(f"{asked.rows:,} rows and {asked.planted:,} planted, {path.stat().st_size / 1e6:.0f} MB")
        command = [sys.executable, __file__, "--child", str(path), "--last", str(last)]
        subprocess.run([*command, "--began", str(time.time())], check=True)


if __name__ == "__main__":
    main()
