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
from operators.core.label_files import resample_labels
from operators.core.label_map import LabelMap
from operators.core.label_schemes import LabelSource, Scheme
from operators.core.label_schemes.scheme import Made
from operators.core.model_card import ModelCard
from operators.core.volume import Fused, Grid, QualityFlag, Volume
from operators.segmentation.displaced_labels import displaced_label_flags
from operators.segmentation.exchanged_labels import exchanged_flags
from operators.segmentation.label_holes import hole_flags
from operators.segmentation.label_translation import map_labels
from operators.segmentation.plausible_anatomy import contradictions

__all__ = ["import_labels"]

# Below these fractions, a label map belongs to another study or its affine is wrong.
_LEAST_BODY_COVERED = 0.25  # of the fused body, by the label map's grid; a scan of the thighs alone is accepted
_LEAST_INSIDE_BODY = 0.75  # of the labelled voxels on the fused grid
_LEAST_ON_GRID = 0.5  # of the labelled volume; tools that label the whole body also label parts that we do not measure
_COARSE = 3.0  # times the volume of a fused voxel; labels of 3 mm cubes on the archive's images have 1.5 times
_COVERED = 0.98  # of the body; a smaller coverage is flagged, and so is any structure that is cut off


def import_labels(fused: Fused, sources: Sequence[LabelSource]) -> tuple[LabelMap, ModelCard]:
    """Bring label maps that were made elsewhere onto the fused grid.

    Each is translated by its scheme (`map_labels`) and resampled by nearest neighbour. A later
    label map fills only voxels that the earlier ones left empty. Left and right are kept where
    the names of the labels state them. Segments and masks
    that a scheme does not know are left out and flagged. Structures that no scheme has
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
        study, holds none of our structures, or numbers that its scheme does
        not list. Also when muscles and bones lie where they cannot, because
        the scheme belongs to another version or tool.
    """
    labels = np.zeros(fused.grid.shape, dtype=np.uint8)
    group_voxels = np.zeros(fused.grid.shape, dtype=np.uint8)
    sides = np.zeros(fused.grid.shape, dtype=np.uint8)
    groups: dict[str, tuple[str, ...]] = {}
    cut: set[str] = set()
    flags: list[QualityFlag] = []
    digests = []
    named = False  # whether the labels state their names
    for source in sources:
        mapped = map_labels(source.path, source.scheme)
        scheme = mapped.scheme
        digests.append(mapped.sha256)
        named |= mapped.named or source.path.is_dir()
        if not mapped.voxels.any():
            raise InputError(
                source.path.name,
                f"no voxel of a structure that scheme {scheme.name} maps",
                "at least one label of the scheme",
                "Check --scheme: the same numbers mean other structures in other tools and tasks.",
            )
        here, covered = resample_labels(mapped.voxels, mapped.grid, fused.grid)
        if mapped.named and voxels_coincide(mapped.grid, fused.grid):
            # 3D Slicer saves the box around the segments. Outside it nothing was drawn, so nothing is missing there.
            covered[:] = True
        labelled_mm3 = float((mapped.voxels != 0).sum()) * mapped.grid.voxel_volume_mm3
        _check_place(source.path.name, here, covered, labelled_mm3, fused)
        _check_anatomy(source.path.name, here, scheme, fused)
        cut_here = _cut_structures(here, covered, fused.body, scheme)
        cut |= cut_here
        flags += mapped.flags
        flags += hole_flags(here, scheme)
        flags += _coarse(source.path.name, mapped.grid, fused.grid)
        flags += _flags(scheme, float(covered[fused.body].mean()), bool(cut_here))
        free = (labels == BACKGROUND_INDEX) & (group_voxels == 0)
        labels = np.where(free & (here > 0), here, labels).astype(np.uint8)
        if mapped.sides.any():
            stated, _ = resample_labels(mapped.sides, mapped.grid, fused.grid)
            sides[free & (here != 0)] = stated[free & (here != 0)]
        for number, (name, (of, _)) in enumerate(scheme.groups.items(), start=1):
            groups.setdefault(name, of)
            group_voxels[free & (here == -number)] = list(groups).index(name) + 1
    labels[labels == ADIPOSE_INDEX] = BACKGROUND_INDEX  # as for our network: adipose tissue is not measured
    bones = [by_name(name).index for name in ("femur", "iliac_bone")]
    muscles = (group_voxels > 0) | ((labels != BACKGROUND_INDEX) & ~np.isin(labels, bones))
    together = Volume(group_voxels, fused.grid) if groups else None
    flags += exchanged_flags(labels, fused.grid, groups, together)
    flags += displaced_label_flags(muscles, len(np.unique(labels)) - 1 + len(groups), fused)
    if not named:
        flags += _single(labels, group_voxels, list(groups), sources)
    flags.insert(0, _elsewhere(sources))
    made = LabelMap(
        labels,
        fused.grid,
        groups=groups,
        group_voxels=together,
        sides=Volume(sides, fused.grid) if sides.any() else None,
        cut=frozenset(cut),
        flags=tuple(dict.fromkeys(flags)),
    )
    return made, _card(sources, digests)


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


def _check_anatomy(name: str, labels: NDArray[np.int16], scheme: Scheme, fused: Fused) -> None:
    present = np.unique(labels).tolist()
    groups = list(scheme.groups)
    structures = {by_index(n).name: labels == n for n in present if n > 0 and n != ADIPOSE_INDEX}
    structures |= {groups[-n - 1]: labels == n for n in present if n < 0}
    if wrong := contradictions(structures, fused):
        raise InputError(
            name,
            f"impossible anatomy with scheme {scheme.name} {scheme.version}: {'; '.join(wrong)}",
            "labels whose names fit where they lie",
            "Check --scheme and the version of the tool: the same numbers mean other structures in other lists. Check "
            f"also that the file kept its affine. {scheme.other_lists}".rstrip(),
        )


def _flags(scheme: Scheme, covered: float, cut: bool) -> list[QualityFlag]:
    flags = []
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


def _coarse(name: str, labelled: Grid, fused: Grid) -> list[QualityFlag]:
    """``coarse-labels``: a border is known to half a voxel, which is much of a thin muscle."""
    if labelled.voxel_volume_mm3 <= _COARSE * fused.voxel_volume_mm3:
        return []
    theirs, ours = (" x ".join(f"{mm:.1f}" for mm in grid.spacing_mm) for grid in (labelled, fused))
    message = (
        f"The labels of {name} have voxels of {theirs} mm, the images of {ours} mm. Volumes of thin structures and "
        "ratios such as P/A can be wrong by 5% and more."
    )
    return [QualityFlag("coarse-labels", "warning", message, quantities=("volume", "fat"))]


def _single(
    labels: NDArray[np.uint8], group_voxels: NDArray[np.uint8], groups: Sequence[str], sources: Sequence[LabelSource]
) -> tuple[QualityFlag, ...]:
    """``single-label``: a mask of all muscle has one number too, which a scheme takes for a structure."""
    found = [by_index(n).display_name for n in np.unique(labels).tolist() if n != BACKGROUND_INDEX]
    found += [groups[n - 1] for n in np.unique(group_voxels).tolist() if n]
    if len(found) != 1 or all(len(source.scheme.labels) == 1 for source in sources):
        return ()
    message = (
        f"Of all structures one alone is labelled: {found[0]}. A mask of all muscle would be read so too, but it "
        "belongs to no scheme."
    )
    return (QualityFlag("single-label", "warning", message),)


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
