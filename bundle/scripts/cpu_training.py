"""A UNETR computed so that a training step on a CPU takes less time, with the same parameters and results."""

from __future__ import annotations

import torch
from monai.networks.blocks.patchembedding import PatchEmbeddingBlock

__all__ = ["quicken_on_cpu"]


def quicken_on_cpu(network: torch.nn.Module) -> None:
    """Keep the channels of a voxel together, and compute patch embeddings and norms in other ways from now on.

    Gradients of convolutions then take little more than half the time. Patch embeddings
    become matrix products, because some processors are slow at a convolution over patches.
    An instance norm would put the voxels of a channel together again, and the next
    convolution would undo that; the batch norm of one image is the same and does not.
    Results differ by rounding.
    Names and values of the parameters stay, so checkpoints do too. It is meant for
    training. A network that is exported keeps its convolution. One that is spread
    over processes stays as it is, because the memory of its gradients is laid out.
    """
    if isinstance(network, torch.nn.parallel.DistributedDataParallel):
        return
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    for block in network.modules():
        if isinstance(block, PatchEmbeddingBlock):
            convolution = block.patch_embeddings
            if type(convolution) is torch.nn.Conv3d and _divides(convolution):
                convolution.__class__ = _PatchProduct
        elif type(block) is torch.nn.InstanceNorm3d and not (block.affine or block.track_running_stats):
            block.__class__ = _NormOfOneImage


def _divides(convolution: torch.nn.Conv3d) -> bool:
    """Whether each voxel is in one patch at most, without padding or groups."""
    return (
        convolution.kernel_size == convolution.stride
        and convolution.groups == 1
        and set(convolution.padding) == {0}
        and set(convolution.dilation) == {1}
    )


class _PatchProduct(torch.nn.Conv3d):
    """A convolution whose stride is its kernel's size, over whole patches."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, channels, x, y, z) to (batch, features, patches along x, y, z)."""
        sides = self.kernel_size
        if images.ndim != 5 or any(size < side for size, side in zip(images.shape[2:], sides, strict=True)):
            return super().forward(images)  # one image, or its clear error
        counts = [size // side for size, side in zip(images.shape[2:], sides, strict=True)]
        i, j, k = (count * side for count, side in zip(counts, sides, strict=True))
        parts = images[:, :, :i, :j, :k].unflatten(4, (-1, sides[2])).unflatten(3, (-1, sides[1]))
        parts = parts.unflatten(2, (-1, sides[0])).permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)
        features = torch.nn.functional.linear(parts, self.weight.flatten(1), self.bias)
        return features.permute(0, 4, 1, 2, 3)


class _NormOfOneImage(torch.nn.InstanceNorm3d):
    """An instance norm without parameters that leaves the channels of a voxel together."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The same shape as ``images`` (batch, channels, x, y, z)."""
        if images.ndim != 5 or len(images) != 1:
            return super().forward(images)
        return torch.nn.functional.batch_norm(images, None, None, training=True, eps=self.eps)
