"""One long text through layers of ModernBERT's shape: seconds and peak memory, beside transformers' module.

    python bench/long_contexts.py [--lengths 1024 2048 4096 8192] [--rounds 3] [--precision bf16]

Four layers of 768 units, 12 heads and 1,152 inner units, the first and last of which see the whole text, the
others 64 tokens to either side; random weights, a vocabulary of 1,000. transformers' side is its own
ModernBertModel with torch's fused attention. Every figure is from a process of its own, the sides taking
turns, and is the median of the rounds: processor seconds, and how far the peak of resident memory rose over
what is resident with the weights, their gradients and after a pass of 64 tokens (Linux only).
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SHAPE: dict[str, Any] = {
    "vocab_size": 1000,
    "hidden_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 12,
    "intermediate_size": 1152,
    "global_attn_every_n_layers": 3,
    "local_attention": 128,
    "max_position_embeddings": 8192,
    "hidden_activation": "gelu",
}
SIDES = ("whet", "transformers")
PASSES = {"forward": False, "forward and backward": True}


def whet_side() -> Callable[[np.ndarray], Tensor]:
    """ids (length,) -> hidden states (length, hidden_size)."""
    from whet.checkpoints.families.modernbert import FAMILY
    from whet.encoder.packing import pack

    encoder = FAMILY.encoder(FAMILY.spec(SHAPE), SHAPE)
    return lambda ids: encoder(pack([ids], [ids * 0])).tokens


def transformers_side() -> Callable[[np.ndarray], Tensor]:
    """The same of transformers' module."""
    import transformers

    special = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
    config = transformers.AutoConfig.for_model("modernbert", **SHAPE, **special, attn_implementation="sdpa")
    model = transformers.ModernBertModel(config).eval()
    return lambda ids: model(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0]


def one(side: str, length: int, backward: bool, precision: str, threads: int) -> dict[str, float]:
    """Processor seconds of the pass, and by how many bytes it raised the peak of resident memory."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    run = whet_side() if side == "whet" else transformers_side()

    def once(n: int) -> float:
        ids = np.random.default_rng(n).integers(5, SHAPE["vocab_size"], n)
        began = time.process_time()
        narrow = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")
        with torch.set_grad_enabled(backward):
            with narrow:
                states = run(ids)
            if backward:
                states.float().square().mean().backward()
        return time.process_time() - began

    once(64)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what is resident now; proc(5)
    before = peak()
    seconds = once(length)
    return {"seconds": seconds, "megabytes": (peak() - before) / 1e6}


def peak() -> int:
    """The peak of this process's resident memory, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lengths", nargs="*", type=int, default=[1024, 2048, 4096, 8192])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--one", nargs=3, metavar=("SIDE", "LENGTH", "BACKWARD"), help="one measurement, as JSON"
    )
    asked = parser.parse_args()
    if asked.one:
        side, length, backward = asked.one
        print(json.dumps(one(side, int(length), backward == "True", asked.precision, asked.threads)))
        return
    columns = "s, whet | s, transformers | ratio | MB, whet | MB, transformers | ratio"
    print(f"| pass | tokens | {columns} |\n{'| --- ' * 8}|")
    for name, backward in PASSES.items():
        for length in asked.lengths:
            found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for _ in range(asked.rounds):
                for side in SIDES:
                    command = [sys.executable, __file__, "--one", side, str(length), str(backward)]
                    command += ["--precision", asked.precision, "--threads", str(asked.threads)]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    found[side].append(json.loads(done.stdout))
            cells = [name, f"{length:,}"]
            for kind, form in (("seconds", ".2f"), ("megabytes", ",.0f")):
                ours, theirs = (statistics.median(row[kind] for row in found[side]) for side in SIDES)
                cells += [f"{ours:{form}}", f"{theirs:{form}}", f"{ours / theirs:.2f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
