"""Stations in other planes, large stations, and composed volumes, as written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest
import SimpleITK as sitk

from operators.core.errors import UsageError
from operators.core.volume import Contrast
from phantom.acquisition import StationImages, acquire_study
from phantom.composing import composed_scan, composed_series
from phantom.dicom_files import dicom_files
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.planes import Plane
from phantom.station_geometry import (
    ARCHIVE_STATIONS,
    StationGeometry,
    coarser,
    coverage_mm,
    in_plane,
    large_stations,
    stations_of,
)
from phantom.study import write_study
from tests.dciodvfy import errors
from tests.phantom.slab_body import COARSE_STATIONS, slab_body

PATIENT = Patient("9000003", "F", 71.6, 158.25, 61.3)
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")


def scanned(stations: Sequence[StationGeometry]) -> tuple[StationImages, ...]:
    return acquire_study(slab_body(), stations, AcquisitionOptions.exact(), seed=3)


def written(series: Series, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file in dicom_files(series, PATIENT):
        paths.append(folder / file.name)
        paths[-1].write_bytes(file.contents)
    return paths


def water_of(series: Sequence[Series]) -> Series:
    return next(s for s in series if s.contrast is Contrast.WATER)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_stations_cover_what_the_archives_lower_four_cover(count: int, plane: Plane) -> None:
    stations = stations_of(count, plane)
    assert len(stations) == count
    assert coverage_mm(stations) == pytest.approx(coverage_mm(ARCHIVE_STATIONS))
    for station in stations:
        assert station.grid.shape == station.shape
        x, y, _ = station.spacing_mm
        assert station.shape[2] * x >= 499 and station.shape[1] * y >= 348
    for upper, lower in itertools.pairwise(stations):
        assert lower.z_edges_mm[1] - upper.z_edges_mm[0] >= 34


def test_more_than_three_large_stations_are_refused() -> None:
    with pytest.raises(UsageError, match="--stations"):
        large_stations(4)


@pytest.mark.parametrize("plane", PLANES)
def test_simpleitk_finds_the_voxels_of_a_plane_at_their_places(plane: Plane, tmp_path: Path) -> None:
    (scan,) = scanned(in_plane(COARSE_STATIONS[3:], plane, slice_mm=16.0))
    water = water_of(series_of_study([scan], seed=3))
    written(water, tmp_path)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path), water.uid))
    grid, voxels = scan.geometry.grid, scan.images[Contrast.WATER]
    for k, j, i in ((0, 0, 0), (3, 5, 7), tuple(n - 1 for n in grid.shape)):
        mm = grid.affine[:3] @ [i, j, k, 1.0]
        assert image.GetPixel(image.TransformPhysicalPointToIndex([float(v) for v in mm])) == voxels[k, j, i]


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_a_body_is_sampled_alike_in_every_plane(plane: Plane) -> None:
    """The slab body varies linearly along x and z, so inside it signals agree wherever voxels lie."""
    for station in COARSE_STATIONS[2:]:
        (turned,) = in_plane((station,), plane, slice_mm=8.0)
        axial, other = (scan.images[Contrast.WATER] for scan in scanned((station, turned)))
        muscle = []
        for image in (axial, other):
            middle = image.shape[1] // 2
            muscle.append(image[2:-2, middle - 2 : middle + 2, 4:-4].mean())
        assert muscle[1] == pytest.approx(muscle[0], rel=0.01)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("made_of", ["scan", "composed", "mpr"])
def test_dciodvfy_reports_no_error(plane: Plane, made_of: str, tmp_path: Path) -> None:
    scans = scanned(in_plane(COARSE_STATIONS[2:], plane, slice_mm=16.0))
    series = series_of_study(scans, 3) if made_of == "scan" else composed_series(scans, 3, made_of)  # type: ignore[arg-type]
    for contrast in (Contrast.WATER, Contrast.IN):
        one = next(s for s in series if s.contrast is contrast)
        assert errors(written(one, tmp_path / contrast.value)[1]) == []


def test_a_composed_volume_is_the_stations_average_and_says_so() -> None:
    scans = scanned(COARSE_STATIONS)
    composed = composed_scan(scans, "axial")
    assert composed.geometry.z_edges_mm == pytest.approx(coverage_mm(COARSE_STATIONS), abs=3)
    series = composed_series(scans, 3, "composed")
    assert {s.made_of for s in series} == {"composed"}
    (first, *_) = dicom_files(series[0], PATIENT)
    assert b"COMPOSED" in first.contents
    reformatted = composed_series(scans, 3, "mpr")
    assert {s.plane for s in reformatted} == {"coronal"}
    assert sum(s.voxels.size for s in reformatted) == sum(s.voxels.size for s in series)


def test_composed_volumes_are_written_beside_stations(tmp_path: Path) -> None:
    stations = coarser(stations_of(2), 6, 4)
    study = write_study(tmp_path, seed=3, stations=stations, composed="beside", tissue_spacing_mm=(12.0, 12.0, 12.0))
    numbers = sorted(int(folder.name[:3]) for folder in study.dicom.iterdir())
    assert numbers == [*range(2, 10), 100, 101, 102, 103]


def test_a_vendor_that_composes_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--composed"):
        write_study(tmp_path, composed="only", vendor="ge")


def test_the_vendor_that_composes_writes_the_composed_volume_only(tmp_path: Path) -> None:
    study = write_study(
        tmp_path, seed=3, stations=COARSE_STATIONS[2:], vendor="composed", tissue_spacing_mm=(12.0, 12.0, 12.0)
    )
    kinds = {tuple(pydicom.dcmread(path, stop_before_pixels=True).ImageType) for path in study.dicom.rglob("*.dcm")}
    assert len(kinds) == len(Contrast) and all("COMPOSED" in kind for kind in kinds)
