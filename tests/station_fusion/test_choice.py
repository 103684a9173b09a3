"""Which stations are used: of repeats at one place, and of a study that shows more than pelvis to knee."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Fused, Grid, Station, Study
from operators.dicom_loader import load_study
from operators.station_fusion import find_positions, fuse, stations_to_fuse
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_tissues
from phantom.archive import write_zip
from phantom.dicom_files import dicom_files
from phantom.dicom_series import Patient, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations, coarser

SEED = 5
HIP = 4  # from above, counted from 0; its neighbours show the pelvis and the knees


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    person = draw_participant(SEED)
    tissues = build_tissues(person, body_grid(person, (8.0, 8.0, 8.0)))
    stations = coarser(archive_stations(6), in_plane=2, through_plane=2)
    series = series_of_study(acquire_study(tissues, stations, AcquisitionOptions(), SEED), SEED)
    path = tmp_path_factory.mktemp("choice") / "whole.zip"
    patient = Patient("9000005", "F", 70.0, 160.0, 62.0)
    return write_zip((file for s in series for file in dicom_files(s, patient)), path)


@pytest.fixture(scope="module")
def study(archive: Path) -> Study:
    return load_study(archive)


@pytest.fixture(scope="module")
def right(study: Study) -> Fused:
    return fuse(study)


def at(study: Study, place: int) -> list[Station]:
    """The series of one table position, counted from above."""
    positions, _ = find_positions(study.stations)
    return list(positions[place].stations.values())


def series_used(fused: Fused) -> set[int]:
    return {station.series_number for station in fused.stations}


def flags(fused: Fused) -> dict[str, str]:
    return {flag.code: flag.severity for flag in fused.flags}


def again(
    stations: Sequence[Station], later_s: float = 600.0, change: Callable[[Station], Station] = lambda s: s
) -> list[Station]:
    """The same place scanned a second time."""
    assert stations[0].acquired is not None
    return [
        replace(
            change(s),
            series_number=s.series_number + 100,
            series_uid=s.series_uid + ".7",
            acquired=s.acquired and s.acquired + timedelta(seconds=later_s),
        )
        for s in stations
    ]


def scaled(**factors: float) -> Callable[[Station], Station]:
    return lambda s: replace(s, voxels=s.voxels * np.float32(factors.get(s.contrast.name, 1.0)))


def ghosted(station: Station) -> Station:
    voxels = station.voxels
    ghost = np.roll(voxels, voxels.shape[1] // 2, axis=1) + np.roll(voxels, voxels.shape[1] // 9, axis=1)
    return replace(station, voxels=np.asarray(0.45 * voxels + 0.4 * ghost, dtype=np.float32))


def cut(station: Station) -> Station:
    voxels = np.ascontiguousarray(station.voxels[:-8])
    return replace(station, voxels=voxels, grid=Grid(voxels.shape, station.grid.affine))


def thick(station: Station) -> Station:
    voxels = np.ascontiguousarray(station.voxels[::2])
    affine = station.grid.affine.copy()
    affine[:3, 2] *= 2
    return replace(station, voxels=voxels, grid=Grid(voxels.shape, affine))


def unrelated(station: Station) -> Station:
    return replace(station, voxels=np.roll(station.voxels, 9, axis=2)) if station.contrast is Contrast.FAT else station


WORSE = {
    "contrast agent": scaled(WATER=2.0, IN=1.7),
    "other weighting": scaled(WATER=0.4, IN=0.4, FAT=0.4, OPPOSED=0.4),
    "motion": ghosted,
    "cut": cut,
    "thick slices": thick,
    "contrasts that do not belong together": unrelated,
}


@pytest.mark.parametrize("kind", WORSE)
def test_a_newer_scan_that_is_worse_does_not_win(study: Study, right: Fused, kind: str) -> None:
    repeated = again(at(study, HIP), change=WORSE[kind])
    fused = fuse(replace(study, stations=(*study.stations, *repeated)))
    assert series_used(fused) == series_used(right)
    assert flags(fused) == {"duplicate-station": "warning"}
    np.testing.assert_array_equal(fused.water, right.water)


def test_a_newer_scan_that_is_as_good_wins(study: Study, right: Fused) -> None:
    repeated = again(at(study, HIP), change=scaled(WATER=1.03, IN=1.03, FAT=1.03, OPPOSED=1.03))
    fused = fuse(replace(study, stations=(*study.stations, *repeated)))
    assert {s.series_number for s in repeated} <= series_used(fused)
    assert flags(fused) == {"duplicate-station": "info"}


@pytest.mark.parametrize(
    "order",
    [
        ("IN", "OPPOSED", "IN+", "OPPOSED+", "WATER", "FAT", "WATER+", "FAT+"),  # derived later, both at the end
        ("IN", "OPPOSED", "IN+", "OPPOSED+", "WATER+", "FAT+", "WATER", "FAT"),
        ("IN", "FAT+", "OPPOSED", "WATER", "IN+", "FAT", "OPPOSED+", "WATER+"),
        ("WATER", "WATER+", "FAT", "FAT+", "IN", "IN+", "OPPOSED+", "OPPOSED"),
    ],
)
def test_the_images_say_which_contrasts_are_of_one_scan(study: Study, order: tuple[str, ...]) -> None:
    """The first scan is spoilt; series are numbered and timed in the order of reconstruction."""
    first = {s.contrast.name: ghosted(s) for s in at(study, HIP)}
    second = {s.contrast.name + "+": s for s in again(at(study, HIP))}
    begun = at(study, HIP)[0].acquired
    assert begun is not None
    timed = [
        replace((first | second)[name], acquired=begun + timedelta(seconds=60 * n)) for n, name in enumerate(order)
    ]
    others = [s for s in study.stations if s.series_number not in {x.series_number for x in first.values()}]
    positions, _ = find_positions([*others, *timed])
    used = {s.series_number for s in positions[HIP].stations.values()}
    assert used == {s.series_number for s in second.values()}


def below(study: Study, count: int) -> list[Station]:
    """Stations below the knees: the lowest one again, each lower by less than its height."""
    found: list[Station] = []
    for n in range(1, count + 1):
        for s in at(study, 5):
            affine = s.grid.affine.copy()
            affine[2, 3] -= 230.0 * n
            found.append(
                replace(
                    s,
                    grid=Grid(s.grid.shape, affine),
                    series_number=s.series_number + 100 * n,
                    series_uid=f"{s.series_uid}.{n}",
                )
            )
    return found


@pytest.mark.parametrize(("above", "legs"), [(2, 1), (2, 2), (2, 4), (0, 2), (1, 1), (0, 1)])
def test_pelvis_to_knee_is_found_among_any_number_of_stations(
    study: Study, right: Fused, above: int, legs: int
) -> None:
    dropped = {s.series_number for n in range(2 - above) for s in at(study, n)}
    stations = [s for s in study.stations if s.series_number not in dropped] + below(study, legs)
    fused = fuse(replace(study, stations=tuple(stations)))
    assert series_used(fused) == series_used(right)
    assert flags(fused) == {"stations-chosen": "info"}
    np.testing.assert_array_equal(fused.water, right.water)


def test_a_cut_pelvis_is_an_error(study: Study) -> None:
    stations = [s for n in (4, 5) for s in at(study, n)] + below(study, 2)
    fused = fuse(replace(study, stations=tuple(stations)))
    assert flags(fused)["no-pelvis-coverage"] == "error"


def test_only_what_is_needed_is_decoded(archive: Path) -> None:
    found = load_study(archive, select=partial(stations_to_fuse, choice="pelvis-to-knee"))
    assert sum(s.decoded for s in found.stations) == 16
    assert fuse(found).flags == ()


def test_with_all_stations_labels_may_be_given_from_pelvis_to_knee_only(study: Study, right: Fused) -> None:
    fused = fuse(replace(study, stations=(*study.stations, *below(study, 1))), FusionOptions(stations="all"))
    assert fused.label_slices is not None and right.label_slices is None
    first, end = fused.label_slices
    z = [float((fused.grid.affine @ [0, 0, k, 1])[2]) for k in (first, end - 1)]
    low, high = (float((right.grid.affine @ [0, 0, k, 1])[2]) for k in (0, right.grid.shape[0] - 1))
    step = fused.grid.spacing_mm[2]
    assert z == [pytest.approx(low, abs=step), pytest.approx(high, abs=step)]
