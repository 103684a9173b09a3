"""Decoding of JPEG, JPEG-LS and JPEG 2000 frames with imagecodecs.

Its libraries (libjpeg-turbo, CharLS, OpenJPEG) release the interpreter lock.
libjpeg-turbo takes a quarter of GDCM's time for JPEG lossless, and none of them
crashes the process on a damaged header, as GDCM does. But they accept a stream
that ends early and trust the size that a stream states, so both are checked
here first.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
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

__all__ = ["DECODED_HERE", "decode_frame"]

_JPEG = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1})
_JPEG_LS = frozenset({JPEGLSLossless, JPEGLSNearLossless})
_JPEG_2000 = frozenset({JPEG2000Lossless, JPEG2000})

DECODED_HERE = _JPEG | _JPEG_LS | _JPEG_2000
"""UIDs of the transfer syntaxes that this module decodes."""

_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS (ITU-T T.81 B.1.1.3), EOC of JPEG 2000 (T.800 A.4.4)."""

_JPEG_STARTS_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
_JPEG_2000_START = b"\xff\x4f\xff\x51"
"""Start of codestream and the marker of its size (T.800 A.4.1, A.5.1)."""


def decode_frame(encoded: bytes, transfer_syntax_uid: str, options: Mapping[str, Any]) -> NDArray[Any]:
    """Decode the stored values of one frame.

    Parameters
    ----------
    encoded : bytes
        The frame's fragments, joined.
    transfer_syntax_uid : str
        One of ``DECODED_HERE``.
    options : mapping
        ``rows``, ``columns``, ``bits_stored`` and ``pixel_representation``, named as in pydicom's decoders.

    Returns
    -------
    ndarray, shape (rows, columns), integer
        Signed if ``pixel_representation`` is 1.

    Raises
    ------
    ValueError
        When the stream ends early, or its size is not ``rows`` x ``columns``.
    Exception
        Whatever imagecodecs raises for a damaged stream.
    """
    expected = (int(options["rows"]), int(options["columns"]))
    if not encoded.rstrip(b"\0").endswith(_END):
        raise ValueError("the stream ends before its end marker")
    # Checked before memory is allocated: a damaged or hostile stream may state any size.
    stated = _jpeg_2000_shape(encoded) if transfer_syntax_uid in _JPEG_2000 else _jpeg_shape(encoded)
    if stated != expected:
        raise ValueError(f"{stated} pixels in the stream, {expected} in the header")
    if transfer_syntax_uid in _JPEG:
        values = imagecodecs.jpeg8_decode(encoded)
    elif transfer_syntax_uid in _JPEG_LS:
        values = imagecodecs.jpegls_decode(encoded)
    else:
        values = imagecodecs.jpeg2k_decode(encoded)
    return _as_stated(values, int(options["bits_stored"]), int(options["pixel_representation"]) == 1)


def _as_stated(values: NDArray[Any], bits_stored: int, signed: bool) -> NDArray[Any]:
    """Apply the header's sign and bits: JPEG streams have no sign, and JPEG 2000 streams may state another one."""
    unused = 8 * values.itemsize - bits_stored
    if unused < 0 or bits_stored < 1:
        raise ValueError(f"{bits_stored} bits stored in values of {8 * values.itemsize} bits")
    stated = values.view(f"{'i' if signed else 'u'}{values.itemsize}")
    if unused:
        # Shifting left drops the unused high bits; shifting back extends the sign.
        np.left_shift(stated, unused, out=stated)
        np.right_shift(stated, unused, out=stated)
    return stated


def _jpeg_shape(encoded: bytes) -> tuple[int, int]:
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


def _jpeg_2000_shape(encoded: bytes) -> tuple[int, int]:
    """Rows and columns that a JPEG 2000 codestream states (T.800 A.5.1)."""
    if encoded[:4] != _JPEG_2000_START:
        raise ValueError("no JPEG 2000 codestream")
    right, bottom, left, top = struct.unpack_from(">4L", encoded, 8)
    (components,) = struct.unpack_from(">H", encoded, 40)
    if components != 1:
        raise ValueError(f"{components} components")
    return bottom - top, right - left
