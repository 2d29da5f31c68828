"""The study of a search, which its processes share: a journal file on one machine, an SQL database across
machines. The only file beside slots.py that knows optuna.

What the study is about (space, settings, data, model) stands in it, and must be the same for all who join.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, cast, final

import numpy as np
from filelock import FileLock

from whet.errors import ConfigError, RunError
from whet.search_space import Choice, Space
from whet.training.rungs import FACTOR

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

ABOUT: Final = "whet"  # the study's attribute that says what it is about
CLOSED: Final = "closed"  # and that no trial is to be begun any more
LOST, SURPLUS = "lost", "surplus"  # attributes of a trial: its worker died, or another was faster
_FORMAT = 1
_FIRST_AT_RANDOM = 8  # trials before the sampler believes what it has seen
_FEWEST_TO_TELL = 4  # trials, for importances
_SHOWN = 200  # letters of a value in a message


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


def create_study(storage: str, name: str, about: Mapping[str, Any], first_rung: int | None) -> "Study":
    """A new study. Raises RunError where the storage has one of that name, and says how that one differs,
    or where the storage cannot be used."""
    optuna = need_optuna()
    with _told(storage):
        opened = _storage(storage)
        try:
            study: Study = optuna.create_study(
                storage=opened,
                pruner=_pruner(first_rung),
                study_name=name,
                direction="maximize",
            )
        except optuna.exceptions.DuplicatedStudyError:
            there = optuna.load_study(study_name=name, storage=opened)
            differing = differences(_about(there), about)
            what = (
                "with another search:\n  " + "\n  ".join(differing) + "\nName another --study"
                if differing
                else "of this search. Go on with it (--resume and its --out), help it (--join), or name "
                "another --study"
            )
            raise RunError(f"{without_password(storage)} has a study '{name}' already, {what}.") from None
        study.set_user_attr(ABOUT, {"format": _FORMAT, **about})
        return study


def load_study(storage: str, name: str) -> "Study":
    """A study that is there. Raises RunError where it is not."""
    optuna = need_optuna()
    with _told(storage):
        if "://" not in storage and not Path(storage).is_file():
            raise RunError(f"There is no storage {storage}. Name the file, or the URL, that the search made.")
        opened = _storage(storage)
        names = optuna.get_all_study_names(opened)
        if name not in names:
            there = f"; there are: {', '.join(names)}" if names else ", and none at all"
            raise RunError(
                f"{without_password(storage)} has no study '{name}'{there}. Name one with --study."
            )
        study: Study = optuna.load_study(study_name=name, storage=opened)
        study.pruner = _pruner(_about(study).get("first_rung"))
        return study


def about_of(study: "Study") -> dict[str, Any]:
    """What it is about. Raises RunError for a study of another program, or of another whet."""
    found = _about(study)
    if found.get("format") != _FORMAT:
        raise RunError(
            f"The study '{study.study_name}' is not one of whet search, or of another version. Name another "
            "with --study."
        )
    return {name: value for name, value in found.items() if name != "format"}


def check_same(study: "Study", about: Mapping[str, Any]) -> None:
    """Raises RunError, which lists all differences."""
    differing = differences(about_of(study), about)
    if differing:
        raise RunError(
            f"The study '{study.study_name}' is about something else than this search:\n  "
            + "\n  ".join(differing)
            + "\nAsk for the same, or name another --study."
        )


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each thing that differs."""
    names = [name for name in {**then, **now} if name != "format"]
    found = []
    for name in names:
        one, other = then.get(name), now.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{name}, {line}" for line in differences(one, other)]
        else:
            found.append(f"{name}: the study has {_short(one)}, now {_short(other)}")
    return found


def key_sampler(study: "Study", seed: int, slot: int) -> None:
    """Let what is suggested next be a function of the seed, the slot and what the study knows: a search that
    died goes on to the points that it would have come to, and workers do not draw alike."""
    study.sampler = _sampler(int(np.random.SeedSequence([seed, slot]).generate_state(1)[0]))


def suggest(trial: "Trial", space: Space) -> dict[str, Any]:
    """A point of the space, as the sampler or the queue has it."""
    point: dict[str, Any] = {}
    for one in space:
        if isinstance(one, Choice):
            point[one.name] = trial.suggest_categorical(one.name, one.options)
        elif one.is_whole:
            point[one.name] = trial.suggest_int(one.name, int(one.low), int(one.high), log=one.is_log)
        else:
            found = trial.suggest_float(one.name, one.low, one.high, log=one.is_log)
            point[one.name] = one.rounded(found)
    return point


def importances(study: "Study") -> dict[str, float]:
    """Share of the scores' variance by each setting, the most important first (fANOVA, Hutter et al. 2014);
    empty where too few trials were trained to the end to tell."""
    optuna = need_optuna()
    done = [trial.params for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    names = sorted({name for params in done for name in params})
    # the default lacks what it has no value of in the space
    if not names or sum(set(names) <= params.keys() for params in done) < _FEWEST_TO_TELL:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        try:
            found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
        except (ValueError, RuntimeError):  # all scores are equal
            return {}
    return {name: float(share) for name, share in found.items()}


def _sampler(seed: int) -> Any:
    """TPE (Bergstra et al. 2011), which takes what is running elsewhere for bad, so that two workers do not
    try the same. Each setting by itself: together they are sampled only where all trials have all of them,
    and the default may lack some."""
    optuna = need_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is experimental in it
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=_FIRST_AT_RANDOM, constant_liar=True, multivariate=False
        )


def is_void(trial: "FrozenTrial") -> bool:
    """Failed because of its worker, or stepped back: another stands for it."""
    return trial.state.name == "FAIL" and (LOST in trial.user_attrs or SURPLUS in trial.user_attrs)


def _pruner(first_rung: int | None) -> Any:
    need_optuna()
    from optuna.pruners import NopPruner, SuccessiveHalvingPruner

    if first_rung is None:
        return NopPruner()

    class Halving(SuccessiveHalvingPruner):
        def prune(self, study: "Study", trial: "FrozenTrial") -> bool:
            return super().prune(cast("Study", _WithoutVoid(study)), trial)

    return Halving(min_resource=first_rung, reduction_factor=FACTOR)


@final
class _WithoutVoid:
    """A study that does not show void trials: what one of them had come to does not count twice."""

    def __init__(self, study: "Study") -> None:
        self._study = study

    def get_trials(self, deepcopy: bool = True) -> "list[FrozenTrial]":
        return [trial for trial in self._study.get_trials(deepcopy=deepcopy) if not is_void(trial)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


def _about(study: "Study") -> dict[str, Any]:
    found = study.user_attrs.get(ABOUT, {})
    return dict(found) if isinstance(found, Mapping) else {}


def _storage(storage: str) -> Any:
    optuna = need_optuna()
    if storage.startswith("sqlite"):  # it locks no rows: two workers get the same trial (measured)
        raise RunError(
            f"--storage {storage}: SQLite cannot be shared by several workers. Name a file, without "
            "sqlite://, for one machine, or a database such as PostgreSQL."
        )
    if "://" in storage:
        return optuna.storages.RDBStorage(storage)
    path = Path(storage).expanduser()
    if not path.parent.is_dir():
        raise RunError(f"--storage {storage}: there is no folder {path.parent}. Make it, or name another.")
    if path.is_dir():
        raise RunError(f"--storage {storage} is a folder. Name a file in it, or a URL.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_JournalLock(path))
        return optuna.storages.JournalStorage(backend)


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


@contextmanager
def _told(storage: str) -> Iterator[None]:
    """What is wrong with a storage, in a line that names it."""
    optuna = need_optuna()
    import sqlalchemy

    try:
        yield
    except ModuleNotFoundError as error:
        raise RunError(
            f"--storage {without_password(storage)} needs the driver {error.name}, which is not installed: "
            f"pip install {'psycopg2-binary' if error.name == 'psycopg2' else error.name}"
        ) from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        first = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
        raise RunError(
            f"--storage {without_password(storage)} cannot be used: {first}. Start the database, or name "
            "another: a file, or a URL such as postgresql://user@host/database."
        ) from None
    except OSError as error:
        raise RunError(f"--storage {storage} cannot be used: {error}. Name another.") from None


def without_password(storage: str) -> str:
    """A storage as it may be shown and written down."""
    scheme, sign, rest = storage.partition("://")
    if not sign or "@" not in rest:
        return storage
    user, _, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}@{place}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."
