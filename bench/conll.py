"""Entities of CoNLL-2003: whet's defaults beside transformers' Trainer, from one encoder, one seed.

    python bench/conll.py whet ../shared/data/conll2003 build/bench
    python bench/conll.py whet ../shared/data/conll2003 build/bench --context document
    python bench/conll.py trainer ../shared/data/conll2003 build/bench [--model FOLDER] [--bf16] [--group]

whet trains on eng.train, a tenth of its documents held out to choose the epoch, and scores eng.testa once.
The Trainer trains on all of eng.train with the documented settings (5e-5, 3 epochs, batch 32, linear decay,
first sub-tokens, 128 tokens). Both are scored by seqeval, strictly, in IOB2.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from whet.checkpoints.locate import locate
from whet.data.readers import read_table
from whet.entities import Tags, converted


def sentences(file: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Words and IOB2 tags of a CoNLL file."""
    table = read_table(file)
    tags = converted(Tags.of_column(table.column("tags")), "IOB2").sentences()
    return table.column("tokens").to_pylist(), tags


def score(true: list[list[str]], found: list[list[str]]) -> dict[str, float]:
    """seqeval's strict figures."""
    scorers = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    return {
        name: float(scorer(true, found, mode="strict", scheme=IOB2, zero_division=0))
        for name, scorer in scorers.items()
    }


def run_whet(data: Path, out: Path, context: str, max_length: int, seed: int, model: str) -> dict[str, Any]:
    """`whet train`, then `whet predict` on the reported file."""
    folder = out / "runs" / f"conll-{context}-{seed}"
    began = time.perf_counter()
    settings = ["--set", f"context={context}", "--max-length", str(max_length), "--seed", str(seed)]
    settings += ["--model", model]
    command = [sys.executable, "-m", "whet", "train", str(data / "eng.train"), "--out", str(folder)]
    subprocess.run([*command, *settings, "--overwrite"], check=True)
    seconds = time.perf_counter() - began
    predict = [sys.executable, "-m", "whet", "predict", str(folder), str(data / "eng.testa"), "--no-input"]
    lines = subprocess.run(predict, check=True, capture_output=True, text=True).stdout.splitlines()
    found = [json.loads(line)["tags"] for line in lines]
    return {
        "side": f"whet, context={context}",
        "seconds": seconds,
        **score(sentences(data / "eng.testa")[1], found),
    }


def run_trainer(
    data: Path, out: Path, seed: int, named: str, bf16: bool, group: bool, steps: int
) -> dict[str, Any]:
    """transformers' Trainer with the documented settings; after so many steps, if any, it ends without
    figures."""
    import torch
    import transformers

    transformers.set_seed(seed)
    folder = locate(named).folder
    tokeniser = transformers.AutoTokenizer.from_pretrained(folder)
    words, tags = sentences(data / "eng.train")
    names = sorted({tag for sentence in tags for tag in sentence})

    def features(rows: list[list[str]], labels: list[list[str]]) -> list[dict[str, Any]]:
        encoded = tokeniser(rows, is_split_into_words=True, truncation=True, max_length=128)
        made = []
        for i, row in enumerate(labels):
            ids, before = [], None
            for word in encoded.word_ids(i):
                ids.append(-100 if word is None or word == before else names.index(row[word]))
                before = word
            made.append({"input_ids": encoded["input_ids"][i], "labels": ids})
        return made

    model = transformers.AutoModelForTokenClassification.from_pretrained(
        folder, num_labels=len(names), id2label=dict(enumerate(names))
    )
    settings = transformers.TrainingArguments(
        output_dir=str(out / "trainer-conll"), learning_rate=5e-5, num_train_epochs=3, seed=seed,
        per_device_train_batch_size=32, per_device_eval_batch_size=32, save_strategy="no", report_to=[],
        logging_steps=50, bf16=bf16, max_steps=steps or -1, use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length" if group else "random",
    )  # fmt: skip
    collator = transformers.DataCollatorForTokenClassification(tokeniser)
    train = features(words, tags)
    trainer = transformers.Trainer(model, settings, train_dataset=train, data_collator=collator)  # type: ignore[arg-type]
    began = time.perf_counter()
    trainer.train()
    seconds, ended = time.perf_counter() - began, time.time()
    if steps:
        whole = 3 * math.ceil(len(train) / 32)
        return {"side": "Trainer", "training_seconds": seconds, "ended": ended, "steps_of_all": whole}
    words, tags = sentences(data / "eng.testa")
    found = []
    model.eval()
    with torch.no_grad():
        for row in words:
            encoded = tokeniser([row], is_split_into_words=True, return_tensors="pt").to(model.device)
            best = model(**encoded).logits[0].argmax(-1).tolist()
            firsts: dict[int, int] = {}
            for place, word in enumerate(encoded.word_ids(0)):
                if word is not None:
                    firsts.setdefault(word, place)
            found.append([names[best[firsts[i]]] if i in firsts else "O" for i in range(len(row))])
    return {"side": "Trainer", "seconds": seconds, "ended": ended, **score(tags, found)}


def main() -> None:
    """One row, printed and added to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("side", choices=["whet", "trainer"])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--context", choices=["sentence", "document"], default="sentence")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="mini", help="mini, or a folder")
    parser.add_argument("--bf16", action="store_true", help="the Trainer's")
    parser.add_argument("--group", action="store_true", help="the Trainer's: batches of about one length")
    parser.add_argument("--steps", type=int, default=0, help="the Trainer's, instead of whole epochs")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.side == "whet":
        row = {"task": "conll"} | run_whet(
            asked.data, asked.out, asked.context, asked.max_length, asked.seed, asked.model
        )
    else:
        flags = asked.bf16, asked.group, asked.steps
        row = {"task": "conll"} | run_trainer(asked.data, asked.out, asked.seed, asked.model, *flags)
    print(json.dumps(row))
    with (asked.out / "conll.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
