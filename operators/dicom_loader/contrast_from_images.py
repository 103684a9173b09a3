"""Which contrast a series shows, told by the images where no header says it.

Of one scan, in-phase is water plus fat and opposed-phase their difference
(two-point Dixon); of the two, fat is the bright one under the skin. Where echo
times are known, they say which images cannot be in phase, or opposed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Contrast, QualityFlag
from operators.dicom_loader.stacks import Stack

__all__ = ["Told", "told_by_images"]

Decode = Callable[[Sequence[Stack]], Sequence[NDArray[np.float32]]]

_SAME_GRID_MM = 0.1
#: Mean departure from in = W + F and opp = |W - F|, as a share of the in-phase signal in the body. Noise, T2* and
#: field errors of real scans stay below; any other order of the four is far above.
_MOST_DEPARTURE = 0.2
_LEAST_ADVANTAGE = 1.5
#: Fat over water under the skin. Muscle, the other way round, is not that close to the skin.
_LEAST_RIM_RATIO = 1.3
_RIM_MM = 8.0
#: Share of the brightest in-phase signal that is no air.
_BODY = 0.15


@dataclass(frozen=True)
class Told:
    """Stacks whose contrast the images told, and how sure that is.

    Attributes
    ----------
    stacks : tuple of Stack
    flag : QualityFlag
        ``contrast-told-by-images`` (warning).
    """

    stacks: tuple[Stack, ...]
    flag: QualityFlag


def told_by_images(untold: Sequence[Stack], named: Sequence[Stack], decode: Decode) -> list[Told]:
    """Find the contrasts of stacks of which no header says it.

    Stacks on one grid are taken together. Only where they are four, with those
    that headers name, and one order of them fits far better than every other,
    contrasts are given.

    Parameters
    ----------
    untold, named : sequence of Stack
        Those whose contrast means nothing yet, and the others.
    decode : callable
        Gives the voxels of stacks.
    """
    found = []
    left = list(untold)
    while left:
        first = left.pop(0)
        together = [first, *(s for s in left if s.grid.same_as(first.grid, _SAME_GRID_MM))]
        left = [stack for stack in left if all(stack is not other for other in together)]
        known = [s for s in named if s.grid.same_as(first.grid, _SAME_GRID_MM)]
        missing = [contrast for contrast in Contrast if all(s.contrast is not contrast for s in known)]
        if len(together) == len(missing) and len(known) + len(together) == len(Contrast):
            told = _of_one_scan(together, known, missing, decode)
            if told is not None:
                found.append(told)
    return found


def _of_one_scan(
    untold: Sequence[Stack], known: Sequence[Stack], missing: Sequence[Contrast], decode: Decode
) -> Told | None:
    voxels = decode([*untold, *known])
    fixed = {stack.contrast: image for stack, image in zip(known, voxels[len(untold) :], strict=True)}
    orders: list[tuple[float, tuple[Contrast, ...]]] = []
    possible = [order for order in permutations(missing) if _echo_times_allow(untold, order)]
    for order in possible or permutations(missing):
        images = fixed | dict(zip(order, voxels, strict=False))
        orders.append((_departure(images), order))
    orders.sort(key=lambda scored: scored[0])
    departure, order = orders[0]
    images = fixed | dict(zip(order, voxels, strict=False))
    # Water and fat may be exchanged in both sums; every other order must fit worse.
    others = [score for score, other in orders if not _same_but_for_water_and_fat(order, other)]
    if departure > _MOST_DEPARTURE or (others and min(others) < _LEAST_ADVANTAGE * departure):
        return None
    ratio = _rim_ratio(images, untold[0].grid.spacing_mm)
    if Contrast.WATER in missing and Contrast.FAT in missing:
        if ratio < 1:
            order = tuple(_EXCHANGED.get(contrast, contrast) for contrast in order)
            ratio = 1 / ratio
        if ratio < _LEAST_RIM_RATIO:
            return None
    stacks = tuple(
        replace(stack, contrast=contrast, contrast_told_by="images")
        for stack, contrast in zip(untold, order, strict=True)
    )
    next_best = f" (the next best order by {100 * min(others):.0f}%)" if others else ""
    message = (
        f"{', '.join(stack.title for stack in stacks)}: no header names the contrast, the images do: they depart from "
        f"in = W + F and opp = |W - F| by {100 * departure:.0f}% of the in-phase signal{next_best}, and fat is "
        f"{ratio:.1f} times as bright as water under the skin."
    )
    return Told(stacks, QualityFlag("contrast-told-by-images", "warning", message))


def _echo_times_allow(stacks: Sequence[Stack], order: Sequence[Contrast]) -> bool:
    """Whether no in-phase image would have the echo time of opposed-phase ones, nor the other way round.

    Where few voxels hold both water and fat, the two differ by little more than noise.
    """
    times = [dict(stack.frames[0].evidence).get("echo time") for stack in stacks]
    return all({time, contrast} != {Contrast.IN, Contrast.OPPOSED} for time, contrast in zip(times, order, strict=True))


_EXCHANGED = {Contrast.WATER: Contrast.FAT, Contrast.FAT: Contrast.WATER}


def _same_but_for_water_and_fat(one: Sequence[Contrast], other: Sequence[Contrast]) -> bool:
    return all(a is b or _EXCHANGED.get(a) is b for a, b in zip(one, other, strict=True))


def _body(in_phase: NDArray[np.float32]) -> NDArray[np.bool_]:
    body: NDArray[np.bool_] = in_phase > _BODY * np.percentile(in_phase, 99)
    return body


def _departure(images: Mapping[Contrast, NDArray[np.float32]]) -> float:
    water, fat = images[Contrast.WATER], images[Contrast.FAT]
    # Any of the four may be taken for in-phase here: the brightest says best where the body is.
    body = _body(np.maximum.reduce(list(images.values())))
    signal = float(images[Contrast.IN][body].mean())
    if not signal > 0:
        return float("inf")
    sums = np.abs(images[Contrast.IN] - (water + fat))[body].mean()
    differences = np.abs(images[Contrast.OPPOSED] - np.abs(water - fat))[body].mean()
    return float(sums + differences) / signal


def _rim_ratio(images: Mapping[Contrast, NDArray[np.float32]], spacing_mm: tuple[float, float, float]) -> float:
    """Fat over water in the outermost millimetres of the body."""
    body = _body(images[Contrast.IN])
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in body])
    depth = np.stack([ndimage.distance_transform_edt(plane, sampling=spacing_mm[1::-1]) for plane in filled])
    rim = (depth > 0) & (depth <= max(_RIM_MM, *spacing_mm[:2]))  # at least one voxel
    water = float(images[Contrast.WATER][rim].mean()) if rim.any() else 0.0
    fat = float(images[Contrast.FAT][rim].mean()) if rim.any() else 0.0
    return fat / water if water > 0 and fat > 0 else 1.0
