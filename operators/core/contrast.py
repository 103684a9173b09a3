"""The four contrasts of a two-point Dixon acquisition."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Contrast"]


class Contrast(StrEnum):
    """The four magnitude volumes of a two-point Dixon acquisition."""

    IN = "in"
    OPPOSED = "opp"
    WATER = "water"
    FAT = "fat"
