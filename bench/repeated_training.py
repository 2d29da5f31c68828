"""What a process holds that trains one model after another, as a search or several seeds do.

    python bench/repeated_training.py build/bench/sst2/train.csv [--runs 10] [--rows 600]
    LRU_CACHE_CAPACITY=1024 ONEDNN_PRIMITIVE_CACHE_CAPACITY=1024 python bench/repeated_training.py ...

The second line is how torch and oneDNN keep what they compile by themselves. "resident" is after each run,
"in use" what the C library has given out then and not got back (mallinfo2); the rest is interpreter and
libraries. Linux with glibc only.
"""

import argparse
import ctypes
import tempfile
from pathlib import Path

import whet
from bench.alternating import head, line

_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"  # malloc.h


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rows", type=int, default=600)
    asked = parser.parse_args()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    head("run", "resident, MB", "in use, MB", "seconds")
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "rows.csv"
        lines = asked.data.read_text(encoding="utf-8").splitlines(keepends=True)
        data.write_text("".join(lines[: asked.rows + 1]), encoding="utf-8")
        for seed in range(asked.runs):
            run = whet.train(data, out=Path(place) / "run", overwrite=True, quiet=True, epochs=1, seed=seed)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seconds = run.manifest["results"]["training_seconds"]
            used = mallinfo2()
            in_use = (used.uordblks + used.hblkhd) / 1e6
            line(str(seed + 1), f"{pages * 4096 / 1e6:.0f}", f"{in_use:.0f}", f"{seconds:.1f}")


if __name__ == "__main__":
    main()
