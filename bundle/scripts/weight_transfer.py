"""Adapt a network's weights to another window, to more input channels or to more features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from monai.networks.nets import UNETR

from operators.core.errors import SegmentationError

__all__ = ["resized", "start_from", "widened"]

_POSITIONS = "vit.patch_embedding.position_embeddings"
_JOINED = (".conv_block.conv1.", ".conv_block.conv3.")
"""Convolutions whose input is two equally wide halves: the upsampled features, then those of the encoder."""


def start_from(network: UNETR, weights: Mapping[str, torch.Tensor], window: Sequence[int], where: str) -> None:
    """Load weights into a network that differs from theirs at most in window, input channels and features.

    Parameters
    ----------
    network : monai.networks.nets.UNETR
        Newly made.
    weights : mapping of str to Tensor
    window : sequence of int, (x, y, z)
        Window that ``weights`` were trained with, in voxels.
    where : str
        File of the weights, for errors.

    Raises
    ------
    SegmentationError
        If the weights do not fit.
    """
    try:
        network.load_state_dict(resized(widened(weights, network), network, window))
    except (KeyError, ValueError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise SegmentationError(
            where,
            f"weights of another network ({next(iter(lines[1:] or lines), '')})",
            "those of a UNETR that differs at most in window, input channels and feature_size",
            "Give the configs of their training, and --start_roi with its roi.",
        ) from error


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
    positions = weights[_POSITIONS].float()  # the shipped weights are halves
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


def widened(weights: Mapping[str, torch.Tensor], network: UNETR) -> dict[str, torch.Tensor]:
    """Adapt weights of a UNETR to the network's larger ``feature_size``, so that it gives the same scores at first.

    Features that the narrower network had do not see the further ones. These keep
    the random weights of ``network``, so that they differ from each other and
    training can use them at once. The idea is that of Net2Net (Chen et al. 2016,
    arXiv 1511.05641), without its copies of features, which would learn the same.

    Parameters
    ----------
    weights : mapping of str to Tensor
        State dict of a UNETR that differs from ``network`` in its ``feature_size``
        only, or not at all.
    network : monai.networks.nets.UNETR
        Newly made. Its norms have no parameters (``norm_name: instance``).

    Returns
    -------
    dict of str to Tensor
        Argument of ``network.load_state_dict``.

    Raises
    ------
    ValueError
        If a convolution of ``weights`` has more channels than the network's.
    """
    result = dict(weights)
    convolutions = (torch.nn.Conv3d, torch.nn.ConvTranspose3d)
    for module_name, module in network.named_modules():
        name = f"{module_name}.weight"
        if not isinstance(module, convolutions) or name not in weights or weights[name].shape == module.weight.shape:
            continue
        out = 1 if isinstance(module, torch.nn.ConvTranspose3d) else 0
        given, wanted = (tensor.detach().transpose(0, out) for tensor in (weights[name], module.weight))
        if given.shape[0] > wanted.shape[0] or given.shape[1] > wanted.shape[1]:
            raise ValueError(
                f"{name} has {given.shape[1]} input and {given.shape[0]} output channels; expected at most "
                f"{wanted.shape[1]} and {wanted.shape[0]} (network_def#feature_size)."
            )
        halves = 2 if any(part in name for part in _JOINED) else 1
        old, new = given.shape[1] // halves, wanted.shape[1] // halves
        columns = [half * new + n for half in range(halves) for n in range(old)]
        wide = wanted.clone()
        wide[: given.shape[0]] = 0.0
        wide[: given.shape[0], columns] = given.to(wide)
        result[name] = wide.transpose(0, out).contiguous()
    return result
