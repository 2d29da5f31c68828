"""The ledger of a run: each look at labelled rows that it neither trained on nor chose its epoch by.

Whoever chooses by the figures of some rows gets a figure there that is too good, so looks are counted: one
line of `ledger.jsonl` in the run folder for each. Rows are known by their fingerprint (`Table.fingerprint`),
whatever their file is called. Nothing that is wrong with a ledger stops an evaluation.
"""

import datetime
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import scipy.integrate
import scipy.stats

from whet.data.wording import counted
from whet.errors import RunError
from whet.intervals import Z, wilson
from whet.runs import read_manifest

FIGURES: Final = ("accuracy", "macro_f1", "mcc", "nll")  # what a line keeps of the metrics
_LOOKS, _BETWEEN = 5, 0.01  # at a last line that is not whole, and seconds between two of them
ADVICE: Final = "choose on dev, and report on rows not looked at"


@final
@dataclass(frozen=True)
class Look:
    """One line of a ledger."""

    time: str  # ISO 8601, UTC
    command: str
    source: str
    fingerprint: str
    rows: int
    figures: Mapping[str, float]


class Seen(NamedTuple):
    """What there is to say of a look."""

    number: int | None  # how many looks at these rows the run has had, this one included; None: not counted
    notes: tuple[str, ...]
    beside: str | None  # of the runs beside it, where they have looked at these rows too


@final
@dataclass(frozen=True)
class Ledger:
    """The looks at the model of one run."""

    run: Path

    @property
    def path(self) -> Path:
        return self.run / "ledger.jsonl"

    def look(
        self, command: str, source: str, fingerprint: str, n_rows: int, metrics: Mapping[str, Any]
    ) -> Seen:
        """Write a look down, and say which it is. Rows of train or dev are no look, and that is said."""
        problem = self.record(command, source, fingerprint, n_rows, metrics)
        return self.told(source, fingerprint, n_rows, metrics, problem)

    def record(
        self, command: str, source: str, fingerprint: str, n_rows: int, metrics: Mapping[str, Any]
    ) -> str | None:
        """Write a look down, unless the rows are train or dev; -> why it could not be written.

        A line is appended by one write, so that two processes do not mix theirs. A last line that a process
        died over is closed first, and stays alone in being damaged; one that is just being written, which a
        system may show page by page, is waited for."""
        if self._used(fingerprint) is not None:
            return None
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        figures = {name: metrics[name] for name in FIGURES if _is_number(metrics.get(name))}
        look = Look(now, command, source, fingerprint, n_rows, figures)
        line = json.dumps(asdict(look), ensure_ascii=False) + "\n"
        try:
            with self.path.open("ab+", buffering=0) as file:
                line = line if _is_whole(file) else "\n" + line
                file.write(line.encode("utf-8", "backslashreplace"))
        except OSError as error:
            return f"{_shown(self.path)} cannot be written ({error.strerror}), so this look is not counted."
        return None

    def told(
        self,
        source: str,
        fingerprint: str,
        n_rows: int,
        metrics: Mapping[str, Any],
        problem: str | None = None,
    ) -> Seen:
        """What there is to say of the latest look; problem is why it could not be written, if so."""
        used = self._used(fingerprint)
        if used is not None:
            return Seen(None, (f"{source}: {used}",), None)
        looks, damage = self._read()
        number = sum(look.fingerprint == fingerprint for look in looks) + (problem is not None)
        wrong = [line for line in (problem or damage,) if line is not None]
        beside = self._told_beside(source, fingerprint, n_rows, metrics.get("accuracy"))
        own = f"Look {number} at {source} by this run."
        if number > 1 and beside is None:
            own += f" What is chosen by looks at the same rows gets a figure that is too good; {ADVICE}."
        return Seen(number, (*wrong, own), beside)

    def _used(self, fingerprint: str) -> str | None:
        """What the run did with these rows while training, in words; None where it did not see them."""
        try:
            manifest = read_manifest(self.run)
            parts = {name: part["fingerprint"] for name, part in manifest["data"].items()}
        except (RunError, KeyError, TypeError, AttributeError):
            return None
        if fingerprint == parts.get("train"):
            if manifest.get("dev_is_held_out"):
                return (
                    "the run was trained on most of these rows and chose its epoch by the others, so the "
                    "figures are far too good."
                )
            return "the run was trained on these rows, so the figures are far too good."
        if fingerprint == parts.get("dev"):
            return "the run chose its epoch by these rows, so the figures are a little too good."
        return None

    def _read(self) -> tuple[list[Look], str | None]:
        """The looks, and a line about what cannot be read. A last line that is not whole is passed over."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return [], None
        except OSError as error:
            return (
                [],
                f"{_shown(self.path)} cannot be read ({error.strerror}): earlier looks are not counted.",
            )
        looks, damaged = [], []
        for number, line in enumerate(lines, 1):
            look = _parsed(line)
            if look is not None:
                looks.append(look)
            elif line.strip() and number < len(lines):
                damaged.append(number)
        if not damaged:
            return looks, None
        more = f" and {counted(len(damaged) - 1, 'other line')}" if len(damaged) > 1 else ""
        verb, them = ("are", "them") if more else ("is", "it")
        return looks, (
            f"{_shown(self.path)}:{damaged[0]}{more} {verb} damaged and not counted; remove {them}."
        )

    def _told_beside(self, source: str, fingerprint: str, n_rows: int, accuracy: float | None) -> str | None:
        """The looks at these rows by all runs of the parent folder; None where no other run has looked."""
        counts = self._beside(fingerprint)
        if len(counts) < 2:
            return None
        size = optimism(len(counts), accuracy, n_rows)
        most = "" if size is None else f" (by up to about {100 * size:.1f} points of accuracy)"
        return (
            f"{source} has been looked at {counted(sum(counts.values()), 'time')} by {len(counts)} runs of "
            f"{self.run.parent.name}/: choosing the best of them by it makes its figure too good{most}; "
            f"{ADVICE}."
        )

    def _beside(self, fingerprint: str) -> dict[Path, int]:
        """Looks at these rows by each run of the same parent folder that has had any, this one included; none
        of the seeds or folds of one run, between which dev has chosen."""
        counts: dict[Path, int] = {}
        if (self.run.parent.parent / "run.json").is_file():
            return counts
        for path in sorted(self.run.parent.glob("*/ledger.jsonl")):
            looks, _ = Ledger(path.parent)._read()
            count = sum(look.fingerprint == fingerprint for look in looks)
            if count:
                counts[path.parent.resolve()] = count
        return counts


def ledger_of(model: Path) -> Ledger | None:
    """The ledger of the run whose model/ this folder is; None for a model of no run."""
    folder = Path(os.path.abspath(model))
    if folder.name != "model" or not (folder.parent / "run.json").is_file():
        return None
    return Ledger(folder.parent)


def look_together(
    ledgers: Mapping[str, Ledger],
    command: str,
    source: str,
    fingerprint: str,
    n_rows: int,
    metrics: Mapping[str, Mapping[str, Any]],
) -> tuple[str, ...]:
    """One look by each of several models, by name: all are written down before any is spoken of."""
    problems = {
        name: ledger.record(command, source, fingerprint, n_rows, metrics[name])
        for name, ledger in ledgers.items()
    }
    notes: list[str] = []
    beside: dict[Path, str] = {}
    for name, ledger in ledgers.items():
        seen = ledger.told(source, fingerprint, n_rows, metrics[name], problems[name])
        notes += [f"{name}: {note}" for note in seen.notes]
        if seen.beside is not None:
            beside.setdefault(ledger.run.parent, seen.beside)
    return (*notes, *beside.values())


def optimism(n_models: int, accuracy: float | None, n_rows: int) -> float | None:
    """How much too good the accuracy of the best of several models is at most, on the rows that chose it.

    The expected largest of so many normal deviates, times the standard error. That is what luck adds where
    the models are equally good and err independently of each other. Models that err on the same rows
    (Slepian's inequality) or differ in truth gain less. None where the accuracy is not known."""
    interval = None if accuracy is None else wilson(accuracy * n_rows, n_rows)
    if interval is None:
        return None
    return expected_maximum(n_models) * (interval[1] - interval[0]) / (2 * Z)


def expected_maximum(n: int) -> float:
    """The expected largest of n independent standard normal numbers: the integral of x n f(x) F(x)^(n-1)."""
    normal = scipy.stats.norm
    return float(scipy.integrate.quad(lambda x: x * n * normal.pdf(x) * normal.cdf(x) ** (n - 1), -9, 9)[0])


def _parsed(line: bytes) -> Look | None:
    try:
        look = Look(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (look.time, look.command, look.source, look.fingerprint)
    sound = all(isinstance(text, str) for text in texts) and type(look.rows) is int
    return look if sound and isinstance(look.figures, dict) else None


def _is_whole(file: RawIOBase) -> bool:
    """Whether the last line is, or comes to be while one looks."""
    for _ in range(_LOOKS):
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return True
        time.sleep(_BETWEEN)
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _shown(path: Path) -> Path:
    """The path as seen from the working folder, where it is below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
