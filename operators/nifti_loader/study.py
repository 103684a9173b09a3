"""A study from volumes that were fused elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from operators.core.contrast import Contrast
from operators.core.errors import InputError
from operators.core.nifti_files import NiftiImage, read_nifti
from operators.core.study_key import study_key
from operators.core.volume import QualityFlag, Station, Study
from operators.nifti_loader.checks import check_air, check_contrasts, check_fat, check_grid
from operators.nifti_loader.files import contrast_files
from operators.nifti_loader.orientation import (
    Turned,
    check_long_axis,
    flipped_feet_down,
    orientation_flags,
    thinner_above,
    turned_to_lps,
    upside_down,
)
from operators.station_fusion.body import body_mask
from operators.station_fusion.water_alone import body_of_water

__all__ = ["load_nifti"]

_LARGEST = 1e30
"""Above this no signal of a scanner lies, and float32 soon ends."""

_MOST_NEGATIVE = 0.4
"""Of the positive values. A scanner's water with a sign has 0.04, a z-scored image 1; its fat would count as air."""


def load_nifti(source: Path | str, *, progress: Callable[[int, int], None] | None = None) -> Study:
    """Read a study from NIfTI: the water image, or a folder with one file for each contrast.

    Axes are swapped and flipped, without interpolation, until x runs to the left, y to the back and z to the head.

    Parameters
    ----------
    source : Path or str
        See `operators.nifti_loader.files.contrast_files`.
    progress : callable, optional
        Called as ``progress(done, total)`` while files are read.

    Returns
    -------
    Study
        One station for each contrast, and `Study.fused_elsewhere`. Its UID is made from the images, because NIfTI has
        none: the same images are the same study.

    Raises
    ------
    InputError
        When a file cannot be read, none is of water, contrasts differ in grid or are one image, a fat fraction is
        given as fat, or the images show no signal.
    """
    source = Path(source)
    files = contrast_files(source)
    images: dict[Contrast, NiftiImage] = {}
    for number, (contrast, path) in enumerate(files.items()):
        if progress is not None:
            progress(number, len(files))
        images[contrast] = read_nifti(path)
    if progress is not None:
        progress(len(files), len(files))
    where = files[Contrast.WATER].name
    check_grid(where, images[Contrast.WATER].grid)
    digest = hashlib.sha256()
    signals: dict[Contrast, Turned] = {}
    flags: list[QualityFlag] = [_no_patient()]
    for contrast in sorted(images):
        image = images[contrast]
        signal, cleaned = _signal(image.values, files[contrast].name)
        flags += cleaned
        digest.update(contrast.encode() + signal.tobytes())
        signals[contrast] = turned_to_lps(signal, image.grid)
    check_contrasts(signals, files)
    grid = signals[Contrast.WATER].grid
    water = signals[Contrast.WATER].voxels
    fat = signals[Contrast.FAT].voxels if Contrast.FAT in signals else None
    if fat is not None:
        check_fat(files[Contrast.FAT].name, water, fat)
    body = body_of_water(water, grid) if fat is None else body_mask(water, fat, grid)
    check_long_axis(where, body)
    check_air(where, body)
    turned = upside_down(body, grid)
    if turned:
        signals = {contrast: flipped_feet_down(signal) for contrast, signal in signals.items()}
    digest.update(np.round(grid.affine, 3).tobytes())
    uid = f"2.25.{UUID(bytes=digest.digest()[:16]).int}"
    return Study(
        stations=tuple(
            Station(
                contrast=contrast,
                voxels=signals[contrast].voxels,
                grid=grid,
                acquired=None,
                series_uid=f"{uid[:-3]}.{number}",
                frame_of_reference_uid="",
                series_number=number,
                series_description="NIfTI",
                contrast_told_by="file name",
            )
            for number, contrast in enumerate((c for c in Contrast if c in signals), start=1)
        ),
        study_uid=uid,
        pseudonym=study_key(uid),
        flags=(
            *flags,
            *orientation_flags(
                images[Contrast.WATER].placed, turned, thinner_above(body), images[Contrast.WATER].contradiction_mm
            ),
        ),
        fused_elsewhere=True,
    )


def _signal(values: NDArray[Any], where: str) -> tuple[NDArray[np.float32], list[QualityFlag]]:
    """Magnitudes: what is not finite has no signal, and what is negative (interpolation) is 0."""
    highest = float(np.max(values, initial=0.0, where=np.isfinite(values)))
    if highest > _LARGEST:
        raise InputError(
            where, f"values up to {highest:.1e}", "signal of a scanner", "Check slope and intercept of the header."
        )
    signal = values.astype(np.float32)
    finite = np.isfinite(signal)
    flags = []
    if not finite.all():
        count = int(np.count_nonzero(~finite))
        signal[~finite] = 0
        message = f"{count:,} voxels of an image are NaN or infinite; they were taken to have no signal."
        flags.append(QualityFlag("not-finite-voxels", "warning", message))
    if signal.size and float(signal.max()) <= 0:
        raise InputError(where, "no signal", "an image of a body", "Check that the file holds the image.")
    below, above = (float(np.abs(signal[side]).sum(dtype=np.float64)) for side in (signal < 0, signal > 0))
    if below > _MOST_NEGATIVE * above:
        raise InputError(
            where,
            f"negative values that add up to {below / above:.0%} of the positive ones",
            "magnitudes, with air near 0",
            "A constant was subtracted, as z-scoring does. Give the images before normalisation.",
        )
    return np.maximum(signal, 0, out=signal), flags


def _no_patient() -> QualityFlag:
    message = (
        "The images were read from NIfTI, already fused. NIfTI names no patient, study or scan, so that no DICOM is "
        "written: no segmentation.dcm, report.sr.dcm or derived series. Stations, overlaps and their agreement are not "
        "known."
    )
    return QualityFlag("nifti-input", "info", message)
