"""A label map and how it was made, as it is passed from the segmentation to the writers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from operators.core.errors import InternalError
from operators.core.volume import QualityFlag, Volume

__all__ = ["LABELLING_FLAGS", "LabelMap", "label_digest"]

LABELLING_FLAGS = frozenset(
    {
        "coarse-labels",
        "contrast-computed",
        "implausible-anatomy",
        "incomplete-masks",
        "intensity-rescaled",
        "intensity-unmatched",
        "label-holes",
        "labels-displaced",
        "labels-edited",
        "labels-limited",
        "labels-made-elsewhere",
        "overlapping-labels",
        "partial-labels",
        "segmentation-backend",
        "segmentation-memory",
        "single-label",
        "turned-image-fits",
        "unknown-labels",
        "wider-structure",
    }
)
"""Codes of the flags that belong to a label map. When a study is measured again with other labels, flags with these
codes are dropped. Flags with any other code are kept, because they come from loading and fusion. So every code of a
label map must be listed here."""


@dataclass(frozen=True)
class LabelMap(Volume):
    """Labels of the label table on a grid, and what a reader must know about them.

    Attributes
    ----------
    confidence : Volume or None
        float32 in [0, 1] on the same grid: the probability of each voxel's
        label; None when it was not requested or is not known.
    confidence_by_label : mapping of int to tuple of float
        Mean and low percentile of the confidence over the voxels of each
        label (`operators.core.confidence`); empty when it is not known.
    groups : mapping of str to tuple of str
        Structures that are labelled only together, by the group's name
        (``quadriceps``); `group_voxels` says where.
    group_voxels : Volume or None
        uint8 on the same grid: the number of a group, counted from 1 in the
        order of `groups`; 0 elsewhere.
    sides : Volume or None
        uint8 on the same grid: 1 where the labels themselves say left, 2 where they say right, 0 where they say
        nothing. None when they say nothing anywhere.
    cut : frozenset of str
        Structures of which only a part is labelled, because the label map
        ended inside the body.
    engine : str
        Backend, device and precision, for the report; empty when no network ran.
    flags : tuple of QualityFlag
        Fallbacks and other things that a reader of the report must know.

    Raises
    ------
    InternalError
        When `confidence`, `group_voxels` or `sides` is not on the grid of the labels,
        or the code of a flag is not among `LABELLING_FLAGS`.
    """

    confidence: Volume | None = None
    confidence_by_label: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group_voxels: Volume | None = None
    sides: Volume | None = None
    cut: frozenset[str] = frozenset()
    engine: str = ""
    flags: tuple[QualityFlag, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("confidence", "group_voxels", "sides"):
            volume = getattr(self, name)
            if volume is not None and not volume.grid.same_as(self.grid):
                raise InternalError(f"label map, {name}", "a different grid", "the grid of the labels")
        if undeclared := {flag.code for flag in self.flags} - LABELLING_FLAGS:
            raise InternalError("label map", f"flags {', '.join(sorted(undeclared))}", "codes of LABELLING_FLAGS")


def label_digest(labels: Volume) -> str:
    """SHA-256 of a label map's voxels and of its affine, the latter rounded to a nanometre."""
    digest = hashlib.sha256(np.ascontiguousarray(labels.voxels, dtype=np.uint8).data)
    digest.update(np.round(labels.grid.affine, 6).tobytes())
    return digest.hexdigest()
