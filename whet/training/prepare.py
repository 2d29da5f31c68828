"""From a request to everything that training needs, in memory: no run folder yet, nothing written."""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from whet.checkpoints.families.base import Family
from whet.checkpoints.loading import described, open_checkpoint, read_config
from whet.checkpoints.locate import Location, locate
from whet.checkpoints.new import new_checkpoint
from whet.config import TrainConfig
from whet.data.corpus import TASK as MASKED_LM
from whet.data.texts import Texts
from whet.data.wording import counted
from whet.encoder.device import resolve_device, resolve_precision
from whet.encoder.memory import bound_caches, keep_freed_memory
from whet.encoder.network import EncoderSpec
from whet.errors import ConfigError
from whet.model import TextModel, layout_of, start_model
from whet.recipes import DEFAULT
from whet.tasks import Task
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser
from whet.training.check import warn_before_training
from whet.training.corpus import read_corpus_data
from whet.training.data import Named, TrainingData, examples, read_training_data
from whet.training.gradient import Examples
from whet.training.groups import Group, beginnings, with_rate
from whet.training.loop import plan, planned_epochs
from whet.training.optimizer import Schedule
from whet.training.outfit import outfit
from whet.training.state import groups_of

_SAMPLE = 5000  # texts that are looked at to say how many will be cut

Say = Callable[[str], None]


@final
@dataclass(frozen=True)
class Request:
    """Everything that a user can ask of a training run."""

    named: Named
    config: TrainConfig
    model: str = "mini"
    out: str | None = None
    overwrite: bool = False
    seeds: int = 1  # runs, from config.seed on
    folds: int | None = None  # of a cross-validation
    recipe: str = DEFAULT  # whose settings are in the config already, under those that the user gave
    began: float = field(default_factory=time.monotonic)  # for the time limit
    command: str = "train"  # of whet, which goes on with it


@final
@dataclass(frozen=True)
class Prepared:
    """Data, model and place of computing, ready to train."""

    data: TrainingData
    train: Examples
    dev: Examples | None
    rules: TextRules
    location: Location
    hidden_size: int
    device: torch.device
    precision: str
    tokeniser: Tokeniser
    task: Task
    scratch: Any = None  # holds the files of an encoder that was made for this run, as long as this lives

    def start(self, config: TrainConfig, say: Say) -> tuple[TextModel, frozenset[str]]:
        """A model at its first step, the same each time; and the parameters that take the head's rate."""
        start = start_model(
            open_checkpoint(self.location.folder),
            self.task,
            self.tokeniser,
            self.rules,
            config.seed,
            config.dropout,
        )
        millions = sum(parameter.numel() for parameter in start.model.parameters()) / 1e6
        say(f"Encoder: {self.location.name} ({millions:.1f} M parameters).")
        for note in start.notes:
            say(note)
        model = start.model.to(self.device)
        model = model.double() if self.precision == "float64" else model
        outfit(model, config)
        self.plan(groups_of(model, start.new, config), config)  # raises now, not once the run folder is there
        return model, start.new

    def settled(self, config: TrainConfig) -> TrainConfig:
        """The same with the rate of the encoder's width, where nobody gave one, and without head_first
        where the task has no use for it."""
        config = with_rate(config, self.hidden_size)
        return config if self.task.has_probe else replace(config, head_first=0)

    def plan(self, groups: Sequence[Group], config: TrainConfig, most_steps: float = math.inf) -> Schedule:
        """Every step of the run. Raises ConfigError where it ends before something of these groups is
        trained."""
        n_texts, stages = len(self.train.store), beginnings(groups)
        epochs = planned_epochs(n_texts, config)
        if stages[-1] > epochs:
            raise ConfigError(
                f"unfreeze_at={config.unfreeze_at}, unfreeze_groups={config.unfreeze_groups}: the last group "
                f"is unfrozen for epoch {stages[-1]}, and there are {epochs}. Train longer (--epochs "
                f"{stages[-1]}), or unfreeze earlier."
            )
        if config.unfreeze_at is not None and len(stages) - 1 < config.unfreeze_groups:
            raise ConfigError(
                f"unfreeze_groups={config.unfreeze_groups}: what is frozen here makes {len(stages) - 1} at "
                "most, as each has a layer, or the embeddings. Ask for no more."
            )
        return plan(n_texts, config, stages, most_steps)

    def rules_of(self, config: TrainConfig) -> TextRules:
        """How texts are read under other settings. Raises ConfigError for what this encoder cannot do."""
        family, spec, _ = described(read_config(self.location.folder))
        return _rules(config, self.data, family, spec, self.tokeniser)

    def under(self, config: TrainConfig) -> "Prepared":
        """The same under other settings; the tokens are shared where these do not change them."""
        rules = self.rules_of(config)
        if rules != self.rules:
            return self._bound(self.data, config, rules)
        task = self.data.task.trained_on(self.train.targets, config).having_read(self.train.store)
        return replace(self, task=task)

    def on(self, data: TrainingData, config: TrainConfig) -> "Prepared":
        """The same with other rows of the same columns and labels."""
        return self._bound(data, config, self.rules)

    def _bound(self, data: TrainingData, config: TrainConfig, rules: TextRules) -> "Prepared":
        place = self.location, self.hidden_size, self.device, self.precision
        return replace(_bound(data, config, rules, *place, self.tokeniser), scratch=self.scratch)


def prepare(request: Request, say: Say) -> Prepared:
    """Read data and tokeniser. Raises WhetError for whatever is wrong with either."""
    config = request.config
    keep_freed_memory()
    bound_caches()
    if config.threads:
        torch.set_num_threads(config.threads)
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    data = (read_corpus_data if request.named.task == MASKED_LM else read_training_data)(
        request.named, config, say
    )
    data.task.chosen_by(config)  # raises now, not after an epoch
    if data.dev is None and config.threshold not in ("auto", "none"):
        raise ConfigError(
            f"threshold={config.threshold}: thresholds are fitted on dev rows, and there are none. Name a "
            "dev file, or let dev_fraction hold some out."
        )
    if data.dev is None and config.averaging != "none":
        raise ConfigError(
            f"averaging={config.averaging}: an average is kept only where dev likes it better, and there "
            "are no dev rows. Name a dev file, or let dev_fraction hold some out."
        )
    if data.task.has_answers:
        warn_before_training(data, request.named, config, say)
    scratch = None
    if config.new == "none":
        location = locate(request.model)
    else:
        scratch = tempfile.TemporaryDirectory(prefix="whet-")
        location = _made(data, config, Path(scratch.name), say)
    checkpoint = open_checkpoint(location.folder)
    tokeniser = Tokeniser.load(checkpoint.folder, checkpoint.spec.n_types)
    tokeniser.check_fits(checkpoint.spec.vocab_size)
    rules = _rules(config, data, checkpoint.family, checkpoint.spec, tokeniser)
    place = location, checkpoint.spec.hidden_size, device, precision
    prepared = replace(_bound(data, config, rules, *place, tokeniser), scratch=scratch)
    for note in prepared.task.training_notes():
        say(note)
    (_say_cut if prepared.task.has_answers else _say_windows)(prepared.train, prepared.task, rules, say)
    return prepared


def _rules(
    config: TrainConfig, data: TrainingData, family: Family, spec: EncoderSpec, tokeniser: Tokeniser
) -> TextRules:
    family.head_class(layout_of(data.task, config.pooling))  # raises what it lacks
    columns = data.columns
    rules = TextRules(
        config.max_length or min(data.task.usual_length, spec.max_positions),
        config.cut,
        config.long_texts,
        config.context,
        config.stride,
        columns.text,
        columns.pair,
        columns.labels,
        config.pooling,
    )
    tokeniser.check_room(rules.max_length, data.task.n_parts(rules))
    return rules


def _made(data: TrainingData, config: TrainConfig, folder: Path, say: Say) -> Location:
    """A new encoder and its tokeniser, the same each time. Raises DataError."""
    texts: Any = Texts(data.train.table, data.columns, data.train.rows)
    n_words = new_checkpoint(folder, lambda: (row[0] for row in texts), config)
    say(f"New tokeniser: {n_words:,} words, {config.casing}, from the training documents.")
    return Location(folder, f"a new {config.new} BERT")


def _bound(
    data: TrainingData,
    config: TrainConfig,
    rules: TextRules,
    location: Location,
    hidden_size: int,
    device: torch.device,
    precision: str,
    tokeniser: Tokeniser,
) -> Prepared:
    task = data.task.trained_on(data.train.targets, config)
    train = examples(data.train, data.columns, task, tokeniser, rules)
    dev = None if data.dev is None else examples(data.dev, data.columns, task, tokeniser, rules)
    task = task.having_read(train.store)
    return Prepared(data, train, dev, rules, location, hidden_size, device, precision, tokeniser, task)


def _say_windows(train: Examples, task: Task, rules: TextRules, say: Say) -> None:
    store = train.store.ensure()
    say(
        f"{counted(len(store), 'window')} of up to {rules.max_length} tokens (mean "
        f"{store.lengths.mean():.0f}), none of which reaches into another document."
    )


def _say_cut(train: Examples, task: Task, rules: TextRules, say: Say) -> None:
    n_texts = len(train.store)
    looked_at = np.arange(n_texts)
    if n_texts > _SAMPLE:
        looked_at = np.random.default_rng(0).choice(n_texts, _SAMPLE, replace=False)
    store = train.store.ensure(looked_at)
    of = "the" if n_texts <= _SAMPLE else f"a sample of {_SAMPLE:,}"
    n_cut = int((store.full_lengths > store.kept)[looked_at].sum())
    if n_cut:
        say(
            f"{n_cut:,} of {of} training texts ({n_cut / len(looked_at):.1%}) are longer than max_length="
            f"{rules.max_length} tokens and lose their {rules.cut}."
        )
    n_unplaced = int(task.unplaced(train.targets[looked_at], store.marks(looked_at)).sum())
    if n_unplaced:
        say(
            f"{n_unplaced:,} of {of} training answers stand whole in no window, and cannot be learnt. Raise "
            "max_length or stride."
        )
    n_long = 0 if store.n_windows is None else int((store.n_windows[looked_at] > 1).sum())
    if n_long:
        say(
            f"{n_long:,} of {of} training texts ({n_long / len(looked_at):.1%}) are longer than max_length="
            f"{rules.max_length} tokens, and are read in overlapping windows."
        )
