"""A folder with one mask for each structure, as TotalSegmentator writes it by default."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import by_index
from operators.core.errors import InputError
from operators.core.grid_geometry import voxels_coincide
from operators.core.label_file_names import masks_in
from operators.core.label_files import LabelFile, read_label_file, resample_labels
from operators.core.label_schemes import Scheme
from operators.core.label_schemes.scheme import plain_name, side_number
from operators.core.slicer_segments import Segment, find_structure
from operators.core.volume import QualityFlag
from operators.segmentation.mapped_labels import MappedLabels, merge_masks, shortened, unknown_labels

__all__ = ["map_masks"]


def map_masks(folder: Path, scheme: Scheme) -> MappedLabels:
    """Read the masks that a scheme knows, and translate them to the label table.

    A file's name without its ending is the structure's name. An empty mask is a
    structure without a voxel. A structure of ours of which a mask is missing (one side,
    one head) is left out, because the rest would pass for the whole.

    Raises
    ------
    InputError
        When the scheme knows none of the names, two files are the mask of one label, or no
        structure has all its masks. When masks are on several grids, a mask holds several
        labels, or two structures overlap by more than a tenth of the smaller one. When a
        file cannot be read.
    """
    files = masks_in(folder)
    meaning = _meaning_of_masks(files, scheme, folder.name)
    complete, incomplete = _with_all_masks(scheme, set(meaning.values()), folder.name)
    targets, order = complete.targets(), list(complete.labels.values())
    used = sorted((n for n in meaning if meaning[n] in targets), key=lambda name: order.index(meaning[name]))
    first = read_label_file(files[used[0]])
    digests: list[str] = []
    make = partial(_mask, first_path=files[used[0]], first=first, digests=digests)
    masks = [(targets[meaning[name]], side_number(name), partial(make, files[name])) for name in used]
    remedy = "Have the tool write one label map instead (TotalSegmentator: --ml), or correct the masks."
    voxels, sides, flags = merge_masks(masks, first.grid, complete, folder.name, remedy)
    unknown = unknown_labels(scheme, [name for name in files if name not in meaning])
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    flags = (*unknown, *incomplete, *flags)
    return MappedLabels(voxels, first.grid, complete, sides, named=False, flags=flags, sha256=digest)


def _meaning_of_masks(files: Mapping[str, Path], scheme: Scheme, where: str) -> dict[str, str]:
    """The scheme's label for each mask that it knows."""
    known = {plain_name(name): name for name in scheme.labels.values()}
    meaning: dict[str, str] = {}
    first: dict[tuple[str, int], str] = {}
    for name in files:
        if found := known.get(plain_name(name)) or _our_name(name, scheme, where):
            meaning[name] = found
            other = first.setdefault((found, side_number(name)), name)
            if other != name:  # such as one that was edited beside the one that the tool wrote
                raise InputError(
                    where,
                    f"{files[other].name} and {files[name].name}, both masks of {found}",
                    "one mask for each label",
                    "Remove one of them.",
                )
    if not meaning:
        raise InputError(
            where,
            f"masks that scheme {scheme.name} does not know ({shortened(list(files), 4)})",
            f"files named like the scheme's labels, such as {next(iter(scheme.labels.values()))}.nii.gz",
            f"Check --scheme, or rename the files. {scheme.other_lists}".rstrip(),
        )
    return meaning


def _our_name(name: str, scheme: Scheme, where: str) -> str:
    """Our name of a structure, for a scheme with our own names: `gracilis_left` is a part of `gracilis`."""
    index = find_structure(Segment(name, name, (), 1, 0), where)
    ours = "" if index is None else by_index(index).name
    return ours if scheme.structures.get(ours) == (ours,) else ""


def _with_all_masks(scheme: Scheme, given: set[str], where: str) -> tuple[Scheme, tuple[QualityFlag, ...]]:
    """The scheme's structures and groups of which every mask is given, and a flag for those of which only some are."""
    parts = {**scheme.structures, **{name: names for name, (_, names) in scheme.groups.items()}}
    whole = {name for name, names in parts.items() if set(names) <= given}
    some = [name for name, names in parts.items() if name not in whole and given & set(names)]
    missing = shortened(sorted({label for name in some for label in parts[name]} - given))
    if not whole:
        raise InputError(
            where,
            f"no structure with all its masks ({f'{missing} missing' if some else shortened(sorted(given))})",
            f"all masks of at least one of: {shortened(list(parts))}",
            "Have the tool write all its structures, both sides of each.",
        )
    complete = replace(
        scheme,
        structures={name: names for name, names in scheme.structures.items() if name in whole},
        groups={name: group for name, group in scheme.groups.items() if name in whole},
        wider={name: what for name, what in scheme.wider.items() if name in whole},
    )
    if not some:
        return complete, ()
    left_out = ", ".join(name.replace("_", " ") for name in some)
    message = f"Left out because masks are missing ({missing}): {left_out}."
    return complete, (QualityFlag("incomplete-masks", "warning", message),)


def _mask(path: Path, first_path: Path, first: LabelFile, digests: list[str]) -> NDArray[np.bool_]:
    """Read a mask onto the grid of the first, and note its digest."""
    file = first if path == first_path else read_label_file(path)
    where = f"{path.parent.name}/{path.name}"
    digests.append(file.sha256)
    highest = file.layers.max()
    if ((file.layers != 0) & (file.layers != highest)).any():
        raise InputError(
            where,
            "several labels",
            "a mask of one structure: 0 and one other value",
            "Give a label map by itself: --segmentation FILE.",
        )
    mask = np.asarray(file.layers.any(axis=0))
    if file.grid.same_as(first.grid):
        return mask
    # A tool that saved it again may have turned its axes, or rounded its affine. A part of the grid is another matter:
    # it may cut the structure.
    if voxels_coincide(file.grid, first.grid) and mask.size == np.prod(first.grid.shape):
        moved, covered = resample_labels(mask, file.grid, first.grid)
        if covered.all():
            return moved != 0
    raise InputError(
        where,
        f"another grid than {first_path.name}",
        "masks of one image, all on its grid",
        "Make them in one run of the tool, or resample them to one image.",
    )
