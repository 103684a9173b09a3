"""Files that other tools read although they are not quite DICOM: no preamble, wrapped and padded pixel streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from operators.core.errors import DicomError
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import ORDER, SLICES, classic_header, stored_pixels, write_study

Encode = Callable[[NDArray[np.uint16]], bytes]


def bare(header: Dataset, *, implicit: bool, little: bool) -> bytes:
    """The data set alone, without preamble and file meta information."""
    del header.file_meta
    if not little:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, little
    write_dataset(stream, header)
    return stream.getvalue()


def with_meta_only(header: Dataset) -> bytes:
    stream = DicomBytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()[132:]


def with_preamble_only(header: Dataset) -> bytes:
    return bytes(128) + b"DICM" + bare(header, implicit=False, little=True)


@pytest.mark.parametrize("name", ["{}.dcm", "{}", "{}.MRDC.1"])
@pytest.mark.parametrize(
    "form",
    [
        lambda header: bare(header, implicit=True, little=True),
        lambda header: bare(header, implicit=False, little=True),
        lambda header: bare(header, implicit=False, little=False),
        with_meta_only,
        with_preamble_only,
    ],
    ids=["implicit", "explicit", "big-endian", "meta-without-preamble", "preamble-without-meta"],
)
def test_a_file_without_preamble_or_meta_information_is_read(
    tmp_path: Path, form: Callable[[Dataset], bytes], name: str
) -> None:
    for number, contrast in enumerate(ORDER):
        for k in range(SLICES):
            (tmp_path / name.format(10 * number + k)).write_bytes(form(classic_header(contrast, 0, k)))
    stations = load_study(tmp_path).stations
    assert len(stations) == 4
    for station in stations:
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], stored_pixels(station.contrast, 0, k))


def test_a_cut_file_without_preamble_is_refused(tmp_path: Path) -> None:
    for contrast in ORDER:
        for k in range(SLICES):
            content = bare(classic_header(contrast, 0, k), implicit=True, little=True)
            (tmp_path / f"{contrast.value}{k}.dcm").write_bytes(content[: -30 if k == 2 else None])
    with pytest.raises(DicomError, match="truncated pixel data"):
        load_study(tmp_path)


def jpeg_lossless(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(image, lossless=True, predictor=1, bitspersample=16))


def jpeg_2000(image: NDArray[np.uint16], kind: str = "J2K") -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(image, level=0, codecformat=kind, reversible=True))


def rle16(image: NDArray[np.uint16]) -> bytes:
    header = classic_header(ORDER[0], 0, 0)
    header.PixelData = image.tobytes()
    header.compress(RLELossless)
    return bytes(get_frame(header.PixelData, 0, number_of_frames=1))


def jpeg_ls(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.jpegls_encode(image))


def thumbnail_in_front(image: NDArray[np.uint16]) -> bytes:
    """A comment that holds another whole stream, end marker and all."""
    stream = jpeg_lossless(image)
    inner = b"\xff\xd8\xff\xd9"
    return stream[:2] + b"\xff\xfe" + (len(inner) + 2).to_bytes(2, "big") + inner + stream[2:]


STREAMS: dict[str, tuple[Encode, UID]] = {
    "JP2 header": (lambda image: jpeg_2000(image, "JP2"), JPEG2000Lossless),
    "JP2 header, padded": (lambda image: jpeg_2000(image, "JP2") + bytes(6), JPEG2000Lossless),
    "JPEG 2000, padded": (lambda image: jpeg_2000(image) + b"\xff\xff\0\0", JPEG2000Lossless),
    "JPEG, padded with FF": (lambda image: jpeg_lossless(image) + b"\xff\xff\0\0", JPEGLosslessSV1),
    "JPEG, text behind": (lambda image: jpeg_lossless(image) + b"made by a scanner ", JPEGLosslessSV1),
    "JPEG, zeros in front": (lambda image: bytes(4) + jpeg_lossless(image), JPEGLosslessSV1),
    "JPEG, thumbnail": (thumbnail_in_front, JPEGLosslessSV1),
    "JPEG-LS, padded": (lambda image: jpeg_ls(image) + b"\xff\0\0\0", JPEGLSLossless),
    "JPEG-LS called JPEG": (jpeg_ls, JPEGLosslessSV1),
    "JPEG 2000 called JPEG": (jpeg_2000, JPEGLosslessSV1),
}


def write_encoded(folder: Path, encode: Encode, syntax: UID, *, cut: int | None = None, delimiter: bool = True) -> None:
    for contrast in ORDER:
        for k in range(SLICES):
            header = classic_header(contrast, 0, k)
            header.PixelData = encapsulate([encode(stored_pixels(contrast, 0, k))[:cut]])
            header["PixelData"].is_undefined_length = True
            header["PixelData"].VR = "OB"
            header.file_meta.TransferSyntaxUID = syntax
            path = folder / f"{contrast.value}{k}.dcm"
            header.save_as(path, enforce_file_format=True)
            if not delimiter:
                path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("delimiter", [True, False])
def test_wrapped_padded_and_misnamed_streams_are_decoded(tmp_path: Path, kind: str, delimiter: bool) -> None:
    write_encoded(tmp_path, *STREAMS[kind], delimiter=delimiter)
    for station in load_study(tmp_path).stations:
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], stored_pixels(station.contrast, 0, k))


@pytest.mark.parametrize("kind", ["JP2 header", "JPEG, thumbnail"])
def test_a_wrapped_stream_that_ends_early_is_refused(tmp_path: Path, kind: str) -> None:
    write_encoded(tmp_path, *STREAMS[kind], cut=-20)
    with pytest.raises(DicomError, match="truncated or damaged pixel data"):
        load_study(tmp_path)


def with_syntax(path: Path, of: UID, stated: UID) -> None:
    """Write another transfer syntax into a file than that of its pixels."""
    content = path.read_bytes()
    was, now = (str(uid).encode() for uid in (of, stated))
    at = content.index(was)
    padded = was + b"\0" * (len(was) % 2)
    now += b"\0" * (len(now) % 2)
    length = int.from_bytes(content[140:144], "little") + len(now) - len(padded)
    head = content[:140] + length.to_bytes(4, "little") + content[144 : at - 2] + len(now).to_bytes(2, "little")
    path.write_bytes(head + now + content[at + len(padded) :])


@pytest.mark.parametrize(
    ("encode", "syntax"),
    [(jpeg_2000, JPEG2000Lossless), (jpeg_lossless, JPEGLosslessSV1), (jpeg_ls, JPEGLSLossless), (rle16, RLELossless)],
    ids=["JPEG 2000", "JPEG", "JPEG-LS", "RLE"],
)
def test_compressed_pixels_that_the_file_calls_plain_are_decompressed(
    tmp_path: Path, encode: Encode, syntax: UID
) -> None:
    write_encoded(tmp_path, encode, syntax)
    for path in tmp_path.iterdir():
        with_syntax(path, syntax, ExplicitVRLittleEndian)
    for station in load_study(tmp_path).stations:
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], stored_pixels(station.contrast, 0, k))


def test_compressed_pixels_of_an_unknown_kind_that_the_file_calls_plain_are_refused(tmp_path: Path) -> None:
    write_encoded(tmp_path, lambda image: image.tobytes(), RLELossless)
    for path in tmp_path.iterdir():
        with_syntax(path, RLELossless, ExplicitVRLittleEndian)
    with pytest.raises(DicomError, match="compressed pixels of an unknown kind"):
        load_study(tmp_path)


@pytest.mark.parametrize("stated", [JPEGLosslessSV1, JPEG2000Lossless, RLELossless])
def test_plain_pixels_that_the_file_calls_compressed_are_read(tmp_path: Path, stated: UID) -> None:
    for path in write_study(tmp_path, stations=1):
        with_syntax(path, ExplicitVRLittleEndian, stated)
    for station in load_study(tmp_path).stations:
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], stored_pixels(station.contrast, 0, k))


def test_plain_pixels_that_are_cut_off_are_not_taken_for_whole_ones(tmp_path: Path) -> None:
    def cut(header: Dataset) -> None:
        header.PixelData = header.PixelData[:-2]

    for path in write_study(tmp_path, stations=1, change=cut):
        with_syntax(path, ExplicitVRLittleEndian, JPEGLosslessSV1)
    with pytest.raises(DicomError, match="truncated or damaged pixel data"):
        load_study(tmp_path)
