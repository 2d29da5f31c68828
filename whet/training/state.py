"""Where a run stands: the tensors and the numbers that training changes, and that resuming needs."""

import math
from dataclasses import asdict, dataclass
from typing import Any, final

from torch import Tensor

from whet.config import TrainConfig
from whet.model import TextModel
from whet.training.optimizer import Schedule, make_optimizer, parameter_groups


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
        self.groups = parameter_groups(model, new, config)
        self.optimizer = make_optimizer(self.groups, config)
        self.parameters = [parameter for group in self.groups for parameter in group["params"]]
        self.progress = Progress(schedule)
        self.best: dict[str, Tensor] | None = None  # weights of the kept epoch, on the processor

    def step(self, is_bad: Tensor) -> None:
        """Let the optimiser move the weights, unless `is_bad`, a bool that stays on the device: a fused
        optimiser reads it there, as it reads that of torch's GradScaler."""
        self.optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad()

    def keep(self, epoch: int) -> None:
        """The weights as they are now are the ones to give to the user."""
        self.best = {name: tensor.to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}
        self.progress.best_epoch = epoch

    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimiser state, by name."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, tensor in self.optimizer.state.get(parameter, {}).items():
                found[f"optimizer.{key}.{name}"] = tensor
        return found

    def restore(self, tensors: dict[str, Tensor], progress: Progress, best: dict[str, Tensor] | None) -> None:
        """Put `tensors()` of an earlier process back. Raises KeyError or RuntimeError if they do not fit."""
        weights = {name: tensors[f"model.{name}"] for name in self.model.state_dict()}
        self.model.load_state_dict(weights)
        for name, parameter in self.model.named_parameters():
            if f"optimizer.step.{name}" in tensors:  # none before the first step
                self.optimizer.state[parameter] = {
                    key: tensors[f"optimizer.{key}.{name}"].to(parameter.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        self.progress = progress
        self.best = best
