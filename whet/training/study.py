"""The study of a search, which its processes share; storages.py says where it lies.

What the study is about (space, settings, data, model) stands in it, and must be the same for all who join.
"""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast, final

import numpy as np

from whet.errors import RunError
from whet.search_space import Choice, Space
from whet.training.rungs import FACTOR
from whet.training.storages import answering, is_there, need_optuna, open_storage, without_password

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


def check_free(storage: str, name: str, about: Mapping[str, Any]) -> None:
    """Raises RunError where the storage cannot be used, or has a study of that name, and says how that one
    differs."""
    optuna = need_optuna()
    opened = open_storage(storage)
    with answering(storage):
        if name in optuna.get_all_study_names(opened):
            raise _taken(storage, optuna.load_study(study_name=name, storage=opened), about)


def create_study(storage: str, name: str, about: Mapping[str, Any], first_rung: int | None) -> "Study":
    """A new study. Raises RunError, as `check_free`."""
    optuna = need_optuna()
    opened = open_storage(storage)
    with answering(storage):
        try:
            study: Study = optuna.create_study(
                storage=opened, pruner=_pruner(first_rung), study_name=name, direction="maximize"
            )
        except optuna.exceptions.DuplicatedStudyError:
            there = optuna.load_study(study_name=name, storage=opened)
            raise _taken(storage, there, about) from None
        study.set_user_attr(ABOUT, {"format": _FORMAT, **about})
        return study


def _taken(storage: str, there: "Study", about: Mapping[str, Any]) -> RunError:
    differing = differences(_about(there), about)
    what = (
        "with another search:\n  " + "\n  ".join(differing) + "\nName another --study"
        if differing
        else "of this search. Go on with it (--resume and its --out), help it (--join), or name another "
        "--study"
    )
    return RunError(f"{without_password(storage)} has a study '{there.study_name}' already, {what}.")


def load_study(storage: str, name: str) -> "Study":
    """A study that is there. Raises RunError where it is not."""
    optuna = need_optuna()
    if not is_there(storage):
        raise RunError(f"There is no storage {storage}. Name the file, or the URL, that the search made.")
    opened = open_storage(storage)
    with answering(storage):
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


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."
