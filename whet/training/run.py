"""A training run, or several as one, begun or gone on with."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from whet.errors import RunError
from whet.ledger import Ledger
from whet.runs import RunFolder, check_out, create_run_folder, read_manifest, run_to_resume
from whet.training.events import Listener, Note
from whet.training.folds import plan_folds, train_folds
from whet.training.manifest import as_begun, check_same_data, describe, say_changes
from whet.training.prepare import Prepared, Request, prepare
from whet.training.seeds import train_seeds
from whet.training.sitting import Sitting


def run_training(request: Request, listen: Listener) -> RunFolder:
    """Train and write the run folder. Raises WhetError; data and checkpoint are read before the folder is
    made, so a mistake in either leaves nothing behind."""
    check_out(request.out, request.overwrite)
    prepared = prepare(request, lambda text: listen(Note(text)))
    request = replace(request, config=prepared.settled(request.config))
    start = prepared.start(request.config, lambda text: listen(Note(text)))
    folds = None if request.folds is None else plan_folds(request, prepared)
    folder = create_run_folder(request.out, stem(request.named.data), request.overwrite)
    manifest = describe(request, prepared)
    try:
        if folds is not None:
            train_folds(request, prepared, folds, folder, manifest, start, listen)
        elif request.seeds > 1:
            train_seeds(request, prepared, folder, manifest, listen)
        else:
            Sitting(request, prepared, folder, manifest, listen).begin(start)
        _say_looks(prepared, folder, listen)
    finally:
        folder.release()
    return folder


def resume_training(request: Request, given: Mapping[str, Any], listen: Listener) -> RunFolder:
    """Go on with a run that was stopped or died, with the configuration that it was begun with.

    `given` are the settings and names that the caller gave; they must be the run's own. A finished run is
    left as it is. Raises RunError where there is no such run, where another process is at work in it, or
    where options or data differ (all differences at once)."""
    folder = run_to_resume(request.out, None if request.named.data is None else stem(request.named.data))
    folder.claim()
    try:
        manifest = read_manifest(folder.path)
        if manifest.get("kind") == "search":
            raise RunError(
                f"{folder.path} is a search. Go on with it: whet search --resume --out {folder.path}"
            )
        request = as_begun(request, given, manifest, folder.path)
        if manifest.get("status") == "finished":
            folder.finish()
            listen(Note(f"{folder.path} is finished already; nothing is left to do."))
            return folder
        if manifest["threads"] != torch.get_num_threads():
            torch.set_num_threads(manifest["threads"])
        prepared = prepare(request, lambda text: listen(Note(text)))
        request = replace(request, config=prepared.settled(request.config))
        start = prepared.start(request.config, lambda text: listen(Note(text)))
        check_same_data(manifest, prepared, folder.path)
        say_changes(manifest, prepared, listen)
        folder.tidy()
        if request.folds is not None:
            folds = plan_folds(request, prepared)
            train_folds(request, prepared, folds, folder, manifest, start, listen)
        elif request.seeds > 1:
            train_seeds(request, prepared, folder, manifest, listen)
        else:
            Sitting(request, prepared, folder, manifest, listen).resume(start)
        _say_looks(prepared, folder, listen)
    finally:
        folder.release()
    return folder


def _say_looks(prepared: Prepared, folder: RunFolder, listen: Listener) -> None:
    """What the ledgers say of the test rows, which have been scored."""
    test = prepared.data.test
    if test is None:
        return
    figures = read_manifest(folder.path)["results"]["test"]
    seen = Ledger(folder.path).told(test.table.source, test.table.fingerprint(), len(test.rows), figures)
    for note in (*seen.notes, seen.beside):
        if note is not None:
            listen(Note(note))


def stem(data: Any) -> str:
    """What a run of this data is called where the user gives no name."""
    if isinstance(data, tuple) and data:  # of several texts the first names the run
        return stem(data[0])
    if isinstance(data, str | os.PathLike):
        name = str(data)
        if name.startswith("hf:"):
            return name.removeprefix("hf:").replace("/", "-").replace(":", "-")
        return Path(name).resolve().stem or "run"
    return "run"
