"""`report.pdf.dcm`: the printed page inside a DICOM object, for PACS that show nothing else (PS3.3 A.45.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from operators.core import clock
from operators.core.dicom_objects import MANUFACTURER, derived_uid, patient_and_study, settle_dates, software_version
from operators.core.dicom_objects.encoding import write_file
from operators.core.output_files import replacing
from operators.core.volume import Study
from operators.phenotype_report.html import PageContent

__all__ = ["encapsulated_pdf", "write_encapsulated_pdf"]

_SERIES_NUMBER = 9003


def write_encapsulated_pdf(
    path: Path | str,
    pdf: bytes,
    report: Mapping[str, Any],
    segmentation: Dataset,
    study: Study,
    page: PageContent = PageContent(),  # noqa: B008 (frozen)
) -> Path:
    """Write the object; see `encapsulated_pdf`.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    document = encapsulated_pdf(pdf, report, segmentation, study, page)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with replacing(path) as temporary:
        write_file(temporary, document, meta)
    return Path(path)


def encapsulated_pdf(
    pdf: bytes,
    report: Mapping[str, Any],
    segmentation: Dataset,
    study: Study,
    page: PageContent = PageContent(),  # noqa: B008 (frozen)
    created: datetime | None = None,
) -> Dataset:
    """Build the object.

    Parameters
    ----------
    pdf : bytes
    report : mapping
        From `build_report`.
    segmentation : Dataset
        Header of the DICOM SEG that was measured: the source of the document.
    study : Study
        Gives patient and study as the other objects have them, so a
        de-identified study has a de-identified document.
    page : PageContent
        What the page shows besides the report. The report and its texts decide the UIDs: the bytes of the PDF cannot,
        because they hold the time.
    created : datetime, optional
        Now by default.
    """
    model = report["model"]
    identity = (str(segmentation.SOPInstanceUID), software_version(), _content(report, page))
    title = _code(codes.LN.DiagnosticImagingReport)
    dataset = Dataset()
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = derived_uid("pdf-instance", *identity)
    dataset.update(patient_and_study(study))
    dataset.StudyInstanceUID = segmentation.StudyInstanceUID
    dataset.Modality = "DOC"
    dataset.SeriesInstanceUID = derived_uid("pdf-series", *identity)
    dataset.SeriesNumber = _SERIES_NUMBER
    dataset.SeriesDescription = "SarcoMAP report"
    for kind in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{kind}Date", "")
        setattr(dataset, f"{kind}Time", "")
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = str(model["name"])[:64]
    dataset.DeviceSerialNumber = str(model["sha256"])[:64]
    dataset.SoftwareVersions = software_version()
    dataset.ConversionType = "WSD"
    dataset.InstanceNumber = 1
    dataset.AcquisitionDateTime = None
    # The page names date, sex, age, height and weight, unless they were removed. It never names the patient.
    dataset.BurnedInAnnotation = "NO" if study.deidentified else "YES"
    dataset.DocumentTitle = "Pelvis and thigh muscle report"
    dataset.ConceptNameCodeSequence = [title]
    dataset.SourceInstanceSequence = [_reference(segmentation)]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    settle_dates(dataset, study, created or clock.now())
    return dataset


def _content(report: Mapping[str, Any], page: PageContent) -> str:
    """What the document says, without when it was made and how long that took."""
    said = {key: value for key, value in report.items() if key not in ("created_utc", "timings_s")}
    compared = (dict(page.percentiles), page.reference, dict(page.changes), page.previous)
    return json.dumps([said, list(page.person), compared], sort_keys=True)


def _code(concept: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = concept.value, concept.scheme_designator
    item.CodeMeaning = concept.meaning
    return item


def _reference(instance: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    return item
