"""What a task decides: what it reads from the data, the head's output, the loss, and what logits mean.

Targets are arrays whose first axis are texts, as `read` gives them: what stands in them is the task's own.
Logits are float64 (n_texts, n_outputs); of a task whose head reads several tokens of a text, they are an
(n_texts,) array of objects, (n_reads, n_outputs) float64 each, with the encoding's marks of these tokens as
further columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from whet.config import OF_PRETRAINING, TrainConfig
from whet.data.columns import Columns
from whet.data.findings import Finding
from whet.data.parts import spelled_label
from whet.data.table import Table
from whet.data.texts import Texts
from whet.errors import ConfigError, DataError
from whet.examples import Prediction
from whet.text.encoding import Encoding
from whet.text.rules import TextRules
from whet.text.store import Store, TokenStore
from whet.text.tokens import Tokeniser
from whet.text.whole import encoding_of_texts


class Task(ABC):
    """One kind of question about a text. No state here; a final class holds its own fields."""

    name: ClassVar[str]
    layout: ClassVar[str]  # which of a family's heads it needs, a key of `Family.heads`
    problem_type: ClassVar[str | None]  # what config.json calls it
    pipeline: ClassVar[str]  # what transformers calls it
    opened_with: ClassVar[str]  # how transformers opens a saved folder
    usual_length: ClassVar[int] = 256  # max_length where nobody says another
    figures: ClassVar[Mapping[str, str]]  # of `metrics` that are one number: key -> what people read
    headlines: ClassVar[tuple[str, ...]]  # keys that a progress line and a short table show, the first first
    loss: ClassVar[str]  # key of the loss among them
    has_classes: ClassVar[bool]  # each row has one of a few labels, which findings about labels are about
    perfect: ClassVar[float] = 1.0  # what a figure of `choices` is at best, the loss aside
    has_probe: ClassVar[bool] = True  # a head alone learns something worth its passes: head_first counts
    right_figure: ClassVar[str] = "accuracy"  # the one that is the share of `is_right`
    choices: ClassVar[tuple[str, ...]]  # what an epoch can be chosen by: keys, or "loss"; the default first
    not_here: ClassVar[Mapping[str, tuple[str, ...]]] = {  # why not -> settings that are not for this task
        "which hides no words. Use whet pretrain": OF_PRETRAINING
    }
    has_answers: ClassVar[bool] = True  # a model that is trained for it says something about a text
    unlearnt: ClassVar[str] = (  # the doctor's advice where nothing is learnt
        "Do the labels follow from the text? whet check FILE looks for clashes."
    )

    @classmethod
    @abstractmethod
    def learn(cls, table: Table, columns: Columns, config: TrainConfig) -> "Task":
        """The task that a training table poses. Raises DataError, ConfigError."""

    @classmethod
    def refuse(cls, config: TrainConfig) -> None:
        """Raises ConfigError where a setting of `not_here` is not at rest."""
        resting = TrainConfig()
        for why, names in cls.not_here.items():
            wrong = [name for name in names if getattr(config, name) != getattr(resting, name)]
            if wrong:
                raise ConfigError(f"{', '.join(wrong)}: not for {cls.name}, {why}.")

    @classmethod
    @abstractmethod
    def foreign(cls, problem_type: str | None, names: tuple[str, ...]) -> "Task | None":
        """The task of a model that was fine-tuned elsewhere, from config.json's problem_type and id2label;
        None where it is another one."""

    @classmethod
    def spelled(cls, table: Table, columns: Columns, config: TrainConfig) -> pa.ChunkedArray | None:
        """The label of each row as one text, (n_rows,) large_string, null where it has none: what findings
        compare and show; None where labels are no such thing. Raises DataError for what cannot be read."""
        return spelled_label(table, columns)

    @abstractmethod
    def read(self, table: Table, columns: Columns) -> np.ndarray:
        """Targets of all rows, (n_rows, ...). Raises DataError for what is no target of this task."""

    @classmethod
    def findings(cls, table: Table, columns: Columns) -> Iterable[Finding]:
        """What is wrong with the targets of a table, or worth knowing, beside what `read` refuses."""
        return ()

    @classmethod
    def unplaced(cls, targets: np.ndarray, marks: Sequence[np.ndarray] | None) -> np.ndarray:
        """Which labelled rows (n, ...) no window holds the whole answer of, once they are tokens, with marks
        as of `tensor`: (n,) bool."""
        return np.zeros(len(targets), np.bool_)

    @abstractmethod
    def is_labelled(self, targets: np.ndarray) -> np.ndarray:
        """Which of targets (n, ...) are there: (n,) bool."""

    @abstractmethod
    def strata(self, targets: np.ndarray) -> np.ndarray:
        """What a split is stratified by: labelled targets (n, ...) -> (n,) int64."""

    def clusters(self, targets: np.ndarray) -> np.ndarray:
        """Which labelled rows (n, ...) were drawn together, as an article's questions are: (n,) int64, the
        same number for those."""
        return np.arange(len(targets))

    @abstractmethod
    def trained_on(self, targets: np.ndarray, config: TrainConfig) -> "Task":
        """The same with what training takes from its targets (n, ...) and the settings, and a saved model
        does not need: such as class weights."""

    @abstractmethod
    def describe(self) -> str:
        """What a user is told of it, behind the number of rows: "2 labels: no, yes"."""

    @property
    @abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """Of the columns of the logits; config.json's id2label."""

    @property
    def n_outputs(self) -> int:
        """Columns of the logits."""
        return len(self.output_names)

    def chosen_by(self, config: TrainConfig) -> str:
        """What an epoch is chosen by. Raises ConfigError for what this task does not have."""
        if config.choose_by == "auto":
            return self.choices[0]
        if config.choose_by not in self.choices:
            raise ConfigError(
                f"choose_by={config.choose_by}: for {self.name} it must be one of {', '.join(self.choices)}."
            )
        return config.choose_by

    @abstractmethod
    def standing(self, metrics: Mapping[str, Any], by: str) -> tuple[float, float]:
        """How good the metrics are by one of `choices`, greater is better, and how far two such may differ
        by chance."""

    @abstractmethod
    def of_guessing(self, targets: np.ndarray) -> tuple[float, float, float]:
        """What the best answer that is the same for every text costs in training targets (n, ...): the mean
        loss that training sees, its standard deviation over texts (0 where that is not known), and the mean
        loss of `metrics`."""

    @abstractmethod
    def parse(self, labels: Any, n_texts: int) -> Tensor:
        """Targets from what a user's own loop passes. Raises ValueError for what does not fit."""

    @classmethod
    def texts(
        cls, table: Table, columns: Columns, rules: TextRules, rows: np.ndarray | None = None
    ) -> Sequence[Any]:
        """What stands in some rows (n,) int64 of a table, None is all, as `encoding` reads it; it has
        `some(indices)` for several at once. Raises DataError for columns that are not there."""
        return Texts(table, columns, rows)

    def text(self, value: Any, index: int, rules: TextRules) -> Any:
        """The same of what a program passes as its text number `index`. Raises DataError."""
        row = (value,) if isinstance(value, str) else value
        if not (isinstance(row, tuple | list) and all(isinstance(part, str) for part in row)):
            raise DataError(
                f"text {index}: expected a string or a pair of strings, found {type(value).__name__}."
            )
        wanted = (1, 2) if rules.text_column is None else (2,) if rules.pair_column else (1,)
        if len(row) not in wanted:
            kind = (
                "pairs of texts" if wanted == (2,) else "single texts" if wanted == (1,) else "texts or pairs"
            )
            raise DataError(f"text {index}: this model reads {kind}, and this is {len(row)} of them.")
        return tuple(row)

    @classmethod
    def encoding(cls, tokeniser: Tokeniser, rules: TextRules) -> Encoding:
        """How `texts` become tokens."""
        return encoding_of_texts(tokeniser, rules)

    def tokenised(
        self, texts: Any, tokeniser: Tokeniser, rules: TextRules
    ) -> tuple[Store, np.ndarray | None]:
        """A store of `texts`, and of each text of the store which of these it is of, (n,) int64; None: one
        each, in their order. Raises DataError where they are too few for this task."""
        return TokenStore(self.encoding(tokeniser, rules), texts.some, len(texts)), None

    def having_read(self, train: Store) -> "Task":
        """The same with what it takes from the tokens of the training texts."""
        return self

    def tensor(self, targets: np.ndarray, marks: Sequence[np.ndarray] | None = None) -> Tensor:
        """Labelled targets (n, ...) as `losses` and `weight` take them; marks are those of the tokens that
        are read, of an encoding that has some."""
        return torch.from_numpy(targets)

    def is_right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
        """Which rows have the right answer, (n_texts,) bool, one without an answer has not; None where
        answers are not right or wrong. Arguments as of `metrics`."""
        return None

    def classes(self, targets: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]] | None:
        """The one label of each row, (n,) int64, and the labels' names; None where it is not one of a few."""
        return None

    def first_bias(self) -> Tensor | None:
        """Where the bias of a new head begins, (n_outputs,) float64; None is at 0."""
        return None

    def training_notes(self) -> tuple[str, ...]:
        """What a user is told of how it will be trained."""
        return ()

    def matched(self, table: Table, columns: Columns) -> tuple["Task", tuple[str, ...]]:
        """The same with outputs named as the data names them, where the model's have no names; and notes."""
        return self, ()

    def abstaining_below(self, probability: float | None) -> "Task":
        """The same that gives no answer below a probability; None changes nothing. Raises ConfigError."""
        if probability is not None:
            raise ConfigError(f"abstain_below={probability:g}: {self.name} always answers. Leave it out.")
        return self

    def kept(self, logits: Tensor, marks: Sequence[np.ndarray] | None) -> Tensor:
        """What evaluation keeps of the logits of a pack, (n, n_outputs), in place of them: (n, n_kept);
        marks as of `tensor`."""
        return logits

    def probed(
        self, store: Store, targets: np.ndarray, logits_of: Callable[[Store], np.ndarray]
    ) -> dict[str, Any]:
        """Figures of a trained model that take further passes, with "intervals", from the evaluation texts;
        logits_of gives what `metrics` takes for any store."""
        return {}

    @abstractmethod
    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each text, in nats: logits (n_texts, n_outputs) any float, targets (n_texts,)
        -> (n_texts,), float32 or float64."""

    @abstractmethod
    def disagreement(self, one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
        """How far two passes differ in what they say of each text, in nats, without regard to the truth:
        arguments and result as of `losses`. Of probabilities it is half of the two divergences of Kullback
        and Leibler together (Liang et al. 2021, "R-Drop")."""

    @abstractmethod
    def weight(self, targets: Tensor) -> float:
        """What the sum of losses is divided by: targets (n_texts,) -> their total weight."""

    @abstractmethod
    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "Task":
        """The same task with its decision rules fitted on dev rows, to what the settings ask for.

        logits (n_texts, n_outputs) float64, targets (n_texts,); of no rows at all, with the rules that need
        none. A task reads the settings that are about it."""

    def scored_while_training(self, logits: np.ndarray, targets: np.ndarray) -> "Task":
        """The task whose `metrics` tell how an epoch stands, from its dev rows as of `metrics`: with rules of
        these rows, where figures mean nothing without."""
        return self

    @abstractmethod
    def decode(
        self,
        logits: np.ndarray,
        with_logits: bool = False,
        coverage: float | None = None,
        rows: Sequence[Any] = (),
    ) -> Sequence[Prediction]:
        """One typed prediction a row, by the decision rules: logits (n_texts, n_outputs) float64. With a
        coverage, also a set or interval that holds the truth with this chance. rows are the `texts`, which
        are needed where answers are parts of them."""

    @abstractmethod
    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """Every figure of the task: logits (n_texts, n_outputs) float64, targets (n_texts,) int64."""

    @abstractmethod
    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """95% intervals [low, high] under the names of `metrics`, from the same arguments."""

    def trust(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """How far the predictions can be relied on, from the same arguments: named blocks that stand beside
        `metrics` in an evaluation. Not computed while training."""
        return {}

    def n_parts(self, rules: TextRules) -> int:
        """Texts that make one sequence."""
        return 1 if rules.pair_column is None else 2

    def n_probed_tokens(self, store: Store) -> int:
        """Tokens that `probed` reads."""
        return 0

    @abstractmethod
    def to_json(self) -> Mapping[str, Any]:
        """What `whet.json` keeps of the task, `TASKS[name].from_json` reads back."""

    @classmethod
    @abstractmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Task":
        """Raises KeyError or TypeError where something is missing."""
