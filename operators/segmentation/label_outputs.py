"""The whole third stage: label a fused study, or import labels made elsewhere, and write the label map."""

from __future__ import annotations

from pathlib import Path

from operators.core.label_map import LabelMap
from operators.core.model_card import ModelCard
from operators.core.options import LabelOptions, SegmentationOptions
from operators.core.volume import Fused
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.inference import DEFAULT_OPTIONS, segment
from operators.segmentation.label_map_files import write_label_map
from operators.segmentation.made_elsewhere import import_labels
from operators.segmentation.other_tool import label_with

__all__ = ["write_imported_labels", "write_labels"]


def write_labels(
    folder: Path | str, fused: Fused, model: SegmentationModel, options: SegmentationOptions = DEFAULT_OPTIONS
) -> tuple[LabelMap, ModelCard]:
    """Label a fused study and write ``segmentation.seg.nrrd``.

    Parameters
    ----------
    folder : Path or str
        ``segmentation_confidence.nrrd`` is also written there if ``options.confidence`` is set.
    fused, model, options
        See `segment`.

    Raises
    ------
    SarcoMapError
        See `segment` and `write_segmentation`.
    """
    labels = segment(fused, model, options)
    write_label_map(Path(folder), labels)
    return labels, model.card


def write_imported_labels(folder: Path | str, fused: Fused, options: LabelOptions) -> tuple[LabelMap, ModelCard]:
    """Translate label maps made elsewhere, or made now by another tool, and write ``segmentation.seg.nrrd``.

    Parameters
    ----------
    folder : Path or str
    fused : Fused
    options : LabelOptions

    Raises
    ------
    SarcoMapError
        See `import_labels`, `label_with` and `write_segmentation`.
    """
    tool = options.tool()
    if tool is None:
        labels, card = import_labels(fused, options.sources())
    else:
        labels, card = label_with(
            tool,
            fused,
            minutes=options.segmenter_minutes,
            memory_gb=options.segmenter_memory_gb,
        )
    write_label_map(Path(folder), labels)
    return labels, card
