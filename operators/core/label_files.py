"""Reading of label maps that other tools wrote: NIfTI, NRRD, 3D Slicer's ``.seg.nrrd``."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.errors import GeometryError, InputError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.label_file_names import NIFTI_ENDINGS, check_label_file_name
from operators.core.nrrd_files import read_layers
from operators.core.slicer_segments import Segment, list_segments
from operators.core.volume import Grid, Volume

__all__ = ["LabelFile", "read_label_file", "resample_labels"]

_HIGHEST = 65535


@dataclass(frozen=True)
class LabelFile:
    """A label map as read from its file.

    Attributes
    ----------
    volume : Volume
        uint16 labels on the file's own grid.
    segments : tuple of Segment
        What the file itself says about its labels (3D Slicer's ``.seg.nrrd``); otherwise empty.
    sha256 : str
        Hex digest of the file.
    """

    volume: Volume
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
        position, or holds values that are not labels.
    """
    name = path.name.lower()
    segments: tuple[Segment, ...] = ()
    values: NDArray[Any]
    check_label_file_name(path)
    if name.endswith(NIFTI_ENDINGS):
        values, grid = _nifti(path)
    else:
        layers, grid, header = read_layers(path)
        values, segments = _one_layer(layers, list_segments(header), path.name)
    if not np.isfinite(values).all() or (values < 0).any() or (values > _HIGHEST).any() or (values % 1 != 0).any():
        raise InputError(
            path.name,
            f"values that are not labels (from {np.nanmin(values):g} to {np.nanmax(values):g})",
            f"whole numbers from 0 to {_HIGHEST}",
            "Give the label map, not an image or a probability map.",
        )
    return LabelFile(Volume(values.astype(np.uint16), grid), segments, hashlib.sha256(path.read_bytes()).hexdigest())


def _one_layer(
    layers: NDArray[Any], segments: tuple[Segment, ...], where: str
) -> tuple[NDArray[Any], tuple[Segment, ...]]:
    """Merge the segments of several layers into one label map, each with its own number."""
    if len(layers) == 1:
        return layers[0], segments
    if not segments:
        raise InputError(where, f"{len(layers)} volumes", "one label map", "Save one volume in one file.")
    together = np.zeros(layers.shape[1:], dtype=np.uint16)
    for number, segment in enumerate(segments, start=1):
        here = layers[segment.layer] == segment.value
        if (taken := np.unique(together[here])).any():
            raise InputError(
                where,
                f"voxels in both {segments[int(taken[-1]) - 1].name!r} and {segment.name!r}",
                "one structure for each voxel",
                "Forbid overlaps in 3D Slicer's Segment Editor (Masking, Modify other segments: Overwrite all).",
            )
        together[here] = number
    return together, tuple(replace(segment, value=n, layer=0) for n, segment in enumerate(segments, start=1))


def _nifti(path: Path) -> tuple[NDArray[Any], Grid]:
    try:
        image: Any = nibabel.load(path)
        values = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(
            path.name, f"not readable as NIfTI ({type(error).__name__})", "a whole NIfTI file", "Make it again."
        ) from error
    header = image.header
    if "sform_code" in header and not (int(header["sform_code"]) or int(header["qform_code"])):
        raise InputError(
            path.name,
            "no position (sform and qform codes are 0)",
            "an affine to patient coordinates",
            "Write the label map with the affine of the image that was segmented.",
        )
    values = (
        values.reshape(values.shape[:3]) if values.ndim > 3 and values.size == np.prod(values.shape[:3]) else values
    )
    if values.ndim != 3:
        raise InputError(path.name, f"{values.ndim} dimensions", "three", "Give one label map in one file.")
    try:
        z, y, x = values.shape[::-1]
        grid = Grid((z, y, x), LPS_TO_RAS @ np.asarray(image.affine, dtype=np.float64))
    except GeometryError as error:
        raise InputError(path.name, error.found, error.expected, "Check the file's affine.") from error
    return np.ascontiguousarray(values.transpose(2, 1, 0)), grid


def resample_labels(labels: NDArray[Any], grid: Grid, target: Grid) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Resample a label map onto another grid by nearest neighbour.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x)
        Whole numbers from -32767 to 32767, on ``grid``.

    Returns
    -------
    labels : ndarray, int16
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
