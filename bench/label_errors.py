"""How many wrong labels that were planted does `whet train --folds 5` find, and how much else does it flag?

    python bench/label_errors.py build/bench [--intents 25] [--rows 2500] [--share 0.05] [--seed 0]

Of BANKING77's training rows those of the first intents by name; in a share of them the label is replaced by
another one at random. What is flagged and was not planted is counted as a mistake, though the set has wrong
labels of its own. Beside it: every row whose label is not the out-of-fold answer.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np


def planted_file(
    work: Path, to: Path, n_intents: int, n_rows: int, share: float, seed: int
) -> dict[int, str]:
    """Write the rows with wrong labels; -> line -> true label of those that were replaced."""
    with (work / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [{**row, "text": " ".join(row["text"].split())} for row in csv.DictReader(file)]  # a line each
    intents = sorted({row["label"] for row in rows})[:n_intents]
    rows = [row for row in rows if row["label"] in intents]
    random = np.random.default_rng(seed)
    rows = [rows[i] for i in random.permutation(len(rows))[:n_rows]]
    true = {}
    for i in random.choice(len(rows), round(share * len(rows)), replace=False).tolist():
        true[i + 2] = rows[i]["label"]
        others = [intent for intent in intents if intent != rows[i]["label"]]
        rows[i]["label"] = others[int(random.integers(len(others)))]
    with to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    return true


def line_of(name: str, flagged: list[int], true: dict[int, str]) -> str:
    """A row of the table."""
    hits = sum(line in true for line in flagged)
    return f"| {name} | {len(flagged)} | {hits / len(flagged):.3f} | {hits / len(true):.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--intents", type=int, default=25)
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()

    from whet import api

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "planted.csv")
        true = planted_file(given.work, data, given.intents, given.rows, given.share, given.seed)
        run = api.train(
            data,
            out=Path(folder, "run"),
            folds=given.folds,
            seed=given.seed,
            threads=given.threads,
            quiet=True,
        )
        with (run.folder / "label_errors.csv").open(encoding="utf-8", newline="") as file:
            flagged = list(csv.DictReader(file))
        text = (run.folder / "predictions.folds.jsonl").read_text(encoding="utf-8")
        answers = [json.loads(line) for line in text.splitlines()]
    found = run.manifest["cross_validation"]
    print(f"{len(answers)} rows, {given.intents} intents, {len(true)} labels replaced, seed {given.seed}")
    folds = found["summary"]["accuracy"]
    print(f"accuracy by the labels as given: mean of folds {folds['mean']:.3f}, sd {folds['sd']:.3f}")
    lines = [int(row["line"]) for row in flagged]
    print("\n| rows | number | precision | recall |\n| --- | --- | --- | --- |")
    print(line_of("flagged", lines, true))
    for first in (25, 50, 100):
        print(line_of(f"the first {first}", lines[:first], true))
    differing = sorted(
        (row for row in answers if row["label"] != row["predicted"]),
        key=lambda row: row["probabilities"][row["label"]],
    )
    print(line_of("label is not the answer", [row["line"] for row in differing], true))
    right = sum(true.get(int(row["line"])) == row["suggested"] for row in flagged)
    hits = sum(line in true for line in lines)
    print(f"\nOf the {hits} planted ones that are flagged the suggestion is right in {right}.")


if __name__ == "__main__":
    main()
