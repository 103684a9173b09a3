"""Frames of the JPEG family, decoded by imagecodecs.

Its libraries (libjpeg-turbo, CharLS, OpenJPEG) work outside the interpreter
lock, libjpeg-turbo takes a quarter of GDCM's time for JPEG lossless, and none
of them takes the process down on a damaged header, as GDCM does. They forgive
a stream that ends early, though, and believe a stream about its size, so both
are checked here first. What a stream is, it says itself: exporters wrap it in
a file header, pad it, or state another transfer syntax of the family.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

__all__ = ["DECODED_HERE", "StreamError", "decode_frame"]

DECODED_HERE = frozenset(
    {
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEGLSNearLossless,
        JPEG2000Lossless,
        JPEG2000,
    }
)
"""Transfer syntax UIDs."""

_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS (ITU-T T.81 B.1.1.3), EOC of JPEG 2000 (T.800 A.4.4)."""

_JPEG_STARTS_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
_JPEG_2000_START = b"\xff\x4f\xff\x51"
"""Start of codestream and the marker of its size (T.800 A.4.1, A.5.1)."""
_START_OF_SCAN = 0xDA
_JPEG_START = b"\xff\xd8"
_JPEG_LS_START_OF_FRAME = 0xF7
_JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
"""First box of a JP2 file (T.800 I.5.1)."""


class StreamError(ValueError):
    """A stream that is cut, is none of the family, or is no image of the size that the header states."""


def decode_frame(encoded: bytes, options: Mapping[str, Any]) -> NDArray[Any]:
    """One frame's stored values.

    Parameters
    ----------
    encoded : bytes
        The frame's fragments, joined. A JP2 header, padding in front and
        anything behind the end marker are passed over.
    options : mapping
        ``rows``, ``columns``, ``bits_stored`` and ``pixel_representation``, as pydicom's decoders call them.

    Returns
    -------
    ndarray, shape (rows, columns), integer
        Signed where ``pixel_representation`` is 1.

    Raises
    ------
    StreamError
        When the stream ends early, is of another size than ``rows`` x ``columns``, or none of the JPEG family.
    Exception
        What imagecodecs raises for a damaged stream.
    """
    stream = _bare_stream(encoded)
    expected = (int(options["rows"]), int(options["columns"]))
    jpeg_2000 = stream.startswith(_JPEG_2000_START)
    # Before memory is taken: a damaged or hostile stream may state any size.
    frame, stated = (0, _jpeg_2000_shape(stream)) if jpeg_2000 else _jpeg_frame(stream)
    if stated != expected:
        raise StreamError(f"{stated} pixels in the stream, {expected} in the header")
    if jpeg_2000:
        values = imagecodecs.jpeg2k_decode(stream)
    elif frame == _JPEG_LS_START_OF_FRAME:
        values = imagecodecs.jpegls_decode(stream)
    else:
        values = imagecodecs.jpeg8_decode(stream)
    return _as_stated(values, int(options["bits_stored"]), int(options["pixel_representation"]) == 1)


def _bare_stream(encoded: bytes) -> bytes:
    """A frame from its start marker to its end marker.

    Raises
    ------
    StreamError
        When either is not there.
    """
    if encoded.startswith(_JP2_SIGNATURE):
        encoded = _codestream_of_jp2(encoded)
    elif encoded[:1] == b"\0":
        encoded = encoded.lstrip(b"\0")
    if encoded.startswith(_JPEG_2000_START):
        # Within the codestream no two bytes are FF 90 or more, segments of a few bytes at its start apart (T.800 B.10).
        end = encoded.rfind(_END)
    elif encoded.startswith(_JPEG_START):
        # Behind the start of scan FF is followed by 00 or a restart marker; a thumbnail in front has an end of its own.
        end = encoded.find(_END, _start_of_scan(encoded))
    else:
        raise StreamError("no JPEG or JPEG 2000 stream")
    if end < 0:
        raise StreamError("the stream ends before its end marker")
    return encoded[: end + len(_END)]


def _codestream_of_jp2(encoded: bytes) -> bytes:
    """The contiguous codestream box of a JP2 file (T.800 I.4, I.5.4)."""
    at = 0
    while at + 8 <= len(encoded):
        length, kind = struct.unpack_from(">L4s", encoded, at)
        start = at + 8
        if length == 1 and at + 16 <= len(encoded):
            (length,) = struct.unpack_from(">Q", encoded, start)
            start += 8
        if kind == b"jp2c":
            # A wrong length does no harm: the codestream ends with its own marker.
            return encoded[start:]
        if length < start - at:
            break
        at += length
    raise StreamError("a JP2 file without a codestream")


def _as_stated(values: NDArray[Any], bits_stored: int, signed: bool) -> NDArray[Any]:
    """Read values as the header does: JPEG streams know no sign, and JPEG 2000 streams may state another one."""
    unused = 8 * values.itemsize - bits_stored
    if unused < 0 or bits_stored < 1:
        raise ValueError(f"{bits_stored} bits stored in values of {8 * values.itemsize} bits")
    stated = values.view(f"{'i' if signed else 'u'}{values.itemsize}")
    if unused:
        # The sign bit goes to the top and draws its copies back down with it; what lies above it is no signal.
        np.left_shift(stated, unused, out=stated)
        np.right_shift(stated, unused, out=stated)
    return stated


def _segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Marker and offset of each marker segment in front of the scan of a JPEG or JPEG-LS stream (T.81 B.1.1)."""
    at = 2
    while at + 4 <= len(encoded):
        prefix, marker, length = struct.unpack_from(">BBH", encoded, at)
        if prefix != 0xFF:
            return
        if marker == 0xFF:  # fill
            at += 1
            continue
        yield marker, at
        at += 2 + length


def _start_of_scan(encoded: bytes) -> int:
    for marker, at in _segments(encoded):
        if marker == _START_OF_SCAN:
            return at
    raise StreamError("no start of scan")


def _jpeg_frame(encoded: bytes) -> tuple[int, tuple[int, int]]:
    """The start of frame of a JPEG or JPEG-LS stream, and the rows and columns that it states (T.81 B.2.2)."""
    for marker, at in _segments(encoded):
        if marker in _JPEG_STARTS_OF_FRAME and at + 10 <= len(encoded):
            rows, columns, components = struct.unpack_from(">HHB", encoded, at + 5)
            if components != 1:
                raise StreamError(f"{components} components")
            return marker, (rows, columns)
    raise StreamError("no start of frame")


def _jpeg_2000_shape(encoded: bytes) -> tuple[int, int]:
    """Rows and columns that a JPEG 2000 codestream states (T.800 A.5.1)."""
    if len(encoded) < 42:
        raise StreamError("the stream ends in its header")
    right, bottom, left, top = struct.unpack_from(">4L", encoded, 8)
    (components,) = struct.unpack_from(">H", encoded, 40)
    if components != 1:
        raise StreamError(f"{components} components")
    return bottom - top, right - left
