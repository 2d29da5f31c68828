"""Tables of learnt vectors."""

import torch
from torch import nn


def table(n_rows: int, width: int) -> nn.Embedding:
    """nn.Embedding. On the meta device its own start would import torch's compiler, a second and a half, to
    fill numbers that are not there."""
    made = nn.Embedding(n_rows, width, _weight=torch.empty(n_rows, width))
    if not made.weight.is_meta:
        made.reset_parameters()
    return made
