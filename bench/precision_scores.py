"""Does bf16 cost dev score? The same runs in float32 and bf16 over seeds and sets.

    python bench/versus_trainer.py convert ../shared/data build/bench       once
    python bench/precision_scores.py build/bench [--rows 1000] [--sets sst2 cola trec mrpc] [--seeds 0 1 2]

Where the processor does not compute bf16 natively, torch's own is several times slower, so the linear layers'
products are emulated: operands rounded to bf16, sums in float32, results rounded to bf16, forward and
backward, which is what the native instructions do. Everything else runs under torch's autocast as it would.
"""

import argparse
import csv
import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

REPORTED = {"sst2": "dev", "cola": "dev", "trec": "test", "mrpc": "dev"}


class _RoundedLinear(torch.autograd.Function):
    """bf16(x) bf16(w)^T + bf16(b), summed in float32 and rounded to bf16; gradients alike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        narrow_x, narrow_weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(narrow_x, narrow_weight)
        ctx.dtype = x.dtype
        product = torch.addmm(bias.bfloat16().float(), narrow_x.float(), narrow_weight.float().t())
        return product.bfloat16()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        wide = gradient.float()
        return (
            (wide @ weight.float()).bfloat16().to(ctx.dtype),
            (wide.t() @ x.float()).bfloat16().float(),
            wide.sum(0).bfloat16().float(),
        )


@contextmanager
def emulated() -> Iterator[None]:
    """nn.Linear computes as above while this lasts and autocast is on."""
    own = torch.nn.Linear.forward

    def forward(layer: torch.nn.Linear, x: Tensor) -> Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return own(layer, x)
        with torch.autocast("cpu", enabled=False):
            found: Tensor = _RoundedLinear.apply(x, layer.weight, layer.bias)
            return found

    torch.nn.Linear.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Linear.forward = own  # type: ignore[method-assign]


def one(work: Path, name: str, rows: int, seed: int, precision: str) -> dict[str, Any]:
    """Train on the first rows of a set; the reported split is dev here, for nothing else is chosen by it."""
    from whet import api

    with (work / name / "train.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))[:rows]
    columns = {key: [row[key] for row in table] for key in table[0]}
    run = api.train(
        columns,
        dev=work / name / f"{REPORTED[name]}.csv",
        out=work / "runs" / f"precision-{name}-{seed}-{precision}",
        overwrite=True,
        quiet=True,
        seed=seed,
        epochs=3,
        threads=torch.get_num_threads(),
        precision=precision,
    )
    metrics = run.metrics
    kept = {key: metrics[key] for key in ("accuracy", "mcc", "nll")}
    return {"set": name, "seed": seed, "precision": precision, **kept}


def main() -> None:
    from whet.encoder.device import computes_bf16, resolve_device

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--sets", nargs="*", default=list(REPORTED))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    native = computes_bf16(resolve_device("auto"))
    print(f"bf16 is {'native' if native else 'emulated'} here")
    found: dict[tuple[str, str], list[float]] = {}
    for name in asked.sets:
        for seed in asked.seeds:
            for precision in ("float32", "bf16"):
                if native or precision == "float32":
                    row = one(asked.work, name, asked.rows, seed, precision)
                else:
                    with emulated():
                        row = one(asked.work, name, asked.rows, seed, precision)
                print(json.dumps(row), flush=True)
                found.setdefault((name, precision), []).append(row["accuracy"])
    print("\n| set | float32 | bf16 | difference |\n| --- | --- | --- | --- |")
    gaps = []
    for name in asked.sets:
        wide, narrow = (100 * statistics.mean(found[name, precision]) for precision in ("float32", "bf16"))
        gaps.append(narrow - wide)
        print(f"| {name} | {wide:.2f} | {narrow:.2f} | {gaps[-1]:+.2f} |")
    print(f"mean difference over the sets: {statistics.mean(gaps):+.2f} points")


if __name__ == "__main__":
    main()
