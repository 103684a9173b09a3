"""The quick reader reads a plain file as pydicom does and leaves all others to pydicom."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from operators.core.volume import Contrast
from operators.dicom_loader.element_reader import ElementReader
from operators.dicom_loader.headers import header_reader
from tests.dicom_loader.dicom_maker import classic_header
from tests.dicom_loader.test_loader_fuzz import byte_damage, header_damage

KEYWORDS = sorted(header_reader()._keywords.values())


def file_of(header: Dataset, **options: Any) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, header, enforce_file_format=True, **options)
    return stream.getvalue()


def assert_as_pydicom_reads(content: bytes, reader: ElementReader) -> bool:
    """Whether the file was read quickly; if so, check that the result equals pydicom's."""
    quick = reader._walk(content)
    if quick is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slow = reader._parse(io.BytesIO(content), "file")
        assert (quick.transfer_syntax_uid, quick.media_storage_sop_class_uid, quick.pixels) == (
            slow.transfer_syntax_uid,
            slow.media_storage_sop_class_uid,
            slow.pixels,
        )
        for keyword in KEYWORDS:
            # Compared as text, because NaN does not equal itself.
            assert repr(quick.values.get(keyword)) == repr(slow.values.get(keyword)), keyword
            assert (keyword in quick.values) == (keyword in slow.values), keyword
    return True


def test_a_classic_image_is_read_quickly_and_as_pydicom_reads_it() -> None:
    reader = header_reader()
    header = classic_header(Contrast.FAT, 1, 2)
    header.SpecificCharacterSet, header.SeriesDescription = "ISO_IR 100", "Höhe_F"
    compressed = classic_header(Contrast.WATER, 0, 0)
    compressed.compress(RLELossless)
    for sound in (header, compressed, classic_header(Contrast.IN, 0, 1)):
        assert assert_as_pydicom_reads(file_of(sound), reader)
    assert reader._walk(file_of(header)).values.get("SeriesDescription") == "Höhe_F"  # type: ignore[union-attr]


def test_one_text_in_two_character_sets_is_two_texts() -> None:
    reader = header_reader()
    for charset, text in (("ISO_IR 100", "Ä"), ("ISO_IR 144", "Ф"), ("ISO_IR 100", "Ä")):
        header = classic_header(Contrast.FAT, 0, 0)
        header.SpecificCharacterSet, header.SeriesDescription = charset, text
        assert assert_as_pydicom_reads(file_of(header), reader)
        assert reader.read(io.BytesIO(file_of(header)), "file").values.get("SeriesDescription") == text


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_encodings_are_left_to_pydicom(syntax: str) -> None:
    header = classic_header(Contrast.FAT, 0, 0)
    header.file_meta.TransferSyntaxUID = UID(syntax)
    content = file_of(header)
    assert header_reader()._walk(content) is None
    assert header_reader().read(io.BytesIO(content), "file").values.get("Rows") == header.Rows


def test_an_image_without_pixels_is_left_to_pydicom() -> None:
    header = classic_header(Contrast.FAT, 0, 0)
    del header.PixelData
    assert header_reader()._walk(file_of(header)) is None
    assert header_reader().read(io.BytesIO(file_of(header)), "file").pixels is None


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("damage", [byte_damage, header_damage])
def test_a_damaged_file_is_read_as_pydicom_reads_it_or_left_to_it(damage: Any, data: st.DataObject) -> None:
    content = data.draw(damage(file_of(classic_header(Contrast.IN, 0, 0))))
    assert_as_pydicom_reads(content, header_reader())


def test_files_of_a_study_in_any_order_are_read_as_one_by_one() -> None:
    """Most files are recognised from an earlier file of their series; some differ from it in more than the slice."""
    reader = header_reader()
    files = []
    for contrast in (Contrast.IN, Contrast.WATER):
        for k in range(6):
            header = classic_header(contrast, 0, k)
            header.ContentTime = f"1200{k:02d}"
            if k == 3:
                header.SeriesDescription = "dixon_W"
            if k == 4:
                header.ProtocolName = "Dixon"
            files.append(file_of(header))
    walked: list[bytes] = []
    singly = reader._walked_singly

    def counted(content: bytes, series: bytes) -> Any:
        walked.append(content)
        return singly(content, series)

    reader._walked_singly = counted  # type: ignore[method-assign]
    for content in [*files[::2], *files[1::2], *files[::-1]]:
        assert assert_as_pydicom_reads(content, reader)
    assert len(walked) <= 12  # of 24


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("damage", [byte_damage, header_damage])
def test_a_damaged_file_among_sound_ones_of_its_series_is_read_as_pydicom_reads_it(
    damage: Any, data: st.DataObject
) -> None:
    reader = header_reader()
    for k in range(3):
        assert assert_as_pydicom_reads(file_of(classic_header(Contrast.IN, 0, k)), reader)
    assert_as_pydicom_reads(data.draw(damage(file_of(classic_header(Contrast.IN, 0, 3)))), reader)
    assert assert_as_pydicom_reads(file_of(classic_header(Contrast.IN, 0, 4)), reader)
