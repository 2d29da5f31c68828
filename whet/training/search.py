"""A search for better settings: trials, the best of them again, and a verdict. A loop over the loop.

    runs/STEM-search/
      run.json               the manifest: space, trials, runs again, verdict
      study.journal          the study, where no other storage is named
      trials/000/            a trial's metrics.jsonl, train.log and trial.json; 000 is the default
      reruns/003-seed-1/     trial 3 again, a full run
      search.html            the pictures
      model/                 the winner's model

One process leads: the run folder is its own, it trains the best again and judges. Others may help it
(`help_search`), and only run trials. Whatever has ended is in the study or a finished run, so going on is
doing the same again and passing over what is there.
"""

import shlex
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.config import make_config
from whet.data.table import one_or_several
from whet.data.wording import counted
from whet.errors import RunError, UsageError, WhetError
from whet.files import write_text
from whet.ledger import Ledger
from whet.runs import JOURNAL, RunFolder, check_out, create_run_folder, read_manifest, run_to_resume
from whet.search_pictures import page
from whet.search_record import TrialRecord
from whet.search_space import parse_space, settings_at
from whet.training.data import Named
from whet.training.events import Evaluated, Event, Listener, Note
from whet.training.manifest import as_begun, describe, say_changes
from whet.training.prepare import Request
from whet.training.rerun import Plan, Reruns, plan_again
from whet.training.run import stem
from whet.training.search_ground import OF_A_MACHINE, Ground, SearchRequest, differing, read_ground
from whet.training.search_trials import Clock, Worker, records_of
from whet.training.several import standing
from whet.training.slots import Slots
from whet.training.storages import answering, need_optuna, without_password
from whet.training.study import (
    about_of,
    check_free,
    check_same,
    create_study,
    importances,
    load_study,
)
from whet.training.train_line import train_line

if TYPE_CHECKING:
    import optuna

KIND = "search"
_HELPER = "helper"  # kind of the folder of one that works for a search elsewhere
_TRIALS, _PICTURES = "trials", "search.html"
_JOIN_WAIT, _LOOK_AGAIN = 60.0, 0.2  # seconds, for a search that is begun at the same moment


def run_search(asked: SearchRequest, listen: Listener) -> RunFolder:
    """A new search. Raises WhetError; what is wrong with data, space or storage leaves nothing behind."""
    need_optuna()
    out, overwrite = asked.request.out, asked.request.overwrite
    check_out(out, overwrite)
    ground = read_ground(asked, listen)
    about, manifest = ground.about(), describe(ground.request, ground.prepared)
    if overwrite and asked.storage is not None and out is not None:  # before anything is cleared away
        check_free(asked.storage, asked.study or Path(out).expanduser().name, about)
    folder = create_run_folder(out, f"{stem(asked.request.named.data)}-search", overwrite)
    try:
        study_name = asked.study or folder.path.name
        storage = asked.storage or str(folder.path / JOURNAL)
        try:
            study = create_study(storage, study_name, about, ground.first_rung)
        except WhetError:
            shutil.rmtree(folder.path)
            raise
        own = {
            "storage": None if asked.storage is None else without_password(storage),
            "study": study_name,
            "home": uuid.uuid4().hex,
            "elapsed": 0.0,
            "time_limit": asked.request.config.time_limit,
            "about": about,
        }
        manifest |= {"kind": KIND, KIND: own}
        _Leader(asked, ground, study, storage, folder, manifest, listen).go()
    finally:
        folder.release()
    return folder


def resume_search(asked: SearchRequest, given: Mapping[str, Any], listen: Listener) -> RunFolder:
    """Go on with a search that was stopped or died. `given` are the settings and names that the caller gave,
    which must be its own; so must space and trials. Raises RunError, as `resume_training`."""
    need_optuna()
    data = asked.request.named.data
    folder = run_to_resume(asked.request.out, None if data is None else f"{stem(data)}-search")
    folder.claim()
    try:
        manifest = read_manifest(folder.path)
        own = _own(manifest, folder.path)
        asked = _as_begun(asked, given, manifest, folder.path)
        if manifest.get("status") == "finished":
            folder.finish()
            listen(Note(f"{folder.path} is finished already; nothing is left to do."))
            return folder
        ground = read_ground(asked, listen)
        storage = asked.storage or own["storage"] or str(folder.path / JOURNAL)
        study = load_study(storage, own["study"])
        check_same(study, ground.about())
        say_changes(manifest, ground.prepared, listen)
        folder.tidy()
        _Leader(asked, ground, study, storage, folder, manifest, listen).go()
    finally:
        folder.release()
    return folder


def help_search(asked: SearchRequest, given: Mapping[str, Any], listen: Listener) -> tuple[Path, int]:
    """Run trials of a search that another process leads, until none is left; -> where their logs are, and
    how many there were.

    The search is the one in `out`, which may be about to begin, or the study in `storage`, whose logs here
    come to stand in `out` or a new folder. What is asked for must be what the study is about."""
    need_optuna()
    request = asked.request
    led = _led(asked, listen)
    if led is not None:
        manifest = read_manifest(led)
        own = _own(manifest, led)
        model = given.get("model", manifest["model"])
        request = replace(request, named=_named(request.named, manifest["named"]), model=model)
        storage = asked.storage or own["storage"] or str(led / JOURNAL)
        name = asked.study or own["study"]
    elif asked.storage is None or asked.study is None:
        where = "" if request.out is None else f"there is no search in {request.out}; "
        raise UsageError(
            f"--join: {where}name the run folder of a search with --out, or its --storage and --study."
        )
    else:
        storage, name = asked.storage, asked.study
    if request.named.data is None:
        raise UsageError("--join: name the data that the search is about, whet search FILE --join ...")
    study = load_study(storage, name)
    about = about_of(study)
    asked = _as_asked(replace(asked, request=request), given, about)
    ground = read_ground(asked, listen)
    check_same(study, ground.about())
    slots = Slots(study, ground.points, uuid.uuid4().hex)

    def work(where: Path) -> int:
        worker = Worker(ground, study, slots, where / _TRIALS, Clock(None, time.monotonic()), listen)
        with answering(storage):
            worker.run()
        return worker.n_run

    if led is not None:
        return led, work(led)
    folder = _helpers_folder(request)
    try:
        with standing(folder, {"kind": _HELPER, "storage": without_password(storage)}):
            n_run = work(folder.path)
    finally:
        folder.release()
    return folder.path, n_run


def _led(asked: SearchRequest, listen: Listener) -> Path | None:
    """The run folder of the search that is to be helped; None where `out` is none, or this helper's own."""
    if asked.request.out is None:
        return None
    path = Path(asked.request.out).expanduser()
    manifest, until = path / "run.json", time.monotonic() + _JOIN_WAIT
    if (asked.storage is None or asked.study is None) and not manifest.exists():
        listen(Note(f"Waiting for the search in {path} to begin."))
        while not manifest.exists() and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN)
    return path if manifest.exists() and read_manifest(path).get("kind") != _HELPER else None


def _helpers_folder(request: Request) -> RunFolder:
    """A new one, or the one that a helper which has died had."""
    if request.out is None or not (Path(request.out).expanduser() / "run.json").exists():
        return create_run_folder(request.out, f"{stem(request.named.data)}-helper")
    folder = RunFolder(Path(request.out).expanduser())
    folder.claim()
    return folder


class _Leader:
    """The process that leads a search, from wherever it stands."""

    def __init__(
        self,
        asked: SearchRequest,
        ground: Ground,
        study: "optuna.Study",
        storage: str,
        folder: RunFolder,
        manifest: dict[str, Any],
        listen: Listener,
    ) -> None:
        self._ground, self._study, self._storage, self._folder = ground, study, storage, folder
        self._manifest, self._listen = manifest, listen
        self._own: dict[str, Any] = manifest[KIND]
        began = asked.request.began - self._own["elapsed"]
        self._clock = Clock(self._own["time_limit"], began, ground.look)
        self._slots = Slots(study, ground.points, self._own["home"])

    def go(self) -> None:
        """Trials, the best again, the verdict, the pictures."""
        folder, manifest, own = self._folder, self._manifest, self._own
        self._listen(Note(f"Run folder: {folder.path}. {counted(len(self._ground.points), 'trial')}."))
        with self._stopping(), standing(folder, manifest), self._timing(), answering(self._storage):
            if "plan" not in own:
                self._slots.fill()
                Worker(
                    self._ground,
                    self._study,
                    self._slots,
                    folder.path / _TRIALS,
                    self._clock,
                    self._listen,
                    self._save,
                ).run()
                self._slots.close()
                own["seconds"] = {"trials": self._clock.elapsed}
                own["plan"] = plan_again(
                    records_of(self._study), self._clock, self._ground.request.config.seed, self._listen
                ).to_json()
                self._save()
            records = [one for one in records_of(self._study) if one.state != "waiting"]  # never begun
            own["trials"] = [one.to_json() for one in records]
            plan = Plan.from_json(own["plan"])
            found = Reruns(self._ground, folder, plan, records, self._timed).run()
            manifest |= {name: found.pop(name) for name in ("results", "sha256")}
            own |= found
            own["importances"] = importances(self._study)
            own["train"] = self._train(records, found["winner"]["trial"])
            own["seconds"]["again"] = self._clock.elapsed - own["seconds"]["trials"]
            self._draw(records)
            self._look()

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """What is to be said where the user or the system ends it."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            data, out = self._manifest["named"]["data"], str(self._folder.path)
            line = f"whet search --out {shlex.quote(out)} --resume"
            if without_password(self._storage) != self._storage:
                line += " --storage URL (with its password, which is not written down)"
            again = f"whet.search(data, out={out!r}, resume=True)" if data is None else line
            self._listen(Note(f"Stopped; what has ended is kept. Go on with: {again}"))
            raise

    @contextmanager
    def _timing(self) -> Iterator[None]:
        """However it ends, the time that it took counts."""
        try:
            yield
        finally:
            self._own["elapsed"] = self._clock.elapsed

    def _timed(self, event: Event) -> None:
        """Tells others; a process that is killed later has lost no more time than an epoch's."""
        self._listen(event)
        if isinstance(event, Evaluated):
            self._own["elapsed"] = self._clock.elapsed
            self._folder.write(self._manifest | {"status": "running"})

    def _save(self) -> None:
        """How far it has come, so that a later sitting knows."""
        self._own["elapsed"] = self._clock.elapsed
        self._own["trials"] = [one.to_json() for one in records_of(self._study)]
        self._folder.write(self._manifest | {"status": "running"})

    def _train(self, records: Sequence[TrialRecord], winner: int) -> dict[str, Any]:
        """The settings that make the winner, and the command."""
        ground = self._ground
        point = next((one.point for one in records if one.number == winner and winner != 0), {})
        recipe = point.get("recipe", ground.request.recipe)
        settings = differing(ground.asked(point), recipe)
        named = self._manifest["named"]
        return {
            "recipe": recipe,
            "settings": settings,
            "line": train_line(named, self._manifest["model"], recipe, settings),
        }

    def _draw(self, records: Sequence[TrialRecord]) -> None:
        own = self._own
        title = f"Search: {self._manifest['data']['train']['source']}"
        said = own["verdict"]["sentence"] if own["verdict"] else "There is no default to compare with."
        lines = [said, f"The winner is trial {own['winner']['trial']}. {own['train']['line']}"]
        write_text(
            self._folder.path / _PICTURES,
            page(title, lines, records, own["importances"], own["winner"]["trial"], own["again"]["by"]),
        )

    def _look(self) -> None:
        """A test file that the user named has been looked at once."""
        estimate, verdict = self._ground.estimate, self._own["verdict"]
        if self._ground.estimate_is_held_out or verdict is None:
            return
        table = estimate.table
        figures = {verdict["metric"]: verdict["winner"]}
        Ledger(self._folder.path).record(
            "search --test", table.source, table.fingerprint(), len(estimate.rows), figures
        )


def _named(now: Named, then: Mapping[str, Any]) -> Named:
    """What the caller named, and for all else what the search was begun with."""
    known = {**then, "label": one_or_several(then["label"])}
    return replace(now, **{name: value for name, value in known.items() if getattr(now, name) is None})


def _own(manifest: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The search's part of a manifest. Raises RunError for another kind of run."""
    if manifest.get("kind") != KIND or not isinstance(manifest.get(KIND), dict):
        raise RunError(f"{path} is no search. Go on with it: whet train --resume --out {path}")
    return dict(manifest[KIND])


def _as_begun(
    asked: SearchRequest, given: Mapping[str, Any], manifest: Mapping[str, Any], path: Path
) -> SearchRequest:
    """The request that the search was begun with."""
    about, limit = manifest[KIND]["about"], manifest[KIND]["time_limit"]
    request = as_begun(asked.request, {}, manifest, path)
    place = {name: given[name] for name in OF_A_MACHINE if name in given}
    request = replace(request, config=replace(request.config, **place))
    known = about | {"model_name": manifest["model"], "time_limit": limit}
    asked = _as_asked(replace(asked, request=request), given, known)
    config = replace(asked.request.config, time_limit=limit)
    return replace(asked, request=replace(asked.request, config=config))


def _as_asked(asked: SearchRequest, given: Mapping[str, Any], about: Mapping[str, Any]) -> SearchRequest:
    """With space, trials, recipe and settings of the study. Raises RunError where `given` are others."""
    space = parse_space(about["space"])
    whole = ("recipe", "trials", "seed", "time_limit")
    known = {**about["settings"], **{name: about.get(name) for name in whole}}
    resting = vars(make_config(settings_at({}, about["settings"], about["recipe"])))
    known = {**resting, **known, "model": about.get("model_name", asked.request.model)}
    columns = about["columns"]
    known |= {"text": columns.get("text"), "pair": columns.get("pair"), "group": about["group"]}
    known |= {"label": one_or_several(columns.get("label")), "task": about["task"]}
    differ = [
        f"{name}: the search has {known.get(name)!r}, now {value!r}"
        for name, value in given.items()
        if name not in OF_A_MACHINE and known.get(name) != value
    ]
    if asked.space is not None and list(map(str, asked.space)) != list(about["space"]):
        differ.append(
            f"space: the search has {', '.join(about['space'])}, now {', '.join(map(str, asked.space))}"
        )
    if differ:
        raise RunError(
            "These options differ from those that the search was begun with:\n  "
            + "\n  ".join(differ)
            + "\nLeave them out, or begin another search."
        )
    place = {name: getattr(asked.request.config, name) for name in OF_A_MACHINE}
    settings = {**about["settings"], **place}
    config = make_config(settings_at({}, {**settings, "seed": about["seed"]}, about["recipe"]))
    request = replace(asked.request, config=config, recipe=about["recipe"])
    return replace(asked, request=request, settings=settings, space=space, trials=about["trials"])
