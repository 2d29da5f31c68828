"""A reversible table of parameter names: loading and saving share one truth.

A row says which tensors of a foreign checkpoint make one of ours; several are stacked along their first
axis (query, key and value become one projection) and are cut apart again on the way out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class NameTable:
    """Our name -> the foreign names whose tensors, stacked along axis 0, make it."""

    rows: Mapping[str, tuple[str, ...]]

    def load(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Foreign tensors -> ours, for every row whose foreign tensors are all there, and of one shape."""
        return {
            ours: foreign[theirs[0]] if len(theirs) == 1 else torch.cat([foreign[name] for name in theirs])
            for ours, theirs in self.rows.items()
            if all(name in foreign for name in theirs) and len({foreign[name].shape for name in theirs}) == 1
        }

    def save(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Ours -> foreign tensors. Raises KeyError for a tensor that no row names."""
        foreign: dict[str, Tensor] = {}
        for ours, tensor in state.items():
            theirs = self.rows[ours]
            foreign.update(zip(theirs, tensor.chunk(len(theirs)), strict=True))
        return {name: tensor.detach().contiguous() for name, tensor in foreign.items()}

    def under(self, ours: str, theirs: str) -> "NameTable":
        """The same rows with a prefix on either side."""
        return NameTable(
            {ours + name: tuple(theirs + other for other in others) for name, others in self.rows.items()}
        )

    def __or__(self, other: "NameTable") -> "NameTable":
        return NameTable({**self.rows, **other.rows})
