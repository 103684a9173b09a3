"""Read label files of annotators and other tools into the values of the label table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core import anatomy
from operators.core.errors import InputError
from operators.core.label_files import read_label_file
from operators.core.nrrd_files import read_layers
from operators.core.slicer_segments import Segment, list_segments, match_segment
from operators.core.volume import Volume

__all__ = ["AnnotatedLabels", "read_labels"]


@dataclass(frozen=True)
class AnnotatedLabels:
    """A label map and the classes that its annotator drew.

    Attributes
    ----------
    labels : Volume
        uint8, values of the label table.
    annotated : frozenset of int
        Classes with at least one voxel. Other structures may still be in the image: their voxels
        are labelled 0.
    """

    labels: Volume
    annotated: frozenset[int]


def read_labels(
    path: str | Path, mapping: Mapping[int, int] | None = None, ignore: Collection[str] = ()
) -> AnnotatedLabels:
    """Read a label file into the values of the label table.

    Parameters
    ----------
    path : path
        ``.seg.nrrd`` of 3D Slicer with one or more layers, or a plain label map (NRRD or NIfTI).
    mapping : mapping of int to int, optional
        Meaning of the values of a plain label map. None: they are values of our
        own label table, which only this project's tools write.
    ignore : collection of str
        Names of segments to leave out.

    Raises
    ------
    InputError
        If the file is unreadable, a segment is unknown, a value is outside the
        table, or segments overlap.
    """
    path = Path(path)
    where = f"{path.parent.name}/{path.name}"
    segments: tuple[Segment, ...] = ()
    if path.name.lower().endswith((".nii", ".nii.gz")):
        file = read_label_file(path)
        voxels, grid = file.layers[0], file.grid
    else:
        layers, grid, header = read_layers(path, where)
        if not np.issubdtype(layers.dtype, np.integer):
            raise InputError(where, f"voxels of {layers.dtype}", "a label map of whole numbers", "Check the path.")
        voxels = layers[0] if len(layers) == 1 else layers
        segments = list_segments(header, where)
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
        index = match_segment(segment, where, f"leave it out with --ignore-segment {segment.name!r}")
        taken = labels[here]
        if (clash := taken[(taken != 0) & (taken != index)]).size:
            raise InputError(
                where,
                f"{clash.size} voxels in both {owner[int(clash[0])]!r} and {segment.name!r}",
                "one structure per voxel",
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
            f"a three-dimensional label map with values {min(known)} to {max(known)}",
            "Give the label scheme of the file (--scheme), or save a .seg.nrrd with named segments.",
        )
    table = np.zeros(int(values.max(initial=0)) + 1, np.uint8)
    for value in values.astype(int):
        table[value] = value if mapping is None else mapping.get(int(value), 0)
    return np.asarray(table[voxels.astype(np.intp)])
