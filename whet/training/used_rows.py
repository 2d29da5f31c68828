"""The rows of a word table that training has used so far, side by side, so that a step touches no others.

A row that no training text has used has no gradient and no moments: dense AdamW does nothing to it but decay,
a factor 1 - rate * decay a step (Loshchilov and Hutter 2017). So those factors are multiplied up and given to
a row when it is first used, or when the table is looked at; the used rows are a parameter of their own. The
results are dense AdamW's, but for rounding, at the cost of the rows that are used.
"""

from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whet.encoder.network import Words

_MOMENTS = "exp_avg", "exp_avg_sq"  # torch's names in the state of AdamW


@final
class UsedRows:
    """Stands for a word table while training. Which rows it holds, and in which order, is a pure function of
    the steps taken."""

    def __init__(self, words: Words) -> None:
        self._table = words.table.weight
        self._table.requires_grad_(False)
        self.rows = nn.Parameter(self._table.detach()[:0].clone())  # (n_used, width)
        self._room = {name: self.rows.detach() for name in ("rows", *_MOMENTS)}
        self._is_used = np.zeros(len(self._table), bool)  # not on a device, which would have to be waited for
        self._ids = np.zeros(0, np.int64)  # (n_used,) the row of the table that each one is
        self._places = torch.full((len(self._table),), -1, device=self._table.device)
        self._decay = torch.ones((), dtype=torch.float64, device=self._table.device)  # of the unused rows
        words.trained = self

    def __call__(self, token_ids: Tensor) -> Tensor:
        """(n_tokens,) int64, all of them taken in -> (n_tokens, width)."""
        return F.embedding(self._places[token_ids], self.rows)

    def take_in(self, token_ids: np.ndarray, state: dict[str, Any]) -> None:
        """Hold the rows of these token ids (n,) too; state is AdamW's of `rows`. Between two steps only."""
        found = np.unique(token_ids)
        self._append(found[~self._is_used[found]], state)

    @torch.no_grad()
    def _append(self, ids: np.ndarray, state: dict[str, Any]) -> None:
        if len(ids) == 0:
            return
        first, n_used = len(self._ids), len(self._ids) + len(ids)
        self._is_used[ids] = True
        self._ids = np.concatenate([self._ids, ids])
        chosen = torch.from_numpy(ids).to(self._places.device)
        self._places[chosen] = torch.arange(first, n_used, device=chosen.device)
        if n_used > len(self._room["rows"]):
            n_rooms = min(2 * n_used, len(self._table))
            for name, held in self._room.items():
                self._room[name] = held.new_zeros(n_rooms, held.shape[1])
                self._room[name][:first] = held[:first]
        self._room["rows"][first:n_used] = self._table[chosen] * self._decay
        self.rows.data = self._room["rows"][:n_used]
        state.setdefault("step", torch.zeros((), device=self._table.device))
        for name in _MOMENTS:
            state[name] = self._room[name][:n_used]

    def decayed(self, factor: float, is_bad: Tensor) -> None:
        """A step has left its factor on every row that is not used, unless `is_bad`, a bool on the device."""
        self._decay = torch.where(is_bad, self._decay, self._decay * factor)

    @torch.no_grad()
    def write_back(self) -> None:
        """Let the table be what dense AdamW would have made of it."""
        self._table.mul_(self._decay)
        self._decay.fill_(1.0)
        self._table[torch.from_numpy(self._ids).to(self._table.device)] = self.rows

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint needs beside the table as it stands, and the optimiser's state."""
        return {"ids": torch.from_numpy(self._ids), "rows": self.rows.detach(), "decay": self._decay}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Put `tensors()` of an earlier process back into one that holds no rows. Raises KeyError."""
        self._append(tensors["ids"].numpy(), state)
        self.rows.copy_(tensors["rows"])
        self._decay.copy_(tensors["decay"])
