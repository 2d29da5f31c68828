"""Durable files and folders: written beside, fsynced, renamed. A reader sees the old or the new, never half.

Every write, fsync and rename passes `moment`, which does nothing: the fault tests stop the process there.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_OURS = ".whet"  # ends the names of what is being written


def moment(name: str) -> None:
    """A moment of saving has come, such as "fsync model.safetensors"."""


@contextmanager
def file_beside(path: Path, newline: str = "\n") -> Iterator[IO[str]]:
    """A text file that takes the place of `path` when the block ends well, and vanishes when not."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_OURS)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline=newline) as file:
            yield file
            file.flush()
            moment(f"wrote {path.name}")
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        moment(f"rename {path.name}")
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    sync(path.parent)
    moment(f"renamed {path.name}")


def write_text(path: Path, text: str) -> None:
    """Put a text in place of `path`, whole or not at all."""
    with file_beside(path) as file:
        file.write(text)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """`write_text` of indented JSON; NaN and infinity are refused (ValueError), JSON has none."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends well and vanishes when not."""
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=_OURS))
    old = beside.with_name(f"{beside.name.removesuffix(_OURS)}.old{_OURS}")
    try:
        beside.chmod(0o755)
        yield beside
        sync_tree(beside)
        moment(f"rename {folder.name}")
        if folder.exists():
            os.replace(folder, old)
            moment(f"moved {folder.name} away")
        os.replace(beside, folder)
        sync(folder.parent)
        moment(f"renamed {folder.name}")
    finally:
        if old.exists() and not folder.exists():  # stopped between the two renames
            os.replace(old, folder)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(beside, ignore_errors=True)


def point(link: Path, target: str) -> None:
    """Let the symbolic link `link` lead to `target`, relative to its folder; at no moment is there none."""
    beside = link.with_name(f".{link.name}.new{_OURS}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    moment(f"flip {link.name}")
    os.replace(beside, link)
    sync(link.parent)
    moment(f"flipped {link.name}")


def sync_tree(folder: Path) -> None:
    """Make sure that every file below a folder, and the folder, is on the disk."""
    for path in folder.iterdir():
        if path.is_dir():
            sync_tree(path)
        else:
            moment(f"fsync {path.name}")
            sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """fsync a file or, where the system can, a folder."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def leftovers(folder: Path) -> list[Path]:
    """What a process that died while writing has left in a folder: hidden names with an ending of ours."""
    return [path for path in folder.iterdir() if path.name.startswith(".") and path.name.endswith(_OURS)]


def checksum(path: Path) -> str:
    """sha256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by its path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): checksum(path) for path in files}
