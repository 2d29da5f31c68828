"""The best of a search trained again on fresh seeds, one of them named by dev, and judged against the
default on rows that nothing has seen."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, final

import numpy as np

from whet.artifact import load_model
from whet.data.folds import row_groups
from whet.data.wording import counted
from whet.files import folder_beside
from whet.predictor import Predictor
from whet.runs import RunFolder
from whet.search_record import TrialRecord, best, complete
from whet.search_space import RECIPE
from whet.training.data import examples
from whet.training.events import Listener, Note
from whet.training.search_ground import Ground
from whet.training.search_time import BEST, SEEDS, again, share
from whet.training.search_trials import Clock
from whet.training.several import Member, Outcome, train_all
from whet.training.verdict import Said, Verdict, judge, scored, the_same

FOLDER = "reruns"


@final
@dataclass(frozen=True)
class Plan:
    """What is trained again."""

    trials: tuple[int, ...]  # the default, 0, and the best of the others
    seeds: tuple[int, ...]  # of each
    share: float | None  # seconds of each run, at the most

    def to_json(self) -> dict[str, Any]:
        """Plain values; `Plan.from_json` reads them back."""
        return {"trials": list(self.trials), "seeds": list(self.seeds), "share": self.share}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Plan":
        """Raises KeyError where something is missing."""
        return cls(tuple(saved["trials"]), tuple(saved["seeds"]), saved["share"])


def plan_again(records: Sequence[TrialRecord], clock: Clock, seed: int, listen: Listener) -> Plan:
    """The best three and the default, on three fresh seeds each, or what there is time for."""
    others = best(records, BEST)
    n_best, n_seeds = len(others), SEEDS
    each = None
    if clock.limit is not None:
        left = clock.limit - clock.elapsed
        known = [one.seconds for one in complete(records)] or [left / 2]
        of_default = next((one.seconds for one in complete(records) if one.number == 0), max(known))
        n_best, n_seeds = again([one.seconds for one in others], of_default, left, clock.limit, clock.look)
        each = share(left, clock.limit, (n_best + 1) * n_seeds, n_seeds, of_default, clock.look)
        if n_best and (n_best, n_seeds) != (len(others), SEEDS):
            listen(
                Note(
                    f"There is time to train the best {n_best} and the default again on "
                    f"{counted(n_seeds, 'fresh seed')} each, not {len(others)} on {SEEDS}."
                )
            )
    if not n_best:
        listen(Note("No trial beside the default was trained to its end, so it alone is trained again."))
    trials = (0, *(one.number for one in others[:n_best]))
    return Plan(trials, tuple(seed + i for i in range(1, n_seeds + 1)), each)


@final
class Reruns:
    """The runs of a plan, each in a folder of its own below that of the search."""

    def __init__(
        self, ground: Ground, folder: RunFolder, plan: Plan, records: Sequence[TrialRecord], listen: Listener
    ) -> None:
        self._ground, self._folder, self._plan, self._listen = ground, folder, plan, listen
        self._points = {one.number: one.point for one in records}
        self._by = ground.prepared.task.chosen_by(ground.request.config)
        self._scores: dict[int, dict[int, float]] = {}

    def run(self) -> dict[str, Any]:
        """Train what is not trained yet, choose, judge, and put the winner's model in place; -> what the
        manifest gains. Raises TrainingError where no run could be finished."""
        plan = self._plan
        members = {
            (number, seed): self._member(number, seed) for seed in plan.seeds for number in plan.trials
        }
        outcome = train_all(list(members.values()), self._listen)
        self._scores = self._scored(members, outcome)
        means = {number: fmean(found.values()) for number, found in self._scores.items()}
        winner = max(means, key=lambda number: (means[number], number == 0))  # of equals the default
        verdict = self._verdict(winner)
        seed = max(self._scores[winner], key=lambda one: self._scores[winner][one])
        chosen = members[winner, seed]
        with folder_beside(self._folder.model) as beside:
            shutil.copytree(chosen.folder.model, beside, dirs_exist_ok=True)
        results = outcome.finished[chosen.name]["results"]
        return {
            "results": {name: value for name, value in results.items() if name != "test"},
            "sha256": outcome.finished[chosen.name]["sha256"],
            "again": {
                "by": self._by,
                "seeds": list(plan.seeds),
                "dev": {
                    str(number): {str(one): score for one, score in found.items()}
                    for number, found in self._scores.items()
                },
                "failed": outcome.failed,
            },
            "winner": {"trial": winner, "seed": seed, "dev": means[winner]},
            "verdict": None if verdict is None else verdict.to_json(),
        }

    def _member(self, number: int, seed: int) -> Member:
        ground, each = self._ground, self._plan.share
        point = {} if number == 0 else self._points[number]
        config = replace(ground.config(point), seed=seed, time_limit=each)
        recipe = point.get(RECIPE, ground.request.recipe)
        request = replace(ground.request, config=config, recipe=recipe, out=str(self._folder.path))
        name = f"{'The default' if number == 0 else f'Trial {number}'} again, seed {seed}"
        return Member(name, RunFolder(self._place(number, seed)), request, ground.under(config))

    def _place(self, number: int, seed: int) -> Path:
        return self._folder.path / FOLDER / f"{number:03}-seed-{seed}"

    def _scored(
        self, members: Mapping[tuple[int, int], Member], outcome: Outcome
    ) -> dict[int, dict[int, float]]:
        """Dev's score by trial and seed, of all that were finished."""
        task = self._ground.prepared.task
        found: dict[int, dict[int, float]] = {}
        for (number, seed), member in members.items():
            if member.name in outcome.finished:
                dev = outcome.finished[member.name]["results"]["dev"]
                found.setdefault(number, {})[seed] = task.standing(dev, self._by)[0]
        return found

    def _verdict(self, winner: int) -> Verdict | None:
        """None where the default could not be trained."""
        if 0 not in self._scores:
            self._listen(Note("The default could not be trained again, so there is nothing to compare with."))
            return None
        targets = self._ground.estimate.targets
        default = self._said(0)
        if winner == 0:
            task, logits = default.tasks.values(), default.logits.values()
            scores = [scored(one, said, targets, self._by) for one, said in zip(task, logits, strict=True)]
            alone = len(self._plan.trials) == 1
            return the_same(self._by, fmean(scores), len(targets), len(scores), alone)
        return judge(self._by, targets, default, self._said(winner), self._together())

    def _together(self) -> np.ndarray | None:
        """Numbers, (n,), that the estimate's rows of one value of the column --group share."""
        ground = self._ground
        group, rows = ground.request.named.group, ground.estimate.rows
        if group is None or group not in ground.estimate.table.names:
            return None
        numbers: np.ndarray = row_groups(ground.estimate.table, ground.prepared.data.columns, group)[rows]
        return numbers

    def _said(self, number: int) -> Said:
        """What the models of one configuration say of the estimate's rows; one is in memory at a time."""
        ground = self._ground
        tasks, logits = {}, {}
        prepared = ground.under(ground.config({} if number == 0 else self._points[number]))
        rows = examples(
            ground.estimate, prepared.data.columns, prepared.task, prepared.tokeniser, prepared.rules
        )
        for seed in self._scores[number]:
            model = load_model(self._place(number, seed) / "model").to(prepared.device)
            tasks[seed] = model.task
            logits[seed] = np.asarray(Predictor(model).logits(rows.store))
        return Said(tasks, logits)
