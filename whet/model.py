"""Encoder, head and tokeniser bound together: the modules that one's own PyTorch loop can use.

Three kinds of input mean the same: texts (or pairs of texts), the padded dictionary that a Hugging Face
tokeniser returns, or a `PackedBatch`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from whet.checkpoints.families import MODEL_TYPES
from whet.checkpoints.families.base import MEAN
from whet.checkpoints.loading import Checkpoint, encoder_from, head_from
from whet.config import Pooling
from whet.encoder.dropout import sequence_keys
from whet.encoder.heads import Head
from whet.encoder.network import AnyEncoder, EncoderOutput
from whet.encoder.packing import PackedBatch, pack
from whet.errors import ConfigError
from whet.tasks.base import Task
from whet.text.batches import pack_texts
from whet.text.encoding import Encoding
from whet.text.rules import TextRules
from whet.text.store import Store, TokenStore, store_of
from whet.text.tokens import Tokeniser
from whet.text.whole import encoding_of_texts

_MULTIPLE = 32  # tokens; a step of 420 is a tenth faster for it, in two thirds of the memory (benchmarks.md)

Texts = Sequence[str] | Sequence[tuple[str, str]]
Inputs = Texts | Mapping[str, Tensor] | PackedBatch


class EncodedTexts(NamedTuple):
    """What `TextEncoder` gives: named as in transformers."""

    last_hidden_state: Tensor  # (n_texts, longest, hidden_size), zero where a text has no token
    pooler_output: Tensor | None  # (n_texts, hidden_size)
    attention_mask: Tensor  # (n_texts, longest) bool, where a text has a token


class TaskOutput(NamedTuple):
    """What `TextModel` gives: named as in transformers."""

    loss: Tensor | None  # scalar, the mean over texts; None without labels
    logits: Tensor  # (n_texts, n_outputs); where words are tagged, (n_words, n_outputs) of all texts


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Meanwhile without dropout; then every part is as it was, however it ends."""
    before = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode


class _Packer(nn.Module):
    """Makes a pack of whatever came in. Dropout masks of a bare module follow torch's generator; the
    training loop passes packs that carry its own keys."""

    def __init__(self, encoder: AnyEncoder, tokeniser: Tokeniser, rules: TextRules) -> None:
        super().__init__()
        if not 4 <= rules.max_length <= encoder.spec.max_positions:
            raise ConfigError(
                f"max_length={rules.max_length}: this encoder has {encoder.spec.max_positions} positions. "
                f"Choose 4 to {encoder.spec.max_positions}."
            )
        self.encoder = encoder
        self.tokeniser = tokeniser
        self.rules = rules

    def pack(self, inputs: Inputs) -> PackedBatch:
        """Raises TypeError for what is none of the three kinds of input, ValueError for token sequences that
        are longer than the encoder has positions."""
        if isinstance(inputs, PackedBatch):
            return inputs
        device = next(self.parameters()).device
        draw = int(torch.randint(1 << 62, ())) if self.training else 0
        if isinstance(inputs, Mapping):
            batch = _pack_padded(inputs, draw)
            if max(batch.lengths) > self.encoder.spec.max_positions:
                raise ValueError(
                    f"a sequence of {max(batch.lengths)} tokens, and the encoder has "
                    f"{self.encoder.spec.max_positions} positions; let the tokeniser truncate"
                )
            return batch.to(device)
        if isinstance(inputs, str) or not isinstance(inputs, Sequence):
            raise TypeError(
                "pass a list of texts, a list of (text, pair), a tokeniser's dictionary, or a PackedBatch"
            )
        store = self._store(inputs)
        return pack_texts(store, np.arange(len(store)), (draw, 0)).to(device)

    def _store(self, inputs: Sequence[Any]) -> TokenStore:
        """Texts, or pairs of texts, as tokens."""
        rows = [(item,) if isinstance(item, str) else tuple(item) for item in inputs]
        return store_of(rows, encoding_of_texts(self.tokeniser, self.rules))


@final
class TextEncoder(_Packer):
    """An encoder as an ordinary `nn.Module`: texts in, hidden states out."""

    def forward(self, inputs: Inputs | None = None, **padded: Tensor) -> EncodedTexts:
        """-> (n_texts, longest, hidden_size), its mask, and (n_texts, hidden_size), in the caller's order.

        A tokeniser's dictionary may come as keywords too; the output then has the shape that came in."""
        given = padded if inputs is None else inputs
        batch = self.pack(given)
        encoded: EncoderOutput = self.encoder(batch)
        if isinstance(given, Mapping) and given.get("attention_mask") is not None:
            mask = given["attention_mask"].to(encoded.tokens.device).bool()
        else:
            lengths = torch.tensor(batch.lengths, device=encoded.tokens.device)
            mask = torch.arange(max(batch.lengths), device=lengths.device)[None, :] < lengths[:, None]
        states = encoded.tokens.new_zeros(*mask.shape, encoded.tokens.shape[1])
        states = states.masked_scatter(mask[:, :, None], torch.cat(batch.unpack(encoded.tokens)))
        return EncodedTexts(states, encoded.pooled, mask)


@final
class TextModel(_Packer):
    """Encoder, head and task: texts and labels in, loss and logits out."""

    def __init__(
        self,
        encoder: AnyEncoder,
        head: Head,
        task: Task,
        tokeniser: Tokeniser,
        rules: TextRules,
        config: Mapping[str, Any],
    ) -> None:
        super().__init__(encoder, tokeniser, rules)
        self.head = head
        self.task = task
        self.config = config  # config.json of the checkpoint it came from, for saving

    @property
    def layout(self) -> str:
        """Of its head, a key of the family's."""
        return layout_of(self.task, self.rules.pooling)

    @property
    def encoding(self) -> Encoding:
        """How rows become tokens."""
        return self.task.encoding(self.tokeniser, self.rules)

    def _store(self, inputs: Sequence[Any]) -> TokenStore:
        rows = [self.task.text(item, i, self.rules) for i, item in enumerate(inputs)]
        return store_of(rows, self.encoding)

    def batch(
        self, store: Store, texts: np.ndarray, precision: str, dropout: tuple[int, int] | None = None
    ) -> PackedBatch:
        """A pack of some texts on the model's device, of a size that products in `precision` are fast for;
        dropout is (seed, step) while training."""
        rounded = precision == "bf16" and self.encoder.takes_filler
        device = next(self.parameters()).device
        return pack_texts(store, texts, dropout, _MULTIPLE if rounded else 1).to(device)

    def logits(self, batch: PackedBatch) -> Tensor:
        """(n_texts, n_outputs) or, of a head that reads tokens, (n_reads, n_outputs), in the caller's order:
        what the loop and the predictor call."""
        logits: Tensor = self.head(self.encoder, batch)
        return logits

    def forward(
        self, inputs: Inputs | None = None, labels: Sequence[str] | Tensor | None = None, **padded: Tensor
    ) -> TaskOutput:
        """labels as the task parses them, names or (n_texts,) int64 indices in classification; a Hugging Face
        dictionary may bring them under "labels", and may come as keywords. Raises ValueError for labels that
        do not fit."""
        given = padded if inputs is None else inputs
        if labels is None and isinstance(given, Mapping):
            labels = given.get("labels")
        logits = self.logits(self.pack(given))
        if labels is None:
            return TaskOutput(None, logits)
        targets = self.task.parse(labels, len(logits)).to(logits.device)
        return TaskOutput(self.task.losses(logits, targets).sum() / self.task.weight(targets), logits)


def _pack_padded(inputs: Mapping[str, Tensor], draw: int) -> PackedBatch:
    ids = inputs["input_ids"].cpu().numpy()
    mask = inputs.get("attention_mask")
    types = inputs.get("token_type_ids")
    real = np.ones_like(ids, bool) if mask is None else mask.cpu().numpy().astype(bool)
    kinds = np.zeros_like(ids) if types is None else types.cpu().numpy()
    return pack(
        [row[keep] for row, keep in zip(ids, real, strict=True)],
        [row[keep] for row, keep in zip(kinds, real, strict=True)],
        sequence_keys(draw, 0, np.arange(len(ids))),
    )


@final
@dataclass(frozen=True)
class Start:
    """A model that is ready to be trained, and what was found on the way."""

    model: TextModel
    new: frozenset[str]  # parameters made new, which take the head's learning rate
    notes: tuple[str, ...]


def layout_of(task: Task, pooling: Pooling) -> str:
    """Of the head: the task's, or that of the mean of a text's tokens."""
    return MEAN if pooling == "mean" else task.layout


def start_model(
    checkpoint: Checkpoint,
    task: Task,
    tokeniser: Tokeniser,
    rules: TextRules,
    seed: int,
    dropout: float | None = None,
) -> Start:
    """An encoder from a checkpoint with a head for `task`: the checkpoint's own head where it knows the
    same labels (matched by name, in any order), else a new one.

    The seed is set before anything new is made. Raises ConfigError for more tokens than the encoder has
    positions, CheckpointError for a tokeniser that is not the encoder's."""
    tokeniser.check_fits(checkpoint.spec.vocab_size)
    generator = torch.Generator().manual_seed(seed)
    layout = layout_of(task, rules.pooling)
    encoder, new_pooler = encoder_from(checkpoint, dropout, generator, layout)
    notes = []
    if not checkpoint.family.is_packed:
        notes.append(
            f"{checkpoint.family.model_type} runs padded, through transformers' own module; whet runs "
            f"{', '.join(MODEL_TYPES)} packed, which is faster."
        )
    if new_pooler:
        notes.append(f"New pooler ({len(new_pooler)} tensors): the checkpoint has none.")
    same_layout = checkpoint.layout == layout
    rows: Sequence[int] | slice | None = slice(None)  # of words there are the same ones, if any
    if task.output_names:
        rows = _matching_rows(checkpoint.labels, task.output_names) if same_layout else None
    head, new_head = head_from(checkpoint, layout, task.n_outputs, rows, dropout, generator)
    if not task.output_names:
        notes += _of_words(head, new_head, task)
    elif rows is None:
        if (bias := task.first_bias()) is not None:
            head.classifier.bias.data.copy_(bias)
        why = (
            f"the checkpoint's own knows {len(checkpoint.labels)} other labels ({_shown(checkpoint.labels)})"
            if same_layout
            else "as expected"
        )
        notes.append(f"New head ({len(new_head)} tensors), {why}.")
    else:
        notes.append(f"The checkpoint's head knows these {task.n_outputs} labels and is kept.")
    new = {f"encoder.{name}" for name in new_pooler} | {f"head.{name}" for name in new_head}
    model = TextModel(encoder, head, task, tokeniser, rules, checkpoint.config)
    return Start(model, frozenset(new), tuple(notes))


def _of_words(head: Head, new: frozenset[str], task: Task) -> list[str]:
    """What a head whose outputs are the words began with."""
    if "classifier.bias" in new and (bias := task.first_bias()) is not None:
        head.classifier.bias.data.fill_(float(bias.min()))  # also of what no text has
        head.classifier.bias.data[: len(bias)] = bias
    if not new:
        return ["The checkpoint's masked-LM head is kept."]
    if "classifier.bias" not in new:
        return [f"The checkpoint's masked-LM head is kept; new is its {', '.join(sorted(new))}."]
    return [
        "The checkpoint has no masked-LM head: one begins, whose decoder is the encoder's table of words and "
        "whose bias is how often they occur."
    ]


def _matching_rows(theirs: tuple[str, ...], ours: tuple[str, ...]) -> list[int] | None:
    """For each of our labels the checkpoint's row of that name; LABEL_3 also answers to 3."""
    if set(theirs) != set(ours):
        theirs = tuple(label.removeprefix("LABEL_") for label in theirs)
    return [theirs.index(label) for label in ours] if set(theirs) == set(ours) else None


def _shown(labels: tuple[str, ...]) -> str:
    return ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
