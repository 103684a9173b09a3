"""Adapt a network's weights to another window or to more input channels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from monai.networks.nets import UNETR

__all__ = ["resized"]

_POSITIONS = "vit.patch_embedding.position_embeddings"


def resized(weights: Mapping[str, torch.Tensor], network: UNETR, window: Sequence[int]) -> dict[str, torch.Tensor]:
    """Adapt weights of a UNETR for one window to the network's own window.

    Only the learned position embeddings of the patches depend on the window. They
    are interpolated, so that each patch gets the embedding of its position in the
    window. If the network has more input channels than the weights, the additional
    channels start without effect.

        Parameters
        ----------
        weights : mapping of str to Tensor
            State dict of a UNETR of the network's architecture.
        network : monai.networks.nets.UNETR
        window : sequence of int, (x, y, z)
            Window that ``weights`` were trained with, in voxels.

        Returns
        -------
        dict of str to Tensor
            Argument of ``network.load_state_dict``.

        Raises
        ------
        ValueError
            If the weights have another number of patches than that window.
    """
    patches = [size // patch for size, patch in zip(window, network.patch_size, strict=True)]
    positions = weights[_POSITIONS]
    if positions.shape[1] != math.prod(patches):
        raise ValueError(
            f"the weights have {positions.shape[1]} patches, but a window of {tuple(window)} has "
            f"{math.prod(patches)}; expected the window that they were trained with (start_roi)."
        )
    volume = positions.transpose(1, 2).reshape(1, -1, *patches)
    fitted = torch.nn.functional.interpolate(volume, size=list(network.feat_size), mode="trilinear")
    result = {**weights, _POSITIONS: fitted.flatten(2).transpose(1, 2).contiguous()}
    for name, wanted in network.state_dict().items():
        given = result[name]
        if wanted.ndim == 5 and wanted.shape[1] > given.shape[1]:
            further = given.new_zeros((given.shape[0], wanted.shape[1] - given.shape[1], *given.shape[2:]))
            result[name] = torch.cat([given, further], dim=1)
    return result
