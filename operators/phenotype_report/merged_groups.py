"""Groups of structures that a label map names only together, such as those of a tool with fewer labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import by_name
from operators.core.label_map import LabelMap
from operators.core.volume import Fused, Volume
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.sides import tally

__all__ = ["Group", "measure_groups", "with_stand_ins"]


@dataclass(frozen=True)
class Group:
    """Structures that are labelled only together, measured.

    Attributes
    ----------
    members : tuple of str
        Names of the structures.
    voxels : ndarray, shape (2,), int64
        On the left and the right.
    fat_fraction_sum : ndarray, shape (2,), float64
        Over those voxels.
    cm3 : float
        Volume of a voxel.
    """

    members: tuple[str, ...]
    voxels: NDArray[np.int64]
    fat_fraction_sum: NDArray[np.float64]
    cm3: float

    def volume(self, side: int | None) -> float | None:
        """Volume in cm3 on a side (`LEFT`, `RIGHT`), or of both together; None if nothing is labelled."""
        found = float((self.voxels.sum() if side is None else self.voxels[side]) * self.cm3)
        return found or None


def measure_groups(labels: LabelMap, fused: Fused, surface: MidSurface | None) -> dict[str, Group]:
    """The groups of a label map that have voxels, by name."""
    if labels.group_voxels is None:
        return {}
    counts = tally(labels.group_voxels, fused.fat_fraction, surface, labels.sides)
    cm3 = labels.grid.voxel_volume_mm3 / 1000.0
    return {
        name: Group(members, counts.voxels[number], counts.fat_fraction_sum[number], cm3)
        for number, (name, members) in enumerate(labels.groups.items(), start=1)
        if counts.voxels[number].any()
    }


def with_stand_ins(labels: LabelMap) -> Volume:
    """Labels in which each group has the label of its first member, for finding the middle of the body."""
    if labels.group_voxels is None:
        return labels
    table = np.array([0, *(by_name(members[0]).index for members in labels.groups.values())], dtype=np.uint8)
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    return Volume(np.where(voxels > 0, voxels, table[labels.group_voxels.voxels]).astype(np.uint8), labels.grid)
