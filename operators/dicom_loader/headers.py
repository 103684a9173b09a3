"""The header pass: read what each file of a study is, without its pixels."""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from pydicom.uid import MediaStorageDirectoryStorage, MRImageStorage

from operators.core.errors import DicomError, InputError, SarcoMapError
from operators.dicom_loader.contrast_agent import agent_told_by
from operators.dicom_loader.elements import ElementReader, Elements, PixelElement, Values, starts_like_a_dataset
from operators.dicom_loader.frames import MULTI_FRAME, Frame, UnplacedImageError, frames_of
from operators.dicom_loader.header_texts import acquired, contrast_agent, said, scanned, texts
from operators.dicom_loader.header_values import integer
from operators.dicom_loader.pixel_syntax import syntax_of_pixels
from operators.dicom_loader.private_elements import wanted_tags
from operators.dicom_loader.repeated_values import ACQUISITION_KEYWORDS, PATIENT_KEYWORDS
from operators.dicom_loader.source import Source
from operators.dicom_loader.stored_values import ENCODING_KEYWORDS, Encoding

__all__ = ["ImageFile", "OtherFile", "header_reader", "read_header"]

_IMAGE_KEYWORDS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ContentDate",
    "ContentTime",
    "SeriesDescription",
    "ProtocolName",
    "ComplexImageComponent",
    "SeriesInstanceUID",
    "SeriesNumber",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)

#: Image Pixel module attributes (PS3.3 C.7.6.3), and what pydicom's decoders call them.
_PIXEL_OPTIONS = {
    "SamplesPerPixel": "samples_per_pixel",
    "PhotometricInterpretation": "photometric_interpretation",
    "PlanarConfiguration": "planar_configuration",
    "NumberOfFrames": "number_of_frames",
    "Rows": "rows",
    "Columns": "columns",
    "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored",
    "PixelRepresentation": "pixel_representation",
}
#: What MR images are where their header does not say it.
_USUAL_PIXELS = {
    "samples_per_pixel": 1,
    "photometric_interpretation": "MONOCHROME2",
    "bits_allocated": 16,
    "pixel_representation": 0,
}
_OFFSET_KEYWORDS = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")

_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _SEQUENCE_DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"

_PREAMBLE_BYTES = 132
_CLUTTER_NAME = re.compile(
    r"^(\..*|thumbs\.db|desktop\.ini|ehthumbs\.db|dicomdir.*|manifest.*|readme.*|licen[cs]e.*)$", re.IGNORECASE
)
#: Endings of the names of DICOM files: none, a usual suffix, or the last component of a UID.
_DICOM_SUFFIX = re.compile(r"^(|\.dcm|\.dicom|\.dic|\.ima|\.mr|\.\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class OtherFile:
    """A DICOM object that is not a Dixon magnitude image as acquired.

    Attributes
    ----------
    series_uid : str
        Empty when the object has none.
    kind : {"phase", "composed", "other"}
    untold : ImageFile or None
        An MR image of which no header says what contrast it shows; that of its frame means nothing.
    composed : ImageFile or None
        A Dixon image that was composed of several stations or reformatted.
    error : SarcoMapError or None
        Why a composed one, or one in colour, cannot be read.
    """

    series_uid: str
    kind: str
    untold: ImageFile | None = None
    composed: ImageFile | None = None
    error: SarcoMapError | None = None


@dataclass(frozen=True)
class ImageFile:
    """The header of one MR object with at least one Dixon magnitude frame.

    Attributes
    ----------
    file : str
        Name relative to the input.
    frames : tuple of Frame
    acquired : datetime or None
        When the series began.
    scanned : datetime or None
        When the image itself was acquired, which tells scans in one series apart.
    pixels : PixelElement
        Position of its pixels in the file.
    pixel_options : mapping
        Options for pydicom's decoders.
    encoding : Encoding
        What the bits of a pixel mean.
    patient, acquisition : mapping of str to str
        `PATIENT_KEYWORDS` and `ACQUISITION_KEYWORDS` that have a value; several values are joined by a backslash.
    contrast_agent : {"", "ContrastBolusAgent", "description"}
        What says that it was acquired after a contrast agent.
    """

    file: str
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    series_number: int
    series_description: str
    frame_of_reference_uid: str
    transfer_syntax_uid: str
    acquired: datetime | None
    scanned: datetime | None
    frames: tuple[Frame, ...]
    pixels: PixelElement
    pixel_options: Mapping[str, Any]
    encoding: Encoding
    patient: Mapping[str, str]
    acquisition: Mapping[str, str] = field(default_factory=dict)
    contrast_agent: str = ""


def header_reader() -> ElementReader:
    """The reader for `read_header`. Use one for the whole study, because it reuses what its files have in common."""
    pixels = (*_PIXEL_OPTIONS, *ENCODING_KEYWORDS, *_OFFSET_KEYWORDS)
    return ElementReader((*PATIENT_KEYWORDS, *ACQUISITION_KEYWORDS, *_IMAGE_KEYWORDS, *pixels), wanted_tags())


def read_header(source: Source, file: str, reader: ElementReader) -> ImageFile | OtherFile | None:
    """Read the header of one file, up to its pixels.

    Returns
    -------
    ImageFile, OtherFile or None
        None for a file that is not DICOM and is not named like DICOM:
        manifests, texts, thumbnails and other files of an export.

    Raises
    ------
    DicomError
        For a damaged file, and for a file that is named like DICOM but is not DICOM.
    GeometryError
        For a Dixon image with unusable position, orientation or spacing; `UnplacedImageError` where it has none.
    """
    where = f"{source.name}, file {file}"
    with source.open(file) as stream:
        opening = stream.read(_PREAMBLE_BYTES)
        if opening[128:] != b"DICM" and not starts_like_a_dataset(opening):
            if _is_clutter(file, opening):
                return None
            found = "an empty file" if not opening else "not a DICOM file"
            raise DicomError(where, found, "a DICOM image", "Fetch this file again, or take it out of the input.")
        return _guarded(where, lambda: _understand(stream, file, where, reader))


def _is_clutter(file: str, opening: bytes) -> bool:
    name = PurePosixPath(file).name
    if _CLUTTER_NAME.match(name) or "__MACOSX" in PurePosixPath(file).parts:
        return True
    suffix = PurePosixPath(name).suffix.lower()
    if not _DICOM_SUFFIX.match(suffix):
        return True
    # A text file without a suffix is a note. Zeros or binary data are a damaged DICOM file.
    return suffix == "" and opening != b"" and all(byte in b"\t\n\r" or byte >= 0x20 for byte in opening)


def _guarded(where: str, read: Callable[[], ImageFile | OtherFile | None]) -> ImageFile | OtherFile | None:
    """Call ``read``, and turn any error that pydicom raises for a damaged header into a DicomError."""
    try:
        return read()
    except SarcoMapError:
        raise
    except Exception as error:  # pydicom parses lazily and raises many types; their texts may quote a patient's name
        # A damaged length can make pydicom seek before the start of the file. That is not an error of the disk.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise InputError(
                where, f"cannot be read ({error.strerror})", "a readable file", "Check the disk, then try again."
            ) from error
        raise DicomError(
            where,
            f"a damaged DICOM header ({type(error).__name__})",
            "a readable DICOM image",
            "Fetch this file again.",
        ) from error


def _understand(stream: BinaryIO, file: str, where: str, reader: ElementReader) -> ImageFile | OtherFile | None:
    elements = reader.read(stream, where)
    header = elements.values
    if elements.media_storage_sop_class_uid == MediaStorageDirectoryStorage:
        return None
    sop_class = str(header.get("SOPClassUID") or "")
    series_uid = str(header.get("SeriesInstanceUID") or "")
    if not sop_class and elements.pixels is not None:
        raise DicomError(where, "no SOPClassUID", "an MR image with its identifiers", "Export it again.")
    if not sop_class:
        raise DicomError(where, "the file ends in its header", "a whole DICOM image", "Fetch this file again.")
    if sop_class not in (MRImageStorage, *MULTI_FRAME):
        return OtherFile(series_uid, "other")
    if elements.pixels is None:
        found = "the file ends before its pixels, or has floating-point pixels only"
        raise DicomError(where, found, "a whole DICOM image with PixelData", "Fetch this file again.")
    try:
        frames, kind = frames_of(header, where)
    except UnplacedImageError as error:
        error.series_uid = series_uid
        raise
    if not frames:
        return OtherFile(series_uid, kind)
    palette = str(header.get("PhotometricInterpretation") or "").strip().upper() == "PALETTE COLOR"
    if palette or int(header.get("SamplesPerPixel") or 1) != 1:
        # A screenshot or a map in colours beside the study. It matters only in a series that is used.
        colour = DicomError(where, "a colour image", "one grey value per pixel", "Take this file out of the input.")
        return OtherFile(series_uid, "other", error=None if kind == "untold" else colour)
    if kind == "untold":
        # Only a whole, ordinary image can become one of a Dixon study later; no other stops the study.
        try:
            image = _image_file(stream, header, elements, frames, file, where)
        except SarcoMapError:
            image = None
        return OtherFile(series_uid, "other", image)
    if kind == "composed":
        # It matters only where there is no scan as acquired.
        try:
            return OtherFile(series_uid, kind, composed=_image_file(stream, header, elements, frames, file, where))
        except SarcoMapError as error:
            return OtherFile(series_uid, kind, error=error)
    return _image_file(stream, header, elements, frames, file, where)


def _image_file(
    stream: BinaryIO, header: Values, elements: Elements, frames: tuple[Frame, ...], file: str, where: str
) -> ImageFile:
    pixels, transfer_syntax = elements.pixels, elements.transfer_syntax_uid
    assert pixels is not None
    _check_image(header, transfer_syntax, where)
    if not _is_whole(stream, pixels.offset, pixels.length):
        raise DicomError(where, "truncated pixel data", "a whole DICOM image", "Fetch this file again.")
    options = _pixel_options(header)
    return ImageFile(
        file=file,
        sop_class_uid=str(header.get("SOPClassUID")),
        sop_instance_uid=str(header.get("SOPInstanceUID")),
        study_uid=str(header.get("StudyInstanceUID")),
        series_uid=str(header.get("SeriesInstanceUID") or ""),
        series_number=int(integer(said(header, "SeriesNumber")) or 0),
        series_description=said(header, "SeriesDescription"),
        frame_of_reference_uid=str(header.get("FrameOfReferenceUID") or ""),
        transfer_syntax_uid=syntax_of_pixels(stream, pixels, transfer_syntax, options, where),
        acquired=acquired(header),
        scanned=scanned(header),
        frames=frames,
        pixels=pixels,
        pixel_options=options,
        encoding=Encoding.of(header, where),
        patient=texts(header, PATIENT_KEYWORDS),
        acquisition=texts(header, ACQUISITION_KEYWORDS),
        contrast_agent=agent_told_by(contrast_agent(header), said(header, "SeriesDescription")),
    )


def _pixel_options(header: Values) -> dict[str, Any]:
    options: dict[str, Any] = dict(_USUAL_PIXELS)
    options |= {name: value for k, name in _PIXEL_OPTIONS.items() if (value := header.get(k)) is not None}
    options.setdefault("bits_stored", options["bits_allocated"])
    options["number_of_frames"] = int(options.get("number_of_frames") or 1)
    options["photometric_interpretation"] = str(options["photometric_interpretation"]).strip().upper()
    if all(k in header for k in _OFFSET_KEYWORDS):
        options["extended_offsets"] = tuple(header.get(k) for k in _OFFSET_KEYWORDS)
    return options


def _check_image(header: Values, transfer_syntax: str, where: str) -> None:
    missing = [k for k in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID") if not header.get(k)]
    if not transfer_syntax:
        missing.append("TransferSyntaxUID")
    if missing:
        raise DicomError(where, f"no {', no '.join(missing)}", "an MR image with its identifiers", "Export it again.")
    if "ModalityLUTSequence" in header:
        raise DicomError(
            where, "a Modality LUT Sequence", "Rescale Slope and Intercept, as MR images have", "Export it again."
        )


def _is_whole(stream: BinaryIO, start: int, length: int) -> bool:
    """Whether the pixel data end within the file. Decoders would accept a truncated fragment without an error."""
    end = stream.seek(0, os.SEEK_END)
    if length != _UNDEFINED_LENGTH:
        return start + length <= end
    # Encapsulated: items, each with its length, up to a delimiter (PS3.5 A.4).
    items = 0
    while start + 8 <= end:
        stream.seek(start)
        tag, item_length = struct.unpack("<4sL", stream.read(8))
        if tag == _SEQUENCE_DELIMITER:
            return True
        if tag != _ITEM:
            return False
        start += 8 + item_length
        items += 1
    # Some writers leave the delimiter out. The first item is the offset table, so two hold at least one frame.
    return start == end and items > 1
