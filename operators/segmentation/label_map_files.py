"""Writing of a label map's files."""

from __future__ import annotations

from pathlib import Path

from operators.core.label_map import LabelMap
from operators.core.nrrd_files import write_segmentation, write_volume
from operators.core.output_folder import CONFIDENCE_FILE, SIDES_FILE

__all__ = ["CONFIDENCE_FILE", "SEGMENTATION_FILE", "SIDES_FILE", "write_label_map"]

SEGMENTATION_FILE = "segmentation.seg.nrrd"


def write_label_map(folder: Path, labels: LabelMap) -> None:
    """Write ``segmentation.seg.nrrd``, and ``segmentation_confidence.nrrd`` if the confidence is known.

    Labels that state left and right also give ``segmentation_sides.nrrd`` (1 left, 2 right), because a segment holds
    both sides.

    Raises
    ------
    OutputError
        See `write_segmentation`.
    """
    write_segmentation(folder / SEGMENTATION_FILE, labels)
    if labels.confidence is not None:
        write_volume(folder / CONFIDENCE_FILE, labels.confidence)
    if labels.sides is not None:
        write_volume(folder / SIDES_FILE, labels.sides)
