"""Enhanced MR objects and compressed transfer syntaxes, encoded by independent tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gdcm
import imagecodecs
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from operators.core.errors import DicomError, GeometryError
from operators.core.volume import Contrast
from operators.dicom_loader import load_study
from operators.dicom_loader.codecs import decode_frame
from tests.dicom_loader.dicom_maker import (
    COLUMNS,
    ORDER,
    ROWS,
    SLICES,
    SPACING,
    enhanced_header,
    origin_mm,
    stored_pixels,
    write,
    write_study,
)

SYNTAXES = {
    "1.2.840.10008.1.2.4.70": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "1.2.840.10008.1.2.4.80": gdcm.TransferSyntax.JPEGLSLossless,
    "1.2.840.10008.1.2.4.90": gdcm.TransferSyntax.JPEG2000Lossless,
    "1.2.840.10008.1.2.5": gdcm.TransferSyntax.RLELossless,
    "1.2.840.10008.1.2": gdcm.TransferSyntax.ImplicitVRLittleEndian,
}
JPEG_LOSSLESS, JPEG_LS = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"
JPEG_2000, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
HTJ2K = [f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)]

#: Streams of our own decoders' syntaxes, from an image of values up to 12 bits.
ENCODERS: dict[str, Callable[[NDArray[np.uint16]], bytes]] = {
    JPEG_LOSSLESS: lambda image: bytes(imagecodecs.jpeg8_encode(image, lossless=True, predictor=1, bitspersample=12)),
    JPEG_LS: lambda image: bytes(imagecodecs.jpegls_encode(image)),
    JPEG_2000: lambda image: bytes(imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k")),
    "1.2.840.10008.1.2.4.201": lambda image: bytes(imagecodecs.htj2k_encode(image, reversible=True)),
}


def convert(source: Path, target: Path, syntax: str) -> Path:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(SYNTAXES[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert dcmread(target, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    return target


def compressed_study(folder: Path, syntax: str) -> list[Path]:
    files = write_study(folder / "plain", stations=1)
    (folder / "compressed").mkdir()
    return [convert(file, folder / "compressed" / file.name, syntax) for file in files]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_losslessly_encoded_images_decode_to_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    compressed_study(tmp_path, syntax)
    expected = {s.contrast: s.voxels for s in load_study(tmp_path / "plain").stations}
    for station in load_study(tmp_path / "compressed").stations:
        np.testing.assert_array_equal(station.voxels, expected[station.contrast])


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_2000, RLE])
@pytest.mark.parametrize("end", [-40, -9, -1])
def test_truncated_compressed_pixels_are_refused(tmp_path: Path, syntax: str, end: int) -> None:
    files = compressed_study(tmp_path, syntax)
    files[2].write_bytes(files[2].read_bytes()[:end])
    with pytest.raises(DicomError, match=f"file {files[2].name}: truncated"):
        load_study(tmp_path / "compressed")


@pytest.mark.parametrize(
    ("uid", "name"),
    [("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile"), ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile")],
)
def test_a_transfer_syntax_without_decoder_is_named(tmp_path: Path, uid: str, name: str) -> None:
    for file in write_study(tmp_path, stations=1):
        header = dcmread(file)
        header.file_meta.TransferSyntaxUID = UID(uid)
        header.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\1\2\3\4\xfe\xff\xdd\xe0\0\0\0\0"
        header["PixelData"].is_undefined_length = True
        write(header, file)
    with pytest.raises(DicomError, match=rf"transfer syntax {name}.*Export the study uncompressed"):
        load_study(tmp_path)


def test_images_that_were_compressed_with_loss_are_flagged(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        header.LossyImageCompression = "01" if header.SeriesNumber == 3 else "00"

    write_study(tmp_path, stations=1, change=change)
    study = load_study(tmp_path)
    assert [(flag.code, flag.severity) for flag in study.flags] == [("lossy-compression", "warning")]
    assert study.flags[0].message.startswith("1 series")


def test_jpeg_baseline_is_lossy_whatever_the_header_says(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (ROWS, COLUMNS), dtype=np.uint8)
    for file in write_study(tmp_path, stations=1):
        header = dcmread(file)
        header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
        write(header, file)
        encapsulated(file, "1.2.840.10008.1.2.4.50", [bytes(imagecodecs.jpeg8_encode(noise, level=90))])
    assert "lossy-compression" in {flag.code for flag in load_study(tmp_path).flags}


def encapsulated(file: Path, syntax: str, streams: list[bytes]) -> None:
    """Replace a file's pixels by encoded frames."""
    header = dcmread(file)
    header.file_meta.TransferSyntaxUID = UID(syntax)
    header.PixelData = encapsulate(streams)
    header["PixelData"].is_undefined_length = True
    write(header, file)


def encoded_frame(file: Path) -> bytes:
    return next(generate_frames(dcmread(file).PixelData, number_of_frames=1))


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS, JPEG_2000])
def test_a_stream_that_ends_early_in_a_whole_file_is_refused(tmp_path: Path, syntax: str) -> None:
    files = compressed_study(tmp_path, syntax)
    encapsulated(files[2], syntax, [encoded_frame(files[2]).rstrip(b"\0")[:-12]])
    with pytest.raises(DicomError, match=f"file {files[2].name}: truncated or damaged pixel data"):
        load_study(tmp_path / "compressed")


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS, JPEG_2000])
def test_a_stream_of_another_size_than_the_header_states_is_refused(tmp_path: Path, syntax: str) -> None:
    files = compressed_study(tmp_path, syntax)
    frame = encoded_frame(files[2])
    # 60,000 rows would take more than a gigabyte if the reader trusted the stream.
    place = {JPEG_2000: 12}.get(syntax) or frame.index(b"\xff\xc3" if syntax == JPEG_LOSSLESS else b"\xff\xf7") + 5
    huge = (60_000).to_bytes(4 if syntax == JPEG_2000 else 2, "big")
    encapsulated(files[2], syntax, [frame[:place] + huge + frame[place + len(huge) :]])
    with pytest.raises(DicomError, match=f"file {files[2].name}: truncated or damaged pixel data"):
        load_study(tmp_path / "compressed")


@pytest.mark.parametrize("syntax", ENCODERS)
def test_encoded_frames_decode_to_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    files = write_study(tmp_path, stations=1)
    expected = {station.contrast: station.voxels for station in load_study(tmp_path).stations}
    for file in files:
        encapsulated(file, syntax, [bytes(ENCODERS[syntax](dcmread(file).pixel_array))])
    for station in load_study(tmp_path).stations:
        np.testing.assert_array_equal(station.voxels, expected[station.contrast])


@pytest.mark.parametrize("syntax", ENCODERS)
def test_an_encoded_stream_without_its_end_or_of_another_size_is_refused(syntax: str) -> None:
    image = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) % 500
    stream = bytes(ENCODERS[syntax](image))
    options = {"rows": 40, "columns": 48, "bits_stored": 12, "pixel_representation": 0}
    np.testing.assert_array_equal(decode_frame(stream, syntax, options), image)
    with pytest.raises(ValueError, match="before its end marker"):
        decode_frame(stream[:-12], syntax, options)
    with pytest.raises(ValueError, match="48\\) pixels in the stream"):
        decode_frame(stream, syntax, options | {"rows": 41})


@pytest.mark.parametrize("syntax", ENCODERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_stream_does_more_than_raise(syntax: str, data: st.DataObject) -> None:
    """GDCM crashes the process on some of these."""
    image = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) % 500
    stream = bytearray(ENCODERS[syntax](image))
    for at in data.draw(st.lists(st.integers(0, 119), min_size=1, max_size=3)):
        stream[at] = data.draw(st.integers(0, 255))
    options = {"rows": 40, "columns": 48, "bits_stored": 12, "pixel_representation": 0}
    try:
        decoded = decode_frame(bytes(stream), syntax, options)
    except Exception:
        return
    assert decoded.shape == image.shape


@pytest.mark.parametrize("syntax", [*SYNTAXES, "1.2.840.10008.1.2.1"])
@pytest.mark.parametrize("bits", [12, 16])
def test_signed_pixels_keep_their_sign_in_every_encoding(tmp_path: Path, syntax: str, bits: int) -> None:
    def signed(header: Dataset) -> None:
        header.BitsStored, header.HighBit, header.PixelRepresentation = bits, bits - 1, 1
        stored = np.frombuffer(header.PixelData, np.uint16).astype(np.int16)
        header.PixelData = (stored - 1700).tobytes()

    files = write_study(tmp_path / "plain", stations=1, change=signed)
    study = tmp_path / "plain"
    if syntax in SYNTAXES:
        study = tmp_path / "compressed"
        study.mkdir()
        for file in files:
            convert(file, study / file.name, syntax)
    stations = load_study(study).stations
    assert sum(station.voxels.max() < 0 for station in stations) == 2
    for station in stations:
        expected = np.stack([stored_pixels(station.contrast, 0, k) for k in range(SLICES)]).astype(np.int64)
        np.testing.assert_array_equal(station.voxels, expected - 1700)


@pytest.mark.parametrize("syntax", HTJ2K)
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_htj2k_images_decode_to_the_same_voxels(tmp_path: Path, syntax: str, bits: int, signed: bool) -> None:
    def change(header: Dataset) -> None:
        header.BitsStored, header.HighBit, header.PixelRepresentation = bits, bits - 1, int(signed)
        stored = np.frombuffer(header.PixelData, np.uint16).astype(np.int16)
        header.PixelData = (stored - 1700 * signed).tobytes()

    files = write_study(tmp_path, stations=1, change=change)
    expected = {station.contrast: station.voxels for station in load_study(tmp_path).stations}
    for file in files:
        encapsulated(file, syntax, [ENCODERS[HTJ2K[0]](dcmread(file).pixel_array)])
    study = load_study(tmp_path)
    for station in study.stations:
        np.testing.assert_array_equal(station.voxels, expected[station.contrast])
    assert not study.flags


@pytest.mark.parametrize("syntax", [JPEG_LS, HTJ2K[0]])
def test_compressed_frames_of_an_enhanced_object_are_told_apart(tmp_path: Path, syntax: str) -> None:
    plain = write(enhanced_header(), tmp_path / "x.dcm")
    expected = {station.contrast: station.voxels for station in load_study(tmp_path).stations}
    frames = np.frombuffer(dcmread(plain).PixelData, np.uint16).reshape(-1, *expected[Contrast.FAT].shape[1:])
    encapsulated(plain, syntax, [ENCODERS[syntax](frame) for frame in frames])
    for station in load_study(tmp_path).stations:
        np.testing.assert_array_equal(station.voxels, expected[station.contrast])


def test_a_deflated_dataset_is_refused_unread(tmp_path: Path) -> None:
    for file in write_study(tmp_path, stations=1):
        header = dcmread(file)
        header.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
        header.save_as(file)
    with pytest.raises(DicomError, match="Deflated Explicit VR"):
        load_study(tmp_path)


def test_four_contrasts_in_one_enhanced_object(tmp_path: Path) -> None:
    write(enhanced_header(), tmp_path / "x.dcm")
    study = load_study(tmp_path)
    assert {station.contrast for station in study.stations} == set(Contrast)
    for station in study.stations:
        expected = np.stack([stored_pixels(station.contrast, 0, k) for k in range(SLICES)]).astype(np.float32)
        np.testing.assert_array_equal(station.voxels, 2 * expected - ORDER.index(station.contrast))
        np.testing.assert_allclose(station.grid.spacing_mm, SPACING)
        np.testing.assert_allclose(station.grid.origin_mm, origin_mm(0))
        assert len(station.sop_instance_uids) == 1
        assert station.sop_class_uid == "1.2.840.10008.5.1.4.1.1.4.1"
        assert station.acquired is not None
        assert station.acquired.hour == 23


def test_an_enhanced_object_has_the_position_that_simpleitk_reads(tmp_path: Path) -> None:
    for number, contrast in enumerate(ORDER):
        write(enhanced_header((contrast,), number=70 + number), tmp_path / f"{contrast}.dcm")
    station = next(s for s in load_study(tmp_path).stations if s.contrast == Contrast.FAT)
    theirs = SimpleITK.ReadImage(str(tmp_path / "fat.dcm"))
    # SimpleITK keeps the frames in file order, here from above, so it is queried by position, not by index.
    for index in [(0, 0, 0), (8, 6, 5), (4, 1, 2)]:
        place = (station.grid.affine @ [*index, 1])[:3]
        there = theirs.TransformPhysicalPointToIndex([float(c) for c in place])
        assert theirs[there] == station.voxels[index[::-1]]


def test_stacks_of_one_enhanced_object_are_stations(tmp_path: Path) -> None:
    upper, lower = enhanced_header(), enhanced_header(station=3)
    frames = []
    for stack, part in (("1", upper), ("2", lower)):
        for groups in part.PerFrameFunctionalGroupsSequence:
            content = Dataset()
            content.StackID = stack
            groups.FrameContentSequence = [content]
            frames.append(groups)
    upper.PerFrameFunctionalGroupsSequence = frames
    upper.NumberOfFrames = len(frames)
    upper.PixelData += lower.PixelData
    write(upper, tmp_path / "x.dcm")
    stations = load_study(tmp_path).stations
    assert len(stations) == 8
    lows = sorted({station.grid.origin_mm[2] for station in stations})
    assert lows == [origin_mm(3)[2], origin_mm(0)[2]]
    station = next(s for s in stations if s.contrast == Contrast.FAT and s.grid.origin_mm[2] == lows[0])
    np.testing.assert_array_equal(
        station.voxels[1], 2.0 * stored_pixels(Contrast.FAT, 3, 1) - ORDER.index(Contrast.FAT)
    )


def test_phase_frames_of_an_enhanced_object_are_left_out(tmp_path: Path) -> None:
    write(enhanced_header(), tmp_path / "x.dcm")
    phase = enhanced_header(number=51)
    for groups in phase.PerFrameFunctionalGroupsSequence:
        groups.MRImageFrameTypeSequence[0].ComplexImageComponent = "PHASE"
    write(phase, tmp_path / "y.dcm")
    study = load_study(tmp_path)
    assert {station.series_number for station in study.stations} == {50}
    assert "1 of them phase" in study.flags[0].message


def test_fewer_functional_groups_than_frames_are_refused(tmp_path: Path) -> None:
    header = enhanced_header()
    del header.PerFrameFunctionalGroupsSequence[-1]
    write(header, tmp_path / "x.dcm")
    with pytest.raises(DicomError, match="24 frames with 23 per-frame functional groups"):
        load_study(tmp_path)


def test_a_truncated_enhanced_object_is_refused(tmp_path: Path) -> None:
    path = write(enhanced_header(), tmp_path / "x.dcm")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DicomError, match=r"file x\.dcm: truncated"):
        load_study(tmp_path)


def test_an_enhanced_frame_without_spacing_is_named(tmp_path: Path) -> None:
    header = enhanced_header()
    del header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    write(header, tmp_path / "x.dcm")
    with pytest.raises(GeometryError, match=r"file x.dcm.*: no PixelSpacing"):
        load_study(tmp_path)
