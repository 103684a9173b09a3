"""Synthetic participants: anatomy, Dixon signal and DICOM archive, with exact ground truth.

>>> from phantom import write_study
>>> study = write_study("demo", seed=7)  # doctest: +SKIP
>>> study.truth.covered_volumes.tmv_cm3  # doctest: +SKIP

A name's dependencies are imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from operators.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from phantom.acquisition import acquire_study
    from phantom.anatomy import Tissues, body_grid, build_tissues
    from phantom.dixon_signal import AcquisitionOptions
    from phantom.faults import FAULTS, FaultRecord
    from phantom.participant import Participant, draw_participant
    from phantom.station_geometry import ARCHIVE_STATIONS, StationGeometry, archive_stations
    from phantom.study import WrittenStudy, write_study
    from phantom.truth import Truth

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "phantom.acquisition": ("acquire_study",),
        "phantom.anatomy": (
            "Tissues",
            "body_grid",
            "build_tissues",
        ),
        "phantom.dixon_signal": ("AcquisitionOptions",),
        "phantom.faults": (
            "FAULTS",
            "FaultRecord",
        ),
        "phantom.participant": (
            "Participant",
            "draw_participant",
        ),
        "phantom.station_geometry": (
            "ARCHIVE_STATIONS",
            "StationGeometry",
            "archive_stations",
        ),
        "phantom.study": (
            "WrittenStudy",
            "write_study",
        ),
        "phantom.truth": ("Truth",),
    },
)

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
