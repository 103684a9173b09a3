"""Stacks that continue where another ends: one scan that was stored as several series.

Two table positions may abut in the same way, and each has a gain of its own, so
something must say that the pieces are of one scan: another contrast that is in
one piece there, or one moment of acquisition where other stations have others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import QualityFlag
from operators.dicom_loader.interleaved import distance_mm, looks, one_stack
from operators.dicom_loader.stacks import Stack, top_down

__all__ = ["end_to_end_flags", "put_end_to_end"]

_LIKE = 0.1
"""Of the distance of slices: differences that rounding makes."""


def put_end_to_end(stacks: Sequence[Stack]) -> list[Stack]:
    """Stacks, with the pieces of one scan as one.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one plane.
    """
    for one, other in permutations(stacks, 2):
        if not _continues(one, other) or not _are_one_scan(one, other, stacks):
            continue
        whole = one_stack([one, other])
        if whole is not None:
            rest = [stack for stack in stacks if stack is not one and stack is not other]
            return put_end_to_end([*rest, replace(whole, pieces=one.pieces + other.pieces)])
    return top_down(stacks)


def end_to_end_flags(stacks: Sequence[Stack]) -> tuple[QualityFlag, ...]:
    """``split-series`` (info) for stacks that were put together."""
    found = [stack for stack in stacks if stack.pieces > 1]
    if not found:
        return ()
    numbers = sorted({file.series_number for stack in found for file in stack.files})
    message = (
        f"series {', '.join(map(str, numbers))}: each continues where another ends, as pieces of one scan do; they "
        f"were put together to {len(found)} stack{'s' if len(found) > 1 else ''}."
    )
    return (QualityFlag("split-series", "info", message),)


def _continues(one: Stack, other: Stack) -> bool:
    """Whether the second stack begins one slice after the first ends, and they are alike but for the series."""
    if one.contrast != other.contrast or one.files[0].series_uid == other.files[0].series_uid:
        return False
    step = (one.frames[-1].position_mm - one.frames[0].position_mm) / (one.places[-1] - one.places[0])
    return (
        _is_near(one.frames[-1].position_mm + step, other.frames[0].position_mm, one)
        and looks(one) == looks(other)
        and _timing(one) == _timing(other)
        and abs(distance_mm(one) - distance_mm(other)) <= _LIKE * distance_mm(one)
    )


def _are_one_scan(one: Stack, other: Stack, stacks: Sequence[Stack]) -> bool:
    first, last = one.frames[0].position_mm, other.frames[-1].position_mm
    for stack in stacks:
        ends = stack.frames[0].position_mm, stack.frames[-1].position_mm
        if stack.contrast != one.contrast and _is_near(first, ends[0], one) and _is_near(last, ends[1], one):
            return True
    moments = {file.scanned for stack in (one, other) for file in stack.files}
    # An anonymiser may have given all stations one time, which then says nothing.
    others = {stack.scanned for stack in stacks if stack.contrast == one.contrast} - moments
    return len(moments) == 1 and None not in moments and bool(others)


def _timing(stack: Stack) -> tuple[str | None, ...]:
    acquisition = stack.files[0].acquisition
    return tuple(acquisition.get(keyword) for keyword in ("EchoTime", "RepetitionTime", "FlipAngle"))


def _is_near(here: NDArray[np.float64], there: NDArray[np.float64], stack: Stack) -> bool:
    return float(np.linalg.norm(here - there)) <= _LIKE * distance_mm(stack)
