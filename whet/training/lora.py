"""LoRA (Hu et al. 2021, "LoRA: low-rank adaptation of large language models"): a linear layer's weight W is
frozen, and W + scale * up @ down is used, where the two matrices are trained.

They are a parametrization of the layer's weight, so whoever reads `weight` reads the sum, and a model without
them is got by writing the sum into its place. Query, key and value, which are one layer here, share `down`.
"""

import math
from collections.abc import Iterator
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from whet.encoder.network import AnyEncoder

_ORIGINAL, _MATRICES = ".parametrizations.weight.original", ".parametrizations.weight.0."


@final
class LowRank(nn.Module):
    """What is added to a weight (n_out, n_in)."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        self.scale = alpha / rank
        self.down = nn.Parameter(weight.new_zeros(rank, n_in))
        self.up = nn.Parameter(weight.new_zeros(n_out, rank))

    def begin(self, generator: torch.Generator) -> None:
        """`down` as a linear layer of torch begins, `up` at 0, so that nothing is added at first."""
        bound = 1 / math.sqrt(self.down.shape[1])
        drawn = torch.empty(self.down.shape).uniform_(-bound, bound, generator=generator)
        with torch.no_grad():
            self.down.copy_(drawn)

    def forward(self, weight: Tensor) -> Tensor:
        """(n_out, n_in) -> the same."""
        return weight + self.scale * (self.up @ self.down)


def add_lora(encoder: AnyEncoder, rank: int, alpha: float, seed: int | None) -> None:
    """To every linear layer of the encoder's layers; without a seed the matrices stay 0."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for linear in _linears(encoder):
        matrices = LowRank(linear.weight, rank, alpha)
        if generator is not None:
            matrices.begin(generator)
        linear.weight.requires_grad_(False)
        parametrize.register_parametrization(linear, "weight", matrices)


def is_of_lora(name: str) -> bool:
    """Whether a parameter of this name is one of the two matrices."""
    return _MATRICES in name


def without_lora(model: nn.Module) -> dict[str, Tensor]:
    """`state_dict` with the sums in their places, under the names of a model without LoRA."""
    found: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.endswith(_ORIGINAL):
            place = name.removesuffix(_ORIGINAL)
            found[f"{place}.weight"] = cast(nn.Linear, model.get_submodule(place)).weight.detach()
        elif not is_of_lora(name):
            found[name] = tensor
    return found


def merge_lora(model: nn.Module) -> None:
    """Write the sums into their places and forget the matrices."""
    for part in list(model.modules()):
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)


def _linears(encoder: AnyEncoder) -> Iterator[nn.Linear]:
    """Of its layers, each once."""
    seen: set[int] = set()
    for layer in encoder.sequence:
        for part in layer.modules():
            if isinstance(part, nn.Linear) and id(part) not in seen:
                seen.add(id(part))
                yield part
