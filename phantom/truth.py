"""The exact truth of a phantom: its label map and the values derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import CHANNEL_COUNT, STRUCTURES, Compartment
from operators.core.phenotypes import MeasuredBody, evaluate
from operators.core.volume import Grid, Volume
from phantom.anatomy import build_labels
from phantom.body import Body

__all__ = ["StructureVolume", "Truth", "Volumes", "count_volumes", "mean_fat_fractions"]


@dataclass(frozen=True)
class StructureVolume:
    """Volume of one structure in cubic centimetres.

    Attributes
    ----------
    left_cm3, right_cm3 : float or None
        None where the two sides cannot be told apart.
    total_cm3 : float
        Both sides.
    """

    left_cm3: float | None
    right_cm3: float | None
    total_cm3: float


@dataclass(frozen=True)
class Volumes:
    """Volumes of all structures within a range of z, and the phenotypes (method, section 6).

    Attributes
    ----------
    z_mm : tuple of float
        Voxel centres within this range were counted.
    structures : mapping of str to StructureVolume
        By snake_case name, all muscles and bones.
    """

    z_mm: tuple[float, float]
    structures: Mapping[str, StructureVolume]

    def phenotypes(self, height_m: float | None = None) -> dict[str, float]:
        """Phenotypes of the registry that follow from the volumes and, if given, from the height.

        An absent structure has volume 0; it is not unknown.
        """
        body = MeasuredBody(
            {name: volume.total_cm3 for name, volume in self.structures.items()},
            {name: volume.left_cm3 for name, volume in self.structures.items() if volume.left_cm3 is not None},
            {name: volume.right_cm3 for name, volume in self.structures.items() if volume.right_cm3 is not None},
            height_m=height_m,
        )
        return {key: value for key, value in evaluate(body)[0].items() if value is not None}

    @property
    def tmv_cm3(self) -> float:
        """Total muscle volume."""
        return self.phenotypes()["tmv_cm3"]

    @property
    def pa_ratio(self) -> float | None:
        """Hamstrings over quadriceps; None without quadriceps."""
        return self.phenotypes().get("pa_ratio")

    @property
    def lr_asymmetry(self) -> float | None:
        """|left - right| / larger of the thigh muscles, as the report defines it, as a fraction.

        None without thigh muscles, and where their sides cannot be told apart.
        """
        return self.phenotypes().get("lr_asymmetry")

    @property
    def sided(self) -> bool:
        """Whether the two sides of every structure can be told apart."""
        return all(volume.left_cm3 is not None for volume in self.structures.values())

    def compartments_cm3(self) -> dict[str, float]:
        """The five muscle groups and bone."""
        found = self.phenotypes()
        return {str(compartment): found[f"{compartment}_cm3"] for compartment in Compartment}


@dataclass(frozen=True)
class Truth:
    """True values of a phantom.

    Attributes
    ----------
    labels : Volume
        uint8, value = index of the label table, on the tissue grid.
    volumes : Volumes
        Volumes of the whole phantom.
    covered_volumes : Volumes
        Volumes of the part that the fused stations (pelvis to knee) should cover. A
        fault that removes a station does not change it.
    fat_fractions : mapping of str to float
        Mean fat fraction of each structure.
    body : Body, optional
        The anatomy that the labels are samples of.
    """

    labels: Volume
    volumes: Volumes
    covered_volumes: Volumes
    fat_fractions: Mapping[str, float]
    body: Body | None = None

    def labels_on(self, grid: Grid) -> NDArray[np.uint8]:
        """Labels at the voxel centres of another axis-aligned grid; 0 outside the grid of `labels`.

        They are those of the body itself where it is known. Without it they are those of
        the nearest voxels of `labels`. Those repeat or skip voxels at regular distances, in the same
        columns throughout the body, so that on grids of similar spacing each leg's volume is wrong by up to 0.3%.

        Parameters
        ----------
        grid : Grid

        Returns
        -------
        ndarray, shape (z, y, x) of ``grid``, uint8
        """
        source = self.labels.grid
        picks = []
        for axis, size, available in zip((2, 1, 0), grid.shape, source.shape, strict=True):
            mm = grid.affine[axis, 3] + grid.affine[axis, axis] * np.arange(size)
            index = np.rint((mm - source.affine[axis, 3]) / source.affine[axis, axis]).astype(int)
            picks.append(np.where((index >= 0) & (index < available), index, -1))
        if self.body is not None:
            labels = build_labels(self.body, grid)
        else:
            labels = np.asarray(self.labels.voxels, np.uint8)[np.ix_(*picks)]
        for axis, index in enumerate(picks):
            outside = [slice(None)] * 3
            outside[axis] = np.flatnonzero(index < 0)  # type: ignore[call-overload]
            labels[tuple(outside)] = 0
        return labels


def count_volumes(
    labels: NDArray[np.uint8],
    grid: Grid,
    z_mm: tuple[float, float] | None = None,
    sides: NDArray[np.uint8] | None = None,
) -> Volumes:
    """Compute volumes by counting voxels.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
    grid : Grid
        Axis-aligned.
    z_mm : tuple of float, optional
        Count only voxels whose centre is within this range. Default: all.
    sides : ndarray, shape of ``labels``, uint8, optional
        1 left, 2 right, 0 not known: then the structure has no volume by side. Default: x > 0 in LPS is left.
    """
    z = grid.affine[2, 3] + grid.affine[2, 2] * np.arange(grid.shape[0])
    x = grid.affine[0, 3] + grid.affine[0, 0] * np.arange(grid.shape[2])
    if z_mm is None:
        z_mm = (float(z[0]), float(z[-1]))
    low, high = np.searchsorted(z, [z_mm[0] - 1e-6, z_mm[1] + 1e-6])
    inside = labels[low:high]
    if sides is None:
        middle = int(np.searchsorted(x, 0.0))
        parts = [inside[:0], inside[:, :, middle:], inside[:, :, :middle]]
    else:
        parts = [inside[sides[low:high] == side] for side in (0, 1, 2)]
    unknown, left, right = (np.bincount(part.ravel(), minlength=CHANNEL_COUNT) for part in parts)
    voxel_cm3 = grid.voxel_volume_mm3 / 1000

    def volume(index: int) -> StructureVolume:
        if unknown[index]:
            return StructureVolume(None, None, float((unknown + left + right)[index] * voxel_cm3))
        of_left, of_right = float(left[index] * voxel_cm3), float(right[index] * voxel_cm3)
        return StructureVolume(of_left, of_right, of_left + of_right)

    return Volumes(z_mm, {s.name: volume(s.index) for s in STRUCTURES})


def mean_fat_fractions(
    labels: NDArray[np.uint8], water: NDArray[np.float32], fat: NDArray[np.float32]
) -> dict[str, float]:
    """Fat over water plus fat signal, summed over each structure's voxels; absent structures are left out."""
    flat = labels.ravel()
    waters = np.bincount(flat, water.ravel(), CHANNEL_COUNT)
    fats = np.bincount(flat, fat.ravel(), CHANNEL_COUNT)
    totals = waters + fats
    return {s.name: float(fats[s.index] / totals[s.index]) for s in STRUCTURES if totals[s.index] > 0}
