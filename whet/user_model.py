"""The fine-tuned model that `import whet` hands out: predict, evaluate, save."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from whet.artifact import save_model
from whet.data.columns import Columns, infer_columns
from whet.data.readers import read_split_of
from whet.data.table import LabelColumns, Table
from whet.errors import DataError, UsageError
from whet.evaluation import Evaluation, evaluate_store
from whet.ledger import ledger_of
from whet.model import TextModel
from whet.predictor import Predictor
from whet.slices import Cut, cut_by_column, cut_by_label, cut_by_length, slice_rows
from whet.tasks import Task
from whet.tasks.classification import Classification
from whet.text.store import TokenStore, store_of

Text = str | tuple[str, str]


@final
@dataclass(frozen=True)
class Labelled:
    """The rows of one file as a model reads them."""

    source: str
    table: Table
    task: Task  # names the model's outputs as the data does
    store: TokenStore
    targets: np.ndarray  # (n_rows, ...) as the task reads them
    notes: tuple[str, ...]


@final
class Model:
    """A fine-tuned model: predict, evaluate, save. Safe to call from several threads."""

    def __init__(
        self,
        module: TextModel,
        precision: str = "float32",
        name: str | None = None,
        folder: Path | None = None,
    ) -> None:
        """module may be one that your own loop trained, from `load_module`; precision float32 or bf16; name
        is what `compare` calls it; folder is what it was loaded from: a run counts the looks at its model."""
        self.module = module
        self.name = name
        self.ledger = None if folder is None else ledger_of(folder)
        self._predictor = Predictor(module, precision)

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the logits."""
        return self.module.task.output_names

    def predict(
        self,
        texts: Iterable[Text],
        *,
        logits: bool = False,
        abstain_below: float | None = None,
        label_sets: float | None = None,
    ) -> list[Any]:
        """One prediction a text, or (text, pair), in order.

        abstain_below: no label (None) where its probability is below, in place of the model's own bound; 0
        labels every text. label_sets: with each prediction a set that holds the true label with this chance:
        0.8, 0.9 or 0.95. Raises DataError for what is no text, ConfigError for other numbers, or a model
        whose sets were never fitted."""
        return list(self.stream(texts, logits=logits, abstain_below=abstain_below, label_sets=label_sets))

    def stream(
        self,
        texts: Iterable[Text | tuple[str, ...]],
        *,
        logits: bool = False,
        abstain_below: float | None = None,
        label_sets: float | None = None,
    ) -> Iterator[Any]:
        """As `predict`, a window of some thousand texts at a time, for any number of them."""
        if isinstance(texts, str):
            raise DataError("predict takes a list of texts; for one text pass [text].")
        if not isinstance(texts, Iterable):
            raise DataError(f"predict takes a list of texts, and got {type(texts).__name__}.")
        is_frame = hasattr(texts, "iloc") and hasattr(texts, "columns")  # of pandas
        is_lists = isinstance(texts, Mapping) and any(isinstance(part, list) for part in texts.values())
        if is_lists or is_frame or hasattr(texts, "column_names"):
            raise DataError(
                "predict takes a list of texts, and a table would give its column names: pass one column, "
                'as list(table["text"]).'
            )
        task = self.module.task.abstaining_below(abstain_below)
        task.decode(np.empty((0, task.n_outputs)), coverage=label_sets)  # raises now, not with the first text
        return self._stream((self._text(text, i) for i, text in enumerate(texts)), task, logits, label_sets)

    def predict_table(
        self,
        table: Table,
        *,
        text: str | None = None,
        pair: str | None = None,
        logits: bool = False,
        abstain_below: float | None = None,
        label_sets: float | None = None,
    ) -> tuple[list[dict[str, Any]], list[Any]]:
        """The rows of a table as dictionaries, and a prediction for each, as of `predict`.

        Raises DataError for a missing column."""
        task = self.module.task.abstaining_below(abstain_below)
        texts = task.texts(table, self.columns(table, text, pair), self.module.rules)
        return table.columns.to_pylist(), list(self._stream(texts, task, logits, label_sets))

    def evaluate(
        self,
        data: Any,
        *,
        text: str | None = None,
        pair: str | None = None,
        label: LabelColumns = None,
        slices: Sequence[str] = (),
        abstain_below: float | None = None,
    ) -> Evaluation:
        """Figures over the labelled rows of `data`, which is anything that `train` takes, with 95% intervals.

        label names a column, or several of 0 and 1. slices names columns by whose values the rows are
        parted, beside length and label. abstain_below is as of `predict`; a row without an answer counts as
        not right. A model that was loaded from a run counts the look in the run's ledger.
        Raises DataError: unreadable, a column that is not there, no labelled row, a label this model does
        not know."""
        rows = self.labelled(data, text, pair, label)
        labelled = rows.task.is_labelled(rows.targets)
        by = (slices,) if isinstance(slices, str) else tuple(slices)
        cuts = _cuts(rows, np.flatnonzero(labelled), by)
        task = rows.task.abstaining_below(abstain_below)
        evaluation, logits = evaluate_store(self._predictor, task, rows.store, rows.targets, rows.source)
        is_right = task.is_right(logits[labelled], rows.targets[labelled])
        notes = [*rows.notes, *(cut.note for cut in cuts if cut.note)]
        look = None
        if self.ledger is not None:
            seen = self.ledger.look(
                "eval", rows.source, rows.table.fingerprint(), evaluation.n_rows, evaluation.metrics
            )
            look = seen.number
            notes += [*seen.notes, *([] if seen.beside is None else [seen.beside])]
        if is_right is None and by:
            notes.append(f"Slices are about rows that are right or wrong, which {task.name} has none of.")
        sliced = () if is_right is None else slice_rows(cuts, is_right)
        return replace(evaluation, slices=sliced, look=look, notes=tuple(notes))

    def labelled(self, data: Any, text: str | None, pair: str | None, label: LabelColumns) -> Labelled:
        """Read what `evaluate` scores; raises what it raises."""
        asked = (label,) if isinstance(label, str) else tuple(label or self.module.rules.label_columns)
        table = read_split_of(data, "test", "dev", label=asked[0] if asked else None)
        columns = self._columns(table, text, pair, label, need_label=True)
        task, notes = self.module.task.matched(table, columns)
        targets = task.read(table, columns)
        if not task.is_labelled(targets).any():
            raise DataError(
                f"{table.source}: no row has a label in {columns.label_words}; there is nothing to score."
            )
        rules = self.module.rules
        texts: Any = task.texts(table, columns, rules)
        store = TokenStore(self.module.encoding, texts.some, len(texts))
        return Labelled(table.source, table, task, store, targets, (*columns.notes, *notes))

    def answers(self, rows: Labelled) -> tuple[list[str], list[str | None]]:
        """The true label and the model's of each labelled row; None where it gives no answer."""
        task = rows.task
        if not isinstance(task, Classification):
            raise UsageError(f"models are compared by their labels, and the task here is {task.name}.")
        logits = self._predictor.logits(rows.store)
        labelled = task.is_labelled(rows.targets)
        return [task.labels[i] for i in rows.targets[labelled]], task.answers(logits[labelled])

    def windows(self, rows: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """Rows as (text,) or (text, pair) -> probabilities (n, n_labels) of some thousand after another."""
        task = self._classification
        return (task.probabilities(logits) for _, logits in self._predictor.windows(rows))

    def check_classifies(self) -> None:
        """Raises UsageError for a model that does not choose between labels."""
        _ = self._classification

    def vectors(self, rows: Sequence[Sequence[str]]) -> np.ndarray:
        """What the head reads of each of a few rows, (n, hidden_size) float32; rows as in `windows`."""
        return self._predictor.vectors(store_of(rows, self.module.encoding))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as a folder that whet and transformers open; replaces what is there."""
        target = Path(folder).expanduser()
        target.parent.mkdir(parents=True, exist_ok=True)
        save_model(self.module, target)

    def columns(self, table: Table, text: str | None = None, pair: str | None = None) -> Columns:
        """The columns that `predict_table` reads. Raises DataError where they are not there."""
        return self._columns(table, text, pair, None, need_label=False)

    def _columns(
        self, table: Table, text: str | None, pair: str | None, label: LabelColumns, need_label: bool
    ) -> Columns:
        """The columns named now, else those of the training data where the table has them, else inferred."""
        rules = self.module.rules
        if text is None and rules.text_column in table.names:
            text = rules.text_column
        if pair is None and text is not None and rules.pair_column in table.names:
            pair = rules.pair_column
        if label is None:
            present = tuple(name for name in rules.label_columns if name in table.names)
            label = (rules.label_columns if present and need_label else present) or None
        task = self.module.task.name
        columns = infer_columns(table, task=task, text=text, pair=pair, label=label, need_label=need_label)
        if text is not None and (label is not None or not need_label):  # nothing was inferred
            columns = replace(columns, notes=())
        if rules.text_column is not None and (columns.pair is None) != (rules.pair_column is None):
            kind = "single texts" if rules.pair_column is None else "pairs of texts"
            found = columns.text + (f" and {columns.pair}" if columns.pair else " alone")
            raise DataError(
                f"{table.source}: the model was trained on {kind}, and here the text is in {found}. "
                f"Name the columns; there are: {', '.join(table.names)}."
            )
        return columns

    def _stream(
        self, texts: Iterable[Any], task: Task, logits: bool, label_sets: float | None
    ) -> Iterator[Any]:
        """Predictions of texts as the task's `texts` gives them."""
        windows = self._predictor.windows(texts)
        return (one for rows, found in windows for one in task.decode(found, logits, label_sets, rows))

    def _text(self, text: Any, index: int) -> Any:
        found = self.module.task.text(text, index, self.module.rules)
        try:
            (text if isinstance(text, str) else "".join(text)).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"text {index}: it is no valid Unicode ({error}); decode it again.") from None
        return found

    @property
    def _classification(self) -> Classification:
        task = self.module.task
        if not isinstance(task, Classification):
            raise UsageError(f"this needs a model that chooses between labels, and its task is {task.name}.")
        return task


def _cuts(rows: Labelled, labelled: np.ndarray, columns: Sequence[str]) -> list[Cut]:
    """What the labelled rows (n,) are parted by. Raises DataError for a column that is not there."""
    by_column = [cut_by_column(rows.table, column, labelled) for column in dict.fromkeys(columns)]
    lengths = rows.store.ensure().full_lengths[labelled]
    classes = rows.task.classes(rows.targets[labelled])
    by_label = [] if classes is None else [cut_by_label(*classes)]
    return [cut_by_length(lengths), *by_label, *by_column]
