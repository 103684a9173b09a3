"""A real person's seven stations of water images: positions, seams, body and what is flagged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from operators.core.contrast import Contrast
from operators.core.options import FusionOptions
from operators.core.volume import Fused, Grid, Station, Study
from operators.dicom_loader import load_study
from operators.station_fusion import fuse
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from tests.real_bodies import OVERLAP_SLICES, SPACING_MM, seven_stations, write_water_dicom

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return load_study(write_water_dicom(seven_stations(), tmp_path_factory.mktemp("seven") / "dicom"))


@pytest.fixture(scope="module")
def whole(study: Study) -> Fused:
    return fuse(study, FusionOptions(stations="all"))


def test_neighbours_agree_best_at_the_overlap_that_the_tests_use() -> None:
    stations = seven_stations()
    for lower, upper in itertools.pairwise(stations[1:]):  # the feet agree with nothing
        agreement = []
        for count in range(2, 9):
            below, above = lower[-count:], upper[:count]
            body = (below > 20) | (above > 20)
            agreement.append(float(np.corrcoef(below[body], above[body])[0, 1]))
        assert abs(2 + int(np.argmax(agreement)) - OVERLAP_SLICES) <= 1


def test_water_alone_is_loaded_and_fused_without_invented_faults(study: Study, whole: Fused) -> None:
    assert {station.contrast for station in study.stations} == {Contrast.WATER}
    assert whole.grid.shape == (7 * 31 - 6 * OVERLAP_SLICES, 160, 160)
    assert whole.absent == {Contrast.IN, Contrast.OPPOSED, Contrast.FAT}
    codes = {flag.code for flag in whole.flags}
    assert "contrast-absent" in codes
    assert not codes & {"station-gap", "water-fat-swap", "water-fat-mismatch", "duplicate-station", "shifted-station"}
    assert all(flag.severity != "error" for flag in whole.flags), whole.flags


def test_the_body_of_a_water_image_holds_the_fat_of_thighs_and_hips(whole: Fused) -> None:
    area_cm2 = whole.body.sum(axis=(1, 2)) * 0.09
    thighs = area_cm2[
        31 + 2 * 26 + 45 :
    ]  # from a hand above the knees, where these images are hardly brighter than air
    assert thighs.min() > 250
    assert thighs.max() < 800
    dark = (whole.body & (whole.water < 40))[-len(thighs) :]
    assert 0.1 < np.count_nonzero(dark) / np.count_nonzero(whole.body[-len(thighs) :]) < 0.5  # fat and bone


def test_pelvis_to_knee_is_found_in_a_whole_leg(study: Study) -> None:
    fused = fuse(study)
    low, high = fused.grid.origin_mm[2], fused.grid.origin_mm[2] + 6 * fused.grid.shape[0]
    assert high >= 6 * 186, "the hips are left out"
    assert low >= 2 * 26 * 6 - 1, "the shins were taken for thighs"


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        (slice(70, None), "short-trunk"),  # the hips, 180 mm above where the legs part
        (slice(62, -15), "no-pelvis-coverage"),
        (slice(40, -45), "no-pelvis-coverage"),  # from the shins to the thighs
    ],
)
def test_a_stitched_volume_of_water_that_ends_too_low_says_so(slices: slice, expected: str) -> None:
    lowest, *others = seven_stations()
    whole = np.concatenate([lowest, *(station[OVERLAP_SLICES:] for station in others)])[slices]
    grid = Grid(whole.shape, np.diag([*SPACING_MM[::-1], 1.0]))  # type: ignore[arg-type]
    station = Station(Contrast.WATER, np.ascontiguousarray(whole), grid, None, "1.2", "", 1, "NIfTI")
    fused = fused_elsewhere(Study((station,), "1.2", "seven", fused_elsewhere=True), FusionOptions())
    assert {flag.code for flag in fused.flags} == {"contrast-absent", expected}
