"""What a run will take: steps, tokens, minutes, memory, disk. Nothing is trained or kept."""

import math
import sys
import time
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from whet.config import TrainConfig
from whet.text.batches import plan_epoch
from whet.training.events import Listener, Note
from whet.training.folds import plan_folds
from whet.training.gradient import Examples
from whet.training.groups import BY_PROBE, beginnings
from whet.training.loop import steps_per_epoch, train_step
from whet.training.prepare import Request, prepare
from whet.training.state import Progress, TrainingState
from whet.training.timing import FINISHING, RESTING, TimeLimit, measure

_OTHER_FILES = 2_000_000  # bytes of tokeniser, logs and manifest
_FRAGMENTED = 0.8  # of a step's activations: freed blocks that other lengths do not fit (measured)
_CHECKPOINTS = 3  # two that stand on the disk, and one that is being written


@final
@dataclass(frozen=True)
class GroupEstimate:
    """Parameters that are treated alike."""

    name: str
    n_tensors: int
    n_parameters: int
    learning_rate: float  # at its peak
    weight_decay: float
    first_epoch: int | None = 1  # in which they are trained; None: they never are


@final
@dataclass(frozen=True)
class Estimate:
    """What `--dry-run` says."""

    groups: tuple[GroupEstimate, ...]
    n_rows: int
    n_epochs: int
    n_steps: int
    tokens_per_epoch: int  # real ones
    padded_tokens_per_epoch: int  # if random batches were padded to their longest text
    seconds: float  # of the whole command
    memory_bytes: int  # resident, at its peak
    disk_bytes: int  # of the run folder in the end
    disk_peak_bytes: int  # while training, with checkpoints
    n_runs: int = (
        1  # seeds, or folds and the model itself; n_steps and n_epochs are of one, time and disk of all
    )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "groups": [vars(group) for group in self.groups]}


def estimate_training(request: Request, listen: Listener) -> Estimate:
    """Read all that a run reads and time a few of its steps. Raises WhetError, as the run would."""
    n_runs = request.seeds if request.folds is None else request.folds + 1
    limit = None if request.config.time_limit is None else request.config.time_limit / n_runs
    prepared = prepare(request, lambda text: listen(Note(text)))
    config = replace(prepared.settled(request.config), time_limit=limit)
    if request.folds is not None:
        plan_folds(request, prepared)  # raises what the run would
    model, new = prepared.start(config, lambda text: listen(Note(text)))
    if config.probe_step is not None:
        listen(Note(BY_PROBE))
    train = prepared.train
    loaded = time.monotonic() - request.began
    state = TrainingState(model, new, config, RESTING)
    first = np.arange(min(len(train.store), config.batch_size))
    state.begin(beginnings(state.groups)[-1])  # the dearest steps
    state.take_in(train.store.sequences(np.flatnonzero(train.store.ensure(first).lengths)).ids)
    before = _peak_memory()
    costs = measure(state, prepared, config)
    longest = _longest_step(train, config)
    train_step(state, train, longest, 1, config, prepared.precision)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    trained = sum(parameter.nbytes for parameter in state.trained.values())
    activations = max(0, _peak_memory() - before - 3 * trained)  # beyond gradients and AdamW's two moments
    checkpoint = 2 * weights + 3 * trained  # the model and its kept epoch; the moments, and the used rows
    progress = Progress(prepared.plan(state.groups, config))
    per_epoch = steps_per_epoch(len(train.store), config)
    if config.time_limit is not None:
        now = time.monotonic() - loaded
        TimeLimit(config.time_limit, now, per_epoch, config.head_epochs * per_epoch, costs).fit(
            progress, costs, lambda n: prepared.plan(state.groups, config, n)
        )
    n_steps = progress.schedule.n_steps
    n_epochs = math.ceil(n_steps / per_epoch)
    n_head_steps = min(config.head_epochs * per_epoch, n_steps)
    one_run = n_head_steps * costs.head_step + (n_steps - n_head_steps) * costs.step
    one_run += n_epochs * costs.evaluation + costs.ending + FINISHING
    # k folds train on (k - 1) / k of the rows each, and the model on all
    seconds = loaded + (request.folds or request.seeds) * one_run
    folders = n_runs + (request.seeds > 1)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    tokens, padded = _tokens(train, config)
    return Estimate(
        groups=tuple(
            GroupEstimate(
                group.title,
                len(group.names),
                sum(sizes[name] for name in group.names),
                group.rate,
                group.decay,
                group.first_epoch,
            )
            for group in state.groups
        ),
        n_rows=len(train.store),
        n_epochs=n_epochs,
        n_steps=n_steps,
        tokens_per_epoch=tokens,
        padded_tokens_per_epoch=padded,
        seconds=seconds,
        memory_bytes=_peak_memory() + weights + round(_FRAGMENTED * activations),  # weights: the kept epoch
        disk_bytes=folders * (weights + _OTHER_FILES),
        disk_peak_bytes=(folders - 1) * (weights + _OTHER_FILES) + _CHECKPOINTS * checkpoint + _OTHER_FILES,
        n_runs=n_runs,
    )


def _longest_step(train: Examples, config: TrainConfig) -> np.ndarray:
    """The texts of the step of epoch 1 that has most tokens, where all lengths are known."""
    if (train.store.lengths == 0).any():
        order = np.argsort(train.store.lengths, kind="stable")
        return order[-config.batch_size :]
    steps = plan_epoch(train.store, config.batch_size, config.seed, 1)
    return max(steps, key=lambda texts: int(train.store.lengths[texts].sum()))


def _tokens(train: Examples, config: TrainConfig) -> tuple[int, int]:
    """Real tokens of an epoch, and those of random batches padded to their longest; from the texts that
    have been tokenised, which are all of them up to 50,000."""
    known = train.store.lengths[train.store.lengths > 0]
    shuffled = np.random.default_rng(config.seed).permutation(known)
    starts = np.arange(0, len(shuffled), config.batch_size)
    longest = np.maximum.reduceat(shuffled, starts)
    sizes = np.diff([*starts, len(shuffled)])
    scale = len(train.store) / len(known)
    return round(int(known.sum()) * scale), round(int((longest * sizes).sum()) * scale)


def _peak_memory() -> int:
    """Bytes of this process at their peak."""
    import resource  # Unix only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
