"""The files themselves, read by independent programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from operators.core.volume import Contrast
from phantom.acquisition import acquire_study
from phantom.dicom_files import SYNTHETIC_STATEMENT, dicom_files
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from tests.dciodvfy import errors
from tests.phantom.slab_body import COARSE_STATIONS, slab_body

PATIENT = Patient("9000003", "F", 71.6, 158.25, 61.3)


@pytest.fixture(scope="module")
def series() -> list[Series]:
    return series_of_study(acquire_study(slab_body(), COARSE_STATIONS, AcquisitionOptions(), seed=3), seed=3)


def written(series: Series, folder: Path, *, compress: bool = False) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file in dicom_files(series, PATIENT, compress=compress):
        paths.append(folder / file.name)
        paths[-1].write_bytes(file.contents)
    return paths


def of_station(series: Sequence[Series], station: int) -> dict[Contrast, Series]:
    return {s.contrast: s for s in series if s.station == station}


@pytest.mark.parametrize("contrast", list(Contrast))
@pytest.mark.parametrize("compress", [False, True])
def test_dciodvfy_reports_no_error(series: list[Series], tmp_path: Path, contrast: Contrast, compress: bool) -> None:
    path = written(of_station(series, 2)[contrast], tmp_path, compress=compress)[5]
    assert errors(path) == []


def test_simpleitk_reads_a_series_back_with_its_voxels_at_their_places(series: list[Series], tmp_path: Path) -> None:
    water = of_station(series, 3)[Contrast.WATER]
    written(water, tmp_path)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path), water.uid)
    image = sitk.ReadImage(names)
    grid = COARSE_STATIONS[2].grid
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), water.voxels)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel())
    for index in ((0, 0, 0), (5, 7, 3), (grid.shape[2] - 1, grid.shape[1] - 1, grid.shape[0] - 1)):
        expected = grid.affine[:3] @ np.array([*index, 1.0])
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-3)


def test_compressed_slices_are_jpeg_lossless_and_decode_to_the_same_voxels(
    series: list[Series], tmp_path: Path
) -> None:
    fat = of_station(series, 1)[Contrast.FAT]
    plain, compressed = written(fat, tmp_path / "plain"), written(fat, tmp_path / "jpeg", compress=True)
    for one, other in zip(plain, compressed, strict=True):
        decoded = pydicom.dcmread(other)
        assert decoded.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
        np.testing.assert_array_equal(pydicom.dcmread(one).pixel_array, decoded.pixel_array)
    assert sum(p.stat().st_size for p in compressed) < sum(p.stat().st_size for p in plain)


def test_every_header_says_that_it_is_synthetic(series: list[Series], tmp_path: Path) -> None:
    for one in series:
        header = pydicom.dcmread(written(one, tmp_path / str(one.number))[0], stop_before_pixels=True)
        assert header.ImageComments == header.PatientComments == SYNTHETIC_STATEMENT
        assert header.SyntheticData == header.QualityControlSubject == "YES"
        assert header.PatientName == "SYNTHETIC^PHANTOM"
        assert "phantom" in header.Manufacturer


def test_headers_carry_the_protocol_and_the_participant(series: list[Series], tmp_path: Path) -> None:
    headers = {
        contrast: pydicom.dcmread(written(one, tmp_path / contrast)[0], stop_before_pixels=True)
        for contrast, one in of_station(series, 1).items()
    }
    echoes = {contrast: float(h.EchoTime) for contrast, h in headers.items()}
    assert echoes == {Contrast.OPPOSED: 2.39, Contrast.IN: 4.77, Contrast.FAT: 4.77, Contrast.WATER: 4.77}
    assert {h.SeriesDescription for h in headers.values()} == {
        f"Dixon_BH_17s{suffix}" for suffix in ("_opp", "_in", "_F", "_W")
    }
    assert headers[Contrast.WATER].ImageType == ["DERIVED", "PRIMARY", "DIXON", "WATER"]
    one = headers[Contrast.IN]
    assert (one.RepetitionTime, one.FlipAngle, one.MagneticFieldStrength) == (6.53, 10, 1.5)
    assert (one.PatientID, one.PatientSex, one.PatientAge, one.PatientSize) == ("9000003", "F", "071Y", 1.5825)


def test_a_study_has_one_frame_of_reference_and_later_stations_have_later_times(series: list[Series]) -> None:
    assert len({s.frame_of_reference_uid for s in series}) == len({s.study_uid for s in series}) == 1
    assert [s.number for s in series] == list(range(2, 2 + len(series)))
    starts = [of_station(series, station)[Contrast.IN].acquired for station in (1, 2, 3, 4)]
    assert starts == sorted(set(starts))
    assert [s.stem for s in series[::4]] == ["Dixon_BH_17s", "Dixon_noBH", "Dixon_noBH", "Dixon_noBH"]


def test_uids_are_valid_unique_and_follow_from_the_seed(series: list[Series]) -> None:
    again = series_of_study(acquire_study(slab_body(), COARSE_STATIONS, AcquisitionOptions(), seed=3), seed=3)
    other = series_of_study(acquire_study(slab_body(), COARSE_STATIONS, AcquisitionOptions(), seed=4), seed=4)
    assert [s.uid for s in series] == [s.uid for s in again]
    assert not {s.uid for s in series} & {s.uid for s in other}
    files = [file for one in series[:4] for file in dicom_files(one, PATIENT)]
    uids = [file.sop_instance_uid for file in files]
    assert len(set(uids)) == len(uids)
    assert all(pydicom.uid.UID(uid).is_valid for uid in uids)


def test_the_same_study_is_written_byte_for_byte_the_same(series: list[Series]) -> None:
    first, again = ([f.contents for f in dicom_files(series[0], PATIENT)] for _ in range(2))
    assert first == again
