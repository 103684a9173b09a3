"""Water and fat swapped in whole stations and in parts of them: found, flagged and, on request, corrected."""

from __future__ import annotations

from collections.abc import Sequence

from operators.core.volume import QualityFlag
from operators.station_fusion.overlaps import Overlap
from operators.station_fusion.partial_swaps import (
    PartialSwap,
    find_partial_swaps,
    partial_swap_flags,
    partly_exchanged,
)
from operators.station_fusion.positions import TablePosition
from operators.station_fusion.swaps import exchanged, find_swaps, swap_flags

__all__ = ["checked_for_swaps"]


def checked_for_swaps(
    positions: Sequence[TablePosition], overlaps: Sequence[Overlap], *, fix: bool
) -> tuple[tuple[TablePosition, ...], tuple[QualityFlag, ...]]:
    """Look for swaps of whole stations and of parts of them.

    Parameters
    ----------
    positions : sequence of TablePosition
    overlaps : sequence of Overlap
        Of ``positions``.
    fix : bool
        Whether swaps are corrected.

    Returns
    -------
    positions : tuple of TablePosition
        With the swaps corrected, if requested.
    flags : tuple of QualityFlag
        ``water-fat-swap`` for each swap: an error, or a warning if it was corrected.
    """
    whole = list(find_swaps(positions, overlaps))
    parts: list[PartialSwap] = []
    for number, position in enumerate(positions):
        if number in whole:
            if not find_partial_swaps([exchanged(position)]):
                continue
            # Swapped in its larger part only, so that it looked swapped as a whole.
            whole.remove(number)
        parts += [swap for swap in find_partial_swaps([position], first=number) if not _is_whole(swap, position)]
    flags = (
        *swap_flags(positions, whole, fixed=fix),
        *partial_swap_flags(positions, parts, fixed=fix),
    )
    if not fix:
        return tuple(positions), flags
    corrected = []
    for number, position in enumerate(positions):
        own = [swap for swap in parts if swap.position == number]
        corrected.append(
            exchanged(position) if number in whole else partly_exchanged(position, own) if own else position
        )
    return tuple(corrected), flags


def _is_whole(swap: PartialSwap, position: TablePosition) -> bool:
    """A swap of a whole station is for `find_swaps` to find, which also compares it with its neighbours."""
    return swap.side == "both" and (swap.first, swap.end) == (0, position.grid.shape[0])
