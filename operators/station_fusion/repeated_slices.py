"""Slices of a station that hold the same image: an export or a copy that wrote one image in the place of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import QualityFlag
from operators.station_fusion.positions import TablePosition

__all__ = ["repeated_slice_flags"]

_EVERY = 4
"""Of rows and columns: two scanned slices differ by their noise in nearly every voxel."""


def repeated_slice_flags(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """``repeated-slices`` (warning) for each station in which slices of a contrast are equal voxel for voxel.

    Slices without signal are not judged (`empty_slice_flags` does that), and neither are those of one value.
    """
    flags = []
    for position in positions:
        repeated = np.zeros(position.grid.shape[0], dtype=np.bool_)
        for signal in position.signals:
            repeated |= _repeated(signal)
        if not repeated.any():
            continue
        low, high = position.z_range_mm
        thickness = (high - low) / len(repeated)
        first, last = np.flatnonzero(repeated)[[0, -1]]
        z_mm = float(low + thickness * first), float(low + thickness * (last + 1))
        message = (
            f"{int(repeated.sum())} slices of the station of {position.name} hold the image of another slice, between "
            f"z = {z_mm[0]:.0f} and {z_mm[1]:.0f} mm: what lies there is not shown. Fetch the study again."
        )
        flags.append(QualityFlag("repeated-slices", "warning", message, z_mm=z_mm))
    return tuple(flags)


def _repeated(signal: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which slices are equal to another one that has signal."""
    first: dict[bytes, int] = {}
    repeated = np.zeros(len(signal), dtype=np.bool_)
    for k, whole in enumerate(signal):
        some = np.ascontiguousarray(whole[::_EVERY, ::_EVERY])
        if some.min() == some.max():
            continue
        other = first.setdefault(some.tobytes(), k)
        if other != k and np.array_equal(signal[other], whole):
            repeated[[other, k]] = True
    return repeated
