"""One run of transformers' Trainer as it comes, from `mini` or --model: a row of trainer-baseline.jsonl.

    python bench/trainer_run.py build/bench goemotions [--seed 0] [--rows N] [--bf16] [--group] >> rows.jsonl
    python bench/trainer_run.py build/bench goemotions --model FOLDER --device cuda >> rows.jsonl

SET is a folder that `versus_trainer.py convert` wrote. Where it has a column `labels`, a text has several,
joined by "|": sigmoids, and a label is given from 0.5 on. Learning rate 5e-5, 3 epochs, batches of 32,
128 tokens, warm-up over a tenth; the last epoch is scored on test, or on dev where there is no test. Figures
are scikit-learn's, of STS-B, whose labels are numbers, SciPy's. The line says which rows and how it ran, and
when training ended, as of time.time; --rows takes only the first of the training rows.
"""

import argparse
import contextlib
import csv
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn import metrics

EPOCHS = 3
NUMBERS = "stsb"  # the set whose labels are numbers


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def encoded(rows: list[dict[str, str]], names: list[str], tokenizer: Any) -> tuple[Any, int]:
    """The rows as Trainer takes them, and the number of their tokens; without names labels are numbers."""
    import datasets

    pairs = [row["pair"] for row in rows] if "pair" in rows[0] else None
    columns = dict(tokenizer([row["text"] for row in rows], pairs, truncation=True, max_length=128))
    if "labels" in rows[0]:
        sets = [set(row["labels"].split("|")) for row in rows]
        columns["labels"] = [[float(name in found) for name in names] for found in sets]
    elif not names:
        columns["labels"] = [float(row["label"]) for row in rows]
    else:
        columns["labels"] = [names.index(row["label"]) for row in rows]
    return datasets.Dataset.from_dict(columns), sum(map(len, columns["input_ids"]))


def figures(logits: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """true (n,) class numbers, or (n,) numbers of one output, or (n, n_labels) of 0 and 1."""
    if logits.shape[1] == 1:
        found = {
            "pearson": stats.pearsonr(logits[:, 0], true).statistic,
            "spearman": stats.spearmanr(logits[:, 0], true).statistic,
        }
    elif true.ndim == 1:
        given = logits.argmax(axis=1)
        found = {
            "accuracy": metrics.accuracy_score(true, given),
            "macro_f1": metrics.f1_score(true, given, average="macro"),
            "mcc": metrics.matthews_corrcoef(true, given),
        }
    else:
        scored = [i for i in range(true.shape[1]) if true[:, i].any()]
        areas = [metrics.average_precision_score(true[:, i], logits[:, i]) for i in scored]
        decided = {"y_true": true, "y_pred": logits >= 0, "zero_division": 0}  # probability 0.5
        found = {
            "micro_f1": metrics.f1_score(average="micro", **decided),
            "macro_f1": metrics.f1_score(average="macro", **decided),
            "micro_pr_auc": metrics.average_precision_score(true.ravel(), logits.ravel()),
            "macro_pr_auc": float(np.mean(areas)),
        }
    return {name: round(float(value), 4) for name, value in found.items()}


def run(
    folder: Path, seed: int, most: int | None, bf16: bool, group: bool, model_name: str, device: str
) -> dict[str, Any]:
    """Train, score, and give the row."""
    import torch
    import transformers

    from whet.checkpoints.locate import locate

    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: torch sees no GPU here.")
    transformers.logging.set_verbosity_error()
    split = "test" if (folder / "test.csv").exists() else "dev"
    train, test = read(folder / "train.csv")[:most], read(folder / f"{split}.csv")
    several = "labels" in train[0]
    told = [] if folder.name == NUMBERS else train
    names = sorted(
        {name for row in told for name in (row["labels"].split("|") if several else [row["label"]])}
    )
    start = locate(model_name).folder
    tokenizer = transformers.AutoTokenizer.from_pretrained(start)
    kind = {"problem_type": "multi_label_classification"} if several else {}
    transformers.set_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        start, num_labels=len(names) or 1, **kind
    )
    rows, n_tokens = encoded(train, names, tokenizer)
    with tempfile.TemporaryDirectory() as place:
        arguments = transformers.TrainingArguments(
            place,
            per_device_train_batch_size=32,
            learning_rate=5e-5,
            num_train_epochs=EPOCHS,
            warmup_steps=0.1,
            bf16=bf16,
            train_sampling_strategy="group_by_length" if group else "random",
            seed=seed,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=device == "cpu",
        )
        collator = transformers.DataCollatorWithPadding(tokenizer)
        trainer = transformers.Trainer(model, arguments, train_dataset=rows, data_collator=collator)
        began = time.perf_counter()
        trainer.train()
        seconds, ended = time.perf_counter() - began, time.time()
        found = trainer.predict(encoded(test, names, tokenizer)[0])
    return {
        "task": folder.name,
        "seed": seed,
        "rows": len(train),
        "split": split,
        "seconds": round(seconds, 1),
        "ended": ended,
        "tokens_per_s": round(EPOCHS * n_tokens / seconds),
        "bf16": bf16,
        "group": group,
        "model": model_name,
        "device": str(arguments.device),
        **figures(found.predictions, found.label_ids),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--bf16", action="store_true", help="where the processor has it")
    parser.add_argument("--group", action="store_true", help="batches of about one length")
    parser.add_argument("--model", default="mini", help="mini, or a folder")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    asked = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # Trainer prints there too
        how = asked.bf16, asked.group, asked.model, asked.device
        row = run(asked.work / asked.set, asked.seed, asked.rows, *how)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
