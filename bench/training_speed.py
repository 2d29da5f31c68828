"""Real tokens a second of training, beside transformers' Trainer; and the share of the matrix rate.

    python bench/versus_trainer.py convert ../shared/data build/bench                              once
    python -m bench.training_speed build/bench --sets sst2 mrpc [--rounds 7] [--seconds 20]
    python -m bench.training_speed build/bench --sets squad --squad TRAIN.json --length 180
    python -m bench.training_speed build/bench --sets sst2 squad --squad FILE --shape base --device cuda

Sides are whet, whet-float32, trainer (as it comes: float32, random batches, padded to their longest text),
trainer-bf16, trainer-group (length groups) and trainer-bf16-group. SQuAD's Trainer is run_qa's: batches of
12, windows padded to 384. Each run is a process of its own; sides alternate, and ratios are those of
neighbouring runs. Padding is no token.

--shape mini-shape, base or large: random weights, so that no checkpoint is needed. The share of the
matrix rate is that of the work of real tokens, 6 x parameters of the layers x tokens (2 of 6 for the last
layer where only first tokens are read of it) and 12 x length x width x layers a token for attention, over the
rate of large matrix products in the same process.
"""

import argparse
import contextlib
import csv
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.alternating import alternate, child, head, line, median, ratios

SHAPES = {"mini-shape": (384, 6, 12), "base": (768, 12, 12), "large": (1024, 24, 16)}  # width, layers, heads
SIDES = ["whet", "whet-float32", "trainer", "trainer-bf16-group"]
WARM_UP = 5  # steps


class Enough(Exception):
    """The time is up."""


class Clock:
    """Real tokens after the first steps, and the work that they are, until the time is up."""

    def __init__(self, seconds: float, device: str) -> None:
        self.seconds, self.device = seconds, device
        self.steps, self.tokens, self.began, self.took = 0, 0, 0.0, 0.0

    def step(self, tokens: int) -> None:
        """Raises Enough."""
        self.steps += 1
        if self.steps == WARM_UP:
            self._wait()
            self.began = time.perf_counter()
        if self.steps <= WARM_UP:
            return
        self.tokens += tokens
        if time.perf_counter() - self.began > self.seconds:
            self._wait()
            self.took = time.perf_counter() - self.began
            raise Enough

    def _wait(self) -> None:
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()


def matrix_rate(device: str, bf16: bool) -> float:
    """Floating-point operations a second of large products, the best of some."""
    import torch

    size = 8192 if device == "cuda" else 1536
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(10):
        began = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def checkpoint(shape: str, tokeniser: str, place: Path) -> str:
    """Random weights in a shape, with the tokeniser of a folder or of `mini`; else what `shape` names."""
    if shape not in SHAPES:
        return shape
    import transformers

    from whet.checkpoints.locate import locate

    width, layers, heads = SHAPES[shape]
    transformers.BertModel(
        transformers.BertConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
        )
    ).save_pretrained(place)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (place / name).write_bytes((locate(tokeniser).folder / name).read_bytes())
    return str(place)


def run_whet(file: Path, model: str, clock: Clock, side: str, task: str | None) -> None:
    """With its defaults."""
    import whet
    from whet.training.events import StepDone

    def listen(event: Any) -> None:
        if isinstance(event, StepDone):
            clock.step(event.n_tokens)

    precision = "float32" if side.endswith("float32") else "bf16"
    lengths = {} if task == "question-answering" else {"max_length": 128}
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Enough):
        whet.train(
            file, model=model, out=Path(folder) / "run", quiet=True, listeners=[listen], epochs=100,
            task=task, precision=precision, device=clock.device, head_first=0, **lengths,
        )  # fmt: skip


def run_trainer(file: Path, model: str, clock: Clock, side: str, task: str | None) -> None:
    """Batches of 32, or for questions run_qa's."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    collator: Any = transformers.DataCollatorWithPadding(tokenizer)
    if task == "question-answering":
        from bench.squad import Questions, Windows

        rows = Questions.read(file)
        train: Any = Windows(rows, tokenizer)
        train.learn(rows)
        module: Any = transformers.AutoModelForQuestionAnswering.from_pretrained(model)
        collator = transformers.default_data_collator
    else:
        import datasets

        with file.open(encoding="utf-8", newline="") as stream:
            table = list(csv.DictReader(stream))
        names = sorted({row["label"] for row in table})
        pairs = [row["pair"] for row in table] if "pair" in table[0] else None
        columns = dict(tokenizer([row["text"] for row in table], pairs, truncation=True, max_length=128))
        columns["labels"] = [names.index(row["label"]) for row in table]
        train = datasets.Dataset.from_dict(columns)
        module = transformers.AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(names))
    real = 0

    def collate(features: Any) -> Any:
        nonlocal real
        batch = collator(features)
        real = int(torch.as_tensor(batch["attention_mask"]).sum())
        return batch

    class Stop(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock.step(real)

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            per_device_train_batch_size=12 if task else 32,
            learning_rate=3e-5,
            num_train_epochs=100,
            bf16="bf16" in side,
            train_sampling_strategy="group_by_length" if "group" in side else "random",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=clock.device == "cpu",
        )
        trainer = transformers.Trainer(
            module, arguments, train_dataset=train, data_collator=collate, callbacks=[Stop()]
        )
        with contextlib.suppress(Enough):
            trainer.train()


def work_of_a_token(model: str, length: float, whole_last_layer: bool) -> float:
    """Floating-point operations of training on one real token, in a text of so many."""
    config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    inner = config["intermediate_size"]
    layer = 4 * width**2 + 2 * width * inner
    counted = layers * layer if whole_last_layer else (layers - 1) * layer + 2 * width**2
    return 6.0 * counted + 12 * length * width * layers


def one(asked: argparse.Namespace) -> dict[str, Any]:
    """One timed run."""
    from whet.checkpoints.locate import locate

    name, side = asked.sets[0], asked.sides[0]
    file = asked.squad if name == "squad" else asked.work / name / "train.csv"
    task = "question-answering" if name == "squad" else None
    clock = Clock(asked.seconds, asked.device)
    with tempfile.TemporaryDirectory() as place:
        model = checkpoint(asked.shape, asked.tokeniser, Path(place))
        folder = locate(model).folder
        run = run_whet if side.startswith("whet") else run_trainer
        run(file, str(folder), clock, side, task)
        bf16 = side == "whet" or "bf16" in side
        work = work_of_a_token(str(folder), asked.length, name == "squad")
    rate = clock.tokens / clock.took
    share = rate * work / matrix_rate(asked.device, bf16)
    return {"set": name, "side": side, "tokens_per_s": round(rate), "matrix_share": round(share, 3)}


def compare(asked: argparse.Namespace, name: str) -> None:
    """All sides after another, several times; medians, and the ratios of neighbours."""
    options: list[object] = [asked.work, "--one", "--sets", name, "--seconds", asked.seconds]
    options += ["--tokeniser", asked.tokeniser, "--shape", asked.shape]
    options += ["--device", asked.device, "--length", asked.length]
    options += [] if asked.squad is None else ["--squad", asked.squad]
    found = alternate(asked.sides, asked.rounds, lambda side: child(__file__, *options, "--sides", side))
    first = asked.sides[0]
    head(f"{name}, {asked.shape}", "real tokens/s, median", "share of the matrix rate", f"{first} / it")
    for side, rows in found.items():
        rate, share = median(rows, "tokens_per_s"), median(rows, "matrix_share")
        line(side, f"{rate:,.0f}", f"{share:.0%}", ratios(found[first], rows, "tokens_per_s"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", default=["sst2"])
    parser.add_argument("--squad", type=Path)
    parser.add_argument("--sides", nargs="+", default=SIDES)
    parser.add_argument("--shape", default="mini", help="mini, a folder, mini-shape, base or large")
    parser.add_argument("--tokeniser", default="mini", help="of the last three: mini, or a folder")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--length", type=float, default=20, help="tokens of a text, for attention's work")
    parser.add_argument("--one", action="store_true", help="one run of one side, as a JSON line")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked)))
        return
    for name in asked.sets:
        compare(asked, name)


if __name__ == "__main__":
    main()
