"""whet's defaults beside transformers' Trainer, both from `mini`: scores over seeds, and speed.

    python bench/versus_trainer.py convert ../shared/data build/bench       once: all sets to files
    python bench/versus_trainer.py scores build/bench ../shared/references/trainer-baseline.jsonl --seeds 5
    python bench/versus_trainer.py speed build/bench [--on trec mrpc] [--rounds 3] [--seconds 60]

Scores: `whet train --seeds`; whet chooses its epoch on an inner split of train, and each seed touches the
reported split once, at its end. The interval is Welch's over both sides' seeds: it holds the luck of the
seeds, not that of the rows, which are the same for both. What was stopped goes on where it was. Speed:
alternating runs of one process tree, medians and ratios.
"""

import argparse
import contextlib
import csv
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scipy import stats

SETS: dict[str, tuple[str, str]] = {  # name -> reported split, metric
    "trec": ("test", "accuracy"),
    "mrpc": ("dev", "accuracy"),
    "rte": ("dev", "accuracy"),
    "cola": ("dev", "mcc"),
    "sst2": ("dev", "accuracy"),
    "banking77": ("test", "accuracy"),
}
SST2_ROWS = 6920


def convert(data: Path, out: Path) -> None:
    """Write every set as CSV files with columns text, [pair,] label; of GoEmotions labels, joined by "|"."""

    def write(name: str, split: str, rows: list[dict[str, str]]) -> None:
        (out / name).mkdir(parents=True, exist_ok=True)
        with (out / name / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    for split, file in (("train", "train_5500.label"), ("test", "TREC_10.label")):
        lines = (data / "trec" / file).read_text(encoding="latin-1").splitlines()
        rows = [line.split(" ", 1) for line in lines if line.strip()]
        write("trec", split, [{"text": text, "label": kind.split(":")[0]} for kind, text in rows])
    for split in ("train", "test"):
        with (data / "banking77" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            rows77 = list(csv.DictReader(file))
        write("banking77", split, [{"text": row["text"], "label": row["category"]} for row in rows77])
    emotions = (data / "goemotions" / "labels.txt").read_text(encoding="utf-8").splitlines()
    for split in ("train", "dev", "test"):
        text = (data / "goemotions" / f"{split}.tsv").read_text(encoding="utf-8")
        table = [line.split("\t") for line in text.split("\n") if line]
        rows = [
            {"text": said, "labels": "|".join(emotions[int(number)] for number in numbers.split(","))}
            for said, numbers, _ in table
        ]
        write("goemotions", split, rows)
    columns = {
        "mrpc": ("MRPC", "#1 String", "#2 String", "Quality"),
        "rte": ("RTE", "sentence1", "sentence2", "label"),
        "wnli": ("WNLI", "sentence1", "sentence2", "label"),
        "sst2": ("SST-2", "sentence", None, "label"),
        "cola": ("CoLA", "3", None, "1"),
    }
    for name, (folder, first, second, label) in columns.items():
        for split in ("train", "dev"):
            text = (data / "glue" / folder / f"{split}.tsv").read_text(encoding="utf-8-sig")
            table = [line.split("\t") for line in text.split("\n") if line]
            header = [str(i) for i in range(4)] if name == "cola" else table.pop(0)
            rows_ = [dict(zip(header, row, strict=True)) for row in table]
            if name == "sst2" and split == "train":
                rows_ = rows_[:SST2_ROWS]
            pair = (lambda row, second=second: {"pair": row[second]}) if second else (lambda row: {})
            write(name, split, [{"text": row[first], **pair(row), "label": row[label]} for row in rows_])


def scores(work: Path, baseline: Path, only: list[str], settings: list[str], seeds: int) -> None:
    """Train every seed, or go on with them, and print the table."""
    from whet import api
    from whet.config import parse_settings

    theirs = [json.loads(line) for line in baseline.read_text().splitlines()]
    rows = []
    for name in only or SETS:
        split, metric = SETS[name]
        out = work / "runs" / f"{name}-{seeds}"
        run = api.train(
            work / name / "train.csv",
            test=work / name / f"{split}.csv",
            out=out,
            resume=(out / "run.json").exists(),
            seeds=seeds,
            **parse_settings(settings),
        )
        results = run.manifest["results"]
        mine = [found["test"][metric] for found in results["seeds"]["runs"].values()]
        kept = [found["best_epoch"] for found in results["seeds"]["runs"].values()]
        reference = [row[metric] for row in theirs if row["task"] == name]
        chosen = f"{results['chosen']['kind']} {100 * results['test'][metric]:.1f}"
        rows.append(f"| {name} ({split}), {metric} | {_line(mine, reference)} | {kept} | {chosen} |")
    print("\n| set (reported split) | whet, mean (sd) | Trainer, mean (sd) | difference, 95% interval | "
          "worst seed | epochs kept | model/ |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


def _line(mine: list[float], theirs: list[float]) -> str:
    """Both means and their difference in points, with Welch's interval over the seeds."""
    sides = [(statistics.mean(values), statistics.stdev(values)) for values in (mine, theirs)]
    found = stats.ttest_ind(mine, theirs, equal_var=False).confidence_interval(0.95)
    return (
        " | ".join(f"{100 * mean:.1f} ({100 * sd:.1f})" for mean, sd in sides)
        + f" | {100 * (sides[0][0] - sides[1][0]):+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
        + f" | {100 * min(mine):.1f}"
    )


def speed(work: Path, name: str, rounds: int, seconds: float, flags: list[str]) -> None:
    """Alternate whet and Trainer in child processes; print each run and the ratio of medians."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for side in ["whet", *flags]:
            command = [sys.executable, __file__, "one", str(work), "--set", name, "--side", side]
            output = subprocess.run(
                [*command, "--seconds", str(seconds)], capture_output=True, text=True, check=True
            ).stdout
            rate = json.loads(output.splitlines()[-1])["tokens_per_s"]
            found.setdefault(side, []).append(rate)
            print(f"{name:10} {side:16} {rate:8.0f} real tokens/s", flush=True)
    for side in flags:
        ratios = [a / b for a, b in zip(found["whet"], found[side], strict=True)]
        print(
            f"{name}: whet {statistics.median(found['whet']):.0f}, "
            f"{side} {statistics.median(found[side]):.0f}; "
            f"ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"
        )


class _Enough(Exception):
    pass


class _Clock:
    """Real tokens a second after the first five steps, until the time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.tokens, self.began = seconds, 0, 0, 0.0

    def step(self, tokens: int) -> bool:
        self.steps += 1
        if self.steps <= 5:
            self.began = time.perf_counter()
            return False
        self.tokens += tokens
        return time.perf_counter() - self.began > self.seconds

    def rate(self) -> float:
        return self.tokens / (time.perf_counter() - self.began)


def one(work: Path, name: str, side: str, seconds: float) -> None:
    """One timed run; prints a JSON line."""
    clock = _Clock(seconds)
    if side == "whet":
        _run_whet(work / name / "train.csv", clock)
    else:
        _run_trainer(work / name / "train.csv", clock, grouped="group" in side, bf16="bf16" in side)
    print(json.dumps({"side": side, "tokens_per_s": clock.rate()}))


def _run_whet(file: Path, clock: _Clock) -> None:
    import tempfile

    from whet import api
    from whet.training.events import StepDone

    def listen(event: Any) -> None:
        if isinstance(event, StepDone) and clock.step(event.n_tokens):
            raise _Enough

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Enough):
        api.train(file, out=Path(folder) / "run", quiet=True, listeners=[listen], epochs=100, max_length=128)


def _run_trainer(file: Path, clock: _Clock, grouped: bool, bf16: bool) -> None:
    import tempfile

    import datasets
    import torch
    import transformers

    from whet.checkpoints.locate import locate

    transformers.logging.set_verbosity_error()
    mini = locate("mini").folder
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["label"] for row in rows})
    tokenizer = transformers.AutoTokenizer.from_pretrained(mini)
    pairs = [row["pair"] for row in rows] if "pair" in rows[0] else None
    columns = dict(tokenizer([row["text"] for row in rows], pairs, truncation=True, max_length=128))
    columns["labels"] = [names.index(row["label"]) for row in rows]
    train = datasets.Dataset.from_dict(columns)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(mini, num_labels=len(names))
    real = 0

    class Counting(transformers.DataCollatorWithPadding):
        def __call__(self, features: Any) -> Any:
            nonlocal real
            batch = super().__call__(features)
            real = int(torch.as_tensor(batch["attention_mask"]).sum())
            return batch

    class Stop(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if clock.step(real):
                raise _Enough

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            per_device_train_batch_size=32,
            learning_rate=5e-5,
            num_train_epochs=100,
            warmup_steps=0.1,
            bf16=bf16,
            train_sampling_strategy="group_by_length" if grouped else "random",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = transformers.Trainer(
            model, arguments, train_dataset=train, data_collator=Counting(tokenizer), callbacks=[Stop()]
        )
        with contextlib.suppress(_Enough):
            trainer.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("convert", "scores", "speed"):
        sub = commands.add_parser(command)
        if command == "convert":
            sub.add_argument("data", type=Path)
        sub.add_argument("work", type=Path)
        if command == "scores":
            sub.add_argument("baseline", type=Path)
            sub.add_argument("--only", nargs="*", default=[])
            sub.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
            sub.add_argument("--seeds", type=int, default=5)
        if command == "speed":
            sub.add_argument("--on", nargs="*", default=["sst2"])
            sub.add_argument("--rounds", type=int, default=3)
            sub.add_argument("--seconds", type=float, default=60)
            sub.add_argument("--against", nargs="*", default=["trainer", "trainer-group"])
    child = commands.add_parser("one")
    child.add_argument("work", type=Path)
    child.add_argument("--set")
    child.add_argument("--side")
    child.add_argument("--seconds", type=float)
    asked = parser.parse_args()
    if asked.command == "convert":
        convert(asked.data, asked.work)
    elif asked.command == "scores":
        scores(asked.work, asked.baseline, asked.only, asked.set, asked.seeds)
    elif asked.command == "speed":
        for name in asked.on:
            speed(asked.work, name, asked.rounds, asked.seconds, asked.against)
    else:
        one(asked.work, asked.set, asked.side, asked.seconds)


if __name__ == "__main__":
    main()
