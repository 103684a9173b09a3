"""Units of phenotypes: as stored, as shown, and as coded in DICOM."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CUBIC_CM", "CUBIC_CM_PER_SQUARE_CM", "FRACTION", "RATIO", "SQUARE_CM", "Unit"]


@dataclass(frozen=True)
class Unit:
    """How a number is stored in ``report.json``, and how it is shown.

    Attributes
    ----------
    name : str
        Unit of the stored number, as in the schema.
    symbol : str
        Shown after the number on the page; empty for a plain number.
    ucum, ucum_meaning : str
        Code and meaning (UCUM) in the DICOM SR.
    factor : float
        Converts the stored number to the one in the SR.
    percent : bool
        Whether the page shows a fraction as a percentage.
    maximum : float or None
        Largest possible stored number.
    relative : bool
        Whether the uncertainty is a fraction of the value, so that the number
        of decimals depends on it (`operators.core.rounding`).
    """

    name: str
    symbol: str
    ucum: str
    ucum_meaning: str
    factor: float = 1.0
    percent: bool = False
    maximum: float | None = None
    relative: bool = False


CUBIC_CM = Unit("cm3", "cm³", "cm3", "cubic centimeter", relative=True)
SQUARE_CM = Unit("cm2", "cm²", "cm2", "square centimeter", relative=True)
CUBIC_CM_PER_SQUARE_CM = Unit("cm3/cm2", "cm³/cm²", "cm3/cm2", "cm3/cm2", relative=True)
RATIO = Unit("ratio", "", "{ratio}", "ratio")
FRACTION = Unit("fraction", "", "%", "Percent", factor=100.0, percent=True, maximum=1.0)
