"""The simulated scan: geometry, relations between contrasts, and noise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from operators.core.errors import GeometryError, UsageError
from operators.core.volume import Contrast, Grid
from phantom.acquisition import acquire, acquire_study, sample
from phantom.dixon_signal import (
    ECHO_TIME_IN_MS,
    ECHO_TIME_OPPOSED_MS,
    AcquisitionOptions,
    decayed,
    rician,
    smooth_field,
)
from phantom.station_geometry import (
    ARCHIVE_STATIONS,
    IN_PLANE_MM,
    archive_stations,
    coarser,
    coverage_mm,
)
from tests.phantom.slab_body import COARSE_STATIONS, SlabBody, slab_body


def test_the_six_stations_have_the_archives_matrices_and_spacings() -> None:
    table = [(s.columns, s.rows, s.slices, s.slice_mm) for s in ARCHIVE_STATIONS]
    assert table == [
        (224, 168, 64, 3.0),
        (224, 174, 44, 4.5),
        (224, 174, 44, 4.5),
        (224, 174, 44, 4.5),
        (224, 162, 72, 3.5),
        (224, 156, 64, 4.0),
    ]
    assert all(s.in_plane_mm == IN_PLANE_MM == 2.232143 for s in ARCHIVE_STATIONS)
    assert len({s.grid.origin_mm[1] for s in ARCHIVE_STATIONS}) > 3


def test_neighbouring_stations_overlap_by_24_to_36_mm_from_chest_to_below_the_knee() -> None:
    for upper, lower in itertools.pairwise(ARCHIVE_STATIONS):
        assert 24 <= lower.z_edges_mm[1] - upper.z_edges_mm[0] <= 36
    assert ARCHIVE_STATIONS[-1].z_edges_mm[0] < 0 < ARCHIVE_STATIONS[-1].z_edges_mm[1]
    assert 1050 <= ARCHIVE_STATIONS[0].z_edges_mm[1] - ARCHIVE_STATIONS[-1].z_edges_mm[0] <= 1150
    assert coverage_mm(ARCHIVE_STATIONS) == coverage_mm(ARCHIVE_STATIONS[2:])


def test_a_coarser_station_covers_the_same_z() -> None:
    for fine, coarse in zip(archive_stations(4), COARSE_STATIONS, strict=True):
        assert coarse.z_edges_mm == pytest.approx(fine.z_edges_mm)


@pytest.mark.parametrize("count", [0, 7])
def test_an_impossible_number_of_stations_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="--stations"):
        archive_stations(count)


def test_in_phase_is_water_plus_fat_and_opposed_is_their_difference_without_decay() -> None:
    images = acquire(slab_body(), COARSE_STATIONS[1], AcquisitionOptions.exact(), np.random.default_rng(0)).images
    water, fat, in_phase, opposed = (
        images[c].astype(int) for c in (Contrast.WATER, Contrast.FAT, Contrast.IN, Contrast.OPPOSED)
    )
    assert in_phase.max() > 300
    assert np.abs(in_phase - (water + fat)).max() <= 1  # each is rounded separately
    assert np.abs(opposed - np.abs(water - fat)).max() <= 1


def test_decay_keeps_the_sum_and_leaves_the_earlier_opposed_echo_brighter() -> None:
    water, fat = np.array([280.0, 20.0, 0.0], np.float32), np.array([20.0, 380.0, 0.0], np.float32)
    seen_water, seen_fat, opposed = decayed(water, fat)
    assert ECHO_TIME_OPPOSED_MS < ECHO_TIME_IN_MS
    # One rate per voxel, so the fat fraction is unchanged, and both echoes give the same rate.
    np.testing.assert_allclose(seen_fat[:2] / (seen_water + seen_fat)[:2], fat[:2] / (water + fat)[:2], rtol=1e-5)
    rate_from_in = -np.log((seen_water + seen_fat)[:2] / (water + fat)[:2]) / (ECHO_TIME_IN_MS / 1000)
    rate_from_opposed = -np.log(opposed[:2] / np.abs(water - fat)[:2]) / (ECHO_TIME_OPPOSED_MS / 1000)
    np.testing.assert_allclose(rate_from_in, rate_from_opposed, rtol=1e-3)
    assert ((rate_from_in > 30) & (rate_from_in < 60)).all()
    assert seen_water[2] == seen_fat[2] == opposed[2] == 0


def test_fat_and_muscle_cancel_at_their_border_in_the_opposed_image_only() -> None:
    fine_in_plane = coarser(archive_stations(4), in_plane=1, through_plane=11)[1]
    station = acquire(slab_body(), fine_in_plane, AcquisitionOptions.exact(), np.random.default_rng(0))
    middle = 2, slice(None), 112
    opposed, in_phase = station.images[Contrast.OPPOSED][middle], station.images[Contrast.IN][middle]
    inside = in_phase > 200
    assert opposed[inside].min() < 0.2 * np.median(opposed[inside])
    assert in_phase[inside].min() > 0.6 * np.median(in_phase[inside])


def test_a_station_shows_the_signal_at_its_physical_position() -> None:
    body, station, shift = slab_body(), COARSE_STATIONS[2], (3.0, -2.0, 5.0)
    sampled = sample(body.grid, body.water, station, shift)
    z, y, x = station.grid.shape
    indices = np.indices((z, y, x))[::-1].reshape(3, -1)
    mm = station.grid.affine[:3, :3] @ indices + station.grid.affine[:3, 3:] - np.array(shift)[:, None]
    source = np.linalg.solve(body.grid.affine[:3, :3], mm - body.grid.affine[:3, 3:])
    # The signal is linear along z, so its mean over the slice equals its value at the centre.
    expected = ndimage.map_coordinates(body.water, source[::-1], order=1, mode="constant").reshape(z, y, x)
    inside = (source >= 0).all(axis=0) & (source <= np.array(body.water.shape[::-1])[:, None] - 1).all(axis=0)
    inside = inside.reshape(z, y, x)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(sampled[inside], expected[inside], rtol=1e-4)


def test_a_thin_bright_sheet_is_averaged_over_the_slice_thickness() -> None:
    grid = Grid((200, 4, 4), np.array([[100, 0, 0, -150], [0, 100, 0, -150], [0, 0, 1, -50], [0, 0, 0, 1]], float))
    sheet = np.zeros(grid.shape, np.float32)
    sheet[98] = 90.0  # 1 mm at z = 48, the middle of a slice
    station = archive_stations(1)[0]
    sampled = sample(grid, sheet, station)[:, station.rows // 2, station.columns // 2]
    assert sampled.sum() * station.slice_mm == pytest.approx(90.0, rel=0.02)
    assert sampled.max() == pytest.approx(90.0 / station.slice_mm, rel=0.1)


def test_an_oblique_tissue_grid_is_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    with pytest.raises(GeometryError, match="LPS"):
        sample(Grid((4, 4, 4), affine), np.zeros((4, 4, 4), np.float32), COARSE_STATIONS[0])


def test_muscle_lies_in_the_networks_window_with_realistic_signal_to_noise() -> None:
    body = SlabBody(slab_body().grid, *(np.full(slab_body().grid.shape, v, np.float32) for v in (270.0, 15.0)))
    options = AcquisitionOptions(bias_sd=0.0, gain_sd=0.0)
    images = acquire(body, COARSE_STATIONS[1], options, np.random.default_rng(3)).images
    centre = (slice(4, -4), slice(12, -12), slice(12, -12))
    water, in_phase = images[Contrast.WATER][centre], images[Contrast.IN][centre]
    assert 200 <= water.mean() <= 300
    assert 25 <= in_phase.mean() / in_phase.std() <= 40


def test_noise_in_air_has_the_rayleigh_mean() -> None:
    noise = rician(np.zeros(200_000, np.float32), 8.0, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(8.0 * np.sqrt(np.pi / 2), rel=0.01)


def test_stations_differ_in_gain_and_bias_and_move_by_about_a_millimetre() -> None:
    stations = acquire_study(slab_body(), COARSE_STATIONS, AcquisitionOptions(), seed=5)
    gains = np.array([s.gain for s in stations])
    assert 0 < gains.std() < 0.1
    shifts = np.abs([s.shift_mm for s in stations])
    assert 0 < shifts.max() < 5
    field = smooth_field(*(np.linspace(-1, 1, 9),) * 3, 0.05, np.random.default_rng(1))
    assert 0.5 < field.min() < field.max() < 2
    assert np.abs(np.diff(field, axis=0)).max() < 0.2


def test_the_same_seed_scans_the_same_and_another_does_not() -> None:
    body = slab_body()
    first, again, other = (acquire_study(body, COARSE_STATIONS, AcquisitionOptions(), seed) for seed in (1, 1, 2))
    for contrast in Contrast:
        assert (first[0].images[contrast] == again[0].images[contrast]).all()
        assert (first[0].images[contrast] != other[0].images[contrast]).any()


def test_leaving_a_station_out_does_not_change_the_others() -> None:
    body = slab_body()
    four = acquire_study(body, COARSE_STATIONS, AcquisitionOptions(), seed=1)
    two = acquire_study(body, COARSE_STATIONS[2:], AcquisitionOptions(), seed=1)
    assert (four[2].images[Contrast.WATER] == two[0].images[Contrast.WATER]).all()


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_an_impossible_option_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="noise_sd"):
        AcquisitionOptions(noise_sd=value)


def test_trunk_stations_are_breath_holds() -> None:
    assert [s.breath_hold for s in ARCHIVE_STATIONS] == [True, True, True, False, False, False]
