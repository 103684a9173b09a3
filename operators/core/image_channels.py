"""The images of one participant as the channels of one array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import GeometryError, InputError
from operators.core.nrrd_files import read_volume
from operators.core.volume import Grid

__all__ = ["read_image"]


def read_image(paths: Sequence[str | Path]) -> tuple[NDArray[np.float32], Grid]:
    """Read the images of one participant as channels.

    Returns
    -------
    ndarray, shape (channels, z, y, x), float32
    Grid

    Raises
    ------
    InputError
        When a file cannot be read, holds NaN, infinity or a single value, or
        is on another grid than the first (`GeometryError`).
    """
    volumes = [read_volume(Path(path)) for path in paths]
    for path, volume in zip(map(Path, paths), volumes, strict=True):
        where = f"{path.parent.name}/{path.name}"
        low, high = float(volume.voxels.min()), float(volume.voxels.max())  # NaN spreads into both
        if not np.isfinite([low, high]).all():
            raise InputError(where, "voxels that are NaN or infinite", "a finite signal", "Fuse the study again.")
        if low == high:
            raise InputError(where, f"every voxel is {low:g}", "an image", "Fuse the study again, or leave it out.")
        if not volume.grid.same_as(volumes[0].grid):
            raise GeometryError(
                where,
                f"a grid of {volume.grid.shape} that differs from the first channel's",
                "all channels of a participant on one grid",
                "Take the files of one fused study.",
            )
    return np.stack([np.asarray(v.voxels, np.float32) for v in volumes]), volumes[0].grid
