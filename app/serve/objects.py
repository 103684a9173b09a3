"""DICOM objects that arrive more than once: which are equal, and which are our own."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import BaseTag

from operators.core.dicom_objects.identifiers import MANUFACTURER

__all__ = ["made_by_us", "merge", "same_objects", "united"]

#: Manufacturer (0008,0070) is among the first elements of an object.
_HEAD_BYTES = 64 * 1024
#: Longer headers are compared byte for byte: nested sequences take a hundred times their length when parsed.
_PARSED_BYTES = 16 * 1024 * 1024
_MANUFACTURER = BaseTag(0x00080070)
_PIXEL_DATA = 0x7FE00010


def made_by_us(content: Any) -> bool:
    """Whether SarcoMAP made an object. It names itself in the equipment module of everything that it writes.

    Parameters
    ----------
    content : bytes or mmap
        A DICOM file.
    """
    head = bytes(content[:_HEAD_BYTES])
    if MANUFACTURER.encode() not in head:  # the usual case, without parsing a header
        return False
    try:
        header = read_partial(
            io.BytesIO(head), stop_when=lambda tag, _vr, _length: tag > _MANUFACTURER, specific_tags=[_MANUFACTURER]
        )
        return str(header.get("Manufacturer", "")).strip() == MANUFACTURER
    except Exception:  # the run refuses what cannot be parsed
        return False


def same_objects(whole: Path, part: Path) -> bool:
    """Whether ``whole`` has every object of ``part``, with the same data set.

    Files are named by SOP Instance UID. Their file meta information is ignored:
    it names the sender's library and transfer syntax.
    """
    files = list(part.glob("*.dcm"))
    if not all((whole / file.name).is_file() for file in files):
        return False
    return all(_same_object(whole / file.name, file) for file in files)


def united(first: Path, second: Path) -> tuple[int, int]:
    """Objects and bytes of one study in two folders. Objects in both count once, with their size in ``first``."""
    sizes = {file.name: file.stat().st_size for folder in (second, first) for file in folder.glob("*.dcm")}
    return len(sizes), sum(sizes.values())


def merge(source: Path, target: Path, replace: bool) -> None:
    """Bring the objects of ``source`` into ``target``: move them over those of the same name, or link missing ones."""
    for file in source.glob("*.dcm"):
        if replace:
            file.replace(target / file.name)
        elif not (target / file.name).exists():
            os.link(file, target / file.name)


def _same_object(one: Path, other: Path) -> bool:
    if one.read_bytes() == other.read_bytes():
        return True
    if max(one.stat().st_size, other.stat().st_size) > _PARSED_BYTES:
        return False
    try:
        first, second = dcmread(one), dcmread(other)
        return _content(first) == _content(second) and _same_pixels(first, second)
    except Exception:  # an unreadable object equals no other
        return False


def _content(item: Dataset) -> dict[int, Any]:
    """Values by tag, without those that depend on the encoding."""
    correct_ambiguous_vr(item, True)  # implicit VR leaves them open
    return {
        int(element.tag): [_content(inner) for inner in element.value] if element.VR == "SQ" else element.value
        for element in item
        # Private elements have no VR where VR is implicit.
        if element.tag.element != 0 and not element.tag.is_private and element.VR != "UN" and element.tag != _PIXEL_DATA
    }


def _same_pixels(one: Dataset, other: Dataset) -> bool:
    """Compare byte for byte if both have the same encoding. With different compressions, the same UID is enough."""
    first, second = (item.file_meta.TransferSyntaxUID for item in (one, other))
    if first != second and (first.is_compressed or second.is_compressed):
        return True
    return bool(one.get("PixelData") == other.get("PixelData"))
