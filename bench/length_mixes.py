"""What a token costs in training where texts are short, long or both, beside what attention adds.

    python bench/versus_trainer.py convert ../shared/data build/bench                               once
    python bench/length_mixes.py build/bench [--rounds 5] [--seconds 20]

short: SST-2's sentences; long: MRPC's pairs, written as one text; mixed: as many of each. Batches are as
large as makes a step of --tokens tokens on average, so that what a step costs however long its texts are
(AdamW above all) is the same for a token of each. Every run is whet's, from `mini` in a process of its own:
steps after the first five until the time is up, by the clock; then --profiled steps under torch's profiler,
for the share of all operations that are attention's (products of queries with keys and of weights with
values, softmax, fused kernels; copies and masks are not told apart). Mixes take turns, ratios are those of
neighbouring runs.

Attention costs in proportion to a token's own text, so the length that counts is the mean over tokens, not
over texts. "by work" is the ratio of operations that this length asks for (bench/training_speed.py,
work_of_a_token).
"""

import argparse
import contextlib
import csv
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.alternating import alternate, child, head, line, median, ratios, spread, values
from bench.training_speed import WARM_UP, Clock, Enough, work_of_a_token

MIXES = ("short", "mixed", "long")
ATTENTION = re.compile(r"bmm|softmax|scaled_dot_product|flash")
MAX_LENGTH = 128  # tokens


def write(work: Path, folder: Path) -> dict[str, Path]:
    """The file of each mix; all have as many rows."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, source in (("short", "sst2"), ("long", "mrpc")):
        with (work / source / "train.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        found[name] = [(" ".join([row["text"], row.get("pair", "")]).strip(), row["label"]) for row in rows]
    n_rows = min(map(len, found.values()))
    found["mixed"] = found["short"][: n_rows // 2] + found["long"][: n_rows // 2]
    files = {mix: folder / f"{mix}.csv" for mix in MIXES}
    for mix, file in files.items():
        with file.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("text", "label"), *found[mix][:n_rows]])
    return files


def lengths(file: Path) -> tuple[float, float]:
    """Tokens of a text: the mean over texts, and over tokens."""
    from whet.checkpoints.locate import locate
    from whet.text.tokens import Tokeniser

    with file.open(encoding="utf-8", newline="") as stream:
        rows = [(row["text"],) for row in csv.DictReader(stream)]
    found = Tokeniser.load(locate("mini").folder).encode(rows, MAX_LENGTH, "tail").lengths
    return float(found.mean()), float((found**2).sum() / found.sum())


def one(file: Path, batch_size: int, asked: argparse.Namespace) -> dict[str, float]:
    """One run: what a token costs, and attention's share."""
    from torch.profiler import ProfilerActivity, profile

    import whet
    from whet.training.events import StepDone

    clock = Clock(asked.seconds, "cpu")
    profiler = profile(activities=[ProfilerActivity.CPU])
    left = asked.profiled

    def listen(event: Any) -> None:
        nonlocal left
        if not isinstance(event, StepDone):
            return
        if clock.took == 0:
            with contextlib.suppress(Enough):
                clock.step(event.n_tokens)
            if clock.took > 0:
                profiler.start()
            return
        left -= 1
        if left == 0:
            profiler.stop()
            raise Enough

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Enough):
        whet.train(
            file, out=Path(folder) / "run", quiet=True, listeners=[listen], epochs=1000, dev_fraction=0.0,
            batch_size=batch_size, max_length=MAX_LENGTH, precision=asked.precision, head_first=0,
        )  # fmt: skip
    operations = profiler.key_averages()
    whole = sum(row.self_cpu_time_total for row in operations)
    attention = sum(row.self_cpu_time_total for row in operations if ATTENTION.search(row.key))
    steps = clock.steps - WARM_UP
    return {
        "us_a_token": 1e6 * clock.took / clock.tokens,
        "tokens_a_step": clock.tokens / steps,
        "attention": attention / whole,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--profiled", type=int, default=20, help="steps")
    parser.add_argument("--tokens", type=int, default=1800, help="of a step, on average")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--one", nargs=2, metavar=("FILE", "BATCH_SIZE"), help="one run, as a JSON line")
    asked = parser.parse_args()
    if asked.one:
        file, batch_size = asked.one
        with contextlib.redirect_stdout(sys.stderr):
            found_one = one(Path(file), int(batch_size), asked)
        print(json.dumps(found_one))
        return
    from whet.checkpoints.locate import locate

    with tempfile.TemporaryDirectory() as folder:
        files = write(asked.work, Path(folder))
        of = {mix: lengths(file) for mix, file in files.items()}
        batches = {mix: max(1, round(asked.tokens / of[mix][0])) for mix in MIXES}
        options = ("--seconds", asked.seconds, "--profiled", asked.profiled, "--precision", asked.precision)
        found = alternate(
            MIXES,
            asked.rounds,
            lambda mix: child(__file__, asked.work, "--one", files[mix], batches[mix], *options),
        )
    work = {mix: work_of_a_token(str(locate("mini").folder), of[mix][1], False) for mix in MIXES}
    head(
        "texts", "tokens a text", "of a token's text", "texts a step", "tokens a step", "µs a token, median",
        "times short's (least to most)", "by work", "attention's share",
    )  # fmt: skip
    for mix, rows in found.items():
        line(
            mix, *(f"{length:.0f}" for length in of[mix]), batches[mix],
            f"{median(rows, 'tokens_a_step'):,.0f}", f"{median(rows, 'us_a_token'):.0f}",
            ratios(rows, found["short"], "us_a_token"), f"{work[mix] / work['short']:.3f}",
            spread(values(rows, "attention"), ".1%"),
        )  # fmt: skip


if __name__ == "__main__":
    main()
