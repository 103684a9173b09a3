"""Station fusion: four contrasts of all table positions on one grid (PAPER section 3).

`StationFusionOperator` lives in `operators.station_fusion.operator`, so that
the functions can be used without MONAI Deploy.
"""

from operators.station_fusion.bias_field import BiasCorrection
from operators.station_fusion.blending import Blend
from operators.station_fusion.body import body_mask, fat_fraction
from operators.station_fusion.common_grid import common_grid
from operators.station_fusion.fuse import fuse
from operators.station_fusion.options import FusionOptions
from operators.station_fusion.positions import (
    StationChoice,
    TablePosition,
    choose_positions,
    coverage_flags,
    find_positions,
    stations_to_fuse,
)
from operators.station_fusion.resample import Device, average_stations, choose_device

__all__ = [
    "BiasCorrection",
    "Blend",
    "Device",
    "FusionOptions",
    "StationChoice",
    "TablePosition",
    "average_stations",
    "body_mask",
    "choose_device",
    "choose_positions",
    "common_grid",
    "coverage_flags",
    "fat_fraction",
    "find_positions",
    "fuse",
    "stations_to_fuse",
]
