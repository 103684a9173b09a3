"""Where the loader puts voxels, and what it refuses to place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from operators.core.errors import DicomError, GeometryError
from operators.core.volume import Contrast, Station, Study
from operators.dicom_loader import load_study
from operators.dicom_loader.frames import frames_of
from operators.dicom_loader.geometry import stack_slices
from operators.station_fusion import find_positions
from tests.dicom_loader.dicom_maker import (
    COLUMNS,
    ORDER,
    PATIENT_NAME,
    ROOT,
    ROWS,
    SLICES,
    SPACING,
    Change,
    classic_header,
    origin_mm,
    raw_decimal,
    series_number,
    stored_pixels,
    write,
    write_study,
)

VICTIM = series_number(Contrast.FAT, 1)


def station_of(study: Study, contrast: Contrast, station: int) -> Station:
    (found,) = [s for s in study.stations if s.series_number == series_number(contrast, station)]
    assert found.contrast == contrast
    return found


def rejection(folder: Path, change: Change) -> str:
    write_study(folder, change=change)
    with pytest.raises(GeometryError) as caught:
        load_study(folder)
    message = str(caught.value)
    assert PATIENT_NAME not in message
    assert "ID-4711" not in message
    return message


def test_every_voxel_of_every_series_is_where_its_slice_says(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = load_study(tmp_path)
    assert len(study.stations) == 8
    for number in range(2):
        for contrast in ORDER:
            station = station_of(study, contrast, number)
            expected = np.stack([stored_pixels(contrast, number, k) for k in range(SLICES)])
            assert station.voxels.dtype == np.float32
            np.testing.assert_array_equal(station.voxels, expected)
            np.testing.assert_allclose(station.grid.spacing_mm, SPACING)
            np.testing.assert_allclose(
                station.grid.affine @ [2, 3, 4, 1], [*(origin_mm(number) + np.array(SPACING) * [2, 3, 4]), 1]
            )


def test_slices_are_sorted_by_position_whatever_names_and_instance_numbers_say(tmp_path: Path) -> None:
    numbers = np.random.default_rng(5).permutation(SLICES)

    def shuffle(header: Dataset) -> None:
        header.InstanceNumber = int(numbers[header.InstanceNumber - 1]) + 1

    write_study(tmp_path, change=shuffle)
    station = station_of(load_study(tmp_path), Contrast.WATER, 0)
    np.testing.assert_array_equal(
        station.voxels, np.stack([stored_pixels(Contrast.WATER, 0, k) for k in range(SLICES)])
    )
    series = series_number(Contrast.WATER, 0)
    assert station.sop_instance_uids == tuple(f"{ROOT}.3.{series}.{k + 1}" for k in range(SLICES))


def test_an_oblique_series_has_the_position_that_simpleitk_reads(tmp_path: Path) -> None:
    tilt = np.radians(7.0)
    row, column = np.array([np.cos(0.05), np.sin(0.05), 0.0]), np.array([-np.sin(0.05), np.cos(0.05), 0.0])
    column = column * np.cos(tilt) + np.array([0, 0, np.sin(tilt)])
    normal = np.cross(row, column)

    def tip(header: Dataset) -> None:
        # Decimal strings hold 16 characters, so the standard itself rounds.
        header.ImageOrientationPatient = [round(float(c), 10) for c in (*row, *column)]
        k = header.InstanceNumber - 1
        header.ImagePositionPatient = [round(float(c), 6) for c in origin_mm(0) + normal * SPACING[2] * k]

    files = write_study(tmp_path, stations=1, change=tip)
    station = station_of(load_study(tmp_path), Contrast.IN, 0)
    uid = f"{ROOT}.2.{series_number(Contrast.IN, 0)}"
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(files[0].parent), uid))
    theirs = reader.Execute()
    np.testing.assert_array_equal(station.voxels, SimpleITK.GetArrayFromImage(theirs))
    for index in [(0, 0, 0), (COLUMNS - 1, 0, 0), (0, ROWS - 1, 0), (3, 2, SLICES - 1)]:
        np.testing.assert_allclose(
            (station.grid.affine @ [*index, 1])[:3], theirs.TransformIndexToPhysicalPoint(index), atol=1e-4
        )


def test_slices_are_inferior_to_superior_even_when_their_normal_points_to_the_feet(tmp_path: Path) -> None:
    def mirror(header: Dataset) -> None:
        header.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]

    write_study(tmp_path, change=mirror)
    station = station_of(load_study(tmp_path), Contrast.WATER, 1)
    np.testing.assert_array_equal(station.voxels[0], stored_pixels(Contrast.WATER, 1, 0))
    affine = station.grid.affine
    assert affine[2, 2] == pytest.approx(SPACING[2])
    assert affine[1, 1] == pytest.approx(-SPACING[1])


def test_slice_spacing_is_the_median_distance(tmp_path: Path) -> None:
    def jitter(header: Dataset) -> None:
        if header.InstanceNumber == 3:
            header.ImagePositionPatient[2] += 0.3

    write_study(tmp_path, change=jitter)
    assert load_study(tmp_path).stations[0].grid.spacing_mm[2] == pytest.approx(SPACING[2])


@pytest.mark.parametrize(("spacing", "decimals"), [(3.5, 0), (4.37, 0), (4.37, 1), (2.5, 0), (0.88, 1)])
def test_slices_whose_positions_were_rounded_are_a_regular_stack(spacing: float, decimals: int) -> None:
    frame = frames_of(classic_header(Contrast.WATER, 0, 0), "one")[0][0]
    exact = 100.3 + spacing * np.arange(44)
    frames = [replace(frame, position_mm=np.array([0.0, 0.0, z])) for z in exact.round(decimals)]
    _, places, grid = stack_slices(frames, "one")
    assert places == list(range(44))
    drift = (grid.spacing_mm[2] - spacing) * 43
    assert abs(drift) < 10**-decimals / 2


@pytest.mark.parametrize(("spacing", "decimals"), [(3.5, 0), (4.37, 1)])
def test_a_slice_that_is_missing_among_rounded_positions_is_found(spacing: float, decimals: int) -> None:
    frame = frames_of(classic_header(Contrast.WATER, 0, 0), "one")[0][0]
    exact = np.delete(100.3 + spacing * np.arange(44), 20)
    frames = [replace(frame, position_mm=np.array([0.0, 0.0, z])) for z in exact.round(decimals)]
    with pytest.raises(GeometryError, match="1 missing slice"):
        stack_slices(frames, "one")


def test_rescale_and_sign_are_applied(tmp_path: Path) -> None:
    def rescale(header: Dataset) -> None:
        header.RescaleSlope, header.RescaleIntercept = "0.5", "-10"
        header.PixelRepresentation = 1
        header.PixelData = (-stored_pixels(Contrast.IN, 0, 0).astype(np.int16)).tobytes()

    write_study(tmp_path, stations=1, change=rescale)
    expected = -0.5 * stored_pixels(Contrast.IN, 0, 0).astype(np.float32) - 10
    for station in load_study(tmp_path).stations:
        np.testing.assert_allclose(station.voxels, np.broadcast_to(expected, station.voxels.shape))


def test_missing_slices_are_named_by_their_height(tmp_path: Path) -> None:
    message = rejection(tmp_path, lambda h: not (h.SeriesNumber == VICTIM and h.InstanceNumber in (3, 4)))
    assert f"series {VICTIM}" in message
    assert "2 missing slices, at z = 88.0, 92.0 mm" in message


def test_missing_slices_are_interpolated_and_flagged_when_allowed(tmp_path: Path) -> None:
    write_study(tmp_path, change=lambda h: not (h.SeriesNumber == VICTIM and h.InstanceNumber in (3, 4)))
    study = load_study(tmp_path, allow_missing_slices=True)
    station = station_of(study, Contrast.FAT, 1)
    assert station.grid.same_as(station_of(study, Contrast.WATER, 1).grid)
    low, high = (stored_pixels(Contrast.FAT, 1, k).astype(np.float64) for k in (1, 4))
    expected = [stored_pixels(Contrast.FAT, 1, k).astype(np.float64) for k in (0, 1)]
    expected += [low + (high - low) * part for part in (1 / 3, 2 / 3)]
    expected += [stored_pixels(Contrast.FAT, 1, k).astype(np.float64) for k in (4, 5)]
    np.testing.assert_allclose(station.voxels, np.stack(expected), rtol=1e-6)
    assert len(station.sop_instance_uids) == SLICES - 2
    assert [(flag.code, flag.severity) for flag in study.flags] == [("missing-slice", "warning")]
    assert f"series {VICTIM} " in study.flags[0].message
    assert "z = 88.0, 92.0 mm" in study.flags[0].message


def test_a_long_hole_is_never_bridged(tmp_path: Path) -> None:
    def move_up(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM and header.InstanceNumber > 4:
            header.ImagePositionPatient[2] += 3 * SPACING[2]

    write_study(tmp_path, change=move_up)
    with pytest.raises(GeometryError, match="3 missing slices, at z = "):
        load_study(tmp_path, allow_missing_slices=True)


def test_signal_that_overflows_after_rescaling_is_refused(tmp_path: Path) -> None:
    def rescale(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM:
            header["RescaleSlope"] = raw_decimal("RescaleSlope", "1e38")
            header.RescaleIntercept = "0"

    write_study(tmp_path, change=rescale)
    with pytest.raises(DicomError, match="not finite after rescaling"):
        load_study(tmp_path)


def test_two_slices_at_one_position_are_refused(tmp_path: Path) -> None:
    def twice(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM and header.InstanceNumber == 3:
            header.ImagePositionPatient[2] -= SPACING[2]

    assert "share a position (first at z = 84.0 mm)" in rejection(tmp_path, twice)


def test_a_slice_out_of_step_is_refused(tmp_path: Path) -> None:
    def step(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM and header.InstanceNumber == 3:
            header.ImagePositionPatient[2] += 1.9

    assert "slice distances from" in rejection(tmp_path, step)


def test_a_slice_shifted_sideways_is_refused(tmp_path: Path) -> None:
    def shift(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM and header.InstanceNumber == 3:
            header.ImagePositionPatient[0] += 3.0

    assert "3.0 mm off" in rejection(tmp_path, shift)


@pytest.mark.parametrize("times", [0.001, 1000])
def test_spacing_in_another_unit_is_refused(tmp_path: Path, times: float) -> None:
    def scale(header: Dataset) -> None:
        header.PixelSpacing = [SPACING[1] * times, SPACING[0] * times]

    assert "so that the larger side is" in rejection(tmp_path, scale)


@pytest.mark.parametrize("value", [None, ["nan", "nan"], [0, 2.2], [-2.2, 2.2], [2.2], ["inf", 2.2], ["two", "two"]])
def test_unusable_pixel_spacing_is_refused(tmp_path: Path, value: Any) -> None:
    def spoil(header: Dataset) -> None:
        if header.SeriesNumber != VICTIM:
            return
        del header.PixelSpacing
        if value is not None:
            text = "\\".join(str(number) for number in value)
            header["PixelSpacing"] = raw_decimal("PixelSpacing", text)

    message = rejection(tmp_path, spoil)
    assert "PixelSpacing" in message
    assert f".{VICTIM}.dcm" in message


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_a_slice_without_a_position_is_refused(tmp_path: Path, keyword: str) -> None:
    def spoil(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM:
            delattr(header, keyword)

    assert keyword in rejection(tmp_path, spoil)


def test_skewed_orientation_is_refused(tmp_path: Path) -> None:
    def skew(header: Dataset) -> None:
        header.ImageOrientationPatient = [1, 0, 0, 0.3, 1, 0]

    assert "right angle" in rejection(tmp_path, skew)


def test_one_slice_is_not_a_station(tmp_path: Path) -> None:
    message = rejection(tmp_path, lambda h: h.SeriesNumber != VICTIM or h.InstanceNumber == 1)
    assert "1 slice;" in message
    assert f"series {VICTIM}" in message


def test_sizes_that_differ_within_a_series_are_refused(tmp_path: Path) -> None:
    def shrink(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM and header.InstanceNumber == 2:
            header.Rows = ROWS - 1
            header.PixelData = header.PixelData[: -2 * COLUMNS]

    message = rejection(tmp_path, shrink)
    assert f"{COLUMNS} x {ROWS} " in message
    assert f"{COLUMNS} x {ROWS - 1} " in message


def test_orientations_that_differ_within_a_series_are_refused(tmp_path: Path) -> None:
    def tip(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM and header.InstanceNumber == 2:
            header.ImageOrientationPatient = [np.cos(0.1), np.sin(0.1), 0, -np.sin(0.1), np.cos(0.1), 0]

    assert "different orientation" in rejection(tmp_path, tip)


def test_stations_of_two_frames_of_reference_are_refused(tmp_path: Path) -> None:
    def move(header: Dataset) -> None:
        if header.SeriesNumber >= series_number(ORDER[0], 1):
            header.FrameOfReferenceUID = f"{ROOT}.99"

    message = rejection(tmp_path, move)
    assert "2 frames of reference" in message
    assert "series" in message
    assert "repositioned" in message and "--one-frame-of-reference" in message


def test_a_frame_of_reference_per_series_is_joined_when_asked(tmp_path: Path) -> None:
    def own_frame(header: Dataset) -> None:
        header.FrameOfReferenceUID = f"{ROOT}.99.{header.SeriesNumber}"

    message = rejection(tmp_path, own_frame)
    assert "8 frames of reference" in message and "an anonymiser has replaced them" in message
    study = load_study(tmp_path, one_frame_of_reference=True)
    assert [(flag.code, flag.severity) for flag in study.flags] == [("frames-of-reference-joined", "warning")]
    assert len({station.frame_of_reference_uid for station in study.stations}) == 1


def test_water_and_fat_of_different_size_are_loaded_and_flagged(tmp_path: Path) -> None:
    def crop(header: Dataset) -> None:
        if header.SeriesNumber == VICTIM:
            header.Rows = ROWS - 1
            header.PixelData = header.PixelData[: -2 * COLUMNS]

    write_study(tmp_path, change=crop)
    study = load_study(tmp_path)
    assert station_of(study, Contrast.FAT, 1).voxels.shape == (SLICES, ROWS - 1, COLUMNS)
    assert [flag.code for flag in study.flags] == ["contrast-grid-mismatch"]


def test_an_extra_slice_of_one_contrast_is_flagged_and_not_fused(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    extra = classic_header(Contrast.FAT, 0, SLICES)
    write(extra, tmp_path / "extra.dcm")
    study = load_study(tmp_path)
    assert station_of(study, Contrast.FAT, 0).voxels.shape == (SLICES + 1, ROWS, COLUMNS)
    assert [flag.code for flag in study.flags] == ["contrast-grid-mismatch"]
    (position,), flags = find_positions(study.stations)
    assert position.grid.shape == (SLICES, ROWS, COLUMNS)
    assert [flag.code for flag in flags] == ["contrast-cropped"]
