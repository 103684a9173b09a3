"""Water or fat images to which a constant was added: a wrong Rescale Intercept, or one that was lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Contrast, QualityFlag
from operators.station_fusion.positions import TablePosition

__all__ = ["added_constant_flags"]

_SAMPLED = 100_000
"""Voxels of an image; enough for two percentiles."""

_DARK, _RAISED = 0.05, 0.12
"""Of the bright signal (99th percentile), the darkest (1st percentile). Air is below the first, also where it is noisy;
darkest voxels above the second cannot be air, nor muscle in a fat image or fat in a water image."""


def added_constant_flags(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """``added-constant`` errors of stations in which air is bright in water or fat, and dark elsewhere.

    Elsewhere is another contrast of the station, or the same contrast of another station. A constant in all images of
    a study is told when their signal is compared with that of training.
    """
    darkest = [
        {c: _darkest(station.voxels) for c, station in position.stations.items() if not station.stand_in}
        for position in positions
    ]
    flags = []
    for position, here in zip(positions, darkest, strict=True):
        raised = []
        for contrast in (Contrast.FAT, Contrast.WATER):
            if contrast not in here:
                continue
            elsewhere = [*here.values(), *(other[contrast] for other in darkest if contrast in other)]
            if here[contrast] > _RAISED and min(elsewhere) < _DARK:
                raised.append(contrast.value)
        if raised:
            message = (
                f"In the station of {position.name} the darkest voxels of {' and '.join(raised)} are bright, as if a "
                "constant had been added (RescaleIntercept): nothing can be measured in it."
            )
            flags.append(QualityFlag("added-constant", "error", message, z_mm=position.z_range_mm))
    return tuple(flags)


def _darkest(voxels: NDArray[np.float32]) -> float:
    """The 1st percentile over the 99th; 0 where there is no signal."""
    step = max(1, voxels.size // _SAMPLED) | 1
    low, high = np.percentile(voxels.ravel()[::step], [1, 99])
    return float(low / high) if high > 0 else 0.0
