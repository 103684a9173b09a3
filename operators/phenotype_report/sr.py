"""`report.sr.dcm`: the phenotypes as a DICOM Structured Report (PS3.16 TID 1500, Measurement Report)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from highdicom import ContentQualificationValues
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage

from operators.core import clock
from operators.core.dicom_objects import MANUFACTURER, derived_uid, patient_and_study, settle_dates, software_version
from operators.core.dicom_objects.encoding import write_file
from operators.core.model_card import ModelCard
from operators.core.output_files import replacing
from operators.core.phenotypes import PHENOTYPES, Phenotype, SrConcept
from operators.core.volume import Fused, QualityFlag, Study
from operators.dicom_seg_writer.concepts import (
    algorithm_parameters,
    private_concept,
    scheme_items,
    structure_concept,
    tracking,
)
from operators.phenotype_report.measurements import Measurements, StructureMeasure
from operators.phenotype_report.report import unique_flags

__all__ = ["make_sr", "write_sr"]

_SERIES_NUMBER = 9002
_Group = VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations
_LATERALITY = {"left": codes.SCT.Left, "right": codes.SCT.Right}


def write_sr(
    path: Path | str,
    measurements: Measurements,
    segmentation: Dataset,
    fused: Fused,
    study: Study,
    model: ModelCard,
    created: datetime | None = None,
) -> Path:
    """Write the SR of a study; see `make_sr`.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    document = make_sr(measurements, segmentation, fused, study, model, created)
    with replacing(path) as temporary:
        write_file(temporary, document, document.file_meta)
    return Path(path)


def make_sr(
    measurements: Measurements,
    segmentation: Dataset,
    fused: Fused,
    study: Study,
    model: ModelCard,
    created: datetime | None = None,
) -> ComprehensiveSR:
    """Build the SR: one group for each measured structure, linked to its segment, and one for the phenotypes.

    Flags are qualitative evaluations, and so is the statement that the weights
    were trained on synthetic anatomy. If phenotypes are withheld, there are no
    numbers, only the flags that give the reasons. The evidence is the
    segmentation and the derived images that it refers to.

    Parameters
    ----------
    measurements : Measurements
    segmentation : Dataset
        Header of the DICOM SEG that was measured; pixels are not needed.
    fused : Fused
    study : Study
    model : ModelCard
    created : datetime, optional
        Now by default.
    """
    images = _referenced_images(segmentation)
    flags = unique_flags(study, fused, measurements)
    groups: list[_Group] = [
        _structure_group(measure, segmentation, images[0].SeriesInstanceUID, study, model)
        for measure in measurements.structures
        if measure.volume_cm3 is not None
    ]
    groups.append(_phenotype_group(measurements, flags, study, model))
    report = MeasurementReport(
        observation_context=_observer(model),
        procedure_reported=codes.LN.MRIUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    identity = (
        str(segmentation.SOPInstanceUID),
        software_version(),
        repr(measurements.structures),
        repr(measurements.phenotypes),
        repr(flags),
    )
    root = report[0]
    # highdicom copies the content and searches it three times, which takes longer than building it. So the document is
    # made with the root alone. The tree refers to the segmentation only, which is always among the evidence.
    outline = Dataset()
    outline.update({element.tag: element for element in root if element.keyword != "ContentSequence"})
    outline.ContentSequence = []
    document = ComprehensiveSR(
        evidence=[segmentation, *images],
        content=outline,
        series_instance_uid=derived_uid("sr-series", *identity),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=derived_uid("sr-instance", *identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        manufacturer_model_name=model.name[:64],
        software_versions=software_version(),
        device_serial_number=model.sha256[:64],
        series_description=f"SarcoMAP phenotypes{model.remark}"[:64],
        coding_schemes=scheme_items(),
        content_qualification=ContentQualificationValues.RESEARCH if model.synthetic_training else None,
    )
    document.ContentSequence = root.ContentSequence
    document.update(patient_and_study(study))
    settle_dates(document, study, created or clock.now())
    return document


def _referenced_images(segmentation: Dataset) -> list[Dataset]:
    """The images that a segmentation refers to, with the attributes that a reference needs."""
    images = []
    for series in segmentation.ReferencedSeriesSequence:
        for instance in series.ReferencedInstanceSequence:
            image = Dataset()
            image.StudyInstanceUID = segmentation.StudyInstanceUID
            image.SeriesInstanceUID = series.SeriesInstanceUID
            image.SOPClassUID = instance.ReferencedSOPClassUID
            image.SOPInstanceUID = instance.ReferencedSOPInstanceUID
            images.append(image)
    return images


def _structure_group(
    measure: StructureMeasure, segmentation: Dataset, source_series_uid: str, study: Study, model: ModelCard
) -> _Group:
    structure = measure.structure
    concept = structure_concept(structure)
    tracking_id, tracking_uid = tracking(study.study_uid, model, structure)
    algorithm = AlgorithmIdentification(name=model.name, version=model.version)
    numbers = []
    for value, laterality in (
        (measure.volume_cm3, codes.SCT.RightAndLeft if structure.paired else None),
        (measure.left_cm3, codes.SCT.Left),
        (measure.right_cm3, codes.SCT.Right),
    ):
        if value is not None:
            site = FindingSite(concept, laterality=laterality)
            numbers.append(
                Measurement(
                    name=codes.SCT.Volume,
                    value=round(value, 3),
                    unit=codes.UCUM.CubicCentimeter,
                    finding_sites=[site],
                    algorithm_id=algorithm,
                )
            )
    if measure.fat_fraction_mean is not None:
        numbers.append(
            Measurement(
                name=codes.DCM.FatFraction,
                value=round(100 * measure.fat_fraction_mean, 3),
                unit=codes.UCUM.Percent,
                derivation=codes.SCT.Mean,
                algorithm_id=algorithm,
            )
        )
    described = {
        "tracking_identifier": TrackingIdentifier(uid=tracking_uid, identifier=tracking_id),
        "finding_category": codes.SCT.AnatomicalStructure,
        "finding_type": concept,
        "measurements": numbers,
    }
    if segmentation.SOPClassUID != SegmentationStorage:
        # Only references to Segmentation Storage may name segments. A label map's are identified by their tracking UID.
        return MeasurementsAndQualitativeEvaluations(**described)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=structure.index,
            source_series=SourceSeriesForSegmentation(source_series_uid),
        ),
        **described,
    )


def _phenotype_group(
    measurements: Measurements, flags: Sequence[QualityFlag], study: Study, model: ModelCard
) -> MeasurementsAndQualitativeEvaluations:
    # Phenotypes of both sides first, then those of one side.
    shown = sorted(PHENOTYPES.values(), key=lambda phenotype: len(phenotype.sides) == 1)
    numbers = [
        _phenotype_measurement(phenotype, phenotype.sr, value)
        for phenotype in shown
        if phenotype.sr is not None and (value := measurements.phenotypes[phenotype.key]) is not None
    ]
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
    parameters = [f"{key}: {value}" for key, value in algorithm_parameters(model).items()]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid("tracking", study.study_uid, model.sha256, "phenotypes"), identifier="phenotypes"
        ),
        finding_type=codes.SCT.SkeletalMuscle,
        algorithm_id=AlgorithmIdentification(name=model.name, version=model.version, parameters=parameters),
        measurements=numbers or None,
        qualitative_evaluations=evaluations or None,
    )


def _phenotype_measurement(phenotype: Phenotype, concept: SrConcept, value: float) -> Measurement:
    unit = phenotype.unit
    side = _LATERALITY[phenotype.sides[0]] if len(phenotype.sides) == 1 else None
    site = None if concept.site is None else CodedConcept(concept.site[1], concept.site[0], concept.site[2])
    return Measurement(
        name=private_concept(concept.code or phenotype.key, concept.meaning),
        value=round(unit.factor * value, 5),
        unit=CodedConcept(unit.ucum, "UCUM", unit.ucum_meaning),
        finding_sites=None if site is None else [FindingSite(site, laterality=side)],
    )


def _observer(model: ModelCard) -> ObservationContext:
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=derived_uid("device", model.name, model.version, model.sha256),
                name="SarcoMAP",
                manufacturer_name=MANUFACTURER,
                model_name=model.name[:64],
                serial_number=model.sha256,
            ),
        )
    )
