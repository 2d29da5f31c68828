"""Where a run stands: the tensors and the numbers that training changes, and that resuming needs."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from whet.config import TrainConfig
from whet.encoder.network import Words
from whet.model import TextModel
from whet.training.optimizer import Schedule, make_optimizer, parameter_groups
from whet.training.used_rows import UsedRows


@final
@dataclass
class Progress:
    """How far a run has come, in numbers."""

    schedule: Schedule
    step: int = 0
    epochs_done: int = 0  # trained and evaluated
    n_tokens: int = 0
    seconds: float = 0.0  # of training, evaluation left out
    elapsed: float = 0.0  # of everything, over all sittings
    best_score: float = -math.inf
    best_epoch: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values; JSON has no infinity, so a best score that is not there is None."""
        saved = asdict(self) | {"schedule": self.schedule.points}
        return saved | {"best_score": None if self.best_score == -math.inf else self.best_score}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Progress":
        """Raises KeyError or TypeError where something is missing."""
        points = tuple((float(step), float(share)) for step, share in saved["schedule"])
        best = -math.inf if saved["best_score"] is None else float(saved["best_score"])
        return cls(**(saved | {"schedule": Schedule(points), "best_score": best}))


@final
class TrainingState:
    """Everything that a step changes."""

    def __init__(
        self, model: TextModel, new: frozenset[str], config: TrainConfig, schedule: Schedule
    ) -> None:
        """`new` names the parameters that take the head's rate."""
        self.model, self.new = model, new
        self.used = _used_rows(model)
        self.trained = {  # by name; of a word table, the rows that were used
            name: self.used[name].rows if name in self.used else parameter
            for name, parameter in model.named_parameters()
        }
        self.groups = parameter_groups(self.trained, new, config)
        self.optimizer = make_optimizer(self.groups, config)
        self.progress = Progress(schedule)
        self.best: dict[str, Tensor] | None = None  # weights of the kept epoch, on the processor

    def train(self) -> None:
        """The model computes as in training, and with the weights of this state."""
        self.model.train()
        for used in self.used.values():
            used.stand()

    def take_in(self, token_ids: Sequence[np.ndarray]) -> None:
        """The token ids of the next step."""
        for used in self.used.values():
            used.take_in(np.concatenate(token_ids), self.optimizer.state[used.rows])

    def step(self, is_bad: Tensor) -> None:
        """Let the optimiser move the weights, unless `is_bad`, a bool that stays on the device: a fused
        optimiser reads it there, as it reads that of torch's GradScaler."""
        self.optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad()
        for group in self.groups:
            for name in self.used.keys() & group["names"]:
                self.used[name].decayed(1 - group["lr"] * group["weight_decay"], is_bad)

    def write_back(self) -> None:
        """Let the model's own weights be the trained ones, before it is looked at."""
        for used in self.used.values():
            used.write_back()

    def keep(self, epoch: int) -> None:
        """The weights as they are now are the ones to give to the user. After `write_back`."""
        self.best = {name: tensor.to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}
        self.progress.best_epoch = epoch

    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimiser state, by name."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, used in self.used.items():
            found |= {f"used.{key}.{name}": tensor for key, tensor in used.tensors().items()}
        for name, parameter in self.trained.items():
            for key, tensor in self.optimizer.state.get(parameter, {}).items():
                found[f"optimizer.{key}.{name}"] = tensor
        return found

    def restore(self, tensors: dict[str, Tensor], progress: Progress, best: dict[str, Tensor] | None) -> None:
        """Put `tensors()` of an earlier process back. Raises KeyError or RuntimeError if they do not fit."""
        weights = {name: tensors[f"model.{name}"] for name in self.model.state_dict()}
        self.model.load_state_dict(weights)
        for name, used in self.used.items():
            saved = {key: tensors[f"used.{key}.{name}"] for key in used.tensors()}
            used.restore(saved, self.optimizer.state[used.rows])
        for name, parameter in self.trained.items():
            if f"optimizer.step.{name}" not in tensors:  # none before the first step
                continue
            state = self.optimizer.state[parameter]
            for key in ("step", "exp_avg", "exp_avg_sq"):
                saved_state = tensors[f"optimizer.{key}.{name}"].to(parameter.device)
                if key in state:
                    state[key].copy_(saved_state)
                else:
                    state[key] = saved_state
        self.progress = progress
        self.best = best


def _used_rows(model: TextModel) -> dict[str, UsedRows]:
    """By the parameter's name, for every word table that nothing else reads, as a tied decoder would."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    readers = Counter(map(id, parameters.values()))
    tables = {f"{name}.table.weight": part for name, part in model.named_modules() if isinstance(part, Words)}
    return {name: UsedRows(part) for name, part in tables.items() if readers[id(part.table.weight)] == 1}
