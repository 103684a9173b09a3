"""Detection of stations in which a two-point Dixon reconstruction has swapped water and fat.

Two observations are combined. Fat is under the skin and mostly not deep inside,
so in a station with swapped images the rim looks leaner than the core. And
neighbours must agree on what is fat where they overlap. In-phase and
opposed-phase signal cannot tell, because they are the same either way.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Contrast, QualityFlag
from operators.station_fusion.body import otsu_threshold, solid_slices
from operators.station_fusion.overlaps import Overlap
from operators.station_fusion.positions import TablePosition

__all__ = ["exchanged", "find_swaps", "rim_contrast", "swap_flags"]

_EXAMINED_SLICES = 8
"""Slices spread evenly over the station: enough to determine its rim reliably, and fast."""

_RIM_MM = 6.0
"""Depth of the skin and the fat below it."""

_CORE_DEPTH = 0.5
"""Depth at which the core begins, as a fraction of the deepest point's distance from the skin."""

_BENEFIT_OF_DOUBT = 0.15
"""Evidence that each assumed swap must exceed, on a scale of -1 to 1. In the UK Biobank, about 1.8% of participants
have a swap (recoh/pipeline)."""


def find_swaps(positions: Sequence[TablePosition], overlaps: Sequence[Overlap]) -> tuple[int, ...]:
    """Find the stations in which water and fat are swapped.

    The result is the assignment that agrees best with all rims and all overlaps
    together. There are few stations, so every assignment is tried.

    Parameters
    ----------
    positions : sequence of TablePosition
    overlaps : sequence of Overlap
        Overlaps of ``positions``, which they name by number.

    Returns
    -------
    tuple of int
        Numbers of positions.
    """
    rims = [rim_contrast(position) for position in positions]
    pairs = [(overlap.upper, overlap.lower, _same_species(overlap)) for overlap in overlaps]
    best: tuple[int, ...] = ()
    best_score = -np.inf
    for signs in itertools.product((1, -1), repeat=len(positions)):
        score = sum(sign * rim for sign, rim in zip(signs, rims, strict=True))
        score += sum(signs[upper] * signs[lower] * same for upper, lower, same in pairs)
        score -= 2 * _BENEFIT_OF_DOUBT * signs.count(-1)
        if score > best_score:
            best, best_score = tuple(n for n, sign in enumerate(signs) if sign < 0), score
    return best


def rim_contrast(position: TablePosition) -> float:
    """Mean fat fraction under the skin minus that deep inside: near 1 if correct, negative if swapped.

    Returns
    -------
    float
        -1 to 1; 0 when there is no body.
    """
    water, fat = (position.stations[contrast].voxels for contrast in (Contrast.WATER, Contrast.FAT))
    x_mm, y_mm, _ = position.grid.spacing_mm
    # Every second voxel in plane is enough, unless voxels are large.
    step = 2 if max(x_mm, y_mm) < _RIM_MM / 2 else 1
    chosen = np.unique(np.linspace(0, len(water) - 1, _EXAMINED_SLICES).astype(int))
    total = water[chosen, ::step, ::step] + fat[chosen, ::step, ::step]
    fat = fat[chosen, ::step, ::step]
    signal = np.sqrt(np.clip(total, 0.0, None))
    threshold = otsu_threshold(signal)
    body, filled = signal > threshold, solid_slices(signal, threshold)
    rim, core = np.zeros_like(body), np.zeros_like(body)
    for k, axial in enumerate(body):
        # The border of the image is not skin. No margin is added, because it would make it look like skin.
        depth = ndimage.distance_transform_edt(filled[k], sampling=(y_mm * step, x_mm * step))
        rim[k] = axial & (depth > 0) & (depth <= max(_RIM_MM, 1.5 * step * max(x_mm, y_mm)))
        core[k] = axial & (depth > _CORE_DEPTH * depth.max()) & ~rim[k]
    if not (rim.any() and core.any()):
        return 0.0
    return float(fat[rim].sum() / total[rim].sum() - fat[core].sum() / total[core].sum())


def exchanged(position: TablePosition) -> TablePosition:
    """The same station with its water and fat series exchanged."""
    water, fat = position.stations[Contrast.WATER], position.stations[Contrast.FAT]
    return TablePosition(
        {
            **position.stations,
            Contrast.WATER: replace(fat, contrast=Contrast.WATER),
            Contrast.FAT: replace(water, contrast=Contrast.FAT),
        }
    )


def swap_flags(positions: Sequence[TablePosition], swapped: Sequence[int], *, fixed: bool) -> tuple[QualityFlag, ...]:
    """One flag for each swapped station: a warning if it was corrected, otherwise an error."""
    return tuple(
        QualityFlag(
            "water-fat-swap",
            "warning" if fixed else "error",
            f"Water and fat are swapped in the station of {positions[number].name}; "
            + ("this was corrected." if fixed else "fuse again with --fix-swaps to correct this."),
            z_mm=positions[number].z_range_mm,
        )
        for number in swapped
    )


def _same_species(overlap: Overlap) -> float:
    """How much better the fat fractions of both neighbours agree as they are than with one swapped; -1 to 1."""
    above, below = (_fat_fraction(side[Contrast.WATER], side[Contrast.FAT]) for side in (overlap.above, overlap.below))
    as_is, crossed = np.abs(above - below), np.abs(above + below - 1)
    return float((crossed - as_is)[overlap.tissue].mean())


def _fat_fraction(water: NDArray[np.float32], fat: NDArray[np.float32]) -> NDArray[np.float32]:
    total = water + fat
    return np.asarray(np.divide(fat, total, out=np.full_like(total, 0.5), where=total > 0))
