"""Scores of classes that an annotator drew as one."""

from __future__ import annotations

import torch

__all__ = ["NEVER", "merge_classes"]

NEVER = -1e4
"""A score that softmax turns into 0 and that float16 can hold."""


def merge_classes(scores: torch.Tensor, labelled_as: torch.Tensor) -> torch.Tensor:
    """Change scores so that softmax gives each class the probability of all classes that were labelled as it.

    Parameters
    ----------
    scores : Tensor, shape (batch, channels, ...)
    labelled_as : Tensor, shape (batch, channels), int64
        The background's own entry is 0.
    """
    channels = scores.shape[1]
    if (labelled_as == torch.arange(channels, device=labelled_as.device)).all():
        return scores
    scores = scores.float()
    return torch.stack([_merged(one, targets) for one, targets in zip(scores, labelled_as.tolist(), strict=True)])


def _merged(scores: torch.Tensor, targets: list[int]) -> torch.Tensor:
    """Scores (channels, ...) of one participant, merged; in few steps, since each has a gradient of all scores."""
    members = [[n for n, target in enumerate(targets) if target == channel] for channel in range(len(targets))]
    merged = scores[[some[0] if some else 0 for some in members]]
    for channel, some in enumerate(members):
        if not some:
            merged[channel] = NEVER
        elif len(some) > 1:
            merged[channel] = scores[some].logsumexp(dim=0)
    return merged
