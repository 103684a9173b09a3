"""What a reader must know where left and right are those of the labels, as another tool states them."""

from __future__ import annotations

import numpy as np

from operators.core.label_map import LabelMap
from operators.core.volume import QualityFlag, Severity
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.sides import side_volume

__all__ = ["stated_side_flags"]

_MUCH = 0.02
"""Of the labelled voxels on the other side of the body's middle. Muscles that touch the middle, such as the gluteus
maximus and the multifidus, cross it by a voxel or two."""

_SWAPPED = 0.5


def stated_side_flags(labels: LabelMap, surface: MidSurface | None) -> tuple[QualityFlag, ...]:
    """``sides-of-labels``: how far the stated sides agree with the middle of the body; none without stated sides."""
    if labels.sides is None:
        return ()
    stated = np.asarray(labels.sides.voxels, np.uint8)
    labelled = labels.voxels != 0
    if labels.group_voxels is not None:
        labelled = labelled | (labels.group_voxels.voxels != 0)
    sided = labelled & (stated > 0)
    message = "Left and right are those that the labels state"
    if not sided.any():
        return ()
    if sided.sum() < labelled.sum():
        message += "; where they state none, the middle of the body decides"
    if surface is None:
        return (QualityFlag("sides-of-labels", "info", f"{message}.", quantities=()),)
    across = float(np.mean(side_volume(labels.grid, surface).voxels[sided] != stated[sided]))
    message += f"; {across:.1%} of the labelled volume is on the other side of the body's middle"
    if across > _SWAPPED:
        message += ". The labels or the images have left and right exchanged"
    severity: Severity = "warning" if across > _MUCH else "info"
    return (
        QualityFlag(
            "sides-of-labels", severity, f"{message}.", quantities=() if severity == "info" else ("volume", "fat")
        ),
    )
