"""Who runs which trial: every trial of a search is a slot, which is filled by one attempt after another until
one of them has ended, whoever of the workers dies on the way.

An attempt is a trial of optuna's. It waits, runs, and ends; one whose worker died is failed and marked as
lost, and another is put in its place. Two workers may do that at the same moment, so of the attempts at a
slot that are not lost the one with the lowest number counts, and the others step back: a slot is never empty
for good, and never counted twice.

A worker shows that it lives by counting up in its trial. Others watch the count by their own clocks, so that
clocks of different machines need not agree. A worker that comes back after it was given up finds its trial
taken away, and lets go of it.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, final

from whet.training.study import CLOSED, LOST, SURPLUS, is_void

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

SLOT, HOME, BEAT = "slot", "home", "beat"  # attributes of a trial
DIED, STOPPED = "died", "stopped"  # why an attempt is lost
MOST_DEATHS: Final = 3  # of workers at one slot: then it is the trial that kills them
BEAT_EVERY: Final = 5.0  # seconds
GIVEN_UP_AFTER: Final = 60.0  # seconds without a beat


def attempts(trials: Iterable["FrozenTrial"]) -> dict[int, "FrozenTrial"]:
    """The attempt that counts of each slot that has one."""
    found: dict[int, FrozenTrial] = {}
    for trial in sorted(trials, key=lambda one: one.number):
        slot = trial.user_attrs.get(SLOT)
        if slot is not None and not is_void(trial):
            found.setdefault(slot, trial)
    return found


@final
class Slots:
    """The trials of a study, as one worker sees them."""

    def __init__(self, study: "optuna.Study", points: Sequence[Mapping[str, Any]], home: str) -> None:
        """points are what each slot begins with, {} leaves all of it to the sampler. home names this worker's
        folder, in which no other process is at work: what ran there before has died."""
        self._study, self._points, self._home = study, points, home
        self._own: int | None = None  # number of the trial in hand
        self._seen: dict[int, tuple[Any, float]] = {}  # by number: the last beat, and since when

    def fill(self) -> None:
        """Let an attempt wait wherever a slot has none; what a lost one was to try is tried again, unless too
        many workers have died of it."""
        trials = self._study.get_trials(deepcopy=False)
        taken = attempts(trials)
        lost: dict[int, list[FrozenTrial]] = {}
        for trial in trials:
            if LOST in trial.user_attrs and SLOT in trial.user_attrs:
                lost.setdefault(trial.user_attrs[SLOT], []).append(trial)
        for slot, point in enumerate(self._points):
            if slot not in taken:
                before = lost.get(slot, [])
                again = dict((before[-1].params if before else None) or point)
                if sum(one.user_attrs[LOST] == DIED for one in before) >= MOST_DEATHS:
                    self._give_up(slot, again)
                else:
                    self._study.enqueue_trial(again, user_attrs={SLOT: slot})

    def _give_up(self, slot: int, point: Mapping[str, Any]) -> None:
        """End a slot by an attempt that failed."""
        from optuna.trial import TrialState, create_trial

        why = f"{MOST_DEATHS} processes died in it, perhaps for want of memory"
        ended = {"state": "failed", "reason": why, "point": dict(point)}
        self._study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={SLOT: slot, "ended": ended}))

    def take(self) -> "optuna.Trial | None":
        """The next trial to run, or None where none waits."""
        from optuna.trial import TrialState

        self.bury()
        while True:
            trials = self._study.get_trials(deepcopy=False)
            if not any(trial.state.name == "WAITING" for trial in trials):
                if len(attempts(trials)) == len(self._points):
                    return None
                self.fill()
            trial = self._study.ask()
            slot = trial.user_attrs.get(SLOT)
            counts = attempts(self._study.get_trials(deepcopy=False)).get(-1 if slot is None else slot)
            if counts is not None and counts.number == trial.number:
                trial.set_user_attr(HOME, self._home)
                self._own = trial.number
                return trial
            trial.set_user_attr(SURPLUS, True)  # of a slot that is taken, or of none: another was faster
            self._study.tell(trial, state=TrialState.FAIL)

    def bury(self) -> None:
        """Mark as lost what runs without a worker."""
        now = time.monotonic()
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state.name != "RUNNING" or trial.number == self._own:
                continue
            beat, home = trial.user_attrs.get(BEAT), trial.user_attrs.get(HOME)
            last, since = self._seen.get(trial.number, (None, now))
            if trial.number not in self._seen or beat != last:
                self._seen[trial.number] = beat, now
                since = now
            if home == self._home or now - since > GIVEN_UP_AFTER:
                self.lose(trial)

    def lose(self, trial: "FrozenTrial | optuna.Trial", why: str = DIED) -> None:
        """Give an attempt up; its slot is to be filled again."""
        from optuna.trial import TrialState

        trial_id = trial._trial_id
        try:
            self._study._storage.set_trial_user_attr(trial_id, LOST, why)
            self._study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, RuntimeError):  # it has ended meanwhile
            return

    def end(self, trial: "optuna.Trial", value: float | None, state: str, record: Mapping[str, Any]) -> bool:
        """Say how the trial in hand ended; -> whether that counts, or it had been taken away.

        state is COMPLETE, PRUNED or FAIL."""
        from optuna.trial import TrialState

        self._own = None
        try:
            trial.set_user_attr("ended", dict(record))
            self._study.tell(trial, value if state == "COMPLETE" else None, state=TrialState[state])
        except (ValueError, RuntimeError):
            return False
        return True

    @property
    def n_open(self) -> int:
        """Slots that no attempt has ended."""
        taken = attempts(self._study.get_trials(deepcopy=False))
        return len(self._points) - sum(trial.state.is_finished() for trial in taken.values())

    @property
    def is_closed(self) -> bool:
        """Whether the search goes on without further trials."""
        return bool(self._study.user_attrs.get(CLOSED, False))

    def close(self) -> None:
        """Let nobody begin another trial."""
        self._study.set_user_attr(CLOSED, True)

    @contextmanager
    def alive(self, trial: "optuna.Trial") -> Iterator[threading.Event]:
        """Meanwhile others see that this trial has a worker. The event is set when the search is closed, or
        the trial taken away: it is of no use any more."""
        over, useless = threading.Event(), threading.Event()

        def beat() -> None:
            count = 0
            while True:
                try:
                    self._study._storage.set_trial_user_attr(trial._trial_id, BEAT, count)
                    if self.is_closed:
                        useless.set()
                except (ValueError, RuntimeError):  # it is taken away
                    useless.set()
                except Exception:  # a storage that is away for a moment: the main thread will tell
                    pass
                count += 1
                if over.wait(BEAT_EVERY):
                    break
            self._study._storage.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield useless
        finally:
            over.set()
            thread.join()
