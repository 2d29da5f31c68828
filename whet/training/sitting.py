"""One process at work on a claimed run folder: train, save now and then, restart once, finish or stop."""

import contextlib
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch

from whet.config import TrainConfig
from whet.data.wording import counted
from whet.errors import RunError, TrainingError
from whet.group_rules import slower
from whet.model import TextModel
from whet.runs import RunFolder
from whet.training.doctor import Collapsed, Doctor
from whet.training.events import Event, Listener, Note
from whet.training.finish import finish
from whet.training.groups import beginnings
from whet.training.listeners import clock
from whet.training.logs import MetricsLog, RunLog
from whet.training.loop import NonFiniteDev, NonFiniteLoss, fit, steps_per_epoch
from whet.training.prepare import Prepared, Request
from whet.training.resume import Checkpoints
from whet.training.state import TrainingState, groups_of
from whet.training.stopping import Interruptions
from whet.training.timing import RESTING, Costs, TimeLimit, measure

Start = tuple[TextModel, frozenset[str]]  # a model, and the parameters that take the head's rate


@final
class Sitting:
    """What a process does with a run, from its first step or from a checkpoint."""

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        folder: RunFolder,
        manifest: dict[str, Any],
        listen: Listener,
    ) -> None:
        self._request, self._prepared, self._folder = request, prepared, folder
        self._manifest, self._listen = manifest, listen
        self._metrics, self._log = MetricsLog(folder.metrics), RunLog(folder.log)
        self._checkpoints = Checkpoints(folder.checkpoints, folder.metrics)
        self._interruptions = Interruptions()
        self._limit: TimeLimit | None = None
        self._costs: Costs | None = None  # what the limit was planned with
        self._doctor: Doctor | None = None
        self._beside: Mapping[str, Any] = {}  # of the checkpoint that this sitting goes on from
        self._elapsed_before = 0.0  # seconds, in earlier sittings
        self._has_said_saving = False

    def begin(self, start: Start) -> None:
        """From the first step."""
        self._go(self._state(start))

    def resume(self, start: Start) -> None:
        """From the newest checkpoint that is whole, or from the first step where there is none."""
        self._folder.checkpoints.mkdir(exist_ok=True)
        state = self._state(start)
        found = self._checkpoints.newest(self._restarts, self._say)
        if self._restarts and not self._metrics.aside.exists():  # died while beginning once more
            self._metrics.set_aside()
        self._metrics.cut(0 if found is None else found.log_bytes)
        if found is None:
            self._say("There is no checkpoint yet, so the run begins anew.")
        else:
            self._checkpoints.restore(state, found)
            self._elapsed_before, self._beside = found.progress.elapsed, found.beside
            self._say(f"Going on after step {found.progress.step} of {found.progress.schedule.n_steps}.")
        self._go(state)

    @property
    def _config(self) -> TrainConfig:
        """As asked for, or as changed by a restart."""
        return replace(self._request.config, **self._manifest.get("restart", {}))

    @property
    def _restarts(self) -> int:
        return 1 if "restart" in self._manifest else 0

    def _state(self, start: Start) -> TrainingState:
        model, new = start
        schedule = self._prepared.plan(groups_of(model, new, self._config), self._config)
        return TrainingState(model, new, self._config, schedule)

    def _go(self, state: TrainingState) -> None:
        """Train to the end, and write the results."""
        prepared, folder = self._prepared, self._folder
        self._write("running")
        self._say(
            f"Run folder: {folder.path}. Computing in {prepared.precision} on {prepared.device}, "
            f"{counted(torch.get_num_threads(), 'thread')}."
        )
        is_trained = False
        try:
            state = self._train(state)
            is_trained = True
            self._manifest |= finish(prepared.location.name, prepared, state, folder, self._config)
            self._metrics.flush()
            self._write("finished")
        except (NonFiniteLoss, NonFiniteDev) as error:
            self._write("failed")
            raise TrainingError(self._non_finite(error)) from None
        except OSError as error:
            with contextlib.suppress(OSError):
                self._write("failed")
            raise RunError(
                f"{folder.path} cannot be written: {error}. The last checkpoint is kept; when there is room, "
                f"go on with: {self._command()}"
            ) from None
        except Exception:
            self._write("failed")
            raise
        except BaseException:  # Ctrl-C, or what the program makes of SIGTERM
            if is_trained:
                self._save_to_stop(state)
            self._write("stopped")
            raise
        folder.finish()

    def _train(self, state: TrainingState) -> TrainingState:
        """The loop, and once again from the beginning where it collapsed; -> the state at its end."""
        prepared = self._prepared
        while True:
            config = self._config
            self._limit = self._time_limit(state, config)
            doctor = Doctor(prepared.train.targets, prepared.task, config, may_restart=not self._restarts)
            if "doctor" in self._beside:
                doctor.see(self._beside["doctor"])
            self._doctor = doctor
            pause = lambda: self._pause(state)  # noqa: E731, B023, called in this turn of the loop only
            try:
                with self._interruptions:
                    fit(
                        state,
                        prepared.train,
                        prepared.dev,
                        config,
                        prepared.precision,
                        lambda event: self._emit(event, doctor),  # noqa: B023
                        pause,
                    )
                return state
            except (NonFiniteLoss, NonFiniteDev):
                if state.best is not None:
                    self._save(state)
                raise
            except Collapsed as collapsed:
                self._restart(collapsed)
                state = self._state(prepared.start(self._config, lambda text: None))

    def _pause(self, state: TrainingState) -> None:
        """The state is whole: shorten its schedule, save it, or end the run, where one of these is due."""
        if self._limit is not None:
            replanned = self._limit.check(state.progress)
            if replanned is not None:
                self._emit(replanned)
        if self._interruptions.arrived is not None:
            self._save_to_stop(state)
            self._interruptions.act()
        if self._checkpoints.due:
            self._save(state)

    def _save(self, state: TrainingState) -> bool:
        """Write a checkpoint; a disk that does not let us costs a line, not the run."""
        state.progress.elapsed = self._elapsed_before + time.monotonic() - self._request.began
        try:
            self._metrics.flush()
            saved = self._checkpoints.save(state, self._restarts, self._to_go_on_with())
        except OSError as error:
            self._say(
                f"The checkpoint of step {state.progress.step} could not be written: {error}. Make room."
            )
            return False
        self._emit(saved)
        if not self._has_said_saving:
            self._has_said_saving = True
            self._say(
                f"Checkpoints: the first took {saved.seconds:.1f} s, the next comes in {saved.next_in:.0f} "
                "s; --resume goes on from the last."
            )
        return True

    def _to_go_on_with(self) -> dict[str, Any]:
        costs = {} if self._costs is None else {"costs": vars(self._costs)}
        return costs | ({} if self._doctor is None else {"doctor": self._doctor.to_json()})

    def _save_to_stop(self, state: TrainingState) -> None:
        self._has_said_saving = True  # it matters no more
        progress = state.progress
        where = f"step {progress.step} of {progress.schedule.n_steps}"
        if progress.step == 0:
            self._say(f"Stopped before the first step. Begin again with: {self._command()}")
        elif self._save(state):
            self._say(f"Stopped after {where}; all is saved. Go on with: {self._command()}")
        else:
            self._say(f"Stopped after {where}, which could not be saved.")

    def _command(self) -> str:
        data, out = self._manifest["named"]["data"], self._request.out or str(self._folder.path)
        if data is None:
            return f"whet.{self._request.command}(data, out={out!r}, resume=True)"
        files = " ".join(map(shlex.quote, [data] if isinstance(data, str) else data))
        return f"whet {self._request.command} {files} --out {shlex.quote(out)} --resume"

    def _restart(self, collapsed: Collapsed) -> None:
        """Half the rates, twice the warm-up; what the first attempt wrote stays beside."""
        config = self._config
        changed = {
            "learning_rate": config.peak_rate / 2,
            "head_learning_rate": config.head_learning_rate / 2,
            "probe_step": None if config.probe_step is None else config.probe_step / 2,
            "warmup": min(0.5, max(0.2, 2 * config.warmup)),
            "groups": slower(config.groups, 0.5),
        }
        self._manifest["restart"], self._beside = changed, {}
        self._write("running")
        self._folder.clear(list(self._folder.checkpoints.iterdir()))
        self._metrics.set_aside()
        self._say(
            f"{collapsed} Beginning once more with half the rate ({changed['learning_rate']:g}) and warm-up "
            f"over {changed['warmup']:.0%} of the steps; the log so far is {self._metrics.aside.name}."
        )

    def _time_limit(self, state: TrainingState, config: TrainConfig) -> TimeLimit | None:
        """At the first step also a schedule that fits it; a later sitting finds that in the checkpoint."""
        if config.time_limit is None:
            return None
        began = self._request.began - self._elapsed_before
        per_epoch = steps_per_epoch(len(self._prepared.train.store), config)
        n_head_steps = config.head_epochs * per_epoch
        if "costs" in self._beside:
            self._costs = Costs(**self._beside["costs"])
            return TimeLimit(config.time_limit, began, per_epoch, n_head_steps, self._costs)
        trial = TrainingState(state.model, state.new, config, RESTING)
        trial.begin(beginnings(trial.groups)[-1])  # the dearest steps
        self._costs = costs = measure(trial, self._prepared, config)
        limit = TimeLimit(config.time_limit, began, per_epoch, n_head_steps, costs)
        wanted = state.progress.schedule.n_steps
        limit.fit(state.progress, costs, lambda n: self._prepared.plan(state.groups, config, n))
        fitting = state.progress.schedule.n_steps
        if fitting == 1 < wanted:
            self._say("There is no time for more than one step, which teaches nothing; raise the limit.")
        elif fitting <= n_head_steps < wanted:
            self._say("There is time for the head alone, on the frozen encoder; raise the limit.")
        what = "all" if fitting == wanted else f"{fitting:,} of"
        self._say(
            f"Time limit {clock(config.time_limit)}: {what} {wanted:,} steps fit, at {costs.step:.2f} s each."
        )
        return limit

    def _emit(self, event: Event, doctor: Doctor | None = None) -> None:
        self._metrics(event)
        self._log(event)
        try:
            self._listen(event)
        except OSError as error:  # of whoever listens, not of this folder
            raise RunError(
                f"A listener of {self._folder.path} failed: {error!r}. The last checkpoint is kept; go on "
                f"with: {self._command()}"
            ) from error
        for warning in doctor(event) if doctor is not None else ():
            self._emit(warning)

    def _say(self, text: str) -> None:
        self._emit(Note(text))

    def _write(self, status: str) -> None:
        self._folder.write(self._manifest | {"status": status})

    def _non_finite(self, error: NonFiniteLoss | NonFiniteDev) -> str:
        best = self._folder.checkpoints / "best"
        kept = f" The best epoch so far is in {best}." if best.exists() else ""
        if isinstance(error, NonFiniteDev):
            return (
                f"After step {error.step} the model computes numbers for dev's texts that are not finite. "
                f"Lower the rate (--lr, now {self._config.peak_rate:g}) or use --precision float32.{kept}"
            )
        part, of = self._prepared.data.train, self._prepared.train.rows
        numbers = error.texts if of is None else np.unique(of[error.texts]).tolist()
        places = [part.table.place(int(part.rows[number])) for number in numbers]
        shown = ", ".join(places[:8]) + (f" and {len(places) - 8} more" if len(places) > 8 else "")
        return (
            f"Step {error.step}: the loss is not finite. Rows: {shown}. Look at these rows; where they are "
            f"sound, lower the rate (--lr, now {self._config.peak_rate:g}) or use "
            f"--precision float32.{kept}"
        )
