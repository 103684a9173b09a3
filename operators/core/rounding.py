"""Rounding of numbers for people and for the DICOM SR: no more digits than the measurement supports.

``report.json`` keeps the full numbers. Where the standard error of a number is
not known, the uncertainty of a volume is taken as the best published short-term
repeatability of muscle volumes with Dixon MRI: a coefficient of variation of
1.2 to 1.5% (Grimm et al. 2018, doi 10.1002/jcsm.12343).
"""

from __future__ import annotations

import math

__all__ = ["REPEATABILITY", "REPEATABILITY_SOURCE", "decimals_of", "decimals_of_error", "rounded"]

REPEATABILITY = 0.015
"""Coefficient of variation of a muscle volume that is measured twice."""
REPEATABILITY_SOURCE = "Grimm et al. 2018, doi 10.1002/jcsm.12343"

_TWO_DIGITS = 3.55
"""Leading digits of an error up to which it is given with two digits (Particle Data Group, Review, section 5.3)."""


def decimals_of(value: float, error: float | None = None) -> int:
    """Decimals of three significant figures, or fewer if the error is larger; negative for tens, hundreds and so on.

    A fourth figure is smaller than the uncertainty.

    Parameters
    ----------
    value : float
    error : float or None
        Its standard error, if that is known.

    Examples
    --------
    >>> decimals_of(8786.4), decimals_of(412.3), decimals_of(45.67), decimals_of(0.2604)
    (-1, 0, 1, 3)
    >>> decimals_of(8786.4, 412.0), decimals_of(45.67, 6.1)
    (-2, 0)
    """
    if not value or not math.isfinite(value):
        return 0
    three = 2 - math.floor(math.log10(abs(value)))
    return three if error is None else min(three, decimals_of_error(error))


def decimals_of_error(error: float) -> int:
    """Decimals of a number with this standard error: to two digits of the error, or to one if the error begins high.

    Examples
    --------
    >>> decimals_of_error(210.0), decimals_of_error(412.0), decimals_of_error(0.0152), decimals_of_error(0.006)
    (-1, -2, 3, 3)
    """
    if not (error > 0 and math.isfinite(error)):
        return 99
    first = math.floor(math.log10(error))
    return (1 if error / 10.0**first < _TWO_DIGITS else 0) - first


def rounded(value: float, error: float | None = None) -> float:
    """The value, rounded to `decimals_of` it.

    Examples
    --------
    >>> rounded(8786.44783), rounded(412.3), rounded(45.67), rounded(45.67, 6.1)
    (8790.0, 412.0, 45.7, 46.0)
    """
    return round(value, decimals_of(value, error))
