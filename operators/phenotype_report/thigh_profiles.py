"""Cross-sectional areas of muscle and the fat of their cores along the femur.

Positions are fractions of the length of the labelled femur, from its lower
end (0) to its upper (1), along the slice axis. A femur that the field of view
cuts has no known length, so it gives no profile. Small islands of the label do
not count: one in the pelvis would move the end of the femur, and its middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.muscle_fat import CoreOfSlices
from operators.phenotype_report.pictures import plane_axis

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
_LEAST_PART = 0.03
"""Share of all femur voxels that a connected part of the femur has. A smaller one is an island of the label."""

_UNEQUAL = 0.1
"""Difference of the femora's lengths over the longer. A larger one, in one person, is an error of the labels."""

_LEAST_CORE_CM3 = 0.5
"""Of a group's cores in a slice and the two beside it, for their fat to be shown."""


@dataclass(frozen=True)
class Profile:
    """Areas and fat along one femur.

    Attributes
    ----------
    z_mm : ndarray, shape (n,)
        LPS z of the slices' middles, ascending.
    low_mm, high_mm : float
        LPS z of the lower and the upper end of the femur.
    areas_cm2 : mapping of str to ndarray of shape (n,)
        By the groups of `GROUPS`.
    core_fat : mapping of str to ndarray of shape (n,)
        Mean fat fraction of the muscles' cores in a slice and the two beside
        it; NaN where the cores are small. Empty if fat was not measured.
    """

    z_mm: NDArray[np.float64]
    low_mm: float
    high_mm: float
    areas_cm2: Mapping[str, NDArray[np.float64]]
    core_fat: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

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
    labels: Volume,
    surface: MidSurface | None,
    slices: tuple[int, int] | None = None,
    core: CoreOfSlices | None = None,
) -> Mapping[Side, Profile]:
    """Areas and fat along both femora.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table.
    surface : MidSurface or None
    slices : tuple of int, optional
        First slice, and one past the last, in which structures may be labelled; all by default.
    core : CoreOfSlices, optional
        Fat of the muscles' cores.

    Returns
    -------
    mapping of side to Profile
        Empty where left and right are not known, slices are not axial, or the
        femora differ much in length; a side is left out if its femur is absent
        or reaches an end of the slices.
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
        fat = {} if core is None else _core_fat(core, number, inside, labels.grid.voxel_volume_mm3 / 1000.0)
        ends = (float(z_mm[inside[0]] - half), float(z_mm[inside[-1]] + half))
        found[side] = Profile(z_mm[inside], *ends, areas, fat)
    lengths = [profile.high_mm - profile.low_mm for profile in found.values()]
    return {} if lengths and min(lengths) < (1 - _UNEQUAL) * max(lengths) else found


def _core_fat(
    core: CoreOfSlices, side: int, inside: NDArray[np.int64], voxel_cm3: float
) -> dict[str, NDArray[np.float64]]:
    found = {}
    around = np.ones(3)
    for name, members in GROUPS.items():
        chosen = [by_name(member).index for member in members]
        voxels, fat = (a[inside, side][:, chosen].sum(axis=1) for a in (core.voxels, core.fraction_sums))
        voxels, fat = (np.convolve(a, around, "same") for a in (voxels, fat))
        enough = voxels * voxel_cm3 >= _LEAST_CORE_CM3
        found[name] = np.divide(fat, voxels, out=np.full(len(voxels), np.nan), where=enough)
    return found


def _without_islands(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The labels without small parts of the femur that are not connected to it."""
    femur = labels == _FEMUR
    if not femur.any():
        return labels
    box = ndimage.find_objects(femur.astype(np.uint8))[0]
    parts, _ = ndimage.label(femur[box])
    sizes = np.bincount(parts.ravel())
    small = sizes < _LEAST_PART * sizes[1:].sum()
    small[0] = False
    if not small.any():
        return labels
    cleaned = labels.copy()
    cleaned[box][small[parts]] = 0
    return cleaned


def _counts(labels: Volume, surface: MidSurface, stated: Volume | None) -> NDArray[np.int64]:
    """Voxels of each label in each slice on the left and the right: shape (slices, 2, labels)."""
    a, (depth, _, columns) = labels.grid.affine, labels.grid.shape
    voxels = _without_islands(np.asarray(labels.voxels, np.uint8))
    counts = np.zeros((depth, 2, _LABEL_COUNT), np.int64)
    for k in range(depth):
        flat = voxels[k].ravel()
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
