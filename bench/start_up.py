"""Seconds from the start of a process to the end of its first training step, on a CSV file of 1,000 rows.

    python bench/versus_trainer.py convert ../shared/data build/bench                               once
    python bench/start_up.py build/bench/sst2/train.csv [--rows 1000] [--rounds 7]

whet is the command `whet train FILE --quiet` with its defaults: it finds out columns and task, checks the
rows, near duplicates among them, holds a tenth out and makes the run folder. Trainer is a script of the
least that does the same training: csv, a tokeniser, AutoModelForSequenceClassification from `mini`, Trainer
with batches of 32; float32, as it comes. Both end at their first step. Every run is a process of its own;
sides alternate, after a run of each that does not count, so files are in the system's cache.

The parts of whet's time are those of functions that are wrapped from outside, each without the wrapped ones
that it calls. "imports" is all up to where the command begins to look at its arguments and `whet.api` is
there, for Trainer up to where its classes are; "imports on the way" are of modules that are first needed
later. "head's vectors" is the pass of all texts through the frozen encoder, before the epochs of the head.
"""

import argparse
import builtins
import contextlib
import csv
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.alternating import alternate, child, head, line, median, ratios, spread, values
from bench.stopwatch import Stopwatch

SIDES = ["whet", "trainer"]
BATCH = 32
LATER = "imports on the way"


class Enough(Exception):
    """The first step is done."""


def run_whet(file: Path, began: float) -> dict[str, float]:
    """Parts of the seconds since `began`, as of time.time."""
    from whet import api  # noqa: F401, the command imports it a moment later
    from whet.cli.main import app

    imported = time.time() - began
    from whet.text.store import TokenStore
    from whet.text.tokens import Tokeniser
    from whet.training import loop, prepare, run

    watch = Stopwatch()
    watch.wrap(builtins, "__import__", LATER)
    watch.wrap(prepare, "read_training_data", "reading, columns, split")
    watch.wrap(prepare, "warn_before_training", "checks")
    watch.wrap(prepare, "open_checkpoint", "model")
    watch.wrap(prepare.Prepared, "start", "model")
    watch.wrap(Tokeniser, "load", "tokeniser")
    watch.wrap(TokenStore, "ensure", "tokenising")
    watch.wrap(run, "create_run_folder", "run folder")
    watch.wrap(run, "describe", "run folder")
    watch.wrap(loop, "computed_once", "head's vectors")
    watch.wrap(loop, "train_step", "first step")
    step, whole = loop.train_step, 0.0

    def first_step(*given: Any) -> None:
        nonlocal whole
        step(*given)
        whole = time.time() - began
        raise Enough

    loop.train_step = first_step  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Enough):
        app(["train", str(file), "--out", f"{folder}/run", "--quiet"], standalone_mode=False)
    parts = {"imports": imported, **watch.seconds}
    return parts | {"everything else": whole - sum(parts.values()), "seconds": whole}


def run_trainer(file: Path, began: float) -> dict[str, float]:
    """The same of the least script."""
    import datasets
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from whet.checkpoints.locate import locate

    imported = time.time() - began
    watch, marks = Stopwatch(), {"imports": imported}
    watch.wrap(builtins, "__import__", LATER)

    def mark(part: str) -> None:
        """All that went before, but for imports on the way."""
        marks[part] = time.time() - began - watch.seconds[LATER]

    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["label"] for row in rows})
    mini = locate("mini").folder
    tokenizer = AutoTokenizer.from_pretrained(mini)
    columns = dict(tokenizer([row["text"] for row in rows], truncation=True, max_length=256))
    columns["labels"] = [names.index(row["label"]) for row in rows]
    train = datasets.Dataset.from_dict(columns)
    mark("reading and tokenising")
    model = AutoModelForSequenceClassification.from_pretrained(mini, num_labels=len(names))
    mark("model")

    class Stop(TrainerCallback):
        def on_step_end(self, *given: Any, **named: Any) -> None:
            mark("Trainer and first step")
            raise Enough

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Enough):
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=BATCH, save_strategy="no", report_to=[], disable_tqdm=True,
            use_cpu=True,
        )  # fmt: skip
        collator = DataCollatorWithPadding(tokenizer)
        trainer = Trainer(model, arguments, train_dataset=train, data_collator=collator, callbacks=[Stop()])
        trainer.train()
    ends = list(marks.values())
    parts = {name: end - before for (name, end), before in zip(marks.items(), [0.0, *ends], strict=False)}
    later = watch.seconds[LATER]
    return parts | {LATER: later, "seconds": ends[-1] + later}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "BEGAN"), help="one run, as a JSON line")
    asked = parser.parse_args()
    if asked.one:
        side, began = asked.one
        run_side = run_whet if side == "whet" else run_trainer
        with contextlib.redirect_stdout(sys.stderr):
            found = run_side(asked.file, float(began))
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.csv"
        lines = asked.file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(lines[: 1 + asked.rows]), encoding="utf-8")

        def run(side: str) -> dict[str, Any]:
            return child(__file__, file, "--one", side, time.time())

        for side in SIDES:
            run(side)
        found = alternate(SIDES, asked.rounds, run)
    head(f"{asked.rows:,} rows", "s to the end of the first step, median (least to most)", "Trainer / it")
    for side, rows in found.items():
        line(side, spread(values(rows, "seconds")), ratios(found["trainer"], rows, "seconds"))
    for side, rows in found.items():
        head(f"{side}: part", "s, median", "share")
        for part in (name for name in rows[0] if name != "seconds"):
            seconds = median(rows, part)
            line(part, f"{seconds:.2f}", f"{seconds / median(rows, 'seconds'):.0%}")


if __name__ == "__main__":
    main()
