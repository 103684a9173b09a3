"""The PixelData element of a file: what the header says of it, and whether the file holds all of it."""

from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO

from operators.dicom_loader.elements import UNDEFINED_LENGTH, PixelElement, Values

__all__ = ["PIXEL_KEYWORDS", "is_whole", "pixel_options"]

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

PIXEL_KEYWORDS = (*_PIXEL_OPTIONS, *_OFFSET_KEYWORDS)

_ITEM, _SEQUENCE_DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def pixel_options(header: Values) -> dict[str, Any]:
    """Options for pydicom's decoders."""
    options: dict[str, Any] = dict(_USUAL_PIXELS)
    options |= {name: value for k, name in _PIXEL_OPTIONS.items() if (value := header.get(k)) is not None}
    options.setdefault("bits_stored", options["bits_allocated"])
    options["number_of_frames"] = int(options.get("number_of_frames") or 1)
    options["photometric_interpretation"] = str(options["photometric_interpretation"]).strip().upper()
    if all(k in header for k in _OFFSET_KEYWORDS):
        options["extended_offsets"] = tuple(header.get(k) for k in _OFFSET_KEYWORDS)
    return options


def is_whole(stream: BinaryIO, pixels: PixelElement) -> bool:
    """Whether the pixel data end within the file. Decoders would accept a truncated fragment without an error."""
    end = stream.seek(0, os.SEEK_END)
    start, length = pixels.offset, pixels.length
    if length != UNDEFINED_LENGTH:
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
