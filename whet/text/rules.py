"""How rows become tokens; part of a saved model."""

from dataclasses import dataclass
from typing import final

from whet.config import Context, Cut, LongTexts, Pooling


@final
@dataclass(frozen=True)
class TextRules:
    """What is settled in training and kept ever after."""

    max_length: int
    cut: Cut = "tail"
    long_texts: LongTexts = "cut"
    context: Context = "sentence"
    stride: int = 128
    text_column: str | None = None  # what the columns were called in training; None where that is unknown
    pair_column: str | None = None
    label_columns: tuple[str, ...] = ()
    pooling: Pooling = "own"

    @property
    def label_column(self) -> str | None:
        """The one label column; None where that is unknown, or there are several."""
        return self.label_columns[0] if len(self.label_columns) == 1 else None
