"""Data elements (PS3.5 7.1): what is read of a file, and the bytes of a single one."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

__all__ = [
    "PREAMBLE_BYTES",
    "UNDEFINED_LENGTH",
    "Element",
    "Elements",
    "PixelElement",
    "Values",
    "element_at",
    "encoding_of",
    "starts_like_a_dataset",
]

PREAMBLE_BYTES = 132
"""Preamble and prefix, before the file meta information (PS3.10 7.1)."""

UNDEFINED_LENGTH = 0xFFFFFFFF

#: Value representations with a four-byte length (PS3.5 table 7.1-1), and those with a two-byte length.
_LONG = frozenset(re.findall(b"..", b"OBODOFOLOVOWSQSVUCUNURUTUV"))
_SHORT = frozenset(re.findall(b"..", b"AEASATCSDADSDTFDFLISLOLTPNSHSLSSSTTMUIULUS"))
#: The groups with which a data set begins: file meta information, or the identifying group.
_FIRST_GROUPS = (0x0002, 0x0008)
#: A first element is a length, a character set, an image type or a UID.
_LONGEST_FIRST_ELEMENT = 256
_header = struct.Struct("<HH2sH").unpack_from
_long_length = struct.Struct("<L").unpack_from


class Values(Protocol):
    """Values by keyword. A pydicom dataset also fits this protocol."""

    def get(self, key: str, /) -> Any: ...
    def __contains__(self, key: str, /) -> bool: ...


@dataclass(frozen=True)
class PixelElement:
    """The position of PixelData in a file.

    Attributes
    ----------
    offset, length : int
        Of the value in bytes; the length is 0xFFFFFFFF when encapsulated.
    vr : str
        Empty in implicit VR.
    """

    offset: int
    length: int
    vr: str


@dataclass(frozen=True)
class Elements:
    """The elements of one file that precede its pixels.

    Attributes
    ----------
    transfer_syntax_uid, media_storage_sop_class_uid : str
        Empty when the file does not state them.
    values : Values
        Values of the requested keywords, as pydicom converts them.
    pixels : PixelElement or None
        None when the file ends before its pixels.
    assumed : frozenset of str
        Keywords of texts whose character set nothing says.
    """

    transfer_syntax_uid: str
    media_storage_sop_class_uid: str
    values: Values
    pixels: PixelElement | None
    assumed: frozenset[str] = frozenset()


class Element(NamedTuple):
    """The header of one element."""

    tag: int
    vr: bytes
    start: int  # of its value
    length: int


def element_at(content: bytes, at: int) -> Element:
    """The element whose tag begins at ``at``, in explicit VR, little endian (PS3.5 7.1.2)."""
    group, element, vr, length = _header(content, at)
    start = at + 8
    if vr in _LONG:
        (length,) = _long_length(content, start)
        start += 4
    elif vr not in _SHORT:
        raise ValueError(f"value representation {vr!r}")
    return Element(group << 16 | element, vr, start, length)


def starts_like_a_dataset(opening: bytes) -> bool:
    """Whether a file without preamble begins with a DICOM element, as older archives and GE's tools write them."""
    if len(opening) < 12:
        return False
    for order in "<>":
        group, element, vr, _ = struct.unpack_from(f"{order}HH2sH", opening)
        if group in _FIRST_GROUPS and element < 0x1000:
            if vr in _SHORT or vr in _LONG:
                return True
            (length,) = struct.unpack_from(f"{order}L", opening, 4)
            # Implicit VR is always little endian.
            if order == "<" and group == _FIRST_GROUPS[1] and 0 < length <= _LONGEST_FIRST_ELEMENT:
                return length % 2 == 0
    return False


def encoding_of(opening: bytes) -> tuple[bool, bool] | None:
    """Whether a data set that begins so has implicit VR, and whether it is little endian; None when that is unclear."""
    if len(opening) < 8:
        return None
    for order in "<>":
        group, _, vr, _ = struct.unpack_from(f"{order}HH2sH", opening)
        if group == _FIRST_GROUPS[1] and (vr in _SHORT or vr in _LONG):
            return False, order == "<"
    return None
