"""The demo model's loss."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss

__all__ = ["DiceWeightedCELoss"]


class DiceWeightedCELoss(torch.nn.Module):
    """Dice over the foreground classes plus class-weighted cross-entropy.

    MONAI's `DiceCELoss` hands one weight to both terms; here Dice, which is
    blind to class size, stays unweighted.

    Parameters
    ----------
    class_weights : Tensor, shape (channels,)
        For the cross-entropy; see `bundle.scripts.inverse_sqrt_frequency`.
    lambda_dice, lambda_ce : float
    """

    def __init__(self, class_weights: torch.Tensor, lambda_dice: float = 1.0, lambda_ce: float = 1.0) -> None:
        super().__init__()
        self.dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True)
        self.cross_entropy = torch.nn.CrossEntropyLoss(weight=class_weights)
        self.lambda_dice = lambda_dice
        self.lambda_ce = lambda_ce

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of ``scores`` (batch, channels, x, y, z) against ``labels`` (batch, 1, x, y, z)."""
        scores, labels = torch.as_tensor(scores).float(), torch.as_tensor(labels)
        dice = self.dice(scores, labels)
        cross_entropy = self.cross_entropy(scores, labels[:, 0].long())
        return torch.as_tensor(self.lambda_dice * dice + self.lambda_ce * cross_entropy)
