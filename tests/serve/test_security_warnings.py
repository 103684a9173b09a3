"""Warnings about settings, our own AE title, and the names of results folders."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

from app.serve.__main__ import main
from app.serve.result_names import results_name
from app.serve.security_warnings import cautions
from app.serve.settings import Destination, DicomSettings, RunSettings, Settings
from operators.core.deidentification import METHOD


def settings(*arguments: str, **more: object) -> Settings:
    return Settings(Path("/s"), run=RunSettings(arguments=arguments), **more)  # type: ignore[arg-type]


def test_deidentification_without_a_key_is_told_and_with_one_is_not() -> None:
    (said,) = cautions(settings("--deidentify"), {})
    assert "without a secret key" in said
    assert not cautions(settings("--deidentify", "--deidentify-key=key"), {})
    assert not cautions(settings("--deidentify"), {"SARCOMAP_DEIDENTIFY_KEY": "key"})
    assert not cautions(settings(), {})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://pacs.example/dicom-web", True),
        ("https://pacs.example/dicom-web", False),
        ("http://127.0.0.1:8042/dicom-web", False),
    ],
)
def test_images_in_the_clear_are_told_with_and_without_a_login(url: str, told: bool) -> None:
    found = cautions(settings(destinations=(Destination("pacs", dicomweb=url),)), {})
    assert bool(found) is told
    assert all("destination pacs" in said and "not https" in said for said in found)


def test_our_calling_ae_title_is_the_listeners_unless_set() -> None:
    destinations = (
        Destination("one", dimse="127.0.0.1:1"),
        Destination("two", dimse="127.0.0.1:1", calling_ae_title="OTHER"),
    )
    made = settings(dicom=DicomSettings(ae_title="MUSCLES"), destinations=destinations)
    assert [one.calling_ae_title for one in made.destinations] == ["MUSCLES", "OTHER"]


def test_the_dicom_library_logs_nothing_of_what_it_sends_either(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("pynetdicom").setLevel(logging.NOTSET)
    assert main([]) == 2  # no spool
    assert not logging.getLogger("pynetdicom.assoc").isEnabledFor(logging.ERROR)


def results(folder: Path, sop_uid: str, method: str | list[str] | None) -> Path:
    folder.mkdir()
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID, item.SOPInstanceUID = SegmentationStorage, sop_uid
    if method:
        item.PatientIdentityRemoved, item.DeidentificationMethod = "YES", method
    item.save_as(folder / "segmentation.dcm", enforce_file_format=True)
    return folder


def test_a_folder_of_deidentified_results_is_not_named_by_the_original_uid(tmp_path: Path) -> None:
    job = "0123456789ab.2"
    name = results_name(job, results(tmp_path / "removed", "2.25.1", METHOD))
    assert name.endswith(".2") and "0123456789ab" not in name
    assert (
        name
        == results_name(job, tmp_path / "removed")
        != results_name(job, results(tmp_path / "b", "2.25.2", ["Before", METHOD]))
    )
    for source in (None, "By the archive"):
        assert results_name(job, results(tmp_path / str(source), "1.2", source)) == job
