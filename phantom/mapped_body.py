"""Read another program's or a person's label map as a body that can be painted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core import anatomy
from operators.core.errors import InputError
from operators.core.label_files import LabelFile, read_label_file, resample_labels
from operators.core.label_schemes import Scheme, load_scheme
from operators.core.label_schemes.scheme import plain_name
from operators.core.nifti_files import LONGEST_MM
from operators.core.slicer_segments import match_segment
from operators.core.volume import Grid, Volume
from operators.segmentation.label_translation import listed_numbers
from operators.segmentation.plausible_anatomy import misplaced
from phantom.map_sides import find_sides
from phantom.painting import LabelledBody
from phantom.station_geometry import archive_stations, coverage_mm

__all__ = ["MappedBody", "read_body"]

_TISSUE_MM = 2.0
_MARGIN_MM = 24.0
_SIDE = 1000
"""Labels are below this; a side is added as this times 1 (left) or 2 (right) while the map is resampled."""

_OTHER_MUSCLE, _OTHER_BONE = 100, 101
"""Codes of tissue that the label table does not have."""

_MOST_L = 40.0
"""Twice the largest muscle volume that a phantom can be asked for."""

_INSIDE = 0.9
"""Share of the labelled voxels that must lie inside an outline."""
_FILLED = 0.97
"""Share of an outline that labels can fill in the slices that have any: skin and fat need the rest."""

_BONES = re.compile(r"bone|femur|sacrum|spine|vertebra|rib|pelvis|hip(?:_|$)|tibia|fibula|patella|coccyx|skull|humerus")
_SOFT = re.compile(r"muscle|gluteus|psoas|iliopsoas|erector|autochthon|latissimus|quadratus|levator|oblique|rectus")
"""Names of labels that the label table does not have, told apart by what a name says."""


@dataclass(frozen=True)
class MappedBody:
    """A label map in the label table's terms.

    Attributes
    ----------
    body : LabelledBody
        On voxels of 2 mm in plane.
    annotated : frozenset of str
        Structures that the map shows, alone or in a group.
    merged : mapping of str to str
        Structures that the map labels only together with another, whose label their voxels have.
    """

    body: LabelledBody
    annotated: frozenset[str]
    merged: Mapping[str, str]

    @property
    def classes(self) -> dict[str, Any]:
        """Content of ``classes.json``, which `bundle.scripts.list_pairs` reads."""
        return {"annotated": sorted(self.annotated), "merged": dict(self.merged)}

    def digest(self) -> str:
        """What tells this body from one of another map, scheme or outline."""
        whole = hashlib.sha256(json.dumps([self.classes, self.body.grid.affine.tolist()]).encode())
        for voxels in (self.body.labels, self.body.other_muscle, self.body.other_bone, self.body.body):
            whole.update(b"none" if voxels is None else np.ascontiguousarray(voxels).tobytes())
        return whole.hexdigest()[:16]


def read_body(path: Path, scheme: str, outline: Path | None = None) -> MappedBody:
    """Read a label map and bring it to the patient's axes.

    Parameters
    ----------
    path : Path
        NIfTI or NRRD label map.
    scheme : str
        Meaning of its numbers: a label scheme's name or YAML file.
    outline : Path, optional
        Mask of the body on any grid. Default: drawn around the labels.

    Raises
    ------
    InputError, UsageError
        When a file cannot be read, the map is empty, too thin or too large, has numbers that the scheme does not list,
        no structure of the label table, or structures where they cannot lie; when the outline is not that of a body
        around the labels; or when the scheme is unknown.
    """
    rules = load_scheme(scheme)
    file = read_label_file(path)
    _check_length(file.grid, path.name)
    values = _numbered(file, rules, path.name)
    # One integer for everything, so that the map is resampled once.
    coded: NDArray[np.int16] = _codes(rules, int(values.max()))[values]
    if not coded.any():
        raise InputError(path.name, "no label that the scheme knows", f"labels of {rules.name}", "Check --scheme.")
    grid = _upright(file.grid)
    coded, _ = resample_labels(coded, file.grid, grid)
    stated_sides, labels = np.divmod(coded, _SIDE)
    if not labels.any():
        found = "labels smaller than a voxel of 2 mm"
        raise InputError(path.name, found, "a body with muscles", "Check the path, --scheme and the voxel size.")
    ours = np.where(labels < _OTHER_MUSCLE, labels, 0).astype(np.uint8)
    _check_anatomy(Volume(ours, grid), path.name)
    body = None if outline is None else _outlined(outline, grid, labels > 0)
    merged = {other: of[0] for of, _ in rules.groups.values() for other in of[1:]}
    seen = {s.name for s in anatomy.STRUCTURES if (ours == s.index).any()}
    seen |= {other for other, first in merged.items() if first in seen}
    box = _box(grid, (labels > 0) if body is None else (labels > 0) | body)
    cut = tuple(slice(low, high) for low, high in box)
    if min(ours[cut].shape) < 2:
        found = f"labels in a box of {' x '.join(str(n) for n in ours[cut].shape[::-1])} voxels"
        raise InputError(path.name, found, "at least 2 along each axis", "Give a map of several slices.")
    sides, mid_x_mm = find_sides(Volume(ours, grid), stated_sides.astype(np.uint8))
    return MappedBody(
        LabelledBody(
            _placed(grid, box, mid_x_mm),
            ours[cut],
            (labels == _OTHER_MUSCLE)[cut],
            (labels == _OTHER_BONE)[cut],
            None if body is None else body[cut],
            sides[cut],
        ),
        frozenset(seen),
        {other: first for other, first in merged.items() if first in seen},
    )


def _numbered(file: LabelFile, rules: Scheme, where: str) -> NDArray[np.uint16]:
    """Numbers of the scheme. 3D Slicer numbers segments anew, so theirs are told by their names."""
    if file.segments:
        return _of_segments(file, rules, where)
    values = file.layers[0]
    listed_numbers(values, rules, where)
    return values


def _of_segments(file: LabelFile, rules: Scheme, where: str) -> NDArray[np.uint16]:
    values = np.zeros(file.layers.shape[1:], np.uint16)
    numbers = {plain_name(name): number for number, name in rules.labels.items()}
    for segment in file.segments:
        here = file.layers[segment.layer] == segment.value
        if not here.any():
            continue
        number = numbers.get(plain_name(segment.name))
        if rules.name == load_scheme("ours").name:
            number = match_segment(segment, where, "remove the segment")
        if number is None:
            raise InputError(
                where,
                f"segment {segment.name!r}, which {rules.name} does not list",
                "segments with the names of the scheme's labels (3D Slicer changes their numbers)",
                "Rename or remove it in 3D Slicer, or export the segmentation as a label map, in which numbers count.",
            )
        if shared := int(np.count_nonzero(values[here] & (values[here] != number))):
            raise InputError(
                where,
                f"{shared} voxels of {segment.name!r} in another segment too",
                "one structure per voxel",
                "Forbid overlaps in 3D Slicer's Segment Editor (Masking, Modify other segments: Overwrite all).",
            )
        values[here] = number
    return values


def _codes(rules: Scheme, highest: int) -> NDArray[np.int16]:
    """For each number of a scheme: the index in the label table, or what else it is, and its side."""
    codes = np.zeros(highest + 1, np.int16)
    targets, sides, groups = rules.targets(), rules.sides(), list(rules.groups.values())
    for number, name in rules.labels.items():
        if not 0 < number <= highest:
            continue
        target = targets.get(name, 0)
        if target < 0:
            target = anatomy.by_name(groups[-target - 1][0][0]).index
        elif target == 0 and _BONES.search(name) and not _SOFT.search(name):
            target = _OTHER_BONE
        elif target == 0 and _SOFT.search(name):
            target = _OTHER_MUSCLE
        codes[number] = target + _SIDE * sides.get(name, 0)
    return codes


def _check_length(grid: Grid, where: str) -> None:
    longest = float(np.max(np.array(grid.spacing_mm) * grid.shape[::-1]))
    if longest > LONGEST_MM:
        found = f"a map that is {longest / 1000:.3g} m long"
        raise InputError(where, found, f"at most {LONGEST_MM / 1000:g} m", "Check the affine and its unit.")


def _check_anatomy(labels: Volume, where: str) -> None:
    ours = np.asarray(labels.voxels)
    if not ours.any():
        found = "bones and muscles that the label table does not have, and nothing else"
        raise InputError(where, found, "a structure of the label table", "Check --scheme.")
    litres = float(np.count_nonzero(ours)) * labels.grid.voxel_volume_mm3 / 1e6
    if litres > _MOST_L:
        found = f"{litres:.0f} L of muscle and bone"
        raise InputError(where, found, f"at most {_MOST_L:g} L", "Check the voxel size in the file's affine.")
    if wrong := misplaced(labels):
        raise InputError(
            where,
            f"impossible anatomy: {'; '.join(wrong[:3])}{f', and {len(wrong) - 3} more' if len(wrong) > 3 else ''}",
            "labels whose names fit where they lie",
            "Check --scheme, and the file's affine: it may lie upside down, on its side or on its front.",
        )


def _upright(grid: Grid) -> Grid:
    """An axis-aligned grid (+x left, +y posterior, +z up) around another, with voxels of 2 mm in plane."""
    corners = np.array(
        [[x, y, z, 1.0] for x in (0, grid.shape[2] - 1) for y in (0, grid.shape[1] - 1) for z in (0, grid.shape[0] - 1)]
    )
    places = (grid.affine @ corners.T)[:3].T
    low, high = places.min(axis=0), places.max(axis=0)
    along_z = float(np.abs(grid.affine[2, :3]).max())
    spacing = np.array([_TISSUE_MM, _TISSUE_MM, min(max(along_z, 1.5), 4.0)])
    counts = np.floor((high - low) / spacing + 1e-6).astype(int) + 1
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    return Grid((int(counts[2]), int(counts[1]), int(counts[0])), affine)


def _outlined(path: Path, grid: Grid, labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The outline on ``grid``."""
    mask = read_label_file(path)
    drawn: NDArray[np.bool_] = np.any(mask.layers > 0, axis=0)
    inside, _ = resample_labels(drawn.astype(np.int16), mask.grid, grid)
    share = float((inside[labelled] > 0).mean())
    if share < _INSIDE:
        part = f"{share:.0%}" if share > 0 else "none"
        found = f"{part} of the labels inside the outline" if drawn.any() else "no voxel of a body"
        raise InputError(
            path.name,
            found,
            f"a mask of the body around the labels, with at least {_INSIDE:.0%} of them",
            "Check that both files are of one image.",
        )
    if drawn.all():
        raise InputError(path.name, "no voxel outside the body", "a mask of the body", "Check the path.")
    slices = labelled.any(axis=(1, 2))
    if np.count_nonzero(labelled[slices]) > _FILLED * np.count_nonzero(inside[slices]):
        found = "an outline of the labels, without skin and fat around them"
        raise InputError(path.name, found, "a mask of the whole body", "Without --outline, both are added.")
    return inside > 0


def _box(grid: Grid, body: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last + 1 voxel of a body with a margin, along (z, y, x)."""
    margin = [0, *[int(_MARGIN_MM / mm) for mm in grid.spacing_mm[1::-1]]]
    box = []
    for axis in range(3):
        (filled,) = np.nonzero(body.any(axis=tuple(n for n in range(3) if n != axis)))
        box.append((max(0, int(filled[0]) - margin[axis]), min(body.shape[axis], int(filled[-1]) + 1 + margin[axis])))
    return box


def _placed(grid: Grid, box: list[tuple[int, int]], mid_x_mm: float | None) -> Grid:
    """A box of ``grid`` in the middle of the phantom's stations, the body's mid-plane at x = 0 where it is known."""
    shape = tuple(high - low for low, high in box)
    affine = np.diag([*grid.spacing_mm, 1.0])
    lowest, highest = coverage_mm(archive_stations())
    middle = np.array([0.0, 0.0, (lowest + highest) / 2])
    affine[:3, 3] = middle - np.array(grid.spacing_mm) * (np.array(shape[::-1]) - 1) / 2
    if mid_x_mm is not None:
        affine[0, 3] = grid.origin_mm[0] + grid.spacing_mm[0] * box[2][0] - mid_x_mm
    return Grid(shape, affine)  # type: ignore[arg-type]
