"""Studies of a scanned phantom, without writing and reading DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from operators.core.volume import Contrast, Station, Study
from phantom.acquisition import StationImages


def study_of(images: Sequence[StationImages]) -> Study:
    """The study of these stations, from superior to inferior, as the loader would give it."""
    stations = [
        Station(
            contrast=contrast,
            voxels=station.images[contrast].astype(np.float32),
            grid=station.geometry.grid,
            acquired=datetime(2020, 1, 1),
            series_uid=f"1.2.{4 * n + k}",
            frame_of_reference_uid="1.2",
            series_number=4 * n + k,
            series_description=contrast.value,
        )
        for n, station in enumerate(images)
        for k, contrast in enumerate(Contrast)
    ]
    return Study(tuple(stations), "1.2", "benchmark")
