"""Weights of overlapping stations, and factors that match their intensities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from operators.core.options import Blend
from operators.station_fusion.agreement import gain_ratio
from operators.station_fusion.overlaps import Overlap
from operators.station_fusion.positions import TablePosition

__all__ = ["fades", "matching_gains", "scaled"]

_LOGISTIC_STEEPNESS = 10.0
"""Over the whole overlap; the weight at a station's end is then 0.7%."""


def fades(positions: Sequence[TablePosition], blend: Blend) -> list[NDArray[np.float32]] | None:
    """The weight of each slice of each station.

    The weights of two neighbours add up to 1 throughout their overlap, voxel
    faces included.

    Parameters
    ----------
    positions : sequence of TablePosition
        Superior to inferior.
    blend : {"average", "linear", "logistic"}

    Returns
    -------
    list of ndarray, shape (z,), float32, or None
        Positive and at most 1; None for ``average``, where all weights are equal.
    """
    if blend == "average":
        return None
    ranges = [position.extent_mm[:, 2] for position in positions]
    weights = []
    for number, position in enumerate(positions):
        depth = position.grid.shape[0]
        low, high = ranges[number]
        height = low + (np.arange(depth) + 0.5) * (high - low) / depth
        weight = np.ones(depth)
        if number + 1 < len(positions) and (shared := ranges[number + 1][1] - low) > 0:
            weight = np.minimum(weight, _ramp((height - low) / shared, blend))
        if number > 0 and (shared := high - ranges[number - 1][0]) > 0:
            weight = np.minimum(weight, _ramp((high - height) / shared, blend))
        weights.append(weight.astype(np.float32))
    return weights


def matching_gains(count: int, overlaps: Sequence[Overlap]) -> NDArray[np.float64]:
    """One factor for each station that makes neighbours equally bright in the tissue that they share.

    The factors are chained from neighbour to neighbour by the median ratio.
    Their geometric mean over each chain of overlapping stations is 1, so that
    the whole becomes neither brighter nor darker. One factor applies to all
    contrasts of a station, so the fat fraction does not change.

    Parameters
    ----------
    count : int
        Number of stations.
    overlaps : sequence of Overlap

    Returns
    -------
    ndarray, shape (count,)
    """
    logs = np.zeros(count)
    chained = {overlap.lower: overlap for overlap in overlaps}
    chain = [0]
    for number in range(1, count + 1):
        if number in chained:
            logs[number] = logs[number - 1] + np.log(gain_ratio(chained[number]))
            chain.append(number)
        else:
            logs[chain] -= logs[chain].mean()
            chain = [number]
    return np.asarray(np.exp(logs))


def scaled(position: TablePosition, gain: float) -> TablePosition:
    """Multiply all contrasts of a station by one factor."""
    factor = np.float32(gain)
    return TablePosition(
        {c: replace(station, voxels=station.voxels * factor) for c, station in position.stations.items()}
    )


def _ramp(part: NDArray[np.float64], blend: Blend) -> NDArray[np.float64]:
    """Weight at a fraction of the overlap, which is 0 at the station's end and 1 at the neighbour's."""
    if blend == "linear":
        return np.clip(part, 0.0, 1.0)
    return np.asarray(1.0 / (1.0 + np.exp(-_LOGISTIC_STEEPNESS * (part - 0.5))))
