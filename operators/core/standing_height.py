"""Standing height from a DICOM header."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

__all__ = ["height_of"]

#: Plausible heights in metres. PatientSize is often left at 0 or entered in centimetres.
_PLAUSIBLE_M = (0.5, 2.5)


def height_of(patient: Mapping[str, str]) -> float | None:
    """PatientSize (0010,1020) in metres; None when it is absent or not plausible.

    Examples
    --------
    >>> height_of({"PatientSize": "1.72"}), height_of({"PatientSize": "172"}), height_of({})
    (1.72, None, None)
    """
    with suppress(ValueError):
        height = float(patient.get("PatientSize", ""))
        if _PLAUSIBLE_M[0] <= height <= _PLAUSIBLE_M[1]:
            return height
    return None
