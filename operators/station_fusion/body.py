"""Body mask and fat fraction of a fused study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid
from operators.station_fusion.dim_signal import brightened
from operators.station_fusion.mask_kernels import close_legs_apart, fill_slices, keep_large_parts, open_slices

__all__ = ["body_mask", "disc", "fat_fraction", "mask_above", "otsu_threshold", "slices_of_body", "solid_slices"]

_SMALLEST_PART = 0.1
"""Fraction of the largest part's volume, between two gaps. It keeps both legs below the crotch and drops hands, coils
and table. Below a gap the legs hang together with nothing, so that they are compared with each other."""

_CLOSING_MM = 6.0
"""Radius that closes skin folds and signal voids at the surface."""

_LEG_SHARE = 0.3
"""Fraction of a slice's largest part. Hands beside a thigh are smaller, so that they are closed with it."""

_ROUNDS = 3

_HISTOGRAM_BINS = 512
_HISTOGRAM_VOXELS = 1_000_000


def body_mask(water: NDArray[np.float32], fat: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """Body mask: Otsu's threshold on water + fat, then the large parts, closed and filled slice by slice.

    Where the coil's signal falls far below the usual one, the threshold falls with it.

    Closing and filling stay within axial slices, so that they never bridge a
    gap between stations. Two legs in a slice are closed one by one, so that
    closing does not join thighs that nearly touch.

    Parameters
    ----------
    water, fat : ndarray, shape (z, y, x), float32
        Fused signals, 0 where there is no station.
    grid : Grid

    Returns
    -------
    ndarray, shape (z, y, x), bool
        All False when there is no signal.
    """
    signal = water + fat
    high = float(signal.max())
    if high <= 0:
        return np.zeros(signal.shape, dtype=np.bool_)
    # The square root compresses coil brightness and bright fat. Otherwise they
    # would raise the threshold to between muscle and fat.
    sample = np.append(_sampled(signal), [max(float(signal.min()), 0.0), high])
    threshold = otsu_threshold(np.sqrt(np.maximum(sample, 0.0))) ** 2
    mask = mask_above(signal, threshold, grid)
    # What is found in a dim place shows how dim the places beside it are.
    above = signal > np.float32(threshold)
    for _ in range(_ROUNDS):
        brighter = brightened(signal, above, mask, grid)
        if brighter is None:
            break
        above = brighter > np.float32(threshold)
        mask = mask_above(brighter, threshold, grid)
    return mask


def mask_above(signal: NDArray[np.float32], threshold: float, grid: Grid) -> NDArray[np.bool_]:
    """The large parts of what is brighter than ``threshold``, closed and filled slice by slice; see `body_mask`."""
    mask = np.zeros(signal.shape, dtype=np.uint8)
    # Opening by one voxel cuts thin bridges to objects beside the body.
    open_slices(signal, np.float32(threshold), mask)
    for first, end in _runs(np.asarray(signal.any(axis=(1, 2)))):
        keep_large_parts(mask[first:end], _SMALLEST_PART)
    close_legs_apart(mask, disc(_CLOSING_MM, *grid.spacing_mm[:2]), _LEG_SHARE)
    return mask.view(np.bool_)


def solid_slices(signal: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """What is brighter than ``threshold``: each slice opened by a cross, and its holes filled.

    It is the body of one station, quick to find, with whatever else is bright in the image.

    Parameters
    ----------
    signal : ndarray, shape (z, y, x), float32
    threshold : float
    """
    mask = np.zeros(signal.shape, dtype=np.uint8)
    open_slices(np.ascontiguousarray(signal), np.float32(threshold), mask)
    fill_slices(mask)
    return mask.view(np.bool_)


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
    """The threshold with the greatest variance between the two classes that it separates (Otsu 1979)."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return low
    scale = _HISTOGRAM_BINS / (high - low)
    bins = np.minimum(((_sampled(values) - low) * scale).astype(np.int64), _HISTOGRAM_BINS - 1)
    counts = np.bincount(bins, minlength=_HISTOGRAM_BINS).astype(np.float64)
    centres = low + (np.arange(_HISTOGRAM_BINS) + 0.5) / scale
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    first_moment = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = first_moment[:-1] / below - (first_moment[-1] - first_moment[:-1]) / above
    between = np.nan_to_num(below * above * distance**2)
    return low + (int(between.argmax()) + 1) / scale


def _runs(covered: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First slice, and one past the last, of each run of slices that stations cover."""
    borders = np.flatnonzero(np.diff(np.concatenate([[0], covered.astype(np.int8), [0]])))
    return [(int(first), int(end)) for first, end in borders.reshape(-1, 2)]


def _sampled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every n-th voxel, which gives the same histogram. An odd n avoids sampling the same columns in all rows."""
    return values.ravel()[:: max(1, values.size // _HISTOGRAM_VOXELS) | 1]


def disc(radius_mm: float, x_mm: float, y_mm: float) -> NDArray[np.int64]:
    """The rows of a disc, from above its centre to below: for each, the voxels on either side of the centre."""
    rows = int(radius_mm / y_mm)
    heights_mm = np.arange(-rows, rows + 1) * y_mm
    return (np.sqrt(radius_mm**2 - heights_mm**2) / x_mm).astype(np.int64)


def slices_of_body(body: NDArray[np.bool_]) -> tuple[int, int]:
    """The first slice of a body mask with shape (z, y, x) that shows the body, and the one after the last.

    They are all slices where fewer than two show it.
    """
    shown = np.flatnonzero(body.any(axis=(1, 2)))
    return (int(shown[0]), int(shown[-1]) + 1) if shown.size > 1 else (0, len(body))
