"""Header values that the outputs repeat: right, repaired or left out, once, at loading; and never shown."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from operators.core.dicom_objects import patient_and_study
from operators.core.errors import DicomError
from operators.core.quiet_dicom import dicom_is_quiet
from operators.core.standing_height import metres_of
from operators.core.volume import Contrast, Study
from operators.derived_series.headers import series_header
from operators.derived_series.stored_values import StoredValues
from operators.dicom_loader import header_values, load_study
from operators.dicom_loader.repeated_values import ACQUISITION_KEYWORDS, PATIENT_KEYWORDS
from tests.dicom_loader.dicom_maker import ORDER, PATIENT_NAME, classic_header, write, write_study

SERIES_KEYWORDS = ("SeriesDescription", "SeriesDate", "SeriesTime", "SeriesNumber", "FrameOfReferenceUID")


def set_raw(header: Dataset, keyword: str, value: bytes) -> None:
    """Any bytes as a value, as a faulty exporter would write them."""
    value += b" " * (len(value) % 2)
    header[keyword] = RawDataElement(Tag(keyword), dictionary_VR(keyword), len(value), value, 0, False, True)


@contextmanager
def unwritable_rejected() -> Iterator[None]:
    """Headers that pydicom cannot even write, for instance in a character set of its own, prove nothing."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        reject()


def loaded_with(said: dict[str, str | bytes]) -> Study:
    """A study of one station all of whose files say this."""
    with tempfile.TemporaryDirectory() as folder:
        for contrast in ORDER:
            for k in range(2):
                header = classic_header(contrast, 0, k)
                for keyword, value in said.items():
                    set_raw(header, keyword, value if isinstance(value, bytes) else value.encode())
                with dicom_is_quiet(), unwritable_rejected():
                    write(header, Path(folder, f"{k}.{contrast.value}.dcm"))
        return load_study(Path(folder))


def written(study: Study) -> Dataset:
    """What derived images say of a study, written by the rules of DICOM and read back."""
    water = [station for station in study.stations if station.contrast is Contrast.WATER]
    values = StoredValues(np.zeros((2, 2, 2), np.uint16), 1.0, 0.0, (1.0, 1.0))
    header = series_header(study, water, Contrast.WATER, water[0].grid, values, "1.2.3")
    header.update(patient_and_study(study))
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPInstanceUID = "1.2.3.4"
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream)


@pytest.mark.parametrize(
    ("keyword", "said", "expected", "code"),
    [
        ("PatientWeight", "80 kg", "80", "header-value-repaired"),
        ("PatientWeight", "80,5", "80.5", "header-value-repaired"),
        ("PatientWeight", "176 lb", "79.83", "header-value-repaired"),
        ("PatientWeight", "heavy", None, "header-value-left-out"),
        ("PatientWeight", "80000", None, "header-value-left-out"),
        ("PatientSize", "1,67", "1.67", "header-value-repaired"),
        ("PatientSize", "167", "1.67", "header-value-repaired"),
        ("PatientSize", "167 cm", "1.67", "header-value-repaired"),
        ("PatientSize", "67", None, "header-value-left-out"),
        ("PatientSize", "0", None, "header-value-left-out"),
        ("PatientSize", "1.67\\1.67", "1.67", "header-value-repaired"),
        ("PatientSize", "1.67\\1.80", None, "header-value-left-out"),
        ("PatientSex", "F\\M", None, "header-value-left-out"),
        ("StudyDate", "2015-01-05", "20150105", "header-value-repaired"),
        ("StudyDate", "2015.01.05", "20150105", "header-value-repaired"),
        ("StudyDate", "20150132", None, "header-value-left-out"),
        ("StudyTime", "09:00:00", "090000", "header-value-repaired"),
        ("StudyTime", "nine", None, "header-value-left-out"),
        ("PatientBirthDate", "1950", None, "header-value-left-out"),
        ("PatientBirthDate", "01/02/1950", None, "header-value-left-out"),
        ("PatientBirthDate", "25/12/1950", "19501225", "header-value-repaired"),
        ("PatientSex", "Jane Doe F", None, "header-value-left-out"),
        ("PatientSex", "female", "F", "header-value-repaired"),
        ("PatientAge", "70 yrs", "070Y", "header-value-repaired"),
        ("PatientAge", "old", None, "header-value-left-out"),
        ("PatientAge", "000Y", None, "header-value-left-out"),
        ("PatientID", "7" * 65, None, "header-value-left-out"),
        ("PatientID", "4711\\4712", None, "header-value-left-out"),
        ("AccessionNumber", "A1\\A2", None, "header-value-left-out"),
        ("AccessionNumber", "A1\\A1", "A1", "header-value-repaired"),
        ("TimezoneOffsetFromUTC", "+09:00", "+0900", "header-value-repaired"),
        ("TimezoneOffsetFromUTC", "JST", None, "header-value-left-out"),
        ("AccessionNumber", "7" * 17, None, "header-value-left-out"),
        ("StudyDescription", "d" * 80, "d" * 64, "header-value-repaired"),
        ("PatientName", "a^b^c^d^e^f", "a^b^c^d^e f", "header-value-repaired"),
        ("PatientName", "n" * 65, None, "header-value-left-out"),
        ("EchoTime", "2,39", "2.39", "header-value-repaired"),
        ("EchoTime", "short", None, "header-value-left-out"),
        ("EchoTrainLength", "2.0", "2", "header-value-repaired"),
        ("MRAcquisitionType", "3d", "3D", "header-value-repaired"),
        ("ScanOptions", "PFP\\(odd)", "PFP", "header-value-repaired"),
        ("QualityControlSubject", "perhaps", None, "header-value-left-out"),
    ],
)
def test_a_value_is_repaired_or_left_out_with_a_flag(keyword: str, said: str, expected: str | None, code: str) -> None:
    study = loaded_with({keyword: said})
    found = study.patient if keyword in PATIENT_KEYWORDS else study.stations[0].acquisition
    assert found.get(keyword) == expected
    (flag,) = study.flags
    assert (flag.code, flag.severity) == (code, "info")
    assert keyword in flag.message and said not in flag.message
    written(study)


def emptied(folder: Path, *, removed: str) -> Study:
    """A study of which some images do not say who it is, and whose identity was removed by some anonymiser."""

    def change(header: Dataset) -> None:
        header.AccessionNumber = "A-17"
        if header.SeriesNumber < 5:  # all but the last series
            header.PatientID = header.PatientName = header.AccessionNumber = ""
            header.PatientIdentityRemoved = removed

    write_study(folder, stations=1, change=change)
    return load_study(folder)


def test_what_some_images_leave_empty_is_taken_from_others(tmp_path: Path) -> None:
    """A PACS would else file the results under no patient."""
    patient = emptied(tmp_path, removed="").patient
    assert (patient["PatientID"], patient["PatientName"]) == ("ID-4711", PATIENT_NAME)
    assert patient["AccessionNumber"] == "A-17"


def test_a_removed_identity_is_not_taken_from_other_images(tmp_path: Path) -> None:
    patient = emptied(tmp_path, removed="YES").patient
    assert patient["PatientIdentityRemoved"] == "YES"
    assert not patient.keys() & {"PatientID", "PatientName", "AccessionNumber"}


@pytest.mark.parametrize(
    ("typed", "metres"),
    [("1.67", 1.67), ("167", 1.67), ("1670", 1.67), ("1,67 m", 1.67), ("5'6\"", 1.6764), ("66 in", 1.6764),
     ("1.67\\1.67", 1.67), ("1.67\\1.80", None),
     ("67", None), ("16.7", None), ("0", None), ("", None), ("nan", None), ("1e9", None), ("-167", None)],
)  # fmt: skip
def test_what_was_typed_as_a_height_is_one(typed: str, metres: float | None) -> None:
    assert "\\" in typed or metres_of(typed) == metres
    assert loaded_with({"PatientSize": typed}).height_m == metres


@pytest.mark.parametrize(("other", "metres"), [("1.75", None), ("1.64", 1.63), ("163", 1.63), ("0", 1.63), ("", 1.63)])
def test_of_several_heights_none_is_used(other: str, metres: float | None, tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        if header.SeriesNumber > 5:
            set_raw(header, "PatientSize", other.encode())

    write_study(tmp_path, change=change)
    study = load_study(tmp_path)
    assert study.height_m == metres and (metres is None) == ("PatientSize" not in study.patient)
    flags = [flag for flag in study.flags if flag.code == "heights-differ"]
    assert [flag.severity for flag in flags] == ([] if metres else ["warning"])
    assert not any("175" in flag.message or "163" in flag.message for flag in flags)


@pytest.mark.parametrize("uid", ["ANON.2024.0001", "1.2.840.99." + "4" * 62, "1.2.03.4", "1..2", "1.2."])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID", "SeriesInstanceUID"])
def test_a_uid_that_is_none_is_replaced_by_a_derived_one(keyword: str, uid: str) -> None:
    study, again = loaded_with({keyword: uid}), loaded_with({keyword: uid})
    station = study.stations[0]
    found = {
        "StudyInstanceUID": study.study_uid,
        "FrameOfReferenceUID": station.frame_of_reference_uid,
        "SeriesInstanceUID": station.series_uid,
    }[keyword]
    assert UID(found).is_valid and found.startswith("2.25.")
    assert study.study_uid == again.study_uid
    assert [(flag.code, flag.severity) for flag in study.flags] == [("identifier-replaced", "warning")]
    assert uid not in study.flags[0].message
    written(study)


def test_dates_with_dashes_still_tell_which_series_is_newer() -> None:
    study = loaded_with({"SeriesDate": "2026-03-01", "SeriesTime": "23:50:00"})
    assert str(study.stations[0].acquired) == "2026-03-01 23:50:00"


REPAIRS = [getattr(header_values, name) for name in header_values.__all__ if name not in ("is_uid", "moment")]


@pytest.mark.parametrize("read", REPAIRS)
@given(said=st.text(max_size=80))
@example("\u0663\u0664")  # Arabic digits
@example("1e999")
@example("9" * 5000)
@example("\ud800")
def test_what_was_made_of_a_value_stays_as_it_is(read: header_values.Repair, said: str) -> None:
    made = read(said)
    assert made is None or read(made) == made


PRINTED_NAME = "Printed^Secret"
VALUES = st.one_of(
    st.sampled_from([b"", b"80 kg", b"1,67", b"2015-01-05", b"09:00:00", b"1950", b"nan", b"inf", b"1e400", b"-1",
                     b"\\\\\\", b"a\\b", b"^^^^^^^", b"====", b"\0\0", b"\xff\xfe", b"\x1b$B", b"9" * 200, b"x" * 300,
                     PRINTED_NAME.encode(), "Ünï^cöde".encode(), b"1.2.", b"ANON.7", b"070Y", b"1.2.840.10008.1.2"]),
    st.binary(max_size=80),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.from_regex(r"[0-9.,:/ -]{1,20}( ?(kg|cm|m|lb|Y|yrs))?", fullmatch=True).map(str.encode),
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from([*PATIENT_KEYWORDS, *ACQUISITION_KEYWORDS, *SERIES_KEYWORDS, "SpecificCharacterSet"]),
    VALUES,
    min_size=1,
    max_size=6,
)


def check_any_values(said: dict[str, bytes]) -> None:
    """Loaded, or refused in our words; what was loaded can be written by the rules; nothing is warned of or logged."""
    records: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = records.append  # type: ignore[assignment, method-assign]
    logging.getLogger().addHandler(listener)
    before = config.settings.writing_validation_mode
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                study = loaded_with(said)  # type: ignore[arg-type]
            except DicomError as error:
                assert PRINTED_NAME not in str(error)
                return
            config.settings.writing_validation_mode = config.RAISE
            written(study)
            assert all(PRINTED_NAME not in flag.message for flag in study.flags)
    finally:
        config.settings.writing_validation_mode = before
        logging.getLogger().removeHandler(listener)
    assert not records


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=HEADERS)
def test_any_header_value_can_be_repeated_or_is_left_out(said: dict[str, bytes]) -> None:
    check_any_values(said)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=HEADERS)
def test_two_thousand_headers_can_be_repeated(said: dict[str, bytes]) -> None:
    check_any_values(said)
