"""Reading of label maps that other tools wrote: NIfTI, NRRD, 3D Slicer's ``.seg.nrrd``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.errors import InputError
from operators.core.label_file_names import NIFTI_ENDINGS, check_label_file_name
from operators.core.nifti_files import read_nifti
from operators.core.nrrd_files import read_layers
from operators.core.slicer_segments import Segment, list_segments
from operators.core.volume import Grid

__all__ = ["LabelFile", "read_label_file", "resample_labels"]

_HIGHEST = 65535
_ROUNDING = 0.1
"""16 bits with a slope keep labels up to 6,500 to half of a tenth."""


@dataclass(frozen=True)
class LabelFile:
    """A label map as read from its file.

    Attributes
    ----------
    layers : ndarray, shape (layer, z, y, x), uint16
        Labels. Only 3D Slicer's ``.seg.nrrd`` has more than one layer, for segments that overlap.
    grid : Grid
        The file's own.
    segments : tuple of Segment
        What the file itself says about its labels (3D Slicer's ``.seg.nrrd``); otherwise empty.
    sha256 : str
        Hex digest of the file.
    """

    layers: NDArray[np.uint16]
    grid: Grid
    segments: tuple[Segment, ...] = ()
    sha256: str = ""


def read_label_file(path: Path) -> LabelFile:
    """Read a label map and its position in the patient.

    Parameters
    ----------
    path : Path
        ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.seg.nrrd``.

    Raises
    ------
    InputError
        When the file cannot be read, is not three-dimensional, gives no
        position, or holds values that are not labels. Also when a segment
        names a layer that is not in the file, or two segments have one layer and value.
    """
    name = path.name.lower()
    segments: tuple[Segment, ...] = ()
    values: NDArray[Any]
    check_label_file_name(path)
    if not path.exists():
        found = "a link to a file that does not exist" if path.is_symlink() else "no such file"
        raise InputError(path.name, found, "a label map", "Check the path.")
    if name.endswith(NIFTI_ENDINGS):
        volume, grid = _nifti(path)
        values = volume[None]
    else:
        values, grid, header = read_layers(path)
        segments = list_segments(header, path.name)
        _check_layers(len(values), segments, path.name)
    values = _whole_numbers(values)
    whole = np.isfinite(values).all()
    if not whole or (values < 0).any() or (values > _HIGHEST).any() or (values % 1 != 0).any():
        found = f"from {values.min():g} to {values.max():g}" if whole else "some are NaN or infinite"
        raise InputError(
            path.name,
            f"values that are not labels ({found})",
            f"whole numbers from 0 to {_HIGHEST}",
            "Give the label map, not an image or a probability map.",
        )
    return LabelFile(values.astype(np.uint16), grid, segments, hashlib.sha256(path.read_bytes()).hexdigest())


def _whole_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Labels without the rounding of a file that stores them with a slope, as nibabel and SPM do with numbers that are
    floating-point in memory. Anything that is no label map has values between whole numbers too, and stays as it is."""
    if values.dtype.kind != "f":
        return values
    nearest = np.rint(values)
    with np.errstate(invalid="ignore"):  # infinity has no distance; the caller refuses it
        return nearest if (np.abs(values - nearest) <= _ROUNDING).all() else values


def _check_layers(layers: int, segments: tuple[Segment, ...], where: str) -> None:
    if layers > 1 and not segments:
        raise InputError(where, f"{layers} volumes", "one label map", "Save one volume in one file.")
    if beyond := [segment for segment in segments if not 0 <= segment.layer < layers]:
        raise InputError(
            where,
            f"segment {beyond[0].name!r} in layer {beyond[0].layer} of {layers}, counted from 0",
            "segments whose layers are in the file",
            "The file was cut or converted. Save the segmentation again in 3D Slicer.",
        )
    places: dict[tuple[int, int], Segment] = {}
    for segment in segments:
        other = places.setdefault((segment.layer, segment.value), segment)
        if other is not segment:
            raise InputError(
                where,
                f"segments {other.name!r} and {segment.name!r} with the same layer and label value",
                "a layer or a label value of its own for each segment",
                "The file was converted. Save the segmentation again in 3D Slicer.",
            )


def _nifti(path: Path) -> tuple[NDArray[Any], Grid]:
    image = read_nifti(path)
    if not image.placed:
        raise InputError(
            path.name,
            "no position (sform and qform codes are 0)",
            "an affine to patient coordinates",
            "Write the label map with the affine of the image that was segmented.",
        )
    return image.values, image.grid


def resample_labels(labels: NDArray[Any], grid: Grid, target: Grid) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Resample a label map onto another grid by nearest neighbour.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x)
        Whole numbers from -32767 to 32767, on ``grid``.
    grid, target : Grid
        Grid of the labels, and the one to resample them onto.

    Returns
    -------
    labels : ndarray, shape (z, y, x), int16
        On ``target``; 0 outside ``grid``.
    covered : ndarray of bool
        Voxels of ``target`` that lie inside ``grid``.
    """
    found = labels.astype(np.int16)
    if grid.same_as(target):
        return found, np.ones(target.shape, dtype=np.bool_)
    turn = np.linalg.inv(grid.affine) @ target.affine
    turn = turn[[2, 1, 0, 3]][:, [2, 1, 0, 3]]  # arrays are (z, y, x)
    outside = np.int16(-32768)
    found = ndimage.affine_transform(
        found, turn, output_shape=target.shape, order=0, mode="grid-constant", cval=outside, prefilter=False
    )
    covered = found != outside
    return np.where(covered, found, 0).astype(np.int16), covered
