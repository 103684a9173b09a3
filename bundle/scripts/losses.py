"""The demo model's loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from bundle.scripts.loss_kernel import (
    LOG_PROBABILITY,
    OVERLAP,
    PROBABILITY,
    SHARE,
    class_sums,
    members_of,
    write_gradient,
)
from bundle.scripts.merged_classes import merge_classes

__all__ = ["DiceWeightedCELoss"]

_SMOOTH = 1e-5
"""As in MONAI's DiceLoss: a class that is neither in the truth nor found has a Dice of 1."""


class DiceWeightedCELoss(torch.nn.Module):
    """Dice over the foreground classes plus class-weighted cross-entropy, for hard labels or shares of voxels.

    MONAI's `DiceCELoss` applies one weight to both terms. Here Dice stays
    unweighted, because it does not depend on class size. With one label per
    voxel, values and gradients equal those of MONAI's `DiceLoss` (softmax, no
    background) plus torch's `CrossEntropyLoss`. Both terms share one softmax and
    a hand-written gradient. On a CPU numba computes them
    (`bundle.scripts.loss_kernel`), on other devices torch; they differ by rounding.

    With several labels per voxel (`bundle.scripts.SubvoxelLabelsd`), the truth is
    each class's share of them. The overlap of a class is then the smaller of
    probability and share. For hard labels Dice uses the product. With shares the
    product would be largest for a network that is certain of the class with the
    largest share, so the network would lose the shares (Wang et al. 2023, Dice
    semimetric losses, arXiv 2303.16296).

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

    def forward(
        self, scores: torch.Tensor, labels: torch.Tensor, labelled_as: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Loss of ``scores`` (batch, channels, x, y, z) for ``labels`` (batch, labels of a voxel, x, y, z).

        ``labelled_as`` (batch, channels) merges classes as `bundle.scripts.PartialLabelLoss` does.

        Raises
        ------
        ValueError
            When the shapes do not fit one another or the class weights.
        """
        flat_scores = torch.as_tensor(scores).flatten(2).float()
        flat_labels = torch.as_tensor(labels).flatten(2)
        weights = self.class_weights.to(flat_scores.device)
        _check_shapes(flat_scores, flat_labels, labelled_as, weights.numel())
        if _suits_kernel(flat_labels, weights.numel()):
            if labelled_as is None:
                labelled_as = torch.arange(weights.numel()).expand(len(flat_scores), -1)
            loss = _KernelLoss.apply(
                flat_scores, flat_labels.to(torch.uint8), labelled_as, weights, self.lambda_dice, self.lambda_ce
            )
        else:
            if labelled_as is not None:
                flat_scores = merge_classes(flat_scores, labelled_as)
            shares = _shares(flat_labels, weights.numel())
            loss = _SharedSoftmaxLoss.apply(flat_scores, shares, weights, self.lambda_dice, self.lambda_ce)
        return torch.as_tensor(loss)


def _check_shapes(scores: torch.Tensor, labels: torch.Tensor, labelled_as: torch.Tensor | None, channels: int) -> None:
    """Refuse what the kernel would read or write beyond its arrays, or torch would stretch to fit."""
    batch, found, voxels = scores.shape
    if found != channels or (len(labels), labels.shape[2]) != (batch, voxels):
        raise ValueError(
            f"scores (batch, channels, voxels) {tuple(scores.shape)} do not fit "
            f"labels (batch, labels of a voxel, voxels) {tuple(labels.shape)} and {channels} class weights"
        )
    if labelled_as is None:
        return
    if labelled_as.shape != (batch, channels):
        raise ValueError(f"labelled_as {tuple(labelled_as.shape)} does not fit scores {tuple(scores.shape)}")
    if int(labelled_as.min()) < 0 or int(labelled_as.max()) >= channels:
        raise ValueError(f"labelled_as names a class that is none of {channels}")


def _suits_kernel(labels: torch.Tensor, channels: int) -> bool:
    """Whether numba can take the labels; it would write anywhere for one that is no class, where torch raises."""
    if labels.device.type != "cpu" or labels.numel() == 0 or channels > np.iinfo(np.uint8).max:
        return False
    lowest, highest = labels.aminmax()
    return int(lowest) >= 0 and int(highest) < channels


def _dice(
    overlap: torch.Tensor, probability: torch.Tensor, shares: torch.Tensor, lambda_dice: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Dice of sums (batch, channels) over voxels, and its gradients at a probability, times ``lambda_dice``.

    For each class, dDice/dp has one value where the class has not reached its share (the
    first), and another where it has.
    """
    batch, channels = overlap.shape
    numerator = 2 * overlap + _SMOOTH
    denominator = probability + shares + _SMOOTH
    classes = batch * (channels - 1)
    dice = (1 - numerator / denominator)[:, 1:].sum() / classes
    surplus = lambda_dice * numerator / denominator**2 / classes
    lacking = surplus - 2 * lambda_dice / denominator / classes
    surplus[:, 0] = lacking[:, 0] = 0
    return dice, lacking, surplus


class _KernelLoss(torch.autograd.Function):
    """`_SharedSoftmaxLoss` of merged classes by numba: one pass for the loss, one for the gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: torch.Tensor,
        labels: torch.Tensor,
        labelled_as: torch.Tensor,
        weights: torch.Tensor,
        lambda_dice: float,
        lambda_ce: float,
    ) -> torch.Tensor:
        labels = labels.contiguous()
        ctx.members = members_of(labelled_as.cpu().numpy())
        sums = torch.from_numpy(class_sums(scores.numpy(), labels.numpy(), *ctx.members))
        total_weight = (sums[:, SHARE] * weights).sum()
        cross_entropy = -(sums[:, LOG_PROBABILITY] * weights).sum() / total_weight
        dice, lacking, surplus = _dice(sums[:, OVERLAP], sums[:, PROBABILITY], sums[:, SHARE], lambda_dice)
        ctx.save_for_backward(scores, labels, lacking, surplus, lambda_ce * weights / total_weight)
        loss = (lambda_dice * dice + lambda_ce * cross_entropy).float()
        ctx.is_number = bool(torch.isfinite(loss))
        return loss

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scores, labels, *of_classes = ctx.saved_tensors
        lacking, surplus, weights = ((one * gradients[0]).float().numpy() for one in of_classes)
        gradient = torch.empty_like(scores)
        if not ctx.is_number:  # exp in the kernel makes a number of what is none
            return gradient.fill_(torch.nan), None, None, None, None, None
        members, starts = ctx.members
        write_gradient(scores.numpy(), labels.numpy(), members, starts, lacking, surplus, weights, gradient.numpy())
        return gradient, None, None, None, None, None


def _shares(labels: torch.Tensor, channels: int) -> torch.Tensor:
    """Each class's share of a voxel's labels: (batch, labels of a voxel, voxels) to (batch, channels, voxels)."""
    batch, count, voxels = labels.shape
    shares = torch.zeros((batch, channels, voxels), device=labels.device)
    one = torch.full((), 1.0 / count, device=labels.device).expand(batch, 1, voxels)
    for k in range(count):
        shares.scatter_add_(1, labels[:, k : k + 1].long(), one)
    return shares


class _SharedSoftmaxLoss(torch.autograd.Function):
    """The loss with a hand-written gradient: p (dL/dp - sum of p dL/dp) for Dice, plus that of cross-entropy."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: torch.Tensor,
        shares: torch.Tensor,
        weights: torch.Tensor,
        lambda_dice: float,
        lambda_ce: float,
    ) -> torch.Tensor:
        probability = scores.log_softmax(dim=1)
        weighted = shares * weights[:, None]
        total_weight = weighted.sum()
        cross_entropy = -torch.dot(weighted.flatten(), probability.flatten()) / total_weight
        probability.exp_()

        overlap = torch.minimum(probability, shares).sum(dim=2)
        dice, lacking, surplus = _dice(overlap, probability.sum(dim=2), shares.sum(dim=2), lambda_dice)
        ctx.save_for_backward(probability, shares, weighted, surplus, lacking, total_weight)
        ctx.lambda_ce = lambda_ce
        return lambda_dice * dice + lambda_ce * cross_entropy

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        probability, shares, weighted, surplus, lacking, total_weight = ctx.saved_tensors
        gradient = torch.where(probability < shares, lacking[:, :, None], surplus[:, :, None]).mul_(probability)
        scale = ctx.lambda_ce / total_weight
        # Cross-entropy adds p * (sum of the voxel's weights) - its weights; Dice takes p * (mean of dDice/dp).
        pull = weighted.sum(dim=1, keepdim=True).mul_(scale) - gradient.sum(dim=1, keepdim=True)
        gradient.addcmul_(probability, pull).sub_(weighted, alpha=float(scale))
        return gradient.mul_(gradients[0]), None, None, None, None
