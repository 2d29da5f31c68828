"""What training minimises over labels: cross-entropy, as it is, weighted by label, smoothed, or focal.

Part of a task while it is trained, and not of the saved model: figures and predictions know nothing of it.
"""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from whet.config import TrainConfig


@final
@dataclass(frozen=True)
class Objective:
    """The loss of one text; without arguments the plain cross-entropy."""

    label_weights: tuple[float, ...] | None = None  # one a label; None: all 1
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each text in nats: logits (n_texts, n_labels), targets (n_texts,) int64 -> (n_texts,),
        float64 for float64, else float32.

        Weights and smoothing as in `torch.nn.functional.cross_entropy`. Focal: (1 - p)^gamma times the
        loss, p being the chance given to the true label (Lin et al., "Focal loss for dense object
        detection", ICCV 2017)."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        weights = None if self.label_weights is None else wide.new_tensor(self.label_weights)
        losses = F.cross_entropy(
            wide, targets, weights, reduction="none", label_smoothing=self.label_smoothing
        )
        if self.focal_gamma == 0.0:
            return losses
        return losses * _focus(-F.cross_entropy(wide, targets, reduction="none"), self.focal_gamma)

    def weight(self, targets: Tensor) -> float:
        """The sum of the weights of targets (n_texts,) int64; their number where all weights are 1. The sum
        of losses over it is torch's weighted mean."""
        if self.label_weights is None:
            return float(len(targets))
        return float(torch.tensor(self.label_weights, dtype=torch.float64)[targets.cpu()].sum())

    def of_guessing(self, counts: np.ndarray) -> float:
        """The mean loss of the best answer that is the same for every text, in nats: the entropy of the
        labels' shares where the loss is plain. counts (n_labels,): texts with each label, not all 0."""
        weights = np.ones(len(counts)) if self.label_weights is None else np.array(self.label_weights)
        own, spread = counts * weights, counts.sum() * weights / len(counts)
        shares = ((1 - self.label_smoothing) * own + self.label_smoothing * spread) / own.sum()
        parts = torch.from_numpy(shares[shares > 0])

        def mean(logits: np.ndarray) -> tuple[float, np.ndarray]:
            asked = torch.from_numpy(logits).requires_grad_()
            log_chances = asked.log_softmax(0)
            found = (parts * -log_chances * _focus(log_chances, self.focal_gamma)).sum()
            (slope,) = torch.autograd.grad(found, asked)
            return float(found.detach()), slope.numpy()

        best = parts.log().numpy()  # the answer itself, unless the loss is focal
        return float(minimize(mean, best, jac=True, method="L-BFGS-B", tol=1e-14).fun)


PLAIN: Final = Objective()


def make_objective(config: TrainConfig, targets: np.ndarray, n_labels: int) -> Objective:
    """The objective of a run: targets (n_texts,) int64 of the rows that are trained on."""
    weights = None
    if config.class_weights == "balanced":
        weights = balanced(np.bincount(targets, minlength=n_labels))
    return Objective(weights, config.focal_gamma, config.label_smoothing)


def balanced(counts: np.ndarray) -> tuple[float, ...]:
    """n / (labels x n of the label), so that every label counts as much: counts (n_labels,) of texts.

    As scikit-learn's `compute_class_weight("balanced")`. A label without texts weighs 1, which the loss
    feels only where labels are smoothed, and is not counted among the labels."""
    seen = counts > 0
    weights = np.ones(len(counts))
    weights[seen] = counts.sum() / (seen.sum() * counts[seen])
    return tuple(weights.tolist())


def _focus(log_chances: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma of log p. Never 0^gamma, whose slope is infinite for a gamma below 1."""
    missing = -torch.expm1(log_chances)
    return missing.clamp_min(torch.finfo(missing.dtype).tiny) ** gamma


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """Half of KL(p, q) + KL(q, p) of the softmax of two rows of logits, in nats: (n, n_labels) twice ->
    (n,), float64 for float64, else float32."""
    one, other = (part if part.dtype == torch.float64 else part.float() for part in (one, other))
    p, q = one.log_softmax(dim=1), other.log_softmax(dim=1)
    return ((p.exp() - q.exp()) * (p - q)).sum(dim=1) / 2
