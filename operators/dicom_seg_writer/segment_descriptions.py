"""What a segmentation says of each of its segments (PS3.3 C.8.20.4)."""

from __future__ import annotations

from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from operators.core.anatomy import ADIPOSE_INDEX, STRUCTURES
from operators.core.dicom_objects import derived_uid
from operators.core.model_card import ModelCard
from operators.core.volume import Study
from operators.dicom_seg_writer.concepts import algorithm_identification, structure_concept, tracking

__all__ = ["segment_descriptions"]

_ADIPOSE_RGB = (242, 221, 120)


def segment_descriptions(study: Study, model: ModelCard, with_adipose: bool) -> list[SegmentDescription]:
    """All 27 structures in the order of the label table, and adipose tissue when it occurs.

    Left and right share a segment, as they share a label; paired structures
    say so by the modifier "Right and left".
    """
    kind = SegmentAlgorithmTypeValues(model.made.upper())
    algorithm = None if kind is SegmentAlgorithmTypeValues.MANUAL else algorithm_identification(model)
    segments = []
    for structure in STRUCTURES:
        tracking_id, tracking_uid = tracking(study.study_uid, model, structure)
        segment = SegmentDescription(
            segment_number=structure.index,
            segment_label=structure.display_name,
            segmented_property_category=codes.SCT.AnatomicalStructure,
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
    if with_adipose:
        segments.append(
            SegmentDescription(
                segment_number=ADIPOSE_INDEX,
                segment_label="Adipose tissue",
                segmented_property_category=codes.SCT.Tissue,
                segmented_property_type=codes.SCT.AdiposeTissue,
                algorithm_type=kind,
                algorithm_identification=algorithm,
                tracking_id="adipose tissue",
                tracking_uid=derived_uid("tracking", study.study_uid, model.sha256, "adipose"),
                display_color=CIELabColor.from_rgb(*_ADIPOSE_RGB),
            )
        )
    return segments
