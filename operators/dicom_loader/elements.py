"""The elements of a DICOM file that the loader asks for, read quickly.

pydicom reads whatever is DICOM, at about two milliseconds a file, and a study
has more than a thousand files. Nearly all of them have the same plain form:
explicit VR, little endian, no sequence among the elements asked for, tags in
ascending order. Such a file is walked here by its lengths, and a value that
another file of the study had byte for byte (a series repeats most of them) is
not converted again; the conversion itself is pydicom's. Everything else, and
every file in which anything is unusual or broken, is left to pydicom.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from operators.errors import DicomError

__all__ = ["ElementReader", "Elements", "PixelElement"]

_PREAMBLE_BYTES = 132
#: What precedes the pixels of a classic image takes a few kilobytes.
_WALKED_BYTES = 64 * 1024
# Plain numbers: pydicom's tags compare slowly.
_PIXEL_DATA = int(Tag("PixelData"))
_UNDEFINED_LENGTH = 0xFFFFFFFF
_TRANSFER_SYNTAX_UID = int(Tag("TransferSyntaxUID"))
_MEDIA_STORAGE_SOP_CLASS_UID = int(Tag("MediaStorageSOPClassUID"))
_CHARACTER_SET = int(Tag("SpecificCharacterSet"))

#: Value representations with a length of four bytes (PS3.5 table 7.1-1), and the others.
_LONG = frozenset(re.findall(b"..", b"OBODOFOLOVOWSQSVUCUNURUTUV"))
_SHORT = frozenset(re.findall(b"..", b"AEASATCSDADSDTFDFLISLOLTPNSHSLSSSTTMUIULUS"))
_header = struct.Struct("<HH2sH").unpack_from
_long_length = struct.Struct("<L").unpack_from


class Values(Protocol):
    """Values by keyword; a pydicom dataset is one too."""

    def get(self, key: str, /) -> Any:
        """The value, or None."""

    def __contains__(self, key: str, /) -> bool:
        """Whether the element is there."""


@dataclass(frozen=True)
class PixelElement:
    """Where a file's PixelData lie.

    Attributes
    ----------
    offset : int
        Of the value, in bytes.
    length : int
        0xFFFFFFFF when encapsulated.
    vr : str
        Empty in implicit VR.
    """

    offset: int
    length: int
    vr: str


@dataclass(frozen=True)
class Elements:
    """What one file says before its pixels.

    Attributes
    ----------
    transfer_syntax_uid, media_storage_sop_class_uid : str
        Empty when the file does not state them.
    values : Values
        Of the keywords asked for, as pydicom converts them.
    pixels : PixelElement or None
        None when the file ends before.
    """

    transfer_syntax_uid: str
    media_storage_sop_class_uid: str
    values: Values
    pixels: PixelElement | None


class ElementReader:
    """Reads the same elements from many files of one study.

    Parameters
    ----------
    keywords : sequence of str
        Of the elements that are wanted.
    """

    def __init__(self, keywords: Sequence[str]) -> None:
        self._keywords = {tag: k for k in (*keywords, "SpecificCharacterSet") if (tag := tag_for_keyword(k))}
        self._tags: list[BaseTag | int] = [Tag(tag) for tag in self._keywords]
        self._known: dict[tuple[int, bytes, bytes, bytes], Any] = {}
        self._plain: dict[bytes, bool] = {}

    def read(self, stream: BinaryIO, where: str) -> Elements:
        """Read one file, whose stream may stand anywhere.

        Raises
        ------
        DicomError
            For a deflated dataset.
        Exception
            Whatever pydicom raises for a damaged file.
        """
        stream.seek(0)
        walked = self._walk(stream.read(_WALKED_BYTES))
        return walked if walked is not None else self._parse(stream, where)

    def _walk(self, content: bytes) -> Elements | None:
        """Walk a plain file; None when it is not, or its pixels begin further on."""
        try:
            return self._walked(content)
        except (struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError):
            return None  # pydicom finds the words for what is wrong

    def _walked(self, content: bytes) -> Elements | None:
        if content[_PREAMBLE_BYTES - 4 : _PREAMBLE_BYTES] != b"DICM":
            return None
        at, last = _PREAMBLE_BYTES, 0
        syntax = storage = charset = b""
        values: dict[str, Any] = {}
        while True:
            group, element, vr, length = _header(content, at)
            tag = group << 16 | element
            # The last piece of the file meta information decides how what follows is to be read.
            if tag <= last or (last >> 16 <= 2 < group and not self._is_plain(syntax)):
                return None
            start = at + 8
            if vr in _LONG:
                (length,) = _long_length(content, start)
                start += 4
            elif vr not in _SHORT:
                return None
            if tag >= _PIXEL_DATA:
                if tag != _PIXEL_DATA or vr not in (b"OB", b"OW"):
                    return None
                return Elements(
                    syntax.rstrip(b"\0 ").decode("ascii"),
                    storage.rstrip(b"\0 ").decode("ascii"),
                    values,
                    PixelElement(start, length, vr.decode()),
                )
            at, last = start + length, tag
            if length == _UNDEFINED_LENGTH or at > len(content):
                return None
            if tag in self._keywords:
                if vr in (b"SQ", b"UN"):
                    return None
                value = content[start:at]
                if tag == _CHARACTER_SET:
                    charset = value
                values[self._keywords[tag]] = self._converted(tag, vr, value, charset)
            elif tag == _TRANSFER_SYNTAX_UID:
                syntax = content[start:at]
            elif tag == _MEDIA_STORAGE_SOP_CLASS_UID:
                storage = content[start:at]

    def _converted(self, tag: int, vr: bytes, value: bytes, charset: bytes) -> Any:
        known = (tag, vr, value, charset)
        if known not in self._known:
            names = charset.decode("ascii").strip("\0 ").split("\\")
            raw = RawDataElement(BaseTag(tag), vr.decode(), len(value), value or None, 0, False, True)
            element = convert_raw_data_element(raw, encoding=convert_encodings(names if charset else None))
            self._known[known] = element.value
        return self._known[known]

    def _is_plain(self, syntax: bytes) -> bool:
        """Whether datasets of a transfer syntax are explicit VR, little endian and not deflated."""
        if syntax not in self._plain:
            uid = UID(syntax.rstrip(b"\0 ").decode("ascii"))
            self._plain[syntax] = (
                uid.is_transfer_syntax and not uid.is_implicit_VR and uid.is_little_endian and not uid.is_deflated
            )
        return self._plain[syntax]

    def _parse(self, stream: BinaryIO, where: str) -> Elements:
        stream.seek(_PREAMBLE_BYTES)
        meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: BaseTag(tag).group != 2)
        syntax = str(meta.get("TransferSyntaxUID") or "")
        # Its dataset is one deflate stream, which pydicom inflates without a bound.
        if syntax == DeflatedExplicitVRLittleEndian:
            raise DicomError(
                where,
                "transfer syntax Deflated Explicit VR Little Endian",
                "a transfer syntax that can be read safely",
                "Export the study uncompressed.",
            )
        found: tuple[str | None, int] | None = None

        def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
            nonlocal found
            if tag == _PIXEL_DATA:
                found = (vr, length)
            return tag >= _PIXEL_DATA

        stream.seek(0)
        header = read_partial(stream, stop_when=at_pixels, specific_tags=self._tags)
        pixels = None
        if found is not None:
            vr, length = found
            # Bytes of the element before its value: implicit VR has none, OB and OW have a long length.
            pixels = PixelElement(stream.tell() + (8 if vr is None else 12), length, vr or "")
        return Elements(syntax, str(meta.get("MediaStorageSOPClassUID") or ""), header, pixels)
