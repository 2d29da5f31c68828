"""Answers of SQuAD: whet's defaults beside transformers' Trainer with run_qa's settings, one seed.

    python bench/squad.py whet TRAIN.json DEV.json build/bench [--model mini] [--epochs 2] [--seed 0]
    python bench/squad.py trainer TRAIN.json DEV.json build/bench [--bf16] [--group] [--steps N]

whet holds a tenth of TRAIN out, in whole articles, to choose the epoch and the threshold by; seconds are
those of the whole command, training_seconds those of its epochs. The Trainer trains on all of TRAIN as
transformers documents run_qa.py for SQuAD: 3e-5, linear decay without warm-up, batches of 12, windows of 384
tokens that share 128, padded to 384, the last epoch, no-answer threshold 0. Its seconds begin where libraries
are loaded and end with training; training_seconds are those of Trainer.train alone. With --steps it ends
after so many steps, without figures.

Figures are SQuAD's (whet.squad_scores), in percent, with 95% intervals over articles. Where some questions of
DEV have no answer, best_... are those of the best threshold on DEV itself, as SQuAD 2.0's script has them,
and always_answering are the figures without a threshold.
"""

import argparse
import contextlib
import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whet.checkpoints.locate import locate
from whet.data.questions import article_units, question_table
from whet.data.readers import read_table
from whet.squad_scores import (
    AnswerScores,
    answer_scores,
    best_threshold,
    squad_intervals,
    squad_metrics,
    with_threshold,
)

MAX_LENGTH, STRIDE = 384, 128  # tokens
N_BEST, MAX_ANSWER = 20, 30  # starts and ends that are looked at; tokens of an answer
AT_ONCE = 1000  # questions tokenised together


@dataclass(frozen=True)
class Questions:
    """The labelled questions of a file."""

    questions: list[str]
    contexts: list[str]
    answers: list[list[dict[str, Any]]]  # of each {text, start}; start is None where it does not stand there
    units: np.ndarray  # (n,), the article of each

    @classmethod
    def read(cls, file: Path) -> "Questions":
        """Answers' places are as whet mends them, so that both sides learn from the same ones."""
        table, _ = question_table(read_table(file))
        answers = table.column("answers").to_pylist()
        kept = [i for i, given in enumerate(answers) if given is not None]
        questions, contexts = (table.column(name).to_pylist() for name in ("question", "context"))
        return cls(
            [questions[i] for i in kept],
            [contexts[i] for i in kept],
            [answers[i] for i in kept],
            article_units(table)[kept],
        )

    def texts(self) -> list[list[str]]:
        """The true answers of each."""
        return [[one["text"] for one in given] for given in self.answers]


class Windows:
    """Windows of questions and their contexts as a Trainer's data set, padded to MAX_LENGTH tokens."""

    def __init__(self, rows: Questions, tokeniser: Any) -> None:
        parts = [self._encoded(rows, first, tokeniser) for first in range(0, len(rows.questions), AT_ONCE)]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self.owners = whole.pop("owners")  # (n_windows,), the question of each
        self.offsets = whole.pop("offsets")  # (n_windows, MAX_LENGTH, 2), characters; -1 outside the context
        self.no_answer = (whole["input_ids"] == tokeniser.cls_token_id).argmax(axis=1)  # (n_windows,)
        self.columns = whole

    @staticmethod
    def _encoded(rows: Questions, first: int, tokeniser: Any) -> dict[str, np.ndarray]:
        some = slice(first, first + AT_ONCE)
        found = tokeniser(
            [question.lstrip() for question in rows.questions[some]],  # blanks could fill the window
            rows.contexts[some],
            truncation="only_second",
            max_length=MAX_LENGTH,
            stride=STRIDE,
            padding="max_length",
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_tensors="np",
        )
        owners = first + np.asarray(found["overflow_to_sample_mapping"])
        part = [[one == 1 for one in found.sequence_ids(i)] for i in range(len(owners))]
        offsets = np.where(np.array(part)[:, :, None], found["offset_mapping"], -1).astype(np.int32)
        inputs = {name: found[name].astype(np.int32) for name in tokeniser.model_input_names if name in found}
        return {"owners": owners, "offsets": offsets, **inputs}

    def learn(self, rows: Questions) -> None:
        """Add the first and the last token of each question's first answer; of a window that does not hold
        all of it, those of no answer."""
        places = np.stack([self.no_answer, self.no_answer])
        for i, question in enumerate(self.owners.tolist()):
            answer = next((one for one in rows.answers[question] if one["start"] is not None), None)
            inside = np.flatnonzero(self.offsets[i, :, 0] >= 0)
            if answer is None or not len(inside):
                continue
            start, stop = answer["start"], answer["start"] + len(answer["text"])
            starts, stops = self.offsets[i, inside].T
            if starts[0] <= start and stop <= stops[-1]:
                places[0, i] = inside[np.searchsorted(starts, start, "right") - 1]
                places[1, i] = inside[np.searchsorted(stops, stop, "left")]
        self.columns = self.columns | {"start_positions": places[0], "end_positions": places[1]}

    def __len__(self) -> int:
        return len(self.owners)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {name: values[i].astype(np.int64) for name, values in self.columns.items()}


def decoded(windows: Windows, starts: np.ndarray, ends: np.ndarray, rows: Questions) -> tuple[list[str], Any]:
    """The best answer of each question, "" where no span is possible, and how much better no answer scores
    (n,): logits (n_windows, MAX_LENGTH) both.

    As run_qa.py: the N_BEST starts by the N_BEST ends of every window; no answer scores as in the window
    where that is least."""
    n = len(rows.questions)
    answers, best, nothing = [""] * n, np.full(n, -np.inf), np.full(n, np.inf)
    for i, question in enumerate(windows.owners.tolist()):
        place, offsets = windows.no_answer[i], windows.offsets[i]
        nothing[question] = min(nothing[question], starts[i, place] + ends[i, place])
        firsts, lasts = (np.argsort(-one[i], kind="stable")[:N_BEST] for one in (starts, ends))
        first, last = (one.ravel() for one in np.meshgrid(firsts, lasts, indexing="ij"))
        possible = (last >= first) & (last - first < MAX_ANSWER)
        possible &= (offsets[first, 0] >= 0) & (offsets[last, 0] >= 0)
        scores = np.where(possible, starts[i, first] + ends[i, last], -np.inf)
        top = int(scores.argmax())
        if scores[top] > best[question]:
            best[question] = scores[top]
            answers[question] = rows.contexts[question][offsets[first[top], 0] : offsets[last[top], 1]]
    return answers, nothing - best


def figures(scores: AnswerScores, units: np.ndarray) -> dict[str, Any]:
    """exact, f1 and the rest, with their intervals."""
    return {**squad_metrics(scores), "intervals": squad_intervals(scores, units)}


def run_whet(asked: argparse.Namespace) -> dict[str, Any]:
    """`whet train`, `whet eval`, and `whet predict` for the answers without the threshold."""
    folder = asked.out / "runs" / f"squad-{asked.train.stem}-{asked.seed}"
    whet = [sys.executable, "-m", "whet"]
    options = ["--model", asked.model, "--epochs", str(asked.epochs), "--seed", str(asked.seed)]
    options += [word for pair in asked.set for word in ("--set", pair)]
    command = [*whet, "train", str(asked.train), "--task", "question-answering", "--out", str(folder)]
    began = time.perf_counter()
    subprocess.run(
        [*command, *options, "--device", asked.device, "--overwrite"], check=True, stdout=sys.stderr
    )
    seconds = time.perf_counter() - began
    tail = [str(folder), str(asked.dev), "--device", asked.device]
    printed = subprocess.run([*whet, "eval", *tail, "--json"], check=True, stdout=subprocess.PIPE).stdout
    found = json.loads(printed)["metrics"]
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    results = run["results"]
    row = {
        "side": "whet",
        "seconds": round(seconds, 1),
        "training_seconds": round(results["training_seconds"], 1),
        "device": run["device"],
        "precision": run["precision"],
        "kept_epoch": results["best_epoch"],
        **found,
        "threshold": results["decision"]["null_threshold"],
    }
    if "best_f1" in found:
        file = asked.out / f"squad-whet-{asked.seed}.jsonl"
        subprocess.run([*whet, "predict", *tail, "--no-input", "--to", str(file)], check=True)
        lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        best = [line["answers"][0]["text"] if line["answers"] else "" for line in lines]
        row["always_answering"] = always(best, Questions.read(asked.dev))
    return row


def always(best: list[str], rows: Questions) -> dict[str, Any]:
    """Figures where the best answer is given whatever no answer scores."""
    return figures(answer_scores(best, rows.texts()), rows.units)


def run_trainer(asked: argparse.Namespace) -> dict[str, Any]:
    """transformers' Trainer with run_qa's documented settings."""
    began = time.perf_counter()
    import torch
    import transformers

    if asked.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: torch sees no GPU here.")
    transformers.set_seed(asked.seed)
    folder = locate(asked.model).folder
    tokeniser = transformers.AutoTokenizer.from_pretrained(folder)
    rows = Questions.read(asked.train)
    train = Windows(rows, tokeniser)
    train.learn(rows)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder)
    settings = transformers.TrainingArguments(
        output_dir=str(asked.out / "trainer-squad"), learning_rate=3e-5, num_train_epochs=asked.epochs,
        per_device_train_batch_size=12, per_device_eval_batch_size=32, lr_scheduler_type="linear",
        warmup_steps=0, seed=asked.seed, bf16=asked.bf16, use_cpu=asked.device == "cpu", save_strategy="no",
        report_to=[], disable_tqdm=True, logging_steps=500, max_steps=asked.steps or -1,
        train_sampling_strategy="group_by_length" if asked.group else "random",
    )  # fmt: skip
    trainer = transformers.Trainer(model, settings, train_dataset=train)
    ready = time.perf_counter()
    trainer.train()
    ended = time.perf_counter()
    if asked.steps:
        whole = asked.epochs * math.ceil(len(train) / 12)
        times = {"training_seconds": ended - ready, "ended": time.time(), "steps_of_all": whole}
        return {"side": "Trainer", "steps": asked.steps, **times}
    dev = Questions.read(asked.dev)
    windows = Windows(dev, tokeniser)
    starts, ends = np.asarray(trainer.predict(windows).predictions)  # (2, n_windows, MAX_LENGTH)
    best, no_answer = decoded(windows, starts, ends, dev)
    scores = answer_scores(best, dev.texts())
    row = {
        "side": "Trainer",
        "seconds": round(ended - began, 1),
        "training_seconds": round(ended - ready, 1),
        "device": str(settings.device),
        "precision": "bf16" if asked.bf16 else "float32",
        "windows": len(train),
        "n": len(best),
    }
    if scores.has_answer.all():
        return row | figures(scores, dev.units)
    row |= figures(with_threshold(scores, no_answer, 0.0), dev.units)
    for name, values in (("exact", scores.exact), ("f1", scores.f1)):
        found = best_threshold(values, scores.has_answer, no_answer)
        row |= {f"best_{name}": found.figure, f"best_{name}_threshold": found.threshold}
    return row | {"threshold": 0.0, "always_answering": always(best, dev)}


def main() -> None:
    """One row, printed and added to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("side", choices=["whet", "trainer"])
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="mini", help="mini, or a folder")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--bf16", action="store_true", help="the Trainer's")
    parser.add_argument("--group", action="store_true", help="the Trainer's: batches of about one length")
    parser.add_argument("--steps", type=int, default=0, help="the Trainer's, instead of whole epochs")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of whet; can be repeated"
    )
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(sys.stderr):  # Trainer prints there too
        found = run_whet(asked) if asked.side == "whet" else run_trainer(asked)
    told = {"model": asked.model, "train": asked.train.name, "epochs": asked.epochs, "seed": asked.seed}
    row = {"side": found.pop("side"), **told, **found}
    print(json.dumps(row))
    with (asked.out / "squad.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
