"""What run.json says of a run at its start, and what must still agree when somebody goes on with it."""

import datetime
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from whet.data.table import one_or_several
from whet.errors import ConfigError, RunError
from whet.files import checksum
from whet.recipes import DEFAULT
from whet.runs import versions
from whet.training.events import Listener, Note
from whet.training.prepare import Prepared, Request

_CHECKPOINT_FILES = ("config.json", "model.safetensors", "tokenizer.json")


def describe(request: Request, prepared: Prepared) -> dict[str, Any]:
    """The manifest before the first step."""
    data, columns = prepared.data, prepared.data.columns
    parts = {"train": data.train, "dev": data.dev, "test": data.test}
    named = request.named
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": columns.task,
        "columns": columns.to_json(),
        "labels": list(data.task.output_names),
        "model": prepared.location.name,
        "model_sha256": model_sums(prepared),
        "named": {
            **{name: _path(getattr(named, name)) for name in ("data", "dev", "test")},
            **{name: getattr(named, name) for name in ("task", "text", "pair", "label", "group")},
        },
        "data": {name: part.record() for name, part in parts.items() if part is not None},
        "dev_is_held_out": data.dev_is_held_out,
        "recipe": request.recipe,
        "config": asdict(request.config) | {"max_length": prepared.rules.max_length},
        "seeds": request.seeds,
        "folds": request.folds,
        "seed": request.config.seed,
        "device": str(prepared.device),
        "precision": prepared.precision,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def model_sums(prepared: Prepared) -> dict[str, str]:
    """sha256 of the checkpoint's files."""
    paths = [prepared.location.folder / name for name in _CHECKPOINT_FILES]
    return {path.name: checksum(path) for path in paths if path.exists()}


def _path(data: Any) -> str | list[str] | None:
    """Data that was named, so that another process finds it again; None for data in memory."""
    if isinstance(data, tuple) and all(isinstance(one, str | os.PathLike) for one in data):
        return [os.fspath(one) for one in data]
    return os.fspath(data) if isinstance(data, str | os.PathLike) else None


def as_begun(request: Request, given: Mapping[str, Any], manifest: Mapping[str, Any], path: Path) -> Request:
    """The request that the run was begun with; only data may be named anew, and its content is compared."""
    try:
        asked = {
            "seeds": manifest.get("seeds", 1),
            "folds": manifest.get("folds"),
            "recipe": manifest.get("recipe", DEFAULT),
            "model": manifest["model"],
        }
        begun = manifest["config"] | manifest["named"] | asked
        begun["label"] = one_or_several(begun["label"])
    except (KeyError, TypeError):
        raise RunError(f"{path / 'run.json'} is no manifest of a run that can be gone on with.") from None
    differing = [
        f"{name}: the run has {begun.get(name)!r}, now {value!r}"
        for name, value in given.items()
        if begun.get(name) != value
    ]
    if differing:
        raise RunError(
            f"--resume: these options differ from those that {path} was begun with:\n  "
            + "\n  ".join(differing)
            + "\nLeave them out to go on with the run, or begin another with another --out."
        )
    if request.named.data is None and begun["data"] is None and manifest.get("status") != "finished":
        raise RunError(f"{path} was trained on data in memory. Pass the same data again, from Python.")
    for name in ("data", "dev"):
        if isinstance(begun[name], list):  # several texts
            begun[name] = tuple(begun[name])
    named = replace(
        request.named,
        **{name: begun.get(name) for name in ("task", "text", "pair", "label", "group")},
        **{name: begun[name] for name in ("data", "dev", "test") if getattr(request.named, name) is None},
    )
    try:
        config = type(request.config)(**manifest["config"])
    except (TypeError, ConfigError) as error:
        raise RunError(
            f"{path} was begun by another whet ({manifest.get('versions', {}).get('whet')}), whose settings "
            f"this one cannot read ({error}). Go on with it there, or begin again."
        ) from None
    return replace(request, named=named, config=config, **asked)


def check_same_data(manifest: Mapping[str, Any], prepared: Prepared, path: Path) -> None:
    """Raises RunError, which lists all differences of data and checkpoint."""
    parts = {"train": prepared.data.train, "dev": prepared.data.dev, "test": prepared.data.test}
    now = {name: part.record() for name, part in parts.items() if part is not None}
    differing = []
    for name in parts:
        then, found = manifest["data"].get(name), now.get(name)
        if (then is None) != (found is None):
            differing.append(f"{name}: {'was not there' if then is None else 'is missing'}")
        elif then is not None and found is not None and then["fingerprint"] != found["fingerprint"]:
            rows = f"{then['rows']:,} rows" if name != "train" else f"{then['rows']:,} rows to train on"
            differing.append(
                f"{name}: {found['source']} is not what it was begun with, {then['source']} ({rows})"
            )
    if model_sums(prepared) != manifest["model_sha256"]:
        differing.append(f"the checkpoint {prepared.location.name} has changed")
    if differing:
        raise RunError(
            f"--resume: what {path} was begun with has changed:\n  "
            + "\n  ".join(differing)
            + "\nPut it back to go on with the run, or begin another with another --out."
        )


def say_changes(manifest: Mapping[str, Any], prepared: Prepared, listen: Listener) -> None:
    """Tell what computes now in other versions, or otherwise."""
    then, now = manifest["versions"], versions()
    changed = [f"{name} {then.get(name)} -> {now[name]}" for name in now if then.get(name) != now[name]]
    if changed:
        listen(Note(f"Versions have changed ({', '.join(changed)}): results may differ in the last digits."))
    here = {"precision": prepared.precision, "device": str(prepared.device)}
    moved = [f"{name} {manifest.get(name)} -> {to}" for name, to in here.items() if manifest.get(name) != to]
    if moved:
        listen(Note(f"It is computed otherwise now ({', '.join(moved)}), so results will differ."))
