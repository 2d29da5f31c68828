"""Real tokens a second of prediction: whet beside transformers' module and ONNX Runtime, of one model.

    python bench/prediction_models.py build/prediction build/bench ../shared/data/squad             once
    python bench/prediction_speed.py build/prediction [--sets sst2 squad] [--rounds 7] [--seconds 20]

Every side opens the same folder, or the ONNX file of it, and gets the same tokens: those that whet's
tokeniser made, for SQuAD in windows of 384. Tokenising is outside of the clock; inside it are sorting by
length, packing or padding, the model, and putting the outputs into the order of the rows, all rows so often
that the time is up. whet makes packs of 4,096 tokens; the others take batches of 32 in the order of length,
padded to their longest. transformers' module runs with torch's fused attention (sdpa) and with attention
written out (eager), ONNX Runtime with all its graph optimisations. Padding is no token; where windows
overlap, a token counts in each.

Every run is a process of its own, with one pass to warm up. Sides alternate, ratios are those of
neighbouring runs. All compute in float32, but `whet` and `transformers-bf16` in bf16 and `onnx-int8` in
int8. Figures are of each side's own outputs, by the same rules of decision; "other answers" are labels or
spans that are not those of transformers in float32.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.alternating import alternate, child, head, line, median, ratios
from bench.prediction_models import CLASSES, INPUTS

SIDES = ["whet", "whet-float32", "transformers-sdpa", "transformers-eager", "onnx", "onnx-int8"]
ORACLE = "transformers-sdpa"
FIGURES = {"sst2": ["accuracy"], "squad": ["exact", "f1"]}
BATCH = 32  # sequences

Inputs = dict[str, np.ndarray]  # (n, longest) int64 each
Compute = Callable[[Inputs], np.ndarray]  # -> (n, n_outputs), or (n, longest, 2) for questions


def transformers_side(folder: Path, side: str, threads: int) -> Compute:
    import torch
    import transformers

    attention = "eager" if side.endswith("eager") else "sdpa"
    kind = getattr(transformers, CLASSES[folder.name])
    module = kind.from_pretrained(folder / "model", attn_implementation=attention)
    module.eval().config.return_dict = False

    def compute(inputs: Inputs) -> np.ndarray:
        narrow = torch.autocast("cpu", dtype=torch.bfloat16, enabled=side.endswith("bf16"))
        with torch.inference_mode(), narrow:
            found = module(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        return joined([output.float().numpy() for output in found])

    return compute


def onnx_side(folder: Path, side: str, threads: int) -> Compute:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    file = str(folder / f"{side}.onnx")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda inputs: joined(session.run(None, inputs))


def joined(outputs: list[np.ndarray]) -> np.ndarray:
    """One output, (n, n_outputs), as it is; starts and ends of answers side by side, (n, longest, 2)."""
    return outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=2)


def padded_logits(store: Any, compute: Compute) -> np.ndarray:
    """What `Predictor.logits` gives, by padded batches in the order of length."""
    found = store.sequences(np.arange(len(store)))
    lengths = np.array([len(ids) for ids in found.ids])
    order = np.argsort(lengths, kind="stable")
    outputs: list[Any] = [None] * len(order)
    for first in range(0, len(order), BATCH):
        some = order[first : first + BATCH]
        inputs = {name: np.zeros((len(some), lengths[some].max()), np.int64) for name in INPUTS}
        for row, i in enumerate(some):
            for name, values in zip(INPUTS, (found.ids[i], 1, found.types[i]), strict=True):
                inputs[name][row, : lengths[i]] = values
        computed = compute(inputs)
        for row, i in enumerate(some):
            outputs[i] = computed[row, : lengths[i]] if computed.ndim == 3 else computed[row]
    if found.windows is None:
        return np.stack(outputs).astype(np.float64)
    texts, marks = np.empty(len(store), object), store.marks(np.arange(len(store)))
    for i, stop in enumerate(np.cumsum(found.windows)):
        own = np.concatenate(outputs[stop - found.windows[i] : stop]).astype(np.float64)
        texts[i] = np.concatenate([own, marks[i]], axis=1)
    return texts


def one(folder: Path, side: str, seconds: float, threads: int) -> dict[str, Any]:
    """One run of one side on one set."""
    import torch

    import whet
    from whet.predictor import Predictor

    torch.set_num_threads(threads)
    model = whet.load(folder / "model")
    rows = model.labelled(next(folder.glob("rows.*")), None, None, None)
    store = rows.store.ensure()
    if side.startswith("whet"):
        predictor = Predictor(model.module, "bf16" if side == "whet" else "float32")
        run = lambda: predictor.logits(store)  # noqa: E731
    else:
        compute = (onnx_side if side.startswith("onnx") else transformers_side)(folder, side, threads)
        run = lambda: padded_logits(store, compute)  # noqa: E731
    logits = run()
    passes, began = 0, time.perf_counter()
    while passes == 0 or time.perf_counter() - began < seconds:
        run()
        passes += 1
    took, tokens = time.perf_counter() - began, int(store.lengths.sum())
    found = {"tokens_per_s": passes * tokens / took, "passes": passes, "rows": len(store), "tokens": tokens}
    metrics = rows.task.metrics(logits, rows.targets)
    found |= {figure: metrics[figure] for figure in FIGURES[folder.name]}
    if folder.name == "squad":
        decoded = rows.task.decode(logits, rows=[("", target.context) for target in rows.targets])
        return found | {"answers": [[answer.start, answer.end] for answer in decoded]}
    return found | {"answers": [answer.label for answer in rows.task.decode(logits)]}


def compared(asked: argparse.Namespace, name: str) -> None:
    """The table of one set."""

    def run(side: str) -> dict[str, Any]:
        seconds, threads = ("--seconds", asked.seconds), ("--threads", asked.threads)
        return child(__file__, asked.out, "--one", name, side, *seconds, *threads)

    found = alternate(asked.sides, asked.rounds, run)
    any_row, oracle = found[asked.sides[0]][0], found.get(ORACLE)
    ours = [side for side in asked.sides if side.startswith("whet")]
    title = f"{name}, {any_row['rows']:,} rows, {any_row['tokens']:,} real tokens, threads: {asked.threads}"
    over = [f"{side} / it" for side in ours]
    head(title, "real tokens/s, median", *over, *FIGURES[name], "other answers")
    for side, rows in found.items():
        others = "" if oracle is None else sum(
            a != b for a, b in zip(rows[0]["answers"], oracle[0]["answers"], strict=True)
        )  # fmt: skip
        times = [ratios(found[own], rows, "tokens_per_s") for own in ours]
        figures = [f"{rows[0][figure]:.4g}" for figure in FIGURES[name]]
        line(side, f"{median(rows, 'tokens_per_s'):,.0f}", *times, *figures, others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--sides", nargs="+", default=SIDES, help="also transformers-bf16")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("SET", "SIDE"), help="one run, as a JSON line")
    asked = parser.parse_args()
    if asked.one:
        name, side = asked.one
        print(json.dumps(one(asked.out / name, side, asked.seconds, asked.threads)))
        return
    for name in asked.sets:
        compared(asked, name)


if __name__ == "__main__":
    main()
