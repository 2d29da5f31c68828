"""Where the time of a training step goes: every operation of whet's default run, by kind, in ms a step.

    python bench/versus_trainer.py convert ../shared/data build/bench                       once
    python -m bench.step_profile build/bench/sst2/train.csv [--precision float32] [--steps 40]

Times are those of the calling thread, which waits for its helpers inside an operation. The profiler itself
makes a step slower: the first line has a step's time without it. Python between operations is what no
operation accounts for.
"""

import argparse
import contextlib
import re
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

KINDS = {
    "matrix products of layers": r"addmm|\bmm$|mkldnn_linear|linear_backward",
    "batched products of attention": r"bmm",
    "softmax": r"softmax",
    "optimiser": r"_fused_adam|addcdiv|addcmul|lerp|_foreach_(?!norm)",
    "gradient's norm": r"norm$|vector_norm|_foreach_norm",
    "layer norm": r"layer_norm",
    "gelu": r"gelu",
    "embedding": r"embedding|index_add|index_put|_index_put_impl_",
    "random masks": r"bitwise|__and__|rshift|__xor__|::ge$|arange|random|bernoulli",
    "copies and casts": r"copy|contiguous|::to$|clone|::cat$|index_select|::index$|gather",
    "fills": r"fill_|zero_|zeros|empty|resize_",
    "sums and products by element": r"::mul|::add|::sum|::sub|::div|tanh|::neg|::where",
}
WARM_UP = 10  # steps


class Enough(Exception):
    """The time is up."""


def kind_of(name: str) -> str:
    """Of an operation's name in torch's profiler."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "other operations")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--all", action="store_true", help="also every operation")
    asked = parser.parse_args()

    from torch.profiler import ProfilerActivity, profile

    import whet
    from whet.training.events import StepDone

    profiler = profile(activities=[ProfilerActivity.CPU])
    took: list[float] = []
    tokens, before = [], 0.0

    def listen(event: Any) -> None:
        nonlocal before
        if not isinstance(event, StepDone):
            return
        now = time.perf_counter()
        if WARM_UP < event.step <= WARM_UP + asked.steps:
            took.append(now - before)
            tokens.append(event.n_tokens)
        if event.step == WARM_UP + asked.steps:
            profiler.start()
        if event.step == WARM_UP + 2 * asked.steps:
            profiler.stop()
            raise Enough
        before = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Enough):
        whet.train(
            asked.file, out=Path(folder) / "run", quiet=True, listeners=[listen], epochs=100, head_first=0,
            precision=asked.precision, max_length=asked.max_length,
        )  # fmt: skip
    kinds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    rows = profiler.key_averages()
    for row in rows:
        kinds[kind_of(row.key)] += row.self_cpu_time_total / 1000 / asked.steps
        calls[kind_of(row.key)] += row.count
    print(
        f"a step of {statistics.mean(tokens):.0f} tokens: {1000 * statistics.median(took):.1f} ms "
        f"without the profiler (median of {asked.steps})\n"
    )
    print("| operations | ms a step | share | calls a step |\n| --- | --- | --- | --- |")
    total = sum(kinds.values())
    for kind, ms in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"| {kind} | {ms:.1f} | {ms / total:.0%} | {calls[kind] / asked.steps:.0f} |")
    print(f"| all | {total:.1f} | | {sum(calls.values()) / asked.steps:.0f} |")
    if asked.all:
        for row in sorted(rows, key=lambda row: -row.self_cpu_time_total):
            ms = row.self_cpu_time_total / 1000 / asked.steps
            print(f"{ms:8.2f} ms {row.count / asked.steps:7.1f} calls  {row.key}  [{kind_of(row.key)}]")


if __name__ == "__main__":
    main()
