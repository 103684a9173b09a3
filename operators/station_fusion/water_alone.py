"""Body mask of a water image, and what stands in for fat where a study has none.

In a water image subcutaneous fat is nearly as dark as air, so one threshold would
leave it out of the body. Two thresholds separate air, fat and muscle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid
from operators.station_fusion.body import mask_above, otsu_threshold

__all__ = ["body_of_water", "fat_stand_in"]

_BINS = 128
_VOXELS = 500_000
_EDGE_SHARE = 0.05
"""Of the image's outer rows and columns. A threshold that leaves more of them bright lies within the noise of air."""

_CLEARED = 0.5
"""Of the image's outer rows and columns. Where fewer of them have signal, a scanner has cleared the air: no noise."""

_FILLED = 0.25
"""Of the image's outer rows and columns. A mask that holds more is noise; round legs cropped to their box hold 14%."""


def body_of_water(water: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """Body mask of a water image: everything brighter than the threshold between air and fat.

    It is the lower of two Otsu thresholds. Where that lies within the noise of air, which has many more voxels than
    fat, or between a scanner's zeros and that noise, it is Otsu's threshold of what is neither zero nor muscle. Where
    noise is brighter than fat, the mask is wrong: it ends with the muscle or holds the air.

    Parameters
    ----------
    water : ndarray, shape (z, y, x), float32
    grid : Grid

    Returns
    -------
    ndarray, shape (z, y, x), bool
        All False when there is no signal.
    """
    high = float(water.max())
    if high <= 0:
        return np.zeros(water.shape, dtype=np.bool_)
    # The square root compresses coil brightness; see `body_mask`.
    roots = np.sqrt(np.maximum(np.append(_sampled(water), [0.0, high]), 0.0)).astype(np.float32)
    threshold = _lower_of_two(roots) ** 2
    shown = _with_signal(water)
    edges = _edges(water, shown)
    cleared = np.mean(edges > 0) < _CLEARED
    if cleared or np.mean(edges > threshold) <= _EDGE_SHARE:
        return mask_above(water, threshold, grid)
    muscle = otsu_threshold(roots)
    dark = roots[(roots > 0) & (roots < muscle)]
    if dark.size:
        mask = mask_above(water, otsu_threshold(dark) ** 2, grid)
        if np.mean(_edges(mask, shown)) <= _FILLED:
            return mask
    return mask_above(water, muscle**2, grid)


def fat_stand_in(water: NDArray[np.float32], body: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What stands in for the fat image of a study that has water alone: what water lacks to the signal of muscle.

    Bone and air inside the body become fat in it, so it is good enough to find landmarks and lean muscle by, but not
    to measure fat.

    Parameters
    ----------
    water : ndarray, shape (z, y, x), float32
    body : ndarray, shape (z, y, x), bool

    Returns
    -------
    ndarray, shape (z, y, x), float32
        0 outside the body and in muscle.
    """
    inside = _sampled(water[body])
    if not inside.size or inside.max() <= 0:
        return np.zeros(water.shape, dtype=np.float32)
    lean = inside[inside > otsu_threshold(inside)]
    level = np.float32(np.median(lean)) if lean.size else np.float32(0)
    return np.where(body, np.maximum(level - water, 0), 0).astype(np.float32)


def _edges(image: NDArray[Any], shown: tuple[slice, slice]) -> NDArray[Any]:
    """The outer rows and columns of what is ``shown`` of each slice."""
    part = image[:, *shown]
    return np.concatenate([part[:, [0, -1]].ravel(), part[:, :, [0, -1]].ravel()])


def _with_signal(water: NDArray[np.float32]) -> tuple[slice, slice]:
    """The rows and columns between the first and the last that have signal."""
    rows, columns = (np.flatnonzero((water > 0).any(axis=axes)) for axes in ((0, 2), (0, 1)))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _sampled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.ravel()[:: max(1, values.size // _VOXELS) | 1]


def _lower_of_two(values: NDArray[np.float32]) -> float:
    """The lower of the two thresholds with the greatest variance between the three classes that they separate."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return low
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    weight = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    moment = np.concatenate([[0.0], np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)])

    def between(first: NDArray[np.int64], end: NDArray[np.int64] | int) -> NDArray[np.float64]:
        part = weight[end] - weight[first]
        return np.divide((moment[end] - moment[first]) ** 2, part, out=np.zeros_like(part), where=part > 0)

    first, second = np.triu_indices(_BINS, k=1)
    first, second = first[first > 0], second[first > 0]
    spread = between(np.zeros_like(first), first) + between(first, second) + between(second, _BINS)
    return float(edges[first[int(spread.argmax())]])
