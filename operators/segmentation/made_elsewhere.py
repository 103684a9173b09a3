"""Import of label maps that were made elsewhere, in place of our network's labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.anatomy import ADIPOSE_INDEX, BACKGROUND_INDEX, by_index, by_name
from operators.core.errors import InputError
from operators.core.grid_geometry import voxels_coincide
from operators.core.label_files import LabelFile, read_label_file, resample_labels
from operators.core.label_map import LabelMap
from operators.core.label_schemes import LabelSource, Scheme
from operators.core.label_schemes.scheme import Made, plain_name
from operators.core.model_card import ModelCard
from operators.core.slicer_segments import Segment, find_structure
from operators.core.volume import Fused, QualityFlag, Volume

__all__ = ["import_labels", "map_labels", "unknown_labels"]

# Below these fractions, a label map belongs to another study or its affine is wrong.
_LEAST_BODY_COVERED = 0.25  # of the fused body, by the label map's grid; a scan of the thighs alone is accepted
_LEAST_INSIDE_BODY = 0.75  # of the labelled voxels on the fused grid
_LEAST_ON_GRID = 0.5  # of the labelled volume; tools that label the whole body also label parts that we do not measure
_COVERED = 0.98  # of the body; a smaller coverage is flagged, and so is any structure that is cut off


def import_labels(fused: Fused, sources: Sequence[LabelSource]) -> tuple[LabelMap, ModelCard]:
    """Bring label maps that were made elsewhere onto the fused grid.

    Each is resampled by nearest neighbour and translated by its scheme. A later
    label map fills only voxels that the earlier ones left empty. Labels that a
    scheme does not know are left out and flagged. Structures that no scheme has
    are absent.

    Parameters
    ----------
    fused : Fused
    sources : sequence of LabelSource
        At least one.

    Returns
    -------
    labels : LabelMap
        On the fused grid.
    model : ModelCard
        States that the labels were made elsewhere, and with which tool.

    Raises
    ------
    InputError
        When a file cannot be read or used, is not at the position of the
        study, or holds none of our structures.
    """
    labels = np.zeros(fused.grid.shape, dtype=np.uint8)
    group_voxels = np.zeros(fused.grid.shape, dtype=np.uint8)
    groups: dict[str, tuple[str, ...]] = {}
    cut: set[str] = set()
    flags: list[QualityFlag] = []
    digests = []
    for source in sources:
        file = read_label_file(source.path)
        digests.append(file.sha256)
        mapped, unknown = map_labels(file, source.scheme, source.path.name)
        if not mapped.any():
            raise InputError(
                source.path.name,
                f"none of the structures that scheme {source.scheme.name} has for us",
                "at least one label of the scheme",
                "Check --scheme: the same numbers mean other structures in other tools and tasks.",
            )
        here, covered = resample_labels(mapped, file.volume.grid, fused.grid)
        if file.segments and voxels_coincide(file.volume.grid, fused.grid):
            # 3D Slicer saves the box around the segments. Outside it nothing was drawn, so nothing is missing there.
            covered[:] = True
        labelled_mm3 = float((mapped != 0).sum()) * file.volume.grid.voxel_volume_mm3
        _check_place(source.path.name, here, covered, labelled_mm3, fused)
        cut_here = _cut_structures(here, covered, fused.body, source.scheme)
        cut |= cut_here
        flags += _flags(source.scheme, unknown, float(covered[fused.body].mean()), bool(cut_here))
        free = (labels == BACKGROUND_INDEX) & (group_voxels == 0)
        labels = np.where(free & (here > 0), here, labels).astype(np.uint8)
        for number, (name, (of, _)) in enumerate(source.scheme.groups.items(), start=1):
            groups.setdefault(name, of)
            group_voxels[free & (here == -number)] = list(groups).index(name) + 1
    labels[labels == ADIPOSE_INDEX] = BACKGROUND_INDEX  # as for our network: adipose tissue is not measured
    flags.insert(0, _elsewhere(sources))
    made = LabelMap(
        labels,
        fused.grid,
        groups=groups,
        group_voxels=Volume(group_voxels, fused.grid) if groups else None,
        cut=frozenset(cut),
        flags=tuple(dict.fromkeys(flags)),
    )
    return made, _card(sources, digests)


def map_labels(file: LabelFile, scheme: Scheme, where: str) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    """Translate a label map to the label table, on its own grid.

    Segments are matched by name, because 3D Slicer renumbers them; with our own
    scheme also by SNOMED CT code. Numbers count only in a file without
    segments.

    Returns
    -------
    mapped : ndarray, shape (z, y, x), int8
        Indices of the label table; for a group, minus its number (counted from 1).
    unknown : tuple of str
        Labels in the file that the scheme does not list.

    Raises
    ------
    InputError
        When name and code of a segment contradict each other, or the file has
        segments but the scheme knows none of them.
    """
    present = np.flatnonzero(np.bincount(file.volume.voxels.ravel())).tolist()
    meaning = _meaning_of_segments(file.segments, scheme, where) if file.segments else scheme.labels
    names = {segment.value: segment.name for segment in file.segments}
    targets = scheme.targets()
    table = np.zeros(max(present, default=0) + 1, dtype=np.int8)
    unknown = []
    for number in present:
        name = meaning.get(number, "")
        table[number] = targets.get(name, 0)
        if number and not name:
            unknown.append(names.get(number, str(number)))
    return table[file.volume.voxels], tuple(unknown)


def _meaning_of_segments(segments: Sequence[Segment], scheme: Scheme, where: str) -> dict[int, str]:
    """The scheme's label for each segment's number."""
    known = {plain_name(name): name for name in scheme.labels.values()}
    named = {segment.value: known.get(plain_name(segment.name), "") for segment in segments}
    for segment in segments:
        index = None if named[segment.value] else find_structure(segment, where)
        ours = None if index is None else by_index(index).name
        if ours and scheme.structures.get(ours) == (ours,):  # a scheme with our own names
            named[segment.value] = ours
    if not any(named.values()):
        shown = ", ".join(segment.name for segment in segments[:4])
        raise InputError(
            where,
            f"segments that scheme {scheme.name} does not know ({shown}{', ...' if len(segments) > 4 else ''})",
            "segments with the names of the scheme's labels (3D Slicer changes their numbers)",
            "Rename them in 3D Slicer, or export them as a label map (NIfTI or NRRD), in which numbers count.",
        )
    return named


def _cut_structures(
    labels: NDArray[np.int16], covered: NDArray[np.bool_], body: NDArray[np.bool_], scheme: Scheme
) -> set[str]:
    """Structures that reach the edge of a label map inside the body, so that only a part of them is labelled."""
    beyond = body & ~covered
    if not beyond.any():
        return set()
    edge = ndimage.binary_dilation(beyond) & covered
    members = [of for of, _ in scheme.groups.values()]
    names: set[str] = set()
    for value in np.unique(labels[edge]).tolist():
        if value < 0:
            names |= set(members[-value - 1])
        elif value not in (BACKGROUND_INDEX, ADIPOSE_INDEX):
            names.add(by_index(value).name)
    return names


def _check_place(
    name: str, labels: NDArray[np.int16], covered: NDArray[np.bool_], labelled_mm3: float, fused: Fused
) -> None:
    body = fused.body
    part = float(covered[body].mean()) if body.any() else 0.0
    labelled = labels != 0
    inside = float(body[labelled].mean()) if labelled.any() else 0.0
    on_grid = float(labelled.sum()) * fused.grid.voxel_volume_mm3 / labelled_mm3
    if part < _LEAST_BODY_COVERED or inside < _LEAST_INSIDE_BODY or on_grid < _LEAST_ON_GRID:
        raise InputError(
            name,
            f"a grid that covers {part:.0%} of the body; {on_grid:.0%} of its labels on the fused grid, "
            f"{inside:.0%} of those inside the body",
            f"at least {_LEAST_BODY_COVERED:.0%}, {_LEAST_ON_GRID:.0%} and {_LEAST_INSIDE_BODY:.0%}: "
            "labels of this study at its position",
            "Check that they were made on this study's images (such as fused/water.nrrd) and kept their affine.",
        )


def unknown_labels(scheme: Scheme, unknown: Sequence[str]) -> QualityFlag:
    """The flag for labels that a scheme does not list."""
    shown = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
    message = f"Labels that {scheme.name} {scheme.version} does not list were left out: {shown}."
    return QualityFlag("unknown-labels", "warning", message)


def _flags(scheme: Scheme, unknown: Sequence[str], covered: float, cut: bool) -> list[QualityFlag]:
    flags = [unknown_labels(scheme, unknown)] if unknown else []
    if covered < _COVERED or cut:
        flags.append(
            QualityFlag(
                "partial-labels",
                "warning",
                f"The label map of {scheme.name} covers {covered:.0%} of the body; "
                "phenotypes that need a structure at its edge are not given.",
            )
        )
    for name, what in scheme.wider.items():
        flags.append(
            QualityFlag(
                "wider-structure", "info", f"As {scheme.name} labels it, {by_name(name).display_name} includes {what}."
            )
        )
    return flags


def _elsewhere(sources: Sequence[LabelSource]) -> QualityFlag:
    names = " and ".join(dict.fromkeys(f"{s.scheme.name} {s.scheme.version}" for s in sources))
    return QualityFlag("labels-made-elsewhere", "info", f"The labels were made elsewhere: {names}.")


def _card(sources: Sequence[LabelSource], digests: Sequence[str]) -> ModelCard:
    schemes = list(dict.fromkeys((s.scheme.name, s.scheme.version, s.scheme.source) for s in sources))
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return ModelCard(
        name=" + ".join(name for name, _, _ in schemes),
        version=" + ".join(version for _, version, _ in schemes),
        sha256=digest,
        training_data=f"Not known: labels made elsewhere; their list: {', '.join(url for _, _, url in schemes)}",
        intended_use="As the maker of the labels states.",
        synthetic_training=False,
        made_elsewhere=True,
        made=_least_automatic([source.scheme.made for source in sources]),
    )


def _least_automatic(made: Sequence[Made]) -> Made:
    order: tuple[Made, ...] = ("automatic", "semiautomatic", "manual")
    return max(made, key=order.index)
