"""Stacks whose slices lie in turn between each other's: one scan that was stored as several series.

Scanners acquire slices in packages, odd and even ones for instance, and some
exporters make a series of each. Each looks like a whole stack of slices that
are far apart. A scan that was repeated half a slice away looks the same. So the
headers must say that slices are as near as they lie together, or, where they
say nothing, that all were scanned at one time.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import numpy as np

from operators.core.errors import GeometryError
from operators.core.volume import QualityFlag
from operators.dicom_loader.geometry import stack_slices
from operators.dicom_loader.orientation import upright
from operators.dicom_loader.stacks import Stack, top_down

__all__ = ["distance_mm", "interleaved_flags", "looks", "one_stack", "put_together"]

_MOST_PACKAGES = 4
_LIKE = 0.1
"""Of the distance of slices: differences that rounding makes."""
_ONE_SCAN = timedelta(minutes=15)
"""Packages of one scan follow each other; each takes a breath-hold or a few minutes."""


def put_together(stacks: Sequence[Stack]) -> list[Stack]:
    """Stacks, with those that lie between each other as one.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one plane.
    """
    together: list[Stack] = []
    left = list(stacks)
    while left:
        stack = left.pop(0)
        near = sorted((other for other in left if _is_package(stack, other)), key=lambda other: _apart(stack, other))
        for count in range(min(len(near), _MOST_PACKAGES - 1), 0, -1):
            whole = _whole([stack, *near[:count]])
            if whole is not None:
                left = [other for other in left if all(other is not one for one in near[:count])]
                stack = whole
                break
        together.append(stack)
    return top_down(together)


def interleaved_flags(stacks: Sequence[Stack]) -> tuple[QualityFlag, ...]:
    """``interleaved-series`` (info) for stacks that were put together."""
    found = [stack for stack in stacks if stack.packages > 1]
    if not found:
        return ()
    numbers = sorted({file.series_number for stack in found for file in stack.files})
    message = (
        f"series {', '.join(map(str, numbers))}: their slices lie in turn between each other's, as packages of one "
        f"scan do; they were put together to {len(found)} stacks."
    )
    return (QualityFlag("interleaved-series", "info", message),)


def _is_package(one: Stack, other: Stack) -> bool:
    """Whether stacks are alike but for the series, and begin and end less than the distance of their slices apart."""
    if one.files[0].series_uid == other.files[0].series_uid or looks(one) != looks(other):
        return False
    distance = distance_mm(one)
    if abs(distance - distance_mm(other)) > _LIKE * distance or abs(len(one.files) - len(other.files)) > 1:
        return False
    ends = ((one.frames[n].position_mm, other.frames[n].position_mm) for n in (0, -1))
    return all(_LIKE * distance < np.linalg.norm(here - there) < (1 + _LIKE) * distance for here, there in ends)


def looks(stack: Stack) -> Hashable:
    """What the parts of one stack have in common."""
    frame = stack.frames[0]
    directions = tuple(round(float(c), 2) + 0.0 for c in (*frame.row_direction, *frame.column_direction))
    spacing = tuple(round(mm, 3) for mm in frame.spacing_mm)
    return stack.contrast, frame.image_type, frame.rows, frame.columns, directions, spacing


def distance_mm(stack: Stack) -> float:
    """Of neighbouring slices."""
    return stack.grid.spacing_mm[2 - stack.turn.slice_axis]


def _apart(one: Stack, other: Stack) -> timedelta:
    """Time between two stacks."""
    if one.scanned is None or other.scanned is None:
        return timedelta(0)
    return abs(one.scanned - other.scanned)


def one_stack(parts: Sequence[Stack]) -> Stack | None:
    """The stack that the slices of several make; None where it is not a regular one."""
    images = [image for stack in parts for image in zip(stack.files, stack.frames, strict=True)]
    with suppress(GeometryError):
        order, places, grid = stack_slices([frame for _, frame in images], "")
        whole, turn = upright(grid)
        files, frames = zip(*(images[n] for n in order), strict=True)
        return replace(parts[0], files=files, frames=frames, places=tuple(places), grid=whole, turn=turn)
    return None


def _whole(packages: Sequence[Stack]) -> Stack | None:
    """The stack that packages make; None where they make no regular one, or are not of one scan."""
    stack = one_stack(packages)
    expected = distance_mm(packages[0]) / len(packages)
    if stack is None or abs(distance_mm(stack) - expected) > _LIKE * expected or not _are_one_scan(packages, expected):
        return None
    return replace(stack, packages=len(packages))


def _are_one_scan(packages: Sequence[Stack], apart_mm: float) -> bool:
    """Whether headers say that slices ``apart_mm`` apart are those of one scan."""
    between = max(_apart(one, other) for one in packages for other in packages)
    if between > _ONE_SCAN:
        return False
    most = (1 + _LIKE) * apart_mm
    stated = [frame.distance_mm or frame.thickness_mm for stack in packages for frame in stack.frames]
    if all(mm is not None and mm <= most for mm in stated):
        return True
    thick = [frame.thickness_mm for stack in packages for frame in stack.frames]
    return not between and all(mm is None or mm <= most for mm in thick)
