"""What header elements say as text, and the moments that they state together."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from operators.dicom_loader.elements import Values
from operators.dicom_loader.header_values import moment

__all__ = ["acquired", "contrast_agent", "number_of", "said", "scanned", "texts"]

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, NotImplementedError)
"""What pydicom raises for a value that it cannot convert."""
_PADDING = "\0 \t\r\n"
_AMOUNTS, _UNNAMED = ("ContrastBolusVolume", "ContrastBolusTotalDose"), "unnamed"
_DAY, _HALF_A_DAY = timedelta(days=1), timedelta(hours=12)

_moment = lru_cache(maxsize=256)(moment)


def texts(header: Values, keywords: tuple[str, ...]) -> dict[str, str]:
    """The elements that have a value."""
    found = {}
    # Called for every image: most elements are absent or plain text, and need no further call.
    for keyword in keywords:
        try:
            value = header.get(keyword)
        except _UNREADABLE:
            text = said(header, keyword)
        else:
            text = "" if value is None else value.strip(_PADDING) if type(value) is str else _text(value)
        if text:
            found[keyword] = text
    return found


def said(header: Values, keyword: str) -> str:
    """What an element says as text, also where pydicom cannot convert it; empty when it is not there."""
    try:
        return _text(header.get(keyword))
    except _UNREADABLE:
        raw = header.get_item(keyword) if isinstance(header, Dataset) else None
        return _text(getattr(raw, "value", None))


def _text(value: Any) -> str:
    """A value as it stands in the file, several joined by a backslash."""
    try:
        # isinstance would be slow: this class is an abstract collection too.
        if type(value) is MultiValue:
            return "\\".join(map(str, value)).strip()
        if isinstance(value, bytes):  # of an unknown value representation
            return value.decode("utf-8", errors="replace").strip("\0 ")
        return ("" if value is None else str(value)).strip(_PADDING)
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""  # a name in a character set that nobody knows


def number_of(value: Any) -> float:
    """A number, also where an exporter in another language wrote a comma for the decimal point."""
    return float(value.replace(",", ".") if isinstance(value, str) else value)


def acquired(header: Values) -> datetime | None:
    """When the series began. It needs the date, because times wrap at midnight."""
    for kind in ("Series", "Acquisition", "Content"):
        found = _moment(said(header, f"{kind}Date"), said(header, f"{kind}Time"))
        if found is not None:
            return _past_midnight(found, header)
    return _stamp(header)


def scanned(header: Values) -> datetime | None:
    """When an image was acquired; near the beginning of its series where only the time is given."""
    clock = said(header, "AcquisitionTime")
    if day := said(header, "AcquisitionDate"):
        found = _moment(day, clock)
        return _stamp(header) if found is None else _past_midnight(found, header)
    found = _moment(said(header, "SeriesDate") or said(header, "StudyDate"), clock)
    if found is None:
        return _stamp(header)
    series = acquired(header)
    if series is not None and abs(found - series) > _HALF_A_DAY:
        return found + (_DAY if found < series else -_DAY)
    return _past_midnight(found, header)


def _past_midnight(found: datetime, header: Values) -> datetime:
    """The next day where a time is long before its study began: exporters and anonymisers give all images one date."""
    study = _moment(said(header, "StudyDate"), said(header, "StudyTime"))
    if study is None or study.date() != found.date() or study - found <= _HALF_A_DAY:
        return found
    return found + _DAY


def _stamp(header: Values) -> datetime | None:
    """AcquisitionDateTime, which Enhanced MR has instead of date and time."""
    stamp = re.sub(r"[+-]\d{4}$", "", said(header, "AcquisitionDateTime"))
    split = re.fullmatch(r"(\d{8}|\d{4}-\d{2}-\d{2})[T ]?(.*)", stamp)
    return _moment(split[1], split[2]) if split else None


def contrast_agent(header: Values) -> str:
    """What the header calls the contrast agent; empty when it names none and states no volume or dose of one."""
    if named := said(header, "ContrastBolusAgent"):
        return named
    items = header.get("ContrastBolusAgentSequence")
    if items:
        return said(items[0], "CodeMeaning")
    # Many scanners ask for the volume and leave the name to whoever types.
    return next((_UNNAMED for keyword in _AMOUNTS if _is_positive(said(header, keyword))), "")


def _is_positive(text: str) -> bool:
    try:
        return number_of(text) > 0
    except ValueError:
        return False
