"""The numbers that a flag casts doubt on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from operators.core.anatomy import STRUCTURES
from operators.core.label_map import LabelMap
from operators.core.phenotypes import PHENOTYPES
from operators.core.volume import QualityFlag, Quantity

if TYPE_CHECKING:
    from operators.phenotype_report.measurements import Measurements

__all__ = ["doubting", "touched", "z_ranges_mm"]

_LABEL_COUNT = len(STRUCTURES) + 1


def touched(flag: QualityFlag, measurements: Measurements) -> tuple[str, ...]:
    """The phenotypes that a flag casts doubt on, by key.

    They are of the flag's kinds of numbers and are computed from a structure that
    it names and that lies in its range of z. An error touches all phenotypes, and
    information touches none.
    """
    if flag.severity == "error":
        return tuple(PHENOTYPES)
    if flag.severity == "info" or not flag.quantities:
        return ()
    structures = _structures(flag, measurements.z_ranges_mm)
    return tuple(
        key
        for key, phenotype in PHENOTYPES.items()
        if phenotype.quantity in flag.quantities
        and measurements.phenotypes[key] is not None
        and not structures.isdisjoint(phenotype.needs)
    )


def doubting(
    name: str,
    flags: Sequence[QualityFlag],
    ranges: Mapping[str, tuple[float, float]],
    quantities: Sequence[Quantity] = ("volume", "fat"),
) -> tuple[str, ...]:
    """Codes of the warnings that cast doubt on such numbers of one structure.

    Parameters
    ----------
    name : str
        Of the structure, as in `STRUCTURES`.
    flags : sequence of QualityFlag
    ranges : mapping of str to tuple of float
        From `z_ranges_mm`.
    quantities : sequence of {"volume", "fat"}
        The kinds of numbers that are asked about.
    """
    grave = [flag for flag in flags if flag.severity == "warning" and not set(quantities).isdisjoint(flag.quantities)]
    return tuple(dict.fromkeys(flag.code for flag in grave if name in _structures(flag, ranges)))


def z_ranges_mm(labels: LabelMap) -> Mapping[str, tuple[float, float]]:
    """LPS z of the lowest and the highest slice of each labelled structure; members of a group have the group's."""
    affine, (_, rows, columns) = labels.grid.affine, labels.grid.shape
    # Along the slice axis only: a slice of an oblique grid is taken at its middle.
    heights = np.array([(affine @ [(columns - 1) / 2, (rows - 1) / 2, k, 1.0])[2] for k in range(labels.grid.shape[0])])
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    there = np.array([np.bincount(axial.ravel(), minlength=_LABEL_COUNT)[:_LABEL_COUNT] > 0 for axial in voxels])
    found = {s.name: heights[there[:, s.index]] for s in STRUCTURES if there[:, s.index].any()}
    if labels.group_voxels is not None:
        for number, members in enumerate(labels.groups.values(), start=1):
            where = heights[(labels.group_voxels.voxels == number).any(axis=(1, 2))]
            found |= {name: where for name in members if where.size and name not in found}
    return {name: (float(mm.min()), float(mm.max())) for name, mm in found.items()}


def _structures(flag: QualityFlag, ranges: Mapping[str, tuple[float, float]]) -> set[str]:
    named = set(flag.structures or [s.name for s in STRUCTURES])
    if flag.z_mm is None:
        return named
    low, high = flag.z_mm
    return {name for name in named if name in ranges and ranges[name][0] < high and ranges[name][1] > low}
