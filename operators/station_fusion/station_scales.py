"""Whether stations have one scale: as headers state it (Philips' private scale slope), and as overlaps show it.

Philips displays every series on a scale of its own; displayed signal over
(Rescale Slope x Scale Slope) is comparable between series (dcm2niix,
Philips/README.md; MRtrix3/mrtrix3#2499). The images decide: the signal where
stations overlap must become more alike. Where nothing is stated, only a factor
that no coil makes is evened out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.core.volume import Contrast, QualityFlag
from operators.station_fusion.agreement import gain_ratio
from operators.station_fusion.blending import matching_gains, scaled
from operators.station_fusion.overlaps import Overlap
from operators.station_fusion.positions import TablePosition

__all__ = ["on_measured_scale", "on_stated_scale"]

_SAME = 0.02
"""Largest deviation from 1 of a ratio of stated scales that is nothing to correct."""

_CLEARLY = 0.5
"""Of the departure of the gains in overlaps from 1; what is stated must bring it below."""

_ANOTHER_SCALE = 1.4
"""Ratio of the signals of neighbours. Coils and slab profiles stay below; a lost Rescale Slope is above."""

_ONE_FACTOR = 1.5
"""Largest ratio of the quartiles of that ratio over tissue. Other weighting changes tissues by different factors."""


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


def on_measured_scale(
    positions: Sequence[TablePosition], overlaps: Sequence[Overlap]
) -> tuple[tuple[TablePosition, ...], tuple[QualityFlag, ...]]:
    """Bring stations to one scale where the signal of neighbours differs by a factor that only a scale explains.

    Parameters
    ----------
    positions : sequence of TablePosition
    overlaps : sequence of Overlap
        Of neighbouring positions.

    Returns
    -------
    positions : tuple of TablePosition
        As they were where no neighbours differ by such a factor.
    flags : tuple of QualityFlag
        ``stations-rescaled`` (warning).
    """
    large = [overlap for overlap in overlaps if abs(np.log(gain_ratio(overlap))) > np.log(_ANOTHER_SCALE)]
    if not large or not all(_is_one_factor(overlap) for overlap in large):
        return tuple(positions), ()
    gains = matching_gains(len(positions), overlaps)
    factors = gains / np.median(gains)
    greatest = max(max(gain, 1 / gain) for gain in map(gain_ratio, large))
    message = (
        f"Stations are stored on scales of their own: where they overlap, their signal differs by up to {greatest:.1f} "
        f"times. They were multiplied by {', '.join(f'{factor:.3g}' for factor in factors)}, superior to inferior."
    )
    rescaled = tuple(scaled(position, float(factor)) for position, factor in zip(positions, factors, strict=True))
    return rescaled, (QualityFlag("stations-rescaled", "warning", message),)


def _is_one_factor(overlap: Overlap) -> bool:
    tissue = overlap.tissue
    low, high = np.percentile(overlap.above[Contrast.IN][tissue] / overlap.below[Contrast.IN][tissue], [25, 75])
    return bool(high <= _ONE_FACTOR * low)
