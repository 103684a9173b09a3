"""Data sets and pixels whose bytes are in another order than their transfer syntax says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from operators.core.volume import Study
from operators.dicom_loader import load_study
from operators.dicom_loader.byte_order import is_byte_swapped
from tests.dicom_loader.dicom_maker import ORDER, PATIENT_NAME, write_study

SIZE = 48


def tissue(seed: int) -> NDArray[np.uint16]:
    """A round body with noise, inside and around it."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    clean = np.where(np.hypot(x, y) < 0.4 * SIZE, 700.0 + 3 * x, 0.0)
    noise = np.random.default_rng(seed).normal(scale=25, size=(2, SIZE, SIZE))
    return np.hypot(clean + noise[0], noise[1]).astype(np.uint16)


def with_tissue(header: Dataset, order: str = "<") -> None:
    header.Rows = header.Columns = SIZE
    header.BitsStored, header.HighBit = 12, 11
    header.PixelData = tissue(header.SeriesNumber * 100 + header.InstanceNumber).astype(f"{order}u2").tobytes()


def relabelled(folder: Path, stated: UID, other: UID) -> None:
    """The study with another transfer syntax of the same length in its file meta information."""
    for path in folder.iterdir():
        content = path.read_bytes()
        label = str(stated).encode() + b"\0" * (len(stated) % 2)
        assert content.count(label) == 1
        path.write_bytes(content.replace(label, str(other).encode() + b"\0" * (len(other) % 2)))


def assert_right(study: Study) -> None:
    assert len(study.stations) == len(ORDER)
    for station in study.stations:
        for k, image in enumerate(station.voxels):
            np.testing.assert_array_equal(image, tissue(station.series_number * 100 + k + 1))


@pytest.mark.parametrize("written", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_data_set_in_the_other_byte_order_than_stated_is_read(tmp_path: Path, written: UID) -> None:
    little = written == ExplicitVRLittleEndian

    def change(header: Dataset) -> None:
        with_tissue(header, "<" if little else ">")
        header.file_meta.TransferSyntaxUID = written

    write_study(tmp_path, stations=1, change=change)
    relabelled(tmp_path, written, ExplicitVRBigEndian if little else ExplicitVRLittleEndian)
    study = load_study(tmp_path)
    assert_right(study)
    assert study.patient["PatientName"] == PATIENT_NAME
    assert study.flags == ()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian])
def test_pixels_in_the_other_byte_order_than_their_data_set_are_turned_and_flagged(tmp_path: Path, syntax: UID) -> None:
    def change(header: Dataset) -> None:
        with_tissue(header, "<" if syntax == ExplicitVRBigEndian else ">")
        header.file_meta.TransferSyntaxUID = syntax

    write_study(tmp_path, stations=1, change=change)
    study = load_study(tmp_path)
    assert_right(study)
    assert [(flag.code, flag.severity) for flag in study.flags] == [("byte-order-repaired", "warning")]


def test_a_data_set_that_says_deflated_and_is_not_is_read(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1, change=with_tissue)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        at = content.index(b"UI\x14\0" + str(ExplicitVRLittleEndian).encode())
        length = int.from_bytes(content[140:144], "little") + 2
        label = b"UI\x16\0" + str(DeflatedExplicitVRLittleEndian).encode()
        path.write_bytes(content[:140] + length.to_bytes(4, "little") + content[144:at] + label + content[at + 24 :])
    assert_right(load_study(tmp_path))


def test_plain_pixels_under_a_private_transfer_syntax_are_read_in_their_order(tmp_path: Path) -> None:
    """GE's own: implicit VR in little endian with pixels in big endian."""

    def change(header: Dataset) -> None:
        with_tissue(header, ">")
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    write_study(tmp_path, stations=1, change=change)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        path.write_bytes(content.replace(b"1.2.840.10008.1.2\0", b"1.2.840.113619.5.2", 1))
    assert_right(load_study(tmp_path))


def test_images_in_the_right_order_stay(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1, change=with_tissue)
    study = load_study(tmp_path)
    assert_right(study)
    assert study.flags == ()


def test_noise_has_no_order() -> None:
    """Of faint noise in one byte, and of noise over all bits, nothing says that it is swapped."""
    random = np.random.default_rng(1)
    for most in (200, 4000, 65000):
        noise = random.integers(0, most, (5, SIZE, SIZE)).astype(np.uint16)
        assert not is_byte_swapped(list(noise))


def test_values_in_the_high_bits_are_not_swapped() -> None:
    images = [tissue(k) for k in range(5)]
    assert not is_byte_swapped([image << 4 for image in images])
    assert not is_byte_swapped([(image >> 4) << 8 for image in images])
    assert not is_byte_swapped([(image.astype(np.uint16) * 60) for image in images])


def test_signed_pixels_have_an_order() -> None:
    images = [tissue(k).astype(np.int16) - 30 for k in range(5)]
    assert not is_byte_swapped(images)
    assert is_byte_swapped([image.byteswap() for image in images])
