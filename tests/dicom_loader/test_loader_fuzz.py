"""The loader on thousands of damaged studies: it loads them correctly or refuses them with its own errors."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from operators.core.errors import SarcoMapError
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import PATIENT_NAME, write_study

#: Attributes that the loader reads, and their value representations.
HEADER = {
    "BitsAllocated": "US", "BitsStored": "US", "Columns": "US", "FrameOfReferenceUID": "UI", "HighBit": "US",
    "ImageOrientationPatient": "DS", "ImagePositionPatient": "DS", "ImageType": "CS", "NumberOfFrames": "IS",
    "PhotometricInterpretation": "CS", "PixelRepresentation": "US", "PixelSpacing": "DS", "RescaleIntercept": "DS",
    "RescaleSlope": "DS", "Rows": "US", "SOPClassUID": "UI", "SOPInstanceUID": "UI", "SamplesPerPixel": "US",
    "SeriesDate": "DA", "SeriesDescription": "LO", "SeriesInstanceUID": "UI", "SeriesNumber": "IS",
    "SeriesTime": "TM", "SpecificCharacterSet": "CS", "StudyInstanceUID": "UI",
}  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(
        [b"", b"nan", b"inf", b"-1", b"0", b"1e308", b"-1e-308", b"1\\2", b"1\\2\\3", b"\\\\\\", b"1\\0\\0\\0\\1\\0",
         b"0\\0\\0\\0\\0\\0", b"99999999999999999999", b"1.2.840.10008.5.1.4.1.1.4.1", b"FAT", b"ISO 2022 IR 87"]
    ),
    st.binary(max_size=24),
    st.lists(st.floats(width=32).map(lambda x: f"{x:.6g}"), max_size=6).map(lambda parts: "\\".join(parts).encode()),
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three slices of four contrasts."""
    folder = tmp_path_factory.mktemp("fuzz")
    write_study(folder, stations=1, change=lambda header: header.InstanceNumber <= 3)
    return folder


@st.composite
def byte_damage(draw: st.DrawFn, content: bytes) -> bytes:
    """Overwrite, remove or insert a few bytes, or cut off everything after a position."""
    spoilt = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(spoilt) - 1, 0)))
        match draw(st.sampled_from(["overwrite", "remove", "insert", "cut"])):
            case "overwrite":
                patch = draw(st.binary(min_size=1, max_size=8))
                spoilt[at : at + len(patch)] = patch
            case "remove":
                del spoilt[at : at + draw(st.integers(1, 16))]
            case "insert":
                spoilt[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "cut":
                del spoilt[at:]
    return bytes(spoilt)


@st.composite
def header_damage(draw: st.DrawFn, content: bytes) -> bytes:
    """Give attributes any value, or none, in an otherwise intact file."""
    header = pydicom.dcmread(io.BytesIO(content))
    for keyword in draw(st.lists(st.sampled_from(sorted(HEADER)), min_size=1, max_size=3, unique=True)):
        if draw(st.booleans()) and keyword in header:
            delattr(header, keyword)
            continue
        value = draw(st.binary(min_size=2, max_size=2)) if HEADER[keyword] == "US" else draw(TEXTS)
        value += b" " * (len(value) % 2)
        header[keyword] = RawDataElement(Tag(keyword), HEADER[keyword], len(value), value, 0, False, True)
    stream = io.BytesIO()
    try:
        pydicom.dcmwrite(stream, header)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        reject()  # pydicom does not write such a file
    return stream.getvalue()


def damaged_files(study: Path, data: st.DataObject, damage: object) -> Iterator[Path]:
    files = sorted(study.iterdir())
    chosen = data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=2, unique=True))
    for file in chosen:
        yield file
        file.write_bytes(data.draw(damage(file.read_bytes())))  # type: ignore[operator]


def load_or_refuse(study: Path, data: st.DataObject, damage: object) -> None:
    """Allow only our exceptions, without the patient in the message, and only finite volumes."""
    sound: dict[Path, bytes] = {}
    try:
        for file in damaged_files(study, data, damage):
            sound[file] = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = load_study(study, allow_missing_slices=data.draw(st.booleans()))
    except SarcoMapError as error:
        assert PATIENT_NAME not in str(error)
        assert error.exit_code == 3
    else:
        assert loaded.stations
        for station in loaded.stations:
            assert np.isfinite(station.voxels).all()
            assert station.voxels.shape == station.grid.shape
    finally:
        for file, content in sound.items():
            file.write_bytes(content)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_to_bytes_is_survived(study: Path, data: st.DataObject) -> None:
    load_or_refuse(study, data, byte_damage)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_header_is_survived(study: Path, data: st.DataObject) -> None:
    load_or_refuse(study, data, header_damage)
