"""`search`: better settings for a data set, and a word on whether they are better."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from whet.api import listening, load
from whet.config import check_values, make_config
from whet.config_text import parse_seconds
from whet.data.table import LabelColumns, one_or_several
from whet.errors import ConfigError, UsageError
from whet.recipes import DEFAULT, with_recipe
from whet.runs import read_manifest
from whet.search_space import parse_space
from whet.training.data import Named
from whet.training.events import Listener
from whet.training.prepare import Request
from whet.training.search import help_search, resume_search, run_search
from whet.training.search_ground import OF_A_MACHINE, SearchRequest
from whet.user_model import Model

TRIALS = 20


@final
@dataclass(frozen=True)
class Search:
    """A finished search."""

    folder: Path
    manifest: dict[str, Any]  # run.json

    @property
    def settings(self) -> dict[str, Any]:
        """The winner's, which `train` takes with its `recipe`."""
        found: dict[str, Any] = self.manifest["search"]["train"]["settings"]
        return found

    @property
    def recipe(self) -> str:
        """The winner's."""
        return str(self.manifest["search"]["train"]["recipe"])

    @property
    def verdict(self) -> dict[str, Any] | None:
        """The winner against the default, on rows that nothing has seen: `word` is better, equal, cannot
        tell, or worse; None where the default could not be trained."""
        found: dict[str, Any] | None = self.manifest["search"]["verdict"]
        return found

    @property
    def line(self) -> str:
        """The command that trains on all rows with the winner's settings."""
        return str(self.manifest["search"]["train"]["line"])

    def model(self) -> Model:
        """The winner's model, ready to predict."""
        return load(self.folder)


@final
@dataclass(frozen=True)
class Helped:
    """What a helper has done for a search that another process leads."""

    folder: Path  # of its trials' logs
    n_trials: int


def search(
    data: Any = None,
    *,
    dev: Any = None,
    test: Any = None,
    task: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: LabelColumns = None,
    group: str | None = None,
    model: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    time_limit: float | str | None = None,
    space: Sequence[str] | Mapping[str, str] | None = None,
    recipe: str | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    join: bool = False,
    storage: str | os.PathLike[str] | None = None,
    study: str | None = None,
    quiet: bool = False,
    listeners: Sequence[Listener] = (),
    began: float | None = None,
    **settings: Any,
) -> "Search | Helped":
    """Look for settings that train a better model than the default, and say whether they do.

    data and its columns, model, recipe, listeners, began and settings are as of `train`; what the settings
    say is trial 0, the default. trials is how many there are (20), time_limit the time of all of it, in
    seconds or as "30m": trials are cut short for the sake of the end. space is such as
    ["learning_rate=1e-5..1e-4:log", "batch_size=16|32", "recipe=default|lora"]; None is a small one of the
    encoder's family. Trials are chosen by dev; the best three are trained again on fresh seeds, and the best
    of them is compared with the default on rows that nothing else has seen: test, or a fifth of train.
    resume goes on with the search in `out`. join helps a search that another process leads: the one in
    `out`, or `study` in `storage`, which is a file, or a URL such as postgresql://user@host/database.
    Raises WhetError for whatever the caller can mend."""
    began = time.monotonic() if began is None else began
    limit = _seconds(time_limit)
    wrong = trials is not None and not (type(trials) is int and trials >= 1)
    if wrong:
        raise ConfigError(f"trials={trials}: must be a whole number from 1 up.")
    if resume + overwrite + join > 1:
        raise UsageError("resume goes on, overwrite replaces, join helps another. Choose one of the three.")
    if join and limit is not None:
        raise UsageError("The time limit is that of the process that leads the search; leave it out.")
    if resume or join:  # the settings are the search's own, which these are compared with
        check_values(settings)
        config = make_config({name: settings[name] for name in OF_A_MACHINE if name in settings})
    else:
        config = make_config(with_recipe(recipe, {**settings, "time_limit": limit}))
    request = Request(
        named=Named(data, dev, test, task, text, pair, one_or_several(label), group),
        config=config,
        model="mini" if model is None else os.fspath(model),
        out=None if out is None else os.fspath(out),
        overwrite=overwrite,
        recipe=recipe or DEFAULT,
        began=began,
        command="search",
    )
    asked = SearchRequest(
        request,
        settings,
        None if space is None else parse_space(space),
        TRIALS if trials is None else trials,
        None if storage is None else os.fspath(storage),
        study,
    )
    named: dict[str, Any] = {"task": task, "text": text, "pair": pair, "group": group, "recipe": recipe}
    named |= {"label": one_or_several(label), "trials": trials, "time_limit": limit}
    named["model"] = None if model is None else request.model
    given = settings | {name: value for name, value in named.items() if value is not None}
    with listening(quiet, listeners) as listen:
        if join:
            return Helped(*help_search(asked, given, listen))
        folder = resume_search(asked, given, listen) if resume else run_search(asked, listen)
    return Search(folder.path, read_manifest(folder.path))


def _seconds(given: float | str | None) -> float | None:
    """Raises ConfigError."""
    if given is None:
        return None
    try:
        found = parse_seconds(given) if isinstance(given, str) else float(given)
    except ValueError:
        found = 0.0
    if not 1.0 <= found < float("inf"):
        raise ConfigError(f"time_limit={given}: must be seconds from 1 up, or 90s, 10m, 1h30m.")
    return found
