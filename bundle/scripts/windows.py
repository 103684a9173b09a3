"""Carrying a network's weights over to another window."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from monai.networks.nets import UNETR

__all__ = ["resized"]

_POSITIONS = "vit.patch_embedding.position_embeddings"


def resized(weights: Mapping[str, torch.Tensor], network: UNETR, window: Sequence[int]) -> dict[str, torch.Tensor]:
    """Weights of a UNETR for one window, made to fit the network's own.

    Only the learned positions of its patches depend on the window; they are
    interpolated, so that each patch takes the position that it has within it.

    Parameters
    ----------
    weights : mapping of str to Tensor
        State dict of a UNETR of the network's architecture.
    network : monai.networks.nets.UNETR
    window : sequence of int, (x, y, z)
        What ``weights`` were trained with, in voxels.

    Returns
    -------
    dict of str to Tensor
        For ``network.load_state_dict``.

    Raises
    ------
    ValueError
        When the weights have not the patches of that window.
    """
    patches = [size // patch for size, patch in zip(window, network.patch_size, strict=True)]
    positions = weights[_POSITIONS]
    if positions.shape[1] != math.prod(patches):
        raise ValueError(
            f"the weights know {positions.shape[1]} patches, but a window of {tuple(window)} has "
            f"{math.prod(patches)}; expected the window that they were trained with (start_roi)."
        )
    volume = positions.transpose(1, 2).reshape(1, -1, *patches)
    fitted = torch.nn.functional.interpolate(volume, size=list(network.feat_size), mode="trilinear")
    return {**weights, _POSITIONS: fitted.flatten(2).transpose(1, 2).contiguous()}
