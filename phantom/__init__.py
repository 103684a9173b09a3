"""Synthetic participants: anatomy, Dixon signal and DICOM archive, with exact ground truth.

>>> from phantom import write_study
>>> study = write_study("demo", seed=7)  # doctest: +SKIP
>>> study.truth.covered_volumes.tmv_cm3  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phantom.acquisition import acquire_study
    from phantom.anatomy import Tissues, body_grid, build_tissues
    from phantom.dixon_signal import AcquisitionOptions
    from phantom.faults import FAULTS, FaultRecord
    from phantom.participant import Participant, draw_participant
    from phantom.station_geometry import ARCHIVE_STATIONS, StationGeometry, archive_stations
    from phantom.study import WrittenStudy, write_study
    from phantom.truth import Truth

_HOME = {
    "ARCHIVE_STATIONS": "station_geometry",
    "AcquisitionOptions": "dixon_signal",
    "FAULTS": "faults",
    "FaultRecord": "faults",
    "Participant": "participant",
    "StationGeometry": "station_geometry",
    "Tissues": "anatomy",
    "Truth": "truth",
    "WrittenStudy": "study",
    "acquire_study": "acquisition",
    "archive_stations": "station_geometry",
    "body_grid": "anatomy",
    "build_tissues": "anatomy",
    "draw_participant": "participant",
    "write_study": "study",
}
"""Which module has what. Imported when asked for, so that `phantom.table` works where only tables are installed."""

__all__ = [
    "ARCHIVE_STATIONS",
    "FAULTS",
    "AcquisitionOptions",
    "FaultRecord",
    "Participant",
    "StationGeometry",
    "Tissues",
    "Truth",
    "WrittenStudy",
    "acquire_study",
    "archive_stations",
    "body_grid",
    "build_tissues",
    "draw_participant",
    "write_study",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'phantom' has no attribute {name!r}")
    return getattr(import_module(f"phantom.{_HOME[name]}"), name)
