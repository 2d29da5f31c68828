"""Where a run stands: the tensors and the numbers that training changes, and that resuming needs."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from torch import Tensor, nn

from whet.config import TrainConfig
from whet.encoder.network import Words
from whet.model import TextModel
from whet.training.averaging import Average
from whet.training.groups import Group, frozen_modules, grouped, places_of
from whet.training.lora import without_lora
from whet.training.optimizer import AdamW, Schedule, parameter_group
from whet.training.used_rows import UsedRows


@final
@dataclass
class Progress:
    """How far a run has come, in numbers."""

    schedule: Schedule
    step: int = 0
    epochs_done: int = 0  # trained and evaluated
    n_tokens: int = 0  # of the steps in which more than the head was trained
    seconds: float = 0.0  # of training, evaluation left out
    elapsed: float = 0.0  # of everything, over all sittings
    best_score: float = -math.inf
    best_epoch: int = 0
    is_done: bool = False  # no step follows; the kept epoch is all that counts

    def to_json(self) -> dict[str, Any]:
        """Plain values; JSON has no infinity, so a best score that is not there is None."""
        saved = asdict(self) | {"schedule": self.schedule.points, "fall": self.schedule.fall}
        return saved | {"best_score": None if self.best_score == -math.inf else self.best_score}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Progress":
        """Raises KeyError or TypeError where something is missing."""
        points = tuple((float(step), float(share)) for step, share in saved["schedule"])
        best = -math.inf if saved["best_score"] is None else float(saved["best_score"])
        schedule = Schedule(points, saved.get("fall", "line"))
        plain = {name: value for name, value in saved.items() if name != "fall"}
        return cls(**(plain | {"schedule": schedule, "best_score": best}))


@final
class TrainingState:
    """Everything that a step changes."""

    def __init__(
        self, model: TextModel, new: frozenset[str], config: TrainConfig, schedule: Schedule
    ) -> None:
        """`new` names the parameters that take the head's rate. Raises ConfigError as `grouped`."""
        self.model, self.new = model, new
        self._parameters = dict(model.named_parameters())
        self.groups = groups_of(model, new, config)
        self._tables = _word_tables(model)
        self.used: dict[str, UsedRows] = {}  # by name, of the word tables that are trained
        self.trained: dict[str, nn.Parameter] = {}  # by name; of a word table, the rows that were used
        self.frozen: list[nn.Module] = []  # what lies below everything that is trained
        self.n_frozen_layers: int | None = None  # of the encoder; None: not even the embeddings are
        self.optimizer = AdamW(self._joining(1), config)
        self.rate_factor = 1.0  # of all rates of this stage
        self.average = Average(config)
        self.progress = Progress(schedule)
        self.best: dict[str, Tensor] | None = None  # weights of the kept epoch, on the processor

    @property
    def is_encoder_frozen(self) -> bool:
        """Whether nothing of it is trained now."""
        return self.frozen == [self.model.encoder]

    def begin(self, epoch: int) -> bool:
        """Let be trained what is trained in this epoch, from 1, too; -> whether that is more than before."""
        is_more = False
        for first in range(2, epoch + 1):  # in this order wherever a run is gone on with
            for group in self._joining(first):
                self.optimizer.add_param_group(group)
                is_more = True
        return is_more

    def _joining(self, epoch: int) -> list[dict[str, Any]]:
        """The groups that are trained from this epoch on, and are not yet."""
        found = []
        for group in self.groups:
            if group.first_epoch == epoch and group.names[0] not in self.trained:
                members = {name: self._to_train(name) for name in group.names}
                self.trained |= members
                found.append(parameter_group(group, list(members.values())))
        self.trained = {name: self.trained[name] for name in self._parameters if name in self.trained}
        own = [self._parameters[name] for name in self.trained]
        self.frozen, self.n_frozen_layers = frozen_modules(self.model.encoder, own)
        self._open()
        return found

    def _to_train(self, name: str) -> nn.Parameter:
        if name in self._tables:
            self.used[name] = UsedRows(self._tables[name])
            return self.used[name].rows
        return self._parameters[name]

    def _open(self) -> None:
        """What is trained, and nothing else, has gradients, also where another state of this model, which is
        over, trained something else."""
        for name, parameter in self._parameters.items():
            parameter.requires_grad_(name in self.trained and name not in self.used)
        for name, words in self._tables.items():
            words.trained = self.used.get(name)

    def train(self) -> None:
        """The model computes as in training, with the weights of this state; what lies below everything
        that is trained computes as in evaluation, without dropout."""
        self._open()
        self.model.train()
        for part in self.frozen:
            part.eval()

    def take_in(self, token_ids: Sequence[np.ndarray]) -> None:
        """The token ids of the next step."""
        for used in self.used.values():
            used.take_in(np.concatenate(token_ids), self.optimizer.state[used.rows])

    def step(self, is_bad: Tensor) -> None:
        """Let the optimiser move the weights, unless `is_bad`, a bool that stays on the device."""
        self.optimizer.step(is_bad.float())
        self.optimizer.zero_grad()
        for group in self.optimizer.param_groups:
            for name in self.used.keys() & group["names"]:
                self.used[name].decayed(1 - group["lr"] * group["weight_decay"], is_bad)

    def write_back(self) -> None:
        """Let the model's own weights be the trained ones, before it is looked at."""
        for used in self.used.values():
            used.write_back()

    @property
    def weights(self) -> dict[str, Tensor]:
        """The model's own of all that is trained, by name. After `write_back`."""
        return {name: self._parameters[name] for name in self.trained}

    def keep(self, epoch: int) -> None:
        """The weights as they are now are the ones to give to the user. After `write_back`."""
        weights = without_lora(self.model)
        self.best = {name: tensor.to("cpu", copy=True) for name, tensor in weights.items()}
        self.progress.best_epoch = epoch

    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimiser state, by name; of training that is done there are none, and the model may
        hold others."""
        if self.progress.is_done:
            return {}
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        found |= {f"average.{key}": tensor for key, tensor in self.average.tensors().items()}
        for name, used in self.used.items():
            found |= {f"used.{key}.{name}": tensor for key, tensor in used.tensors().items()}
        for name, parameter in self.trained.items():
            for key, tensor in self.optimizer.state.get(parameter, {}).items():
                found[f"optimizer.{key}.{name}"] = tensor
        return found

    def restore(self, tensors: dict[str, Tensor], progress: Progress, best: dict[str, Tensor] | None) -> None:
        """Put `tensors()` of an earlier process back. Raises KeyError or RuntimeError if they do not fit."""
        self.progress, self.best = progress, best
        if progress.is_done:
            return
        weights = {name: tensors[f"model.{name}"] for name in self.model.state_dict()}
        self.model.load_state_dict(weights)
        self.begin(progress.epochs_done + 1)
        for name, used in self.used.items():
            if f"used.ids.{name}" not in tensors:  # not trained before this epoch, which has no step yet
                continue
            saved = {key: tensors[f"used.{key}.{name}"] for key in used.tensors()}
            used.restore(saved, self.optimizer.state[used.rows])
        averages = {key.removeprefix("average."): tensor for key, tensor in tensors.items()}
        self.average.restore(averages, self._parameters)
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


def groups_of(model: TextModel, new: frozenset[str], config: TrainConfig) -> list[Group]:
    """See `grouped`."""
    places = places_of(model.encoder, dict(model.named_parameters()), new)
    return grouped(places, len(model.encoder.sequence), config)


def _word_tables(model: TextModel) -> dict[str, Words]:
    """By the parameter's name, every word table that nothing else reads, as a tied decoder would."""
    if model.head.reads_words:
        return {}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    readers = Counter(map(id, parameters.values()))
    tables = {f"{name}.table.weight": part for name, part in model.named_modules() if isinstance(part, Words)}
    return {name: part for name, part in tables.items() if readers[id(part.table.weight)] == 1}
