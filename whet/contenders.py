"""What `compare` puts side by side: models, or the seeds of a run, with their answers to the same rows."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from whet.comparison import Answers
from whet.errors import DataError, UsageError
from whet.ledger import Ledger
from whet.runs import finished_seeds
from whet.user_model import Labelled, Model

Given = str | os.PathLike[str] | Model
_ONE_MODEL = ""  # in place of a seed


@final
@dataclass(frozen=True)
class Contender:
    """One side: a model, or a run with several finished seeds."""

    name: str
    models: Mapping[str, Given]  # by seed
    ledger: Ledger | None  # of a run with seeds; a model brings its own
    note: str | None

    @property
    def has_seeds(self) -> bool:
        return _ONE_MODEL not in self.models


@final
@dataclass(frozen=True)
class Answered:
    """What all sides say of the labelled rows of one file."""

    source: str
    fingerprint: str
    labels: tuple[str, ...]
    true: np.ndarray  # (n_rows,) int64
    answers: Mapping[str, Answers]  # by side; indices into labels, -1 where there is none
    ledgers: Mapping[str, Ledger]
    notes: tuple[str, ...]


def contenders(models: Sequence[Given]) -> list[Contender]:
    """The sides by name. Raises UsageError for fewer than two of them, or one named twice."""
    if len(models) < 2:
        raise UsageError(f"compare takes two models or more, then labelled rows, and this is {len(models)}.")
    named = [model.name if isinstance(model, Model) else os.fspath(model) for model in models]
    names = [str(name) if name else f"model {i}" for i, name in enumerate(named, 1)]
    if len(set(names)) < len(names):
        raise UsageError(f"a model is named twice: {', '.join(names)}. Name each once.")
    return [_contender(name, model) for name, model in zip(names, models, strict=True)]


def _contender(name: str, given: Given) -> Contender:
    if not isinstance(given, Model):
        run = Path(given).expanduser()
        seeds, n_asked = finished_seeds(run)
        short = f"{name}: {len(seeds)} of its {n_asked} seeds " + ("is" if len(seeds) == 1 else "are")
        if len(seeds) > 1:
            note = f"{short} finished; these are compared." if len(seeds) < n_asked else None
            return Contender(name, dict(seeds), Ledger(Path(os.path.abspath(run))), note)
        if n_asked > 1:
            return Contender(name, {_ONE_MODEL: given}, None, f"{short} finished, so it is one model here.")
    return Contender(name, {_ONE_MODEL: given}, None, None)


def read_answers(
    sides: Sequence[Contender],
    read: Callable[[Model], Labelled],
    open_model: Callable[[str | os.PathLike[str]], Model],
) -> Answered:
    """Every model's answers to what `read` gives it; one model is in memory at a time.

    Labels are matched by name. Raises what `open_model` and `read` raise, and DataError for models that know
    other labels, or read other ones."""
    source = fingerprint = ""
    labels: tuple[str, ...] = ()
    true: list[str] = []
    answers: dict[str, dict[str, np.ndarray]] = {side.name: {} for side in sides}
    ledgers = {side.name: side.ledger for side in sides if side.ledger is not None}
    notes = [side.note for side in sides if side.note is not None]
    for side, seed, given in _models(sides):
        name = f"{side.name}, seed {seed}" if side.has_seeds else side.name
        opened = given if isinstance(given, Model) else open_model(given)
        rows = read(opened)
        labels, source = labels or rows.task.output_names, rows.source
        if set(rows.task.output_names) != set(labels):
            raise DataError(
                f"{sides[0].name} and {name} know different labels ({', '.join(labels)}; "
                f"{', '.join(rows.task.output_names)}). Compare models of the same labels."
            )
        labelled, found = opened.answers(rows)
        if true and labelled != true:
            raise DataError(
                f"{source}: {sides[0].name} and {name} read different labels. Name the column with --label."
            )
        true = labelled
        if not answers[side.name]:
            notes += [f"{side.name}: {note}" for note in rows.notes]
        places = {label: i for i, label in enumerate(labels)} | {None: -1}
        answers[side.name][seed] = np.array([places[answer] for answer in found])
        if None in found:
            n_silent = found.count(None)
            notes.append(f"{name} gives no answer to {n_silent:,} of these rows; each counts as not right.")
        fingerprint = fingerprint or rows.table.fingerprint()
        if not side.has_seeds and opened.ledger is not None:
            ledgers[side.name] = opened.ledger
        del opened  # before the next is loaded
    given_by = {name: seeds.get(_ONE_MODEL, seeds) for name, seeds in answers.items()}
    ids = np.array([labels.index(label) for label in true])
    return Answered(source, fingerprint, labels, ids, given_by, ledgers, tuple(notes))


def _models(sides: Sequence[Contender]) -> Iterator[tuple[Contender, str, Given]]:
    for side in sides:
        for seed, given in side.models.items():
            yield side, seed, given
