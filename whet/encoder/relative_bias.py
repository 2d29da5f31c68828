"""A bias on attention for each distance between two tokens, shared by all layers and learnt by buckets of
distances (Raffel et al. 2020, "Exploring the limits of transfer learning", section 2.1)."""

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from whet.encoder.attention import Kernel
from whet.encoder.packing import PackedBatch
from whet.encoder.positions import Positions
from whet.encoder.run_attention import attend, attend_firsts, run_by_run
from whet.encoder.table import table


@final
class RelativeBias(Positions):
    """What each head adds to a score for how far the key stands from the query.

    Half of the buckets are for keys before the query, half for keys behind it. Of each half, half are for one
    distance each, and the others grow logarithmically up to max_distance; the last one takes all that is
    further away."""

    buckets: Tensor  # (2 * max_distance + 1,) int64, of the distances -max_distance to max_distance

    def __init__(self, n_buckets: int, n_heads: int, max_distance: int = 128) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.table = table(n_buckets, n_heads)
        self.register_buffer("buckets", _buckets(n_buckets, max_distance), persistent=False)

    def forward(self, batch: PackedBatch) -> tuple[Tensor, ...]:
        """-> (n_heads, length, length) of each run, [h, i, j] for query i and key j.

        Made once, for the longest run: of the others it is a corner, for only the distance counts."""
        places = torch.arange(batch.longest, device=self.buckets.device)
        distances = (places[None, :] - places[:, None]).clamp_(-self.max_distance, self.max_distance)
        bias = F.embedding(self.buckets[distances + self.max_distance], self.table.weight)
        bias = bias.permute(2, 0, 1).contiguous()
        return tuple(bias[:, :length, :length] for _, length in batch.runs)


def _buckets(n_buckets: int, max_distance: int) -> Tensor:
    """In float32 on a processor, so that the borders lie where the checkpoints were trained with them."""
    distances = torch.arange(-max_distance, max_distance + 1, device="cpu")
    half, exact = n_buckets // 2, n_buckets // 4
    away = distances.abs()
    growth = torch.log(away.float() / exact) / math.log(max_distance / exact) * (half - exact)
    # the logarithm of 0 has no place among whole numbers, and is not used
    further = (exact + growth.clamp(min=0).to(torch.int64)).clamp(max=half - 1)
    return torch.where(away < exact, away, further) + half * (distances > 0)


@final
class BiasedAttention(Kernel):
    """Softmax(q k^T / sqrt(head_dim) + bias) v within each sequence, run by run of equal lengths; places is
    what `RelativeBias` says of the pack."""

    def __call__(self, qkv: Tensor, batch: PackedBatch, places: tuple[Tensor, ...]) -> Tensor:
        return run_by_run(lambda part, run, i: attend(part, run, places[i]), qkv, batch)

    def first_tokens(self, q: Tensor, kv: Tensor, batch: PackedBatch, places: tuple[Tensor, ...]) -> Tensor:
        return attend_firsts(q, kv, batch, places)
