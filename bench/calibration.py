"""What a temperature, label sets and thresholds fitted on dev do on held-out rows, on real runs.

    python bench/calibration.py logits build/bench/runs build/bench OUT [--sets trec mrpc cola sst2 banking77]
    python bench/calibration.py table OUT
    python bench/calibration.py prior OUT

`logits` takes each run's dev predictions (log-probabilities are logits) and asks `whet predict --logits` for
the reported split; `table` fits on the first and measures on the second; `prior` fits the temperature on a
few dev rows at a time, with priors of several widths.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from whet import calibration
from whet.config import TrainConfig
from whet.metrics import log_loss
from whet.tasks.classification import Classification

SETS = {"trec": "test", "mrpc": "dev", "cola": "dev", "sst2": "dev", "banking77": "test"}


def save_logits(runs: Path, data: Path, out: Path, names: list[str]) -> None:
    """OUT/SET.npz: logits and targets of dev and of the reported split."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        run = runs / f"{name}-0"
        labels = json.loads((run / "model" / "whet.json").read_text())["task"]["labels"]
        if not (out / f"{name}.jsonl").exists():
            source = data / name / f"{SETS[name]}.csv"
            command = [sys.executable, "-m", "whet", "predict", run, source, "--logits"]
            subprocess.run([*map(str, command), "--to", str(out / f"{name}.jsonl")], check=True)
        dev, test = (_read(path) for path in (run / "predictions.dev.jsonl", out / f"{name}.jsonl"))
        kept = {"labels": np.array(labels)}
        for split, rows in (("dev", dev), ("test", test)):
            field = "logits" if "logits" in rows[0] else "probabilities"
            values = np.array([[row[field][label] for label in labels] for row in rows])
            kept[split] = values if field == "logits" else np.log(np.maximum(values, 1e-300))
            kept[f"{split}_targets"] = np.array([labels.index(row["input_label"]) for row in rows])
        np.savez(out / f"{name}.npz", **kept)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def print_tables(out: Path) -> None:
    """Calibration before and after; what the surest rows, label sets and thresholds give."""
    found = {path.stem: np.load(path) for path in sorted(out.glob("*.npz"))}
    columns = ("set", "rows: dev, test", "T", "ECE before", "after", "by chance")
    print(f"| {' | '.join(columns)} | Brier before | after | NLL before | after |")
    print(f"|{' --- |' * 10}")
    for name, kept in found.items():
        task = _task(kept)
        block = task.trust(kept["test"], kept["test_targets"])["calibration"]
        before, after, ends = block["before"], block["after"], block["intervals"]
        low, high = ends["ece"]
        cells = [f"{len(kept['dev']):,}, {len(kept['test']):,}", f"{block['temperature']:.2f}"]
        cells += [f"{before['ece']:.3f}", f"{after['ece']:.3f} ({low:.3f} to {high:.3f})"]
        cells += [f"{ends['ece_if_calibrated'][0]:.3f}"]
        cells += [f"{side[key]:.4f}" for key in ("brier", "nll") for side in (before, after)]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| set | accuracy | surest 90% | AURC | 80% sets hold, labels | 90% | 95% |")
    print(f"|{' --- |' * 7}")
    for name, kept in found.items():
        trust = _task(kept).trust(kept["test"], kept["test_targets"])
        selective = trust["selective"]
        cells = [f"{100 * selective['answered']['accuracy_of_all']:.1f}"]
        cells += [f"{100 * selective['at'][1]['accuracy']:.1f}", f"{selective['aurc']:.4f}"]
        cells += [f"{100 * one['coverage']:.1f}%, {one['mean_size']:.2f}" for one in trust["label_sets"]]
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        "\n| set | macro F1, likeliest label | threshold=f1 | F1 of the second label | threshold=f1 |", end=""
    )
    print(" min_precision=0.9: precision | recall |")
    print(f"|{' --- |' * 7}")
    for name, kept in found.items():
        print(f"| {name} | {' | '.join(_threshold_cells(kept))} |")


def print_priors(out: Path, n_draws: int = 40) -> None:
    """The mean change of the loss on the reported split by temperatures from so many dev rows."""
    widths = (0.25, 0.5, 1.0, 5.0)
    print(f"| set | dev rows | {' | '.join(f'sd {width:g}' for width in widths)} |")
    print(f"|{' --- |' * (len(widths) + 2)}")
    for path in sorted(out.glob("*.npz")):
        kept = np.load(path)
        plain = log_loss(calibration.softmax(kept["test"]), kept["test_targets"])
        for n in (10, 20, 50, 100, 200):
            cells = []
            for width in widths:
                rng = np.random.default_rng(n)
                changes = []
                for _ in range(n_draws):
                    rows = rng.choice(len(kept["dev"]), n, replace=False)
                    with patch.object(calibration, "PRIOR_SD", width):
                        found = calibration.fit_temperature(kept["dev"][rows], kept["dev_targets"][rows])
                    loss = log_loss(calibration.softmax(kept["test"], found), kept["test_targets"])
                    changes.append(loss - plain)
                cells.append(f"{np.mean(changes):+.4f} (worst {max(changes):+.3f})")
            print(f"| {path.stem} | {n} | {' | '.join(cells)} |")


def _task(kept: Any, **settings: Any) -> Classification:
    labels = tuple(kept["labels"].tolist())
    second = labels[1] if len(labels) == 2 else None
    return Classification(labels, second).fitted(kept["dev"], kept["dev_targets"], TrainConfig(**settings))


def _threshold_cells(kept: Any) -> list[str]:
    rows = kept["test"], kept["test_targets"]
    plain, tuned = (_task(kept, threshold=goal).metrics(*rows) for goal in ("none", "f1"))
    precise = _task(kept, threshold="precision", min_precision=0.9).metrics(*rows)
    cells = [f"{100 * figures['macro_f1']:.1f}" for figures in (plain, tuned)]
    if "f1" in plain:
        cells += [f"{100 * figures['f1']:.1f}" for figures in (plain, tuned)]
        return [*cells, f"{100 * precise['precision']:.1f}", f"{100 * precise['recall']:.1f}"]
    return [
        *cells,
        "-",
        "-",
        f"{100 * precise['macro_precision']:.1f}",
        f"{100 * precise['macro_recall']:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    logits = commands.add_parser("logits")
    logits.add_argument("runs", type=Path)
    logits.add_argument("data", type=Path)
    logits.add_argument("out", type=Path)
    logits.add_argument("--sets", nargs="+", default=list(SETS))
    for name in ("table", "prior"):
        commands.add_parser(name).add_argument("out", type=Path)
    options = parser.parse_args()
    if options.command == "logits":
        save_logits(options.runs, options.data, options.out, options.sets)
    else:
        (print_tables if options.command == "table" else print_priors)(options.out)


if __name__ == "__main__":
    main()
