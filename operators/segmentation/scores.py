"""Class scores on the network's grid become labels on another, band by band.

Scores, not labels, are interpolated: that places a border between voxels of
the network's grid, where interpolating labels could only follow their edges
(docs/inference.md has what this is worth in Dice). numba does it on the CPU
for any device: a row of scores is interpolated in the plane for all its
slices at once, then along the slices, and compared, before the next class is
read, so that nothing but labels is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from operators.errors import GeometryError
from operators.segmentation.stream import Band
from operators.segmentation.windows import Triple
from operators.volume import Grid

__all__ = ["ScoreMapping", "labels_from_bands", "labels_from_scores", "map_scores"]


@dataclass(frozen=True)
class ScoreMapping:
    """How the voxels of a grid lie among those of an array of scores with parallel axes.

    Attributes
    ----------
    order : tuple of int
        The grid's axis (0 = x, 1 = y, 2 = z) along each axis of the scores.
    lower, upper : tuple of ndarray, int32
        For each axis of the scores: the two samples that surround each voxel of the grid.
    weight : tuple of ndarray, float32
        The part of the upper one.
    """

    order: Triple
    lower: tuple[NDArray[np.int32], ...]
    upper: tuple[NDArray[np.int32], ...]
    weight: tuple[NDArray[np.float32], ...]

    @property
    def shape(self) -> Triple:
        """Size of the grid along the axes of the scores."""
        a, b, n = (lower.size for lower in self.lower)
        return a, b, n

    def turned(self, voxels: NDArray[np.generic]) -> NDArray[np.generic]:
        """A volume (z, y, x) of the grid as a view whose axes run as those of the scores."""
        return voxels.transpose([2 - axis for axis in self.order])

    def turned_back(self, voxels: NDArray[np.generic]) -> NDArray[np.generic]:
        """The reverse of `turned`."""
        return voxels.transpose(np.argsort([2 - axis for axis in self.order]).tolist())

    def covers(self, start: Triple, size: Triple) -> tuple[slice, slice, slice]:
        """Which voxels of the grid, in the axes of the scores, need a score of a window."""
        parts = []
        for axis in range(3):
            near = (self.upper[axis] >= start[axis]) & (self.lower[axis] < start[axis] + size[axis])
            where = np.flatnonzero(near)
            parts.append(slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0))
        return parts[0], parts[1], parts[2]


def map_scores(shape: Triple, affine: NDArray[np.float64], grid: Grid) -> ScoreMapping:
    """Find where the voxels of ``grid`` lie among scores.

    Parameters
    ----------
    shape : tuple of int
        Of the scores, along their three axes.
    affine : ndarray, shape (4, 4)
        Score voxel (i, j, k) to LPS millimetres; axes parallel to those of
        ``grid`` in any order and direction.
    grid : Grid
        Voxels beyond the scores take the nearest.

    Raises
    ------
    GeometryError
        When the axes are not parallel.
    """
    to_scores = np.linalg.inv(affine) @ grid.affine
    axes = np.abs(to_scores[:3, :3]).argmax(axis=0)  # score axis of each grid axis (x, y, z)
    off_axis = to_scores[:3, :3].copy()
    off_axis[axes, range(3)] = 0
    sizes = np.array(grid.shape)[::-1]
    if len(set(axes)) != 3 or np.abs(off_axis * sizes).max() > 0.5:
        raise GeometryError(
            "class scores", "axes that are turned against the fused grid", "parallel axes", "Report this as a defect."
        )
    order = np.argsort(axes)
    lower, upper, weight = [], [], []
    for axis in range(3):
        along = int(order[axis])
        position = to_scores[axis, along] * np.arange(sizes[along]) + to_scores[axis, 3]
        position = np.clip(position, 0, shape[axis] - 1)
        first = np.minimum(position.astype(np.int32), max(shape[axis] - 2, 0))
        lower.append(first)
        upper.append(np.minimum(first + 1, shape[axis] - 1).astype(np.int32))
        weight.append((position - first).astype(np.float32))
    return ScoreMapping((int(order[0]), int(order[1]), int(order[2])), tuple(lower), tuple(upper), tuple(weight))


def labels_from_bands(
    bands: Iterable[Band],
    mapping: ScoreMapping,
    body: NDArray[np.bool_],
    with_confidence: bool = False,
    *,
    probabilities: bool = False,
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Interpolate scores linearly and take the largest.

    Parameters
    ----------
    bands : iterable of Band
        In the order of `stream_scores`.
    mapping : ScoreMapping
        Of the grid of ``body``.
    body : ndarray, shape (z, y, x), bool
        Where labels are wanted.
    with_confidence : bool
    probabilities : bool
        The bands hold probabilities rather than scores.

    Returns
    -------
    labels : ndarray, shape (z, y, x), uint8
        0 outside ``body``.
    confidence : ndarray, shape (z, y, x), float32, or None
        Softmax of the scores at the label, or the label's probability; 0 outside ``body``.
    """
    inside = np.ascontiguousarray(mapping.turned(body))
    labels = np.zeros(mapping.shape, dtype=np.uint8)
    confidence = np.zeros(mapping.shape if with_confidence else (0, 0, 0), dtype=np.float32)
    for band in bands:
        end = band.first + band.count
        along = np.flatnonzero((mapping.lower[2] >= band.first) & (mapping.upper[2] < end))
        if along.size == 0:
            continue
        _label_band(  # type: ignore[call-arg]
            band.sums.numpy(),
            np.array([*band.origin[:2], band.origin[2] - band.first]),
            *(part for axis in range(3) for part in (mapping.lower[axis], mapping.upper[axis], mapping.weight[axis])),
            int(along[0]),
            int(along[-1]) + 1,
            inside,
            labels,
            confidence,
            probabilities,
        )
    return (
        np.ascontiguousarray(mapping.turned_back(labels), dtype=np.uint8),
        np.ascontiguousarray(mapping.turned_back(confidence), dtype=np.float32) if with_confidence else None,
    )


def labels_from_scores(scores: torch.Tensor, affine: NDArray[np.float64], grid: Grid) -> NDArray[np.uint8]:
    """The labels of `labels_from_bands`, from scores that are all there.

    Parameters
    ----------
    scores : Tensor, shape (channels, x, y, z), float32
    affine : ndarray, shape (4, 4)
        See `map_scores`.
    grid : Grid

    Returns
    -------
    ndarray, shape (z, y, x), uint8

    Raises
    ------
    GeometryError
        When the axes are not parallel.
    """
    _, x, y, z = scores.shape
    everywhere = np.ones(grid.shape, dtype=np.bool_)
    return labels_from_bands([Band.whole(scores)], map_scores((x, y, z), affine, grid), everywhere)[0]


@numba.njit(parallel=True, cache=True, nogil=True)
def _label_band(  # type: ignore[no-untyped-def]
    scores,
    origin,
    a_lower,
    a_upper,
    a_weight,
    b_lower,
    b_upper,
    b_weight,
    n_lower,
    n_upper,
    n_weight,
    n_start,
    n_stop,
    body,
    labels,
    confidence,
    probabilities,
):
    """Label the voxels [n_start, n_stop) along the last axis from scores whose voxel 0 is at ``origin``."""
    channels, count = scores.shape[0], n_stop - n_start
    below = n_lower[n_start:n_stop] + origin[2]
    above = n_upper[n_start:n_stop] + origin[2]
    first = min(below.min(), above.min())
    last = max(below.max(), above.max()) + 1
    sure = confidence.size > 0
    for p in numba.prange(a_lower.size):
        line = np.empty(last - first, dtype=np.float32)
        best = np.empty(count, dtype=np.float32)
        values = np.empty((channels if sure else 1, count), dtype=np.float32)
        a0, a1, wa = a_lower[p] + origin[0], a_upper[p] + origin[0], a_weight[p]
        one = np.float32(1.0)
        for q in range(b_lower.size):
            if not body[p, q, n_start:n_stop].any():
                continue
            b0, b1, wb = b_lower[q] + origin[1], b_upper[q] + origin[1], b_weight[q]
            w00, w01, w10, w11 = (one - wa) * (one - wb), (one - wa) * wb, wa * (one - wb), wa * wb
            row = labels[p, q, n_start:n_stop]
            for c in range(channels):
                s00, s01 = scores[c, a0, b0, first:last], scores[c, a0, b1, first:last]
                s10, s11 = scores[c, a1, b0, first:last], scores[c, a1, b1, first:last]
                for k in range(last - first):
                    line[k] = w00 * s00[k] + w01 * s01[k] + w10 * s10[k] + w11 * s11[k]
                for n in range(count):
                    w = n_weight[n_start + n]
                    value = (one - w) * line[below[n] - first] + w * line[above[n] - first]
                    if sure:
                        values[c, n] = value
                    if c == 0 or value > best[n]:
                        best[n] = value
                        row[n] = c
            for n in range(count):
                if not body[p, q, n_start + n]:
                    row[n] = 0
                elif sure and probabilities:
                    confidence[p, q, n_start + n] = best[n]
                elif sure:
                    total = np.float32(0.0)
                    for c in range(channels):
                        total += np.exp(values[c, n] - best[n])
                    confidence[p, q, n_start + n] = one / total
