"""Tails and quantiles of the usual distributions.

``scipy.special`` has the same functions as ``scipy.stats``, which takes most of a second to import.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

__all__ = ["chi2_tail", "f_tail", "normal_quantile", "normal_tail", "t_quantile", "t_tail"]


def chi2_tail(statistic: Any, freedom: float) -> Any:
    """P(chi-square with ``freedom`` degrees > statistic)."""
    return special.chdtrc(freedom, statistic)


def f_tail(statistic: float, between: float, within: float) -> float:
    """P(F with (between, within) degrees > statistic)."""
    return float(special.fdtrc(between, within, statistic))


def normal_tail(z: Any) -> Any:
    """P(standard normal > z)."""
    return special.ndtr(-np.asarray(z))


def normal_quantile(share: float) -> float:
    """Value below which a share of the standard normal distribution lies."""
    return float(special.ndtri(share))


def t_tail(statistic: float, freedom: float) -> float:
    """P(Student's t with ``freedom`` degrees > statistic)."""
    return float(special.stdtr(freedom, -statistic))


def t_quantile(share: float, freedom: float) -> float:
    """Value below which a share of Student's t distribution lies."""
    return float(special.stdtrit(freedom, share))
