"""Stations whose voxels are no longer needed."""

from __future__ import annotations

import dataclasses

import numpy as np

from operators.pipeline import _without_station_voxels
from tests import box_body


def test_after_fusion_stations_keep_their_headers_but_not_their_voxels() -> None:
    fused = box_body.fused_of(box_body.grid())
    study = box_body.study_of(fused)
    light_study, light_fused = _without_station_voxels(study, fused)
    for before, after in zip(fused.stations, light_fused.stations, strict=True):
        assert not after.decoded and after.voxels.strides == (0, 0, 0) and np.isnan(after.voxels).all()
        assert after.grid is before.grid
        for field in {f.name for f in dataclasses.fields(before)} - {"voxels", "decoded"}:
            assert getattr(after, field) == getattr(before, field) or field == "grid"
    assert all(a is b for a, b in zip(light_study.stations, light_fused.stations, strict=True))
    assert light_fused.water is fused.water and study.stations[0].decoded
