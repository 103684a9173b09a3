"""The lowest and the highest third of an exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tertiles", "tertiles"]

# Share of a third by which a group may differ from it without a note.
_UNEVEN = 0.05


@dataclass(frozen=True)
class Tertiles:
    """Thirds of the people by an exposure.

    Attributes
    ----------
    group : ndarray of int8, shape (n,)
        0 low, 1 middle, 2 high, -1 if the exposure is missing.
    low_cut, high_cut : float
        Values up to and including ``low_cut`` are low; values above ``high_cut`` are high.
    note : str
        Sizes of the groups, where equal values make them far from thirds.
    """

    group: NDArray[np.int8]
    low_cut: float
    high_cut: float
    note: str = ""


def tertiles(exposure: NDArray[np.float64], cuts: tuple[float, float] | None = None) -> Tertiles:
    """Cut at exact thirds, or at given values.

    Parameters
    ----------
    exposure : ndarray, shape (n,)
        Missing values are NaN.
    cuts : (float, float), optional
        Fixed cuts instead of exact thirds, such as the paper's 0.41 and 0.48.

    Notes
    -----
    round(n/3) and round(2n/3) people have values up to and including the cuts,
    which gives 12,335 of 37,004 in the lowest third, as printed. Values equal to a
    cut go to the lower group (method, section 8.11), so that the groups differ in
    size only by ties.
    """
    known = np.isfinite(exposure)
    group = np.full(len(exposure), -1, dtype=np.int8)
    n = int(known.sum())
    if n < 3:
        return Tertiles(group, float("nan"), float("nan"))
    if cuts is None:
        ordered = np.sort(exposure[known])
        low_cut, high_cut = float(ordered[round(n / 3) - 1]), float(ordered[round(2 * n / 3) - 1])
    else:
        low_cut, high_cut = cuts
    group[known] = (exposure[known] > low_cut).astype(np.int8) + (exposure[known] > high_cut).astype(np.int8)
    sizes = np.bincount(group[known], minlength=3)
    uneven = cuts is None and float(np.abs(sizes - n / 3).max()) > max(1.0, _UNEVEN * n / 3)
    note = "equal values: thirds of {}, {} and {} people".format(*sizes) if uneven else ""
    return Tertiles(group, low_cut, high_cut, note)
