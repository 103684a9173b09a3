"""The surface between the left and the right half of the body.

It is found from the paired bones, and described in LPS millimetres, where +x is
the patient's left, so that it does not depend on the orientation of the grid:

    x_mid(y, z) = f(z) + roll * (y - y_ref)

``f`` is piecewise linear over slabs along z. It is a robust line plus a smoothed
deviation from it, because legs are often to one side of the pelvis's axis.
``roll`` is the patient's rotation about z, estimated from the pelvis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import MUSCLES, STRUCTURES, Tissue, by_name
from operators.core.volume import Grid, Volume
from operators.phenotype_report.side_kernels import moments

__all__ = ["LABEL_COUNT", "LEFT", "RIGHT", "MidSurface", "find_mid_surface"]

LEFT, RIGHT = 0, 1

LABEL_COUNT = len(STRUCTURES) + 1
"""Labels that are divided: background, muscles and bones."""

_ILIAC = by_name("iliac_bone").index
_BONES = tuple(s.index for s in STRUCTURES if s.tissue is Tissue.BONE)
_MUSCLES = tuple(by_name(name).index for name in MUSCLES)

_SLAB_MM = 20.0
_ITERATIONS = 6
# Two halves of one bone are closer than this. The bones of the two legs are
# not, even with the knees together. The widest single bone is about 95 mm,
# from femoral head to trochanter, so its halves are about 47 mm apart.
_BONES_APART_MM = 60.0
_MUSCLES_APART_MM = 40.0
# The halves of one wide muscle can be farther apart, but they touch: within 5 mm
# of what divides it, it is as dense as elsewhere (0.3 and more of that in four
# people and phantoms, mostly 0.6 to 1.3). Between two muscles there is nothing.
# Only multifidus and rectus abdominis come as near to the middle of the body.
_NEAR_MM = 5.0
_MOST_BETWEEN = 0.25
_LEAST_BALANCE = 0.2  # smaller over larger side; below this, one side is cut off or mislabelled
_LEAST_VOXELS = 5
_LEAST_SLABS = 3
_STEEPEST_ROLL = float(np.tan(np.radians(25.0)))
_FARTHEST_FROM_LINE_MM = 60.0


@dataclass(frozen=True)
class MidSurface:
    """The surface between the left and the right half of the body.

    Attributes
    ----------
    z_mm : ndarray, shape (n,)
        Knots along LPS z, increasing and evenly spaced.
    x_mm : ndarray, shape (n,)
        LPS x of the surface at the knots, for y = ``y_ref_mm``.
    roll : float
        dx/dy of the surface: the tangent of the patient's rotation about z.
    y_ref_mm : float
    source : {"bones", "muscles"}
        Structures from which it was found.
    """

    z_mm: NDArray[np.float64]
    x_mm: NDArray[np.float64]
    roll: float
    y_ref_mm: float
    source: Literal["bones", "muscles"]

    def x_at(self, y_mm: NDArray[np.float64], z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS x of the surface. It is constant in z beyond the first and the last knot."""
        return np.asarray(np.interp(z_mm, self.z_mm, self.x_mm) + self.roll * (np.asarray(y_mm) - self.y_ref_mm))


def find_mid_surface(labels: Volume) -> MidSurface | None:
    """Find the mid-surface of an unsided label map.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table; only muscles and bones are used.

    Returns
    -------
    MidSurface or None
        Found from femora and iliac bones, or from the muscles if too little
        bone is labelled. None when no structure is on both sides (a single
        leg, one half of a body), because any surface would then cut a limb or a
        muscle in half.
    """
    slabs = _slabs(labels.grid)
    return _from_structures(labels, slabs, _BONES) or _from_structures(labels, slabs, _MUSCLES)


@dataclass(frozen=True)
class _Slabs:
    first_mm: float  # centre of the first slab
    count: int

    @property
    def centres_mm(self) -> NDArray[np.float64]:
        return self.first_mm + _SLAB_MM * np.arange(self.count, dtype=np.float64)


def _slabs(grid: Grid) -> _Slabs:
    depth, rows, columns = grid.shape
    corners = np.array([[i, j, k, 1.0] for i in (0, columns - 1) for j in (0, rows - 1) for k in (0, depth - 1)])
    heights = corners @ grid.affine[2]
    # At least two knots, because the kernels interpolate between neighbours.
    return _Slabs(float(heights.min()) + _SLAB_MM / 2, max(2, int(np.ceil(np.ptp(heights) / _SLAB_MM))))


def _from_structures(labels: Volume, slabs: _Slabs, leading: tuple[int, ...]) -> MidSurface | None:
    """The mid-surface from ``leading`` structures, and in slabs where these have no vote, from muscles."""
    voxels = np.ascontiguousarray(labels.voxels, dtype=np.uint8)
    affine = labels.grid.affine[:3]

    def moments_by_side(
        x_mm: NDArray[np.float64], roll: float, y_ref: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        where = (slabs.first_mm, _SLAB_MM, x_mm, roll, y_ref)
        by_side, near = moments(voxels, affine, *where, _NEAR_MM, LABEL_COUNT, slabs.count)
        return np.asarray(by_side), np.asarray(near)

    undivided = moments_by_side(np.full(slabs.count, -np.inf), 0.0, 0.0)[0][leading, :, LEFT]
    occupied = undivided[..., 0] > 0
    if not occupied.any():
        return None
    count, centroids = undivided[occupied][:, 0], undivided[occupied][:, 1:] / undivided[occupied][:, :1]
    # The median over slabs is robust, because one side is cut off or unlabelled in only a few.
    x_mm = np.full(slabs.count, _weighted_median(centroids[:, 0], np.sqrt(count)))
    roll, y_ref = 0.0, float(np.average(centroids[:, 1], weights=count))
    for _ in range(_ITERATIONS):
        votes = _votes(*moments_by_side(x_mm, roll, y_ref))
        led = [vote for vote in votes if vote.structure in leading]
        seen = {vote.slab for vote in led}
        if len(seen) < _LEAST_SLABS:
            return None
        roll = _roll(led)
        x_mm = _knots([*led, *(vote for vote in votes if vote.slab not in seen)], roll, y_ref, slabs)
    return MidSurface(slabs.centres_mm, x_mm, roll, y_ref, "bones" if leading == _BONES else "muscles")


@dataclass(frozen=True)
class _Vote:
    """The evidence of one structure in one slab: the midpoint of its two centroids and the vector between them."""

    structure: int
    slab: int
    middle_mm: NDArray[np.float64]  # (x, y, z)
    apart_mm: NDArray[np.float64]  # left minus right
    weight: float


def _votes(moments: NDArray[np.float64], near: NDArray[np.float64]) -> list[_Vote]:
    """Votes of the structures that lie on both sides in a slab; ``near`` counts their voxels near the surface."""
    count = moments[..., 0]
    smaller, larger = count.min(axis=2), count.max(axis=2)
    votes = []
    for structure, slab in np.argwhere((smaller >= _LEAST_VOXELS) & (smaller >= _LEAST_BALANCE * larger)):
        centroids = moments[structure, slab, :, 1:] / count[structure, slab, :, None]
        apart = centroids[LEFT] - centroids[RIGHT]
        bone = structure in _BONES
        even = count[structure, slab].sum() * _NEAR_MM / max(apart[0], _NEAR_MM)  # of one muscle from end to end
        if apart[0] >= (_BONES_APART_MM if bone else _MUSCLES_APART_MM) and (
            bone or near[structure, slab] <= _MOST_BETWEEN * even
        ):
            weight = float(np.sqrt(smaller[structure, slab]))
            votes.append(_Vote(int(structure), int(slab), centroids.mean(axis=0), apart, weight))
    return votes


def _roll(votes: list[_Vote]) -> float:
    """Rotation about z, from the pelvis if it is visible, because each leg rotates and bends independently."""
    chosen = [vote for vote in votes if vote.structure == _ILIAC] or votes
    slopes = np.array([-vote.apart_mm[1] / vote.apart_mm[0] for vote in chosen])
    weights = np.array([vote.weight for vote in chosen])
    return float(np.clip(_weighted_median(slopes, weights), -_STEEPEST_ROLL, _STEEPEST_ROLL))


def _knots(votes: list[_Vote], roll: float, y_ref: float, slabs: _Slabs) -> NDArray[np.float64]:
    x = np.array([vote.middle_mm[0] - roll * (vote.middle_mm[1] - y_ref) for vote in votes])
    z = np.array([vote.middle_mm[2] for vote in votes])
    weights = np.array([vote.weight for vote in votes])
    intercept, slope = _robust_line(z, x, weights)
    residual = np.clip(x - (intercept + slope * z), -_FARTHEST_FROM_LINE_MM, _FARTHEST_FROM_LINE_MM)
    slab = np.array([vote.slab for vote in votes])
    seen = np.unique(slab)
    medians = np.array([_weighted_median(residual[slab == s], weights[slab == s]) for s in seen])
    departure = np.interp(np.arange(slabs.count), seen, medians)
    for _ in range(2):
        padded = np.pad(departure, 1, mode="edge")
        departure = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray(intercept + slope * slabs.centres_mm + departure)


def _robust_line(z: NDArray[np.float64], x: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Weighted line x = a + b z with Huber weights, so that a mislabelled slab does not tilt it."""
    robust = np.ones_like(x)
    middle = float(np.average(z, weights=weights))
    design = np.column_stack([np.ones_like(z), z - middle])
    a = b = 0.0
    for _ in range(10):
        w = np.sqrt(weights * robust)
        a, b = np.linalg.lstsq(design * w[:, None], x * w, rcond=None)[0]
        residual = np.abs(x - design @ np.array([a, b]))
        bound = max(1.5 * 1.4826 * float(np.median(residual)), 1.0)
        robust = np.minimum(1.0, bound / np.maximum(residual, 1e-9))
    return float(a - b * middle), float(b)


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
