"""Answers that stand in a text: the part of a context that answers a question, or none."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor

from whet.answers import MAX_ANSWER
from whet.config import TrainConfig
from whet.data.columns import Columns
from whet.data.findings import Finding
from whet.data.question_findings import question_findings
from whet.data.questions import article_units, question_table
from whet.data.table import Table
from whet.errors import ConfigError, DataError
from whet.examples import AnswerPrediction
from whet.intervals import loss_interval
from whet.squad_scores import (
    AnswerScores,
    answer_scores,
    best_threshold,
    squad_intervals,
    squad_metrics,
    with_threshold,
)
from whet.tasks.answer_windows import N_OUTPUTS, Asked, Decoded, decoded, placed
from whet.tasks.base import Task
from whet.text.encoding import Encoding
from whet.text.questions import WINDOW, Question, QuestionWindows
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser

_SHOWN: Final = 5  # answers of a prediction
_OF_LABELS: Final = (  # settings that are about labels, or texts that are read whole
    "positive_label",
    "class_weights",
    "focal_gamma",
    "label_smoothing",
    "threshold",
    "min_precision",
    "abstain_below",
    "long_texts",
    "pooling",
)


@final
@dataclass(frozen=True)
class QuestionAnswering(Task):
    """The start and the end of an answer, each a softmax over the tokens of a window.

    Targets are (n_questions,) objects, `Asked`; logits (n_questions,) objects of (n_tokens, 2) in all
    windows, with the marks of `QuestionWindows` behind; as tensors logits are of all tokens end to end, and
    targets (n_windows, 3): tokens of the window, start and end in it, both 0 where it holds no answer."""

    threshold: float | None = None  # no answer above it; None: there is always one
    n_rows: int = 0  # questions that the threshold was fitted on
    max_answer: int = MAX_ANSWER  # tokens

    name: ClassVar[str] = "question-answering"
    layout: ClassVar[str] = "span"
    problem_type: ClassVar[str | None] = None
    pipeline: ClassVar[str] = "question-answering"
    opened_with: ClassVar[str] = "AutoModelForQuestionAnswering.from_pretrained('FOLDER')"
    usual_length: ClassVar[int] = 384
    has_probe: ClassVar[bool] = False  # two passes over long contexts for a head that learns next to nothing
    figures: ClassVar[Mapping[str, str]] = {"exact": "exact match", "f1": "F1", "nll": "loss"}
    headlines: ClassVar[tuple[str, ...]] = ("exact", "f1", "nll")
    loss: ClassVar[str] = "nll"
    choices: ClassVar[tuple[str, ...]] = ("f1", "exact", "loss")
    perfect: ClassVar[float] = 100.0
    has_classes: ClassVar[bool] = False
    right_figure: ClassVar[str] = "exact"
    not_here: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Task.not_here,
        "where answers are parts of a context": _OF_LABELS,
    }

    @classmethod
    def learn(cls, table: Table, columns: Columns, config: TrainConfig) -> "QuestionAnswering":
        """What there is to answer is in the rows; there are no labels to learn."""
        return cls(max_answer=config.max_answer)

    @classmethod
    def foreign(cls, problem_type: str | None, names: tuple[str, ...]) -> "QuestionAnswering | None":
        """Whatever has this head; it always answers."""
        return cls() if len(names) == N_OUTPUTS else None

    def read(self, table: Table, columns: Columns) -> np.ndarray:
        """(n_rows,) object, an `Asked` each; without a question or a context nothing is labelled."""
        assert columns.pair is not None
        clean, _ = question_table(table, columns.text, columns.pair, columns.label)
        contexts = clean.column("context").combine_chunks()
        texts, places = contexts.dictionary.to_pylist(), contexts.indices.to_pylist()
        questions, answers = clean.column("question").to_pylist(), clean.column("answers").to_pylist()
        found = np.empty(len(table), object)
        rows = zip(questions, places, answers, article_units(clean).tolist(), strict=True)
        for i, (question, place, given, unit) in enumerate(rows):
            is_whole = bool(question.strip()) and bool(texts[place].strip())
            kept = (
                None if given is None or not is_whole else tuple((one["text"], one["start"]) for one in given)
            )
            found[i] = Asked(texts[place], kept, unit)
        return found

    @classmethod
    def findings(cls, table: Table, columns: Columns) -> Iterable[Finding]:
        """See `whet.data.question_findings`."""
        return question_findings(table, columns)

    @classmethod
    def unplaced(cls, targets: np.ndarray, marks: Sequence[np.ndarray] | None) -> np.ndarray:
        found = [
            any(start is not None for _, start in target.answers)
            and not any(row[2] for row in placed(target, own))
            for target, own in zip(targets, marks or (), strict=True)
        ]
        return np.array(found, np.bool_)

    def clusters(self, targets: np.ndarray) -> np.ndarray:
        """By article."""
        return np.array([target.unit for target in targets], np.int64)

    def is_labelled(self, targets: np.ndarray) -> np.ndarray:
        return np.array([target.answers is not None for target in targets], np.bool_)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Whether there is an answer."""
        return np.array([len(target.answers) > 0 for target in targets], np.int64)

    def trained_on(self, targets: np.ndarray, config: TrainConfig) -> "QuestionAnswering":
        """Raises DataError where no answer stands in its context."""
        if not any(start is not None for target in targets for _, start in target.answers):
            raise DataError(
                "no answer of the training rows stands in its context, so there is nothing to learn. Copy "
                "the answers from the contexts, letter for letter."
            )
        return self

    def describe(self) -> str:
        return "a question about a context each"

    @property
    def output_names(self) -> tuple[str, ...]:
        """As transformers calls the two outputs."""
        return ("LABEL_0", "LABEL_1")

    def text(self, value: Any, index: int, rules: TextRules) -> Any:
        """A question and its context."""
        if (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(isinstance(part, str) for part in value)
        ):
            return tuple(value)
        raise DataError(f"text {index}: expected (question, context), found {type(value).__name__}.")

    @classmethod
    def encoding(cls, tokeniser: Tokeniser, rules: TextRules) -> Encoding:
        windows = QuestionWindows(tokeniser, rules.max_length, rules.stride)
        return lambda rows: windows([Question(*row) for row in rows])

    def tensor(self, targets: np.ndarray, marks: Sequence[np.ndarray] | None = None) -> Tensor:
        """(n_windows, 3) int64. The first true answer that stands in the context is the one to learn; a
        window that does not hold all of it has none, as in transformers' run_qa.py."""
        assert marks is not None
        found = [row for target, own in zip(targets, marks, strict=True) for row in placed(target, own)]
        return torch.tensor(found, dtype=torch.long).reshape(-1, 3)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean of the two cross-entropies of each window, as in transformers: logits (n_tokens, 2) ->
        (n_windows,)."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        lengths = targets[:, 0]
        firsts = lengths.cumsum(0) - lengths
        right = torch.stack([wide[firsts + targets[:, 1], 0], wide[firsts + targets[:, 2], 1]], dim=1)
        return (_log_sums(wide, lengths)[0] - right).mean(dim=1)

    def disagreement(self, one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
        """Of the places in each window, a mean of first and last: (n_windows,)."""
        one, other = (part if part.dtype == torch.float64 else part.float() for part in (one, other))
        (sums, owners), (others, _) = (_log_sums(part, targets[:, 0]) for part in (one, other))
        gaps = ((one - sums[owners]).exp() - (other - others[owners]).exp()) * (one - other)
        return gaps.new_zeros(len(targets), 2).index_add(0, owners, gaps).mean(dim=1) / 2

    def weight(self, targets: Tensor) -> float:
        """The windows."""
        return float(len(targets))

    def of_guessing(self, targets: np.ndarray) -> tuple[float, float, float]:
        """Of any word of the context alike, a little less than of any token."""
        losses = np.log([1 + len(target.context.split()) for target in targets])
        return float(losses.mean()), float(losses.std()), float(losses.mean())

    def standing(self, metrics: Mapping[str, Any], by: str) -> tuple[float, float]:
        """By chance: a binomial standard error over the questions; nothing for the loss."""
        if by == "loss":
            return -float(metrics["nll"]), 0.0
        share = metrics[by] / 100
        return float(metrics[by]), 100 * math.sqrt(share * (1 - share) / metrics["n"])

    def parse(self, labels: Any, n_texts: int) -> Tensor:
        """(n_windows, 3) int64, as `tensor` gives them; n_texts tokens in all."""
        found = torch.as_tensor(labels)
        if (
            found.ndim != 2
            or found.shape[1] != 3
            or found.is_floating_point()
            or int(found[:, 0].sum()) != n_texts
        ):
            raise ValueError(
                f"labels of shape {tuple(found.shape)}: (n_windows, 3) whole numbers are expected, the "
                f"tokens of each window ({n_texts} in all), and the answer's first and last token in it"
            )
        return found.long()

    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "QuestionAnswering":
        """With the threshold of the best F1, where some questions have no answer."""
        if len(logits) == 0 or all(target.answers for target in targets):
            return self
        scores, no_answer = self._scored(logits, targets)
        best = best_threshold(scores.f1, scores.has_answer, no_answer)
        return replace(self, threshold=best.threshold, n_rows=len(logits))

    def decode(
        self,
        logits: np.ndarray,
        with_logits: bool = False,
        coverage: float | None = None,
        rows: Sequence[Any] = (),
    ) -> Sequence[AnswerPrediction]:
        """The best answer, or none by the threshold, and the next best with their probabilities."""
        if coverage is not None:
            raise ConfigError(f"label_sets={coverage:g}: {self.name} has none. Leave it out.")
        found = decoded(logits, [row[1] for row in rows], self.max_answer)
        refused = self._refused(found)
        return [
            AnswerPrediction(
                answer="" if no or not best else best[0].text,
                start=None if no or not best else best[0].start,
                end=None if no or not best else best[0].end,
                probability=float(null) if no or not best else best[0].probability,
                no_answer_probability=float(null),
                answers=tuple(best[:_SHOWN]),
            )
            for best, no, null in zip(found.answers, refused, found.null_probabilities, strict=True)
        ]

    def is_right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Which questions have an exact match, (n_questions,) bool."""
        right: np.ndarray = self._judged(*self._scored(logits, targets)).exact == 1
        return right

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.squad_scores.squad_metrics`, in percent; n; nll, the mean loss of the questions' windows,
        in nats; where some questions have no answer also best_exact and best_f1 with their thresholds, as
        SQuAD 2.0's script."""
        scores, no_answer = self._scored(logits, targets)
        found: dict[str, Any] = {"n": len(targets), **squad_metrics(self._judged(scores, no_answer))}
        found["nll"] = float(self._losses(logits, targets).mean())
        if not scores.has_answer.all():
            for name, values in (("exact", scores.exact), ("f1", scores.f1)):
                best = best_threshold(values, scores.has_answer, no_answer)
                found |= {f"best_{name}": best.figure, f"best_{name}_threshold": best.threshold}
        return found

    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.squad_scores.squad_intervals`: articles are what was drawn at random; the loss sees
        questions so."""
        judged = self._judged(*self._scored(logits, targets))
        ends: dict[str, Any] = dict(squad_intervals(judged, self.clusters(targets)))
        return ends | {"nll": loss_interval(self._losses(logits, targets))}

    def _refused(self, found: Decoded) -> np.ndarray:
        if self.threshold is None:
            return np.zeros(len(found.no_answer), np.bool_)
        refused: np.ndarray = found.no_answer > self.threshold
        return refused

    def _scored(self, logits: np.ndarray, targets: np.ndarray) -> tuple[AnswerScores, np.ndarray]:
        """Scores of the best answers, whatever no answer scores; and that, (n,)."""
        found = decoded(logits, [target.context for target in targets], self.max_answer)
        texts = [best[0].text if best else "" for best in found.answers]
        true = [[text for text, _ in target.answers] for target in targets]
        return answer_scores(texts, true), found.no_answer

    def _judged(self, scores: AnswerScores, no_answer: np.ndarray) -> AnswerScores:
        """The scores by the threshold."""
        return scores if self.threshold is None else with_threshold(scores, no_answer, self.threshold)

    def _losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """(n_questions,), the mean over a question's windows."""
        marks = [own[:, N_OUTPUTS:].astype(np.int64) for own in logits]
        wanted = self.tensor(targets, marks)
        tokens = torch.from_numpy(np.concatenate([own[:, :N_OUTPUTS] for own in logits]))
        losses = self.losses(tokens, wanted).numpy()
        counts = np.array([own[-1, WINDOW] + 1 for own in marks])
        return np.asarray(np.add.reduceat(losses, np.cumsum(counts) - counts) / counts)

    def to_json(self) -> Mapping[str, Any]:
        return {
            "max_answer": self.max_answer,
            "decision": {"null_threshold": self.threshold, "n_rows": self.n_rows},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "QuestionAnswering":
        decision, max_answer = saved["decision"], int(saved["max_answer"])
        threshold = decision["null_threshold"]
        if max_answer < 1 or (threshold is not None and not math.isfinite(float(threshold))):
            raise ValueError(
                f"max_answer must be at least 1, null_threshold finite: {max_answer}, {threshold}"
            )
        return cls(None if threshold is None else float(threshold), int(decision["n_rows"]), max_answer)


def _log_sums(wide: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the sum of exponentials over each window's tokens, (n_windows, 2), and the window of
    each token: wide (n_tokens, 2), lengths (n_windows,)."""
    owners = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    highest = wide.new_full((len(lengths), 2), -math.inf).scatter_reduce(
        0, owners[:, None].expand(-1, 2), wide.detach(), "amax"
    )
    sums = wide.new_zeros(len(lengths), 2).index_add(0, owners, (wide - highest[owners]).exp())
    return sums.log() + highest, owners
