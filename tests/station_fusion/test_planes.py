"""One body acquired in any plane, in few large stations, or composed: the fused volumes show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Fused, Grid, Station, Study
from operators.derived_series.sources import source_image_items, source_slices
from operators.station_fusion import fuse
from operators.station_fusion.contrast_scales import on_one_scale
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from operators.station_fusion.positions import find_positions
from phantom.acquisition import acquire_study
from phantom.anatomy import Tissues, body_grid, build_tissues
from phantom.composing import composed_scan
from phantom.dixon_signal import AcquisitionOptions, rician
from phantom.participant import draw_participant
from phantom.planes import Plane
from phantom.station_geometry import StationGeometry, coarser, large_stations, stations_of
from tests.station_fusion.made_stations import make_grid, make_position, make_study, positions_mm, ramp, rotation_about

SEED = 11
SLICE_AXIS = {"axial": 0, "coronal": 1, "sagittal": 2}


@pytest.fixture(scope="module")
def tissues() -> Tissues:
    person = draw_participant(SEED)
    return build_tissues(person, body_grid(person, (8.0, 8.0, 8.0)))


def as_study(scans: Sequence[object]) -> Study:
    stations = []
    for n, scan in enumerate(scans):
        for m, contrast in enumerate(Contrast):
            number = 4 * n + m + 1
            stations.append(
                Station(
                    contrast,
                    scan.images[contrast].astype(np.float32),  # type: ignore[attr-defined]
                    scan.geometry.grid,  # type: ignore[attr-defined]
                    None,
                    f"1.2.{number}",
                    "1.2.3",
                    number,
                    "Dixon",
                    slice_axis=SLICE_AXIS[scan.geometry.plane],  # type: ignore[attr-defined]
                )
            )
    return Study(tuple(stations), "1.2", "made")


def scanned(tissues: Tissues, stations: Sequence[StationGeometry]) -> Study:
    return as_study(acquire_study(tissues, coarser(stations, 2, 2), AcquisitionOptions(), SEED))


def codes(fused: Fused) -> dict[str, str]:
    return {flag.code: flag.severity for flag in fused.flags}


def lean_litres(fused: Fused) -> float:
    """Water share of the body between knee and iliac crest; a share, so that thick slices change it little."""
    z = fused.grid.affine[2, 3] + fused.grid.spacing_mm[2] * np.arange(fused.grid.shape[0])
    share = np.where(fused.body, 1 - fused.fat_fraction, 0)
    return float(share[(z > 0) & (z < 600)].sum() * fused.grid.voxel_volume_mm3 / 1e6)


@pytest.fixture(scope="module")
def axial(tissues: Tissues) -> Fused:
    return fuse(scanned(tissues, stations_of(4)))


@pytest.mark.parametrize(
    ("count", "plane"),
    [(4, "coronal"), (6, "sagittal"), (3, "axial"), (2, "axial"), (1, "axial"), (2, "coronal"), (1, "sagittal")],
)
def test_any_plane_and_any_number_of_stations_show_the_same_body(
    tissues: Tissues, axial: Fused, count: int, plane: Plane
) -> None:
    fused = fuse(scanned(tissues, stations_of(count, plane)))
    assert codes(fused) == {}
    assert len(fused.stations) == 4 * min(count, 4)
    assert fused.grid.affine[2, 2] > 0 and fused.label_slices is None
    assert lean_litres(fused) == pytest.approx(lean_litres(axial), rel=0.02)
    assert fused.fat_fraction[fused.body].mean() == pytest.approx(axial.fat_fraction[axial.body].mean(), abs=0.02)
    for overlap in fused.overlaps:
        assert abs(np.log(overlap["gain_ratio"])) < 0.3 and overlap["shift_mm"] < 8
        assert overlap["overlap_mm"] == pytest.approx(36, abs=9)


def test_the_grid_of_coronal_stations_has_their_voxels(tissues: Tissues) -> None:
    stations = coarser(stations_of(2, "coronal"), 2, 2)
    fused = fuse(scanned(tissues, stations_of(2, "coronal")))
    assert fused.grid.spacing_mm == pytest.approx(stations[0].spacing_mm)


def test_a_swap_in_a_coronal_station_is_found_and_corrected(tissues: Tissues) -> None:
    study = scanned(tissues, stations_of(3, "coronal"))
    other = {Contrast.WATER: Contrast.FAT, Contrast.FAT: Contrast.WATER}
    middle = {5, 6, 7, 8}
    swapped = tuple(
        replace(s, contrast=other.get(s.contrast, s.contrast)) if s.series_number in middle else s
        for s in study.stations
    )
    right, found = fuse(study), fuse(replace(study, stations=swapped), FusionOptions(fix_swaps=True))
    assert codes(found) == {"water-fat-swap": "warning"}
    np.testing.assert_array_equal(found.water, right.water)


def test_a_shift_of_a_coronal_station_is_flagged(tissues: Tissues) -> None:
    study = scanned(tissues, stations_of(3, "coronal"))
    stations = []
    for s in study.stations:
        affine = s.grid.affine.copy()
        affine[0, 3] += 15.0 if s.series_number in range(5, 9) else 0.0
        stations.append(replace(s, grid=Grid(s.grid.shape, affine)))
    assert codes(fuse(replace(study, stations=tuple(stations)))) == {"shifted-station": "warning"}


@pytest.mark.parametrize("newer_is_spoilt", [False, True])
def test_of_two_scans_of_a_coronal_station_the_sound_one_is_used(tissues: Tissues, newer_is_spoilt: bool) -> None:
    study = scanned(tissues, stations_of(3, "coronal"))
    stations = [replace(s, acquired=datetime(2026, 3, 1, 9, s.series_number)) for s in study.stations]
    again = [
        replace(
            s,
            series_number=s.series_number + 100,
            series_uid=f"{s.series_uid}.7",
            acquired=datetime(2026, 3, 1, 10 if newer_is_spoilt else 8, s.series_number),
            voxels=np.asarray(0.5 * s.voxels + 0.5 * np.roll(s.voxels, s.voxels.shape[2] // 2, axis=2), np.float32),
        )
        for s in stations
        if s.series_number in range(5, 9)
    ]
    found = fuse(replace(study, stations=(*stations, *again)))
    assert codes(found) == {"duplicate-station": "warning" if newer_is_spoilt else "info"}
    np.testing.assert_array_equal(found.water, fuse(replace(study, stations=tuple(stations))).water)


def test_a_gap_between_two_large_stations_is_an_error(tissues: Tissues) -> None:
    upper, lower = large_stations(2)
    apart = replace(upper, lowest_edge_mm=upper.lowest_edge_mm + 60)
    assert codes(fuse(scanned(tissues, (apart, lower))))["station-gap"] == "error"


def test_one_station_that_shows_a_part_is_an_error(tissues: Tissues) -> None:
    upper, lower = large_stations(2)
    for part, code in ((upper, "no-knee-coverage"), (lower, "no-pelvis-coverage")):
        found = codes(fuse(scanned(tissues, (part,))))
        assert found["no-pelvis-to-knee-coverage"] == "error"
        assert found[code] == "error"


def whole_volume(tissues: Tissues, contrasts: Sequence[Contrast], low_mm: float, high_mm: float) -> Study:
    """One volume of some contrasts, as if stitched elsewhere, between two heights above the knees."""
    reaching = replace(large_stations(1)[0], slices=262, lowest_edge_mm=-100.0)
    stations = []
    for s in scanned(tissues, (reaching,)).stations:
        if s.contrast in contrasts:
            z = s.grid.affine[2, 3] + s.grid.affine[2, 2] * np.arange(s.grid.shape[0])
            inside = (z > low_mm) & (z < high_mm)
            affine = s.grid.affine.copy()
            affine[2, 3] = z[inside][0]
            voxels = np.ascontiguousarray(s.voxels[inside])
            stations.append(replace(s, voxels=voxels, grid=Grid(voxels.shape, affine)))
    return Study(tuple(stations), "1.2", "made", fused_elsewhere=True)


@pytest.mark.parametrize("contrasts", [tuple(Contrast), (Contrast.WATER,)], ids=["all contrasts", "water alone"])
@pytest.mark.parametrize(
    ("low_mm", "high_mm", "expected"),
    [
        (-50, 746, {}),
        (-50, 640, {"short-trunk": "warning"}),
        (-99, 505, {"no-pelvis-coverage": "error"}),
        (150, 900, {"knees-not-seen": "warning"}),
    ],
)
def test_a_volume_fused_elsewhere_that_does_not_reach_from_pelvis_to_knee_says_so(
    tissues: Tissues, contrasts: Sequence[Contrast], low_mm: float, high_mm: float, expected: dict[str, str]
) -> None:
    found = codes(fused_elsewhere(whole_volume(tissues, contrasts, low_mm, high_mm), FusionOptions()))
    assert (found.pop("contrast-absent", None) is None) == (len(contrasts) == 4)
    assert found == expected


@pytest.mark.parametrize("contrasts", [tuple(Contrast), (Contrast.WATER,)], ids=["all contrasts", "water alone"])
@pytest.mark.parametrize(
    ("low_mm", "high_mm", "below", "above", "expected"),
    [
        (-50, 746, 10, 10, {}),
        (150, 900, 10, 0, {"knees-not-seen": "warning"}),
        (-50, 640, 0, 40, {"short-trunk": "warning"}),
        (150, 640, 40, 0, {"partial-coverage": "warning"}),
        (150, 640, 0, 40, {"partial-coverage": "warning"}),
    ],
)
def test_empty_slices_that_a_tool_added_show_neither_knees_nor_pelvis(
    tissues: Tissues,
    contrasts: Sequence[Contrast],
    low_mm: float,
    high_mm: float,
    below: int,
    above: int,
    expected: dict[str, str],
) -> None:
    study = whole_volume(tissues, contrasts, low_mm, high_mm)
    stations = []
    for s in study.stations:
        voxels = np.pad(s.voxels, ((below, above), (0, 0), (0, 0)))
        affine = s.grid.affine.copy()
        affine[2, 3] -= below * affine[2, 2]
        stations.append(replace(s, voxels=voxels, grid=Grid(voxels.shape, affine)))
    found = codes(fused_elsewhere(replace(study, stations=tuple(stations)), FusionOptions()))
    found.pop("contrast-absent", None)
    assert found == expected


def test_a_water_volume_whose_noise_hides_where_the_legs_part_says_that_its_coverage_is_not_known(
    tissues: Tissues,
) -> None:
    study = whole_volume(tissues, (Contrast.WATER,), -50, 746)
    (water,) = study.stations
    noisy = replace(water, voxels=rician(water.voxels, 60.0, np.random.default_rng(1)))
    found = fused_elsewhere(replace(study, stations=(noisy,)), FusionOptions())
    assert codes(found) == {"contrast-absent": "warning", "coverage-unknown": "warning"}


def test_two_large_stations_from_chest_to_thigh_lack_the_knees(tissues: Tissues) -> None:
    raised = [replace(s, lowest_edge_mm=s.lowest_edge_mm + 260) for s in large_stations(2)]
    found = codes(fuse(scanned(tissues, raised)))
    assert found.pop("cut-at-side") == "warning"  # shoulders, which are one with the chest
    assert found == {"no-knee-coverage": "error", "station-count": "warning"}


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_a_volume_composed_of_all_six_stations_is_labelled_from_pelvis_to_knee(
    tissues: Tissues, axial: Fused, plane: Plane
) -> None:
    scans = acquire_study(tissues, coarser(stations_of(6, plane), 2, 2), AcquisitionOptions(), SEED)
    fused = fuse(as_study([composed_scan(scans, plane)]))
    assert codes(fused) == {}
    assert fused.label_slices is not None
    first, end = fused.label_slices
    top = float((fused.grid.affine @ [0, 0, end - 1, 1])[2])
    assert (first, top) == (0, pytest.approx(746, abs=30))
    assert lean_litres(fused) == pytest.approx(lean_litres(axial), rel=0.02)


def test_what_a_large_station_shows_below_the_knees_is_not_labelled(tissues: Tissues) -> None:
    whole = replace(large_stations(1)[0], slices=250, lowest_edge_mm=-250.0)
    fused = fuse(scanned(tissues, (whole,)))
    assert codes(fused) == {}
    assert fused.label_slices is not None
    bottom = float((fused.grid.affine @ [0, 0, fused.label_slices[0], 1])[2])
    assert bottom == pytest.approx(-50, abs=30)


def test_stations_tilted_against_each_other_are_sampled_where_they_are() -> None:
    """Coronal stations of two obliquities: what varies linearly is reproduced exactly."""
    upper = make_grid((24, 12, 20), (2.0, 5.0, 2.0), (-19.0, -27.0, 60.0), rotation_about((1, 0, 0), 8))
    lower = make_grid((40, 14, 24), (2.0, 5.0, 2.0), (-23.0, -32.0, 0.0), rotation_about((1, 0, 0), -4))
    fused = fuse(make_study([make_position(upper), make_position(lower, first_series=5)]))
    found = fused.in_phase
    inside = np.zeros(found.shape, dtype=bool)
    inside[8:-8, 3:-3, 6:-6] = True
    inside &= found > 0
    assert inside.sum() > 2000
    np.testing.assert_allclose(found[inside], ramp(positions_mm(fused.grid))[inside], rtol=1e-3)


def coronal_position(change: float = 1.0) -> list[Station]:
    """A block with fat at the rim, in a coronal station of 12 images; water and fat of image k scaled by 1 + k/4."""
    grid = make_grid((30, 12, 40), (2.0, 4.0, 2.0))
    rng = np.random.default_rng(0)
    fat_share = np.clip(rng.uniform(-0.5, 1.5, grid.shape), 0, 1)
    signal = {Contrast.WATER: 300 * (1 - fat_share), Contrast.FAT: 300 * fat_share}
    signal[Contrast.IN] = signal[Contrast.WATER] + signal[Contrast.FAT]
    signal[Contrast.OPPOSED] = np.abs(signal[Contrast.WATER] - signal[Contrast.FAT])
    by_image = (1 + change * np.arange(12) / 4)[None, :, None]
    for contrast in (Contrast.WATER, Contrast.FAT):
        signal[contrast] = signal[contrast] * (by_image if contrast is Contrast.FAT else 1.0)
    return [
        replace(s, voxels=signal[s.contrast].astype(np.float32), slice_axis=1)
        for s in make_position(grid, contrasts=Contrast)
    ]


def test_a_scale_for_each_coronal_image_is_undone_image_by_image() -> None:
    positions, _ = find_positions(coronal_position())
    (corrected,), flags = on_one_scale(positions)
    assert [flag.code for flag in flags] == ["water-fat-rescaled"]
    sum_of_both = corrected.stations[Contrast.WATER].voxels + corrected.stations[Contrast.FAT].voxels
    np.testing.assert_allclose(sum_of_both, corrected.stations[Contrast.IN].voxels, rtol=0.02)


def test_end_images_of_a_coronal_station_are_trimmed_in_front_and_behind() -> None:
    stations = [replace(s, sop_instance_uids=tuple(f"1.{k}" for k in range(12))) for s in coronal_position(0.0)]
    fused = fuse(make_study([stations]), FusionOptions(trim_slices=2))
    assert fused.grid.shape == (30, 8, 40)
    assert fused.stations[0].sop_instance_uids == tuple(f"1.{k}" for k in range(2, 10))


def test_an_axial_plane_is_made_of_every_coronal_image() -> None:
    station = replace(coronal_position(0.0)[0], sop_instance_uids=tuple(f"1.{k}" for k in range(12)))
    higher = Grid(station.grid.shape, station.grid.affine + np.array([[0] * 4, [0] * 4, [0, 0, 0, 50.0], [0] * 4]))
    slices = source_slices(higher, station)
    assert len(source_image_items(station, slices[0])) == 12
    assert len(source_image_items(station, slices[-1])) == 0  # above the station
