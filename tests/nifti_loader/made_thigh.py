"""A water image of two thighs of cylinders: muscle bright, fat dark, thicker towards the hip."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

__all__ = ["AFFINE_RAS", "save", "thigh"]

AFFINE_RAS = np.array([[-4.0, 0, 0, 126], [0, -4.0, 0, 80], [0, 0, 6.0, -90], [0, 0, 0, 1]])


def thigh(slices: int = 31, trunk_from: int = 1000) -> NDArray[np.float32]:
    """Voxels (x, y, z) for `AFFINE_RAS`: x to the left, y to the back, z to the head. The left leg is brighter."""
    x, y = np.meshgrid(np.arange(64), np.arange(40), indexing="ij")
    image = np.zeros((64, 40, slices), np.float32)
    for k in range(slices):
        outer = 9 + 4.5 * k / slices
        for centre, level in ((17, 150.0), (46, 170.0)):
            r = np.hypot(x - centre, y - 20)
            image[..., k][r < outer] = 25.0  # fat in a water image
            image[..., k][r < outer - 2] = level
            image[..., k][r < 2] = 4.0  # cortical bone
        if k >= trunk_from:
            image[..., k][(x - 31.5) ** 2 / 28**2 + (y - 20) ** 2 / 15**2 < 1] = 150.0
    noise = np.random.default_rng(1).normal(0, 1, (2, *image.shape))
    return np.hypot(image + noise[0], noise[1]).astype(np.float32)


def save(path: Path, voxels: NDArray[np.float32], affine: NDArray[np.float64] = AFFINE_RAS, code: int = 1) -> Path:
    """Write with NiBabel; ``code`` 0 leaves the file without a position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    nibabel.save(image, path)
    return path
