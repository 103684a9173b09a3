"""Where the legs part and where the knees are, told by the lean tissue of the stations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Contrast
from operators.station_fusion.body import otsu_threshold
from operators.station_fusion.positions import TablePosition

__all__ = ["Landmarks", "find_landmarks"]

_STEP_MM = 6.0
"""Slices and columns are looked at this far apart."""

_MIDDLE = (0.35, 0.65)
"""Of the body's width: where the legs part, no muscle is left there. Above, there always is."""

_PARTED = 0.05
"""Of the largest column of lean tissue in a slice."""

_LEAST_LEG_MM = 100.0
_KNEE_SHARE = 0.35
"""Lean cross-section at the knee joint over the thigh's largest: 10 to 25%, and two thirds at the lower third."""

_CALF_SHARE = 0.5
"""Lean cross-section at which the knee is over, and another station's thigh or a calf has begun."""

_NO_LEG_SHARE = 0.04
"""Less lean tissue than at any joint: below the feet, or where the image has faded."""

_AS_THIN = 1.1
_FURTHER_MM = 60.0
_SAME_LEG = 0.3


@dataclass(frozen=True)
class Landmarks:
    """Heights in the body, and the station that shows the knees.

    Attributes
    ----------
    crotch_mm : float
        LPS z below which the legs are apart.
    knee_mm : float
        LPS z below which the leg has least lean tissue.
    knee_position : int
        Number of the position (0 is the most superior) that shows the knees from above.
    """

    crotch_mm: float
    knee_mm: float
    knee_position: int


@dataclass(frozen=True)
class _Profile:
    z_mm: NDArray[np.float64]  # superior first
    lean_cm2: NDArray[np.float64]
    parted: NDArray[np.bool_]


def find_landmarks(positions: Sequence[TablePosition]) -> Landmarks | None:
    """Find crotch and knees.

    Parameters
    ----------
    positions : sequence of TablePosition
        Superior to inferior, decoded.

    Returns
    -------
    Landmarks or None
        None unless the legs part in these positions and knees follow below.
    """
    profiles = [_profile(position) for position in positions]
    crotch = _crotch_mm(profiles)
    if crotch is None:
        return None
    thickest = 0.0
    for number, profile in enumerate(profiles):
        below = profile.z_mm <= crotch
        if not below.any():
            continue
        z, lean = profile.z_mm[below], profile.lean_cm2[below]
        # The thickest part so far, at every slice and not beyond: calves follow below the knees.
        so_far = np.maximum.accumulate(np.maximum(lean, thickest))
        thin = lean < _KNEE_SHARE * so_far
        if not thin.any():
            thickest = float(so_far[-1])
            continue
        first = int(thin.argmax())
        over = np.flatnonzero(
            (lean[first:] > _CALF_SHARE * so_far[first:]) | (lean[first:] < _NO_LEG_SHARE * so_far[first:])
        )
        joint = lean[first : first + max(1, over[0]) if over.size else None]
        # The upper end of the thinnest part: the section hardly changes along the joint.
        knee = first + int((joint <= _AS_THIN * joint.min()).argmax())
        if number + 1 < len(profiles) and _goes_on(profiles[number + 1], z[-1], lean[-1], lean[knee]):
            return Landmarks(crotch, float(z[-1]), number + 1)
        return Landmarks(crotch, float(z[knee]), number)
    return None


def _goes_on(following: _Profile, end_mm: float, end_lean: float, least: float) -> bool:
    """Whether the next station shows the same leg getting still thinner just below, so that the joint is there."""
    near = np.abs(following.z_mm - end_mm) <= _STEP_MM
    just_below = (following.z_mm < end_mm) & (following.z_mm >= end_mm - _FURTHER_MM)
    if not (near.any() and just_below.any()):
        return False
    same_leg = abs(following.lean_cm2[near].mean() - end_lean) <= _SAME_LEG * max(end_lean, 1.0)
    return bool(same_leg and following.lean_cm2[just_below].min() < 0.8 * least)


def _crotch_mm(profiles: Sequence[_Profile]) -> float | None:
    """The top of the longest stretch in which the legs are apart."""
    z = np.concatenate([profile.z_mm for profile in profiles])
    parted = np.concatenate([profile.parted for profile in profiles])
    order = np.argsort(-z, kind="stable")
    z, parted = z[order], parted[order]
    # In an overlap both stations must agree; a majority of three slices evens out a lymph node or a vessel.
    parted = np.convolve(parted, np.ones(3), mode="same") >= 2
    best: tuple[float, float] | None = None
    start: int | None = None
    for n in range(parted.size + 1):
        if n < parted.size and parted[n]:
            start = n if start is None else start
        elif start is not None:
            length = float(z[start] - z[n - 1])
            if best is None or length > best[0]:
                best = (length, float(z[start]))
            start = None
    return best[1] if best is not None and best[0] >= _LEAST_LEG_MM else None


def _profile(position: TablePosition) -> _Profile:
    grid = position.grid
    x_mm, y_mm, z_mm = grid.spacing_mm
    along_x, along_y, along_z = (max(1, int(_STEP_MM / mm)) for mm in (x_mm, y_mm, z_mm))
    slices = np.arange(grid.shape[0])[::along_z]
    water, fat = (position.stations[c].voxels[::along_z, ::along_y, ::along_x] for c in (Contrast.WATER, Contrast.FAT))
    signal = np.sqrt(np.clip(np.nan_to_num(water + fat), 0.0, None))
    body = signal > otsu_threshold(signal)
    lean = body & (water > fat)
    columns = lean.sum(axis=1)
    parted = np.array([_is_parted(column, slab.any(axis=0)) for column, slab in zip(columns, body, strict=True)])
    cm2 = lean.sum(axis=(1, 2)) * (x_mm * along_x * y_mm * along_y / 100.0)
    middle = [(grid.shape[2] - 1) / 2, (grid.shape[1] - 1) / 2]
    heights = np.array([(grid.affine @ [*middle, k, 1.0])[2] for k in slices])
    down = np.argsort(-heights, kind="stable")
    return _Profile(heights[down], cm2[down].astype(np.float64), parted[down])


def _is_parted(lean_columns: NDArray[np.int64], shown: NDArray[np.bool_]) -> bool:
    where = np.flatnonzero(shown)
    if where.size < 4 or lean_columns.max() == 0:
        return False
    first, width = int(where[0]), int(where[-1] - where[0])
    low, high = first + int(_MIDDLE[0] * width), first + int(_MIDDLE[1] * width) + 1
    return bool(lean_columns[low:high].min() <= _PARTED * lean_columns.max())
