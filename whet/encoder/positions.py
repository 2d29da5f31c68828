"""Where a token stands, in the ways that encoders know it.

Two kinds of bricks: those that are added to the embeddings (`embed`-like modules: a pack in, a vector for
each token out), and `Positions`, which tell every layer's attention something that is made once a pack.
"""

from abc import ABC, abstractmethod
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn

from whet.encoder.packing import PackedBatch
from whet.encoder.table import table


class Positions(nn.Module, ABC):
    """What attention has to know of places, made once a pack for all layers."""

    @abstractmethod
    def forward(self, batch: PackedBatch) -> Any:
        """What the kernels of this encoder take as `places`."""


@final
class AbsolutePositions(nn.Module):
    """A learnt vector for each place in a sequence; the first `offset` rows of the table are not used."""

    def __init__(self, max_positions: int, width: int, offset: int = 0) -> None:
        super().__init__()
        self.offset = offset
        self.table = table(max_positions + offset, width)

    def forward(self, batch: PackedBatch) -> Tensor:
        """-> (n_tokens, width)."""
        return F.embedding(batch.positions + self.offset, self.table.weight)
