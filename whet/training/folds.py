"""Cross-validation: a run for each fold, trained on the others and tested on it; then one on all rows."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from whet.data.folds import fold_numbers, row_groups
from whet.errors import UsageError
from whet.runs import RunFolder
from whet.training.data import TrainingData, hold_out
from whet.training.events import Listener, Note
from whet.training.out_of_fold import answers, write_answers
from whet.training.prepare import Prepared, Request
from whet.training.several import Member, record, standing, summarise, train_all
from whet.training.sitting import Sitting, Start

_FOLDER = "folds"


def plan_folds(request: Request, prepared: Prepared) -> np.ndarray:
    """The fold of each labelled row of the training table, (n_rows,) int64 from 0.

    Raises DataError where there are fewer different texts, or groups, than folds."""
    assert request.folds is not None
    if not prepared.task.has_classes:
        raise UsageError(f"folds is for classification today, and the task is {prepared.task.name}.")
    whole, group = prepared.data.whole, request.named.group or prepared.data.columns.group
    unit = "different texts" if group is None else f"different values of '{group}'"
    groups = row_groups(whole.table, prepared.data.columns, group)[whole.rows]
    strata = prepared.task.strata(whole.targets)
    return fold_numbers(strata, groups, request.folds, _split_seed(request), whole.table.source, unit)


def train_folds(
    request: Request,
    prepared: Prepared,
    folds: np.ndarray,
    folder: RunFolder,
    manifest: dict[str, Any],
    start: Start,
    listen: Listener,
) -> None:
    """Train every fold and then the model, and write what they found into `folder`, which is claimed.

    folds (n_rows,) of `plan_folds`. What a time limit leaves is shared out evenly over all of them."""
    assert request.folds is not None
    limit = request.config.time_limit
    if limit is not None:
        limit = max((limit - (time.monotonic() - request.began)) / (request.folds + 1), 1.0)
    config = replace(request.config, time_limit=limit, split_seed=_split_seed(request))
    own = replace(request, config=config, folds=None, out=str(folder.path))
    with standing(folder, manifest):
        if "cross_validation" not in manifest:  # else it is done, and the run was stopped after it
            members = [_member(own, prepared, folds, fold, folder) for fold in range(request.folds)]
            manifest["cross_validation"] = _cross_validate(members, prepared, folds, folder, listen)
        listen(Note("The model itself, trained on all rows but dev's"))
        own = replace(own, began=time.monotonic())
        sitting = Sitting(own, prepared, folder, manifest, listen)
        has_begun = folder.metrics.exists() or "restart" in manifest
        sitting.resume(start) if has_begun else sitting.begin(start)


def _member(request: Request, prepared: Prepared, folds: np.ndarray, fold: int, folder: RunFolder) -> Member:
    """The run that is tested on one fold. Its dev is the user's, else held out of the other folds."""
    data, config = prepared.data, request.config
    rest, test = data.whole.some(folds != fold), data.whole.some(folds == fold)
    train, dev = rest, data.dev
    if data.dev is None or data.dev_is_held_out:
        groups = row_groups(rest.table, data.columns, request.named.group)[rest.rows]
        train, dev = hold_out(
            rest, data.task.strata(rest.targets), groups, config.dev_fraction, _split_seed(request)
        )
    own = TrainingData(data.columns, data.task, train, dev, test, data.dev_is_held_out)
    path = folder.path / _FOLDER / str(fold + 1)
    return Member(f"Fold {fold + 1}", RunFolder(path), request, prepared.on(own, config))


def _cross_validate(
    members: list[Member], prepared: Prepared, folds: np.ndarray, folder: RunFolder, listen: Listener
) -> dict[str, Any]:
    outcome = train_all(members, listen)
    finished = [member for member in members if member.name in outcome.finished]
    found = answers(finished, folds, prepared)
    runs = {}
    for name, one in outcome.finished.items():
        runs[name] = record(one, _FOLDER, name.removeprefix("Fold "))
        runs[name]["rows"] = one["results"]["test"]["n"]
    return {
        "runs": runs,
        "failed": outcome.failed,
        "summary": summarise([one["results"]["test"] for one in outcome.finished.values()]),
        "out_of_fold": found.metrics,
        "label_errors": write_answers(found, folder),
    }


def _split_seed(request: Request) -> int:
    config = request.config
    return config.seed if config.split_seed is None else config.split_seed
