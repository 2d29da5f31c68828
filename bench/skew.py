"""What class weights, focal loss and label smoothing do where one label is rare, calibration included.

    python bench/versus_trainer.py convert ../shared/data build/bench       once
    python bench/skew.py build/bench [--rows 1000] [--rare 0.08] [--seeds 0 1]

SST-2 with few of its negative sentences: --rows of train.csv to train on, a --rare share of them negative.
Figures are of dev.csv and of the rows of train.csv that were not taken, thinned out in the same way; the
sample is the same for every seed and objective. Probabilities are measured as the network gives them, and
with the temperature that whet fits on dev. A run that is finished in --out is not trained again.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

RARE, COMMON = "0", "1"
OBJECTIVES: dict[str, dict[str, Any]] = {
    "plain": {},
    "class_weights=balanced": {"class_weights": "balanced"},
    "focal_gamma=2": {"focal_gamma": 2.0},
    "label_smoothing=0.1": {"label_smoothing": 0.1},
}
COLUMNS = (
    *("accuracy", "macro F1", "recall of rare", "precision of rare"),
    *("ECE raw", "ECE", "mean P(rare) raw", "mean P(rare)", "true share"),
)


def samples(folder: Path, n: int, rare: float) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Rows to train on, and rows to report on."""
    rng = np.random.default_rng(0)

    def shuffled(name: str, label: str) -> list[dict[str, str]]:
        with (folder / "sst2" / name).open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["label"] == label]
        return [rows[i] for i in rng.permutation(len(rows))]

    few, many = (shuffled("train.csv", label) for label in (RARE, COMMON))
    n_few = round(n * rare)
    train = few[:n_few] + many[: n - n_few]
    common = many[n - n_few :] + shuffled("dev.csv", COMMON)
    others = few[n_few:] + shuffled("dev.csv", RARE)
    return train, common + others[: round(len(common) * rare / (1 - rare))]


def calibration_error(probability: np.ndarray, is_right: np.ndarray, n_bins: int = 15) -> float:
    """ECE of the top label over bins of equal mass: both (n,)."""
    order = np.argsort(probability, kind="stable")
    bins = np.array_split(order, n_bins)
    gaps = [len(rows) * abs(probability[rows].mean() - is_right[rows].mean()) for rows in bins]
    return float(sum(gaps)) / len(order)


def figures(model: Any, rows: list[dict[str, str]]) -> list[float]:
    """In the order of COLUMNS."""
    from sklearn.metrics import f1_score, precision_score, recall_score

    found = model.predict([row["text"] for row in rows], logits=True)
    true = np.array([row["label"] for row in rows])
    said = np.array([one.label for one in found])
    logits = np.array([one.logits for one in found])
    raw = np.exp(logits - np.logaddexp(*logits.T)[:, None])
    calibrated = np.array([[one.probabilities[label] for label in model.labels] for one in found])
    rare = model.labels.index(RARE)
    return [
        float((true == said).mean()),
        f1_score(true, said, average="macro"),
        recall_score(true, said, pos_label=RARE),
        precision_score(true, said, pos_label=RARE, zero_division=0),
        *(calibration_error(chances.max(axis=1), true == said) for chances in (raw, calibrated)),
        *(float(chances[:, rare].mean()) for chances in (raw, calibrated)),
        float((true == RARE).mean()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rare", type=float, default=0.08)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES))
    parser.add_argument("--epochs", type=int, help="whet's default where it is not given")
    parser.add_argument("--out", type=Path, default=Path("build/skew"))
    options = parser.parse_args()

    import whet

    train, report = samples(options.folder, options.rows, options.rare)
    data = tuple([row[name] for row in train] for name in ("text", "label"))
    results: dict[str, list[list[float]]] = {name: [] for name in options.objectives}
    for seed in options.seeds:
        for name in options.objectives:
            out = options.out / f"{name}-{seed}"
            if not (out / "run.json").exists() or '"finished"' not in (out / "run.json").read_text():
                settings = {"seed": seed, "threads": 1, "epochs": options.epochs, **OBJECTIVES[name]}
                whet.train(data, out=out, quiet=True, overwrite=True, **settings)
            results[name].append(figures(whet.load(out), report))
            shown = dict(zip(COLUMNS, (round(x, 4) for x in results[name][-1]), strict=True))
            print(json.dumps({"objective": name, "seed": seed} | shown), flush=True)
    print(f"\n{len(train):,} rows to train on, {len(report):,} to report on\n")
    print(f"| objective | {' | '.join(COLUMNS)} |\n| {' | '.join(['---'] * (len(COLUMNS) + 1))} |")
    for name, runs in results.items():
        cells = [" / ".join(f"{100 * run[i]:.1f}" for run in runs) for i in range(len(COLUMNS))]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
