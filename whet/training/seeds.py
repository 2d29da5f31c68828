"""The same training from several seeds: what luck does, and the best model of them.

Each seed decides the new head, the order and the dropout masks; all see the same dev rows, so that their
figures differ by luck alone.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from whet.artifact import load_model
from whet.config import TrainConfig
from whet.data.wording import counted
from whet.model import TextModel
from whet.predictor import Predictor
from whet.runs import RunFolder
from whet.training.events import Listener, Note
from whet.training.finish import score_and_save
from whet.training.logs import RunLog
from whet.training.prepare import Prepared, Request
from whet.training.several import Member, Outcome, record, standing, summarise, train_all

_FOLDER = "seeds"


def train_seeds(
    request: Request, prepared: Prepared, folder: RunFolder, manifest: dict[str, Any], listen: Listener
) -> None:
    """Train every seed, and write what they found and the best model into `folder`, which is claimed."""
    log = RunLog(folder.log)

    def say(text: str) -> None:
        log(Note(text))
        listen(Note(text))

    with standing(folder, manifest):
        members = _members(request, prepared, folder)
        outcome = train_all(members, listen)
        model, choice = _chosen(outcome, members, prepared, request.config, say)
        results, sums = score_and_save(request.model, prepared, model, folder, request.config, _card(choice))
        manifest["results"] = results | {
            "chosen": choice,
            "seeds": {
                "runs": {
                    name: {"seed": found["seed"], **record(found, _FOLDER, str(found["seed"]))}
                    for name, found in outcome.finished.items()
                },
                "failed": outcome.failed,
                "summary": {
                    split: summarise([found["results"][split] for found in outcome.finished.values()])
                    for split in ("dev", "test")
                    if split in results
                },
            },
        }
        manifest["sha256"] = sums


def _members(request: Request, prepared: Prepared, folder: RunFolder) -> list[Member]:
    """One for each seed, from the user's on; what is left of a time limit is shared out evenly."""
    config = request.config
    limit = config.time_limit
    if limit is not None:
        limit = max((limit - (time.monotonic() - request.began)) / request.seeds, 1.0)
    split_seed = config.seed if config.split_seed is None else config.split_seed
    members = []
    for seed in range(config.seed, config.seed + request.seeds):
        own = replace(config, seed=seed, split_seed=split_seed, time_limit=limit)
        asked = replace(request, config=own, seeds=1, out=str(folder.path))
        members.append(Member(f"Seed {seed}", RunFolder(folder.path / _FOLDER / str(seed)), asked, prepared))
    return members


def _chosen(
    outcome: Outcome, members: Sequence[Member], prepared: Prepared, config: TrainConfig, say: Any
) -> tuple[TextModel, dict[str, Any]]:
    """The seed that is best on dev, or the average of all weights where that is better by more than chance;
    the first without dev."""
    finished = [member for member in members if member.name in outcome.finished]
    if prepared.dev is None:
        seed = finished[0].request.config.seed
        say(f"There is no dev set to choose by: model/ is seed {seed}, the first.")
        return load_model(finished[0].folder.model), {"kind": "seed", "seed": seed, "saw_dev": False}
    by = prepared.task.chosen_by(config)
    scores = {
        member.name: prepared.task.standing(outcome.finished[member.name]["results"]["dev"], by)[0]
        for member in finished
    }
    best = max(finished, key=lambda member: scores[member.name])
    score = scores[best.name]
    model = load_model(best.folder.model).to(prepared.device)
    found = {"kind": "seed", "seed": best.request.config.seed, "by": by, "saw_dev": True}
    if len(finished) == 1:
        return model, found
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(_average(finished))
    logits = Predictor(model).logits(prepared.dev.store)
    task = prepared.task.fitted(logits, prepared.dev.targets, config)
    averaged = task.metrics(logits, prepared.dev.targets)
    average, noise = task.standing(averaged, by)
    of_best = f"seed {found['seed']}, {_told(outcome.finished[best.name]['results']['dev'], by, score)}"
    of_average = f"the average of {len(finished)} seeds' weights, {_told(averaged, by, average)}"
    if average > score + noise:
        found |= {
            "kind": "average",
            "seed": None,
            "seeds": [member.request.config.seed for member in finished],
        }
        taken, other = of_average, of_best
    else:
        model.load_state_dict(kept)
        taken, other = of_best, of_average
    say(
        f"model/ is {taken} on dev by {by} ({other}). Dev made this choice, so expect less "
        "than its dev figures."
    )
    return model, found


def _told(metrics: Mapping[str, Any], by: str, score: float) -> str:
    if by == "loss":
        return f"{-score:.4f}"
    return "not defined" if metrics.get(by) is None else f"{score:.4f}"


def _average(members: Sequence[Member]) -> dict[str, torch.Tensor]:
    """The mean of the weights, added up in float64; one model in memory at a time."""
    total: dict[str, torch.Tensor] = {}
    for member in members:
        for name, tensor in load_model(member.folder.model).state_dict().items():
            total[name] = total[name] + tensor.double() if name in total else tensor.double()
    return {name: (tensor / len(members)).float() for name, tensor in total.items()}


def _card(choice: Mapping[str, Any]) -> str:
    """How the model was come by, for its card."""
    if choice["kind"] == "average":
        return (
            f"It is the average of {counted(len(choice['seeds']), 'seed')}, taken because these rows said so."
        )
    if not choice["saw_dev"]:
        return f"It is seed {choice['seed']}, the first of several."
    return f"It is seed {choice['seed']}, of several the best on these rows."
