"""Translation of labels that were made elsewhere: the numbers of a label map, the segments of a file, or masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import by_index
from operators.core.errors import InputError
from operators.core.label_files import LabelFile, read_label_file
from operators.core.label_schemes import Scheme
from operators.core.label_schemes.scheme import plain_name, side_number
from operators.core.slicer_segments import Segment, find_structure
from operators.segmentation.mapped_labels import MappedLabels, merge_masks, shortened, unknown_labels
from operators.segmentation.mask_folder import map_masks

__all__ = ["listed_numbers", "map_labels"]


def map_labels(path: Path, scheme: Scheme) -> MappedLabels:
    """Read labels and translate them with a scheme.

    Segments and masks are matched by name, because 3D Slicer renumbers segments and a
    mask has no number; with our own scheme segments also by SNOMED CT code. Numbers count
    only in a file without segments.

    Where two structures overlap, a voxel counts for the one that comes first: in the
    file for segments, in the scheme's list for masks.

    Parameters
    ----------
    path : Path
        A label map, a ``.seg.nrrd`` file, or a folder with one mask for each structure,
        named like it, as TotalSegmentator writes them.
    scheme : Scheme

    Raises
    ------
    InputError
        When name and code of a segment contradict each other, or the scheme knows
        none of the names. When a file without segments has numbers that the scheme
        does not list: it follows another list, in which the other numbers can mean
        something else, too. When masks are on several grids, or a mask holds several
        labels. When structures overlap by more than a tenth of the smaller one. When
        a file cannot be read.
    """
    if path.is_dir():
        return map_masks(path, scheme)
    file = read_label_file(path)
    if file.segments:
        return _of_segments(file, scheme, path.name)
    return _of_numbers(file, scheme, path.name)


def listed_numbers(voxels: NDArray[Any], scheme: Scheme, where: str) -> list[int]:
    """The numbers that a label map has, background included.

    Raises
    ------
    InputError
        If the scheme does not list one of them.
    """
    present = np.flatnonzero(np.bincount(voxels.ravel())).tolist()
    if unknown := [str(number) for number in present if number and number not in scheme.labels]:
        raise InputError(
            where,
            f"numbers that {scheme.name} {scheme.version} does not list: {shortened(unknown)}",
            f"the {len(scheme.labels)} numbers of that list, {min(scheme.labels)} to {max(scheme.labels)}",
            "The file follows another list, in which the other numbers can mean other structures. Name its scheme, or "
            f"write one that lists all its numbers. {scheme.other_lists}".rstrip(),
        )
    return present


def _of_numbers(file: LabelFile, scheme: Scheme, where: str) -> MappedLabels:
    voxels = file.layers[0]
    present, targets = listed_numbers(voxels, scheme, where), scheme.targets()
    table = np.zeros(max(present, default=0) + 1, dtype=np.int8)
    for number in present:
        table[number] = targets.get(scheme.labels.get(number, ""), 0)
    sides = np.zeros(len(table), dtype=np.uint8)
    stated = scheme.sides()
    for number in present:
        sides[number] = stated.get(scheme.labels.get(number, ""), 0)
    return MappedLabels(table[voxels], file.grid, scheme, sides[voxels], named=False, flags=(), sha256=file.sha256)


def _of_segments(file: LabelFile, scheme: Scheme, where: str) -> MappedLabels:
    meaning = _meaning_of_segments(file.segments, scheme, where)
    targets = scheme.targets()
    masks = [
        (targets.get(name, 0), side_number(segment.name), partial(_segment_mask, file, segment))
        for segment, name in zip(file.segments, meaning, strict=True)
    ]
    remedy = "Forbid overlaps in 3D Slicer's Segment Editor (Masking, Modify other segments: Overwrite all)."
    voxels, sides, flags = merge_masks(masks, file.grid, scheme, where, remedy)
    known = {(s.layer, s.value): (s.name, name) for s, name in zip(file.segments, meaning, strict=True)}
    unknown = []
    for layer, values in enumerate(file.layers):
        for value in np.flatnonzero(np.bincount(values.ravel())).tolist():
            segment, name = known.get((layer, value), (str(value), ""))
            if value and not name:
                unknown.append(segment)
    flags = (*unknown_labels(scheme, unknown), *flags)
    return MappedLabels(voxels, file.grid, scheme, sides, named=True, flags=flags, sha256=file.sha256)


def _segment_mask(file: LabelFile, segment: Segment) -> NDArray[np.bool_]:
    return np.asarray(file.layers[segment.layer] == segment.value)


def _meaning_of_segments(segments: Sequence[Segment], scheme: Scheme, where: str) -> list[str]:
    """The scheme's label for each segment; empty where it has none."""
    known = {plain_name(name): name for name in scheme.labels.values()}
    meaning = [known.get(plain_name(segment.name), "") for segment in segments]
    for place, segment in enumerate(segments):
        index = None if meaning[place] else find_structure(segment, where)
        ours = None if index is None else by_index(index).name
        if ours and scheme.structures.get(ours) == (ours,):  # a scheme with our own names
            meaning[place] = ours
    if not any(meaning):
        shown = shortened([segment.name for segment in segments], 4)
        raise InputError(
            where,
            f"segments that scheme {scheme.name} does not know ({shown})",
            "segments with the names of the scheme's labels (3D Slicer changes their numbers)",
            "Rename them in 3D Slicer, or export them as a label map (NIfTI or NRRD), in which numbers count.",
        )
    return meaning
