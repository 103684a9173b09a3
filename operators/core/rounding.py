"""Rounding of numbers for people and for the DICOM SR: no more digits than the measurement supports.

``report.json`` keeps the full numbers. Until an interval of our own is known,
the uncertainty of a volume is taken as the best published short-term
repeatability of muscle volumes with Dixon MRI: a coefficient of variation of
1.2 to 1.5% (Grimm et al. 2018, doi 10.1002/jcsm.12343).
"""

from __future__ import annotations

import math

__all__ = ["REPEATABILITY", "REPEATABILITY_SOURCE", "decimals_of", "rounded"]

REPEATABILITY = 0.015
"""Coefficient of variation of a muscle volume that is measured twice."""
REPEATABILITY_SOURCE = "Grimm et al. 2018, doi 10.1002/jcsm.12343"


def decimals_of(value: float) -> int:
    """Decimals of three significant figures; negative for tens, hundreds and so on.

    A fourth figure is smaller than the uncertainty.

    Examples
    --------
    >>> decimals_of(8786.4), decimals_of(412.3), decimals_of(45.67), decimals_of(0.2604)
    (-1, 0, 1, 3)
    """
    if not value or not math.isfinite(value):
        return 0
    return 2 - math.floor(math.log10(abs(value)))


def rounded(value: float) -> float:
    """The value, rounded to `decimals_of` it.

    Examples
    --------
    >>> rounded(8786.44783), rounded(412.3), rounded(45.67)
    (8790.0, 412.0, 45.7)
    """
    return round(value, decimals_of(value))
