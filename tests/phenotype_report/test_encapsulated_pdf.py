"""The printed page as PDF, and inside a DICOM object."""

from __future__ import annotations

import json
import re
import zlib
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest

from operators.core.deidentification import deidentify
from operators.core.errors import UsageError
from operators.core.options import Deidentification, ReportOptions, RunOptions
from operators.core.volume import Contrast, Volume
from operators.dicom_seg_writer import write_dicom
from operators.phenotype_report import ReportFiles, pdf, write_reports
from operators.phenotype_report.encapsulated_pdf import encapsulated_pdf
from operators.phenotype_report.html import PageContent
from operators.phenotype_report.pdf import check_pdf, make_pdf
from tests import box_body
from tests.dciodvfy import messages

try:
    check_pdf()
    MISSING = ""
except UsageError as error:
    MISSING = str(error)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def written(folder: Path) -> ReportFiles:
    labels, _ = box_body.box_labels(left_scale=0.8)
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    study, volume = box_body.study_of(fused), Volume(labels, fused.grid)
    segmentation = write_dicom(folder, volume, fused, study, box_body.MODEL).segmentation
    options = RunOptions(report=ReportOptions(pdf=True, viewer="no"))
    return write_reports(folder, volume, fused, study, box_body.MODEL, segmentation, options=options)


def pages(made: bytes) -> int:
    """The number of pages: objects of type Page, which lie in compressed streams."""
    count = 0
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", made, flags=re.S):
        with suppress(zlib.error):  # pictures
            count += len(re.findall(rb"/Type\s*/Page\b", zlib.decompress(stream)))
    return count


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return written(tmp_path_factory.mktemp("pdf"))


def test_object_is_valid_and_holds_the_two_pages(files: ReportFiles) -> None:
    path = box_body.present(files.encapsulated_pdf)
    assert messages(path) == ["EncapsulatedPDF"]
    document = pydicom.dcmread(path)
    seg, sr = (pydicom.dcmread(path.parent / name) for name in ("segmentation.dcm", "report.sr.dcm"))
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate"):
        assert document[keyword].value == seg[keyword].value == sr[keyword].value
    assert document.SourceInstanceSequence[0].ReferencedSOPInstanceUID == seg.SOPInstanceUID
    inside = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert inside == box_body.present(files.pdf).read_bytes()
    assert pages(inside) == 2


def test_deidentified_study_has_a_deidentified_document(files: ReportFiles) -> None:
    study = deidentify(box_body.study_of(box_body.fused_of(box_body.grid())), Deidentification(key="k"))
    segmentation = pydicom.dcmread(box_body.present(files.sr).parent / "segmentation.dcm")
    report = json.loads(files.json.read_text(encoding="utf-8"))
    document = encapsulated_pdf(b"%PDF", report, segmentation, study)
    assert document.BurnedInAnnotation == "NO"
    assert document.PatientIdentityRemoved == "YES"
    assert not {"SECRET-4711", "Secretname^Anna"} & {str(document.PatientID), str(document.PatientName)}
    assert (document.ContentDate, "SeriesDate" in document) == ("20000101", False)


def test_another_page_of_the_same_numbers_is_another_object(files: ReportFiles) -> None:
    """Two earlier reports are both called report.json; a PACS would keep the first comparison."""
    study = box_body.study_of(box_body.fused_of(box_body.grid()))
    segmentation = pydicom.dcmread(box_body.present(files.sr).parent / "segmentation.dcm")
    report = json.loads(files.json.read_text(encoding="utf-8"))
    pages = [
        PageContent(changes={"tmv_cm3": change}, previous="Changes are since ...") for change in ("+80", "+80", "-12")
    ]
    first, again, other = (encapsulated_pdf(b"%PDF", report, segmentation, study, page) for page in pages)
    assert first.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID


def test_no_address_is_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    page = f'<link rel="attachment" href="{secret.as_uri()}"><p>text</p>'
    assert b"/EmbeddedFile" not in make_pdf(page)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise UsageError("--pdf", "WeasyPrint is missing", "the extra pdf", "Install it.")

    monkeypatch.setattr(pdf, "_weasyprint", absent)
    with pytest.raises(UsageError, match="extra pdf"):
        make_pdf("<p>text</p>")
