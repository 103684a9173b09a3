"""Measurement of the fat inside muscles: in their cores, and in the whole labels.

The fat between two muscles fills a part of the voxels at their border, and more
of the voxels of a thin muscle. So the leading figure is the mean over a
muscle's core, at a depth that holds in millimetres. A muscle that is too thin
for that depth is measured at the largest depth that leaves a tenth of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import STRUCTURES
from operators.core.label_map import LabelMap
from operators.core.phenotypes.muscle_fat import FRACTION_BINS, FRACTION_LOW, FRACTION_STEP, MuscleFat
from operators.core.volume import Fused, Grid
from operators.phenotype_report.fat_kernels import joint_histogram
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.sides import by_stated_side
from operators.phenotype_report.signal_noise import BIAS_STEP, Noise, bias_by_mean

__all__ = ["CORE_DEPTH_MM", "LEAST_CORE", "CoreOfSlices", "core_histogram", "measure_fat", "measure_fat_and_slices"]

CORE_DEPTH_MM = 3.5
"""From the border of the label to the centre of a voxel. Measured on phantoms (docs/fat.md): at
2.2 and 3.1 mm voxels it removes what the planes of fat between muscles add, and deeper removes nothing more."""

LEAST_CORE = 0.1
"""Share of a muscle's voxels on one side that its core keeps at least."""

_DEPTH_STEP_MM = 0.25
_DEPTH_BINS = round(CORE_DEPTH_MM / _DEPTH_STEP_MM) + 1


@dataclass(frozen=True)
class CoreOfSlices:
    """Fat of the cores in each slice.

    Attributes
    ----------
    voxels : ndarray, shape (z, 2, labels)
        Voxels of each label at least `CORE_DEPTH_MM` inside it, on the left and the right.
    fraction_sums : ndarray, shape (z, 2, labels)
        Sum of their fat fractions.
    """

    voxels: NDArray[np.float64]
    fraction_sums: NDArray[np.float64]


def measure_fat(
    labels: LabelMap, fused: Fused, surface: MidSurface | None, noise: Noise
) -> Mapping[str, tuple[MuscleFat, MuscleFat]]:
    """Fat of each structure and group that is labelled, on the left and the right; see `measure_fat_and_slices`."""
    return measure_fat_and_slices(labels, fused, surface, noise)[0]


def measure_fat_and_slices(
    labels: LabelMap, fused: Fused, surface: MidSurface | None, noise: Noise
) -> tuple[Mapping[str, tuple[MuscleFat, MuscleFat]], CoreOfSlices]:
    """Fat of each structure and group that is labelled, on the left and the right, and that of the cores in each slice.

    Parameters
    ----------
    labels : LabelMap
    fused : Fused
    surface : MidSurface or None
        Without it, all voxels are in the first entry.
    noise : Noise
        Of the fused images.
    """
    voxels = np.ascontiguousarray(labels.voxels, dtype=np.uint8)
    names = {s.index: s.name for s in STRUCTURES}
    if labels.group_voxels is not None:
        first = max(names) + 2  # after adipose tissue
        names |= {first + n: name for n, name in enumerate(labels.groups)}
        groups = np.asarray(labels.group_voxels.voxels, dtype=np.uint8)
        voxels = np.where(groups > 0, groups + (first - 1), voxels).astype(np.uint8)
    counts, slices = _of_stated_sides(voxels, labels, fused, surface, noise, max(names) + 1)
    cm3 = fused.grid.voxel_volume_mm3 / 1000.0
    fat = {
        name: (_muscle_fat(counts[value, 0], cm3), _muscle_fat(counts[value, 1], cm3))
        for value, name in names.items()
        if counts[value].any()
    }
    return fat, CoreOfSlices(slices[..., 0], slices[..., 1])


def core_histogram(counts: NDArray[np.int32]) -> NDArray[np.int64]:
    """The voxels of the core by fat fraction, from those of one label and side by depth and fat fraction."""
    deeper = np.cumsum(counts.sum(axis=1)[::-1])[::-1]  # voxels at this depth or deeper
    deep_enough = np.flatnonzero(deeper >= LEAST_CORE * deeper[0])
    return np.asarray(counts[int(deep_enough[-1]) :].sum(axis=0, dtype=np.int64))


def _of_stated_sides(
    voxels: NDArray[np.uint8], labels: LabelMap, fused: Fused, surface: MidSurface | None, noise: Noise, count: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Counts of `_counted`, with the voxels whose side the labels state on that side."""
    counts, slices = [], []
    for part, knots, moved in by_stated_side(voxels, surface, labels.sides):
        of_part, of_slices = _counted(part, fused, knots, noise, count)
        counts.append(of_part[:, ::-1] if moved else of_part)
        slices.append(of_slices[:, ::-1] if moved else of_slices)
    return np.sum(counts, axis=0), np.sum(slices, axis=0)


def _counted(
    voxels: NDArray[np.uint8], fused: Fused, knots: MidSurface, noise: Noise, count: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    reach = _neighbours(fused.grid)
    counts, slices = joint_histogram(
        voxels,
        fused.water,
        fused.fat,
        reach.offsets,
        reach.distances_mm,
        np.array([noise.water_sd, noise.fat_sd]),
        bias_by_mean(),
        BIAS_STEP,
        fused.grid.affine[:3],
        knots.z_mm[0],
        knots.z_mm[1] - knots.z_mm[0],
        knots.x_mm,
        knots.roll,
        knots.y_ref_mm,
        count,
        _DEPTH_BINS,
        _DEPTH_STEP_MM,
        FRACTION_BINS,
        FRACTION_LOW,
        FRACTION_STEP,
    )
    return np.asarray(counts), np.asarray(slices)


def _muscle_fat(counts: NDArray[np.int32], voxel_cm3: float) -> MuscleFat:
    return MuscleFat(counts.sum(axis=0, dtype=np.int64), core_histogram(counts), voxel_cm3)


@dataclass(frozen=True)
class _Neighbours:
    """Voxels within `CORE_DEPTH_MM`, nearest first: offsets (z, y, x), and distances to their nearest points."""

    offsets: NDArray[np.int64]
    distances_mm: NDArray[np.float64]


def _neighbours(grid: Grid) -> _Neighbours:
    spacing = np.array(grid.spacing_mm[::-1])
    most = np.floor(CORE_DEPTH_MM / spacing + 0.5).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(-1, 3)
    distances = np.linalg.norm(np.maximum(np.abs(offsets) - 0.5, 0.0) * spacing, axis=1)
    near = (distances < CORE_DEPTH_MM) & offsets.any(axis=1)
    order = np.argsort(distances[near], kind="stable")
    return _Neighbours(np.ascontiguousarray(offsets[near][order]), np.ascontiguousarray(distances[near][order]))
