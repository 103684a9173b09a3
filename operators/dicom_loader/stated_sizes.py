"""Rows and columns that a compressed stream states in its own header.

They are read before the stream is decoded: a damaged or hostile stream may
state any size, and a decoder would take the memory for it.
"""

from __future__ import annotations

import struct

__all__ = ["jpeg_2000_shape", "jpeg_shape"]

_JPEG_STARTS_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
_JPEG_2000_START = b"\xff\x4f\xff\x51"
"""Start of codestream and the marker of its size (T.800 A.4.1, A.5.1)."""


def jpeg_shape(encoded: bytes) -> tuple[int, int]:
    """Rows and columns that a JPEG or JPEG-LS stream states (T.81 B.2.2)."""
    if encoded[:2] != b"\xff\xd8":
        raise ValueError("no JPEG stream")
    at = 2
    while at + 9 <= len(encoded):
        prefix, marker, length = struct.unpack_from(">BBH", encoded, at)
        if prefix != 0xFF:
            break
        if marker in _JPEG_STARTS_OF_FRAME:
            rows, columns, components = struct.unpack_from(">HHB", encoded, at + 5)
            if components != 1:
                raise ValueError(f"{components} components")
            return rows, columns
        at += 1 if marker == 0xFF else 2 + length
    raise ValueError("no start of frame")


def jpeg_2000_shape(encoded: bytes) -> tuple[int, int]:
    """Rows and columns that a JPEG 2000 codestream states (T.800 A.5.1)."""
    if encoded[:4] != _JPEG_2000_START:
        raise ValueError("no JPEG 2000 codestream")
    right, bottom, left, top = struct.unpack_from(">4L", encoded, 8)
    (components,) = struct.unpack_from(">H", encoded, 40)
    if components != 1:
        raise ValueError(f"{components} components")
    return bottom - top, right - left
