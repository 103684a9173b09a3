"""Whether measured muscle can be right: its size for sex and height, legs alike in length, confidence, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import MUSCLES, STRUCTURES, THIGH_MUSCLES, by_name
from operators.core.label_map import LabelMap
from operators.core.volume import Contrast, Fused, QualityFlag
from operators.phenotype_report.measurements import StructureMeasure
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.signal_noise import Noise

__all__ = [
    "LEAST_CONFIDENCE",
    "confidence_flags",
    "leg_lengths_mm",
    "noise_flags",
    "side_edge_flags",
    "size_flags",
    "uneven_leg_flags",
    "usual_range",
]

LEAST_CONFIDENCE = 0.6
"""Mean probability that the network gave the labels of a structure."""

_LEAST_SIGNAL_TO_NOISE = 7.0
"""Of muscle in the water image. At 8 the P/A ratio of phantoms is still right within some percent; at 4 it was wrong by
up to 40% with earlier weights, while the network was as sure as ever (`benchmarks.low_confidence`)."""
_SAMPLED = 7

_SDS = 3.5
"""Of people of the same sex, one in two thousand is farther from the mean. The lower limit is of the published cohort,
the upper one of a study of the same archive that found more."""

_LEAST_CM2 = 8.0
"""Of thigh muscle in a slice of a leg, for the slice to show the leg."""

_UNEVEN = 0.12
"""Difference of the lengths over the larger one. Legs of one person that are both labelled differ by less than 5%."""

_AT_SIDE = 0.001
"""Share of a structure's voxels in an outer plane at the sides, front or back. Of a cut muscle it is percents."""

_MUSCLE = np.zeros(256, dtype=np.bool_)
_MUSCLE[[by_name(name).index for name in MUSCLES]] = True
_THIGH = np.zeros(256, dtype=np.bool_)
_THIGH[[by_name(name).index for name in THIGH_MUSCLES]] = True


@dataclass(frozen=True)
class _Usual:
    """Mean and SD in the published cohort (method, section 1), and how much more a larger study found."""

    tmv_cm3: tuple[float, float]
    tvi_cm3_per_cm2: tuple[float, float]
    larger_study: float


# The larger study is of 50,332 people (Anderson et al. 2024, doi 10.1007/s11357-024-01304-y). It has 12.3 and 8.5 L of
# fat-free muscle, although in hip and thigh alone, in men of 62 and women of 56 years. At the cohort's mean ages, 65
# and 64, it has 12.2 and 8.2 L: the limits are for people somewhat younger.
_COHORT = {
    "M": _Usual((11166.4, 1689.8), (0.36, 0.05), 12.3 / 11.17),
    "F": _Usual((7586.2, 1076.1), (0.29, 0.04), 8.5 / 7.59),
}


def confidence_flags(structures: Sequence[StructureMeasure]) -> tuple[QualityFlag, ...]:
    """A ``low-confidence`` warning that names the structures of which the network was not sure."""
    unsure = [m for m in structures if m.confidence_mean is not None and m.confidence_mean < LEAST_CONFIDENCE]
    if not unsure:
        return ()
    names = ", ".join(f"{m.structure.display_name} ({m.confidence_mean:.2f})" for m in unsure)
    message = f"The network's mean confidence is below {LEAST_CONFIDENCE:.2f} in: {names}."
    return (QualityFlag("low-confidence", "warning", message, structures=tuple(m.structure.name for m in unsure)),)


def noise_flags(labels: LabelMap, fused: Fused, noise: Noise) -> tuple[QualityFlag, ...]:
    """A ``low-signal-to-noise`` warning when muscle is hardly brighter than noise in the water image."""
    muscle = fused.water.ravel()[::_SAMPLED][_MUSCLE[np.asarray(labels.voxels, dtype=np.uint8).ravel()[::_SAMPLED]]]
    if not noise.water_sd or not muscle.size:
        return ()
    ratio = float(np.median(muscle)) / noise.water_sd
    if ratio >= _LEAST_SIGNAL_TO_NOISE:
        return ()
    doubtful = "labels and the body mask" if Contrast.FAT in fused.absent else "labels and fat"
    message = (
        f"Muscle has a signal-to-noise ratio of {ratio:.1f} in the water image. Below {_LEAST_SIGNAL_TO_NOISE:.0f}, "
        f"{doubtful} cannot be relied on."
    )
    return (QualityFlag("low-signal-to-noise", "warning", message, quantities=("volume", "fat")),)


def side_edge_flags(labels: LabelMap, fused: Fused) -> tuple[QualityFlag, ...]:
    """A ``structures-cut-at-side`` warning when labels reach the sides, front or back of a volume from NIfTI.

    Such volumes are often cropped to the body, so that the body's own outline at the edge says nothing.
    """
    if "nifti-input" not in {flag.code for flag in fused.flags}:
        return ()
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    names = [s.name for s in STRUCTURES if _at_side(voxels, s.index)]
    if labels.group_voxels is not None:
        groups = np.asarray(labels.group_voxels.voxels, dtype=np.uint8)
        for number, members in enumerate(labels.groups.values(), start=1):
            names += members if _at_side(groups, number) else ()
    if not names:
        return ()
    called = ", ".join(by_name(name).display_name for name in dict.fromkeys(names))
    message = (
        f"Structures reach the side, front or back of the volume and may be cut there: {called}. Their volumes are "
        "then too small."
    )
    return (QualityFlag("structures-cut-at-side", "warning", message, structures=tuple(names), quantities=("volume",)),)


def _at_side(voxels: NDArray[np.uint8], value: int) -> bool:
    planes = (voxels[:, 0], voxels[:, -1], voxels[:, :, 0], voxels[:, :, -1])
    there = max(int(np.count_nonzero(plane == value)) for plane in planes)
    return there > 0 and there > _AT_SIDE * int(np.count_nonzero(voxels == value))


def size_flags(tmv_cm3: float | None, height_m: float | None, sex: str | None) -> tuple[QualityFlag, ...]:
    """An ``implausible-volume`` warning when total muscle volume is far from that of people of the sex and height.

    Parameters
    ----------
    tmv_cm3 : float or None
    height_m : float or None
        Without it, the volume itself is compared.
    sex : str or None
        ``M`` or ``F``. Otherwise nothing is compared.
    """
    usual = usual_range(height_m, sex)
    if tmv_cm3 is None or usual is None:
        return ()
    low, high = usual
    value, unit = (tmv_cm3, "cm³") if height_m is None else (tmv_cm3 / (100 * height_m) ** 2, "cm³/cm²")
    if low <= value <= high:
        return ()
    digits = 0 if height_m is None else 2
    people = "men" if sex == "M" else "women"
    message = (
        f"Total muscle volume{'' if height_m is None else ' over squared height'} is {value:.{digits}f} {unit}; for "
        f"{people} it is usually {low:.{digits}f} to {high:.{digits}f}. Check the labels and the height."
    )
    return (QualityFlag("implausible-volume", "warning", message, structures=MUSCLES, quantities=("volume",)),)


def usual_range(height_m: float | None, sex: str | None) -> tuple[float, float] | None:
    """Usual total muscle volume over squared height (cm³/cm²), or without a height the volume itself (cm³).

    None unless ``sex`` is ``M`` or ``F``.
    """
    if sex not in _COHORT:
        return None
    cohort = _COHORT[sex]
    mean, sd = cohort.tmv_cm3 if height_m is None else cohort.tvi_cm3_per_cm2
    return mean - _SDS * sd, (mean + _SDS * sd) * cohort.larger_study


def uneven_leg_flags(labels: LabelMap, surface: MidSurface | None) -> tuple[QualityFlag, ...]:
    """An ``uneven-legs`` warning when thigh muscle is labelled over very different lengths of the two legs."""
    if surface is None:
        return ()
    left, right = leg_lengths_mm(labels, surface)
    longer = max(left, right)
    if longer == 0 or abs(left - right) <= _UNEVEN * longer:
        return ()
    message = (
        f"Thigh muscle is labelled over {left:.0f} mm of the left leg and {right:.0f} mm of the right, so that volumes "
        "of the two cannot be compared."
    )
    return (QualityFlag("uneven-legs", "warning", message, structures=THIGH_MUSCLES, quantities=("volume",)),)


def leg_lengths_mm(labels: LabelMap, surface: MidSurface) -> tuple[float, float]:
    """Length along z over which thigh muscle is labelled, left and right."""
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    depth, rows, columns = voxels.shape
    affine = labels.grid.affine
    x_mm, y_mm, z_mm = labels.grid.spacing_mm
    least = _LEAST_CM2 * 100.0 / (x_mm * y_mm)
    slices = np.zeros(2)
    for k in range(depth):
        by_column = _THIGH[voxels[k]].sum(axis=0)
        if not by_column.any():
            continue
        # At the middle row: the surface is nearly upright, and muscle is far from it.
        middle = affine @ np.array([(columns - 1) / 2, (rows - 1) / 2, k, 1.0])
        boundary = float(surface.x_at(middle[1], middle[2]))
        x = middle[0] + affine[0, 0] * (np.arange(columns) - (columns - 1) / 2)
        slices += [by_column[x > boundary].sum() >= least, by_column[x <= boundary].sum() >= least]
    return float(slices[0] * z_mm), float(slices[1] * z_mm)
