"""Options of reading a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from operators.core.options.declaration import Flag, section

__all__ = ["READING", "ReadingOptions"]

READING = section("Reading", 10)


@dataclass(frozen=True)
class ReadingOptions:
    """How to read a damaged study.

    Attributes
    ----------
    allow_missing_slices : bool
        Interpolate one or two missing slices in a row between their neighbours and flag the station, instead of
        refusing the study.
    """

    allow_missing_slices: Annotated[bool, Flag, Parameter(group=READING)] = False
