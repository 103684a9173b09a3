"""What table positions cover of the body: gaps between them, and whether they reach from pelvis to knee."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from operators.core.volume import QualityFlag
from operators.station_fusion.arithmetic import EDGE_SLACK
from operators.station_fusion.positions import TablePosition

__all__ = ["MINIMUM_COVERAGE_MM", "coverage_flags", "covered_mm"]

MINIMUM_COVERAGE_MM = 600.0
"""The distance from iliac crest to knee is larger than this in any adult. The archive's lower four stations cover about
830 mm."""


def coverage_flags(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """Flags for gaps between the fused positions (superior to inferior), and for too short a coverage."""
    flags = []
    for upper, lower in itertools.pairwise(positions):
        bottom, top = upper.extent_mm[0, 2], lower.extent_mm[1, 2]
        # When stations are sampled, each reaches this much further, so a gap of this size is closed.
        rounding = EDGE_SLACK * (upper.grid.spacing_mm[2] + lower.grid.spacing_mm[2])
        if bottom - top > rounding:
            message = f"No station between z = {top:.1f} and {bottom:.1f} mm, between {upper.name} and {lower.name}."
            flags.append(QualityFlag("station-gap", "error", message, z_mm=(float(top), float(bottom))))
    covered = covered_mm(positions)
    if covered < MINIMUM_COVERAGE_MM:
        message = (
            f"{len(positions)} station(s) cover {covered:.0f} mm; pelvis to knee needs at least "
            f"{MINIMUM_COVERAGE_MM:.0f} mm."
        )
        flags.append(QualityFlag("no-pelvis-to-knee-coverage", "error", message))
    return tuple(flags)


def covered_mm(positions: Sequence[TablePosition]) -> float:
    """The height that these positions cover together, gaps left out."""
    length, reached = 0.0, -np.inf
    for low, high in sorted(tuple(map(float, position.extent_mm[:, 2])) for position in positions):
        length += max(0.0, high - max(low, reached))
        reached = max(reached, high)
    return length
