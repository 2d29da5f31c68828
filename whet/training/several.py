"""Several runs as one: each is a full run in a folder of its own, below the folder that the user named.

Who trains several (seeds.py, folds.py) makes a `Member` for each run. `train_all` begins them, goes on with
those that were stopped, and passes over those that are finished, so that going on with the whole needs
nothing else.
"""

import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final

from whet.encoder.memory import give_back_memory
from whet.errors import RunError, TrainingError
from whet.runs import RunFolder, read_manifest
from whet.training.events import Listener, Note
from whet.training.manifest import describe
from whet.training.prepare import Prepared, Request
from whet.training.sitting import Sitting


@final
@dataclass(frozen=True)
class Member:
    """One of several runs."""

    name: str  # as the user is told: "Seed 3"
    folder: RunFolder
    request: Request  # `out` is the folder of the whole, which a user goes on with; its time begins with it
    prepared: Prepared


@final
@dataclass(frozen=True)
class Outcome:
    """How the members ended, by name: the manifest of a finished one, the message of one that failed."""

    finished: dict[str, dict[str, Any]]
    failed: dict[str, str]


@contextmanager
def standing(folder: RunFolder, manifest: dict[str, Any]) -> Iterator[None]:
    """The manifest of the whole says at every time how it stands; the block adds the results to it."""
    folder.write(manifest | {"status": "running"})
    try:
        yield
        folder.write(manifest | {"status": "finished"})
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.write(manifest | {"status": "failed"})
        raise RunError(
            f"{folder.path} cannot be written: {error}. What is finished is kept; when there is room, go on "
            "with --resume."
        ) from None
    except Exception:
        folder.write(manifest | {"status": "failed"})
        raise
    except BaseException:
        folder.write(manifest | {"status": "stopped"})
        raise
    folder.finish()


def train_all(members: Sequence[Member], listen: Listener) -> Outcome:
    """Train one after another. A loss that is not finite ends its run and not the others.

    Raises TrainingError where none could be finished."""
    outcome = Outcome({}, {})
    for number, member in enumerate(members, 1):
        listen(Note(f"{member.name} ({number} of {len(members)})"))
        try:
            outcome.finished[member.name] = _train(member, listen)
        except TrainingError as error:
            outcome.failed[member.name] = str(error)
            listen(Note(f"{member.name} failed, the others go on. {error}"))
        give_back_memory()
    if not outcome.finished:
        name, message = next(iter(outcome.failed.items()))
        raise TrainingError(f"All {len(members)} runs failed. {name}: {message}")
    return outcome


def summarise(figures: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean, standard deviation (n - 1), median and range of every figure that is a number in all runs.

    The standard deviation of one run alone is 0."""
    names = [name for name in figures[0] if all(isinstance(run.get(name), float) for run in figures)]
    found = {}
    for name in names:
        values = [run[name] for run in figures]
        found[name] = {
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
        }
    return found


def record(manifest: Mapping[str, Any], *folder: str) -> dict[str, Any]:
    """What the manifest of the whole says of one run, which is in `folder` below it."""
    results = manifest["results"]
    plain = {
        split: {name: value for name, value in results[split].items() if isinstance(value, float)}
        for split in ("dev", "test")
        if split in results
    }
    kept = {name: results[name] for name in ("best_epoch", "steps", "training_tokens", "training_seconds")}
    return {"folder": "/".join(folder), **kept, **plain}


def _train(member: Member, listen: Listener) -> dict[str, Any]:
    folder, prepared = member.folder, member.prepared
    request = replace(member.request, began=time.monotonic())
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.claim()
    try:
        manifest = read_manifest(folder.path) if folder.manifest.exists() else None
        if manifest is not None and manifest.get("status") == "finished":
            listen(Note(f"{member.name} is finished already."))
            folder.finish()
            return manifest
        start = prepared.start(request.config, lambda text: None)
        if manifest is None:
            folder.clear()
            folder.checkpoints.mkdir()
            Sitting(request, prepared, folder, describe(request, prepared), listen).begin(start)
        else:
            folder.tidy()
            Sitting(request, prepared, folder, manifest, listen).resume(start)
    finally:
        folder.release()
    return read_manifest(folder.path)
