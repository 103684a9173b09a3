"""A study from volumes that were fused elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from operators.core.contrast import Contrast
from operators.core.errors import GeometryError, InputError
from operators.core.nifti_files import LONGEST_MM, SHORTEST_MM, NiftiImage, read_nifti
from operators.core.study_key import study_key
from operators.core.volume import Grid, QualityFlag, Station, Study
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

_SAME_GRID_MM = 0.1
"""Affines are stored in single precision, and converters round them."""

_SKEW = 1e-3
"""Cosine between two axes. A corner of a volume of half a metre is then displaced by 0.5 mm."""

_NO_AIR = 0.9
"""Of the voxels at the sides, front and back, in slices that show a body."""


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
        When a file cannot be read, none is of water, contrasts differ in grid or the images show no signal.
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
    _check_grids(images, files)
    digest = hashlib.sha256()
    signals: dict[Contrast, Turned] = {}
    flags: list[QualityFlag] = [_no_patient()]
    for contrast in sorted(images):
        image = images[contrast]
        signal, cleaned = _signal(image.values, files[contrast].name)
        flags += cleaned
        digest.update(contrast.encode() + signal.tobytes())
        signals[contrast] = turned_to_lps(signal, image.grid)
    grid = signals[Contrast.WATER].grid
    water = signals[Contrast.WATER].voxels
    fat = signals[Contrast.FAT].voxels if Contrast.FAT in signals else None
    body = body_of_water(water, grid) if fat is None else body_mask(water, fat, grid)
    where = files[Contrast.WATER].name
    check_long_axis(where, body)
    _check_air(where, body)
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


def _check_grids(images: Mapping[Contrast, NiftiImage], files: Mapping[Contrast, Path]) -> None:
    water = images[Contrast.WATER].grid
    where = files[Contrast.WATER].name
    if min(water.shape) < 2:
        raise GeometryError(
            where,
            f"{' x '.join(map(str, water.shape[::-1]))} voxels",
            "at least 2 along each axis",
            "Give a three-dimensional volume of one person.",
        )
    lengths = [count * mm for count, mm in zip(water.shape[::-1], water.spacing_mm, strict=True)]
    if not SHORTEST_MM <= max(lengths) <= LONGEST_MM:
        raise GeometryError(
            where,
            f"a volume of {' x '.join(f'{mm:.3g}' for mm in lengths)} mm",
            f"one that is {SHORTEST_MM:g} mm to {LONGEST_MM / 1000:g} m long",
            "The file's voxel sizes are wrong or not in mm. Convert the images again, or correct its affine.",
        )
    axes = water.affine[:3, :3] / np.linalg.norm(water.affine[:3, :3], axis=0)
    cosine = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if cosine > _SKEW:
        raise GeometryError(
            where,
            f"axes that are {np.degrees(np.arcsin(min(cosine, 1.0))):.1f} degrees away from right angles",
            "a rectangular grid",
            "Resample the images to one; an affine registration may have written a shear into the file.",
        )
    for contrast, image in images.items():
        if not image.grid.same_as(water, _SAME_GRID_MM):
            raise GeometryError(
                files[contrast].name,
                f"{_described(image.grid)} where {where} has {_described(water)}",
                "all contrasts on one grid",
                "Resample them onto the grid of the water image.",
            )


def _check_air(where: str, body: NDArray[np.bool_]) -> None:
    """Refuse an image without air at its sides, front and back: the background is bright, or there is no outline."""
    shown = body[body.any(axis=(1, 2))]
    sides = np.concatenate([shown[:, [0, -1]].ravel(), shown[:, :, [0, -1]].ravel()])
    if sides.size and (share := float(sides.mean())) > _NO_AIR:
        raise InputError(
            where,
            f"no dark air around the body: {share:.0%} of the sides of the volume are as bright as tissue",
            "muscle bright, fat and air dark",
            "Set the background to 0, turn an inverted image back, or give a volume that shows the whole outline.",
        )


def _described(grid: Grid) -> str:
    spacing = " x ".join(f"{mm:.3f}" for mm in grid.spacing_mm)
    return f"{' x '.join(map(str, grid.shape[::-1]))} voxels of {spacing} mm"


def _signal(values: NDArray[Any], where: str) -> tuple[NDArray[np.float32], list[QualityFlag]]:
    """Magnitudes: what is not finite has no signal, and what is negative (interpolation) is 0."""
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
    return np.maximum(signal, 0, out=signal), flags


def _no_patient() -> QualityFlag:
    message = (
        "The images were read from NIfTI, already fused. NIfTI names no patient, study or scan, so that no DICOM is "
        "written: no segmentation.dcm, report.sr.dcm or derived series. Stations, overlaps and their agreement are not "
        "known."
    )
    return QualityFlag("nifti-input", "info", message)
