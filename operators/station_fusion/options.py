"""What a fusion can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from operators.core.errors import UsageError
from operators.station_fusion.bias_field import BiasCorrection, check_bias_correction
from operators.station_fusion.blending import Blend, check_blend
from operators.station_fusion.common_grid import check_spacing
from operators.station_fusion.positions import StationChoice
from operators.station_fusion.resample import Device

__all__ = ["FusionOptions"]


@dataclass(frozen=True)
class FusionOptions:
    """Options of `fuse`; the defaults are the paper's (section 3), and those from ``blend`` on depart from it.

    Attributes
    ----------
    spacing_mm : tuple of float, (x, y, z), or None
        Grid spacing; None takes the finest of the stations along each axis.
    device : {"auto", "cpu", "cuda"}
        Where stations are sampled.
    stations : {"pelvis-to-knee", "all"}
        Of five table positions or more the first takes the lowest four; four or fewer are all taken.
    blend : {"average", "linear", "logistic"}
        How stations share their overlaps; see `blending.Blend`.
    match_intensity : bool
        Make neighbours equally bright over the tissue that they share, by one
        factor for each station.
    bias_correction : {"none", "n4"}
        Take each station's coil brightness out first; ``n4`` needs SimpleITK.
    fix_swaps : bool
        Put right the stations whose water and fat are exchanged; flagged either way.
    trim_slices : int
        Slices to leave out at both ends of each station, where the slab folds over.

    Raises
    ------
    UsageError
        For a value that is none of these, or N4 without SimpleITK.
    """

    spacing_mm: tuple[float, float, float] | None = None
    device: Device = "auto"
    stations: StationChoice = "pelvis-to-knee"
    blend: Blend = "average"
    match_intensity: bool = False
    bias_correction: BiasCorrection = "none"
    fix_swaps: bool = False
    trim_slices: int = 0

    def __post_init__(self) -> None:
        check_spacing(self.spacing_mm)
        if self.stations not in get_args(StationChoice):
            raise UsageError("stations", f"{self.stations!r}", "pelvis-to-knee or all", "Choose one of the two.")
        if self.trim_slices < 0:
            raise UsageError("trimmed slices", f"{self.trim_slices}", "0 or more", "Give another number.")
        check_blend(self.blend)
        check_bias_correction(self.bias_correction)
