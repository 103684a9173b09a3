"""Stations that were scanned after a contrast agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from operators.core.volume import Contrast, QualityFlag, Station

if TYPE_CHECKING:
    from operators.station_fusion.positions import TablePosition

__all__ = ["agent_flags", "told_by"]


def told_by(acquisition: Mapping[Contrast, Station]) -> str:
    """What says that there was a contrast agent; empty where no contrast's header says so."""
    return next((station.contrast_agent for station in acquisition.values() if station.contrast_agent), "")


def agent_flags(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """``contrast-agent`` (warning) when fused stations were scanned after a contrast agent.

    Parameters
    ----------
    positions : sequence of TablePosition
        Those that are fused.
    """
    after = [position for position in positions if told_by(position.stations)]
    if not after:
        return ()
    sources = " and ".join(sorted({told_by(position.stations) for position in after}))
    if len(after) == len(positions):
        which = f"All stations were scanned after a contrast agent ({sources})"
    else:
        names = "; ".join(position.name for position in after)
        which = f"Some stations were scanned after a contrast agent ({sources}: {names}) and the others were not"
    message = (
        f"{which}. It brightens muscle and vessels in the water image, so fat fractions are too low, and labels of a "
        "network that has seen native scans may be off."
    )
    return (QualityFlag("contrast-agent", "warning", message),)
