"""Labels from bands of scores, computed where the scores are.

The arithmetic is that of `operators.segmentation.label_kernel`: linear interpolation to the fused grid, the class with
the largest score, and on request the probability of that class. Here it is PyTorch, so that it runs on any device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from operators.core.page_locked import downloaded
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
        labels = downloaded(self.labels)
        if self.confidence is None:
            return labels, None
        # Divided on the device: the host takes longer for it than for the download of twice the bytes.
        return labels, downloaded(self.confidence.to(torch.float32).div_(_STEPS))


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
    samples = [_Samples(*axis) for axis in zip(mapping.lower, mapping.upper, mapping.weight, strict=True)]
    with torch.inference_mode():
        for band in bands:
            for first, end in _chunks(mapping, band, at_once):
                scores = _interpolated(band, samples, first, end)
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


def _interpolated(band: Band, samples: Sequence[_Samples], first: int, end: int) -> torch.Tensor:
    """Scores (classes, a, b, n) at the slices [first, end) of the grid, in the axes of the scores."""
    origin = (band.origin[0], band.origin[1], band.origin[2] - band.first)
    scores = band.sums
    # The last axis first: it cuts the scores down to the slices of this chunk.
    for axis, part in ((2, slice(first, end)), (1, slice(None)), (0, slice(None))):
        scores = samples[axis].along(scores, axis + 1, part, origin[axis])
    return scores


class _Samples:
    """The samples of one axis. They are uploaded once, because the host waits for the GPU at each upload."""

    def __init__(self, lower: NDArray[np.int32], upper: NDArray[np.int32], weight: NDArray[np.float32]) -> None:
        self._host = (lower, upper, weight)
        self._there: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def along(self, scores: torch.Tensor, dim: int, part: slice, origin: int) -> torch.Tensor:
        """Linear interpolation along one axis at a part of its samples; a view where the grids coincide."""
        lower, upper, weight = (values[part] for values in self._host)
        whole = np.where(weight == 1, upper, lower)
        if ((weight == 0) | (weight == 1)).all() and (np.diff(whole) == 1).all():
            return scores.narrow(dim, int(whole[0]) + origin, whole.size)
        if self._there is None or self._there[0].device != scores.device:
            tables = (self._host[0].astype(np.int64), self._host[1].astype(np.int64), self._host[2])
            below, above, share = (torch.from_numpy(np.ascontiguousarray(table)).to(scores.device) for table in tables)
            self._there = below, above, share
        below, above, share = (values[part] for values in self._there)
        shape = [1] * scores.ndim
        shape[dim] = -1
        first, second = scores.index_select(dim, below + origin), scores.index_select(dim, above + origin)
        return torch.lerp(first, second, share.view(shape))
