"""Labels beside the muscles that they name: made on another scan, or moved by a changed affine.

Muscle is bright in the water image; fat and air are dark. Labels that lie right lose
signal wherever they are moved to. Those of another scan find more of it elsewhere.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Fused, QualityFlag

__all__ = ["displaced_label_flags"]

_MOVES_MM = (-60.0, -45.0, -30.0, -20.0, -12.0, 12.0, 20.0, 30.0, 45.0, 60.0)
_MORE = 1.12
"""Water signal in moved labels over that in labels as given. Correct labels of the phantoms lose 10% and more."""

_FEWEST_STRUCTURES = 8
"""A few muscles may be fatty beside healthy ones; most of a body's muscles lie between fat and bone."""

_SAMPLED = 50_000


def displaced_label_flags(muscles: NDArray[np.bool_], structures: int, fused: Fused) -> tuple[QualityFlag, ...]:
    """``labels-displaced`` (warning) where labels moved along an axis would lie on more muscle.

    Parameters
    ----------
    muscles : ndarray, shape (z, y, x), bool
        Voxels of labelled muscles on the fused grid.
    structures : int
        How many structures are labelled.
    fused : Fused
    """
    points = np.argwhere(muscles)
    if structures < _FEWEST_STRUCTURES or not len(points):
        return ()
    points = points[:: max(1, len(points) // _SAMPLED)]
    here = _mean_water(fused, points, (0, 0, 0))
    spacing = fused.grid.spacing_mm[::-1]  # arrays are (z, y, x)
    moved = {}
    for axis, mm in itertools.product(range(3), _MOVES_MM):
        voxels = [0, 0, 0]
        voxels[axis] = round(mm / spacing[axis])
        moved["zyx"[axis], mm] = _mean_water(fused, points, voxels)
    (axis_name, mm), best = max(moved.items(), key=lambda item: item[1])
    if best <= _MORE * here:
        return ()
    message = (
        f"The labels would lie on more muscle if they were moved by {mm:+.0f} mm along {axis_name} (water signal "
        f"{best / here - 1:.0%} higher). They may have been made on another scan or lost their position."
    )
    return (QualityFlag("labels-displaced", "warning", message, quantities=("volume", "fat")),)


def _mean_water(fused: Fused, points: NDArray[np.int64], voxels: list[int] | tuple[int, ...]) -> float:
    at = points + voxels
    inside = ((at >= 0) & (at < fused.water.shape)).all(axis=1)
    z, y, x = at[inside].T
    return float(fused.water[z, y, x].sum(dtype=np.float64)) / len(points)
