"""Options of station fusion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Literal

from cyclopts import Parameter

from operators.core.options.declaration import Flag, OptionError, WholeNumber, check_choices, section

__all__ = ["FUSION", "BiasCorrection", "Blend", "Device", "FusionOptions", "StationChoice", "check_spacing"]

FUSION = section("Station fusion", 20)

Device = Literal["auto", "cpu", "cuda"]
StationChoice = Literal["pelvis-to-knee", "all"]
Blend = Literal["average", "linear", "logistic"]
BiasCorrection = Literal["none", "n4"]

_IN_SECTION = Parameter(group=FUSION)


@dataclass(frozen=True)
class FusionOptions:
    """Options of `operators.station_fusion.fuse`; the defaults are the paper's (method, section 3).

    Attributes
    ----------
    spacing_mm : tuple of float, (x, y, z), or None
        Voxel size of the fused grid in mm. Default: the finest of the stations along each axis.
    device : {"auto", "cpu", "cuda"}
        Where stations are resampled.
    stations : {"pelvis-to-knee", "all"}
        Table positions to fuse. pelvis-to-knee takes those that show it, found by where the legs part and where the
        knees are, or the lowest four where that cannot be seen. Labels are given from pelvis to knee only.
    blend : {"average", "linear", "logistic"}
        How overlapping stations are combined. average: with equal weights, as in the published method. linear: each
        station fades out towards its end. logistic: the same along a logistic curve, so that each station dominates
        its own half.
    match_intensity : bool
        Scale each station by one factor so that neighbours are equally bright in the tissue that they share.
    bias_correction : {"none", "n4"}
        Remove each station's bias field (uneven coil sensitivity) first. n4 needs SimpleITK and takes about a minute.
    fix_swaps : bool
        Exchange water and fat of a station in which the scanner swapped them. Swaps are flagged either way.
    trim_slices : int
        Slices to leave out at both ends of each station, where the slab wraps around.

    Raises
    ------
    OptionError
        For a value that cannot be used, or N4 without SimpleITK.
    """

    spacing_mm: Annotated[
        tuple[float, float, float] | None, Parameter(name="--spacing", negative="", metavar="X Y Z"), _IN_SECTION
    ] = None
    device: Annotated[Device, Parameter(parse=False)] = "auto"
    stations: Annotated[StationChoice, _IN_SECTION] = "pelvis-to-knee"
    blend: Annotated[Blend, _IN_SECTION] = "average"
    match_intensity: Annotated[bool, Flag, _IN_SECTION] = False
    bias_correction: Annotated[BiasCorrection, _IN_SECTION] = "none"
    fix_swaps: Annotated[bool, Flag, _IN_SECTION] = False
    trim_slices: Annotated[int, WholeNumber, Parameter(metavar="N"), _IN_SECTION] = 0

    def __post_init__(self) -> None:
        check_choices(self)
        check_spacing(self.spacing_mm)
        if not isinstance(self.trim_slices, int) or self.trim_slices < 0:
            raise OptionError("trim_slices", f"{self.trim_slices}", "a whole number, 0 or more", "Give another number.")
        if self.bias_correction == "n4" and find_spec("SimpleITK") is None:
            raise OptionError(
                "bias_correction",
                "n4 without SimpleITK",
                "the package SimpleITK",
                "Install the extra n4, or choose none.",
            )


def check_spacing(spacing_mm: tuple[float, float, float] | None) -> None:
    """Raise `OptionError` unless the spacing is three positive numbers in mm. None keeps the stations' own."""
    if spacing_mm is not None and not (len(spacing_mm) == 3 and all(math.isfinite(mm) and mm > 0 for mm in spacing_mm)):
        raise OptionError(
            "spacing_mm", f"{tuple(spacing_mm)}", "three positive millimetres (x, y, z)", "Give another spacing."
        )
