"""`report.sr.dcm`: the phenotypes as a DICOM Structured Report (PS3.16 TID 1500, Measurement Report)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from highdicom import ContentQualificationValues
from highdicom.sr import (
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from operators.core import clock
from operators.core.dicom_objects import MANUFACTURER, derived_uid, patient_and_study, settle_dates, software_version
from operators.core.dicom_objects.encoding import write_file
from operators.core.model_card import ModelCard
from operators.core.output_files import replacing
from operators.core.volume import Fused, Study
from operators.dicom_seg_writer.concepts import scheme_items
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.report import unique_flags
from operators.phenotype_report.sr_groups import Group, phenotype_groups, structure_groups

__all__ = ["make_sr", "write_sr"]

_SERIES_NUMBER = 9002


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
    """Build the SR: groups of phenotypes, then those of each measured structure, for both sides, left and right.

    The laterality belongs to the group, because common readers lose it on a
    number. The group of both sides of a structure is linked to its segment.
    Flags are qualitative evaluations, and so is the statement that the weights
    were trained on synthetic images. If phenotypes are withheld, there are no
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
    groups: list[Group] = phenotype_groups(measurements, flags, study, model)
    for measure in measurements.structures:
        if measure.volume_cm3 is not None:
            groups += structure_groups(measure, segmentation, images[0].SeriesInstanceUID, study, model)
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
        repr(sorted(measurements.uncertainty.intervals.items())),
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
