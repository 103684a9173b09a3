"""The whole stage, from a study of stations to fused volumes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.core.errors import InputError, UsageError
from operators.core.nrrd_files import read_volume
from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Fused, Study
from operators.station_fusion import fuse, stations_to_fuse
from tests.station_fusion.made_stations import (
    SCALES,
    make_grid,
    make_position,
    make_study,
    positions_mm,
    ramp,
    rotation_about,
)

#: Six table positions of unequal spacing and height, overlapping by about a tenth, as in the archive.
HEIGHTS = (0.0, 180.0, 360.0, 545.0, 720.0, 880.0)
SLICES = (50, 42, 65, 42, 42, 64)
SPACINGS = (4.0, 4.5, 3.0, 4.5, 4.5, 3.0)


def archive_study(numbers: tuple[int, ...] = (0, 1, 2, 3, 4, 5), gains: tuple[float, ...] = (1.0,) * 6) -> Study:
    return make_study(
        make_position(
            make_grid((SLICES[n], 7, 8), (4.0, 4.0, SPACINGS[n]), (-14.0, -12.0 + n, HEIGHTS[n])),
            lambda mm, gain=gains[n]: gain * ramp(mm),  # type: ignore[misc]
            first_series=1 + 4 * n,
        )
        for n in numbers
    )


def volumes(fused: Fused) -> dict[Contrast, np.ndarray]:
    return {
        Contrast.IN: fused.in_phase,
        Contrast.OPPOSED: fused.opposed,
        Contrast.WATER: fused.water,
        Contrast.FAT: fused.fat,
    }


def test_pelvis_to_knee_of_six_stations_is_fused_on_the_finest_grid() -> None:
    fused = fuse(archive_study())
    assert [station.series_number for station in fused.stations] == [
        *range(13, 17),
        *range(9, 13),
        *range(5, 9),
        *range(1, 5),
    ]
    assert fused.grid.spacing_mm == pytest.approx((4.0, 4.0, 3.0))
    assert fused.grid.origin_mm[2] - 1.5 == pytest.approx(-2.0)  # the lowest voxel face
    assert fused.flags == ()
    mm = positions_mm(fused.grid)
    between = (mm[..., 2] > 0) & (mm[..., 2] < HEIGHTS[3]) & (mm[..., 1] >= -9.0) & (mm[..., 1] <= 12.0)
    for contrast, voxels in volumes(fused).items():
        np.testing.assert_allclose(voxels[between], SCALES[contrast] * ramp(mm)[between], rtol=3e-6)
    assert fused.fat_fraction[fused.body] == pytest.approx(0.25)


def test_all_stations_can_be_requested() -> None:
    fused = fuse(archive_study(), FusionOptions(stations="all"))
    assert len(fused.stations) == 24
    assert fused.grid.shape[0] * 3.0 == pytest.approx(880 + 64 * 3 - 1.5 + 2.0, abs=1.5)


def test_overlaps_report_gain_and_difference() -> None:
    fused = fuse(archive_study(gains=(1.0, 1.0, 1.2, 1.2, 1.0, 1.0)))
    pairs = {(int(pair["upper"]), int(pair["lower"])): pair for pair in fused.overlaps}
    assert sorted(pairs) == [(0, 1), (1, 2), (2, 3)]
    assert pairs[1, 2]["gain_ratio"] == pytest.approx(1.2, rel=1e-4)
    assert pairs[1, 2]["mean_absolute_difference"] == pytest.approx(0.2 / 1.1, rel=1e-3)
    assert pairs[0, 1]["gain_ratio"] == pytest.approx(1.0, rel=1e-4)
    assert pairs[0, 1]["mean_absolute_difference"] < 1e-5
    # From the lower face of the upper station to the upper face of the lower one.
    assert pairs[2, 3]["overlap_mm"] == pytest.approx((49.5 * 4.0) - (180.0 - 2.25))


def test_newer_duplicate_is_fused() -> None:
    wrong = make_position(
        make_grid((50, 7, 8), (4.0, 4.0, 4.0), (-14.0, -12.0, 0.0)),
        lambda mm: 9 * ramp(mm),
        first_series=90,
        acquired=datetime(2019, 12, 31, 23, 59),
    )
    study = archive_study()
    with_duplicate = Study((*wrong, *study.stations), study.study_uid, study.pseudonym)
    fused, expected = fuse(with_duplicate), fuse(study)
    np.testing.assert_array_equal(fused.water, expected.water)
    assert [flag.code for flag in fused.flags] == ["duplicate-station"]


def test_missing_station_leaves_an_empty_flagged_gap() -> None:
    fused = fuse(archive_study((0, 1, 3, 4)))
    # The synthetic body is not a leg, so it has no knees either.
    assert [flag.code for flag in fused.flags] == ["station-gap", "no-knee-coverage"]
    heights = positions_mm(fused.grid)[:, 0, 0, 2]
    gap = (heights > 180 + 42 * 4.5) & (heights < 545 - 4.5)
    assert gap.sum() > 40
    assert fused.water[gap].max() == 0
    assert not fused.body[gap].any()
    assert fused.body[~gap].any()


def test_single_oblique_station_gives_its_own_voxels_and_flags_missing_coverage() -> None:
    grid = make_grid((12, 14, 16), rotation=rotation_about((1, 0.4, 0.1), 3.0))
    study = make_study([make_position(grid)])
    fused = fuse(study)
    assert fused.grid.same_as(grid)
    for contrast, voxels in volumes(fused).items():
        (station,) = (s for s in study.stations if s.contrast == contrast)
        np.testing.assert_array_equal(voxels, station.voxels)
    assert [(flag.code, flag.severity) for flag in fused.flags] == [("no-pelvis-to-knee-coverage", "error")]
    assert fused.overlaps == ()


def test_five_positions_are_warned_about() -> None:
    (flag,) = (flag for flag in fuse(archive_study((1, 2, 3, 4, 5))).flags if flag.code == "station-count")
    assert "because the images do not show where the legs part" in flag.message


def test_spacing_can_be_requested() -> None:
    assert fuse(archive_study(), FusionOptions(spacing_mm=(5.0, 6.0, 7.0))).grid.spacing_mm == pytest.approx(
        (5.0, 6.0, 7.0)
    )


def test_a_station_that_was_not_decoded_is_never_fused() -> None:
    study = archive_study()
    headers = tuple(replace(station, decoded=False) for station in study.stations)
    kept = {id(station) for station in stations_to_fuse(headers, "pelvis-to-knee")}
    stations = tuple(s if id(h) in kept else h for s, h in zip(study.stations, headers, strict=True))
    part = replace(study, stations=stations)
    assert fuse(part).grid.same_as(fuse(study).grid)
    with pytest.raises(InputError, match="pixels were not decoded"):
        fuse(part, FusionOptions(stations="all"))


def test_unknown_choice_of_stations_is_refused() -> None:
    with pytest.raises(UsageError, match="pelvis-to-knee or all"):
        fuse(archive_study(), FusionOptions(stations="upper"))  # type: ignore[arg-type]


def test_progress_runs_from_nothing_to_done() -> None:
    seen: list[float] = []
    fuse(archive_study(), progress=lambda what, part: seen.append(part))
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(16)))
def test_result_does_not_depend_on_the_order_of_series(order: list[int]) -> None:
    study = archive_study((0, 1, 2, 3), gains=(1.0, 1.1, 0.9, 1.3, 1.0, 1.0))
    shuffled = Study(tuple(study.stations[n] for n in order), study.study_uid, study.pseudonym)
    one, other = fuse(study), fuse(shuffled)
    np.testing.assert_array_equal(one.in_phase, other.in_phase)
    assert [s.series_uid for s in one.stations] == [s.series_uid for s in other.stations]


def test_operator_fuses_writes_and_passes_on(tmp_path: Path) -> None:
    from operators.deploy import Application, CountCondition, Operator, OperatorSpec
    from operators.station_fusion.operator import StationFusionOperator

    study, received = archive_study(), []

    class Source(Operator):
        def setup(self, spec: OperatorSpec) -> None:
            spec.output("study")

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            op_output.emit(study, "study")

    class Sink(Operator):
        def setup(self, spec: OperatorSpec) -> None:
            spec.input("fused")

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            received.append(op_input.receive("fused"))

    class Chain(Application):
        def compose(self) -> None:
            source = Source(self, CountCondition(self, 1), name="source")
            fusion = StationFusionOperator(self, name="fusion", output_folder=tmp_path)
            self.add_flow(source, fusion, {("study", "study")})
            self.add_flow(fusion, Sink(self, name="sink"), {("fused", "fused")})

    Chain(argv=["test"]).run()
    assert len(received) == 1
    names = sorted(path.name for path in (tmp_path / "fused").iterdir())
    assert names == ["body.nrrd", "fat.nrrd", "fat_fraction.nrrd", "in.nrrd", "opp.nrrd", "water.nrrd"]
    water = read_volume(tmp_path / "fused" / "water.nrrd")
    np.testing.assert_array_equal(water.voxels, received[0].water)
    assert water.grid.same_as(received[0].grid, 1e-9)
