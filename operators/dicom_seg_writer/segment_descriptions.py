"""Descriptions of the segments of a segmentation (PS3.3 C.8.20.4)."""

from __future__ import annotations

from collections.abc import Iterable

from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from operators.core.anatomy import Structure, Tissue
from operators.core.model_card import ModelCard
from operators.core.volume import Study
from operators.dicom_seg_writer.concepts import algorithm_identification, structure_concept, tracking

__all__ = ["segment_descriptions"]

_CATEGORIES = {
    Tissue.MUSCLE: codes.SCT.AnatomicalStructure,
    Tissue.BONE: codes.SCT.AnatomicalStructure,
    Tissue.ADIPOSE: codes.SCT.Tissue,
}


def segment_descriptions(study: Study, model: ModelCard, structures: Iterable[Structure]) -> list[SegmentDescription]:
    """A segment for each of these rows of the label table, with the same numbers.

    Left and right share a segment, just as they share a label. Paired structures
    have the modifier "Right and left".
    """
    kind = SegmentAlgorithmTypeValues(model.made.upper())
    algorithm = None if kind is SegmentAlgorithmTypeValues.MANUAL else algorithm_identification(model)
    segments = []
    for structure in structures:
        tracking_id, tracking_uid = tracking(study.study_uid, model, structure)
        segment = SegmentDescription(
            segment_number=structure.index,
            segment_label=structure.display_name,
            segmented_property_category=_CATEGORIES[structure.tissue],
            segmented_property_type=structure_concept(structure),
            algorithm_type=kind,
            algorithm_identification=algorithm,
            tracking_id=tracking_id,
            tracking_uid=tracking_uid,
            display_color=CIELabColor.from_rgb(*structure.colour_rgb),
        )
        if structure.paired:
            both_sides = CodedConcept.from_code(codes.SCT.RightAndLeft)
            segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [both_sides]
        segments.append(segment)
    return segments
