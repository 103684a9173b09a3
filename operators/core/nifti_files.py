"""NIfTI files: reading of images and label maps, and writing of volumes."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import GeometryError, InputError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.output_files import replacing
from operators.core.volume import Grid, Volume

__all__ = ["LARGEST_VOXELS", "LONGEST_MM", "SHORTEST_MM", "NiftiImage", "read_nifti", "write_nifti"]

_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_UNITS_MM = {"meter": 1000.0, "micron": 0.001}
LARGEST_VOXELS = 400_000_000
_MOST_BYTES, _PIECE = 8 * LARGEST_VOXELS, 1 << 22
LONGEST_MM, SHORTEST_MM = 3000.0, 20.0
"""An image of a body is not longer along any axis, and not shorter along its longest one."""


@dataclass(frozen=True)
class NiftiImage:
    """One volume of a NIfTI file.

    Attributes
    ----------
    values : ndarray, shape (z, y, x)
        Axes as the file has them: its first axis is x. Scaled by the header's slope and intercept.
    grid : Grid
    placed : bool
        Whether the header gives a position (a qform or sform code above 0). Without one, the grid has the voxel
        sizes only.
    contradiction_mm : float
        How far apart qform and sform put a corner of the volume, where the header states both. The sform counts.
    """

    values: NDArray[Any]
    grid: Grid
    placed: bool
    contradiction_mm: float = 0.0


def read_nifti(path: Path) -> NiftiImage:
    """Read a three-dimensional NIfTI file; further axes of length one are dropped.

    Raises
    ------
    InputError
        When the file cannot be read, is not three-dimensional, holds colours or complex numbers, or has an affine that
        cannot be used.
    """
    import nibabel  # a third of a second, which studies of DICOM need not wait for

    broken = (
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        zlib.error,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    )
    try:
        image: Any = nibabel.load(path)
        _check_header(path.name, image)  # before the voxels, because a header can promise any number of them
        values = np.asanyarray(image.dataobj)
        _check_sum(path)
    except broken as error:
        misnamed = _misnamed(path)
        raise InputError(
            path.name,
            f"not readable as NIfTI ({misnamed or type(error).__name__})",
            "a whole NIfTI file",
            "Give it the other name." if misnamed else "Make it again.",
        ) from error
    if values.dtype.kind not in "biuf":
        raise InputError(path.name, f"values of type {values.dtype}", "one real number per voxel", "Convert the file.")
    if values.ndim > 3 and values.size == np.prod(values.shape[:3]):
        values = values.reshape(values.shape[:3])
    if values.ndim != 3:
        raise InputError(path.name, f"{values.ndim} dimensions", "three", "Give one volume in one file.")
    header = image.header
    placed = "sform_code" not in header or bool(int(header["sform_code"]) or int(header["qform_code"]))
    try:
        z, y, x = values.shape[::-1]
        affine = _in_mm(np.asarray(image.affine, dtype=np.float64), (x, y, z), header)
        grid = Grid((z, y, x), LPS_TO_RAS @ affine)
    except GeometryError as error:
        raise InputError(path.name, error.found, error.expected, "Check the file's affine.") from error
    return NiftiImage(np.ascontiguousarray(values.transpose(2, 1, 0)), grid, placed, _contradiction_mm(image))


def _check_sum(path: Path) -> None:
    """Read a compressed file to its end, where its checksum is: nibabel stops at the last voxel."""
    if path.name.lower().endswith(".gz"):
        with gzip.open(path, "rb") as stream:
            for _ in range(_MOST_BYTES // _PIECE):
                if not stream.read(_PIECE):
                    return


def _misnamed(path: Path) -> str:
    """What is wrong if a file is compressed and its name says that it is not, or the other way round (browsers unpack
    files); empty if nothing is."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
    except OSError:
        return ""
    if packed and not path.name.lower().endswith(".gz"):
        return "it is compressed: its name should end in .nii.gz"
    if not packed and path.name.lower().endswith(".gz") and path.stat().st_size:
        return "it is not compressed: its name should end in .nii"
    return ""


def _check_header(where: str, image: Any) -> None:
    """Refuse more voxels than any study has, voxels inside the header, and sizes that nibabel replaces by 1 mm."""
    count = float(np.prod([max(1, int(n)) for n in image.shape], dtype=np.float64))
    if count > LARGEST_VOXELS:
        raise InputError(
            where,
            f"{' x '.join(map(str, image.shape))} voxels",
            f"{LARGEST_VOXELS:,} at the most",
            "Give a volume of one person.",
        )
    least = image.header.single_vox_offset if getattr(image.header, "is_single", False) else 0
    if image.dataobj.offset < least:
        raise InputError(
            where,
            f"voxels that begin at byte {image.dataobj.offset}, inside the header",
            f"voxels from byte {least} on",
            "The header is damaged. Convert the images again.",
        )
    if "sform_code" not in image.header or int(image.header["sform_code"]):
        return
    with image.file_map["image"].get_prepare_fileobj() as file:
        sizes = np.array(type(image.header).from_fileobj(file, check=False)["pixdim"][1:4], dtype=np.float64)
    if not (np.isfinite(sizes) & (sizes != 0)).all():
        raise InputError(
            where,
            f"voxel sizes of {' x '.join(f'{mm:g}' for mm in sizes)} mm and no sform",
            "the size of a voxel",
            "The header is damaged. Convert the images again.",
        )


def _in_mm(affine: NDArray[np.float64], counts: tuple[int, int, int], header: Any) -> NDArray[np.float64]:
    """The affine in mm. Many files state no unit or a wrong one, so that it counts only if the size in mm is absurd."""
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "unknown"
    longest_mm = float((np.linalg.norm(affine[:3, :3], axis=0) * counts).max())
    if unit in _UNITS_MM and not SHORTEST_MM <= longest_mm <= LONGEST_MM:
        return np.vstack([affine[:3] * _UNITS_MM[unit], affine[3:]])
    return affine


def _contradiction_mm(image: Any) -> float:
    """How far apart the header's two positions put the same corner; 0 where it states one at the most."""
    if "sform_code" not in image.header:
        return 0.0
    try:
        found = [get(coded=True) for get in (image.get_sform, image.get_qform)]
    except ValueError:  # a quaternion that is none; the sform stands alone
        return 0.0
    if any(affine is None for affine, _ in found):
        return 0.0
    corners = np.array([[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners[:, :3] *= np.array(image.shape[:3]) - 1
    apart = corners @ (found[0][0] - found[1][0]).T
    return float(np.linalg.norm(apart[:, :3], axis=1).max())


def write_nifti(path: Path, volume: Volume) -> None:
    """Write a volume as gzip-compressed NIfTI-1, with its position as both qform and sform (code 1, scanner).

    Parameters
    ----------
    path : Path
        Ends in ``.nii.gz``. Its folder is created if it does not exist.
    volume : Volume
        float32 or uint8.

    Raises
    ------
    OutputError
        When the file cannot be written; nothing is left behind.
    """
    import nibabel  # as in read_nifti

    image = nibabel.Nifti1Image(np.ascontiguousarray(volume.voxels).T, LPS_TO_RAS @ volume.grid.affine)
    image.set_qform(image.affine, _SCANNER)
    image.set_sform(image.affine, _SCANNER)
    image.header.set_xyzt_units("mm")
    # No name and no time in the gzip header, so that the same volume gives the same bytes.
    with (
        replacing(path) as temporary,
        temporary.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as stream,
    ):
        image.to_file_map({"image": nibabel.FileHolder(fileobj=stream)})
