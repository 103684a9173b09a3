"""Fast reading of the DICOM elements that the loader needs.

pydicom reads any DICOM file, but takes about two milliseconds for each, and a
study has more than a thousand files. Nearly all of them have the same plain
form: explicit VR, little endian, no sequence among the wanted elements, tags in
ascending order. This module steps through such a file by its element lengths.
pydicom converts the values, but a value that occurred before in the study, byte
for byte, is not converted again (a series repeats most values). Any other file,
and any file with something unusual or broken in it, is left to pydicom.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from operators.dicom_loader.character_sets import TEXT_REPRESENTATIONS, decoded, is_assumed, is_plain
from operators.dicom_loader.elements import (
    PREAMBLE_BYTES,
    UNDEFINED_LENGTH,
    Element,
    Elements,
    PixelElement,
    Values,
    element_at,
)
from operators.dicom_loader.parsed_elements import parsed

__all__ = ["ElementReader"]

#: The header of a classic image takes only a few kilobytes.
_WALKED_BYTES = 64 * 1024
# Plain integers, because pydicom's tags are slow to compare.
_PIXEL_DATA = int(Tag("PixelData"))
_SYNTAX = int(Tag("TransferSyntaxUID"))
_STORAGE_CLASS = int(Tag("MediaStorageSOPClassUID"))
_CHARACTER_SET = int(Tag("SpecificCharacterSet"))
_SERIES_INSTANCE_UID = struct.pack("<HH2s", 0x0020, 0x000E, b"UI")
#: Elements that decide how other elements are read.
_RULING = frozenset({_SYNTAX, _STORAGE_CLASS, _CHARACTER_SET})

_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID")


class _Piece(NamedTuple):
    """Consecutive elements that are the same in all files of a series, or one element that varies."""

    raw: bytes
    values: dict[str, Any]
    varying_tag: int | None


class _Layout(NamedTuple):
    """A file that was read element by element, cut into pieces by which other files of its series are recognised."""

    raw: dict[int, bytes]
    ruling: dict[int, bytes]
    pieces: list[_Piece]


class ElementReader:
    """Reads the same elements from many files of one study.

    The files of a series differ in only a few elements. The stretches between
    them are compared with an earlier file as a whole, not element by element.

    Parameters
    ----------
    keywords, private_tags : sequence of str, sequence of int
        The wanted elements. The key of a private one is its tag in eight hexadecimal digits.

    Attributes
    ----------
    assumed : set of str
        Keywords of texts, in any file so far, whose character set nothing says (`is_assumed`).
    """

    def __init__(self, keywords: Sequence[str], private_tags: Sequence[int] = ()) -> None:
        self._keywords = {tag: k for k in (*keywords, "SpecificCharacterSet") if (tag := tag_for_keyword(k))}
        self._identifiers = [k for k in _IDENTIFIERS if k in self._keywords.values()]
        self._private = frozenset(private_tags)
        self._keywords |= {tag: f"{tag:08x}" for tag in private_tags}
        self._tags: list[BaseTag | int] = [Tag(tag) for tag in self._keywords]
        self._known: dict[tuple[int, bytes, bytes, bytes], Any] = {}
        self._plain: dict[bytes, bool] = {}
        self._layouts: dict[bytes, _Layout] = {}
        self._varying: set[int] = set()
        self.assumed: set[str] = set()

    def read(self, stream: BinaryIO, where: str) -> Elements:
        """Read one file; the stream may be at any position.

        Raises
        ------
        DicomError, Exception
            For a deflated dataset; whatever pydicom raises for a damaged file.
        """
        stream.seek(0)
        walked = self._walk(stream.read(_WALKED_BYTES))
        return walked if walked is not None else self._parse(stream, where)

    def _walk(self, content: bytes) -> Elements | None:
        """Read a plain file; None when it is not plain, lacks an identifier, or its pixels begin beyond ``content``."""
        try:
            walked = self._walked(content)
        except (struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError):
            return None  # pydicom then reports what is wrong
        if walked is None or not all(walked.values.get(keyword) for keyword in self._identifiers):
            return None
        return walked

    def _walked(self, content: bytes) -> Elements | None:
        if content[PREAMBLE_BYTES - 4 : PREAMBLE_BYTES] != b"DICM":
            return None
        # A search for these bytes may hit another element by chance. The layout found then does not fit the file.
        at = content.find(_SERIES_INSTANCE_UID)
        series = content[at + 8 : at + 8 + content[at + 6]] if at >= 0 else b""
        layout = self._layouts.get(series)
        again = self._repeated(content, layout) if layout is not None else None
        return again if again is not None else self._walked_singly(content, series)

    def _repeated(self, content: bytes, layout: _Layout) -> Elements | None:
        """Read a file that differs from an earlier one of its series only in known varying elements; else None."""
        at = PREAMBLE_BYTES
        values: dict[str, Any] = {}
        charset = layout.ruling.get(_CHARACTER_SET, b"")
        for piece in layout.pieces:
            if piece.varying_tag is None:
                if not content.startswith(piece.raw, at):
                    return None
                at += len(piece.raw)
                values |= piece.values
                continue
            element = element_at(content, at)
            if element.tag != piece.varying_tag or not self._take(element, content, charset, values):
                return None
            at = element.start + element.length
        return _at_pixels(content, at, values, layout.ruling) if layout.pieces else None

    def _walked_singly(self, content: bytes, series: bytes) -> Elements | None:
        at, last = PREAMBLE_BYTES, 0
        raw: dict[int, bytes] = {}
        ruling: dict[int, bytes] = {}
        values: dict[str, Any] = {}
        while True:
            element = element_at(content, at)
            tag, end = element.tag, element.start + element.length
            # At the end of the file meta information, the transfer syntax decides how the rest is read.
            if tag <= last or (last >> 16 <= 2 < tag >> 16 and not self._is_plain(ruling.get(_SYNTAX, b""))):
                return None
            if tag >= _PIXEL_DATA:
                self._learn(series, raw, values, ruling)
                return _at_pixels(content, at, values, ruling)
            if tag in _RULING:
                ruling[tag] = content[element.start : end]
            if not self._take(element, content, ruling.get(_CHARACTER_SET, b""), values):
                return None
            raw[tag] = content[at:end]
            at, last = end, tag

    def _take(self, element: Element, content: bytes, charset: bytes, values: dict[str, Any]) -> bool:
        """Record the value of a wanted element; False when this reader cannot handle the element."""
        end = element.start + element.length
        if element.length == UNDEFINED_LENGTH or end > len(content):
            return False
        keyword = self._keywords.get(element.tag)
        if keyword is not None:
            value = content[element.start : end]
            if element.vr not in (b"SQ", b"UN"):
                values[keyword] = self._converted(element.tag, element.vr, value, charset)
            elif element.tag in self._private:  # of no known type, which is no reason to leave the file to pydicom
                values[keyword] = value
            else:
                return False
        return True

    def _learn(self, series: bytes, raw: dict[int, bytes], values: dict[str, Any], ruling: dict[int, bytes]) -> None:
        """Find the elements in which a file differs from another of its series, and cut it into pieces at them."""
        if series in self._layouts:
            before = self._layouts[series].raw
            self._varying |= {tag for tag in raw if raw[tag] != before.get(tag)}
        pieces: list[_Piece] = []
        same: list[bytes] = []
        known: dict[str, Any] = {}
        for tag, element in raw.items():
            if tag in self._varying:
                pieces += [_Piece(b"".join(same), known, None), _Piece(b"", {}, tag)]
                same, known = [], {}
                continue
            same.append(element)
            if tag in self._keywords:
                known[self._keywords[tag]] = values[self._keywords[tag]]
        pieces.append(_Piece(b"".join(same), known, None))
        self._layouts[series] = _Layout(raw, ruling, [] if self._varying & _RULING else pieces)

    def _converted(self, tag: int, vr: bytes, value: bytes, charset: bytes) -> Any:
        known = (tag, vr, value, charset)
        if known not in self._known:
            declared, representation = charset.decode("ascii").strip("\0 "), vr.decode()
            if representation in TEXT_REPRESENTATIONS and not is_plain(value):
                self._known[known] = decoded(value, declared, representation)
                if is_assumed(value, declared):
                    self.assumed.add(self._keywords[tag])
                return self._known[known]
            raw = RawDataElement(BaseTag(tag), representation, len(value), value or None, 0, False, True)
            self._known[known] = convert_raw_data_element(raw).value
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
        found = parsed(stream, where, self._tags, self._identifiers)
        self.assumed |= found.assumed
        return found


def _at_pixels(content: bytes, at: int, values: Values, ruling: Mapping[int, bytes]) -> Elements | None:
    """The elements of a file whose pixels begin at ``at``; None when they do not begin there."""
    element = element_at(content, at)
    if element.tag != _PIXEL_DATA or element.vr not in (b"OB", b"OW"):
        return None
    return Elements(
        ruling.get(_SYNTAX, b"").rstrip(b"\0 ").decode("ascii"),
        ruling.get(_STORAGE_CLASS, b"").rstrip(b"\0 ").decode("ascii"),
        values,
        PixelElement(element.start, element.length, element.vr.decode()),
    )
