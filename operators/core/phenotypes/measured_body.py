"""What phenotypes are computed from: volumes and fat by structure, and the height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from operators.core.phenotypes.formulas import total_volume
from operators.core.phenotypes.muscle_fat import MuscleFat

__all__ = ["MeasuredBody", "Side"]

Side = Literal["left", "right"]


@dataclass(frozen=True)
class MeasuredBody:
    """Measurements of one body, or of many when the values are arrays.

    Attributes
    ----------
    volumes_cm3, left_cm3, right_cm3 : mapping of str to float or ndarray
        Volume of each structure or group of structures that is completely
        labelled: both sides together, the left, the right.
    groups : mapping of str to tuple of str
        Structures that are labelled only together, by the group's name.
    height_m : float, ndarray or None
    no_height : str
        Why there is no height, if there is none.
    voxels, fat_fraction_sums : mapping of str to ndarray of shape (2,)
        Number of voxels of each structure and group on the left and the right,
        and the sum of their fat fractions; empty if no fat image was measured.
    fat : mapping of str to tuple of MuscleFat
        Fat of each structure and group on the left and the right; empty if no
        fat image was measured.
    adipose_cm3 : mapping of str to tuple of float
        ``subcutaneous`` and ``intermuscular`` adipose tissue of the thigh, left
        and right; empty if not measured.
    mid_thigh_cm2 : mapping of str to float
        Area of the thigh muscles at half the femur's length, by side; a side
        whose femur is not in view from end to end is left out.
    sided : bool
        Whether left and right could be told apart.
    cut : frozenset of str
        Structures of which only a part is labelled.
    """

    volumes_cm3: Mapping[str, Any]
    left_cm3: Mapping[str, Any] = field(default_factory=dict)
    right_cm3: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    height_m: Any = None
    no_height: str = "The study gives no standing height."
    voxels: Mapping[str, Any] = field(default_factory=dict)
    fat_fraction_sums: Mapping[str, Any] = field(default_factory=dict)
    fat: Mapping[str, tuple[MuscleFat, MuscleFat]] = field(default_factory=dict)
    adipose_cm3: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    mid_thigh_cm2: Mapping[Side, float] = field(default_factory=dict)
    sided: bool = True
    cut: frozenset[str] = frozenset()

    def volumes(self, side: Side | None = None) -> Mapping[str, Any]:
        """Volumes of one side, or of both sides together."""
        return self.volumes_cm3 if side is None else self.left_cm3 if side == "left" else self.right_cm3

    def volume_cm3(self, names: Sequence[str], side: Side | None = None) -> Any:
        """Summed volume of structures; None when one of them is not completely labelled (see `total_volume`)."""
        return total_volume(self.volumes(side), names, self.groups)

    def mean_fat_fraction(self, names: Sequence[str]) -> float | None:
        """Mean over all voxels of the structures in ``names`` that are labelled; None when none is."""
        chosen = [name for name in names if name in self.voxels]
        merged = [name for name, members in self.groups.items() if set(members) <= set(names) and name in self.voxels]
        if not chosen and not merged:
            return None
        voxels = sum(int(np.sum(self.voxels[name])) for name in (*chosen, *merged))
        fat = float(np.array([self.fat_fraction_sums[name] for name in chosen]).sum())
        fat += sum(float(np.sum(self.fat_fraction_sums[name])) for name in merged)
        return fat / voxels if voxels else None

    def muscle_fat(self, names: Sequence[str], side: Side | None = None) -> MuscleFat:
        """Fat in all voxels of the structures in ``names`` that are labelled; without any voxel when none is."""
        merged = [name for name, members in self.groups.items() if set(members) <= set(names)]
        sides = (0, 1) if side is None else (0,) if side == "left" else (1,)
        found = [self.fat[name] for name in (*names, *merged) if name in self.fat]
        return MuscleFat.sum(pair[n] for pair in found for n in sides)

    def adipose(self, kind: str, side: Side | None = None) -> float | None:
        """Volume of adipose tissue; None when it was not measured."""
        if kind not in self.adipose_cm3 or (side is not None and not self.sided):
            return None
        left, right = self.adipose_cm3[kind]
        return left + right if side is None else left if side == "left" else right

    def missing(self, names: Sequence[str], side: Side | None = None) -> tuple[str, ...]:
        """Those of ``names`` that have no volume, neither alone nor in a group."""
        volumes = self.volumes(side)
        there = {member for group, members in self.groups.items() if group in volumes for member in members}
        return tuple(name for name in names if name not in volumes and name not in there)

    def only_with_others(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of ``names`` that are labelled together with structures outside ``names``."""
        mixed = {member for members in self.groups.values() if not set(members) <= set(names) for member in members}
        return tuple(name for name in names if name in mixed)
