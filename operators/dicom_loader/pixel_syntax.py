"""How pixels are encoded where the transfer syntax of their file contradicts them.

A PACS that decompresses images may leave the transfer syntax of the compressed
ones in the file, and an exporter that compresses them that of the plain ones.
Compressed pixels have no length of their own (PS3.5 A.4), so the file tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from pydicom.encaps import get_frame
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from operators.core.errors import DicomError
from operators.dicom_loader.bare_streams import is_jpeg_2000
from operators.dicom_loader.elements import PixelElement

__all__ = ["syntax_of_pixels"]

_UNDEFINED_LENGTH = 0xFFFFFFFF
_JPEG_START, _JP2_START = b"\xff\xd8", b"\0\0\0\x0cjP  "
#: Markers of frames that lose something: baseline and extended (T.81 B.1.1.3).
_LOSSY_FRAMES = (b"\xff\xc0", b"\xff\xc1")
#: The header of 1 to 15 segments, the first behind it (PS3.5 G.5).
_RLE_HEADER_BYTES = 64


def syntax_of_pixels(
    stream: BinaryIO, pixels: PixelElement, stated: str, options: Mapping[str, Any], where: str
) -> str:
    """The transfer syntax to decode pixels with: the stated one, unless it says compressed and they are not, or not
    and they are, or it is a private one and they have the length of plain ones.

    Parameters
    ----------
    stream : BinaryIO
        The file.
    pixels : PixelElement
    stated : str
        Transfer syntax UID of the file meta information.
    options : mapping
        Options for pydicom's decoders.
    where : str
        The file's name in messages.

    Raises
    ------
    DicomError
        For compressed pixels of an unknown kind under a transfer syntax without compression.
    """
    syntax = UID(stated)
    compressed = pixels.length == _UNDEFINED_LENGTH
    if not syntax.is_transfer_syntax:
        plain = not compressed and 0 <= pixels.length - _plain_bytes(options) <= 1
        return str(ExplicitVRLittleEndian) if plain else stated
    if compressed == syntax.is_compressed:
        return stated
    if compressed:
        return _compression(stream, pixels, options, where)
    # Too few bytes for plain pixels: the message about the stated compression is the better one.
    return str(ExplicitVRLittleEndian) if pixels.length >= _plain_bytes(options) else stated


def _compression(stream: BinaryIO, pixels: PixelElement, options: Mapping[str, Any], where: str) -> str:
    stream.seek(pixels.offset)
    frame = get_frame(stream, 0, number_of_frames=options["number_of_frames"])
    if frame.startswith(_JPEG_START):
        return str(JPEGBaseline8Bit if any(marker in frame[:1024] for marker in _LOSSY_FRAMES) else JPEGLosslessSV1)
    if is_jpeg_2000(frame) or frame.startswith(_JP2_START):
        return str(JPEGLosslessSV1)  # the decoder tells the members of the family apart
    if int.from_bytes(frame[:4], "little") in range(1, 16) and frame[4:8] == _RLE_HEADER_BYTES.to_bytes(4, "little"):
        return str(RLELossless)
    raise DicomError(
        where,
        "compressed pixels of an unknown kind under a transfer syntax without compression",
        "pixels as the transfer syntax says",
        "Export the study again, uncompressed.",
    )


def _plain_bytes(options: Mapping[str, Any]) -> int:
    try:
        pixels = int(options["rows"]) * int(options["columns"]) * int(options["number_of_frames"])
        return pixels * (int(options["bits_allocated"]) // 8)
    except (KeyError, TypeError, ValueError):
        return _UNDEFINED_LENGTH
