"""DICOM objects of studies that come more than once: which are the same, and which are our own."""

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
#: Longer ones are compared byte for byte: a header made of sequences takes a hundred times its length when parsed.
_PARSED_BYTES = 16 * 1024 * 1024
_MANUFACTURER = BaseTag(0x00080070)
_PIXEL_DATA = 0x7FE00010


def made_by_us(content: Any) -> bool:
    """Whether SarcoMAP made an object, as the equipment module of all that it writes says.

    Parameters
    ----------
    content : bytes or mmap
        A DICOM file.
    """
    head = bytes(content[:_HEAD_BYTES])
    if MANUFACTURER.encode() not in head:  # nearly always: no header is parsed for it
        return False
    try:
        header = read_partial(
            io.BytesIO(head), stop_when=lambda tag, _vr, _length: tag > _MANUFACTURER, specific_tags=[_MANUFACTURER]
        )
        return str(header.get("Manufacturer", "")).strip() == MANUFACTURER
    except Exception:  # what cannot be parsed is for the run to refuse
        return False


def same_objects(whole: Path, part: Path) -> bool:
    """Whether ``whole`` has every object of ``part``, with the same data set.

    Files are named by SOP Instance UID. Their meta information does not count:
    it names the library and the transfer syntax that an object came with.
    """
    files = list(part.glob("*.dcm"))
    if not all((whole / file.name).is_file() for file in files):
        return False
    return all(_same_object(whole / file.name, file) for file in files)


def united(first: Path, second: Path) -> tuple[int, int]:
    """Objects and bytes of one study in two folders; what both hold counts as ``first`` has it."""
    sizes = {file.name: file.stat().st_size for folder in (second, first) for file in folder.glob("*.dcm")}
    return len(sizes), sum(sizes.values())


def merge(source: Path, target: Path, replace: bool) -> None:
    """Objects of ``source`` into ``target``: moved, in place of those of the same name, or linked beside them."""
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
    except Exception:  # one that cannot be read is like nothing else
        return False


def _content(item: Dataset) -> dict[int, Any]:
    """Values by tag, without what depends on how the data set is encoded."""
    correct_ambiguous_vr(item, True)  # implicit VR leaves them open
    return {
        int(element.tag): [_content(inner) for inner in element.value] if element.VR == "SQ" else element.value
        for element in item
        # Private elements have no VR where VR is implicit.
        if element.tag.element != 0 and not element.tag.is_private and element.VR != "UN" and element.tag != _PIXEL_DATA
    }


def _same_pixels(one: Dataset, other: Dataset) -> bool:
    """Byte for byte where both are encoded alike; an object that is compressed otherwise is the same by its UID."""
    first, second = (item.file_meta.TransferSyntaxUID for item in (one, other))
    if first != second and (first.is_compressed or second.is_compressed):
        return True
    return bool(one.get("PixelData") == other.get("PixelData"))
