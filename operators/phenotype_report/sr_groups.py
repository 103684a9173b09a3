"""Measurement groups of the DICOM SR (PS3.16 TID 1411 and TID 1501): one for each side of a structure or of the body.

Numbers are rounded by their uncertainty, as on the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage

from operators.core.dicom_objects import derived_uid
from operators.core.model_card import ModelCard
from operators.core.phenotypes import PHENOTYPES, Phenotype, SrConcept
from operators.core.rounding import rounded
from operators.core.volume import QualityFlag, Study
from operators.dicom_seg_writer.concepts import algorithm_parameters, private_concept, structure_concept, tracking
from operators.phenotype_report.measurements import Measurements, StructureMeasure, Uncertainty

__all__ = ["Group", "limit_meaning", "phenotype_groups", "structure_groups"]

Group = VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations
_SIDES = ("", "left", "right")
_LATERALITY = {"": codes.SCT.RightAndLeft, "left": codes.SCT.Left, "right": codes.SCT.Right}


def structure_groups(
    measure: StructureMeasure, segmentation: Dataset, source_series_uid: str, study: Study, model: ModelCard
) -> list[Group]:
    """The groups of one measured structure: both sides together, then the left and the right where they are known.

    Where the field of view cuts the structure, each group says that its volume is a lower bound.

    Parameters
    ----------
    measure : StructureMeasure
    segmentation : Dataset
        Header of the DICOM SEG that was measured.
    source_series_uid : str
        The series that was segmented.
    study : Study
    model : ModelCard
    """
    structure = measure.structure
    concept = structure_concept(structure)
    tracking_id, tracking_uid = tracking(study.study_uid, model, structure)
    algorithm = AlgorithmIdentification(name=model.name, version=model.version)
    groups: list[Group] = []
    volumes = (measure.volume_cm3, measure.left_cm3, measure.right_cm3)
    errors = (measure.volume_se_cm3, measure.left_se_cm3, measure.right_se_cm3)
    for side, volume, error in zip(_SIDES, volumes, errors, strict=True):
        if volume is None:
            continue
        numbers = [
            Measurement(
                name=codes.SCT.Volume,
                value=rounded(volume, error),
                unit=codes.UCUM.CubicCentimeter,
                algorithm_id=algorithm,
            )
        ]
        if not side and measure.fat_fraction_mean is not None:
            numbers.append(
                Measurement(
                    name=codes.DCM.FatFraction,
                    value=round(100 * measure.fat_fraction_mean, 1),
                    unit=codes.UCUM.Percent,
                    derivation=codes.SCT.Mean,
                    algorithm_id=algorithm,
                )
            )
        uid = derived_uid("tracking-side", tracking_uid, side) if side else tracking_uid
        described = {
            "tracking_identifier": TrackingIdentifier(
                uid=uid, identifier=f"{tracking_id} {side}" if side else tracking_id
            ),
            "finding_category": codes.SCT.AnatomicalStructure,
            "finding_type": concept,
            "finding_sites": [FindingSite(concept, laterality=_LATERALITY[side] if structure.paired else None)],
            "measurements": numbers,
            "qualitative_evaluations": [_lower_bound()] if measure.cut_by_field_of_view else None,
        }
        # Only references to Segmentation Storage may name segments. A label map's are identified by their tracking UID.
        # A segment holds both sides, so the groups of one side refer to none.
        if side or segmentation.SOPClassUID != SegmentationStorage:
            groups.append(MeasurementsAndQualitativeEvaluations(**described))
            continue
        segment = ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=structure.index,
            source_series=SourceSeriesForSegmentation(source_series_uid),
        )
        groups.append(VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **described))
    return groups


def _lower_bound() -> QualitativeEvaluation:
    return QualitativeEvaluation(
        private_concept("coverage", "Coverage of the structure"),
        private_concept("cut_by_field_of_view", "Cut by the field of view: volume is a lower bound"),
    )


def phenotype_groups(
    measurements: Measurements, flags: Sequence[QualityFlag], study: Study, model: ModelCard
) -> list[Group]:
    """Phenotypes of both sides, with flags and statements about the labels; then those of the left and of the right.

    Parameters
    ----------
    measurements : Measurements
    flags : sequence of QualityFlag
    study : Study
    model : ModelCard
    """
    groups: list[Group] = []
    for side in _SIDES:
        numbers = [
            number
            for phenotype in PHENOTYPES.values()
            if phenotype.sr is not None
            and _side_of(phenotype) == side
            and (value := measurements.phenotypes[phenotype.key]) is not None
            for number in _numbers(phenotype, phenotype.sr, value, measurements.uncertainty)
        ]
        if side and not numbers:
            continue
        name = f"phenotypes {side}" if side else "phenotypes"
        evaluations = _statements(flags, model) if not side else []
        parameters = [f"{key}: {value}" for key, value in algorithm_parameters(model).items()]
        groups.append(
            MeasurementsAndQualitativeEvaluations(
                tracking_identifier=TrackingIdentifier(
                    uid=derived_uid("tracking", study.study_uid, model.sha256, name), identifier=name
                ),
                finding_type=codes.SCT.SkeletalMuscle,
                finding_sites=[_site(_SITE_OF_GROUP, side)] if side else None,
                algorithm_id=AlgorithmIdentification(name=model.name, version=model.version, parameters=parameters),
                measurements=numbers or None,
                qualitative_evaluations=evaluations or None,
            )
        )
    return groups


_SITE_OF_GROUP = ("SCT", "127954009", "Skeletal muscle")


def _side_of(phenotype: Phenotype) -> str:
    return phenotype.sides[0] if len(phenotype.sides) == 1 else ""


def _site(site: tuple[str, str, str], side: str) -> FindingSite:
    return FindingSite(CodedConcept(site[1], site[0], site[2]), laterality=_LATERALITY[side] if side else None)


def _statements(flags: Sequence[QualityFlag], model: ModelCard) -> list[QualitativeEvaluation]:
    evaluations = [
        QualitativeEvaluation(
            name=private_concept("quality_flag", f"Quality flag ({flag.severity})"),
            value=private_concept(flag.code, flag.code.replace("-", " ").capitalize()[:64]),
        )
        for flag in flags
    ]
    if model.synthetic_training:
        statement = private_concept("synthetic_weights", "Synthetic weights, not for clinical use")
        evaluations.insert(0, QualitativeEvaluation(private_concept("intended_use", "Intended use"), statement))
    if model.made_elsewhere:
        statement = private_concept("labels_made_elsewhere", "Labels made elsewhere")
        evaluations.insert(0, QualitativeEvaluation(private_concept("label_source", "Source of the labels"), statement))
    if model.edited:
        statement = private_concept("labels_edited", "Labels of the network, edited by hand")
        evaluations.insert(0, QualitativeEvaluation(private_concept("label_source", "Source of the labels"), statement))
    return evaluations


def _numbers(phenotype: Phenotype, concept: SrConcept, value: float, uncertainty: Uncertainty) -> list[Measurement]:
    """The number, and the limits of its interval if it has one."""
    factor = phenotype.unit.factor
    interval = uncertainty.intervals.get(phenotype.key)
    error = None if interval is None else factor * interval.standard_error
    decimals = phenotype.decimals_of(factor * value, error)
    code = concept.code or phenotype.key
    found = [(code, concept.meaning, value)]
    if interval is not None and uncertainty.level is not None:
        found += [
            (f"{code}_{side}", limit_meaning(concept, limit, uncertainty.level), value)
            for side, limit, value in (("low", "lower", interval.low), ("high", "upper", interval.high))
        ]
    return [_measurement(phenotype, *entry[:2], round(factor * entry[2], decimals)) for entry in found]


def limit_meaning(concept: SrConcept, limit: str, level: float) -> str:
    """What a limit of an interval is called. A Code Meaning has 64 characters at most, of which this adds 17."""
    return f"{concept.meaning}, {limit} {100 * level:.0f}% limit"


def _measurement(phenotype: Phenotype, code: str, meaning: str, number: float) -> Measurement:
    unit, site = phenotype.unit, phenotype.sr.site if phenotype.sr else None
    return Measurement(
        name=private_concept(code, meaning),
        value=number,
        unit=CodedConcept(unit.ucum, "UCUM", unit.ucum_meaning),
        # The group gives the laterality, because readers such as dcmqi ignore the site of a number.
        finding_sites=None if site is None else [_site(site, "")],
    )
