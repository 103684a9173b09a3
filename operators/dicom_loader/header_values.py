"""Header values as people and exporters write them, in the form that DICOM asks for (PS3.5 table 6.2-1).

Each function returns the value in that form, or None when it cannot be read
or may mean two things. None of them raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time

from operators.core.standing_height import metres_of

__all__ = [
    "age",
    "code",
    "dates_modified",
    "decimal",
    "dicom_date",
    "dicom_time",
    "height",
    "identifier",
    "integer",
    "is_uid",
    "moment",
    "person_name",
    "sex",
    "short_identifier",
    "text",
    "utc_offset",
    "weight",
    "yes_or_no",
]

Repair = Callable[[str], str | None]

_MOST_UID_CHARACTERS = 64
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_CODE = re.compile(r"[A-Z0-9 _]{1,16}")
_DECIMAL = re.compile(r"[+-]?\d*\.?\d+(e[+-]?\d{1,3})?|[+-]?\d+\.", re.IGNORECASE | re.ASCII)
_MOST_DECIMAL_CHARACTERS = 16
_SEPARATED_DATE = re.compile(r"(\d{4})([-./: ])(\d{1,2})\2(\d{1,2})(?:[T ].*)?", re.ASCII)
_DAY_OR_MONTH_FIRST = re.compile(r"(\d{1,2})([-./])(\d{1,2})\2(\d{4})(?:[T ].*)?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d+))?)?\s*([ap]m)?", re.IGNORECASE | re.ASCII)
_TIME = re.compile(r"(\d{2})(?:(\d{2})(?:(\d{2})(?:[.,](\d+))?)?)?", re.ASCII)
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d", re.ASCII)
_AGE = re.compile(r"(\d{1,3})(?:[.,]\d+)?\s*(y|m|w|d)?(?:ea|o)?(?:r|nth|eek|ay)?s?\.?", re.IGNORECASE | re.ASCII)
_MOST_YEARS = 130
_SEXES = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "o": "O", "other": "O"}
_WEIGHT = re.compile(r"(\d*[.,]?\d+|\d+\.)\s*(kg|kgs|kilo|kilos|g|lb|lbs|pounds)?\.?", re.IGNORECASE | re.ASCII)
_KILOGRAMS_PER = {"g": 0.001, "lb": 0.45359237, "lbs": 0.45359237, "pounds": 0.45359237}
_PLAUSIBLE_KG = (1.0, 650.0)
_UNREADABLE = "\ufffd"
"""Stands where a character cannot be read."""


def is_uid(value: str) -> bool:
    """Whether a value is a UID (PS3.5 9.1): numbers without leading zeros, dots, at most 64 characters."""
    return len(value) <= _MOST_UID_CHARACTERS and _UID.fullmatch(value) is not None


def dicom_date(value: str) -> str | None:
    """A day as YYYYMMDD.

    Examples
    --------
    >>> dicom_date("2015-01-05"), dicom_date("25.12.1950"), dicom_date("1950"), dicom_date("05/06/1950")
    ('20150105', '19501225', None, None)
    """
    value = value.strip()
    if parts := _SEPARATED_DATE.fullmatch(value):
        return _day(parts[1], parts[3], parts[4])
    if parts := _DAY_OR_MONTH_FIRST.fullmatch(value):
        # Europe writes the day first, America the month: only what reads one way is used.
        read = {_day(parts[4], parts[3], parts[1]), _day(parts[4], parts[1], parts[3])} - {None}
        return read.pop() if len(read) == 1 else None
    if re.fullmatch(r"\d{8}", value, re.ASCII):
        return _day(value[:4], value[4:6], value[6:])
    return None


def dicom_time(value: str) -> str | None:
    """A time of day as HH, HHMM, HHMMSS or HHMMSS.FFFFFF.

    Examples
    --------
    >>> dicom_time("09:00:00"), dicom_time("9:05 pm"), dicom_time("0905"), dicom_time("25:00")
    ('090000', '2105', '0905', None)
    """
    value = value.strip()
    parts, half = _TIME.fullmatch(value), ""
    if parts is None:
        parts = _CLOCK.fullmatch(_ZONE.sub("", value).strip())
        if parts is None:
            return None
        half = (parts[5] or "").lower()
    hour, minute, second = int(parts[1]), int(parts[2] or 0), int(parts[3] or 0)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "pm" else 0)
    # 60 is a leap second.
    if hour > 23 or minute > 59 or second > 60:
        return None
    given = f"{hour:02d}" + (f"{minute:02d}" if parts[2] else "") + (f"{second:02d}" if parts[3] else "")
    return f"{given}.{parts[4][:6]}" if parts[4] else given


def utc_offset(value: str) -> str | None:
    """A time zone's offset from UTC, as +HHMM or -HHMM.

    Examples
    --------
    >>> utc_offset("+0900"), utc_offset("-03:30"), utc_offset("Z"), utc_offset("CET")
    ('+0900', '-0330', '+0000', None)
    """
    value = "+0000" if value.strip() == "Z" else value.strip().replace(":", "")
    return value if _OFFSET.fullmatch(value) else None


def moment(day: str, clock: str) -> datetime | None:
    """Date and time as one; None when either cannot be read."""
    read_day, read_clock = dicom_date(day), dicom_time(clock)
    if read_day is None or read_clock is None:
        return None
    whole, _, fraction = read_clock.partition(".")
    whole = whole.ljust(6, "0")
    return datetime.combine(
        date(int(read_day[:4]), int(read_day[4:6]), int(read_day[6:])),
        time(int(whole[:2]), int(whole[2:4]), min(int(whole[4:]), 59), int(fraction.ljust(6, "0"))),
    )


def age(value: str) -> str | None:
    """An age as nnnD, nnnW, nnnM or nnnY; years where no unit is given.

    No years are no age: anonymisers and consoles write them where they know none.

    Examples
    --------
    >>> age("70 yrs"), age("70"), age("070Y"), age("18 months"), age("seventy"), age("000Y")
    ('070Y', '070Y', '070Y', '018M', None, None)
    """
    typed = _AGE.fullmatch(value.strip())
    if typed is None:
        return None
    unit = (typed[2] or "y").upper()
    return None if unit == "Y" and not 0 < int(typed[1]) <= _MOST_YEARS else f"{int(typed[1]):03d}{unit}"


def sex(value: str) -> str | None:
    """M, F or O."""
    return _SEXES.get(value.strip().lower())


def height(value: str) -> str | None:
    """A height in metres, as it stands where that is what stands there."""
    metres = metres_of(value)
    if metres is None:
        return None
    typed = _float(value)
    return decimal(value) if typed is not None and math.isclose(typed, metres) else f"{metres:.6g}"


def weight(value: str) -> str | None:
    """A weight in kilograms, as it stands where that is what stands there.

    Examples
    --------
    >>> weight("80 kg"), weight("80,5"), weight("176 lb"), weight("0"), weight("heavy")
    ('80', '80.5', '79.83', None, None)
    """
    typed = _WEIGHT.fullmatch(value.strip())
    if typed is None:
        return None
    kilograms = float(typed[1].replace(",", ".")) * _KILOGRAMS_PER.get((typed[2] or "").lower(), 1.0)
    if not _PLAUSIBLE_KG[0] <= kilograms <= _PLAUSIBLE_KG[1]:
        return None
    return decimal(value) if _float(value) is not None else f"{kilograms:.4g}"


def decimal(value: str) -> str | None:
    """A finite number of at most 16 characters; a comma is a decimal point."""
    value = value.strip().replace(",", ".")
    number = _float(value)
    if number is None or _DECIMAL.fullmatch(value) is None:
        return None
    return value if len(value) <= _MOST_DECIMAL_CHARACTERS else f"{number:.10g}"


def integer(value: str) -> str | None:
    """A whole number of 32 bits; 3.0 is one."""
    number = _float(value.strip())
    if number is None or number != int(number) or not -(2**31) <= number < 2**31:
        return None
    return str(int(number))


def code(value: str) -> str | None:
    """A code string: capitals, digits, spaces and underscores, at most 16 of them."""
    value = value.strip().upper()
    return value if _CODE.fullmatch(value) else None


def yes_or_no(value: str) -> str | None:
    """YES or NO."""
    return {"YES": "YES", "Y": "YES", "NO": "NO", "N": "NO"}.get(value.strip().upper())


def dates_modified(value: str) -> str | None:
    """What Longitudinal Temporal Information Modified (0028,0303) says of dates after de-identification."""
    value = value.strip().upper()
    return value if value in ("UNMODIFIED", "MODIFIED", "REMOVED") else None


def text(value: str) -> str | None:
    """A line of text, shortened to 64 characters."""
    return _line(value)[:64].strip() or None


def identifier(value: str) -> str | None:
    """A line of text that names something: one that is too long or cannot be read in whole is none, since a part of it
    may name another."""
    line = _line(value)
    return line if 0 < len(line) <= 64 and _UNREADABLE not in line else None


def short_identifier(value: str) -> str | None:
    """As `identifier`, of at most 16 characters."""
    line = identifier(value)
    return line if line and len(line) <= 16 else None


def person_name(value: str) -> str | None:
    """Up to three groups (letters, ideographs, sounds) of up to five components and 64 characters, all readable."""
    groups = []
    for group in _line(value).split("=")[:3]:
        components = group.split("^")
        groups.append("^".join([*components[:4], " ".join(components[4:])]) if len(components) > 5 else group)
    name = "=".join(groups)
    return name if name and _UNREADABLE not in name and all(len(group) <= 64 for group in groups) else None


def _day(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).strftime("%Y%m%d").zfill(8)
    except ValueError:
        return None


def _line(value: str) -> str:
    """Without control characters and lone surrogates, which no text may hold."""
    printable = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 else c for c in value)
    return printable.replace("\\", " ").strip()


def _float(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
