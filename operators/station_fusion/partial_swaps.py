"""Detection of water and fat swapped in a part of a station: in one leg, or from some slice on.

A two-point Dixon reconstruction decides which signal is water for one connected
region at a time, so that one leg can be right and the other wrong. Two
observations are combined, on each side of the body and slice by slice. There is
fat under the skin. And neighbouring slices show the same tissue. A chain of
slices is searched for the assignment that fits both best (Viterbi).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Contrast, QualityFlag
from operators.station_fusion.body import otsu_threshold, solid_slices
from operators.station_fusion.positions import TablePosition

__all__ = ["PartialSwap", "find_partial_swaps", "partial_swap_flags", "partly_exchanged"]

_COARSEST_MM = 5.0
"""Evidence is computed on every second voxel in plane, unless voxels would be larger than this."""

_RIM_MM = (2.0, 8.0)
"""Depth of the fat under the skin. The outermost 2 mm are skin."""

_CORE_DEPTH = 0.5
"""Depth at which the core begins, as a fraction of the deepest point's distance from the skin."""

_PER_MM = 0.1
"""Weight of a slice's evidence for each mm of its thickness. A normal thigh gives 0.3 to 0.6 in every slice."""

_CONTINUITY = 3.0
"""Weight of the agreement of neighbouring slices, which is about 0.6 within a leg, and the negative of it where a swap
begins."""

_DOUBT = 1.0
"""Evidence that each assumed swap must exceed."""

_LEAST_VOXELS = 40
"""Of a side in a slice; with fewer, the slice is no evidence."""


@dataclass(frozen=True)
class PartialSwap:
    """A part of a station in which water and fat are swapped.

    Attributes
    ----------
    position : int
        Number of the position; 0 is the most superior.
    side : {"left", "right", "both"}
        The patient's side.
    first, end : int
        First slice of the station, and one past the last.
    """

    position: int
    side: str
    first: int
    end: int


def find_partial_swaps(positions: Sequence[TablePosition], first: int = 0) -> tuple[PartialSwap, ...]:
    """Find the parts of stations in which water and fat are swapped.

    Parameters
    ----------
    positions : sequence of TablePosition
    first : int
        Number of the first position.
    """
    return tuple(swap for number, position in enumerate(positions, first) for swap in _in_station(number, position))


def partly_exchanged(position: TablePosition, swaps: Sequence[PartialSwap]) -> TablePosition:
    """The same station with water and fat exchanged in the given parts."""
    water, fat = (position.stations[contrast].voxels.copy() for contrast in (Contrast.WATER, Contrast.FAT))
    left_is_high = position.grid.affine[0, 0] > 0
    for swap in swaps:
        for k in range(swap.first, swap.end):
            if swap.side == "both":
                part = np.ones(water.shape[1:], dtype=np.bool_)
            else:
                high = _high_side(_body_of(water[k] + fat[k]))
                part = high if (swap.side == "left") == left_is_high else ~high
            water[k][part], fat[k][part] = fat[k][part], water[k][part]
    return TablePosition(
        {
            **position.stations,
            Contrast.WATER: replace(position.stations[Contrast.WATER], voxels=water),
            Contrast.FAT: replace(position.stations[Contrast.FAT], voxels=fat),
        }
    )


def partial_swap_flags(
    positions: Sequence[TablePosition], swaps: Sequence[PartialSwap], *, fixed: bool
) -> tuple[QualityFlag, ...]:
    """One flag for each swapped part: a warning if it was corrected, otherwise an error."""
    flags = []
    for swap in sorted(swaps, key=lambda s: (s.position, -s.first, s.side)):
        grid = positions[swap.position].grid
        middle = [(grid.shape[2] - 1) / 2, (grid.shape[1] - 1) / 2]
        low, high = sorted(float((grid.affine @ [*middle, k, 1.0])[2]) for k in (swap.first - 0.5, swap.end - 0.5))
        where = "on both sides" if swap.side == "both" else f"on the patient's {swap.side}"
        flags.append(
            QualityFlag(
                "water-fat-swap",
                "warning" if fixed else "error",
                f"Water and fat are swapped {where} in a part of the station of {positions[swap.position].name}, "
                f"from z = {low:.0f} to {high:.0f} mm; "
                + ("this was corrected." if fixed else "fuse again with --fix-swaps to correct this."),
                z_mm=(low, high),
            )
        )
    return tuple(flags)


def _in_station(number: int, position: TablePosition) -> list[PartialSwap]:
    evidence, agreement = _observations(position)
    states = [_best_chain(evidence[:, side], agreement[:, side]) for side in (0, 1)]
    if position.grid.affine[0, 0] > 0:
        states.reverse()  # to left, right
    left, right = states
    if np.array_equal(left, right):
        return [PartialSwap(number, "both", *run) for run in _runs(left)]
    return [
        PartialSwap(number, side, *run) for side, state in (("left", left), ("right", right)) for run in _runs(state)
    ]


def _observations(position: TablePosition) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Evidence of each slice, and agreement of each slice with the one above, on the low and the high side along x.

    Returns
    -------
    evidence : ndarray, shape (z, 2)
        Positive where water and fat are right.
    agreement : ndarray, shape (z - 1, 2)
        Positive where neighbours have the same assignment.
    """
    x_mm, y_mm, z_mm = position.grid.spacing_mm
    step = 2 if 2 * max(x_mm, y_mm) < _COARSEST_MM else 1
    water, fat = (
        np.maximum(position.stations[c].voxels[:, ::step, ::step], 0.0) for c in (Contrast.WATER, Contrast.FAT)
    )
    total = water + fat
    threshold = otsu_threshold(np.sqrt(total)) ** 2
    bright, solid = total > threshold, solid_slices(total, threshold)
    fraction = np.divide(fat, total, out=np.full_like(total, 0.5), where=total > 0)
    evidence, agreement = np.zeros((len(total), 2)), np.zeros((len(total) - 1, 2))
    before: NDArray[np.bool_] | None = None
    for k in range(len(total)):
        body = solid[k]
        depth = ndimage.distance_transform_edt(body, sampling=(y_mm * step, x_mm * step))
        high = _high_side(body)
        rim = bright[k] & (depth > _RIM_MM[0]) & (depth <= max(_RIM_MM[1], 2 * step * max(x_mm, y_mm)))
        core = bright[k] & (depth > _CORE_DEPTH * depth.max()) & ~rim
        for side, part in enumerate((~high, high)):
            evidence[k, side] = _slice_evidence(water[k], fat[k], rim & part, core & part)
            if before is not None:
                tissue = bright[k] & bright[k - 1] & part & before[side]
                if np.count_nonzero(tissue) >= _LEAST_VOXELS:
                    here, there = fraction[k][tissue], fraction[k - 1][tissue]
                    agreement[k - 1, side] = float((np.abs(here + there - 1) - np.abs(here - there)).mean())
        before = np.stack([~high, high])
    return evidence * z_mm * _PER_MM, agreement * _CONTINUITY


def _slice_evidence(
    water: NDArray[np.float32], fat: NDArray[np.float32], rim: NDArray[np.bool_], core: NDArray[np.bool_]
) -> float:
    """Whether the fat is under the skin: from its fraction there, and from the contrast with the core."""
    if np.count_nonzero(rim) < _LEAST_VOXELS / 2 or np.count_nonzero(core) < _LEAST_VOXELS / 2:
        return 0.0
    under_skin, inside = (float(fat[m].sum() / (water[m].sum() + fat[m].sum())) for m in (rim, core))
    if inside < under_skin < 0.5:
        # A lean body, whose fat under the skin is thinner than the rim. Swapped, it would show the reverse.
        return under_skin - inside
    return (under_skin - 0.5) + 0.5 * (under_skin - inside)


def _best_chain(evidence: NDArray[np.float64], agreement: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which slices are swapped: the assignment with the largest sum of evidence and agreement, less the doubt."""
    score = np.array([evidence[0], -evidence[0] - _DOUBT])
    steps = []
    for k in range(1, len(evidence)):
        change = np.array([[0.0, -_DOUBT], [0.0, 0.0]])  # from, to: a swap begins
        reached = score[:, None] + agreement[k - 1] * np.array([[1.0, -1.0], [-1.0, 1.0]]) + change
        steps.append(reached.argmax(axis=0))
        score = reached.max(axis=0) + evidence[k] * np.array([1.0, -1.0])
    state = int(score.argmax())
    states = [state]
    for step in reversed(steps):
        state = int(step[state])
        states.append(state)
    return np.array(states[::-1], dtype=np.bool_)


def _runs(states: NDArray[np.bool_]) -> list[tuple[int, int]]:
    borders = np.flatnonzero(np.diff(np.concatenate([[0], states.astype(np.int8), [0]])))
    return [(int(first), int(end)) for first, end in borders.reshape(-1, 2)]


def _body_of(total: NDArray[np.float32]) -> NDArray[np.bool_]:
    return solid_slices(total[None], otsu_threshold(np.sqrt(np.maximum(total, 0.0))) ** 2)[0]


def _high_side(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The half of a slice with larger x index. A leg that is apart belongs to one half, even beyond the middle."""
    columns = body.sum(axis=0)
    index = np.arange(columns.size)
    middle = float((columns * index).sum() / max(int(columns.sum()), 1)) if columns.any() else columns.size / 2
    high = np.broadcast_to(index > middle, body.shape).copy()
    parts, count = ndimage.label(body)
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        mask = parts[box] == number
        share = float(high[box][mask].mean())
        if count > 1 and not 0.2 < share < 0.8:
            high[box][mask] = share >= 0.5
    return high
