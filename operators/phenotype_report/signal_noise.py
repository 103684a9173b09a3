"""Noise of magnitude images, and the bias that it gives to weak signal.

The magnitude of a signal with complex Gaussian noise follows a Rice
distribution. Its mean is larger than the signal, so that a muscle without any
fat shows some (Gudbjartsson and Patz 1995, doi 10.1002/mrm.1910340618).

A root of the sum of squares of several coils has another distribution, whose
mean in the air is larger. Its SD is overrated here, twofold for four coils and
threefold for eight. The bias of weak signal is larger as well, so that the
correction of fat stays right within some percent of the signal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from operators.core.volume import Contrast, Fused

__all__ = ["BIAS_STEP", "Noise", "bias_by_mean", "noise_of"]

BIAS_STEP = 0.02
_STRONGEST = 12.0
_RAYLEIGH_MEAN = float(np.sqrt(np.pi / 2))
_AWAY_FROM_BODY_MM = 20.0
"""Ringing, flow and motion put signal into the air close to the body."""

_SLICES = 24
_LEAST_AIR_VOXELS = 2000
_LEAST_AIR_IN_SLICE = 50
_UNMASKED = 0.9
"""Share of the air that is not exactly 0. A scanner that masks the air leaves nothing to measure."""

_OUTER_VOXELS = 2

_SPREAD = (0.15, 0.6)
"""SD over mean of Rayleigh noise is 0.52, less after interpolation, and a little more where a scanner has evened out
the coils' sensitivity. Ghosts make it larger: one of 5% of the body's signal to 0.63, which makes the noise 30% too
large."""

_LEAST_NOISE_ALONE = 0.25
"""Share of the slices with air that must have noise alone. Arms at the sides are in about half of them."""

_LARGEST_SHARE = 0.25
"""Of the body's median signal, water and fat together. Air that is brighter than this is not air."""


@dataclass(frozen=True)
class Noise:
    """Standard deviation of the noise in each channel of the fused water and fat images; 0 where it is not known."""

    water_sd: float = 0.0
    fat_sd: float = 0.0


def noise_of(fused: Fused) -> Noise:
    """Noise of the fused images, from the air around the body.

    The mean of the air is used, because interpolation and averaging do not
    change it. Slices where there is more than noise, such as an arm at the edge,
    are left out. The noise is not known when there is no air, when the scanner
    has set it to 0, or when few slices have noise alone. In a study of water
    alone, strong noise spoils the body mask. The outer rows and columns of the
    images then show it.
    """
    slices = np.flatnonzero(fused.body.any(axis=(1, 2)))
    if not slices.size:
        return Noise()
    chosen = slices[:: max(1, slices.size // _SLICES)]
    sampling = fused.grid.spacing_mm[1::-1]
    air = [ndimage.distance_transform_edt(~fused.body[k], sampling=sampling) > _AWAY_FROM_BODY_MM for k in chosen]
    bright = float(np.median((fused.water[chosen] + fused.fat[chosen])[fused.body[chosen]]))
    noise = Noise(*(_noise_sd(image[chosen], air, _LARGEST_SHARE * bright) for image in (fused.water, fused.fat)))
    if not noise.water_sd and Contrast.FAT in fused.absent:
        return Noise(_noise_sd(fused.water[chosen], [_outer(image) for image in fused.water[chosen]], np.inf))
    return noise


def _outer(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The outer rows and columns of what a slice shows."""
    shown = np.outer(image.any(axis=1), image.any(axis=0))
    return shown & ~ndimage.binary_erosion(shown, np.ones((3, 3)), iterations=_OUTER_VOXELS)


def _noise_sd(signal: NDArray[np.float32], air: list[NDArray[np.bool_]], highest: float) -> float:
    means, seen, count = [], 0, 0
    for image, around in zip(signal, air, strict=True):
        shown = np.ix_(image.any(axis=1), image.any(axis=0))  # stations may be narrower than the fused grid
        found = image[shown][around[shown]]
        if found.size < _LEAST_AIR_IN_SLICE or np.count_nonzero(found) < _UNMASKED * found.size:
            continue
        seen += 1
        mean = float(found.mean())
        if _SPREAD[0] < float(found.std()) / mean < _SPREAD[1]:
            means.append(mean)
            count += found.size
    if count < _LEAST_AIR_VOXELS or len(means) < _LEAST_NOISE_ALONE * seen:
        return 0.0
    sd = float(np.median(means)) / _RAYLEIGH_MEAN
    return sd if sd < highest else 0.0


@cache
def bias_by_mean() -> NDArray[np.float64]:
    """Mean magnitude minus true signal, by mean magnitude in steps of `BIAS_STEP`; all in units of the noise SD.

    A mean magnitude below that of pure noise has no true signal: its bias is all of it.
    """
    signal = np.linspace(0.0, _STRONGEST, 4001)
    quarter = signal**2 / 4
    mean = _RAYLEIGH_MEAN * ((1 + 2 * quarter) * special.ive(0, quarter) + 2 * quarter * special.ive(1, quarter))
    wanted = np.arange(0.0, _STRONGEST, BIAS_STEP)
    return np.asarray(np.where(wanted <= mean[0], wanted, wanted - np.interp(wanted, mean, signal)))
