"""Whether stations have one scale, where headers state one for each (Philips' private scale slope).

Philips displays every series on a scale of its own; displayed signal over
(Rescale Slope x Scale Slope) is comparable between series (dcm2niix,
Philips/README.md; MRtrix3/mrtrix3#2499). The images decide: the signal where
stations overlap must become more alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.core.volume import Contrast, QualityFlag
from operators.station_fusion.agreement import gain_ratio
from operators.station_fusion.blending import scaled
from operators.station_fusion.overlaps import Overlap
from operators.station_fusion.positions import TablePosition

__all__ = ["on_stated_scale"]

_SAME = 0.02
"""Largest deviation from 1 of a ratio of stated scales that is nothing to correct."""

_CLEARLY = 0.5
"""Of the departure of the gains in overlaps from 1; what is stated must bring it below."""


def on_stated_scale(
    positions: Sequence[TablePosition], overlaps: Sequence[Overlap]
) -> tuple[tuple[TablePosition, ...], tuple[QualityFlag, ...]]:
    """Bring stations to one scale where headers state theirs and the overlaps agree.

    Parameters
    ----------
    positions : sequence of TablePosition
    overlaps : sequence of Overlap
        Of neighbouring positions.

    Returns
    -------
    positions : tuple of TablePosition
        As they were where nothing is stated, or the overlaps do not agree.
    flags : tuple of QualityFlag
        ``stations-rescaled`` (warning), or ``stated-scale-not-used`` (info).
    """
    scales = [position.stations[Contrast.IN].private_scale for position in positions]
    stated = np.log([scale for scale in scales if scale is not None])
    if len(stated) < len(positions) or not overlaps or np.ptp(stated) <= np.log1p(_SAME):
        return tuple(positions), ()
    measured = np.log([gain_ratio(overlap) for overlap in overlaps])
    expected = np.array([stated[overlap.upper] - stated[overlap.lower] for overlap in overlaps])
    before, after = (float(np.exp(np.abs(logs).mean()) - 1) for logs in (measured, measured - expected))
    if not after < _CLEARLY * before:
        message = (
            "The private scale slopes (2005,100E) state different scales of stations, but the signal where stations "
            f"overlap does not: it departs by {before:.0%} as it is and by {after:.0%} as stated. It was left."
        )
        return tuple(positions), (QualityFlag("stated-scale-not-used", "info", message),)
    factors = np.exp(np.median(stated) - stated)
    message = (
        f"Stations were multiplied by {', '.join(f'{factor:.3f}' for factor in factors)}, superior to inferior, as the "
        "private scale slopes (2005,100E) state: where stations overlap, their signal departed "
        f"by {before:.0%} and now departs by {after:.0%}."
    )
    rescaled = tuple(scaled(position, float(factor)) for position, factor in zip(positions, factors, strict=True))
    return rescaled, (QualityFlag("stations-rescaled", "warning", message),)
