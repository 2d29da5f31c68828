"""`whet search` beside random search and beside the default, at equal time, on rows that none of them saw.

    python -m bench.search_versus build/bench --ledger build/search.jsonl [--sets trec sst2] [--rows 1000]
        [--minutes 5] [--repeats 3]

Sides, each with the same rows (drawn anew for each repeat), the same seconds and its own process:
  search    `whet search --time-limit`: the model that it leaves, trained on the rows it did not hold out
  line      the line that this search ends with, on all rows; its seconds come on top, and are said
  random    points drawn evenly from the search's own space, each trained to the end; the best by dev
  default   `whet train` with one seed after another; the best by dev
The reported split's main figure; every side's repeat r has seed 100 r. What the ledger has is not run again.
The sets are folders that `versus_trainer.py convert` wrote.
"""

import argparse
import csv
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scipy.stats

import whet
from bench.alternating import child, head, line
from bench.versus_trainer import SETS
from whet.checkpoints.loading import open_checkpoint
from whet.checkpoints.locate import locate
from whet.search_space import Choice, Space, default_space

SIDES = ("search", "random", "default")
_SLACK = 0.9  # of the mean cost so far: with less time left no further run is begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["trec", "sst2"])
    parser.add_argument("--rows", type=int, default=1000, help="of train; 0 is all")
    parser.add_argument("--sides", nargs="+", default=list(SIDES))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--one", nargs=3, metavar=("SET", "SIDE", "REPEAT"), help="what a process of it does")
    asked = parser.parse_args()
    if asked.one is not None:
        name, side, repeat = asked.one
        print(json.dumps(one(asked, name, side, int(repeat))), flush=True)
        return
    words = ["--ledger", asked.ledger, "--minutes", asked.minutes, "--model", asked.model]
    words += ["--rows", asked.rows]
    for repeat in range(asked.repeats):
        for name in asked.sets:
            for side in asked.sides:
                key = {"set": name, "side": side, "repeat": repeat, "minutes": asked.minutes}
                key["rows"] = asked.rows
                if not any(key.items() <= row.items() for row in rows(asked.ledger)):
                    found = child(__file__, asked.work, *words, "--one", name, side, repeat)
                    with asked.ledger.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(key | found) + "\n")
    show(asked)


def rows(ledger: Path) -> Iterator[dict[str, Any]]:
    """What has been run; a last line that is not whole is passed over."""
    for text in ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else ():
        try:
            yield json.loads(text)
        except ValueError:
            continue


def one(asked: argparse.Namespace, name: str, side: str, repeat: int) -> dict[str, Any]:
    """One side of one repeat: its figure, and what it spent."""
    seed, limit = 100 * repeat, 60 * asked.minutes
    with tempfile.TemporaryDirectory() as place:
        train = drawn(asked.work / name / "train.csv", Path(place), asked.rows, repeat)
        began = time.monotonic()
        if side == "search":
            found = whet.search(
                train, out=Path(place) / "run", seed=seed, time_limit=limit, model=asked.model, quiet=True
            )
            spent = time.monotonic() - began
            own = found.manifest["search"]
            extra = {
                "score": score(asked, name, found.folder),
                "trials": len(own["trials"]),
                "runs": sum(map(len, own["again"]["dev"].values())),
                "verdict": own["verdict"]["word"],
                "winner": own["winner"]["trial"],
                "settings": {key: value for key, value in found.settings.items() if key != "choose_by"},
            }
            then = time.monotonic()
            whet.train(
                train, out=Path(place) / "line", seed=seed, model=asked.model, quiet=True, **found.settings
            )
            line_seconds = time.monotonic() - then
            return {
                "seconds": spent,
                **extra,
                "line_score": score(asked, name, Path(place) / "line"),
                "line_seconds": line_seconds,
            }
        best: tuple[float, Path] | None = None
        costs: list[float] = []
        for number, settings in enumerate(points(asked, side, seed)):
            left = limit - (time.monotonic() - began)
            if costs and left < _SLACK * statistics.fmean(costs):
                break
            then = time.monotonic()
            run = whet.train(
                train, out=Path(place) / str(number), split_seed=seed, model=asked.model, quiet=True,
                time_limit=max(left, 1.0), **settings,
            )  # fmt: skip
            costs.append(time.monotonic() - then)
            dev = run.metrics["mcc"]
            if best is None or dev > best[0]:
                best = dev, run.folder
        assert best is not None
        return {
            "seconds": time.monotonic() - began,
            "score": score(asked, name, best[1]),
            "runs": len(costs),
        }


def drawn(path: Path, place: Path, n: int, repeat: int) -> Path:
    """n rows of a file as a file; 0 is all."""
    if n == 0:
        return path
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    found = place / "train.csv"
    with found.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *random.Random(repeat).sample(rows, n)])
    return found


def points(asked: argparse.Namespace, side: str, seed: int) -> Iterator[dict[str, Any]]:
    """Settings of one run after another."""
    if side == "default":
        yield from ({"seed": seed + i} for i in range(1000))
        return
    checkpoint = open_checkpoint(locate(asked.model).folder)
    space: Space = default_space(checkpoint.family.model_type, checkpoint.spec.hidden_size, 4)
    rng = random.Random(seed)
    for _ in range(1000):
        point: dict[str, Any] = {"seed": seed}
        for dimension in space:
            if isinstance(dimension, Choice):
                point[dimension.name] = rng.choice(dimension.options)
            elif dimension.is_whole:
                point[dimension.name] = rng.randint(int(dimension.low), int(dimension.high))
            elif dimension.is_log:
                point[dimension.name] = math.exp(
                    rng.uniform(math.log(dimension.low), math.log(dimension.high))
                )
            else:
                point[dimension.name] = rng.uniform(dimension.low, dimension.high)
        yield point


def score(asked: argparse.Namespace, name: str, run: Path) -> float:
    """The main figure of the reported split."""
    split, figure = SETS[name]
    return float(whet.load(run).evaluate(asked.work / name / f"{split}.csv").metrics[figure])


def show(asked: argparse.Namespace) -> None:
    """A table a set: mean and 95% interval over repeats, and of the differences from the default."""
    for name in asked.sets:
        asked_for = {"set": name, "minutes": asked.minutes, "rows": asked.rows}.items()
        found = [row for row in rows(asked.ledger) if asked_for <= row.items()]
        scores: dict[str, dict[int, float]] = {}
        seconds: dict[str, list[float]] = {}
        for row in found:
            scores.setdefault(row["side"], {})[row["repeat"]] = row["score"]
            seconds.setdefault(row["side"], []).append(row["seconds"])
            if "line_score" in row:
                scores.setdefault("line", {})[row["repeat"]] = row["line_score"]
                seconds.setdefault("line", []).append(row["seconds"] + row["line_seconds"])
        head(f"{name}, {SETS[name][1]}", "repeats", "mean, 95%", "from the default, 95%", "seconds")
        for side in ("search", "line", "random", "default"):
            if side not in scores:
                continue
            both = sorted(scores[side].keys() & scores.get("default", {}).keys())
            apart = [scores[side][repeat] - scores["default"][repeat] for repeat in both]
            line(
                side,
                len(scores[side]),
                with_interval(list(scores[side].values())),
                "-" if side == "default" or not apart else with_interval(apart, "+.4f"),
                f"{statistics.fmean(seconds[side]):.0f}",
            )


def with_interval(values: list[float], form: str = ".4f") -> str:
    """Student's, over so few repeats."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:{form}}"
    half = float(scipy.stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:{form}} ({mean - half:{form}} to {mean + half:{form}})"


if __name__ == "__main__":
    main()
