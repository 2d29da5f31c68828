"""A worker of a search: takes trials from the study, runs them one after another, and says how each ended."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from whet.encoder.memory import give_back_memory
from whet.errors import WhetError
from whet.files import write_json
from whet.runs import RunFolder
from whet.search_record import TrialRecord, told
from whet.training.events import Event, Listener, Note, StepDone, TrainingStarted
from whet.training.frozen import SharedFeatures
from whet.training.search_ground import Ground
from whet.training.search_time import kept_back
from whet.training.slots import DIED, SLOT, STOPPED, Slots, attempts
from whet.training.study import key_sampler, suggest
from whet.training.trial import Ended, OutOfTime, Trial

if TYPE_CHECKING:
    import optuna

_LOOK_AGAIN = 0.5  # seconds, while others are at work
_STATES = {"complete": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL", "out of time": "FAIL"}
_GB = 1e9


@final
class Clock:
    """The time that a search may take."""

    def __init__(self, limit: float | None, began: float, look: float = 0.0) -> None:
        """limit in seconds; began as of time.monotonic; look as in `kept_back`."""
        self.limit, self.look, self._began = limit, look, began
        self._run: float | None = None  # seconds of the default

    def learn(self, seconds: float) -> None:
        """How long the default took."""
        self._run = seconds

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    @property
    def left_for_trials(self) -> float:
        """Seconds; infinite without a limit."""
        if self.limit is None:
            return float("inf")
        return self.limit - kept_back(self.limit, self._run, self.look) - self.elapsed


@final
class Worker:
    """One process at work on the trials of a search; between two trials it holds no model."""

    def __init__(
        self,
        ground: Ground,
        study: "optuna.Study",
        slots: Slots,
        folder: Path,
        clock: Clock,
        listen: Listener,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        """Each trial's log comes to stand in a folder below `folder`; saved is called after each."""
        self._ground, self._study, self._slots = ground, study, slots
        self._folder, self._clock, self._listen, self._saved = folder, clock, listen, saved
        self._features = SharedFeatures(ground.request.config.feature_cache * _GB)
        self.n_run = 0

    def run(self) -> None:
        """Until every trial has ended, whoever ran it, or the time is over."""
        is_waiting = False
        while not self._slots.is_closed:
            self._learn_cost()
            if self._clock.left_for_trials <= self._least:
                break
            trial = self._slots.take()
            if trial is not None:
                is_waiting = False
                self._one(trial)
                self._saved()
                continue
            if self._slots.n_open == 0:
                break
            if not is_waiting:
                is_waiting = True
                self._listen(Note("No trial is left to begin; waiting for those of other workers."))
            time.sleep(_LOOK_AGAIN)

    def _learn_cost(self) -> None:
        """Of the default, as soon as somebody has trained it."""
        records = records_of(self._study)
        if records and records[0].number == 0 and records[0].state == "complete":
            self._clock.learn(records[0].seconds)

    @property
    def _least(self) -> float:
        """Seconds that a trial takes to the first rung, going by those so far: with fewer it is not begun."""
        rung = self._ground.first_rung
        costs = [
            one.seconds * one.n_steps / one.step
            for one in records_of(self._study)
            if one.step and one.n_steps
        ]
        return 0.0 if rung is None or not costs else min(costs) * rung / 100

    def _one(self, trial: "optuna.Trial") -> None:
        ground, slot = self._ground, trial.user_attrs[SLOT]
        folder = RunFolder(self._folder / f"{slot:03}")
        with self._slots.alive(trial) as useless:
            try:
                held = [one for one in ground.space if slot != 0 or one.name in ground.default]
                key_sampler(self._study, ground.request.config.seed, slot)
                point = suggest(trial, tuple(held))
                self._listen(Note(f"Trial {slot}: {told(slot, point)}"))
                ended = self._trained(trial, slot, point, folder, useless)
            except BaseException as error:
                self._slots.lose(trial, DIED if isinstance(error, Exception) else STOPPED)
                raise
        give_back_memory()
        record = asdict(ended) | {"point": point, "worker": platform.node()}
        if folder.path.exists():
            write_json(folder.path / "trial.json", {"number": slot, **record})
        if not self._slots.end(trial, ended.score, _STATES[ended.state], record):
            self._listen(Note(f"Trial {slot} was given to another worker meanwhile."))
            return
        self.n_run += 1
        self._listen(Note(f"Trial {slot}: {_outcome(ended)}"))

    def _trained(
        self, trial: "optuna.Trial", slot: int, point: Mapping[str, Any], folder: RunFolder, useless: Any
    ) -> Ended:
        ground = self._ground
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.clear()  # of an attempt whose worker died
        try:
            config = ground.config({} if slot == 0 else point)
            prepared = ground.under(config)
        except WhetError as error:  # values that do not go together
            return Ended("failed", None, None, 0, 0, 0.0, str(error))

        def pause() -> None:
            if useless.is_set():
                raise OutOfTime("the search has ended, or another worker has this trial")
            if self._clock.left_for_trials <= 0:
                raise OutOfTime("the time for trials is over")

        def goes_on(percent: int, score: float) -> bool:
            try:
                trial.report(score, percent)
                return not trial.should_prune()
            except (ValueError, RuntimeError):  # optuna's, of a trial that has been ended by another
                raise OutOfTime("another worker has this trial") from None

        return Trial(prepared, config, folder, ground.first_rung).run(
            goes_on, pause, self._features.compute, self._told
        )

    def _told(self, event: Event) -> None:
        """The steps, for a progress line; all else stands in the trial's log."""
        if isinstance(event, TrainingStarted | StepDone):
            self._listen(event)


def records_of(study: "optuna.Study") -> list[TrialRecord]:
    """One for each slot that has an attempt, in the order of slots."""
    found = []
    for slot, trial in sorted(attempts(study.get_trials(deepcopy=False)).items()):
        ended = dict(trial.user_attrs.get("ended", {}))
        point = ended.pop("point", dict(trial.params))
        waits = "running" if trial.state.name == "RUNNING" else "waiting"
        state = ended.pop("state", "failed" if trial.state.is_finished() else waits)
        rungs = {int(step): score for step, score in sorted(trial.intermediate_values.items())}
        record = TrialRecord(slot, state if trial.state.is_finished() else waits, point, rungs=rungs)
        kept = {name: value for name, value in ended.items() if hasattr(record, name)}
        found.append(replace(record, **kept))
    return found


def _outcome(ended: Ended) -> str:
    if ended.state == "complete" and ended.score is not None:
        return f"dev {ended.score:.4f}, in {ended.seconds:.0f} s"
    return f"{ended.state} after step {ended.step} of {ended.n_steps}. {ended.reason}".strip()
