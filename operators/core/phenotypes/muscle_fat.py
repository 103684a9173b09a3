"""Fat inside muscles, as Dixon signal fat fraction.

It is the share of fat in the signal of a two-point magnitude Dixon scan. The
scan is T1 weighted, so that fat counts for more than its protons: it is not the
proton density fat fraction (PDFF), and values compare only with those of the
same protocol.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRACTION_BINS", "FRACTION_LOW", "FRACTION_STEP", "MuscleFat"]

FRACTION_LOW, FRACTION_STEP, FRACTION_BINS = -0.2, 0.002, 700
"""Bins of the histograms. Noise-corrected fractions are a little below 0 or above 1 in single voxels."""

_CENTRES = FRACTION_LOW + FRACTION_STEP * (np.arange(FRACTION_BINS) + 0.5)
_BELOW_HALF = _CENTRES < 0.5


@dataclass(frozen=True)
class MuscleFat:
    """Fat fractions of all voxels of one or more muscles, and of those in their cores. Muscles can be added.

    Attributes
    ----------
    whole, core : ndarray, shape (`FRACTION_BINS`,), int64
        Number of voxels by noise-corrected fat fraction.
    voxel_cm3 : float

    Examples
    --------
    >>> lean = np.zeros(FRACTION_BINS, dtype=np.int64)
    >>> lean[125] = 10  # ten voxels of 5.1% fat
    >>> fat = MuscleFat(lean, lean, voxel_cm3=0.02)
    >>> round(fat.core_fraction, 3), round(fat.fat_free_cm3, 3)
    (0.051, 0.2)
    """

    whole: NDArray[np.int64] = field(default_factory=lambda: np.zeros(FRACTION_BINS, dtype=np.int64))
    core: NDArray[np.int64] = field(default_factory=lambda: np.zeros(FRACTION_BINS, dtype=np.int64))
    voxel_cm3: float = 0.0

    def __repr__(self) -> str:
        # UIDs are derived from it, so it must not depend on NumPy's print options. Printing arrays is also slow.
        digest = hashlib.sha256(self.whole.tobytes() + self.core.tobytes()).hexdigest()
        return f"{type(self).__name__}(sha256={digest}, voxel_cm3={self.voxel_cm3!r})"

    def __add__(self, other: MuscleFat) -> MuscleFat:
        return MuscleFat(self.whole + other.whole, self.core + other.core, max(self.voxel_cm3, other.voxel_cm3))

    @classmethod
    def sum(cls, parts: Iterable[MuscleFat]) -> MuscleFat:
        """All voxels of several muscles or sides together."""
        return reduce(cls.__add__, parts, cls())

    @property
    def core_fraction(self) -> float | None:
        """Mean over the core: the muscle's own tissue, without the fat planes around it. None without any voxel."""
        return _mean(self.core, np.ones_like(_BELOW_HALF))

    @property
    def core_quartiles(self) -> tuple[float, float] | None:
        """Lower and upper quartile over the voxels of the core; noise widens their distance."""
        count = np.cumsum(self.core)
        if not count[-1]:
            return None
        low, high = (float(_CENTRES[np.searchsorted(count, share * count[-1])]) for share in (0.25, 0.75))
        return _bounded(low), _bounded(high)

    @property
    def whole_fraction(self) -> float | None:
        """Mean over all voxels, with the fat planes that the label includes."""
        return _mean(self.whole, np.ones_like(_BELOW_HALF))

    @property
    def infiltration(self) -> float | None:
        """Mean over the voxels below 50% fat: muscle fat infiltration (Linge 2021, doi 10.1002/jcsm.12834)."""
        return _mean(self.whole, _BELOW_HALF)

    @property
    def fat_free_cm3(self) -> float:
        """Volume of the voxels below 50% fat."""
        return float(self.whole[_BELOW_HALF].sum() * self.voxel_cm3)

    @property
    def core_cm3(self) -> float:
        """Volume of the core."""
        return float(self.core.sum() * self.voxel_cm3)


def _mean(histogram: NDArray[np.int64], chosen: NDArray[np.bool_]) -> float | None:
    count = int(histogram[chosen].sum())
    return _bounded(float((histogram * _CENTRES)[chosen].sum() / count)) if count else None


def _bounded(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)
