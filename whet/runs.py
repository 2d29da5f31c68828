"""The run folder: where it is, its manifest, and what stands in it while training and afterwards."""

import contextlib
import itertools
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, final

from filelock import FileLock, Timeout

from whet.errors import RunError
from whet.files import leftovers, write_json
from whet.version import __version__

FORMAT = 1
JOURNAL = "study.journal"  # of a search that names no other storage
_LOCK = ".lock"


@final
class RunFolder:
    """A folder that one training run writes into, and no other process at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model"
        self.manifest = path / "run.json"
        self.metrics = path / "metrics.jsonl"
        self.log = path / "train.log"
        self.checkpoints = path / "checkpoints"  # while training
        self.dev_predictions = path / "predictions.dev.jsonl"
        self.fold_predictions = path / "predictions.folds.jsonl"  # of a cross-validation, as the next two
        self.label_errors = path / "label_errors.csv"
        self.hardest = path / "hardest.csv"
        self._lock = FileLock(path / _LOCK, blocking=False)

    def claim(self) -> None:
        """Keep other processes out until `release`; the system lets go of it for a process that dies.

        Raises RunError where another process is at work here."""
        try:
            self._lock.acquire()
        except Timeout:
            raise RunError(_at_work(self.path)) from None

    def release(self) -> None:
        """Let others in."""
        (self.path / _LOCK).unlink(missing_ok=True)
        self._lock.release()

    def clear(self, paths: list[Path] | None = None) -> None:
        """Remove what stands here, or some of it; the lock stays."""
        for path in self.path.iterdir() if paths is None else paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a process that died while writing has left."""
        self.clear(leftovers(self.path))
        if self.checkpoints.exists():
            self.clear(leftovers(self.checkpoints))

    def finish(self) -> None:
        """Remove what only a run that goes on needs."""
        self.tidy()
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def write(self, content: Mapping[str, Any]) -> None:
        """Put the manifest in place, with the process that is at work."""
        process = {"pid": os.getpid(), "host": platform.node()}
        write_json(self.manifest, {"format": FORMAT, **content, "process": process})


def create_run_folder(out: str | None, stem: str, overwrite: bool = False) -> RunFolder:
    """A new, empty folder, claimed: `out`, or `runs/` + stem, then `-2`, `-3` ...

    Raises RunError where `out` exists and is not to be overwritten, or is not a run, or another process is
    at work in it; or where the folder cannot be made."""
    try:
        if out is not None:
            check_out(out, overwrite)
            path = Path(out).expanduser()
            path.mkdir(parents=True, exist_ok=True)
            folder = RunFolder(path)
            folder.claim()
            folder.clear()
        else:
            folder = RunFolder(_made(stem))
            folder.claim()
        folder.checkpoints.mkdir()
    except OSError as error:
        raise RunError(f"The run folder cannot be made: {error}. Choose another with --out.") from None
    return folder


def run_to_resume(out: str | None, stem: str | None) -> RunFolder:
    """The run that `--resume` means: `out`, or the newest of `runs/` + stem, `-2`, `-3` ... Not yet claimed.

    Raises RunError where there is none."""
    if out is None and stem is None:
        raise RunError("--resume: name the run's folder with --out, or the data it was begun with.")
    path = Path(out).expanduser() if out is not None else newest_path(stem or "")
    if path is None:
        raise RunError(f"--resume: there is no run runs/{stem} here. Name the run's folder with --out.")
    if not path.is_dir():
        raise RunError(f"--resume: there is no run {path}. Name a run's folder with --out.")
    read_manifest(path)
    return RunFolder(path)


def _made(stem: str) -> Path:
    while True:
        path = free_path(stem)
        try:
            path.mkdir(parents=True)
        except FileExistsError:  # another run was faster
            continue
        return path


def newest_path(stem: str) -> Path | None:
    """The last of `runs/` + stem, `-2`, `-3` ... without a gap; None where there is none."""
    found = None
    for path in _paths(stem):
        if not path.exists():
            return found
        found = path
    return found


def _paths(stem: str) -> Iterator[Path]:
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return (Path("runs") / name for name in names)


def free_path(stem: str) -> Path:
    """`runs/` + stem, then `-2`, `-3` ...: the first that does not exist."""
    return next(path for path in _paths(stem) if not path.exists())


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
    if not isinstance(content, dict):
        raise RunError(f"{folder / 'run.json'} is damaged: it holds no object.")
    return content


def finished_seeds(run: Path) -> tuple[dict[str, Path], int]:
    """The finished seeds of a run of several, by number, and how many were asked for; none and 1 for all
    else."""
    found = {}
    for folder in (run / "seeds").glob("*"):
        with contextlib.suppress(RunError):
            if read_manifest(folder).get("status") == "finished":
                found[folder.name] = folder
    n_asked = 1
    with contextlib.suppress(RunError):
        n_asked = read_manifest(run).get("seeds", 1)
    return dict(sorted(found.items(), key=lambda seed: (len(seed[0]), seed[0]))), max(n_asked, len(found))


def check_out(out: str | None, overwrite: bool) -> None:
    """Raises RunError where `out` cannot become a run folder; before any work is done."""
    if out is None:
        return
    if not out.strip():
        raise RunError("--out has no name. Name a folder that does not exist yet.")
    path = Path(out).expanduser()
    if path.is_file():
        raise RunError(f"--out {path} is a file. Name a folder that does not exist yet.")
    if not path.exists() or _is_bare(path):
        return
    folder = RunFolder(path)
    if (path / _LOCK).exists():
        folder.claim()
        folder.release()
    if not overwrite and (path / "run.json").exists():
        raise RunError(
            f"--out {path} exists already. Use --resume to go on with the run in it, --overwrite to replace "
            "it, or name another folder."
        )
    if not (path / "run.json").exists():
        raise RunError(
            f"--out {path} exists already and is not a whet run (it has no run.json), so it is left alone, "
            "with --overwrite too. Name another folder."
        )


def _is_bare(path: Path) -> bool:
    """Nothing stands there, or only what a process leaves that dies before it wrote run.json."""
    known = {_LOCK, JOURNAL, f"{JOURNAL}.lock", "checkpoints", *(old.name for old in leftovers(path))}
    checkpoints = path / "checkpoints"
    is_empty = not checkpoints.is_dir() or not any(checkpoints.iterdir())
    return is_empty and {entry.name for entry in path.iterdir()} <= known


def _at_work(path: Path) -> str:
    try:
        process = json.loads((path / "run.json").read_text(encoding="utf-8"))["process"]
        who = f"process {process['pid']} on {process['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return f"{path} is being written by {who}. Wait for it, stop it, or name another folder with --out."
