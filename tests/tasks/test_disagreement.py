"""How far two passes differ (R-Drop), against torch's own divergences."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from whet.target_scale import TargetScale
from whet.tasks.classification import Classification
from whet.tasks.multilabel import Multilabel
from whet.tasks.question_answering import QuestionAnswering
from whet.tasks.regression import Regression
from whet.tasks.token_classification import TokenClassification

LABELS = ("a", "b", "c")


def pair(n: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    one, other = (torch.randn(n, width, generator=generator, dtype=torch.float64) * 3 for _ in range(2))
    return one, other


def both_ways(one: Tensor, other: Tensor, dim: int) -> Tensor:
    """As in the authors' code: the mean of the two divergences, summed over the outcomes."""
    p, q = one.log_softmax(dim), other.log_softmax(dim)
    return (F.kl_div(p, q.exp(), reduction="none") + F.kl_div(q, p.exp(), reduction="none")).sum(dim) / 2


@pytest.mark.parametrize("task", [Classification(LABELS), TokenClassification(("O", "B-A", "I-A"))])
def test_of_one_label(task: Any) -> None:
    one, other = pair(7, 3)
    found = task.disagreement(one, other, torch.zeros(7, dtype=torch.int64))
    torch.testing.assert_close(found, both_ways(one, other, 1))


def test_of_several_labels() -> None:
    one, other = pair(7, 3)
    first, second = Bernoulli(logits=one), Bernoulli(logits=other)
    wanted = (kl_divergence(first, second) + kl_divergence(second, first)).mean(dim=1) / 2
    found = Multilabel(LABELS).disagreement(one, other, torch.zeros(7, 3))
    torch.testing.assert_close(found, wanted)


def test_of_numbers() -> None:
    one, other = pair(7, 1)
    found = Regression(TargetScale(3.0, 2.0)).disagreement(one, other, torch.zeros(7))
    torch.testing.assert_close(found, F.mse_loss(one, other, reduction="none")[:, 0])


def test_of_places_in_windows() -> None:
    """Each window by itself."""
    one, other = pair(11, 2)
    lengths = [5, 2, 4]
    wanted = [
        both_ways(first, second, 0).mean()
        for first, second in zip(one.split(lengths), other.split(lengths), strict=True)
    ]
    targets = torch.from_numpy(np.array([[n, 0, 1] for n in lengths]))
    found = QuestionAnswering().disagreement(one, other, targets)
    torch.testing.assert_close(found, torch.stack(wanted))


def test_nothing_where_both_say_the_same() -> None:
    one, _ = pair(7, 3)
    assert torch.equal(Classification(LABELS).disagreement(one, one, torch.zeros(7)), torch.zeros(7).double())
