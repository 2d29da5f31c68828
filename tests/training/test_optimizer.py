"""AdamW's steps against torch's own class."""

import torch
from torch import Tensor, nn

from whet.config import TrainConfig
from whet.training.optimizer import AdamW

SHAPES = (50, 7), (9,), (3,)


def groups(parameters: list[nn.Parameter]) -> list[dict[str, object]]:
    return [
        {"params": parameters[:1], "lr": 1e-2, "weight_decay": 0.1},
        {"params": parameters[1:], "lr": 1e-3, "weight_decay": 0.0},
    ]


def give(parameters: list[nn.Parameter], gradients: list[Tensor], step: int) -> None:
    """The last one has a gradient in every third step only."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    if step % 3:
        parameters[-1].grad = None


def test_steps_are_those_of_torchs_class_to_the_bit() -> None:
    random = torch.Generator().manual_seed(0)
    own = [nn.Parameter(torch.randn(shape, generator=random)) for shape in SHAPES]
    other = [nn.Parameter(parameter.detach().clone()) for parameter in own]
    config = TrainConfig()
    ours = AdamW(groups(own), config)
    theirs = torch.optim.AdamW(
        groups(other), betas=(config.adam_beta1, config.adam_beta2), eps=config.adam_epsilon, fused=True
    )
    for step in range(20):
        gradients = [torch.randn(shape, generator=random) for shape in SHAPES]
        is_bad = torch.tensor(float(step == 7))
        give(own, gradients, step)
        ours.step(is_bad)
        ours.zero_grad()
        give(other, gradients, step)
        theirs.found_inf = is_bad  # type: ignore[attr-defined]  # as torch's GradScaler hands it over
        theirs.step()
    assert all(parameter.grad is None for parameter in own)
    for mine, same in zip(own, other, strict=True):
        assert torch.equal(mine, same)
        assert ours.state[mine].keys() == theirs.state[same].keys()
        assert all(torch.equal(ours.state[mine][key], theirs.state[same][key]) for key in ours.state[mine])


def test_a_group_that_joins_later_moves_from_then_on() -> None:
    first, second = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    optimizer = AdamW([{"params": [first], "lr": 0.1, "weight_decay": 0.0}], TrainConfig())
    for joins in (False, True):
        if joins:
            optimizer.add_param_group({"params": [second], "lr": 0.1, "weight_decay": 0.0})
        first.grad, second.grad = torch.ones(4), torch.ones(4)
        optimizer.step(torch.zeros(()))
        assert bool((second == 1).all()) is not joins
    assert torch.allclose(first, torch.full((4,), 0.8))
    assert torch.allclose(second, torch.full((4,), 0.9))
