"""Removal of each station's bias field before fusion, with SimpleITK's N4 (Tustison et al., 2010)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import UsageError
from operators.core.volume import Contrast
from operators.station_fusion.body import otsu_threshold
from operators.station_fusion.positions import TablePosition

__all__ = ["bias_corrected"]

_WORKING_MM = 9.0
"""The field is smooth, so N4 works on voxels of about this size: hundreds of times fewer than acquired."""

_ITERATIONS = (50, 50, 30)
_LARGEST_FACTOR = 4.0
"""Outside the body the field is extrapolated, and this limits it there."""


def bias_corrected(position: TablePosition) -> TablePosition:
    """Divide a station by the bias field that N4 finds in its in-phase image.

    All contrasts are divided by the same field, so the fat fraction does not
    change. The field's geometric mean over the body is 1.

    Raises
    ------
    UsageError
        When SimpleITK is not installed.
    """
    field = _field(position.stations[Contrast.IN].voxels, position.grid.spacing_mm)
    return TablePosition(
        {c: replace(station, voxels=station.voxels / field) for c, station in position.stations.items()}
    )


def _field(in_phase: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    sitk = _simpleitk()
    image = sitk.GetImageFromArray(np.maximum(in_phase, 0.0))
    image.SetSpacing(spacing_mm)
    # N4 needs several voxels along each axis to fit its spline.
    factors = [
        max(1, min(round(_WORKING_MM / mm), size // 8))
        for mm, size in zip(spacing_mm, in_phase.shape[::-1], strict=True)
    ]
    small = sitk.BinShrink(image, factors)
    signal = sitk.GetArrayFromImage(small)
    mask = np.sqrt(signal) > otsu_threshold(np.sqrt(signal))
    if not mask.any():
        return np.ones_like(in_phase)
    mask_image = sitk.GetImageFromArray(mask.astype(np.uint8))
    mask_image.CopyInformation(small)
    correction = sitk.N4BiasFieldCorrectionImageFilter()
    correction.SetMaximumNumberOfIterations(_ITERATIONS)
    correction.Execute(small, mask_image)
    log_field = sitk.GetArrayFromImage(correction.GetLogBiasFieldAsImage(image))
    shrunk = sitk.GetArrayFromImage(correction.GetLogBiasFieldAsImage(small))
    limit = np.log(_LARGEST_FACTOR)
    return np.asarray(np.exp(np.clip(log_field - shrunk[mask].mean(), -limit, limit)), dtype=np.float32)


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise UsageError(
            "bias correction", "n4 without SimpleITK", "the package simpleitk", "Install it with pip, or choose none."
        ) from error
    return SimpleITK
