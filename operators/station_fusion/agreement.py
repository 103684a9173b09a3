"""How well neighbouring stations agree where they overlap, and how visible their seam is in the fused volume."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Contrast, Grid, QualityFlag
from operators.station_fusion.overlaps import Overlap
from operators.station_fusion.positions import TablePosition
from operators.station_fusion.shift import residual_shift

__all__ = [
    "LARGEST_STEP",
    "SHIFT_LIMIT_MM",
    "body_flags",
    "gain_ratio",
    "overlap_agreement",
    "seam_visibility",
    "shift_flags",
    "step_flags",
]

SHIFT_LIMIT_MM = 6.0
"""A larger displacement between neighbours is flagged. Between breath holds the body moves less than this."""

LARGEST_STEP = 1.3
"""Ratio of the signals of neighbours in the tissue that both show. Scanners keep it within 1.1. A larger one moves the
borders that the network finds by their intensity."""

_TRUSTED_CORRELATION = 0.5
_LEAST_IMPROVEMENT = 0.03
"""By how much the displacement must raise the correlation. Where a thigh hardly changes along z, its position along z
cannot be determined."""

_SEAM_NEIGHBOURS = 3
"""Slice pairs on either side of a seam that show how much the body itself changes from slice to slice."""

_TISSUE_FRACTION = 0.1
_LEAST_OUTLINE_CM2 = 100.0
"""Mean area of an outline in a slice. Feet and lower legs are smaller; nothing is measured there."""

_OTHER_SIZE, _UNLIKE = 1.1, 0.5
"""Ratio of the areas of two outlines, and the correlation after the best shift. One synthetic person has ratios below
1.02 and correlations from 0.93 on where stations overlap; two have ratios of 1.15 and correlations of 0.4. A real
person's hips, thighs and knees, with unknown overlaps, have ratios up to 1.13 and correlations from 0.62 on."""


def overlap_agreement(overlap: Overlap) -> Mapping[str, float]:
    """Compare the in-phase signal of two neighbouring stations, as acquired, in the tissue that both show.

    Parameters
    ----------
    overlap : Overlap

    Returns
    -------
    mapping
        ``upper``, ``lower`` (0 is the most superior position), ``overlap_mm``
        (along z, voxel faces included), ``middle_z_mm`` (LPS z of its middle),
        ``mean_absolute_difference`` (fraction
        of the mean signal of both), ``gain_ratio`` (median of upper over
        lower), ``shift_mm`` with ``shift_x_mm``, ``shift_y_mm``, ``shift_z_mm``
        (displacement of the body in the lower station), ``shift_correlation``
        (after the displacement is undone) and ``correlation_at_rest`` (before).
        The last six are NaN if there are no edges.
    """
    above, below, tissue = overlap.above[Contrast.IN], overlap.below[Contrast.IN], overlap.tissue
    mean = (above[tissue].mean(dtype=np.float64) + below[tissue].mean(dtype=np.float64)) / 2
    shift = residual_shift(above, below, overlap.grid.spacing_mm)
    x, y, z = (float("nan"),) * 3 if shift is None else shift.mm
    return {
        "upper": overlap.upper,
        "lower": overlap.lower,
        "overlap_mm": overlap.overlap_mm,
        "middle_z_mm": float((overlap.grid.affine @ [*((n - 1) / 2 for n in overlap.grid.shape[::-1]), 1.0])[2]),
        "mean_absolute_difference": float(np.abs(above - below)[tissue].mean(dtype=np.float64) / mean),
        "gain_ratio": gain_ratio(overlap),
        "shift_mm": float("nan") if shift is None else shift.length_mm,
        "shift_x_mm": x,
        "shift_y_mm": y,
        "shift_z_mm": z,
        "shift_correlation": float("nan") if shift is None else shift.correlation,
        "correlation_at_rest": float("nan") if shift is None else shift.correlation_at_rest,
    }


def gain_ratio(overlap: Overlap) -> float:
    """Median over tissue of the ratio of the upper station's in-phase signal to the lower's."""
    tissue = overlap.tissue
    return float(np.median(overlap.above[Contrast.IN][tissue] / overlap.below[Contrast.IN][tissue]))


def seam_visibility(overlap: Overlap, in_phase: NDArray[np.float32], grid: Grid) -> float:
    """How much larger the step of the fused signal is where a station begins or ends than it is nearby.

    Parameters
    ----------
    overlap : Overlap
    in_phase : ndarray, shape (z, y, x)
        The fused signal.
    grid : Grid
        Of ``in_phase``.

    Returns
    -------
    float
        Mean absolute step in tissue between the two slices at the seam, divided
        by the mean step between slices nearby; the larger of the values at the
        overlap's two borders. It is about 1 if no seam is visible, and NaN if
        there are no slices to compare.
    """
    first = round(float((np.linalg.inv(grid.affine) @ overlap.grid.affine)[2, 3]))
    last = first + overlap.grid.shape[0] - 1
    ratios = []
    # One station ends below the overlap's first slice, the other above its last.
    for lower in (first - 1, last):
        if lower < 0 or lower + 1 >= grid.shape[0]:
            continue
        start, end = max(0, lower - _SEAM_NEIGHBOURS), min(grid.shape[0], lower + _SEAM_NEIGHBOURS + 2)
        slab = in_phase[start:end]
        # A step to a slice without a station is not a step at the seam.
        tissue = (slab > 0.1 * np.percentile(slab, 99)).all(axis=0)
        steps = np.array([np.abs(b[tissue] - a[tissue]).mean() for a, b in itertools.pairwise(slab)])
        at = lower - start
        nearby = np.delete(steps, at)
        if tissue.any() and nearby.size and nearby.mean() > 0:
            ratios.append(float(steps[at] / nearby.mean()))
    return max(ratios, default=float("nan"))


def shift_flags(
    agreements: Sequence[Mapping[str, float]], positions: Sequence[TablePosition]
) -> tuple[QualityFlag, ...]:
    """A warning for each pair of neighbours that show the body at different places.

    If both neighbours of a station contradict it in the same way, that station
    is the one that moved. In a single pair, either one may have moved.
    """
    large = [
        pair
        for pair in agreements
        if pair["shift_mm"] > SHIFT_LIMIT_MM
        and pair["shift_correlation"] >= max(_TRUSTED_CORRELATION, pair["correlation_at_rest"] + _LEAST_IMPROVEMENT)
    ]
    flags = []
    explained: set[float] = set()
    for pair, following in itertools.pairwise(large):
        there, back = (np.array([p[f"shift_{axis}_mm"] for axis in "xyz"]) for p in (pair, following))
        if pair["lower"] == following["upper"] and np.linalg.norm(there + back) <= SHIFT_LIMIT_MM:
            moved = (there - back) / 2
            station = positions[int(pair["lower"])]
            name = station.name
            body = f"The station of {name} shows the body"
            flags.append(_shifted(body, moved, "from where both its neighbours show it", station.z_range_mm))
            explained |= {pair["upper"], following["upper"]}
    for pair in large:
        if pair["upper"] not in explained:
            upper, lower = (positions[int(pair[end])].name for end in ("upper", "lower"))
            moved = np.array([pair[f"shift_{axis}_mm"] for axis in "xyz"])
            shows, away = f"The station of {lower} shows the body", f"from where that of {upper} does"
            flags.append(_shifted(shows, moved, away, positions[int(pair["lower"])].z_range_mm))
    return tuple(flags)


def body_flags(
    overlaps: Sequence[Overlap], agreements: Sequence[Mapping[str, float]], positions: Sequence[TablePosition]
) -> tuple[QualityFlag, ...]:
    """A ``body-mismatch`` error for each pair of neighbours that cannot show one body.

    Its outline has another size in one than in the other, and no shift makes
    what is inside alike. Who moves keeps the size; noise and ghosts keep the
    outline.
    """
    flags = []
    for overlap, pair in zip(overlaps, agreements, strict=True):
        sizes = [_outline_cm2(image[Contrast.IN], overlap.grid) for image in (overlap.above, overlap.below)]
        ratio = max(sizes) / max(1.0, min(sizes))
        alike = max(pair["shift_correlation"], pair["correlation_at_rest"])
        if min(sizes) >= _LEAST_OUTLINE_CM2 and ratio > _OTHER_SIZE and alike < _UNLIKE:
            upper, lower = (positions[int(pair[end])] for end in ("upper", "lower"))
            message = (
                f"The stations of {upper.name} and {lower.name} show bodies of different size where they overlap (by "
                f"{ratio - 1:.0%}), and nothing in them matches: they cannot be of one person in one position."
            )
            z_mm = (lower.z_range_mm[0], upper.z_range_mm[1])
            flags.append(QualityFlag("body-mismatch", "error", message, z_mm=z_mm))
    return tuple(flags)


def _outline_cm2(image: NDArray[np.float32], grid: Grid) -> float:
    """Mean area of what is brighter than air in a slice."""
    voxels = np.count_nonzero(image > _TISSUE_FRACTION * np.percentile(image, 99))
    return float(voxels / len(image) * grid.spacing_mm[0] * grid.spacing_mm[1] / 100)


def step_flags(
    agreements: Sequence[Mapping[str, float]], positions: Sequence[TablePosition]
) -> tuple[QualityFlag, ...]:
    """An ``intensity-step`` warning for each pair of neighbours of very different brightness."""
    flags = []
    for pair in agreements:
        gain = pair["gain_ratio"]
        if max(gain, 1 / gain) > LARGEST_STEP:
            upper, lower = (positions[int(pair[end])] for end in ("upper", "lower"))
            message = (
                f"The station of {upper.name} is {gain:.2f} times as bright as that of {lower.name} in the tissue that "
                "both show; fuse again with --match-intensity to even this out."
            )
            z_mm = (lower.z_range_mm[0], upper.z_range_mm[1])
            flags.append(QualityFlag("intensity-step", "warning", message, z_mm=z_mm))
    return tuple(flags)


def _shifted(subject: str, moved: NDArray[np.float64], reference: str, z_mm: tuple[float, float]) -> QualityFlag:
    x, y, z = (round(float(mm), 1) for mm in moved)
    length = np.linalg.norm(moved)
    return QualityFlag(
        "shifted-station",
        "warning",
        f"{subject} {length:.1f} mm away ({x:+.1f}, {y:+.1f}, {z:+.1f} mm along x, y, z) {reference}.",
        z_mm=z_mm,
    )
