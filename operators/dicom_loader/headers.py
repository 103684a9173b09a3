"""The header pass: read what each file of a study is, without its pixels."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import BinaryIO

from pydicom.uid import UID, MediaStorageDirectoryStorage, MRImageStorage

from operators.core.errors import DicomError, InputError, SarcoMapError
from operators.dicom_loader.clutter import is_clutter
from operators.dicom_loader.contrast_agent import agent_told_by
from operators.dicom_loader.element_reader import ElementReader
from operators.dicom_loader.elements import PREAMBLE_BYTES, Elements, Values, starts_like_a_dataset
from operators.dicom_loader.frames import MULTI_FRAME, Frame, UnplacedImageError, frames_of
from operators.dicom_loader.header_texts import acquired, contrast_agent, said, scanned, texts
from operators.dicom_loader.header_values import integer
from operators.dicom_loader.image_file import ImageFile, OtherFile, Part
from operators.dicom_loader.pixel_element import PIXEL_KEYWORDS, is_whole, pixel_options
from operators.dicom_loader.pixel_syntax import syntax_of_pixels
from operators.dicom_loader.private_elements import wanted_tags
from operators.dicom_loader.repeated_values import ACQUISITION_KEYWORDS, PATIENT_KEYWORDS
from operators.dicom_loader.source import Source
from operators.dicom_loader.stored_values import ENCODING_KEYWORDS, Encoding

__all__ = ["header_reader", "read_header"]

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
    "ContrastBolusVolume",
    "ContrastBolusTotalDose",
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
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ConcatenationUID",
    "InConcatenationNumber",
    "InConcatenationTotalNumber",
)


def header_reader() -> ElementReader:
    """The reader for `read_header`. Use one for the whole study, because it reuses what its files have in common."""
    keywords = (*PATIENT_KEYWORDS, *ACQUISITION_KEYWORDS, *_IMAGE_KEYWORDS, *PIXEL_KEYWORDS, *ENCODING_KEYWORDS)
    return ElementReader(keywords, wanted_tags())


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
        opening = stream.read(PREAMBLE_BYTES)
        if opening[128:] != b"DICM" and not starts_like_a_dataset(opening):
            if is_clutter(file, opening):
                return None
            found = "an empty file" if not opening else "not a DICOM file"
            raise DicomError(where, found, "a DICOM image", "Fetch this file again, or take it out of the input.")
        return _guarded(where, lambda: _understand(stream, file, where, reader))


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
        return OtherFile(series_uid, "other", storage=UID(sop_class).name)
    if elements.pixels is None:
        found = "the file ends before its pixels, or has floating-point pixels only"
        raise DicomError(where, found, "a whole DICOM image with PixelData", "Fetch this file again.")
    try:
        frames, kind = frames_of(header, where)
    except UnplacedImageError as error:
        if _is_in_colour(header):  # a screenshot
            return OtherFile(series_uid, "other")
        error.series_uid = series_uid
        raise
    if not frames:
        return OtherFile(series_uid, kind, part=_part(header))
    if _is_in_colour(header):
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


def _is_in_colour(header: Values) -> bool:
    palette = str(header.get("PhotometricInterpretation") or "").strip().upper() == "PALETTE COLOR"
    return palette or int(header.get("SamplesPerPixel") or 1) != 1


def _image_file(
    stream: BinaryIO, header: Values, elements: Elements, frames: tuple[Frame, ...], file: str, where: str
) -> ImageFile:
    pixels, transfer_syntax = elements.pixels, elements.transfer_syntax_uid
    assert pixels is not None
    _check_image(header, transfer_syntax, where)
    if not is_whole(stream, pixels):
        raise DicomError(where, "truncated pixel data", "a whole DICOM image", "Fetch this file again.")
    options = pixel_options(header)
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
        part=_part(header),
    )


def _part(header: Values) -> Part | None:
    uid = said(header, "ConcatenationUID")
    numbers = [int(header.get(f"InConcatenation{what}") or 0) for what in ("Number", "TotalNumber")] if uid else []
    return Part(uid, *numbers) if uid else None


def _check_image(header: Values, transfer_syntax: str, where: str) -> None:
    missing = [k for k in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID") if not header.get(k)]
    if not transfer_syntax:
        missing.append("TransferSyntaxUID")
    if missing:
        raise DicomError(where, f"no {', no '.join(missing)}", "an MR image with its identifiers", "Export it again.")
    if header.get("ModalityLUTSequence"):
        raise DicomError(
            where, "a Modality LUT Sequence", "Rescale Slope and Intercept, as MR images have", "Export it again."
        )
