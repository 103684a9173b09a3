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
    signal = np.sqrt(np.clip(water + fat, 0.0, None))
    if not signal.any():
        return np.zeros(signal.shape, dtype=np.bool_)
    mask = signal > otsu_threshold(signal)
    # Opening by one voxel cuts thin bridges to whatever lies beside the body.
    mask = ndimage.binary_opening(mask, ndimage.generate_binary_structure(3, 1) & _IN_PLANE)
    mask = _large_parts(mask)
    x_mm, y_mm, _ = grid.spacing_mm
    disc = _disc(_CLOSING_MM, x_mm, y_mm)
    margin = disc.shape[0] // 2, disc.shape[1] // 2
    for axial in mask:
        if axial.any():
            # Closing erodes from outside the image too; a margin keeps what touches the border.
            padded = np.pad(axial, (margin[:1] * 2, margin[1:] * 2))
            closed = ndimage.binary_closing(padded, disc)
            filled = ndimage.binary_fill_holes(closed)
            axial[:] = filled[margin[0] : padded.shape[0] - margin[0], margin[1] : padded.shape[1] - margin[1]]
    return np.asarray(mask, dtype=np.bool_)


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
    bins = np.minimum(((values.ravel() - low) * scale).astype(np.int64), _HISTOGRAM_BINS - 1)
    counts = np.bincount(bins, minlength=_HISTOGRAM_BINS).astype(np.float64)
    centres = low + (np.arange(_HISTOGRAM_BINS) + 0.5) / scale
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    first_moment = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = first_moment[:-1] / below - (first_moment[-1] - first_moment[:-1]) / above
    between = np.nan_to_num(below * above * distance**2)
    return low + (int(between.argmax()) + 1) / scale


_IN_PLANE = np.zeros((3, 3, 3), dtype=np.bool_)
_IN_PLANE[1] = True


def _large_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    large: NDArray[np.bool_] = sizes >= _SMALLEST_PART * sizes.max()
    return large[labels]


def _disc(radius_mm: float, x_mm: float, y_mm: float) -> NDArray[np.bool_]:
    """Structuring element, shape (y, x), odd sizes."""
    j, i = int(radius_mm / y_mm), int(radius_mm / x_mm)
    y, x = np.ogrid[-j : j + 1, -i : i + 1]
    return np.asarray((y * y_mm) ** 2 + (x * x_mm) ** 2 <= radius_mm**2)
