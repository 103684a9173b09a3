"""Labels from bands of scores, computed where the scores are.

The arithmetic is that of `operators.segmentation.label_kernel`: linear interpolation to the fused grid, the class with
the largest score, and on request the probability of that class. Here it is PyTorch, so that it runs on any device.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from operators.segmentation.device_memory import label_slices
from operators.segmentation.scores import ScoreMapping
from operators.segmentation.stream import Band

__all__ = ["DeviceLabels", "labels_on_device"]

_STEPS = 32767
"""Between a confidence of 0 and of 1, in 16 bits."""


@dataclass(frozen=True)
class DeviceLabels:
    """Labels on a grid, on a device.

    Attributes
    ----------
    labels : Tensor, shape (z, y, x), uint8
        0 outside the body.
    confidence : Tensor, shape (z, y, x), int16, or None
        Probability of the label in steps of 1/32767; 0 outside the body. The report gives percentiles of it to 0.001,
        for which 8 bits would not be enough.
    """

    labels: torch.Tensor
    confidence: torch.Tensor | None

    def downloaded(self) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Labels and confidence (0 to 1) as arrays."""
        labels = self.labels.cpu().numpy()
        if self.confidence is None:
            return labels, None
        return labels, self.confidence.cpu().numpy().astype(np.float32) / np.float32(_STEPS)


def labels_on_device(
    bands: Iterable[Band],
    mapping: ScoreMapping,
    body: torch.Tensor,
    with_confidence: bool = False,
    *,
    probabilities: bool = False,
) -> DeviceLabels:
    """Interpolate scores linearly and take the largest, on the device of ``body``.

    Parameters
    ----------
    bands : iterable of Band
        In the order of `stream_scores`; on any device, best on that of ``body``.
    mapping : ScoreMapping
        Mapping of the grid of ``body``.
    body : Tensor, shape (z, y, x), bool
        Voxels to label.
    with_confidence : bool
    probabilities : bool
        Whether the bands hold probabilities instead of scores.

    Returns
    -------
    DeviceLabels
    """
    labels = torch.zeros(body.shape, dtype=torch.uint8, device=body.device)
    confidence = torch.zeros(body.shape, dtype=torch.int16, device=body.device) if with_confidence else None
    # Views with the axes of the scores. Writing to them puts each voxel at its place on the grid.
    order = [2 - axis for axis in mapping.order]
    inside, found = body.permute(order), labels.permute(order)
    sure = None if confidence is None else confidence.permute(order)
    at_once = label_slices(mapping.shape)
    with torch.inference_mode():
        for band in bands:
            for first, end in _chunks(mapping, band, at_once):
                scores = _interpolated(band, mapping, first, end)
                best, index = scores.max(dim=0)
                here = inside[..., first:end]
                found[..., first:end] = (index.to(torch.uint8) * here.to(scores.device)).to(labels.device)
                if sure is not None:
                    if not probabilities:
                        best = (scores - best).exp_().sum(dim=0).reciprocal_()  # `scores` may be a view of the band
                    parts = (best.clamp(0, 1) * _STEPS).round_().to(torch.int16)
                    sure[..., first:end] = (parts * here.to(scores.device)).to(labels.device)
    return DeviceLabels(labels, confidence)


def _chunks(mapping: ScoreMapping, band: Band, at_once: int) -> list[tuple[int, int]]:
    """The slices of the grid that lie in a band, a few at a time."""
    along = np.flatnonzero((mapping.lower[2] >= band.first) & (mapping.upper[2] < band.first + band.count))
    if along.size == 0:
        return []
    first, end = int(along[0]), int(along[-1]) + 1
    return [(start, min(start + at_once, end)) for start in range(first, end, at_once)]


def _interpolated(band: Band, mapping: ScoreMapping, first: int, end: int) -> torch.Tensor:
    """Scores (classes, a, b, n) at the slices [first, end) of the grid, in the axes of the scores."""
    origin = (band.origin[0], band.origin[1], band.origin[2] - band.first)
    scores = band.sums
    # The last axis first: it cuts the scores down to the slices of this chunk.
    for axis, part in ((2, slice(first, end)), (1, slice(None)), (0, slice(None))):
        scores = _along(
            scores,
            axis + 1,
            mapping.lower[axis][part].astype(np.int64) + origin[axis],
            mapping.upper[axis][part].astype(np.int64) + origin[axis],
            mapping.weight[axis][part],
        )
    return scores


def _along(
    scores: torch.Tensor,
    dim: int,
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
    weight: NDArray[np.float32],
) -> torch.Tensor:
    """Linear interpolation along one axis; a view where the grids coincide."""
    whole = np.where(weight == 1, upper, lower)
    if ((weight == 0) | (weight == 1)).all() and (np.diff(whole) == 1).all():
        return scores.narrow(dim, int(whole[0]), whole.size)
    below = scores.index_select(dim, _at(lower, scores))
    above = scores.index_select(dim, _at(upper, scores))
    shape = [1] * scores.ndim
    shape[dim] = -1
    return torch.lerp(below, above, _at(weight, scores).view(shape))


def _at(values: NDArray[np.generic], scores: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(scores.device)
