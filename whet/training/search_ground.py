"""What all trials of a search stand on: the rows and what they are for, the space, and where trials begin."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

from whet.checkpoints.families import family_of
from whet.checkpoints.loading import read_config
from whet.config import TrainConfig, make_config
from whet.data.folds import row_groups
from whet.data.wording import counted
from whet.errors import ConfigError
from whet.recipes import DEFAULT
from whet.search_space import (
    RECIPE,
    Choice,
    Space,
    check_space,
    default_space,
    grid,
    seeds,
    settings_at,
)
from whet.text.rules import TextRules
from whet.training.data import Part, TrainingData, hold_out
from whet.training.events import Listener, Note
from whet.training.loop import planned_epochs
from whet.training.manifest import model_sums
from whet.training.prepare import Prepared, Request, prepare
from whet.training.rungs import first_rung

OF_A_MACHINE = ("device", "threads")  # settings that helpers may have each their own of
ESTIMATE = 0.2  # of the training rows, where no test rows are given; at most 5,000


@final
@dataclass(frozen=True)
class SearchRequest:
    """Everything that a user can ask of a search."""

    request: Request  # what the default trains with
    settings: Mapping[str, Any]  # those that the user gave, over the recipe's
    space: Space | None  # None is the encoder family's own
    trials: int
    storage: str | None = None  # a file or a URL; None is a file in the run folder
    study: str | None = None  # its name in the storage; None is the run folder's


@final
@dataclass(frozen=True)
class Ground:
    """Rows, tokens, space and beginnings."""

    request: Request
    settings: Mapping[str, Any]
    prepared: Prepared  # without the rows of the estimate
    estimate: Part
    estimate_is_held_out: bool
    space: Space
    default: Mapping[str, Any]  # the point of trial 0, as far as the space holds it
    points: Sequence[Mapping[str, Any]]  # what each trial begins with; {} is left to the sampler
    first_rung: int | None
    n_asked: int  # trials; of a small space there are fewer points
    _known: dict[TextRules, Prepared] = field(default_factory=dict)

    def config(self, point: Mapping[str, Any]) -> TrainConfig:
        """What a trial at this point is trained with. Raises ConfigError for what cannot be together."""
        given = replace(self.asked(point), time_limit=None, split_seed=self.split_seed)
        return self.prepared.settled(given)

    def asked(self, point: Mapping[str, Any]) -> TrainConfig:
        """The settings of a point, those open that the encoder decides. Raises ConfigError."""
        return make_config(settings_at(point, self.settings, self.request.recipe))

    @property
    def look(self) -> float:
        """A model's look at the estimate's rows, as a share of the default's run: of a step's work one in
        three is the way forward."""
        n_epochs = planned_epochs(len(self.prepared.train.store), self.request.config)
        return len(self.estimate.rows) / (3 * n_epochs * len(self.prepared.data.train.rows))

    @property
    def split_seed(self) -> int:
        """Decides the rows of dev and estimate, whatever the seed of a run."""
        config = self.request.config
        return config.seed if config.split_seed is None else config.split_seed

    def under(self, config: TrainConfig) -> Prepared:
        """All trials whose texts are read alike share the tokens."""
        rules = self.prepared.rules_of(config)
        if rules == self.prepared.rules:
            return self.prepared.under(config)
        if rules not in self._known:
            self._known[rules] = self.prepared.under(config)
        return self._known[rules].under(config)

    def about(self) -> dict[str, Any]:
        """What all who work on the search must agree on."""
        data = {"train": self.prepared.data.train, "dev": self.prepared.data.dev, "estimate": self.estimate}
        columns = self.prepared.data.columns
        return {
            "space": [str(one) for one in self.space],
            "settings": {name: value for name, value in self.settings.items() if name not in OF_A_MACHINE},
            "recipe": self.request.recipe,
            "trials": self.n_asked,
            "seed": self.request.config.seed,
            "first_rung": self.first_rung,
            "task": columns.task,
            "columns": {name: _plain(value) for name, value in columns.to_json().items()},
            "group": self.request.named.group,
            "data": {name: _record(part) for name, part in data.items() if part is not None},
            "model": model_sums(self.prepared),
        }


def read_ground(asked: SearchRequest, listen: Listener) -> Ground:
    """Read data and tokeniser, hold the estimate's rows out, and lay out the trials. Raises WhetError."""

    def say(text: str) -> None:
        listen(Note(text))

    config = replace(asked.request.config, time_limit=None)
    request = replace(asked.request, config=config)
    whole = prepare(request, say)
    if whole.data.dev is None:
        raise ConfigError(
            "A search chooses by dev rows, and there are none. Name a dev file, or let dev_fraction hold "
            "some out."
        )
    data, estimate = _apart(request, whole.data, say)
    prepared = whole.on(data, config)
    family = family_of(read_config(prepared.location.folder)).model_type
    width = prepared.hidden_size
    epochs = planned_epochs(len(prepared.train.store), config) - config.head_epochs
    space = asked.space or default_space(family, width, epochs)
    check_space(space, asked.settings, request.recipe, type(data.task).refuse)
    if asked.space is None:
        say(f"Space of {family}: {', '.join(map(str, space))} (--space names another).")
    values = asdict(prepared.settled(config)) | {RECIPE: request.recipe, "epochs": epochs}
    default = {one.name: values[one.name] for one in space if one.holds(values[one.name])}
    points: list[Mapping[str, Any]] = [default]
    every = grid(space, asked.trials)
    others = None if every is None else [point for point in every if point != default]
    if every is not None and others is not None and len(others) < asked.trials:
        points += others
        if len(points) < asked.trials:
            say(f"The space has {counted(len(every), 'point')}; each is tried once.")
    else:
        known = seeds(space, family, width, values)[: asked.trials - 1]
        points += [*known, *({} for _ in range(asked.trials - 1 - len(known)))]
        if known:
            begin = "begins at a point" if len(known) == 1 else "begin at points"
            say(f"{counted(len(known), 'trial')} {begin} that others have published, or at a recipe.")
    ground = Ground(
        request,
        asked.settings,
        prepared,
        estimate,
        estimate is not whole.data.test,
        space,
        default,
        points,
        first_rung(_with_warmups(space, asked.settings, request.recipe)),
        asked.trials,
    )
    ground.config({})  # raises now
    return ground


def _apart(request: Request, data: TrainingData, say: Any) -> tuple[TrainingData, Part]:
    """The data without the rows of the estimate, and these: test's, or some that are held out of train."""
    if data.test is not None:
        say(
            f"Estimate: {len(data.test.rows):,} rows of {data.test.table.source}, looked at once, after the "
            "choice."
        )
        return replace(data, test=None), data.test
    whole, config = data.whole, request.config
    split_seed = config.seed if config.split_seed is None else config.split_seed
    group = request.named.group

    def held(part: Part, fraction: float) -> tuple[Part, Part | None]:
        groups = row_groups(part.table, data.columns, group)[part.rows]
        return hold_out(part, data.task.strata(part.targets), groups, fraction, split_seed)

    rest, estimate = held(whole, ESTIMATE)
    if estimate is None:
        raise ConfigError("There are too few rows to hold some out for the estimate. Name them with --test.")
    say(
        f"Estimate: {len(estimate.rows):,} of the training rows are held out of the whole search and looked "
        "at once, after the choice; give your own with --test."
    )
    train, dev = (rest, data.dev) if not data.dev_is_held_out else held(rest, config.dev_fraction)
    if dev is None:
        raise ConfigError("There are too few rows to hold some out as dev. Name them with --dev.")
    return replace(data, train=train, dev=dev, test=None), estimate


def _with_warmups(space: Space, settings: Mapping[str, Any], recipe: str) -> list[TrainConfig]:
    """Configurations of the space with the longest warm-ups there are."""
    corners = [one.ends for one in space if one.name == "warmup"] or [(None,)]
    recipes: Sequence[Any] = next(
        (one.options for one in space if isinstance(one, Choice) and one.name == RECIPE), (recipe,)
    )
    found = []
    for warmup, name in itertools.product(corners[0], recipes):
        point = {RECIPE: name} | ({} if warmup is None else {"warmup": warmup})
        found.append(make_config(settings_at(point, settings, recipe)))
    return found


def _record(part: Part) -> dict[str, Any]:
    return {"rows": len(part.rows), "fingerprint": part.table.fingerprint()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def differing(config: TrainConfig, recipe: str) -> dict[str, Any]:
    """The settings of a configuration that its recipe does not bring; what a run of its own decides is left
    out."""
    resting = make_config(settings_at({RECIPE: recipe}, {}, DEFAULT))
    own = ("seed", "split_seed", "time_limit")
    return {
        name: value
        for name, value in asdict(config).items()
        if name not in own and value != getattr(resting, name)
    }
