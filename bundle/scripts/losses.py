"""The demo model's loss."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["DiceWeightedCELoss"]

_SMOOTH = 1e-5
"""As in MONAI's DiceLoss: a class that is neither there nor found has a Dice of 1."""


class DiceWeightedCELoss(torch.nn.Module):
    """Dice over the foreground classes plus class-weighted cross-entropy, of hard labels or of shares of voxels.

    MONAI's `DiceCELoss` hands one weight to both terms; here Dice, which is
    blind to class size, stays unweighted. With one label a voxel, values and
    gradients are those of MONAI's `DiceLoss` (softmax, no background) plus
    torch's `CrossEntropyLoss`; both terms share one softmax and a gradient
    written by hand, which on a CPU saves a fifth of a training step.

    With several labels a voxel (`bundle.scripts.SubvoxelLabelsd`) the truth is
    each class's share of them. What both have of a class is then the smaller of
    probability and share: the product, which Dice has for hard labels, is
    largest for a network that is sure of the class with the largest share, and
    would teach it to forget how much of the voxel is what (Wang et al. 2023,
    Dice semimetric losses, arXiv 2303.16296).

    Parameters
    ----------
    class_weights : Tensor, shape (channels,)
        For the cross-entropy; see `bundle.scripts.inverse_sqrt_frequency`.
    lambda_dice, lambda_ce : float
    """

    class_weights: torch.Tensor

    def __init__(self, class_weights: torch.Tensor, lambda_dice: float = 1.0, lambda_ce: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights.float())
        self.lambda_dice = lambda_dice
        self.lambda_ce = lambda_ce

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of ``scores`` (batch, channels, x, y, z) against ``labels`` (batch, labels of a voxel, x, y, z)."""
        flat_scores = torch.as_tensor(scores).flatten(2).float()
        flat_labels = torch.as_tensor(labels).flatten(2)
        weights = self.class_weights.to(flat_scores.device)
        return torch.as_tensor(
            _SharedSoftmaxLoss.apply(
                flat_scores, _shares(flat_labels, weights.numel()), weights, self.lambda_dice, self.lambda_ce
            )
        )


def _shares(labels: torch.Tensor, channels: int) -> torch.Tensor:
    """Each class's share of a voxel's labels: (batch, labels of a voxel, voxels) to (batch, channels, voxels)."""
    batch, count, voxels = labels.shape
    shares = torch.zeros((batch, channels, voxels), device=labels.device)
    one = torch.full((), 1.0 / count, device=labels.device).expand(batch, 1, voxels)
    for k in range(count):
        shares.scatter_add_(1, labels[:, k : k + 1].long(), one)
    return shares


class _SharedSoftmaxLoss(torch.autograd.Function):
    """The loss with its gradient by hand: p (dL/dp - sum of p dL/dp) for Dice, and that of cross-entropy."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: torch.Tensor,
        shares: torch.Tensor,
        weights: torch.Tensor,
        lambda_dice: float,
        lambda_ce: float,
    ) -> torch.Tensor:
        batch, channels, _ = scores.shape
        probability = scores.log_softmax(dim=1)
        weighted = shares * weights[:, None]
        total_weight = weighted.sum()
        cross_entropy = -torch.dot(weighted.flatten(), probability.flatten()) / total_weight
        probability.exp_()

        numerator = 2 * torch.minimum(probability, shares).sum(dim=2) + _SMOOTH
        denominator = probability.sum(dim=2) + shares.sum(dim=2) + _SMOOTH
        classes = batch * (channels - 1)
        dice = (1 - numerator / denominator)[:, 1:].sum() / classes

        # dDice/dp is one number for a class where it has its share already, and another where it has not.
        surplus = lambda_dice * numerator / denominator**2 / classes
        lacking = surplus - 2 * lambda_dice / denominator / classes
        surplus[:, 0] = lacking[:, 0] = 0
        ctx.save_for_backward(probability, shares, weighted, surplus, lacking, total_weight)
        ctx.lambda_ce = lambda_ce
        return lambda_dice * dice + lambda_ce * cross_entropy

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        probability, shares, weighted, surplus, lacking, total_weight = ctx.saved_tensors
        gradient = torch.where(probability < shares, lacking[:, :, None], surplus[:, :, None]).mul_(probability)
        scale = ctx.lambda_ce / total_weight
        # Cross-entropy adds p * (sum of the voxel's weights) - its weights; Dice takes p * (mean of dDice/dp).
        pull = weighted.sum(dim=1, keepdim=True).mul_(scale) - gradient.sum(dim=1, keepdim=True)
        gradient.addcmul_(probability, pull).sub_(weighted, alpha=float(scale))
        return gradient.mul_(gradients[0]), None, None, None, None
