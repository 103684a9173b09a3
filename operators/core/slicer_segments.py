"""Which structure a segment of a ``.seg.nrrd`` file is, by its name or SNOMED CT code and never by its number.

3D Slicer numbers segments in the order in which they were created, so the same
number may mean another muscle in the next file. The name and the terminology
identify a segment (3D Slicer developer guide, "Segmentation labelmap file
format (.seg.nrrd)").
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operators.core import anatomy
from operators.core.errors import InputError

__all__ = ["Segment", "find_structure", "list_segments", "match_segment"]

_NAMES = {name: s.index for s in anatomy.LABELS for name in (s.name.replace("_", " "), s.display_name.lower())}
_NAMES["fat"] = anatomy.ADIPOSE_INDEX
_CODES = {f"{s.scheme}^{s.code}": s.index for s in anatomy.LABELS}
_SIDES = re.compile(r"^(left|right|l|r)\b|\b(left|right|l|r)$")
_FILLERS = re.compile(r"\b(muscle|musculus|m|structure of|structure)\b\.?")


@dataclass(frozen=True)
class Segment:
    """One entry of a ``.seg.nrrd`` header.

    Attributes
    ----------
    name : str
        What 3D Slicer shows.
    identifier : str
        Slicer's ID, or ours.
    codes : tuple of str
        ``scheme^value`` of the terminology's type and region.
    value, layer : int
        Label value and layer of the segment's voxels.
    """

    name: str
    identifier: str
    codes: tuple[str, ...]
    value: int
    layer: int


def list_segments(header: Mapping[str, Any], where: str) -> tuple[Segment, ...]:
    """The segments of a header, in its order; empty for an NRRD file that is not a segmentation.

    Raises
    ------
    InputError
        For a label value or layer that is not a whole number; ``where`` names the file.
    """
    segments = []
    # A segment that was taken out of the header leaves a gap in the numbers.
    found = (re.fullmatch(r"Segment(\d+)_LabelValue", str(key)) for key in header)
    for number in sorted(int(match[1]) for match in found if match):
        key = f"Segment{number}_"
        segments.append(
            Segment(
                name=str(header.get(f"{key}Name", "")),
                identifier=str(header.get(f"{key}ID", "")),
                codes=_codes(str(header.get(f"{key}Tags", ""))),
                value=_whole(header[f"{key}LabelValue"], f"{key}LabelValue", where),
                layer=_whole(header.get(f"{key}Layer", 0), f"{key}Layer", where),
            )
        )
    return tuple(segments)


def _whole(value: Any, key: str, where: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InputError(where, f"{key}: {value}", "a whole number", "Save it again in 3D Slicer.") from None


def match_segment(segment: Segment, where: str, otherwise: str = "remove it") -> int:
    """Match a segment to a structure of the label table.

    Left and right share a label, so "Left sartorius" and "sartorius_right" are
    both sartorius. The words "m." and "muscle" are ignored.

    Parameters
    ----------
    segment : Segment
    where : str
        Name of the file, for the error message.
    otherwise : str
        What the user can do instead of renaming the segment, for the error message.

    Returns
    -------
    int
        Index of the label table.

    Raises
    ------
    InputError
        When neither the name nor the code is in the label table (the message
        suggests the nearest name), or the two contradict each other.
    """
    found = find_structure(segment, where)
    if found is None:
        near = difflib.get_close_matches(_plain(segment.name), _NAMES, n=1, cutoff=0.0)[0]
        raise InputError(
            where,
            f"unknown segment {segment.name!r}",
            "names or SNOMED CT codes of the label table (bundle/configs/metadata.json)",
            f"Did you mean {_name(_NAMES[near])}? Rename the segment in 3D Slicer, or {otherwise}.",
        )
    return found


def find_structure(segment: Segment, where: str) -> int | None:
    """As `match_segment`, but None for a segment that is not in the label table.

    Raises
    ------
    InputError
        When the name and the code contradict each other.
    """
    by_name = next((_NAMES[n] for n in map(_plain, (segment.name, segment.identifier)) if n in _NAMES), None)
    by_code = next((_CODES[code] for code in segment.codes if code in _CODES), None)
    if by_name is not None and by_code is not None and by_name != by_code:
        raise InputError(
            where,
            f"segment {segment.name!r} has the code of {_name(by_code)}",
            "a name and a terminology that agree",
            "Correct one of them in 3D Slicer.",
        )
    return by_name if by_name is not None else by_code


def _codes(tags: str) -> tuple[str, ...]:
    """``scheme^value`` of every coded concept in Slicer's TerminologyEntry."""
    entry = re.search(r"TerminologyEntry:([^|]*)", tags)
    triples = re.findall(r"(?:^|~)([^~^]+)\^([^~^]+)\^", entry[1]) if entry else []
    return tuple(f"{scheme}^{value}" for scheme, value in triples)


def _plain(name: str) -> str:
    """Lower case without underscores, sides and the word muscle."""
    words = re.sub(r"[\s_\-.,()]+", " ", name.lower()).strip()
    words = _FILLERS.sub(" ", _SIDES.sub(" ", words))
    return " ".join(words.split())


def _name(index: int) -> str:
    return anatomy.by_index(index).display_name
