"""Each fault does what its name says, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pydicom
import pytest

from operators.core.errors import UsageError
from operators.core.volume import Contrast
from phantom.acquisition import acquire_study
from phantom.dicom_files import dicom_files
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.faults import FAULTS, apply_faults
from phantom.header_faults import WHOLE_STUDY
from tests.phantom.slab_body import COARSE_STATIONS, slab_body

PATIENT = Patient("9000003", "F", 71.6, 158.25, 61.3)
VICTIM = 3  # the second station from below, of four


@pytest.fixture(scope="module")
def sound() -> list[Series]:
    return series_of_study(acquire_study(slab_body(), COARSE_STATIONS, AcquisitionOptions.exact(), seed=3), seed=3)


def by_uid(series: list[Series]) -> dict[str, Series]:
    return {s.uid: s for s in series}


def changed(sound: list[Series], faulty: list[Series]) -> list[Series]:
    """Series of the intact study that differ or are missing in the faulty one."""
    now = by_uid(faulty)
    return [s for s in sound if now.get(s.uid) is not s]


def only(series: list[Series], station: int, contrast: Contrast) -> Series:
    (found,) = [s for s in series if s.station == station and s.contrast is contrast]
    return found


def apply(sound: list[Series], name: str) -> list[Series]:
    faulty, records = apply_faults(sound, [name], seed=3)
    assert [r.name for r in records] == [name]
    assert len(records[0].detail) > 20
    return faulty


def test_a_rescanned_station_comes_later_and_is_the_sound_one(sound: list[Series]) -> None:
    faulty = apply(sound, "duplicate-station")
    assert len(faulty) == len(sound) + 4
    assert {s.station for s in changed(sound, faulty)} == {VICTIM}
    for contrast in Contrast:
        older, newer = sorted(
            (s for s in faulty if s.station == VICTIM and s.contrast is contrast), key=lambda s: s.acquired
        )
        original = only(sound, VICTIM, contrast)
        assert newer.acquired > max(s.acquired for s in sound)
        assert newer.number > max(s.number for s in sound)
        assert newer.uid != older.uid == original.uid
        assert newer.slice_z_mm == older.slice_z_mm
        np.testing.assert_array_equal(newer.voxels, original.voxels)
        assert np.abs(older.voxels.astype(float) - original.voxels).mean() > 10


def test_shuffled_slices_keep_positions_but_not_order(sound: list[Series]) -> None:
    faulty = apply(sound, "shuffled-slices")
    for before, after in zip(sound, faulty, strict=True):
        assert sorted(after.instance_numbers) == sorted(before.instance_numbers)
        assert after.instance_numbers != before.instance_numbers
        assert after.slice_z_mm == before.slice_z_mm
    headers = [pydicom.dcmread(io.BytesIO(f.contents)) for f in dicom_files(faulty[0], PATIENT)]
    heights = [float(h.ImagePositionPatient[2]) for h in headers]
    assert heights not in (sorted(heights), sorted(heights, reverse=True))
    by_height = sorted(headers, key=lambda h: h.ImagePositionPatient[2])
    np.testing.assert_array_equal(np.stack([h.pixel_array for h in by_height]), sound[0].voxels)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("missing-station", lambda s: s.station == VICTIM),
        ("no-knees", lambda s: s.station == 4),
        ("missing-contrast", lambda s: s.contrast is Contrast.FAT),
    ],
)
def test_what_is_missing_is_missing_completely(sound: list[Series], name: str, gone: Callable[[Series], bool]) -> None:
    assert apply(sound, name) == [s for s in sound if not gone(s)]


def test_a_missing_slice_leaves_a_gap_in_one_series(sound: list[Series]) -> None:
    faulty = apply(sound, "missing-slice")
    (before,) = changed(sound, faulty)
    after = by_uid(faulty)[before.uid]
    assert len(after.voxels) == len(before.voxels) - 1
    assert max(np.diff(after.slice_z_mm)) == pytest.approx(2 * before.slice_mm)


def test_a_thin_station_has_one_slice(sound: list[Series]) -> None:
    faulty = apply(sound, "thin-station")
    assert [len(s.voxels) for s in faulty if s.station == VICTIM] == [1] * 4
    assert {s.station for s in changed(sound, faulty)} == {VICTIM}


def test_a_swapped_station_shows_fat_as_water(sound: list[Series]) -> None:
    faulty = apply(sound, "swapped-station")
    water, fat = (only(faulty, VICTIM, c) for c in (Contrast.WATER, Contrast.FAT))
    np.testing.assert_array_equal(water.voxels, only(sound, VICTIM, Contrast.FAT).voxels)
    np.testing.assert_array_equal(fat.voxels, only(sound, VICTIM, Contrast.WATER).voxels)
    assert water.description.endswith("_W")
    assert len(changed(sound, faulty)) == 2


def test_a_size_mismatch_is_between_fat_and_water_from_the_same_corner(sound: list[Series]) -> None:
    faulty = apply(sound, "size-mismatch")
    fat, water = (only(faulty, VICTIM, c) for c in (Contrast.FAT, Contrast.WATER))
    assert fat.voxels.shape != water.voxels.shape
    assert fat.first_xy_mm == water.first_xy_mm
    (header,) = {
        (h.Rows, h.Columns) for h in (pydicom.dcmread(io.BytesIO(f.contents)) for f in dicom_files(fat, PATIENT))
    }
    assert header == fat.voxels.shape[1:]


def test_a_wrong_description_contradicts_the_image_type(sound: list[Series]) -> None:
    faulty = apply(sound, "wrong-description")
    (before,) = changed(sound, faulty)
    header = pydicom.dcmread(io.BytesIO(next(dicom_files(by_uid(faulty)[before.uid], PATIENT)).contents))
    assert header.ImageType[3] == "WATER"
    assert header.SeriesDescription == "Dixon_noBH_F"


def test_a_shifted_station_shows_the_body_beside_its_place(sound: list[Series]) -> None:
    faulty = apply(sound, "shifted-station")
    for contrast in Contrast:
        before, after = only(sound, VICTIM, contrast), only(faulty, VICTIM, contrast)
        np.testing.assert_array_equal(after.voxels[:, :, 5:], before.voxels[:, :, :-5])
        assert after.first_xy_mm == before.first_xy_mm
    assert {s.station for s in changed(sound, faulty)} == {VICTIM}


def test_a_mixed_frame_is_one_station_in_another_frame_of_reference(sound: list[Series]) -> None:
    faulty = apply(sound, "mixed-frame")
    frames = {s.station: s.frame_of_reference_uid for s in faulty}
    assert frames[VICTIM] not in {frames[1], frames[2], frames[4]}
    assert frames[1] == frames[2] == frames[4]


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_nan_spacing_reaches_the_file(sound: list[Series]) -> None:
    faulty = apply(sound, "nan-spacing")
    (before,) = changed(sound, faulty)
    header = pydicom.dcmread(io.BytesIO(next(dicom_files(by_uid(faulty)[before.uid], PATIENT)).contents))
    assert np.isnan([float(v) for v in header.PixelSpacing]).all()


@pytest.mark.parametrize(("name", "most"), [("truncated-file", 0.5), ("zero-byte-file", 0.0)])
def test_one_file_of_one_series_is_damaged(sound: list[Series], name: str, most: float) -> None:
    faulty = apply(sound, name)
    (before,) = changed(sound, faulty)
    whole = [f.contents for f in dicom_files(before, PATIENT)]
    damaged = [f.contents for f in dicom_files(by_uid(faulty)[before.uid], PATIENT)]
    different = [(a, b) for a, b in zip(whole, damaged, strict=True) if a != b]
    assert len(different) == 1
    assert len(different[0][1]) <= most * len(different[0][0])


def test_faults_can_be_combined(sound: list[Series]) -> None:
    faulty, records = apply_faults(sound, ["duplicate-station", "shuffled-slices", "missing-slice"], seed=3)
    assert [r.name for r in records] == ["duplicate-station", "shuffled-slices", "missing-slice"]
    newest = max((s for s in faulty if s.station == VICTIM and s.contrast is Contrast.WATER), key=lambda s: s.acquired)
    assert len(newest.voxels) == len(only(sound, VICTIM, Contrast.WATER).voxels) - 1


def test_an_unknown_fault_names_those_that_exist(sound: list[Series]) -> None:
    with pytest.raises(UsageError, match="duplicate-station"):
        apply_faults(sound, ["duplicated"], seed=3)


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"missing-contrast", "shuffled-slices", *WHOLE_STUDY}))
def test_a_single_station_is_too_few_for_these_faults(sound: list[Series], name: str) -> None:
    with pytest.raises(UsageError, match="at least 2 stations"):
        apply_faults([s for s in sound if s.station == 4], [name], seed=3)
