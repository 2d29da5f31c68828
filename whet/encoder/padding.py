"""Packs cut into padded batches of near lengths, for networks that know nothing of packs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from whet.encoder.packing import PackedBatch, Run


@final
@dataclass(frozen=True)
class PaddedBatch:
    """Some neighbours of a pack as the rows of a rectangle, in pack order, filled up at their ends."""

    token_ids: Tensor  # (n_sequences, longest) int64
    type_ids: Tensor  # (n_sequences, longest) int64
    mask: Tensor  # (n_sequences, longest) bool, where a sequence has a token
    has_padding: bool

    def tokens(self, rows: Tensor) -> Tensor:
        """(n_sequences, longest, ...) -> (n_tokens, ...), in pack order."""
        return rows[self.mask] if self.has_padding else rows.flatten(0, 1)


def padded(batch: PackedBatch, pad_token_id: int, most_padding: float) -> list[PaddedBatch]:
    """All sequences of a pack, in as few rectangles as keep the share of padding in each to `most_padding`.

    With a share of 0 only equal lengths meet."""
    parts, start = [], 0
    device = batch.token_ids.device
    for runs in _near(batch.runs, most_padding):
        counts = torch.tensor([run.n_sequences for run in runs], device=device)
        lengths = torch.tensor([run.length for run in runs], device=device).repeat_interleave(counts)
        mask = torch.arange(runs[-1].length, device=device)[None, :] < lengths[:, None]
        end = start + sum(run.n_sequences * run.length for run in runs)
        ids = batch.token_ids.new_full(mask.shape, pad_token_id)
        types = batch.type_ids.new_zeros(mask.shape)
        parts.append(
            PaddedBatch(
                ids.masked_scatter(mask, batch.token_ids[start:end]),
                types.masked_scatter(mask, batch.type_ids[start:end]),
                mask,
                len(runs) > 1,
            )
        )
        start = end
    return parts


def _near(runs: Sequence[Run], most_padding: float) -> Iterator[list[Run]]:
    """Neighbouring runs, which rise in length, as long as their padding stays within the share."""
    group: list[Run] = []
    for run in runs:
        wider = [*group, run]
        n_places = run.length * sum(one.n_sequences for one in wider)
        n_tokens = sum(one.n_sequences * one.length for one in wider)
        if group and n_places - n_tokens > most_padding * n_places:
            yield group
            wider = [run]
        group = wider
    yield group
