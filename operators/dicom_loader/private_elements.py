"""Private elements of vendors that say what an image is, where public knowledge documents them.

A private element is found by its creator: the vendor reserves a block of its
group under a name, and any block may hold it (PS3.5 7.8.1).

Sources: dcm2niix's notes on GE, Philips and Siemens, and its issue 675; the
private dictionary of pydicom; for Siemens XA heudiconv's notes on
`SIEMENS MR SDI 02`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from operators.dicom_loader.elements import Values

__all__ = [
    "GE_COMPLEX_COMPONENT",
    "PHILIPS_FRAME",
    "PHILIPS_IMAGE_TYPE",
    "PHILIPS_SCALE_SLOPE",
    "SIEMENS_FRAME",
    "SIEMENS_IMAGE_TYPE",
    "WANTED",
    "PrivateElement",
    "has_private",
    "private_item",
    "private_number",
    "private_texts",
    "wanted_tags",
]

_BLOCKS = range(0x10, 0x18)
"""Blocks that are searched. Scanners begin at 0x10 and reserve a few; a PACS may move them by one or two."""
_OF_AN_IMAGE = 4
"""Of these, the first that are searched at the top level of each image: scanners write `WANTED` into the very first."""


@dataclass(frozen=True)
class PrivateElement:
    """An element of a private block.

    Attributes
    ----------
    group, element : int
        The last two digits of the element, such as 0x11 of (2005,1011).
    creator : str
        Name under which the block is reserved.
    """

    group: int
    element: int
    creator: str

    def places(self) -> tuple[tuple[BaseTag, str, BaseTag, str], ...]:
        """For each block that is searched: tag and key of its creator, tag and key of this element in it."""
        return _places(self)


@cache
def _places(element: PrivateElement) -> tuple[tuple[BaseTag, str, BaseTag, str], ...]:
    pairs = [(Tag(element.group, b), Tag(element.group, b << 8 | element.element)) for b in _BLOCKS]
    return tuple((creator, f"{creator:08x}", tag, f"{tag:08x}") for creator, tag in pairs)


PHILIPS_IMAGE_TYPE = PrivateElement(0x2005, 0x11, "Philips MR Imaging DD 001")
"""(2005,1011): ``W``, ``F``, ``IP`` or ``OP`` in every release, also where FrameType spells them out."""
PHILIPS_SCALE_SLOPE = PrivateElement(0x2005, 0x0E, "Philips MR Imaging DD 001")
"""(2005,100E): signal = displayed value / (Rescale Slope x this), comparable between images."""
PHILIPS_FRAME = PrivateElement(0x2005, 0x0F, "Philips MR Imaging DD 005")
"""(2005,140F): one frame of an Enhanced MR as a classic image has it, with its ImageType and private elements."""
SIEMENS_IMAGE_TYPE = PrivateElement(0x0021, 0x75, "SIEMENS MR SDI 02")
"""(0021,1175): the image type of XA30 and later, whose public one says ``M`` and ``NONE`` only."""
SIEMENS_FRAME = PrivateElement(0x0021, 0xFE, "SIEMENS MR SDI 02")
"""(0021,11FE): the private elements of one frame of an Enhanced MR."""
GE_COMPLEX_COMPONENT = PrivateElement(0x0043, 0x2F, "GEMS_PARM_01")
"""(0043,102F): 0 magnitude, 1 phase, 2 real, 3 imaginary."""

WANTED = (PHILIPS_IMAGE_TYPE, PHILIPS_SCALE_SLOPE, SIEMENS_IMAGE_TYPE, GE_COMPLEX_COMPONENT)
"""Elements that a classic image has at its top level."""


_CREATOR_KEYS = frozenset(key for one in WANTED for _, key, _, _ in one.places()[:_OF_AN_IMAGE])


def wanted_tags() -> tuple[int, ...]:
    """Tags of `WANTED` and of their creators in every block that is searched."""
    places = [place for one in WANTED for place in one.places()[:_OF_AN_IMAGE]]
    return tuple(sorted({int(tag) for creator, _, own, _ in places for tag in (creator, own)}))


def has_private(values: Values) -> bool:
    """Whether a header has any block that can hold one of `WANTED`; quicker than to look for each."""
    return not isinstance(values, dict) or not values.keys().isdisjoint(_CREATOR_KEYS)


def private_texts(values: Values, element: PrivateElement) -> tuple[str, ...]:
    """The texts of an element; empty when it is not there."""
    found = _value(values, element)
    if found is None:
        return ()
    if isinstance(found, bytes):  # a PACS that did not know the element has made its type unknown
        found = found.decode("ascii", errors="replace").split("\\")
    texts = found if isinstance(found, list | tuple | MultiValue) else [found]
    return tuple(text for one in texts if (text := str(one).strip("\0 ")))


def private_number(values: Values, element: PrivateElement) -> float | None:
    """The number that an element holds; None when it is not there or is none."""
    found = _value(values, element)
    if isinstance(found, list | tuple | MultiValue):
        found = found[0] if len(found) else None
    try:
        if isinstance(found, bytes):  # of unknown type: all numbers that are read here are FL
            return float(struct.unpack("<f", found)[0])
        return None if found is None else float(found)
    except (TypeError, ValueError, struct.error):
        return None


def private_item(groups: Dataset, element: PrivateElement) -> Dataset | None:
    """The first item of a private sequence; None when it is not there."""
    found = _value(groups, element)
    try:
        item = found[0]
    except (TypeError, LookupError):
        return None
    return item if isinstance(item, Dataset) else None


def _value(values: Values, element: PrivateElement) -> Any:
    if isinstance(values, Dataset):
        for creator, _, tag, _ in element.places():
            if _of_dataset(values, creator) == element.creator:
                return _of_dataset(values, tag)
        return None
    for _, creator_key, _, key in _places(element)[:_OF_AN_IMAGE]:
        if values.get(creator_key) == element.creator:
            return values.get(key)
    return None


def _of_dataset(dataset: Dataset, tag: BaseTag) -> Any:
    try:
        return dataset[tag].value if tag in dataset else None
    except (ValueError, LookupError, TypeError, AttributeError, NotImplementedError):
        return None  # what pydicom cannot convert says nothing
