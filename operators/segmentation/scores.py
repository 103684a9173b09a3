"""Conversion of class scores on the network's grid to labels on another grid, band by band.

Scores are interpolated, not labels, so a border can be between voxels of the
network's grid. Interpolated labels could only follow the edges of its voxels
(docs/inference-figures.md says how much Dice this gains). numba does this on the CPU
for any device (`operators.segmentation.label_kernel`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import InternalError
from operators.core.volume import Grid
from operators.segmentation.label_kernel import label_band
from operators.segmentation.stream import Band
from operators.segmentation.windows import Triple

__all__ = ["ScoreMapping", "labels_from_bands", "map_scores"]

_MET = 1e-5  # of a voxel; tolerates rounding in the affines


@dataclass(frozen=True)
class ScoreMapping:
    """The positions of a grid's voxels among those of an array of scores with parallel axes.

    Attributes
    ----------
    order : tuple of int
        The grid's axis (0 = x, 1 = y, 2 = z) along each axis of the scores.
    lower, upper : tuple of ndarray, int32
        For each axis of the scores: the two samples that surround each voxel of the grid.
    weight : tuple of ndarray, float32
        Weight of the upper sample.
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
        """A volume (z, y, x) of the grid as a view with the axes of the scores."""
        return voxels.transpose([2 - axis for axis in self.order])

    def turned_back(self, voxels: NDArray[np.generic]) -> NDArray[np.generic]:
        """The reverse of `turned`."""
        return voxels.transpose(np.argsort([2 - axis for axis in self.order]).tolist())

    def covers(self, start: Triple, size: Triple) -> tuple[slice, slice, slice]:
        """The voxels of the grid, in the axes of the scores, that need scores of a window."""
        parts = []
        for axis in range(3):
            near = (self.upper[axis] >= start[axis]) & (self.lower[axis] < start[axis] + size[axis])
            where = np.flatnonzero(near)
            parts.append(slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0))
        return parts[0], parts[1], parts[2]


def map_scores(shape: Triple, affine: NDArray[np.float64], grid: Grid) -> ScoreMapping:
    """Find the positions of the voxels of ``grid`` among scores.

    Parameters
    ----------
    shape : tuple of int
        Shape of the scores along their three axes.
    affine : ndarray, shape (4, 4)
        Score voxel (i, j, k) to LPS millimetres. The axes are parallel to those
        of ``grid``, in any order and direction.
    grid : Grid
        Voxels outside the scores take the nearest score.

    Raises
    ------
    InternalError
        When the axes are not parallel.
    """
    to_scores = np.linalg.inv(affine) @ grid.affine
    axes = np.abs(to_scores[:3, :3]).argmax(axis=0)  # score axis of each grid axis (x, y, z)
    off_axis = to_scores[:3, :3].copy()
    off_axis[axes, range(3)] = 0
    sizes = np.array(grid.shape)[::-1]
    if len(set(axes)) != 3 or np.abs(off_axis * sizes).max() > 0.5:
        raise InternalError("class scores", "axes that are rotated against the fused grid", "parallel axes")
    order = np.argsort(axes)
    lower, upper, weight = [], [], []
    for axis in range(3):
        along = int(order[axis])
        position = to_scores[axis, along] * np.arange(sizes[along]) + to_scores[axis, 3]
        met = np.abs(position - np.rint(position)) < _MET
        position = np.clip(np.where(met, np.rint(position), position), 0, shape[axis] - 1)
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
    everywhere: bool = True,
    probabilities: bool = False,
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Interpolate scores linearly and take the largest.

    Parameters
    ----------
    bands : iterable of Band
        In the order of `stream_scores`.
    mapping : ScoreMapping
        Mapping of the grid of ``body``.
    body : ndarray, shape (z, y, x), bool
        Voxels to label.
    with_confidence : bool
    everywhere : bool
        Whether the confidence of background is wanted too, which takes longer; otherwise it is 0 there.
    probabilities : bool
        Whether the bands hold probabilities instead of scores.

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
        label_band(  # type: ignore[call-arg]
            band.sums.cpu().numpy(),
            np.array([*band.origin[:2], band.origin[2] - band.first]),
            *(part for axis in range(3) for part in (mapping.lower[axis], mapping.upper[axis], mapping.weight[axis])),
            int(along[0]),
            int(along[-1]) + 1,
            inside,
            labels,
            confidence,
            everywhere,
            probabilities,
        )
    return (
        np.ascontiguousarray(mapping.turned_back(labels), dtype=np.uint8),
        np.ascontiguousarray(mapping.turned_back(confidence), dtype=np.float32) if with_confidence else None,
    )
