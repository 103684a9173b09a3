"""Cross-sectional areas of muscle along the femur.

Positions are fractions of the length of the labelled femur, from its lower
end (0) to its upper (1), along the slice axis. A femur that the field of view
cuts has no known length, so it gives no profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import (
    HAMSTRINGS,
    QUADRICEPS,
    STRUCTURES,
    THIGH_MUSCLES,
    Compartment,
    by_name,
    compartment_members,
)
from operators.core.label_map import LabelMap
from operators.core.phenotypes import Side
from operators.core.volume import Volume
from operators.phenotype_report.pictures import plane_axis
from operators.phenotype_report.sides import MidSurface

__all__ = ["GROUPS", "Profile", "thigh_profiles"]

#: Groups of muscles, by the name that the page shows.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Thigh muscles": THIGH_MUSCLES,
    "Quadriceps": QUADRICEPS,
    "Hamstrings": HAMSTRINGS,
    "Adductors": compartment_members(Compartment.MEDIAL),
}
_FEMUR = by_name("femur").index
_LABEL_COUNT = len(STRUCTURES) + 1
_MIDDLE = 0.5
_AROUND_MIDDLE_MM = 10.0


@dataclass(frozen=True)
class Profile:
    """Areas along one femur.

    Attributes
    ----------
    z_mm : ndarray, shape (n,)
        LPS z of the slices' middles, ascending.
    low_mm, high_mm : float
        LPS z of the lower and the upper end of the femur.
    areas_cm2 : mapping of str to ndarray of shape (n,)
        By the groups of `GROUPS`.
    """

    z_mm: NDArray[np.float64]
    low_mm: float
    high_mm: float
    areas_cm2: Mapping[str, NDArray[np.float64]]

    @property
    def position(self) -> NDArray[np.float64]:
        """Fraction of the femur's length at each slice."""
        return self.fraction(self.z_mm)

    def fraction(self, z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fraction of the femur's length at heights."""
        return np.asarray((z_mm - self.low_mm) / (self.high_mm - self.low_mm))

    @property
    def mid_thigh_cm2(self) -> float:
        """Area of the thigh muscles at half the femur's length: the mean over the slices within 10 mm of it."""
        middle = self.low_mm + _MIDDLE * (self.high_mm - self.low_mm)
        distance = np.abs(self.z_mm - middle)
        near = distance <= max(_AROUND_MIDDLE_MM, float(distance.min()))
        return float(self.areas_cm2["Thigh muscles"][near].mean())


def thigh_profiles(
    labels: Volume, surface: MidSurface | None, slices: tuple[int, int] | None = None
) -> Mapping[Side, Profile]:
    """Areas along both femora.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table.
    surface : MidSurface or None
    slices : tuple of int, optional
        First slice, and one past the last, in which structures may be labelled; all by default.

    Returns
    -------
    mapping of side to Profile
        Empty where left and right are not known, or slices are not axial; a
        side is left out if its femur is absent or reaches an end of the slices.
    """
    if surface is None or plane_axis(labels.grid, "axial") != 0:
        return {}
    counts = _counts(labels, surface, labels.sides if isinstance(labels, LabelMap) else None)
    affine, (depth, rows, columns) = labels.grid.affine, labels.grid.shape
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2])
    z_mm = affine[2, :2] @ centre + affine[2, 2] * np.arange(depth) + affine[2, 3]
    order = np.argsort(z_mm)
    area_cm2 = labels.grid.voxel_volume_mm3 / labels.grid.spacing_mm[2] / 100.0
    found: dict[Side, Profile] = {}
    first, end = slices or (0, depth)
    sides: tuple[Side, Side] = ("left", "right")
    for number, side in enumerate(sides):
        there = np.flatnonzero(counts[order, number, _FEMUR] > 0)
        if not there.size or not {first, end - 1}.isdisjoint(order[there[[0, -1]]].tolist()):
            continue
        inside = order[there[0] : there[-1] + 1]
        half = abs(affine[2, 2]) / 2
        areas = {
            name: counts[inside, number][:, [by_name(member).index for member in members]].sum(axis=1) * area_cm2
            for name, members in GROUPS.items()
        }
        found[side] = Profile(z_mm[inside], float(z_mm[inside[0]] - half), float(z_mm[inside[-1]] + half), areas)
    return found


def _counts(labels: Volume, surface: MidSurface, stated: Volume | None) -> NDArray[np.int64]:
    """Voxels of each label in each slice on the left and the right: shape (slices, 2, labels)."""
    a, (depth, _, columns) = labels.grid.affine, labels.grid.shape
    counts = np.zeros((depth, 2, _LABEL_COUNT), np.int64)
    for k in range(depth):
        flat = np.asarray(labels.voxels[k], np.uint8).ravel()
        where = np.flatnonzero((flat > 0) & (flat < _LABEL_COUNT))
        if where.size:
            j, i = np.divmod(where, columns)
            x, y, z = (a[row, 0] * i + a[row, 1] * j + (a[row, 2] * k + a[row, 3]) for row in range(3))
            right = x <= surface.x_at(y, z)
            if stated is not None:
                said = stated.voxels[k].ravel()[where]
                right = np.where(said > 0, said == 2, right)
            counts[k] = np.bincount(flat[where] + right * _LABEL_COUNT, minlength=2 * _LABEL_COUNT).reshape(2, -1)
    return counts
