"""Brightness of the body by place, for tissue so far from the coil that one threshold for the whole image misses it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid

__all__ = ["brightened"]

_DIM = 0.6
"""Of the usual brightness. Phantoms with their coil bias have no place below 0.7."""

_LEAST = 0.3
"""Nothing is made brighter by more than the inverse, so that noise and ghosts stay below the threshold."""

_STEEPNESS = 2.0
"""Smoothing hides part of the fall towards the border, where the dimmest tissue is."""

_BLOCK_MM, _SLICES_MM, _SAMPLE_MM = 16.0, 10.0, 4.0
_SMOOTHING_MM = 24.0


def brightened(
    signal: NDArray[np.float32], above: NDArray[np.bool_], mask: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float32] | None:
    """The signal with dim places of the body made brighter, or None if there are none.

    Parameters
    ----------
    signal : ndarray, shape (z, y, x), float32
    above : ndarray, shape (z, y, x), bool
        What is taken for tissue.
    mask : ndarray, shape (z, y, x), bool
        What is taken for the body.
    grid : Grid
    """
    from scipy import ndimage

    steps = [max(1, round(mm / size)) for mm, size in _with_sizes(grid, _SLICES_MM, _SAMPLE_MM)]
    coarse = tuple(slice(None, None, step) for step in steps)
    tissue = above[coarse] & mask[coarse]
    blocks = [
        max(1, round(_BLOCK_MM / (step * size))) for step, size in zip(steps[1:], grid.spacing_mm[1::-1], strict=True)
    ]
    count = _block_sums(tissue, blocks)
    total = _block_sums(np.where(tissue, signal[coarse], np.float32(0)), blocks)
    full = count > 0.5 * blocks[0] * blocks[1]
    if not full.any():
        return None
    usual = float(np.median(total[full] / count[full]))
    sd = [0.0, *(_SMOOTHING_MM / _BLOCK_MM for _ in blocks)]
    weight = ndimage.gaussian_filter(count, sd)
    level = ndimage.gaussian_filter(total, sd) / np.maximum(weight, 1e-6) / usual
    if float(level[full].min()) >= _DIM:
        return None
    share = np.where(weight > 1e-2, np.clip((level / _DIM) ** _STEEPNESS, _LEAST, 1.0), 1.0).astype(np.float32)
    result = signal.copy()
    _, rows, columns = signal.shape
    for z in range(len(signal)):
        of_slice = share[z // steps[0]]
        if of_slice.min() < 1.0:
            wide = of_slice.repeat(blocks[0] * steps[1], 0)[:rows].repeat(blocks[1] * steps[2], 1)[:, :columns]
            result[z] /= wide
    return result


def _with_sizes(grid: Grid, slices_mm: float, in_plane_mm: float) -> list[tuple[float, float]]:
    """Wanted distance and voxel size in mm along z, y and x."""
    x, y, z = grid.spacing_mm
    return [(slices_mm, z), (in_plane_mm, y), (in_plane_mm, x)]


def _block_sums(values: NDArray[np.float32] | NDArray[np.bool_], blocks: list[int]) -> NDArray[np.float32]:
    """Sums over blocks within slices; the last ones may be smaller."""
    _, rows, columns = values.shape
    lines = np.add.reduceat(values, np.arange(0, rows, blocks[0]), axis=1, dtype=np.float32)
    return np.asarray(np.add.reduceat(lines, np.arange(0, columns, blocks[1]), axis=2, dtype=np.float32), np.float32)
