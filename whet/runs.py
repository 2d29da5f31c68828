"""The run folder: where it is, its manifest, and what stands in it while training and afterwards."""

import itertools
import json
import platform
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, final

from whet.artifact import write_json
from whet.errors import RunError
from whet.version import __version__

FORMAT = 1


@final
class RunFolder:
    """A folder that one training run writes into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model"
        self.manifest = path / "run.json"
        self.metrics = path / "metrics.jsonl"
        self.best = path / "checkpoints" / "best"  # a model folder, while training
        self.dev_predictions = path / "predictions.dev.jsonl"

    def write(self, content: Mapping[str, Any]) -> None:
        """Put the manifest in place."""
        write_json(self.manifest, {"format": FORMAT, **content})


def create_run_folder(out: str | None, stem: str, overwrite: bool = False) -> RunFolder:
    """A new, empty folder: `out`, or `runs/` + stem, then `-2`, `-3` ...

    Raises RunError where `out` exists and is not to be overwritten, or is not a run; or where the folder
    cannot be made."""
    try:
        if out is not None:
            check_out(out, overwrite)
            return _create_named(Path(out).expanduser())
        while True:
            path = free_path(stem)
            try:
                path.mkdir(parents=True)
            except FileExistsError:  # another run was faster
                continue
            return _prepared(path)
    except OSError as error:
        raise RunError(f"The run folder cannot be made: {error}. Choose another with --out.") from None


def free_path(stem: str) -> Path:
    """`runs/` + stem, then `-2`, `-3` ...: the first that does not exist."""
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(path for path in (Path("runs") / name for name in names) if not path.exists())


def versions() -> dict[str, str]:
    """What computed the result."""
    libraries = ("torch", "tokenizers", "safetensors", "numpy", "pyarrow")
    return {
        "whet": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in libraries},
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """run.json of a run. Raises RunError where there is none or it is damaged."""
    try:
        content: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} is not a run: it has no run.json.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / 'run.json'} cannot be read: {error}") from None
    return content


def check_out(out: str | None, overwrite: bool) -> None:
    """Raises RunError where `out` cannot become a run folder; before any work is done."""
    if out is None:
        return
    if not out.strip():
        raise RunError("--out has no name. Name a folder that does not exist yet.")
    path = Path(out).expanduser()
    if path.is_file():
        raise RunError(f"--out {path} is a file. Name a folder that does not exist yet.")
    if not path.exists() or not any(path.iterdir()):
        return
    if not overwrite:
        raise RunError(f"--out {path} exists already. Use --overwrite to replace it, or name another folder.")
    if not (path / "run.json").exists():
        raise RunError(
            f"--out {path} is not a whet run (it has no run.json), so --overwrite leaves it alone. "
            "Name another folder."
        )


def _create_named(path: Path) -> RunFolder:
    if path.exists() and any(path.iterdir()):
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    return _prepared(path)


def _prepared(path: Path) -> RunFolder:
    (path / "checkpoints").mkdir()
    return RunFolder(path)
