"""Images in any plane, several planes in one study, and volumes that the scanner composed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from operators.core.contrast import FUSED_SERIES
from operators.core.errors import SarcoMapError
from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from operators.dicom_loader.contrast import made_of
from tests.dicom_loader.dicom_maker import (
    COLUMNS,
    ORDER,
    ROOT,
    ROWS,
    SLICES,
    SPACING,
    Change,
    series_number,
    stored_pixels,
    write_study,
)

TILT = np.radians(20)
C, S = np.cos(TILT), np.sin(TILT)
#: Row and column direction, and which way slices run.
DIRECTIONS = {
    "coronal": ([1, 0, 0, 0, 0, -1], 1),
    "coronal, feet up": ([1, 0, 0, 0, 0, 1], 1),
    "coronal, back to front": ([1, 0, 0, 0, 0, -1], -1),
    "sagittal": ([0, 1, 0, 0, 0, -1], 1),
    "sagittal, left to right": ([0, 1, 0, 0, 0, -1], -1),
    "sagittal, back first": ([0, -1, 0, 0, 0, -1], 1),
    "axial, rows along y": ([0, 1, 0, 1, 0, 0], 1),
    "oblique coronal": ([1, 0, 0, 0, S, -C], 1),
    "doubly oblique sagittal": ([S, C, 0, 0, 0, -1], -1),
}


def turned(directions: Sequence[float], way: int, start: Sequence[float] = (5.0, 6.0, 7.0)) -> Change:
    normal = np.cross(directions[:3], directions[3:])

    def change(header: Dataset) -> None:
        header.ImageOrientationPatient = list(directions)
        header.ImagePositionPatient = list(start + way * SPACING[2] * (header.InstanceNumber - 1) * normal)

    return change


def named_apart(prefix: int, change: Change) -> Change:
    """The change, in series and images of their own."""

    def all_changes(header: Dataset) -> bool | None:
        header.SeriesNumber = header.SeriesNumber + 100 * prefix
        header.SeriesInstanceUID = f"{ROOT}.2.{header.SeriesNumber}"
        header.SOPInstanceUID = f"{ROOT}.3.{header.SeriesNumber}.{header.InstanceNumber}"
        return change(header)

    return all_changes


def flags(study: Study) -> dict[str, str]:
    return {flag.code: flag.severity for flag in study.flags}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_voxel_stays_in_its_place_and_z_runs_to_the_head(tmp_path: Path, name: str) -> None:
    directions, way = DIRECTIONS[name]
    write_study(tmp_path, stations=1, change=turned(directions, way))
    water = next(s for s in load_study(tmp_path).stations if s.contrast is Contrast.WATER)
    assert (np.diag(water.grid.affine)[:3] > 0).all()
    assert water.grid.shape[water.slice_axis] == SLICES
    row, column = np.array(directions[:3], dtype=float), np.array(directions[3:], dtype=float)
    to_voxel = np.linalg.inv(water.grid.affine)
    for k, r, c in ((0, 0, 0), (SLICES - 1, 2, 5), (3, ROWS - 1, COLUMNS - 1)):
        mm = np.array([5.0, 6.0, 7.0]) + way * SPACING[2] * k * np.cross(row, column)
        mm = mm + c * SPACING[0] * row + r * SPACING[1] * column
        x, y, z = to_voxel[:3] @ [*mm, 1.0]
        assert [x, y, z] == pytest.approx(np.rint([x, y, z]), abs=1e-3)
        assert water.voxels[round(z), round(y), round(x)] == stored_pixels(Contrast.WATER, 0, k)[r, c]


def test_source_images_of_a_coronal_station_are_listed_from_front_to_back(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1, change=turned(*DIRECTIONS["coronal, back to front"]))
    water = next(s for s in load_study(tmp_path).stations if s.contrast is Contrast.WATER)
    numbers = [int(uid.rsplit(".", 1)[1]) for uid in water.sop_instance_uids]
    assert (water.slice_axis, numbers) == (1, list(range(SLICES, 0, -1)))


def test_a_missing_coronal_slice_is_named_by_y(tmp_path: Path) -> None:
    directions, way = DIRECTIONS["coronal"]
    place = turned(directions, way)

    def change(header: Dataset) -> bool | None:
        place(header)
        return header.InstanceNumber != 3

    write_study(tmp_path, stations=1, change=change)
    with pytest.raises(SarcoMapError, match=r"1 missing slice, at y = 14.0 mm"):
        load_study(tmp_path)
    bridged = load_study(tmp_path, allow_missing_slices=True)
    (message,) = {flag.message.split(": ")[1] for flag in bridged.flags if flag.code == "missing-slice"}
    assert "no slice at y = 14.0 mm" in message
    water = next(s for s in bridged.stations if s.contrast is Contrast.WATER)
    np.testing.assert_allclose(water.voxels[:, 2], (water.voxels[:, 1] + water.voxels[:, 3]) / 2)


def localiser(change: Change = lambda header: None) -> Change:
    place = turned(*DIRECTIONS["coronal"])

    def both(header: Dataset) -> bool | None:
        place(header)
        return change(header)

    return named_apart(3, both)


def test_a_coronal_localiser_does_not_mix_with_axial_stations(tmp_path: Path) -> None:
    write_study(tmp_path / "stations")
    alone = load_study(tmp_path / "stations")
    write_study(tmp_path / "localiser", stations=1, change=localiser())
    study = load_study(tmp_path)
    assert [s.series_uid for s in study.stations] == [s.series_uid for s in alone.stations]
    assert flags(study) == {**flags(alone), "other-planes": "info"}
    assert "axial" in study.flags[-1].message and "4 coronal" in study.flags[-1].message


def test_a_localiser_of_one_contrast_does_no_harm(tmp_path: Path) -> None:
    write_study(tmp_path / "stations")
    in_phase = series_number(Contrast.IN, 0) + 300
    write_study(tmp_path / "localiser", stations=1, change=localiser(lambda h: h.SeriesNumber == in_phase))
    assert len(load_study(tmp_path).stations) == 8


def tall(header: Dataset) -> None:
    header.PixelSpacing = [100.0, SPACING[0]]  # rows 100 mm apart: 700 mm of the body


def test_coronal_whole_body_scans_win_over_a_few_axial_slices(tmp_path: Path) -> None:
    write_study(tmp_path / "liver", stations=1)
    write_study(tmp_path / "whole", stations=1, change=localiser(tall))
    study = load_study(tmp_path)
    assert {s.slice_axis for s in study.stations} == {1}
    assert "coronal series were used" in next(f.message for f in study.flags if f.code == "other-planes")


def test_axial_slices_that_make_no_stack_are_an_error_beside_coronal_scans(tmp_path: Path) -> None:
    write_study(tmp_path / "liver", stations=1, change=lambda header: header.InstanceNumber != 3)
    write_study(tmp_path / "whole", stations=1, change=localiser(tall))
    with pytest.raises(SarcoMapError, match="missing slice"):
        load_study(tmp_path)  # they might be the stations


def test_a_broken_localiser_beside_whole_stations_is_left_out(tmp_path: Path) -> None:
    def stretched(header: Dataset) -> None:
        header.ImagePositionPatient = [0, 0, 150.0 * header.InstanceNumber]

    write_study(tmp_path / "stations", stations=1, change=stretched)
    write_study(tmp_path / "localiser", stations=1, change=localiser(lambda h: h.InstanceNumber != 3))
    study = load_study(tmp_path)
    assert {s.slice_axis for s in study.stations} == {0}
    assert flags(study)["other-planes"] == "info"


def composed(*values: str, prefix: int = 5) -> Change:
    def change(header: Dataset) -> None:
        header.ImageType = [*header.ImageType, *values]

    return named_apart(prefix, change)


@pytest.mark.parametrize("value", ["COMPOSED", "MPR", "COMP_SP"])
def test_composed_volumes_are_used_when_they_are_all_there_is(tmp_path: Path, value: str) -> None:
    write_study(tmp_path, stations=1, change=composed(value))
    study = load_study(tmp_path)
    assert [s.contrast for s in study.stations].count(Contrast.FAT) == 1
    assert flags(study) == {"composed-volumes": "warning"}


@pytest.mark.parametrize("value", ["MIP", "PROJECTION IMAGE"])
def test_projections_never_are(tmp_path: Path, value: str) -> None:
    write_study(tmp_path, stations=1, change=composed(value))
    with pytest.raises(SarcoMapError, match="none of them a Dixon"):
        load_study(tmp_path)


def test_our_own_fused_series_are_never_input(tmp_path: Path) -> None:
    def ours(header: Dataset) -> None:
        header.ImageType = ["DERIVED", "SECONDARY", "OTHER", header.ImageType[-1], "COMPOSED"]
        header.SeriesDescription = f"{FUSED_SERIES} water"

    write_study(tmp_path, stations=1, change=named_apart(5, ours))
    with pytest.raises(SarcoMapError, match="none of them a Dixon"):
        load_study(tmp_path)


def test_scans_are_preferred_to_volumes_composed_of_them(tmp_path: Path) -> None:
    write_study(tmp_path / "scans")
    write_study(tmp_path / "composed", stations=1, change=composed("COMPOSED"))
    study = load_study(tmp_path)
    assert max(s.series_number for s in study.stations) < 100
    (flag,) = study.flags
    assert (flag.code, flag.severity) == ("ignored-series", "info")
    assert "4 composed or reformatted" in flag.message


def test_composed_volumes_stand_in_for_scans_that_lack_a_contrast(tmp_path: Path) -> None:
    fat = {series_number(Contrast.FAT, station) for station in (0, 1)}
    write_study(tmp_path / "scans", change=lambda header: header.SeriesNumber not in fat)
    write_study(tmp_path / "composed", stations=1, change=composed("COMPOSED"))
    study = load_study(tmp_path)
    assert {s.contrast for s in study.stations} == set(ORDER)
    assert min(s.series_number for s in study.stations) > 100
    assert flags(study)["composed-volumes"] == "warning"


def test_scans_of_water_and_fat_alone_are_preferred_to_composed_volumes(tmp_path: Path) -> None:
    kept = {series_number(contrast, station) for contrast in (Contrast.WATER, Contrast.FAT) for station in (0, 1)}
    write_study(tmp_path / "scans", change=lambda header: header.SeriesNumber in kept)
    write_study(tmp_path / "composed", stations=1, change=composed("COMPOSED"))
    assert {s.series_number for s in load_study(tmp_path).stations} == kept


def test_a_damaged_composed_image_matters_only_where_it_is_used(tmp_path: Path) -> None:
    write_study(tmp_path / "scans")
    file = write_study(tmp_path / "composed", stations=1, change=composed("COMPOSED"))[0]
    file.write_bytes(file.read_bytes()[:-20])
    assert flags(load_study(tmp_path)) == {"ignored-series": "info"}
    with pytest.raises(SarcoMapError, match="truncated pixel data"):
        load_study(tmp_path / "composed")


def test_a_description_says_that_a_volume_was_composed() -> None:
    plain = ["ORIGINAL", "PRIMARY", "M", "NORM", "WATER"]
    assert made_of(plain, "t1_vibe_dixon_cor_COMP_SP_W") == "composed"
    assert made_of(plain, "Dixon_composed_W") == "composed"
    assert made_of(plain, "comp_thigh_dixon_W") == made_of(plain, "t1_vibe_dixon_cor_W") == "scan"
