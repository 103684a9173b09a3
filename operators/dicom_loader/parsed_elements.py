"""Reading of the DICOM elements that the loader needs with pydicom, for files of any form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from operators.core.errors import DicomError
from operators.dicom_loader.character_sets import decode_texts
from operators.dicom_loader.elements import PREAMBLE_BYTES, UNDEFINED_LENGTH, Elements, PixelElement, encoding_of

__all__ = ["parsed"]

_PIXEL_DATA = int(Tag("PixelData"))
#: What pydicom finds where a file does not state its transfer syntax: implicit VR, little endian.
_SYNTAX_OF_ENCODING: Mapping[tuple[bool | None, bool | None], str] = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
#: Tag, value representation and length.
_FIRST_ELEMENT_BYTES = 8


def parsed(stream: BinaryIO, where: str, tags: list[BaseTag | int], identifiers: Sequence[str]) -> Elements:
    """Read one file; the stream may be at any position.

    Parameters
    ----------
    stream : BinaryIO
    where : str
        The file's name in messages.
    tags : list of int
        The wanted elements.
    identifiers : sequence of str
        Those of them that the file meta information repeats.

    Raises
    ------
    DicomError, Exception
        For a deflated dataset; whatever pydicom raises for a damaged file.
    """
    stream.seek(0)
    bare = stream.read(PREAMBLE_BYTES)[-4:] != b"DICM"
    stream.seek(0 if bare else PREAMBLE_BYTES)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: BaseTag(tag).group != 2)
    syntax = str(meta.get("TransferSyntaxUID") or "")
    start = stream.tell()
    encoding = _contradicting(syntax, stream.read(_FIRST_ELEMENT_BYTES))
    # Such a dataset is one deflate stream, which pydicom inflates without a size limit.
    if syntax == DeflatedExplicitVRLittleEndian and encoding is None:
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

    header: Dataset
    if encoding is None:
        stream.seek(0)
        header = read_partial(stream, stop_when=at_pixels, specific_tags=tags, force=bare)
    else:
        stream.seek(start)
        header = read_dataset(stream, *encoding, stop_when=at_pixels, specific_tags=tags)
        syntax = _SYNTAX_OF_ENCODING[encoding]
    assumed = decode_texts(header)
    pixels = None
    if found is not None:
        # The file meta information repeats them, where a tool has removed them from the data set.
        for keyword in identifiers:
            if not header.get(keyword) and (repeated := meta.get(f"MediaStorage{keyword}")):
                setattr(header, keyword, repeated)
        vr, length = found
        # Size of the element before its value: 8 bytes without a VR, 12 with the long length of OB and OW.
        pixels = PixelElement(stream.tell() + (8 if vr is None else 12), length, vr or "")
        if not syntax and length != UNDEFINED_LENGTH:
            syntax = _SYNTAX_OF_ENCODING.get(header.original_encoding, "")
    return Elements(syntax, str(meta.get("MediaStorageSOPClassUID") or ""), header, pixels, assumed)


def _contradicting(syntax: str, opening: bytes) -> tuple[bool, bool] | None:
    """The encoding of a data set, where its first element contradicts the byte order or the deflation that the
    transfer syntax states. Converters change one and leave the other. pydicom sees by itself whether there are VRs."""
    stated, found = UID(syntax), encoding_of(opening)
    if found is None or not stated.is_transfer_syntax:
        return None
    return found if stated.is_deflated or stated.is_little_endian != found[1] else None
