"""Which word stands behind a hidden token: how encoders are made, and adapted to a domain."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from whet.config import TrainConfig
from whet.data.columns import Columns
from whet.data.table import Table
from whet.errors import CheckpointError, ConfigError, DataError
from whet.examples import Prediction
from whet.masked_scores import masked_intervals, masked_metrics, pseudo_perplexity
from whet.tasks.base import Task
from whet.tasks.objective import divergence
from whet.text.documents import AsLaid, pair_store, read_documents, window_store
from whet.text.masking import MaskedStore, Masking, OneEach
from whet.text.rules import TextRules
from whet.text.store import Store, store_of
from whet.text.tokens import Tokeniser

_NOT_HERE = (
    "class_weights", "focal_gamma", "label_smoothing", "positive_label", "calibrate", "threshold",
    "min_precision", "abstain_below", "label_separator", "pooling", "cut", "long_texts", "context",
)  # fmt: skip
_CHANCE, _RANK, _ODDS = 0, 1, 2  # columns of what is kept, before the marks
_ID, _IS_OTHER = 0, 1  # columns of the marks
_PROBED_TOKENS: Final = 1 << 17  # that the encoder reads for the pseudo-perplexity
_MOST_PROBES: Final = 1000
_ORDER: Final = 0  # of what is cut in two: not the run's seed, so that held-out figures can be compared


@final
@dataclass(frozen=True)
class MaskedLM(Task):
    """Cross-entropy of the words that stood where tokens are hidden, see `whet.text.masking`.

    A text is a window of a document, and its target the document's number. The marks of a hidden token are
    its own id and, with next-sentence prediction, whether the second part of its window is another
    document's. Of the logits, which have a column for each word, evaluation keeps of each hidden token: the
    log of the chance of the true word, its rank from 0, and with next-sentence prediction the log odds that
    the second part is another document's."""

    rate: float = 0.15
    whole_words: bool = False
    next_sentence: bool = False
    chances: tuple[np.ndarray, float] | None = field(default=None, compare=False)  # see `having_read`
    layout: str = field(init=False, default="masked-lm")  # type: ignore[misc]

    name: ClassVar[str] = "masked-lm"
    problem_type: ClassVar[str | None] = None
    pipeline: ClassVar[str] = "fill-mask"
    opened_with: ClassVar[str] = "pipeline('fill-mask', 'FOLDER')"
    figures: ClassVar[Mapping[str, str]] = {
        "accuracy": "masked accuracy",
        "top_5": "among the 5 likeliest",
        "nll": "masked loss",
        "unigram_nll": "loss of guessing by frequency",
    }
    headlines: ClassVar[tuple[str, ...]] = ("accuracy", "nll", "unigram_nll")
    loss: ClassVar[str] = "nll"
    choices: ClassVar[tuple[str, ...]] = ("loss", "accuracy")
    has_classes: ClassVar[bool] = False
    has_answers: ClassVar[bool] = False
    not_here: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "which has no labels and leaves nothing of a text away": _NOT_HERE
    }
    unlearnt: ClassVar[str] = (
        "Words are still guessed by their frequency, as they are for the first thousands of steps of an "
        "encoder that is made from nothing. Train longer (--epochs), or raise --lr."
    )

    def __post_init__(self) -> None:
        if self.next_sentence:
            object.__setattr__(self, "layout", "next-sentence")

    @classmethod
    def learn(cls, table: Table, columns: Columns, config: TrainConfig) -> "MaskedLM":
        """As the settings say."""
        return cls(config.mask_rate, config.whole_words == "on", config.next_sentence == "on")

    @classmethod
    def foreign(cls, problem_type: str | None, names: tuple[str, ...]) -> None:
        """Never: such a model has no labels."""

    def read(self, table: Table, columns: Columns) -> np.ndarray:
        """(n_rows,): each row is a document."""
        return np.arange(len(table))

    def is_labelled(self, targets: np.ndarray) -> np.ndarray:
        return np.ones(len(targets), np.bool_)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        return np.zeros(len(targets), np.int64)

    def trained_on(self, targets: np.ndarray, config: TrainConfig) -> "MaskedLM":
        return self

    def describe(self) -> str:
        unit = "words" if self.whole_words else "tokens"
        return f"{self.rate:.0%} of the {unit} hidden, other ones at each step"

    @property
    def output_names(self) -> tuple[str, ...]:
        """None: the outputs are the words."""
        return ()

    def tokenised(self, texts: Any, tokeniser: Tokeniser, rules: TextRules) -> tuple[MaskedStore, np.ndarray]:
        """Windows of the documents. Raises CheckpointError for a tokeniser without a mask token."""
        if tokeniser.mask is None:
            raise CheckpointError(
                f"{tokeniser.source}: the tokeniser has no mask token ([MASK] or <mask>), and hidden words "
                "need one. Choose an encoder that was made by masked words, or --model mini."
            )
        documents = read_documents(texts.some, len(texts), tokeniser, self.whole_words)
        is_other = None
        if self.next_sentence:
            store, owners, is_other = pair_store(documents, tokeniser, rules.max_length, _ORDER)
        else:
            store, owners = window_store(documents, tokeniser, rules.max_length)
        if len(store) == 0:
            raise DataError("the documents hold no word that the tokeniser knows. Name other texts.")
        others = np.setdiff1d(tokeniser.ids, tokeniser.special).astype(np.int32)
        return MaskedStore(store, Masking(tokeniser.mask, others, self.rate), labels=is_other), owners

    def having_read(self, train: Store) -> "MaskedLM":
        """With each word's chance in the training texts, and the mean number of tokens that are hidden in a
        text. Words that were not seen share as much as there are different words (Witten and Bell 1991, "The
        zero-frequency problem", method C); one added to every count would make small corpora look random.
        A special token, which is never hidden, gets the least chance of a word."""
        assert isinstance(train, MaskedStore)
        assert isinstance(train.hiding, Masking)
        words = train.hiding.others
        all_counts = train.counts(int(words.max()) + 1)
        hidden = max(1.0, self.rate * all_counts.sum() / len(train))
        counts = all_counts[words]
        n_seen = int((counts > 0).sum())
        n_unseen = len(words) - n_seen
        shares = np.where(counts > 0, counts, n_seen / max(1, n_unseen))
        of_words = shares / shares.sum()
        chances = np.full(len(all_counts), of_words.min())
        chances[words] = of_words
        return replace(self, chances=(chances, hidden))

    def first_bias(self) -> Tensor | None:
        """The log of each word's chance in the training texts."""
        return None if self.chances is None else torch.from_numpy(np.log(self.chances[0]))

    def of_guessing(self, targets: np.ndarray) -> tuple[float, float, float]:
        """By the words' frequency in the training texts: their entropy."""
        assert self.chances is not None
        chances, n_hidden = self.chances
        costs = -np.log(chances)
        mean = float(chances @ costs)
        deviation = math.sqrt(max(0.0, float(chances @ costs**2) - mean**2) / n_hidden)
        return mean, deviation, mean

    def tensor(self, targets: np.ndarray, marks: Sequence[np.ndarray] | None = None) -> Tensor:
        """(n_reads,) int64 of the hidden words; with next-sentence prediction (n_reads, 2)."""
        assert marks is not None
        found = torch.from_numpy(np.concatenate(marks).astype(np.int64))
        return found if self.next_sentence else found[:, _ID]

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Of each hidden token. What next-sentence prediction costs is added to each token of its text, so
        that a text counts by its hidden tokens there too; of full windows that is the mean over texts."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        if not self.next_sentence:
            return F.cross_entropy(wide, targets, reduction="none")
        words = F.cross_entropy(wide[:, :-2], targets[:, _ID], reduction="none")
        return words + F.cross_entropy(wide[:, -2:], targets[:, _IS_OTHER], reduction="none")

    def disagreement(self, one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
        """See `divergence`; about words alone."""
        n_words = one.shape[1] - (2 if self.next_sentence else 0)
        return divergence(one[:, :n_words], other[:, :n_words])

    def weight(self, targets: Tensor) -> float:
        """The hidden tokens."""
        return float(len(targets))

    def kept(self, logits: Tensor, marks: Sequence[np.ndarray] | None) -> Tensor:
        """See the class: (n_reads, 2), or 3. Never a number a word, which all tokens together had no room
        for."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        truth = self.tensor(np.zeros(0), marks).to(wide.device)
        words = wide[:, :-2] if self.next_sentence else wide
        ids = truth[:, _ID] if self.next_sentence else truth
        own = words.gather(1, ids[:, None])
        columns = [own[:, 0] - words.logsumexp(dim=1), (words > own).sum(dim=1).to(wide)]
        if self.next_sentence:
            columns.append(wide[:, -1] - wide[:, -2])
        return torch.stack(columns, dim=1)

    def standing(self, metrics: Mapping[str, Any], by: str) -> tuple[float, float]:
        """By chance: a binomial standard error of the accuracy over tokens; nothing for the loss."""
        if by == "loss":
            return -float(metrics["nll"]), 0.0
        value = float(metrics[by])
        return value, math.sqrt(value * (1 - value) / metrics["n_tokens"])

    def parse(self, labels: Any, n_texts: int) -> Tensor:
        """Raises ValueError: what is hidden is decided by the training loop."""
        raise ValueError("a masked-LM model takes no labels; train it with whet pretrain")

    def fitted(self, logits: np.ndarray, targets: np.ndarray, config: TrainConfig) -> "MaskedLM":
        return self

    def decode(
        self,
        logits: np.ndarray,
        with_logits: bool = False,
        coverage: float | None = None,
        rows: Sequence[Any] = (),
    ) -> Sequence[Prediction]:
        """Raises ConfigError: there is nothing to answer."""
        raise ConfigError(f"{self.name}: such a model says nothing about a text. Fine-tune it: whet train.")

    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.masked_scores.masked_metrics`; and n (windows), n_documents and, with next-sentence
        prediction, next_accuracy over windows."""
        found = {
            "n": len(targets),
            "n_documents": len(np.unique(targets)),
            **masked_metrics(*self._of_tokens(logits)),
        }
        if self.next_sentence:
            firsts = np.stack([rows[0] for rows in logits])
            is_other = firsts[:, -1] > 0
            found["next_accuracy"] = float(((firsts[:, _ODDS] > 0) == is_other).mean())
        return found

    def intervals(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """See `whet.masked_scores.masked_intervals`."""
        documents = np.repeat(targets, [len(rows) for rows in logits])
        return dict(masked_intervals(*self._of_tokens(logits), documents))

    def n_parts(self, rules: TextRules) -> int:
        """Of a pair the texts stand one after the other."""
        return 2 if self.next_sentence else 1

    def n_probed_tokens(self, store: Store) -> int:
        """Each of the tokens that are probed takes a window."""
        mean = float(store.ensure().lengths.mean())
        return round(mean * min(_MOST_PROBES, _n_fitting(mean)))

    def probed(
        self, store: Store, targets: np.ndarray, logits_of: Callable[[Store], np.ndarray]
    ) -> dict[str, Any]:
        """The pseudo-perplexity, from tokens drawn at random, at most 1,000: each takes a pass over its
        window."""
        assert isinstance(store, MaskedStore)
        assert isinstance(store.hiding, Masking)
        plain = store.texts.sequences(np.arange(len(store)))
        assert plain.reads is not None
        n_open = np.array([int(one.sum()) for one in plain.reads])
        n = min(_MOST_PROBES, _n_fitting(float(store.lengths.mean())), int(n_open.sum()))
        tokens = np.sort(np.random.default_rng(_ORDER).choice(int(n_open.sum()), n, replace=False))
        ends = np.cumsum(n_open)
        windows = np.searchsorted(ends, tokens, side="right")
        rows = [(plain.ids[i], plain.types[i], plain.reads[i]) for i in windows]
        hiding = OneEach(store.hiding.mask_id, tokens - (ends - n_open)[windows])
        labels = None if not self.next_sentence else np.zeros(n, np.int64)  # of which nothing is told
        found = logits_of(MaskedStore(store_of(rows, AsLaid()), hiding, labels=labels))
        return pseudo_perplexity(-np.stack([row[0] for row in found])[:, _CHANCE], targets[windows])

    def to_json(self) -> Mapping[str, Any]:
        return {
            "rate": self.rate,
            "whole_words": self.whole_words,
            "next_sentence": self.next_sentence,
            "decision": {},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "MaskedLM":
        return cls(float(saved["rate"]), bool(saved["whole_words"]), bool(saved["next_sentence"]))

    def _of_tokens(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Losses, ranks and losses of guessing of all hidden tokens, (n_tokens,) each."""
        rows = np.concatenate(list(logits))
        ids = rows[:, -2 if self.next_sentence else -1].astype(np.int64)
        assert self.chances is not None
        chances, floor = self.chances[0], self.chances[0].min()
        guessed = np.where(ids < len(chances), chances[np.minimum(ids, len(chances) - 1)], floor)
        return -rows[:, _CHANCE], rows[:, _RANK], -np.log(guessed)


def _n_fitting(mean_length: float) -> int:
    """Windows of so many tokens that may be read for the pseudo-perplexity."""
    return max(1, round(_PROBED_TOKENS / mean_length))
