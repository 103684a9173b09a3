"""Compressed frames without what exporters put around them: file headers, padding, bytes after the end."""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["StreamError", "bare_stream", "is_jpeg_2000", "is_jpeg_ls"]

_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS (ITU-T T.81 B.1.1.3), EOC of JPEG 2000 (T.800 A.4.4)."""

_JPEG_START = b"\xff\xd8"
_START_OF_SCAN = 0xDA
_JPEG_LS_START_OF_FRAME = 0xF7
_JPEG_2000_START = b"\xff\x4f\xff\x51"
"""Start of codestream and the marker of its size (T.800 A.4.1, A.5.1)."""
_JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
"""First box of a JP2 file (T.800 I.5.1)."""


class StreamError(ValueError):
    """A stream that is cut, is not of its kind, or does not have the size that the header states."""


def bare_stream(encoded: bytes) -> bytes:
    """A frame from its start marker to its end marker; a stream of another kind as it is.

    Raises
    ------
    StreamError
        When the end marker is missing.
    """
    if encoded.startswith(_JP2_SIGNATURE):
        encoded = _codestream_of_jp2(encoded)
    elif encoded[:1] == b"\0":
        encoded = encoded.lstrip(b"\0")
    if is_jpeg_2000(encoded):
        # In a codestream, no two bytes are FF 90 or more except in the segments at its start (T.800 B.10).
        end = encoded.rfind(_END)
    elif encoded.startswith(_JPEG_START):
        # After the start of scan, FF is followed by 00 or a restart marker. A thumbnail before it has its own end.
        end = encoded.find(_END, _start_of_scan(encoded))
    else:
        return encoded
    if end < 0:
        raise StreamError("the stream ends before its end marker")
    return encoded[: end + len(_END)]


def is_jpeg_2000(stream: bytes) -> bool:
    """Whether a stream is a JPEG 2000 codestream."""
    return stream.startswith(_JPEG_2000_START)


def is_jpeg_ls(stream: bytes) -> bool:
    """Whether a stream of the JPEG family is JPEG-LS (T.87 C.2.2)."""
    return any(marker == _JPEG_LS_START_OF_FRAME for marker, _ in _segments(stream))


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
            # A wrong length does no harm, because the codestream has an end marker.
            return encoded[start:]
        if length < start - at:
            break
        at += length
    raise StreamError("a JP2 file without a codestream")


def _segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Marker and offset of each marker segment before the scan of a JPEG or JPEG-LS stream (T.81 B.1.1)."""
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
