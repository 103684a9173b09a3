"""Bringing a volume to (z, y, x) with x to the left, y to the back and z to the head, and doubting what its file says.

The axes of an image say nothing of themselves. What the body shows is compared with
what the header states, as far as a body can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import InputError
from operators.core.volume import Grid, QualityFlag

__all__ = [
    "Turned",
    "check_long_axis",
    "flipped_feet_down",
    "orientation_flags",
    "thinner_above",
    "turned_to_lps",
    "upside_down",
]

_CUT = 0.12
"""Share of a body's largest cross-section that is left at its own two ends along an axis. Head to foot, where the field
of view cuts it, fifty people have 0.15 or more from neck to knee and 0.21 from pelvis to knee; across, the body tapers
and has 0.07 or less. The body's ends count, not the volume's: many files are padded with air."""

_THINNER = 0.8
"""A thigh's upper third is thicker than its lower third. Below the knee, at the hips and at the hands it may not be."""

_CONTRADICTION_MM = 2.0
"""Rounding of a qform's quaternion moves a corner by less."""

_LONG_MM = 450.0
"""In anything shorter, knees, hips and hands can look like the parting of the legs."""

_MORE_LEGS = 0.25
"""Difference between the shares of slices with two legs. In heavy people the thighs part little above the knees: one of
fifty shows two legs in 0.40 of the lower third only. Nobody shows any in the upper third."""

_LEG_SHARE = 0.5
"""Of the largest part's area in a slice: smaller parts are hands, or the arm beside one half of a body. With a share of
0.2, three of a hundred halves looked like two legs above one."""


@dataclass(frozen=True)
class Turned:
    """Voxels with the axes of LPS as near as can be, and their grid."""

    voxels: NDArray[np.float32]
    grid: Grid


def turned_to_lps(voxels: NDArray[np.float32], grid: Grid) -> Turned:
    """Swap and flip axes, without interpolation, so that x runs most to the left, y to the back, z to the head."""
    directions = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    order: list[int] = []  # for each of L, P, S, the voxel axis nearest to it
    for world in range(3):
        free = [axis for axis in range(3) if axis not in order]
        order.append(max(free, key=lambda axis: abs(directions[world, axis])))
    turned = voxels.transpose(tuple(2 - axis for axis in order[::-1]))
    affine = grid.affine[:, [*order, 3]].copy()
    for axis in range(3):
        if affine[axis, axis] < 0:
            turned, affine = _flipped(turned, affine, axis)
    return Turned(np.ascontiguousarray(turned), Grid(turned.shape, affine))  # type: ignore[arg-type]


def flipped_feet_down(turned: Turned) -> Turned:
    """The volume with its slices in the opposite order, on the same grid."""
    return Turned(np.ascontiguousarray(turned.voxels[::-1]), turned.grid)


def _flipped(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], axis: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    count = voxels.shape[2 - axis]
    affine = affine.copy()
    affine[:3, 3] += affine[:3, axis] * (count - 1)
    affine[:3, axis] *= -1
    return np.flip(voxels, 2 - axis), affine


def check_long_axis(where: str, body: NDArray[np.bool_]) -> None:
    """Refuse a volume whose body runs through another axis than the one that its header calls head to foot.

    Parameters
    ----------
    where : str
        The file's name.
    body : ndarray, shape (z, y, x), bool
        In the orientation that the header states.

    Raises
    ------
    InputError
    """
    if not body.any():
        return
    shares = []
    for axis in range(3):
        area = body.sum(axis=tuple(other for other in range(3) if other != axis))
        its_own = np.flatnonzero(area)[[0, -1]]
        shares.append(float(area[its_own].min() / area.max()))
    along, across = shares[0], max(shares[1:])
    if along < _CUT < across:
        named = "front to back" if shares[1] == across else "left to right"
        raise InputError(
            where,
            f"a body that runs along the axis which the header calls {named}",
            "an orientation that puts the head up",
            "The file's orientation is wrong. Convert the images again, or correct its affine.",
        )


def upside_down(body: NDArray[np.bool_], grid: Grid) -> bool | None:
    """Whether the slices run from head to foot although the header says from foot to head; None if the body hides it.

    In a long volume, two legs below one trunk tell it. A slab tells nothing for certain.

    Parameters
    ----------
    body : ndarray, shape (z, y, x), bool
    grid : Grid
    """
    low, high = _thirds(body)
    if len(body) * grid.spacing_mm[2] < _LONG_MM or not len(low):
        return None
    legs_low, legs_high = _share_with_two_parts(low), _share_with_two_parts(high)
    return legs_high > legs_low if abs(legs_high - legs_low) >= _MORE_LEGS else None


def thinner_above(body: NDArray[np.bool_]) -> bool:
    """Whether the upper third of what is shown is clearly thinner than the lower third, as in a thigh upside down."""
    low, high = _thirds(body)
    return bool(np.count_nonzero(high) < _THINNER * np.count_nonzero(low))


def _thirds(body: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The lower and the upper third of the slices that show a body."""
    slices = np.flatnonzero(body.any(axis=(1, 2)))
    third = slices.size // 3
    return body[slices[:third]], body[slices[slices.size - third :]]


def orientation_flags(
    placed: bool, turned: bool | None, thinner: bool, contradiction_mm: float = 0.0
) -> tuple[QualityFlag, ...]:
    """What a reader must know of the orientation.

    Parameters
    ----------
    placed : bool
        Whether the file states an orientation.
    turned : bool or None
        Whether it was turned upside down; None when the body does not tell.
    thinner : bool
        See `thinner_above`.
    contradiction_mm : float
        How far apart the file's qform and sform put the volume.
    """
    sides = "Left and right, and front and back, are as the file states: a symmetric body cannot tell."
    flags = []
    if not placed:
        message = (
            f"The file states no orientation (qform and sform codes are 0); its axes were taken as x, y, z. {sides}"
        )
        flags.append(QualityFlag("orientation-unknown", "warning", message))
    if contradiction_mm > _CONTRADICTION_MM:
        message = (
            f"The file's qform and sform put the volume up to {contradiction_mm:.0f} mm apart; the sform was taken. "
            f"They may also disagree on left and right. {sides}"
        )
        flags.append(QualityFlag("orientation-contradictory", "warning", message))
    if turned:
        message = (
            f"By the file's orientation the body lay upside down. Its slices were put in the opposite order. {sides}"
        )
        flags.append(QualityFlag("orientation-corrected", "warning", message))
    elif turned is None and thinner:
        message = (
            "The body gets thinner upwards. If the volume shows thighs, it is upside down: then correct the file's "
            f"orientation. {sides}"
        )
        flags.append(QualityFlag("orientation-doubtful", "warning", message))
    elif turned is None:
        message = f"The body does not show which end is up; the file's orientation was taken. {sides}"
        flags.append(QualityFlag("orientation-unverified", "info", message))
    return tuple(flags)


def _share_with_two_parts(body: NDArray[np.bool_]) -> float:
    """Share of the slices that show two large parts side by side."""
    from scipy import ndimage

    two = 0
    for part in body:
        labelled, count = ndimage.label(part)
        sizes = np.sort(np.bincount(labelled.ravel(), minlength=count + 1)[1:])[::-1]
        two += bool(sizes.size > 1 and sizes[1] > _LEG_SHARE * sizes[0])
    return two / len(body)
