"""`report.sr.dcm`: the phenotypes as a DICOM Structured Report (PS3.16 TID 1500, Measurement Report)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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

from operators.dicom_seg_writer.concepts import (
    MANUFACTURER,
    derived_uid,
    private_concept,
    scheme_items,
    structure_concept,
    tracking,
)
from operators.dicom_seg_writer.source_images import source_images, source_stations
from operators.dicom_seg_writer.writer import software_version
from operators.model_card import ModelCard
from operators.output_files import replacing
from operators.phenotype_report.phenotypes import Measurements, StructureMeasure
from operators.phenotype_report.report import unique_flags
from operators.volume import Contrast, Fused, QualityFlag, Study

__all__ = ["make_sr", "write_sr"]

_SERIES_NUMBER = 9002

# Field of `Phenotypes`, meaning, unit, factor to that unit. No public scheme
# names these, so the codes are our own.
_PHENOTYPES: tuple[tuple[str, str, CodedConcept, float], ...] = (
    ("tmv_cm3", "Total muscle volume", codes.UCUM.CubicCentimeter, 1.0),
    ("tvi_cm3_per_cm2", "Total muscle volume over squared height", CodedConcept("cm3/cm2", "UCUM", "cm3/cm2"), 1.0),
    ("pa_ratio", "Hamstrings to quadriceps volume ratio", codes.UCUM.Ratio, 1.0),
    ("lr_asymmetry", "Left-right asymmetry of thigh muscle volume", codes.UCUM.Percent, 100.0),
    ("quadriceps_cm3", "Quadriceps volume", codes.UCUM.CubicCentimeter, 1.0),
    ("hamstrings_cm3", "Hamstrings volume", codes.UCUM.CubicCentimeter, 1.0),
    ("muscle_fat_fraction", "Mean fat fraction of muscle", codes.UCUM.Percent, 100.0),
)
_SIDED_RATIOS = (("pa_ratio_left", codes.SCT.Left), ("pa_ratio_right", codes.SCT.Right))


def write_sr(
    path: Path | str,
    measurements: Measurements,
    segmentation: Dataset,
    fused: Fused,
    study: Study,
    model: ModelCard,
    contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
) -> Path:
    """Write the SR of a study; see `make_sr`.

    Raises
    ------
    OutputError
        When the file cannot be written, or the study names no source image.
    """
    document = make_sr(measurements, segmentation, fused, study, model, contrasts)
    with replacing(path) as temporary:
        document.save_as(temporary, enforce_file_format=True)
    return Path(path)


def make_sr(
    measurements: Measurements,
    segmentation: Dataset,
    fused: Fused,
    study: Study,
    model: ModelCard,
    contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
) -> ComprehensiveSR:
    """Build the SR: a group for each measured structure, bound to its segment, and one for the phenotypes.

    Flags are given as qualitative evaluations. Where phenotypes are withheld
    there are no numbers, only the flags that say why.

    Parameters
    ----------
    measurements : Measurements
    segmentation : Dataset
        Header of the DICOM-SEG that was measured; pixels are not needed.
    fused : Fused
    study : Study
    model : ModelCard
    contrasts : tuple of Contrast
        What the network read; the images of these are named as evidence.
    """
    images = [image for s in source_stations(fused, contrasts) for image in source_images(study, s)]
    flags = unique_flags(study, fused, measurements)
    groups: list[VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations] = [
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
    identity = (str(segmentation.SOPInstanceUID), software_version(), repr(measurements.phenotypes), repr(flags))
    synthetic = " (network trained on synthetic anatomy)" if model.synthetic_training else ""
    return ComprehensiveSR(
        evidence=[*images, segmentation],
        content=report,
        series_instance_uid=derived_uid("sr-series", *identity),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=derived_uid("sr-instance", *identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        manufacturer_model_name=model.name[:64],
        software_versions=software_version(),
        device_serial_number=model.sha256[:64],
        series_description=f"SarcoMAP phenotypes{synthetic}"[:64],
        coding_schemes=scheme_items(),
    )


def _structure_group(
    measure: StructureMeasure, segmentation: Dataset, source_series_uid: str, study: Study, model: ModelCard
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
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
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier=tracking_id),
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=structure.index,
            source_series=SourceSeriesForSegmentation(source_series_uid),
        ),
        finding_category=codes.SCT.AnatomicalStructure,
        finding_type=concept,
        measurements=numbers,
    )


def _phenotype_group(
    measurements: Measurements, flags: Sequence[QualityFlag], study: Study, model: ModelCard
) -> MeasurementsAndQualitativeEvaluations:
    values = measurements.phenotypes
    thigh_muscle = codes.SCT.MuscleOfLowerLimb
    numbers = [
        Measurement(name=private_concept(field, meaning), value=round(factor * getattr(values, field), 5), unit=unit)
        for field, meaning, unit, factor in _PHENOTYPES
        if getattr(values, field) is not None
    ]
    ratio_meaning = next(meaning for field, meaning, _, _ in _PHENOTYPES if field == "pa_ratio")
    numbers += [
        Measurement(
            name=private_concept("pa_ratio", ratio_meaning),
            value=round(getattr(values, field), 5),
            unit=codes.UCUM.Ratio,
            finding_sites=[FindingSite(thigh_muscle, laterality=side)],
        )
        for field, side in _SIDED_RATIOS
        if getattr(values, field) is not None
    ]
    evaluations = [
        QualitativeEvaluation(
            name=private_concept("quality_flag", f"Quality flag ({flag.severity})"),
            value=private_concept(flag.code, flag.code.replace("-", " ").capitalize()[:64]),
        )
        for flag in flags
    ]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid("tracking", study.study_uid, model.sha256, "phenotypes"), identifier="phenotypes"
        ),
        finding_type=codes.SCT.SkeletalMuscle,
        algorithm_id=AlgorithmIdentification(name=model.name, version=model.version),
        measurements=numbers or None,
        qualitative_evaluations=evaluations or None,
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
