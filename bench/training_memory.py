"""Peak memory of training beyond weights, gradients and optimiser state: whet beside transformers' Trainer.

    python bench/versus_trainer.py convert ../shared/data build/bench                               once
    python bench/training_memory.py build/bench [--sets sst2 mrpc] [--steps 60] [--rounds 3]

Runs are those of bench/training_speed.py: `mini`, batches of 32, texts of up to 128 tokens, each run a
process of its own; sides alternate. The peak is the highest resident memory (VmHWM; Linux only) from where
all libraries are imported to the end of the last step, so rows, tokens and the loading of weights are in
it; no dev set is looked at and no checkpoint written in so few steps. "over imports" is the peak without
what was resident after the imports. "held" are the bytes of float32 weights (of whet also its side-by-side
copies of word rows), of one gradient for every trained number, and of AdamW's averages, as found in the
process after the last step; whet trains only the word rows that were used, so it holds less. "beyond" is
the peak over imports without "held": activations, temporary copies, rows and tokens, and freed memory that
was not given back.
"""

import argparse
import contextlib
import gc
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from bench.alternating import alternate, child, head, line, median, ratios, spread, values
from bench.training_speed import Enough, run_trainer, run_whet

SIDES = ["whet", "whet-float32", "trainer", "trainer-bf16"]
IMPORTS = ("torch", "transformers.trainer", "accelerate", "datasets", "whet.api", "sklearn.metrics")


class Steps:
    """Ends a run after so many steps, when memory has been looked at; stands where a clock would."""

    device = "cpu"

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.peak, self.held = 0, 0  # bytes

    def step(self, tokens: int) -> None:
        """Raises Enough."""
        self.left -= 1
        if self.left == 0:
            self.peak = memory("VmHWM")
            self.held = held()
            raise Enough


def memory(name: str) -> int:
    """Bytes of a line of /proc/self/status; proc(5)."""
    return 1024 * int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0])


def held() -> int:
    """Bytes of weights, gradients and optimiser state of all modules and optimisers in this process."""
    import torch

    from whet.training.optimizer import AdamW

    kinds = (torch.nn.Module, torch.optim.Optimizer, AdamW)
    found = [one for one in gc.get_objects() if issubclass(type(one), kinds)]
    optimisers = [one for one in found if not isinstance(one, torch.nn.Module)]
    groups = [group["params"] for one in optimisers for group in one.param_groups]
    trained = {id(tensor): tensor for tensors in groups for tensor in tensors}
    tensors = list(trained.values())
    tensors += [tensor for one in found if isinstance(one, torch.nn.Module) for tensor in one.parameters()]
    tensors += [
        tensor for one in optimisers for state in one.state.values() for tensor in state.values()
        if isinstance(tensor, torch.Tensor)
    ]  # fmt: skip
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    gradients = sum(tensor.nbytes for tensor in trained.values())
    return int(sum(storages.values()) + gradients)


def one(asked: argparse.Namespace, name: str, side: str) -> dict[str, Any]:
    """One run."""
    from whet.checkpoints.locate import locate

    for module in IMPORTS:
        importlib.import_module(module)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what is resident now; proc(5)
    imports = memory("VmRSS")
    steps: Any = Steps(asked.steps)
    run = run_whet if side.startswith("whet") else run_trainer
    run(asked.work / name / "train.csv", str(locate("mini").folder), steps, side, None)
    over = steps.peak - imports
    found = {"imports": imports, "over": over, "held": steps.held, "beyond": over - steps.held}
    return {key: round(size / 1e6, 1) for key, size in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", default=["sst2", "mrpc"])
    parser.add_argument("--sides", nargs="+", default=SIDES)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("SET", "SIDE"), help="one run, as a JSON line")
    asked = parser.parse_args()
    if asked.one:
        with contextlib.redirect_stdout(sys.stderr):
            found_one = one(asked, *asked.one)
        print(json.dumps(found_one))
        return
    for name in asked.sets:
        found = alternate(
            asked.sides,
            asked.rounds,
            lambda side: child(__file__, asked.work, "--steps", asked.steps, "--one", name, side),  # noqa: B023
        )
        ours = [side for side in asked.sides if side.startswith("whet")]
        over = [f"beyond, {side} / it" for side in ours]
        title = f"{name}, {asked.steps} steps; MB, medians"
        head(title, "imports", "over imports", "held", "beyond (least to most)", *over)
        for side, rows in found.items():
            sizes = [f"{median(rows, key):,.0f}" for key in ("imports", "over", "held")]
            times = [ratios(found[own], rows, "beyond") for own in ours]
            line(side, *sizes, spread(values(rows, "beyond"), ",.0f"), *times)


if __name__ == "__main__":
    main()
