"""whet's defaults beside transformers' Trainer, both from `mini`: scores over seeds.

    python bench/versus_trainer.py convert ../shared/data build/bench       once: all sets to files
    python bench/versus_trainer.py scores build/bench ../shared/references/trainer-baseline.jsonl --seeds 5
    python bench/versus_trainer.py scores build/bench CONLL.jsonl --only conll --conll FOLDER

Scores: `whet train --seeds`; whet chooses its epoch on an inner split of train, and each seed touches the
reported split once, at its end. The interval is Welch's over both sides' seeds: it holds the luck of the
seeds, not that of the rows, which are the same for both. What was stopped goes on where it was. Trainer's
rows are lines of trainer_run.py and conll.py.
"""

import argparse
import csv
import json
import statistics
from pathlib import Path

from scipy import stats

SETS: dict[str, tuple[str, str]] = {  # name -> reported split, metric
    "trec": ("test", "accuracy"),
    "mrpc": ("dev", "accuracy"),
    "rte": ("dev", "accuracy"),
    "cola": ("dev", "mcc"),
    "sst2": ("dev", "accuracy"),
    "banking77": ("test", "accuracy"),
    "stsb": ("dev", "pearson"),
}
SST2_ROWS = 6920


def files_of(work: Path, name: str, conll: Path | None) -> tuple[Path, Path, str]:
    """Rows to train on, the reported rows, and the figure of a set, or of "conll", which is read as it is."""
    if name == "conll":
        if conll is None:
            raise SystemExit("--conll: name the folder of CoNLL-2003.")
        return conll / "eng.train", conll / "eng.testa", "f1"
    split, figure = SETS[name]
    return work / name / "train.csv", work / name / f"{split}.csv", figure


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
        "stsb": ("STS-B", "sentence1", "sentence2", "score"),
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


def scores(
    work: Path,
    baseline: Path,
    only: list[str],
    settings: list[str],
    seeds: int,
    conll: Path | None,
    runs: Path,
) -> None:
    """Train every seed, or go on with those in the folder `runs`, and print the table."""
    from whet import api
    from whet.config_text import parse_settings

    theirs = [json.loads(line) for line in baseline.read_text().splitlines()]
    rows = []
    for name in only or SETS:
        train, reported, metric = files_of(work, name, conll)
        out = runs / f"{name}-{seeds}"
        run = api.train(
            train,
            test=reported,
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
        rows.append(f"| {name} ({reported.stem}), {metric} | {_line(mine, reference)} | {kept} | {chosen} |")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("convert", "scores"):
        sub = commands.add_parser(command)
        if command == "convert":
            sub.add_argument("data", type=Path)
        sub.add_argument("work", type=Path)
        if command == "scores":
            sub.add_argument("baseline", type=Path)
            sub.add_argument("--only", nargs="*", default=[])
            sub.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
            sub.add_argument("--seeds", type=int, default=5)
            sub.add_argument("--conll", type=Path, help="folder of CoNLL-2003")
            sub.add_argument(
                "--runs", type=Path, help="where runs stand, one folder for each --set (WORK/runs)"
            )
    asked = parser.parse_args()
    if asked.command == "convert":
        convert(asked.data, asked.work)
    else:
        scores(
            asked.work,
            asked.baseline,
            asked.only,
            asked.set,
            asked.seeds,
            asked.conll,
            asked.runs or asked.work / "runs",
        )


if __name__ == "__main__":
    main()
