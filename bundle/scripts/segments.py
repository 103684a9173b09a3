"""Label files as annotators save them: segments found by name or SNOMED CT code, never by number alone.

3D Slicer numbers segments in the order in which they were made, so the same
number means another muscle in the next file. What a segment is stands in its
name and in its terminology (3D Slicer developer guide, "Segmentation labelmap
file format (.seg.nrrd)").
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from operators import anatomy
from operators.errors import GeometryError, InputError
from operators.volume import Grid, Volume

__all__ = ["AnnotatedLabels", "Segment", "list_segments", "match_segment", "read_labels"]

_ADIPOSE = {"adipose tissue": anatomy.ADIPOSE_INDEX, "fat": anatomy.ADIPOSE_INDEX}
_NAMES = {name: s.index for s in anatomy.STRUCTURES for name in (s.name.replace("_", " "), s.display_name.lower())}
_NAMES |= _ADIPOSE
_CODES = {f"{s.scheme}^{s.code}": s.index for s in anatomy.STRUCTURES}
_CODES["SCT^55603005"] = anatomy.ADIPOSE_INDEX  # Fat, DICOM PS3.16 CID 7151
_SIDES = re.compile(r"^(left|right|l|r)\b|\b(left|right|l|r)$")
_FILLERS = re.compile(r"\b(muscle|musculus|m|structure of|structure)\b\.?")
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
}


@dataclass(frozen=True)
class Segment:
    """One entry of a ``.seg.nrrd`` header.

    Attributes
    ----------
    name : str
        What 3D Slicer shows.
    identifier : str
        Slicer's ID, or ours.
    codes : tuple of str
        ``scheme^value`` of the terminology's type and region.
    value, layer : int
        The voxels that are this segment's.
    """

    name: str
    identifier: str
    codes: tuple[str, ...]
    value: int
    layer: int


@dataclass(frozen=True)
class AnnotatedLabels:
    """A label map, and which classes its annotator drew.

    Attributes
    ----------
    labels : Volume
        uint8, values of the label table.
    annotated : frozenset of int
        Classes with at least one voxel. A structure that is not among them may still lie in the
        image: its voxels are labelled 0.
    """

    labels: Volume
    annotated: frozenset[int]


def list_segments(header: Mapping[str, Any]) -> tuple[Segment, ...]:
    """The segments of a header, in its order; none for a NRRD file that is no segmentation."""
    segments = []
    number = 0
    while f"Segment{number}_LabelValue" in header:
        key = f"Segment{number}_"
        segments.append(
            Segment(
                name=str(header.get(f"{key}Name", "")),
                identifier=str(header.get(f"{key}ID", "")),
                codes=_codes(str(header.get(f"{key}Tags", ""))),
                value=int(header[f"{key}LabelValue"]),
                layer=int(header.get(f"{key}Layer", 0)),
            )
        )
        number += 1
    return tuple(segments)


def match_segment(segment: Segment, where: str) -> int:
    """The class of the label table that a segment is.

    Left and right share a class, so "Left sartorius" and "sartorius_right" are
    both sartorius; "m." and "muscle" are passed over.

    Parameters
    ----------
    segment : Segment
    where : str
        The file, for the error.

    Returns
    -------
    int
        1 to 28.

    Raises
    ------
    InputError
        When neither name nor code is in the label table (the nearest name is
        suggested), or they say different things.
    """
    by_name = next((_NAMES[n] for n in map(_plain, (segment.name, segment.identifier)) if n in _NAMES), None)
    by_code = next((_CODES[code] for code in segment.codes if code in _CODES), None)
    if by_name is not None and by_code is not None and by_name != by_code:
        raise InputError(
            where,
            f"segment {segment.name!r} bears the code of {_name(by_code)}",
            "a name and a terminology that agree",
            "Correct the one or the other in 3D Slicer.",
        )
    found = by_name if by_name is not None else by_code
    if found is None:
        near = difflib.get_close_matches(_plain(segment.name), _NAMES, n=1, cutoff=0.0)[0]
        raise InputError(
            where,
            f"unknown segment {segment.name!r}",
            "names or SNOMED CT codes of the label table (bundle/configs/metadata.json)",
            f"Did you mean {_name(_NAMES[near])}? Rename the segment in 3D Slicer, or leave it out with "
            f"--ignore-segment {segment.name!r}.",
        )
    return found


def read_labels(
    path: str | Path, mapping: Mapping[int, int] | None = None, ignore: Collection[str] = ()
) -> AnnotatedLabels:
    """Read a label file into the values of the label table.

    Parameters
    ----------
    path : path
        ``.seg.nrrd`` of 3D Slicer with one or more layers, or a plain NRRD label map.
    mapping : mapping of int to int, optional
        For a plain label map: what its values mean. None takes them as our own
        label table's, which only this project's tools write.
    ignore : collection of str
        Names of segments to leave out.

    Raises
    ------
    InputError
        For an unreadable file, an unknown segment, a value outside the table,
        or segments that overlap.
    """
    path = Path(path)
    where = f"{path.parent.name}/{path.name}"
    voxels, header = _read(path, where)
    grid = _grid(header, voxels.shape[-3:], where)
    segments = list_segments(header)
    labels = _by_segment(voxels, segments, ignore, where) if segments else _by_value(voxels, mapping, where)
    annotated = frozenset(int(i) for i in np.flatnonzero(np.bincount(labels.ravel(), minlength=1)) if i)
    return AnnotatedLabels(Volume(labels, grid), annotated)


def _by_segment(
    voxels: NDArray[Any], segments: tuple[Segment, ...], ignore: Collection[str], where: str
) -> NDArray[np.uint8]:
    layers = voxels if voxels.ndim == 4 else voxels[None]
    labels = np.zeros(layers.shape[1:], np.uint8)
    owner: dict[int, str] = {}
    for segment in segments:
        here = layers[segment.layer] == segment.value
        if segment.name in ignore or segment.identifier in ignore or not here.any():
            continue
        index = match_segment(segment, where)
        taken = labels[here]
        if (clash := taken[(taken != 0) & (taken != index)]).size:
            raise InputError(
                where,
                f"{clash.size} voxels in both {owner[int(clash[0])]!r} and {segment.name!r}",
                "one structure for each voxel",
                "Forbid overlaps in 3D Slicer's Segment Editor (Masking, Modify other segments: Overwrite all).",
            )
        labels[here] = index
        owner[index] = segment.name
    return labels


def _by_value(voxels: NDArray[Any], mapping: Mapping[int, int] | None, where: str) -> NDArray[np.uint8]:
    values = np.unique(voxels)
    known = set(range(anatomy.CHANNEL_COUNT)) if mapping is None else {0, *mapping}
    unknown = [value for value in values.tolist() if value not in known]
    if voxels.ndim != 3 or unknown:
        raise InputError(
            where,
            f"values {unknown[:5]} in {voxels.ndim} dimensions",
            f"a label map of three dimensions with values {min(known)} to {max(known)}",
            "Name the scheme that the file was made with (--scheme), or save a .seg.nrrd with named segments.",
        )
    table = np.zeros(int(values.max(initial=0)) + 1, np.uint8)
    for value in values.astype(int):
        table[value] = value if mapping is None else mapping.get(int(value), 0)
    return np.asarray(table[voxels.astype(np.intp)])


def _codes(tags: str) -> tuple[str, ...]:
    """``scheme^value`` of every coded concept in Slicer's TerminologyEntry."""
    entry = re.search(r"TerminologyEntry:([^|]*)", tags)
    triples = re.findall(r"(?:^|~)([^~^]+)\^([^~^]+)\^", entry[1]) if entry else []
    return tuple(f"{scheme}^{value}" for scheme, value in triples)


def _plain(name: str) -> str:
    """Lower case without underscores, sides and the word muscle."""
    words = re.sub(r"[\s_\-.,()]+", " ", name.lower()).strip()
    words = _FILLERS.sub(" ", _SIDES.sub(" ", words))
    return " ".join(words.split())


def _name(index: int) -> str:
    return "Adipose tissue" if index == anatomy.ADIPOSE_INDEX else anatomy.by_index(index).display_name


def _read(path: Path, where: str) -> tuple[NDArray[Any], dict[str, Any]]:
    try:
        voxels, header = nrrd.read(str(path), index_order="C")
    except (OSError, EOFError, ValueError, KeyError, IndexError, StopIteration, nrrd.NRRDError, zlib.error) as error:
        raise InputError(
            where, f"not readable as NRRD ({error})", "a whole NRRD file", "Check the path, or save the file again."
        ) from error
    if voxels.ndim == 4:  # index_order="C" reverses the axes: Slicer's layers, first in the file, come last
        voxels = np.moveaxis(voxels, -1, 0)
    if voxels.ndim not in (3, 4) or not np.issubdtype(voxels.dtype, np.integer):
        raise InputError(
            where, f"{voxels.ndim} dimensions of {voxels.dtype}", "a label map of whole numbers", "Check the path."
        )
    return np.ascontiguousarray(voxels), dict(header)


def _grid(header: Mapping[str, Any], shape: tuple[int, ...], where: str) -> Grid:
    signs = _SPACES.get(str(header.get("space", "")).lower())
    directions, origin = header.get("space directions"), header.get("space origin")
    if signs is None or directions is None or origin is None:
        raise InputError(
            where,
            f"space {header.get('space')!r}",
            "patient coordinates (left-posterior-superior or right-anterior-superior)",
            "Save the file from 3D Slicer.",
        )
    rows = np.asarray(directions, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, :3] = rows[~np.isnan(rows).any(axis=1)].T  # a layer axis has no direction
    affine[:3, 3] = origin
    affine[:3] *= np.array(signs)[:, None]
    try:
        return Grid((shape[0], shape[1], shape[2]), affine)
    except GeometryError as error:
        raise InputError(where, error.found, error.expected, error.remedy) from error
