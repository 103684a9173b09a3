"""What a run can be told, in Python and on the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

from operators.station_fusion.options import FusionOptions

__all__ = ["RunOptions", "add_study_arguments", "options_from"]


@dataclass(frozen=True)
class RunOptions:
    """Options of every stage.

    Attributes
    ----------
    allow_missing_slices : bool
        See `operators.dicom_loader.load_study`.
    fusion : FusionOptions
    """

    allow_missing_slices: bool = False
    fusion: FusionOptions = field(default_factory=FusionOptions)


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options of `RunOptions`; `options_from` reads them back."""
    load = parser.add_argument_group("reading")
    load.add_argument(
        "--allow-missing-slices", action="store_true", help="interpolate up to two missing slices in a row, and flag it"
    )
    fusion = parser.add_argument_group("station fusion")
    fusion.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="where stations are fused (default: auto)"
    )
    fusion.add_argument(
        "--spacing",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="spacing of the fused grid in mm (default: the finest of the stations along each axis)",
    )
    fusion.add_argument(
        "--stations",
        choices=["pelvis-to-knee", "all"],
        default="pelvis-to-knee",
        help="which table positions are fused (default: the lower four, pelvis to knee)",
    )
    fusion.add_argument(
        "--blend",
        choices=["average", "linear", "logistic"],
        default="average",
        help="how stations are joined where they overlap (default: average, as in the paper)",
    )
    fusion.add_argument(
        "--match-intensity", action="store_true", help="bring stations to one brightness before they are joined"
    )
    fusion.add_argument(
        "--bias-correction",
        choices=["none", "n4"],
        default="none",
        help="take coil brightness out of each station first; n4 takes about a minute (default: none)",
    )
    fusion.add_argument(
        "--fix-swaps",
        action="store_true",
        help="exchange water and fat of a station where the scanner swapped them (flagged either way)",
    )
    fusion.add_argument(
        "--trim-slices",
        type=int,
        default=0,
        metavar="N",
        help="leave out N slices at both ends of each station, where the slab folds over (default: 0)",
    )


def options_from(arguments: argparse.Namespace) -> RunOptions:
    """The options that a command line gave.

    Raises
    ------
    UsageError
        When one cannot be used.
    """
    return RunOptions(
        allow_missing_slices=arguments.allow_missing_slices,
        fusion=FusionOptions(
            spacing_mm=tuple(arguments.spacing) if arguments.spacing else None,
            device=arguments.device,
            stations=arguments.stations,
            blend=arguments.blend,
            match_intensity=arguments.match_intensity,
            bias_correction=arguments.bias_correction,
            fix_swaps=arguments.fix_swaps,
            trim_slices=arguments.trim_slices,
        ),
    )
