"""The four contrasts of a two-point Dixon acquisition."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FUSED_SERIES", "Contrast"]

FUSED_SERIES = "SarcoMAP fused"
"""How descriptions of our own fused series begin. They are results, never input."""


class Contrast(StrEnum):
    """The four magnitude volumes of a two-point Dixon acquisition."""

    IN = "in"
    OPPOSED = "opp"
    WATER = "water"
    FAT = "fat"
