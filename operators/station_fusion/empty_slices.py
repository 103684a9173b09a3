"""Slices without any signal among those that have some: a damaged or interrupted scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import QualityFlag
from operators.station_fusion.positions import TablePosition

__all__ = ["empty_slice_flags"]

_EVERY = 4
"""Of rows and columns: a slice of a body fills far more of the image."""

_LEAST_AT_END_MM = 20.0
"""Scanners that correct distortion leave the outermost slices of a stack empty; the neighbour shows what lies there."""


def empty_slice_flags(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """``empty-slices`` (warning) for each run of slices of a station that have no signal in some contrast.

    A contrast without any signal is not judged: it is absent, or its images are refused elsewhere.
    """
    flags = []
    for position in positions:
        empty = np.zeros(position.grid.shape[0], dtype=np.bool_)
        for signal in position.signals:
            without = ~signal[:, ::_EVERY, ::_EVERY].any(axis=(1, 2))
            if not without.all():
                empty |= without
        low, high = position.z_range_mm
        thickness = (high - low) / len(empty)
        for first, last in _runs(empty):
            z_mm = low + thickness * first, low + thickness * last
            count = last - first
            if (first == 0 or last == len(empty)) and count * thickness < _LEAST_AT_END_MM:
                continue
            message = (
                f"{count} {'slice has' if count == 1 else 'slices have'} no signal in the station of {position.name}, "
                f"from z = {z_mm[0]:.0f} to {z_mm[1]:.0f} mm: what lies there is missing or comes from the neighbour."
            )
            flags.append(QualityFlag("empty-slices", "warning", message, z_mm=z_mm))
    return tuple(flags)


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First index, and one past the last, of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from ((int(edges[n]), int(edges[n + 1])) for n in range(0, len(edges), 2))
