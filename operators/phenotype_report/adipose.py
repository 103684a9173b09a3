"""Adipose tissue of the thigh: under the skin, and between the muscles inside the fascia.

The thigh is the range of slices from above the knee up to the lowest labelled
slice of the hip bones. The fascia is not visible, so it is taken as the muscles
and bones of each slice, closed. Inside the body, a voxel
of at least 50% fat is adipose tissue. Beyond the fascia it is subcutaneous. Inside
it is intermuscular, except in bone, whose marrow is fat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import MUSCLES, STRUCTURES, Tissue, by_name
from operators.core.label_map import LabelMap
from operators.core.volume import Fused, Grid
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.sides import side_volume
from operators.station_fusion.body import disc
from operators.station_fusion.mask_kernels import close_and_fill

__all__ = ["Adipose", "fascia_of", "measure_adipose", "thigh_slices"]

_CLOSING_MM = 40.0
"""Bridges the gaps between muscles at the fascia. Each leg is closed on its own."""

_KNEE_SHARE = 0.15
"""Of the way from the lower end of the femora to the hip bones. Around the knee, little muscle is at the fascia."""

_ADIPOSE = 0.5
_BONES = tuple(s.index for s in STRUCTURES if s.tissue is Tissue.BONE)
_TISSUES = np.zeros(256, dtype=np.bool_)
_TISSUES[[*(by_name(name).index for name in MUSCLES), *_BONES]] = True


@dataclass(frozen=True)
class Adipose:
    """Volumes of adipose tissue in the thigh, cm3: on the left and the right.

    Without a mid-surface, everything is in the first entry.
    """

    subcutaneous_cm3: tuple[float, float]
    intermuscular_cm3: tuple[float, float]


def measure_adipose(labels: LabelMap, fused: Fused, surface: MidSurface | None) -> Adipose | None:
    """Measure the adipose tissue of the thighs.

    Parameters
    ----------
    labels : LabelMap
        With muscles, femora and hip bones.
    fused : Fused
    surface : MidSurface or None
        The surface between left and right.

    Returns
    -------
    Adipose or None
        None when femora or hip bones are not labelled, or their order along z is not that of a body.
    """
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    where = thigh_slices(voxels, fused.grid)
    if where is None:
        return None
    low, high = where
    tissue = _TISSUES[voxels[low:high]]
    if labels.group_voxels is not None:
        tissue |= labels.group_voxels.voxels[low:high] != 0
    bone = np.isin(voxels[low:high], _BONES)
    affine = fused.grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * low
    grid = Grid(tissue.shape, affine)  # type: ignore[arg-type]
    left = side_volume(grid, surface).voxels == 1 if surface else np.ones(tissue.shape, dtype=np.bool_)
    fascia = fascia_of(tissue, left, grid)
    fat = fused.body[low:high] & (fused.fat_fraction[low:high] >= _ADIPOSE) & ~bone
    cm3 = grid.voxel_volume_mm3 / 1000.0

    def by_side(mask: NDArray[np.bool_]) -> tuple[float, float]:
        on_left = int(np.count_nonzero(mask & left))
        return on_left * cm3, (int(np.count_nonzero(mask)) - on_left) * cm3

    return Adipose(by_side(fat & ~fascia), by_side(fat & fascia))


def thigh_slices(voxels: NDArray[np.uint8], grid: Grid) -> tuple[int, int] | None:
    """First slice of the thigh, and one past the last; None when it is not labelled."""
    femur, hip = (np.flatnonzero((voxels == by_name(name).index).any(axis=(1, 2))) for name in ("femur", "iliac_bone"))
    if not femur.size or not hip.size or grid.affine[2, 2] <= 0:
        return None
    low, high = int(femur[0]), int(hip[0])
    low += round(_KNEE_SHARE * (high - low))
    return (low, high) if high > low else None


def fascia_of(tissue: NDArray[np.bool_], left: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Everything inside the fascia: muscles and bones, each side closed slice by slice and its holes filled.

    Parameters
    ----------
    tissue : ndarray, shape (z, y, x), bool
        Muscles and bones.
    left : ndarray, shape (z, y, x), bool
        Which side a voxel is on.
    grid : Grid
    """
    reach = disc(_CLOSING_MM, *grid.spacing_mm[:2])
    inside = np.zeros(tissue.shape, dtype=np.bool_)
    for side in (left, ~left):
        mask = (tissue & side).astype(np.uint8)
        if mask.any():
            close_and_fill(mask, reach)
            inside |= mask.view(np.bool_) & side
    return inside
