"""Body mask and fat fraction of a fused study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.volume import Grid

__all__ = ["body_mask", "fat_fraction", "otsu_threshold"]

_SMALLEST_PART = 0.1
"""Of the largest component's volume: keeps both legs of a station below the crotch, drops hands, coils and table."""

_CLOSING_MM = 6.0
"""Radius that bridges skin folds and signal voids at the surface."""

_HISTOGRAM_BINS = 512
_HISTOGRAM_VOXELS = 1_000_000


def body_mask(water: NDArray[np.float32], fat: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """Where the body is: Otsu on water + fat, its large parts, closed and filled slice by slice.

    Closing and filling stay within axial slices, so that a gap between
    stations is never bridged.

    Parameters
    ----------
    water, fat : ndarray, shape (z, y, x), float32
        Fused signals, 0 where no station is.
    grid : Grid

    Returns
    -------
    ndarray, shape (z, y, x), bool
        All False when there is no signal.
    """
    # The square root evens out coil brightness and bright fat, which would
    # otherwise draw the threshold up between muscle and fat.
    signal = water + fat
    np.sqrt(np.clip(signal, 0.0, None, out=signal), out=signal)
    if not signal.any():
        return np.zeros(signal.shape, dtype=np.bool_)
    mask = signal > otsu_threshold(signal)
    cross = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    for axial in mask:
        # Opening by one voxel cuts thin bridges to whatever lies beside the body.
        axial[:] = _dilated(_eroded(axial, cross), cross)
    mask = _large_parts(mask)
    x_mm, y_mm, _ = grid.spacing_mm
    disc = _disc(_CLOSING_MM, x_mm, y_mm)
    margin = max(max(abs(j), abs(i)) for j, i in disc)
    for axial in mask:
        rows, columns = np.flatnonzero(axial.any(axis=1)), np.flatnonzero(axial.any(axis=0))
        if rows.size == 0:
            continue
        box = axial[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        # Closing erodes from outside the image too; a margin keeps what touches the border.
        closed = _eroded(_dilated(np.pad(box, margin), disc), disc)
        box[:] = _filled(closed)[margin:-margin, margin:-margin] if margin else _filled(closed)
    return mask


def fat_fraction(water: NDArray[np.float32], fat: NDArray[np.float32], body: NDArray[np.bool_]) -> NDArray[np.float32]:
    """F / (W + F) inside the body, 0 outside and where there is no signal.

    Parameters
    ----------
    water, fat : ndarray, shape (z, y, x), float32
        Magnitudes.
    body : ndarray, shape (z, y, x), bool

    Returns
    -------
    ndarray, shape (z, y, x), float32
        0 to 1.
    """
    total = water + fat
    fraction = np.zeros(total.shape, dtype=np.float32)
    np.divide(fat, total, out=fraction, where=body & (total > 0))
    return np.clip(fraction, 0.0, 1.0, out=fraction)


def otsu_threshold(values: NDArray[np.float32]) -> float:
    """The threshold that separates two classes best: greatest variance between them (Otsu 1979)."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return low
    scale = _HISTOGRAM_BINS / (high - low)
    # Every so-manyth voxel gives the same histogram; an odd step keeps out of step with rows.
    every = max(1, values.size // _HISTOGRAM_VOXELS) | 1
    bins = np.minimum(((values.ravel()[::every] - low) * scale).astype(np.int64), _HISTOGRAM_BINS - 1)
    counts = np.bincount(bins, minlength=_HISTOGRAM_BINS).astype(np.float64)
    centres = low + (np.arange(_HISTOGRAM_BINS) + 0.5) / scale
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    first_moment = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = first_moment[:-1] / below - (first_moment[-1] - first_moment[:-1]) / above
    between = np.nan_to_num(below * above * distance**2)
    return low + (int(between.argmax()) + 1) / scale


def _large_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    large: NDArray[np.bool_] = sizes >= _SMALLEST_PART * sizes.max()
    return large[labels]


def _disc(radius_mm: float, x_mm: float, y_mm: float) -> list[tuple[int, int]]:
    """Offsets (y, x) of the voxels of a disc."""
    j, i = int(radius_mm / y_mm), int(radius_mm / x_mm)
    y, x = np.mgrid[-j : j + 1, -i : i + 1]
    inside = (y * y_mm) ** 2 + (x * x_mm) ** 2 <= radius_mm**2
    return list(zip(y[inside].tolist(), x[inside].tolist(), strict=True))


def _dilated(axial: NDArray[np.bool_], offsets: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Binary dilation: a slice stays in the cache while shifted copies of it are joined."""
    out = np.zeros_like(axial)
    for j, i in offsets:
        to, source = _overlapping(axial.shape, j, i)
        out[to] |= axial[source]
    return out


def _eroded(axial: NDArray[np.bool_], offsets: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Binary erosion; beyond the border there is nothing."""
    rows, columns = axial.shape
    reach = max(max(abs(j), abs(i)) for j, i in offsets)
    outside = np.pad(~axial, reach, constant_values=True)
    out = np.zeros_like(axial)
    for j, i in offsets:
        out |= outside[reach + j : reach + j + rows, reach + i : reach + i + columns]
    return ~out


def _overlapping(shape: tuple[int, ...], j: int, i: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    rows, columns = shape
    to = slice(max(0, j), rows + min(0, j)), slice(max(0, i), columns + min(0, i))
    source = slice(max(0, -j), rows + min(0, -j)), slice(max(0, -i), columns + min(0, -i))
    return to, source


def _filled(axial: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Holes filled: of the background, only what reaches the border stays background."""
    background, count = ndimage.label(~axial)
    outer = np.zeros(count + 1, dtype=np.bool_)
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        outer[edge] = True
    outer[0] = False
    return np.asarray(~outer[background])
