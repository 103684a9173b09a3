"""Station fusion: the four contrasts of all table positions on one grid (method, section 3).

`StationFusionOperator` is in `operators.station_fusion.operator`, so that the
functions can be used without MONAI Deploy.
"""

from operators.station_fusion.body import body_mask, fat_fraction
from operators.station_fusion.choice import stations_to_fuse
from operators.station_fusion.common_grid import common_grid
from operators.station_fusion.coverage import coverage_flags
from operators.station_fusion.fuse import fuse
from operators.station_fusion.fused_files import fused_of, read_fused, write_fused, write_fused_volumes
from operators.station_fusion.positions import (
    TablePosition,
    choose_positions,
    find_positions,
)
from operators.station_fusion.resample import average_stations, choose_device

__all__ = [
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
    "fused_of",
    "read_fused",
    "stations_to_fuse",
    "write_fused",
    "write_fused_volumes",
]
