"""`glue`: each task of GLUE a run of its own, one record of all of them, and files for the leaderboard."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from whet.api import Run, listening, load, load_encoder, several, train
from whet.config import SETTINGS, make_config
from whet.data.glue import BY_NAME, DIAGNOSTIC, FROM_MNLI, SUBMISSIONS, named_tasks
from whet.data.glue_folder import Diagnostic, TaskFiles, check_files, find_diagnostic, find_tasks
from whet.encoder.device import resolve_device, resolve_precision
from whet.errors import DataError, RunError, UsageError, WhetError
from whet.files import write_json
from whet.glue_record import GLUE_JSON, begin, check_settings, go_on
from whet.glue_scores import averages, figure_over_seeds, score
from whet.recipes import with_recipe
from whet.runs import RunFolder
from whet.submission import write_submission, zip_submission
from whet.training.events import Listener, Note
from whet.user_model import Model

SOURCE = "MNLI"  # what others can be started from


@final
@dataclass(frozen=True)
class GlueResults:
    """What `whet.glue` found."""

    folder: Path
    record: dict[str, Any]  # glue.json

    @property
    def failed(self) -> dict[str, str]:
        """The tasks that did not finish, and why."""
        tasks = self.record["tasks"].items()
        return {name: found["message"] for name, found in tasks if found["status"] == "failed"}


def glue(
    data: str | os.PathLike[str],
    *,
    tasks: str | Sequence[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    seeds: int | None = None,
    transfer: str | None = None,
    recipe: str | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = False,
    listeners: Sequence[Listener] = (),
    **settings: Any,
) -> GlueResults:
    """Train GLUE's tasks, each in a run of its own below `out`, and score each on GLUE's dev files.

    data is a folder in GLUE's layout. tasks are names such as "cola" and "sst2"; none is all that are there.
    Every task is trained as by `train`: the epoch is chosen by rows held out of train.tsv, and dev.tsv is
    scored once. transfer="mnli" starts RTE, MRPC and STS-B from the model of MNLI. Test files become
    submission files. A task that fails does not end the others: see `GlueResults.failed`.
    resume goes on with what is in `out`, and adds the tasks that are named now. settings, recipe, model,
    seeds and listeners are as of `train`. Raises DataError for what is no GLUE folder and for broken files,
    all before anything is trained, and whatever else the caller can mend."""
    asked = tasks.replace(",", " ").split() if isinstance(tasks, str) else tasks
    names = None if asked is None else named_tasks(asked)
    check_settings(with_recipe(recipe, settings), names)
    several(seeds, None)
    options = {
        "model": None if model is None else os.fspath(model),
        "seeds": seeds,
        "transfer": None if transfer is None else transfer.lower(),
        "recipe": recipe,
        **settings,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("transfer", "mnli") != "mnli":
        raise UsageError(f"--transfer {transfer}: there is one model to start from. Say --transfer mnli.")
    if resume and overwrite:
        raise UsageError("resume goes on with a run and overwrite replaces it. Choose one of the two.")
    where = Path(data).expanduser()
    found = find_tasks(where)
    place = None if out is None else os.fspath(out)
    path, record = go_on(place, given) if resume else begin(place, overwrite, given)
    with listening(quiet, listeners) as listen:
        suite = _Suite(where, found, path, record, listen)
        suite.choose(names)
        path.mkdir(parents=True, exist_ok=True)
        folder = RunFolder(path)
        folder.claim()
        try:
            if not resume:
                folder.clear()
            suite.run()
        finally:
            folder.release()
    return GlueResults(path, record)


@final
class _Suite:
    """The tasks of one folder, and the record of them."""

    def __init__(
        self,
        data: Path,
        found: Mapping[str, TaskFiles],
        out: Path,
        record: dict[str, Any],
        listen: Listener,
    ) -> None:
        self._data, self._found, self._out, self._record, self._listen = data, found, out, record, listen
        self._options: dict[str, Any] = record["options"]
        self._diagnostic: Diagnostic | None = find_diagnostic(data)
        self._tasks: dict[str, Any] = record["tasks"]
        self._ahead: list[str] = []

    def choose(self, names: Sequence[str] | None) -> None:
        """Which tasks to train beside those of the record, names or else all that are there. Raises for
        whatever is wrong with any of them, before the first is trained."""
        there = [name for name, files in self._found.items() if not files.missing]
        new = names if names is not None else [] if self._tasks else there
        finished = {name for name, one in self._tasks.items() if one["status"] == "finished"}
        ahead = [name for name in BY_NAME if name in {*new, *self._tasks} - finished]
        absent = [name for name in ahead if self._found[name].missing]
        if absent or not (ahead or finished):
            told = "; ".join(f"{name}: {self._found[name].missing}" for name in absent or BY_NAME)
            raise DataError(f"{self._data} cannot train this: {told}. Fetch it, or name others with --tasks.")
        if self._options.get("transfer"):
            self._check_transfer(ahead, finished)
            ahead.sort(key=lambda name: name != SOURCE)
        if ahead:
            self._check_machine()
            check_files([self._found[name] for name in ahead], self._diagnostic if SOURCE in ahead else None)
        waiting = {name: {"status": "waiting"} for name in ahead}
        order = [name for name in BY_NAME if name in {*ahead, *finished}]
        self._tasks = {name: waiting.get(name) or self._tasks[name] for name in order}
        self._ahead = ahead
        self._record |= {
            "data": os.fspath(self._data),
            "absent": {name: files.missing for name, files in self._found.items() if files.missing},
            "tasks": self._tasks,
        }

    def run(self) -> None:
        """Train, score and predict one task after another, and write the record after each."""
        self._write("running")
        self._say(
            "GLUE's dev is what is reported, so each epoch is chosen by rows held out of train.tsv (dev, in "
            "what follows), and dev.tsv is scored once, at the end."
            if self._ahead
            else f"{self._out} is finished already; nothing is left to do."
        )
        try:
            for number, name in enumerate(self._ahead, 1):
                self._say(f"\n{name} ({number} of {len(self._ahead)})")
                try:
                    self._tasks[name] = self._one(self._found[name])
                except WhetError as error:
                    self._tasks[name] = {"status": "failed", "message": str(error)}
                    others = ", the others go on" if number < len(self._ahead) else ""
                    self._say(f"{name} failed{others}. {error}")
                self._write("running")
        except BaseException:
            self._write("stopped")
            data, out = shlex.quote(os.fspath(self._data)), shlex.quote(str(self._out))
            self._say(f"Go on with all tasks: whet glue {data} --out {out} --resume")
            raise
        scores = {name: one["score"] for name, one in self._tasks.items() if one["status"] == "finished"}
        self._record["averages"] = averages(scores)
        self._zip()
        is_whole = len(scores) == len(self._tasks)
        self._write("finished" if is_whole else "failed")

    def _one(self, files: TaskFiles) -> dict[str, Any]:
        """-> what the record says of a task that is finished."""
        task, out = files.task, self._out / files.task.name
        start = SOURCE if self._starts_from_source(task.name) else None
        run = self._train(files, out, start)
        results = run.manifest["results"]
        runs = {str(run.manifest["seed"]): (out, results)}
        if "seeds" in results:
            runs = {str(r["seed"]): (out / r["folder"], r) for r in results["seeds"]["runs"].values()}
        figures = [
            figure_over_seeds(key, "", {s: r["test"] for s, (_, r) in runs.items()}) for key in task.figures
        ]
        if len(task.parts) > 1:
            figures = [{**one, "part": task.parts[0].strip("_")} for one in figures]
        for part, dev in zip(task.parts[1:], files.dev[1:], strict=True):
            scored = {seed: self._evaluate(path, files, dev) for seed, (path, _) in runs.items()}
            figures += [figure_over_seeds(key, part.strip("_"), scored) for key in task.figures]
        model = self._load(out)
        found: dict[str, Any] = {
            "status": "finished",
            "folder": task.name,
            "started_from": start or run.manifest["model"],
            "train_rows": run.manifest["data"]["train"]["rows"],
            "dev_rows": run.manifest["data"]["test"]["rows"],
            "seconds": sum(result["training_seconds"] for _, result in runs.values()),
            "failed_seeds": results.get("seeds", {}).get("failed", {}),
            "figures": figures,
            "score": score(figures),
            "submissions": [
                self._predict(name, model, path, task.text, task.pair) for name, path in files.tests.items()
            ],
        }
        rows = [one["support"] for one in results["test"].get("per_class", [])]
        if rows:
            found["majority_share"] = max(rows) / sum(rows)
        if task.name == SOURCE and self._diagnostic is not None:
            found |= self._diagnose(model, self._diagnostic, found["submissions"])
        return found

    def _train(self, files: TaskFiles, out: Path, start: str | None) -> Run:
        task, path = files.task, os.fspath(files.train)
        plain: dict[str, Any] = {
            "test": os.fspath(files.dev[0]),
            "out": out,
            "quiet": True,
            "listeners": [self._listen],
        }
        if (out / "run.json").exists():
            return train(path, resume=True, **plain)
        options = {name: value for name, value in self._options.items() if name != "transfer"}
        if start is not None:
            if self._tasks.get(SOURCE, {}).get("status") != "finished":
                raise RunError(f"{task.name} starts from the model of {SOURCE}, which is not finished.")
            options["model"] = os.fspath(self._out / SOURCE)
        options |= {"task": task.kind, **task.names, "positive_label": task.positive_label}
        return train(path, **plain, **options)

    def _evaluate(self, run: Path, files: TaskFiles, dev: Path) -> Mapping[str, Any]:
        evaluation = self._load(run).evaluate(os.fspath(dev), **files.task.names)
        for note in evaluation.notes:
            self._say(note)
        return evaluation.metrics

    def _diagnose(self, model: Model, asked: Diagnostic, submissions: list[str]) -> dict[str, Any]:
        """The answers to the diagnostic set and, where its labels are given, their correlation."""
        submissions.append(self._predict(DIAGNOSTIC, model, asked.path, asked.text, asked.pair))
        if asked.label is None:
            return {}
        evaluation = model.evaluate(
            os.fspath(asked.path), text=asked.text, pair=asked.pair, label=asked.label
        )
        interval = evaluation.metrics["intervals"]["mcc"]
        return {
            "diagnostic": {"r3": evaluation.metrics["mcc"], "interval": interval, "rows": evaluation.n_rows}
        }

    def _predict(self, name: str, model: Model, test: Path, text: str, pair: str | None) -> str:
        path = self._out / "submission" / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        n_rows = write_submission(path, model, test, text, pair)
        self._say(f"{path}: {n_rows:,} predictions of {test}.")
        return name

    def _zip(self) -> None:
        written = {name for one in self._tasks.values() for name in one.get("submissions", ())}
        names = [name for name in SUBMISSIONS if name in written]
        self._record["submission"] = {
            "files": names,
            "missing": [name for name in SUBMISSIONS if name not in written],
        }
        if names:
            zip_submission(
                self._out / "submission.zip", [self._out / "submission" / f"{n}.tsv" for n in names]
            )

    def _load(self, run: Path) -> Model:
        return load(run, device=str(self._options.get("device") or "auto"))

    def _starts_from_source(self, name: str) -> bool:
        return bool(self._options.get("transfer")) and name in FROM_MNLI

    def _check_machine(self) -> None:
        """Raises now what every task would raise: of the model, its longest text, device and precision."""
        options = {name: value for name, value in self._options.items() if name in SETTINGS}
        config = make_config(with_recipe(self._options.get("recipe"), options))
        resolve_precision(config.precision, resolve_device(config.device))
        load_encoder(self._options.get("model", "mini"), max_length=config.max_length or 4)

    def _check_transfer(self, ahead: Sequence[str], finished: set[str]) -> None:
        if SOURCE not in ahead and SOURCE not in finished:
            why = (
                self._found[SOURCE].missing
                or f"{SOURCE} is not among --tasks and not finished in {self._out}"
            )
            raise DataError(
                f"--transfer mnli: {why}. Train {SOURCE} too, or start from a model of it with --model RUN."
            )
        if not {*ahead, *finished} & set(FROM_MNLI):
            raise UsageError(f"--transfer mnli is about {', '.join(FROM_MNLI)}, and none is among the tasks.")

    def _write(self, status: str) -> None:
        self._record["status"] = status
        write_json(self._out / GLUE_JSON, self._record)

    def _say(self, text: str) -> None:
        self._listen(Note(text))
