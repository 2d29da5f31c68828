"""Where a study lies: a journal file on one machine, an SQL database across machines; and what is wrong with
one, in a line that names it."""

import importlib.util
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

from filelock import FileLock

from whet.errors import ConfigError, RunError

_POSTGRESQL: Final = "postgresql://"


def need_optuna() -> Any:
    """optuna, quiet. Raises ConfigError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "whet search needs optuna, which is not installed. Install it: pip install 'whet[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def is_there(storage: str) -> bool:
    """Whether a file is; of a database only opening it tells."""
    return "://" in storage or Path(storage).expanduser().is_file()


def open_storage(storage: str) -> Any:
    """optuna's storage in a file, which is made where it is not there, or at a URL. Raises RunError."""
    optuna = need_optuna()
    if storage.startswith(("sqlite:", "sqlite+")):  # it locks no rows: two workers get the same (measured)
        raise RunError(
            f"--storage {storage}: SQLite cannot be shared by several workers. Name a file, without "
            "sqlite://, for one machine, or a database such as PostgreSQL."
        )
    with _opening(storage):
        if "://" in storage:
            # a connection that the database has dropped meanwhile, as in a restart, is made anew
            return optuna.storages.RDBStorage(_with_driver(storage), engine_kwargs={"pool_pre_ping": True})
        path = Path(storage).expanduser()
        if not path.parent.is_dir():
            raise RunError(
                f"--storage {storage}: there is no folder {path.parent}. Make it, or name another."
            )
        if path.is_dir():
            raise RunError(f"--storage {storage} is a folder. Name a file in it, or a URL.")
        _refuse_other_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_JournalLock(path))
            return optuna.storages.JournalStorage(backend)


@contextmanager
def answering(storage: str) -> Iterator[None]:
    """A database that goes away meanwhile is a RunError."""
    optuna = need_optuna()
    import sqlalchemy

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise RunError(
            f"--storage {without_password(storage)} does not answer any more: {_first_line(error)}. What has "
            "ended is kept. When it is back, go on with --resume, or help again with --join."
        ) from None


def without_password(storage: str) -> str:
    """A storage as it may be shown and written down."""
    scheme, sign, rest = storage.partition("://")
    if not sign or "@" not in rest:
        return storage
    user, _, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}@{place}"


@contextmanager
def _opening(storage: str) -> Iterator[None]:
    optuna = need_optuna()
    import sqlalchemy

    shown = without_password(storage)
    of_databases = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
    try:
        yield
    except (ImportError, OSError, ValueError, KeyError, *of_databases) as error:
        lacks = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if isinstance(lacks, ModuleNotFoundError):
            driver = "psycopg2-binary" if (lacks.name or "").startswith("psycopg") else lacks.name
            raise RunError(
                f"--storage {shown} needs the driver {lacks.name}, which is not installed: pip install "
                f"{driver}"
            ) from None
        raise RunError(
            f"--storage {shown} cannot be used: {_first_line(error)}. Start the database, or name another: a "
            f"file, or a URL such as {_POSTGRESQL}user@host/database."
        ) from None


def _first_line(error: BaseException) -> str:
    cause = error if error.__cause__ is None else error.__cause__
    told = str(getattr(cause, "orig", None) or cause).strip() or type(cause).__name__
    return told.splitlines()[0].rstrip(".")


def _with_driver(url: str) -> str:
    """SQLAlchemy takes postgresql:// for psycopg 3's; that of psycopg 2 will do as well."""
    has_3, has_2 = (importlib.util.find_spec(name) is not None for name in ("psycopg", "psycopg2"))
    if url.startswith(_POSTGRESQL) and has_2 and not has_3:
        return f"postgresql+psycopg2://{url.removeprefix(_POSTGRESQL)}"
    return url


def _refuse_other_file(path: Path) -> None:
    """Raises RunError for a file that is no journal: it would be taken for the rest of one, and cut off."""
    if not path.exists():
        return
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    if not line:
        return
    try:
        is_journal = "op_code" in json.loads(line)
    except (ValueError, TypeError):
        is_journal = False
    if not is_journal:
        raise RunError(
            f"--storage {path} is there already and is no journal of a search, so it is left alone. Name a "
            "file that does not exist yet."
        )


@final
class _JournalLock:
    """Held while the journal is written; the system lets go of it for a process that dies. A line that such
    a process has left half written is cut off."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        if self._path.exists():
            with self._path.open("rb+") as file:
                end = file.seek(0, os.SEEK_END)
                while end > 0:
                    file.seek(end - 1)
                    if file.read(1) == b"\n":
                        break
                    end -= 1
                if end < file.seek(0, os.SEEK_END):
                    file.truncate(end)
        return True

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> "_JournalLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
