"""Read another program's or a person's label map as a body, and make training images of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core import anatomy
from operators.core.errors import InputError
from operators.core.label_files import LabelFile, read_label_file, resample_labels
from operators.core.label_schemes import load_scheme
from operators.core.nrrd_files import write_volume
from operators.core.output_files import new_folder
from operators.core.slicer_segments import match_segment
from operators.core.volume import Contrast, Grid, Volume
from operators.station_fusion.water_alone import body_of_water, fat_stand_in
from phantom.acquisition import acquire_study, axes
from phantom.fused import fused_images, resampled
from phantom.map_sides import find_sides
from phantom.options import TRAINING_SPACING_MM
from phantom.painting import LabelledBody, paint
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations, coverage_mm
from phantom.study import WrittenStudy, write_study
from phantom.training_set import TrainingPair, divided, drawn_options
from phantom.truth import count_volumes

__all__ = ["MappedBody", "map_name", "painted_pair", "read_body", "write_painted_set", "write_painted_study"]

_TISSUE_MM = 2.0
_MARGIN_MM = 24.0
_SIDE = 1000
"""Labels are below this; a side is added as this times 1 (left) or 2 (right) while the map is resampled."""

_FILLED = 0.6
"""Share of a station's height that a map must fill for the station to be scanned."""

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
        When a file cannot be read, the map is empty or too thin, the outline is not around it, or the scheme is
        unknown.
    """
    rules = load_scheme(scheme)
    file = read_label_file(path)
    values = _numbered(file, path) if scheme == "ours" else file.layers[0]
    if len(file.layers) > 1 and scheme != "ours":
        raise InputError(path.name, f"{len(file.layers)} layers", "one number for each voxel", "Export a labelmap.")
    targets = rules.targets()
    groups = list(rules.groups.values())
    table = np.zeros(int(values.max()) + 1, np.uint8)
    muscle, bone = np.zeros(len(table), np.bool_), np.zeros(len(table), np.bool_)
    stated, side = rules.sides(), np.zeros(len(table), np.int16)
    merged = {other: of[0] for of, _ in groups for other in of[1:]}
    for number, name in rules.labels.items():
        if number >= len(table) or number == 0:
            continue
        target = targets.get(name, 0)
        side[number] = stated.get(name, 0)
        if target > 0:
            table[number] = target
        elif target < 0:
            table[number] = anatomy.by_name(groups[-target - 1][0][0]).index
        elif _BONES.search(name) and not _SOFT.search(name):
            bone[number] = True
        elif _SOFT.search(name):
            muscle[number] = True
    # One integer for everything, so that the map is resampled once.
    coded = np.where(muscle[values], 100, np.where(bone[values], 101, table[values].astype(np.int16)))
    if not coded.any():
        raise InputError(path.name, "no label that the scheme knows", f"labels of {rules.name}", "Check --scheme.")
    coded += _SIDE * side[values]
    grid = _upright(file.grid)
    coded, _ = resample_labels(coded, file.grid, grid)
    stated_sides, labels = np.divmod(coded, _SIDE)
    if not labels.any():
        found = "labels smaller than a voxel of 2 mm"
        raise InputError(path.name, found, "a body with muscles", "Check the path, --scheme and the voxel size.")
    body = None if outline is None else _outlined(outline, grid, labels > 0)
    ours = np.where(labels < 100, labels, 0).astype(np.uint8)
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
            (labels == 100)[cut],
            (labels == 101)[cut],
            None if body is None else body[cut],
            sides[cut],
        ),
        frozenset(seen),
        {other: first for other, first in merged.items() if first in seen},
    )


def _numbered(file: LabelFile, path: Path) -> NDArray[np.uint16]:
    """Numbers of the label table. 3D Slicer numbers segments anew, so theirs are told by their names."""
    if not file.segments:
        return file.layers[0]
    values = np.zeros(file.layers.shape[1:], np.uint16)
    for segment in file.segments:
        values[file.layers[segment.layer] == segment.value] = match_segment(segment, path.name, "remove the segment")
    return values


def painted_pair(
    source: MappedBody,
    seed: int,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    *,
    water_alone: bool = False,
) -> TrainingPair:
    """Paint a map, scan it in the archive's stations and bring it to a network's voxels.

    Parameters
    ----------
    source : MappedBody
    seed : int
        Decides tissue, scan and the grid's origin.
    spacing_mm : tuple of float, (x, y, z)
    water_alone : bool
        Fat is what stands in for it in a study of water alone (`operators.station_fusion.water_alone`).
    """
    tissues = paint(source.body, seed)
    stations = archive_stations()
    scans = acquire_study(tissues, stations, drawn_options(seed), seed)
    (water, fat), fused = fused_images(scans, (Contrast.WATER, Contrast.FAT))
    if water_alone:
        fat = fat_stand_in(water, body_of_water(water, fused))
    grid = _training_grid(source.body.grid, np.array(spacing_mm), np.random.default_rng([seed, 12]))
    fine = divided(grid)

    def nearest(target: Grid) -> NDArray[np.uint8]:
        return resample_labels(source.body.labels, source.body.grid, target)[0].astype(np.uint8)

    return TrainingPair(
        water=Volume(resampled(water, fused, grid), grid),
        fat=Volume(resampled(fat, fused, grid), grid),
        labels=Volume(nearest(grid), grid),
        fine_labels=Volume(nearest(fine), fine),
    )


def write_painted_study(out: Path, source: MappedBody, seed: int = 0) -> WrittenStudy:
    """Write a DICOM study of the painted map, in those of the archive's stations that the map fills, and its truth.

    Raises
    ------
    OutputError
        If the output exists already or cannot be written.
    """
    tissues = paint(source.body, seed)
    z, _, _ = axes(source.body.grid)
    shares = [
        (min(high, z[-1]) - max(low, z[0])) / (high - low)
        for low, high in (station.z_edges_mm for station in archive_stations())
    ]
    filled = [s for s, share in zip(archive_stations(), shares, strict=True) if share >= min(_FILLED, max(shares))]
    volumes = count_volumes(source.body.labels, source.body.grid)
    person = draw_participant(seed, tmv_cm3=volumes.tmv_cm3, pa_ratio=volumes.pa_ratio)
    return write_study(out, participant=person, stations=filled, tissues=tissues)


def map_name(path: Path) -> str:
    """A name for the pairs of a label map: those of several maps can lie in one folder, and no file's name is in it."""
    return f"painted-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def write_painted_set(
    out: Path,
    source: MappedBody,
    name: str,
    seeds: Sequence[int],
    *,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    water_alone: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``out/<name>-<seed>/{water,fat,labels,fine_labels}.nrrd`` and ``classes.json``. Existing ones are kept.

    Parameters
    ----------
    out : Path
    source : MappedBody
    name : str
        First part of the folders' names.
    seeds : sequence of int
        One for each painting.
    spacing_mm : tuple of float, (x, y, z)
    water_alone : bool
        Fat of every other painting is computed from its water.
    progress : callable, optional
        Called with the paintings done so far and their number.
    """
    for done, seed in enumerate(seeds):
        folder = out / f"{name}-{seed:04d}"
        if not folder.exists():
            with new_folder(folder) as partial:
                pair = painted_pair(source, seed, spacing_mm, water_alone=water_alone and seed % 2 == 1)
                for file in ("water", "fat", "labels", "fine_labels"):
                    write_volume(partial / f"{file}.nrrd", getattr(pair, file))
                (partial / "classes.json").write_text(json.dumps(source.classes, indent=1) + "\n", encoding="utf-8")
        if progress is not None:
            progress(done + 1, len(seeds))


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
    inside, _ = resample_labels((mask.layers[0] > 0).astype(np.int16), mask.grid, grid)
    if not (labelled & (inside > 0)).any():
        found = "none of the labels inside the outline" if mask.layers.any() else "no voxel of a body"
        raise InputError(
            path.name, found, "a mask of the body around the labels", "Check that both files are of one image."
        )
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


def _training_grid(body: Grid, spacing: NDArray[np.float64], rng: np.random.Generator) -> Grid:
    """A grid over the map's extent, its origin at a random place within a voxel."""
    z, y, x = axes(body)
    low, high = np.array([x[0], y[0], z[0]]), np.array([x[-1], y[-1], z[-1]])
    counts = np.maximum(np.floor((high - low) / spacing).astype(int), 1)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + spacing / 2 + rng.uniform(0.0, 1.0, 3) * (high - low - counts * spacing)
    return Grid((int(counts[2]), int(counts[1]), int(counts[0])), affine)
