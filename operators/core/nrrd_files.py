"""NRRD files: fused volumes, and segmentations that 3D Slicer opens with names and colours.

Files are written in ``left-posterior-superior`` space and compressed with gzip.
A file is written under a temporary name and renamed when it is complete. The
segmentation fields follow 3D Slicer's developer guide, "Segmentation labelmap
file format (.seg.nrrd)".
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from operators.core.anatomy import ADIPOSE_INDEX, CHANNEL_COUNT, LABELS, STRUCTURES, Tissue
from operators.core.errors import GeometryError, InputError, InternalError
from operators.core.output_files import replacing
from operators.core.slicer_segments import list_segments, match_segment
from operators.core.threads import thread_count
from operators.core.volume import Grid, Volume

__all__ = [
    "read_layers",
    "read_segmentation",
    "read_volume",
    "write_segmentation",
    "write_volume",
    "write_volumes",
]

_LPS = "left-posterior-superior"
#: NRRD's patient spaces, and the signs that convert each to LPS.
_TO_LPS = {
    _LPS: (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}

_PIECE_BYTES = 1 << 20

#: Slicer's terminology contexts. Slicer shows the stored meaning even for a code that its own lists lack.
_TYPES = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"
_CATEGORIES = {
    Tissue.MUSCLE: "SCT^123037004^Anatomical Structure",
    Tissue.BONE: "SCT^123037004^Anatomical Structure",
    Tissue.ADIPOSE: "SCT^85756007^Tissue",
}


def write_volume(path: Path, volume: Volume, *, compression_level: int = 2) -> None:
    """Write a volume as gzip-compressed NRRD.

    The data are compressed with ISA-L, which is six times faster than zlib at
    level 1 for the same size. Any gzip reader can read them.

    Parameters
    ----------
    path : Path
        Its folder is created if it does not exist.
    volume : Volume
        float32 or uint8.
    compression_level : int
        ISA-L's level, from 0 (fast) to 3 (small).

    Raises
    ------
    OutputError
        When the file cannot be written; nothing is left behind.
    """
    _write(path, volume, {}, compression_level)


def write_volumes(folder: Path, volumes: Mapping[str, Volume], *, compression_level: int = 2) -> tuple[Path, ...]:
    """Write each volume as ``folder/<name>.nrrd``, several at once (compression releases the interpreter lock).

    Raises
    ------
    OutputError
        When the folder cannot be created or a file cannot be written.
    """
    paths = tuple(folder / f"{name}.nrrd" for name in volumes)
    with ThreadPoolExecutor(max_workers=min(4, thread_count())) as pool:
        # list() re-raises an error of a worker.
        list(
            pool.map(
                lambda path, volume: write_volume(path, volume, compression_level=compression_level),
                paths,
                volumes.values(),
            )
        )
    return paths


def read_volume(path: Path) -> Volume:
    """Read a three-dimensional NRRD file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Volume
        uint8 as stored, all other types as float32. The affine is in LPS,
        whatever patient space the file uses.

    Raises
    ------
    InputError
        When the file cannot be read, or is not a 3-D volume in patient space.
    """
    voxels, header = _read(path, path.name)
    if voxels.dtype != np.uint8:
        voxels = voxels.astype(np.float32)
    return Volume(voxels, _grid(header, voxels.shape, path.name))


def read_layers(path: Path, where: str = "") -> tuple[NDArray[Any], Grid, Mapping[str, Any]]:
    """Read an NRRD file of one or more label maps on one grid: 3D Slicer saves overlapping segments in layers.

    Parameters
    ----------
    path : Path
    where : str
        What messages call the file; its name by default.

    Returns
    -------
    layers : ndarray, shape (layer, z, y, x)
        As stored.
    grid : Grid
    header : mapping
        As pynrrd reads it.

    Raises
    ------
    InputError
        When the file cannot be read, or gives no position in patient space.
    """
    where = where or path.name
    voxels, header = _read(path, where, layers=True)
    return voxels, _grid(header, voxels.shape[1:], where), header


def write_segmentation(path: Path, labels: Volume, *, compression_level: int = 2) -> None:
    """Write a label map as ``.seg.nrrd`` with the names, colours and codes of the label table.

    All muscles and bones are listed in table order, even those without a
    voxel, so that the segments of two participants can be matched by number.
    Adipose tissue is listed only if it occurs.

    Parameters
    ----------
    path : Path
        By convention ending in ``.seg.nrrd``.
    labels : Volume
        uint8; 0 is background, any other value an index of the label table.
    compression_level : int
        ISA-L's level, from 0 (fast) to 3 (small).

    Raises
    ------
    InternalError
        When a label is not in the table.
    OutputError
        When the file cannot be written.
    """
    voxels = np.asarray(labels.voxels)
    highest = int(voxels.max()) if voxels.size else 0
    if voxels.dtype != np.uint8 or highest >= CHANNEL_COUNT:
        raise InternalError(
            path.name, f"{voxels.dtype} labels up to {highest}", f"uint8 labels from 0 to {CHANNEL_COUNT - 1}"
        )
    z, y, x = labels.grid.shape
    fields = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",  # Slicer before 5.4
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for number, structure in enumerate(LABELS if (voxels == ADIPOSE_INDEX).any() else STRUCTURES):
        key = f"Segment{number}_"
        category = _CATEGORIES[structure.tissue]
        kind = f"{structure.scheme}^{structure.code}^{structure.meaning}"
        fields |= {
            f"{key}ID": structure.name,
            f"{key}Name": structure.display_name,
            f"{key}NameAutoGenerated": "0",
            f"{key}Color": " ".join(f"{channel / 255:.6f}" for channel in structure.colour_rgb),
            f"{key}ColorAutoGenerated": "0",
            f"{key}LabelValue": str(structure.index),
            f"{key}Layer": "0",
            f"{key}Extent": f"0 {x - 1} 0 {y - 1} 0 {z - 1}",
            f"{key}Tags": f"TerminologyEntry:{_TYPES}~{category}~{kind}~^^~{_REGIONS}~^^~^^|",
        }
    _write(path, labels, fields, compression_level)


def read_segmentation(path: Path) -> Volume:
    """Read a ``.seg.nrrd`` file: ours, or one that 3D Slicer saved after editing.

    Slicer may renumber segments, so they are matched to the label table by name
    or SNOMED CT code (`match_segment`). A segment without a voxel is ignored.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Volume
        uint8 labels of the label table.

    Raises
    ------
    InputError
        When the file cannot be read, holds overlapping segments (a fourth
        dimension), or has a segment that is not in the table.
    """
    voxels, header = _read(path, path.name)
    segments = list_segments(header, path.name)
    if not segments:
        raise InputError(path.name, "no segments", "a 3D Slicer segmentation (.seg.nrrd)", "Check the path.")
    labels = np.zeros(voxels.shape, dtype=np.uint8)
    for segment in segments:
        here = voxels == segment.value
        if here.any():
            labels[here] = match_segment(segment, path.name)
    return Volume(labels, _grid(header, labels.shape, path.name))


def _write(path: Path, volume: Volume, fields: Mapping[str, str], compression_level: int) -> None:
    voxels = np.ascontiguousarray(volume.voxels)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_header_text(volume, fields))
        # 16 + MAX_WBITS selects the gzip format, which NRRD requires
        packer = isal_zlib.compressobj(compression_level, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
        data = voxels.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), _PIECE_BYTES):
            file.write(packer.compress(data[start : start + _PIECE_BYTES]))
        file.write(packer.flush())


def _header_text(volume: Volume, fields: Mapping[str, str]) -> bytes:
    """The NRRD header as pynrrd writes it."""
    affine = volume.grid.affine
    header = {
        "space": _LPS,
        "kinds": ["domain"] * 3,
        "space directions": affine[:3, :3].T.copy(),  # one row for each axis, x first
        "space origin": affine[:3, 3].copy(),
        "encoding": "gzip",
        **fields,
    }
    # pynrrd would compress with zlib, so it writes one voxel only; the sizes are then corrected.
    text = io.BytesIO()
    nrrd.write(text, np.zeros((1, 1, 1), volume.voxels.dtype), header, index_order="C")
    z, y, x = volume.voxels.shape
    head, _, _ = text.getvalue().partition(b"\n\n")
    # Without the date, equal volumes give equal files, and the file does not reveal when it was written.
    head = re.sub(rb"\n# on [^\n]*", b"", head, count=1)
    return head.replace(b"\nsizes: 1 1 1\n", f"\nsizes: {x} {y} {z}\n".encode()) + b"\n\n"


def _read(path: Path, where: str, *, layers: bool = False) -> tuple[NDArray[Any], dict[str, Any]]:
    try:
        voxels, header = nrrd.read(str(path), index_order="C")
    except (OSError, EOFError, ValueError, KeyError, IndexError, StopIteration, nrrd.NRRDError, zlib.error) as error:
        raise InputError(
            where, f"not readable as NRRD ({error})", "a whole NRRD file", "Check the path, or make the file again."
        ) from error
    if layers:
        voxels = np.moveaxis(voxels, _layer_axis(header), 0) if voxels.ndim == 4 else voxels[None]
    if voxels.ndim != 3 + layers:
        raise InputError(where, f"{voxels.ndim} dimensions", "three", "Save one layer without overlaps, or one volume.")
    return np.ascontiguousarray(voxels), dict(header)


def _layer_axis(header: Mapping[str, Any]) -> int:
    """The axis of four, in C order, that has no direction in space. 3D Slicer writes it first in the file."""
    directions = np.asarray(header.get("space directions", []), dtype=np.float64)
    without = [n for n, row in enumerate(directions) if np.isnan(row).any()]
    return 3 - (without[0] if len(directions) == 4 and without else 0)  # C order reverses the axes


def _grid(header: Mapping[str, Any], shape: tuple[int, ...], where: str) -> Grid:
    signs = _TO_LPS.get(str(header.get("space", "")).lower())
    directions, origin = header.get("space directions"), header.get("space origin")
    if signs is None or directions is None or origin is None:
        raise InputError(
            where,
            f"space {header.get('space')!r} with{'' if origin is not None else 'out'} origin",
            "a volume in left-posterior-superior, right-anterior-superior or left-anterior-superior space",
            "Save the file from a tool that keeps patient coordinates, such as 3D Slicer.",
        )
    rows = np.asarray(directions, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, :3] = rows[~np.isnan(rows).any(axis=1)].T  # the axis of layers has no direction
    affine[:3, 3] = origin
    affine[:3] *= np.array(signs)[:, None]
    try:
        return Grid((shape[0], shape[1], shape[2]), affine)
    except GeometryError as error:
        raise InputError(where, error.found, error.expected, error.remedy) from error
