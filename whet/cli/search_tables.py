"""What a search found, for people: trials, rungs, importances, the best again, and the verdict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from whet.cli.tables import console, figure, plain_table
from whet.search_record import TrialRecord, bars, told
from whet.training.listeners import clock

_BAR = 30  # letters


def print_search(folder: Path, manifest: Mapping[str, Any]) -> None:
    """All of it, and what to do next."""
    out, found = console(), manifest["search"]
    records = [_record(one) for one in found["trials"]]
    _print_trials(out, records, found)
    _print_importances(out, found["importances"])
    _print_again(out, records, found)
    if found["verdict"] is not None:
        out.print(found["verdict"]["sentence"], soft_wrap=True)
    seconds = found["seconds"]
    out.print(f"Time:  {clock(seconds['trials'])} for trials, {clock(seconds['again'])} for the best again")
    out.print(f"Pictures:  {folder / 'search.html'}", soft_wrap=True)
    out.print(f"Model: {folder / 'model'}", soft_wrap=True)
    out.print(f"Next, on all rows:  {found['train']['line']}", soft_wrap=True)


def _record(saved: Mapping[str, Any]) -> TrialRecord:
    rungs = {int(percent): score for percent, score in saved["rungs"].items()}
    return TrialRecord(**{**saved, "rungs": rungs})


def _print_trials(out: Console, records: list[TrialRecord], found: Mapping[str, Any]) -> None:
    """History, parallel coordinates and rungs in one table: a row a trial, a bar for its score."""
    percents = sorted({percent for one in records for percent in one.rungs})
    table = plain_table("trial", *(f"at {percent}%" for percent in percents), "dev", "", "settings")
    table.columns[-2].justify = table.columns[-1].justify = "left"
    scores = [one.score if one.state == "complete" else None for one in records]
    known = [score for score in scores if score is not None]
    lowest = min(known, default=0.0)
    lengths = iter(bars([score - lowest + 0.2 * (max(known) - lowest) for score in known], _BAR // 2))
    for one, score in zip(records, scores, strict=True):
        name = f"{one.number}{' *' if one.number == found['winner']['trial'] else ''}"
        rungs = [figure(one.rungs.get(percent)) for percent in percents]
        words = told(one.number, one.point)
        dev, bar = (one.state, "") if score is None else (figure(score), next(lengths))
        table.add_row(name, *rungs, dev, bar, words)
    out.print(table)


def _print_importances(out: Console, shares: Mapping[str, float]) -> None:
    if not shares:
        return
    table = plain_table("importance", "", "")
    table.columns[-1].justify = "left"
    for (name, share), bar in zip(shares.items(), bars(list(shares.values()), _BAR), strict=True):
        table.add_row(name, f"{share:.0%}", bar)
    out.print(table)


def _print_again(out: Console, records: list[TrialRecord], found: Mapping[str, Any]) -> None:
    """A row for each configuration that was trained on fresh seeds."""
    again = found["again"]
    seeds = [str(seed) for seed in again["seeds"]]
    table = plain_table("again", *(f"seed {seed}" for seed in seeds), "mean", "settings")
    table.columns[-1].justify = "left"
    points = {one.number: one.point for one in records}
    for number, scores in again["dev"].items():
        name = f"{number}{' *' if int(number) == found['winner']['trial'] else ''}"
        cells = [figure(scores.get(seed)) for seed in seeds]
        words = told(int(number), points.get(int(number), {}))
        table.add_row(name, *cells, figure(sum(scores.values()) / len(scores)), words)
    out.print(table)
    out.print(f"* the winner, by dev's {again['by']} over fresh seeds. Dev made the choice, so expect less.")
