"""``dciodvfy`` finds no error in any object that we write, in every combination of options."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pydicom
import pytest

from operators.core.deidentification import deidentify
from operators.core.options import Deidentification, DicomOptions, SegType
from operators.core.volume import Contrast, Fused, Study, Volume
from operators.dicom_seg_writer import write_dicom
from operators.phenotype_report import write_reports
from tests import box_body
from tests.dciodvfy import errors

SAID = {
    "scanner": {
        "ScanningSequence": "GR",
        "SequenceVariant": "SP\\OSP",
        "ScanOptions": "FS",
        "MRAcquisitionType": "3D",
        "RepetitionTime": "6.53",
        "EchoTime": "4.77",
        "EchoTrainLength": "2",
        "FlipAngle": "10",
        "MagneticFieldStrength": "1.5",
        "BodyPartExamined": "WHOLEBODY",
        "PatientPosition": "HFS",
        "Manufacturer": "A maker",
        "ManufacturerModelName": "A scanner",
        "SyntheticData": "YES",
    },
    "silent": {},
    "paired-body-part": {"BodyPartExamined": "THIGH"},
}


def study_with(acquisition: dict[str, str], frame: str | None = None) -> tuple[Fused, Study]:
    fused = box_body.fused_of(box_body.grid(rotation_z_degrees=12.0, tilt_degrees=-7.0), contrasts=tuple(Contrast))
    stations = tuple(
        dataclasses.replace(
            s, acquisition=acquisition, frame_of_reference_uid=s.frame_of_reference_uid if frame is None else frame
        )
        for s in fused.stations
    )
    fused = dataclasses.replace(fused, stations=stations)
    return fused, box_body.study_of(fused)


def assert_no_error(
    folder: Path,
    fused: Fused,
    study: Study,
    options: DicomOptions,
    *,
    how: Deidentification | None = None,
    empty: bool = False,
) -> None:
    if how is not None:
        study = deidentify(study, how)
        fused = dataclasses.replace(fused, stations=study.stations)
    labels, _ = box_body.box_labels(left_scale=0.8)
    volume = Volume(np.zeros_like(labels) if empty else labels, fused.grid)
    files = write_dicom(folder, volume, fused, study, box_body.MODEL, options=options)
    reports = write_reports(folder, volume, fused, study, box_body.MODEL, files.segmentation)
    slices = [folder / "derived" / c.value / f"{k:04d}.dcm" for c in options.derived for k in (1, 31, 60)]
    for path in map(box_body.present, (files.segmentation, reports.sr, *slices)):
        assert errors(path) == [], path.relative_to(folder)


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
@pytest.mark.parametrize(
    "how",
    [None, Deidentification(), Deidentification("P-001", "key", keep_characteristics=True)],
    ids=["with-patient", "deidentified", "characteristics-kept"],
)
def test_every_kind_of_object_with_and_without_the_patient(
    tmp_path: Path, seg_type: SegType, how: Deidentification | None
) -> None:
    options = DicomOptions(seg_type=seg_type, derived=tuple(Contrast))
    assert_no_error(tmp_path, *study_with(SAID["scanner"]), options, how=how)


@pytest.mark.parametrize("compression", ["none", "rle", "jpeg-ls"])
def test_every_encoding(tmp_path: Path, compression: str) -> None:
    options = DicomOptions(seg_type="labelmap", compression=compression)  # type: ignore[arg-type]
    assert_no_error(tmp_path, *study_with(SAID["scanner"]), options)


@pytest.mark.parametrize("said", ["silent", "paired-body-part"])
def test_a_source_with_few_attributes(tmp_path: Path, said: str) -> None:
    assert_no_error(tmp_path, *study_with(SAID[said]), DicomOptions())


def test_a_source_without_a_frame_of_reference(tmp_path: Path) -> None:
    assert_no_error(tmp_path, *study_with(SAID["scanner"], frame=""), DicomOptions())


def test_a_patient_of_another_hospital_whose_dates_were_shifted_in_another_time_zone(tmp_path: Path) -> None:
    said = {
        "IssuerOfPatientID": "Hospital & Söhne",
        "PatientIdentityRemoved": "YES",
        "LongitudinalTemporalInformationModified": "MODIFIED",
        "TimezoneOffsetFromUTC": "-0330",
    }
    fused, study = study_with(SAID["scanner"])
    study = dataclasses.replace(study, patient={**study.patient, **said})
    assert_no_error(tmp_path, fused, study, DicomOptions())
    for name in ("segmentation.dcm", "report.sr.dcm", "derived/water/0001.dcm"):
        written = pydicom.dcmread(tmp_path / name, stop_before_pixels=True)
        assert {keyword: written[keyword].value for keyword in said} == said


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
def test_nothing_labelled(tmp_path: Path, seg_type: SegType) -> None:
    assert_no_error(tmp_path, *study_with(SAID["scanner"]), DicomOptions(seg_type=seg_type), empty=True)
