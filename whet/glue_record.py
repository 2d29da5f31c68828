"""glue.json: what `whet glue` was asked for and how its tasks stand; and the folder that holds it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whet.config import SETTINGS, make_config
from whet.data.glue import BY_NAME
from whet.errors import ConfigError, RunError
from whet.recipes import DEFAULT, with_recipe
from whet.runs import free_path, newest_path
from whet.tasks import TASKS

GLUE_JSON = "glue.json"
FORMAT = 1
_STEM = "glue"  # of runs/glue, where the user names no folder


def check_settings(settings: Mapping[str, Any], names: Sequence[str] | None) -> None:
    """Raises ConfigError: what `train` refuses, and what GLUE itself decides. names are the tasks, or
    all of them."""
    config = make_config(settings)
    problems = []
    if config.positive_label is not None:
        problems.append("positive_label: GLUE says what F1 is about (1, in MRPC and QQP). Leave it out.")
    if config.abstain_below is not None:
        problems.append("abstain_below: GLUE wants an answer for every row. Leave it out.")
    if config.threshold == "precision":
        problems.append("threshold=precision: GLUE wants an answer for every row. Leave it out.")
    for kind, name in {BY_NAME[name].kind: name for name in names or BY_NAME}.items():
        choices = TASKS[kind].choices
        if config.choose_by not in ("auto", *choices):
            problems.append(
                f"choose_by={config.choose_by}: for {name} it must be auto or one of {', '.join(choices)}. "
                "Leave it out, or name the tasks that have it with --tasks."
            )
    if problems:
        raise ConfigError("\n".join(problems))


def begin(out: str | None, overwrite: bool, options: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """A folder to fill, not yet made, and an empty record. Raises RunError where it holds something else."""
    record: dict[str, Any] = {"format": FORMAT, "status": "waiting", "options": dict(options), "tasks": {}}
    if out is None:
        return free_path(_STEM), record
    if not out.strip():
        raise RunError("--out has no name. Name a folder that does not exist yet.")
    path = Path(out).expanduser()
    if path.is_file():
        raise RunError(f"--out {path} is a file. Name a folder that does not exist yet.")
    is_ours = (path / GLUE_JSON).exists()
    if is_ours and not overwrite:
        raise RunError(
            f"--out {path} exists already. Use --resume to go on with it, --overwrite to replace it, or name "
            "another folder."
        )
    if path.is_dir() and any(path.iterdir()) and not is_ours:
        raise RunError(
            f"--out {path} exists already and is not of whet glue (it has no {GLUE_JSON}), so it is left "
            "alone, with --overwrite too. Name another folder."
        )
    return path, record


def go_on(out: str | None, given: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The folder that --resume means, and its record. Raises RunError where there is none, or where what is
    given now is not what it was begun with: all differences at once."""
    path = newest_path(_STEM) if out is None else Path(out).expanduser()
    if path is None:
        raise RunError(f"--resume: there is no runs/{_STEM} here. Name the folder with --out.")
    record = _read(path)
    begun = dict(record["options"])
    settings = {name: value for name, value in begun.items() if name in SETTINGS}
    config = make_config(with_recipe(begun.get("recipe"), settings))
    begun = {"model": "mini", "seeds": 1, "transfer": None, "recipe": DEFAULT} | asdict(config) | begun
    differing = [
        f"{name}: it has {begun[name]!r}, now {value!r}"
        for name, value in given.items()
        if begun[name] != value
    ]
    if differing:
        raise RunError(
            f"--resume: these options differ from those that {path} was begun with:\n  "
            + "\n  ".join(differing)
            + "\nLeave them out to go on with it, or begin another with another --out."
        )
    return path, record


def _read(path: Path) -> dict[str, Any]:
    file = path / GLUE_JSON
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        is_ours = record["format"] == FORMAT and isinstance(record["options"], dict)
        is_ours &= all(one["status"] in ("waiting", "failed", "finished") for one in record["tasks"].values())
    except FileNotFoundError:
        raise RunError(
            f"--resume: {path} is not of whet glue: it has no {GLUE_JSON}. Name its folder with --out."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} cannot be read: {error!r}. Begin anew with another --out.") from None
    if not is_ours or not set(record["tasks"]) <= set(BY_NAME):
        raise RunError(f"{file} is damaged, or of another whet. Begin anew with another --out.")
    return record
