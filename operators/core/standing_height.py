"""Standing height from a DICOM header."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["height_of", "metres_of"]

#: Plausible heights in metres. PatientSize is often left at 0 or entered in centimetres.
_PLAUSIBLE_M = (0.5, 2.5)
#: Without a unit, 67 may be inches or a small child's centimetres; from here on only centimetres are meant.
_LEAST_CENTIMETRES = 100.0
_METRES_PER = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "inch": 0.0254, "inches": 0.0254, '"': 0.0254}
_NUMBER_AND_UNIT = re.compile(
    r"(\d*[.,]?\d+(?:e[+-]?\d+)?|\d+\.)\s*(m|cm|mm|in|inch(?:es)?|\")?\.?", re.IGNORECASE | re.ASCII
)
_FEET_AND_INCHES = re.compile(r"(\d)\s*(?:'|ft)\s*(?:(\d{1,2}(?:\.\d+)?)\s*(?:\"|''|in)?)?", re.IGNORECASE | re.ASCII)


def height_of(patient: Mapping[str, str]) -> float | None:
    """PatientSize (0010,1020) in metres; None when it is absent, not plausible, or may mean two heights.

    Examples
    --------
    >>> height_of({"PatientSize": "1.72"}), height_of({"PatientSize": "172"}), height_of({"PatientSize": "0"})
    (1.72, 1.72, None)
    """
    return metres_of(patient.get("PatientSize", ""))


def metres_of(text: str) -> float | None:
    """A height as people type it, in metres; None when it cannot be one, or may mean two.

    DICOM asks for metres. Without a unit, numbers from 100 are centimetres
    and from 1000 millimetres.

    Examples
    --------
    >>> metres_of("1,67"), metres_of("167 cm"), metres_of("1670"), metres_of("67")
    (1.67, 1.67, 1.67, None)
    """
    if feet := _FEET_AND_INCHES.fullmatch(text.strip()):
        return _plausible(0.3048 * int(feet[1]) + 0.0254 * float(feet[2] or 0))
    typed = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if typed is None:
        return None
    number = float(typed[1].replace(",", "."))
    if typed[2]:
        return _plausible(number * _METRES_PER[typed[2].lower()])
    if number >= 10 * _LEAST_CENTIMETRES:
        return _plausible(number / 1000)
    return _plausible(number / 100 if number >= _LEAST_CENTIMETRES else number)


def _plausible(metres: float) -> float | None:
    return round(metres, 6) if _PLAUSIBLE_M[0] <= metres <= _PLAUSIBLE_M[1] else None
