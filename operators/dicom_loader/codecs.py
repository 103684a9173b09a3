"""Decoding of JPEG, JPEG-LS, JPEG 2000 and HTJ2K frames with imagecodecs.

Its libraries (libjpeg-turbo, CharLS, OpenJPEG) release the interpreter lock.
libjpeg-turbo takes a quarter of GDCM's time for JPEG lossless, and none of them
crashes the process on a damaged header, as GDCM does. But they accept a stream
that ends early and trust the size that a stream states, so both are checked
here first. The JPEG family is told by the stream itself, because exporters wrap
it, pad it, or state another transfer syntax of the family.

A compression is one entry of `CODECS`; docs/howto/add-a-compression.md shows how.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from operators.dicom_loader.bare_streams import StreamError, bare_stream, is_jpeg_2000, is_jpeg_ls
from operators.dicom_loader.stated_sizes import jpeg_2000_shape, jpeg_shape

__all__ = ["CODECS", "DECODED_HERE", "Codec", "StreamError", "decode_frame"]

_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS (ITU-T T.81 B.1.1.3), EOC of JPEG 2000 (T.800 A.4.4)."""


@dataclass(frozen=True)
class Codec:
    """How the frames of some transfer syntaxes are decoded.

    Attributes
    ----------
    name : str
        As messages call it.
    syntaxes : tuple of str
        Transfer syntax UIDs.
    stated_shape : callable
        From a stream, without decoding it, the rows and columns that it
        states; ``ValueError`` when it is no such stream.
    decode : callable
        From a stream to an array of unsigned integers, shape (rows, columns).
        It raises what it likes for a damaged stream.
    end : bytes
        Marker that a whole stream ends with.
    """

    name: str
    syntaxes: tuple[str, ...]
    stated_shape: Callable[[bytes], tuple[int, int]]
    decode: Callable[[bytes], NDArray[Any]]
    end: bytes = _END


# imagecodecs loads a library when its function is first looked up, so each is looked up in a lambda.
_FAMILY = (
    Codec(
        "JPEG, JPEG Lossless",
        (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1),
        jpeg_shape,
        lambda encoded: imagecodecs.jpeg8_decode(encoded),
    ),
    Codec(
        "JPEG-LS",
        (JPEGLSLossless, JPEGLSNearLossless),
        jpeg_shape,
        lambda encoded: imagecodecs.jpegls_decode(encoded),
    ),
    Codec(
        "JPEG 2000",
        (JPEG2000Lossless, JPEG2000),
        jpeg_2000_shape,
        lambda encoded: imagecodecs.jpeg2k_decode(encoded),
    ),
)
CODECS = (
    *_FAMILY,
    Codec(
        "HTJ2K",
        (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
        jpeg_2000_shape,
        # OpenJPEG, because OpenJPH (htj2k_decode) ends the process on some damaged streams.
        lambda encoded: imagecodecs.jpeg2k_decode(encoded),
    ),
)
_BY_SYNTAX = {str(syntax): codec for codec in CODECS for syntax in codec.syntaxes}

DECODED_HERE = frozenset(_BY_SYNTAX)
"""Transfer syntax UIDs."""


def decode_frame(encoded: bytes, transfer_syntax_uid: str, options: Mapping[str, Any]) -> NDArray[Any]:
    """Decode the stored values of one frame.

    Parameters
    ----------
    encoded : bytes
        The frame's fragments, joined. A JP2 header, padding before the
        stream and bytes after its end marker are ignored.
    transfer_syntax_uid : str
        One of ``DECODED_HERE``.
    options : mapping
        ``rows``, ``columns`` and ``bits_stored``, named as in pydicom's decoders.

    Returns
    -------
    ndarray, shape (rows, columns), integer
        With the stream's own bits and sign; `stored_values` reads them as the header says.

    Raises
    ------
    StreamError
        When the stream ends early, is not of its kind, or its size is not ``rows`` x ``columns``.
    Exception
        Whatever imagecodecs raises for a damaged stream.
    """
    expected = (int(options["rows"]), int(options["columns"]))
    stream = bare_stream(encoded)
    codec = _codec(stream, transfer_syntax_uid)
    if not stream.rstrip(b"\0").endswith(codec.end):
        raise StreamError("the stream ends before its end marker")
    # Checked before memory is allocated: a damaged or hostile stream may state any size.
    try:
        stated = codec.stated_shape(stream)
    except (ValueError, struct.error) as error:
        raise StreamError(f"no {codec.name} stream") from error
    if stated != expected:
        raise StreamError(f"{stated} pixels in the stream, {expected} in the header")
    values = codec.decode(stream)
    if int(options["bits_stored"]) > 8 * values.itemsize:
        raise ValueError(f"{options['bits_stored']} bits stored in values of {8 * values.itemsize} bits")
    return values


def _codec(stream: bytes, transfer_syntax_uid: str) -> Codec:
    stated = _BY_SYNTAX[transfer_syntax_uid]
    if stated not in _FAMILY:
        return stated
    jpeg, jpeg_ls, jpeg_2000 = _FAMILY
    if is_jpeg_2000(stream):
        return jpeg_2000
    return jpeg_ls if is_jpeg_ls(stream) else jpeg
