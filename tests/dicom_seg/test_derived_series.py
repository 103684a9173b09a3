"""The derived series has the position and values of the fused volume, also for independent readers."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from operators.core.errors import GeometryError, OutputError
from operators.core.nrrd_files import write_volume
from operators.core.volume import Contrast, Fused, Grid, Station, Volume
from operators.derived_series import derive, stored_values, write_derived
from operators.derived_series.sources import source_slices
from operators.dicom_loader import load_study
from operators.dicom_loader.contrast import contrast_of_image_type, made_of
from operators.station_fusion import fuse
from tests import box_body
from tests.dciodvfy import errors
from tests.dicom_loader.dicom_maker import SPACING, enhanced_header, write

TURNED = pytest.mark.parametrize(
    "turned",
    [{}, {"rotation_z_degrees": 12.0, "tilt_degrees": -7.0}, {"flip_x": True}],
    ids=["axis-aligned", "oblique", "x-runs-right"],
)
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def lopsided(where: Grid, **options: object) -> Fused:
    """A fused study whose water has no symmetry and has fractional values that no integer holds."""
    fused = box_body.fused_of(where, **options)  # type: ignore[arg-type]
    z, y, x = np.indices(where.shape, dtype=np.float32)
    return dataclasses.replace(fused, water=(x * 3.3 + y * 11.7 + z * z * 0.21).astype(np.float32))


def series_as_itk_reads_it(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    assert reader.GetGDCMSeriesIDs(str(folder)), "GDCM sees no series"
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def values_at_voxels_of(image: sitk.Image, grid: Grid) -> NDArray[np.float64]:
    """Values of an image at the voxel centres of a grid, by physical position."""
    k, j, i = np.indices(grid.shape).reshape(3, -1)
    points = (grid.affine @ np.stack([i, j, k, np.ones_like(i)]))[:3]
    axes = np.array(image.GetDirection()).reshape(3, 3) @ np.diag(image.GetSpacing())
    index = np.linalg.inv(axes) @ (points - np.array(image.GetOrigin())[:, None])
    assert np.abs(index - np.round(index)).max() < 1e-3
    at = np.round(index).astype(int)
    return sitk.GetArrayFromImage(image)[at[2], at[1], at[0]].reshape(grid.shape)


@TURNED
def test_simpleitk_reads_the_same_volume_as_from_nrrd(tmp_path: Path, turned: dict[str, float]) -> None:
    fused = lopsided(box_body.grid(**turned))  # type: ignore[arg-type]
    series = derive(fused, box_body.study_of(fused))
    write_derived(tmp_path / "water", series)
    write_volume(tmp_path / "water.nrrd", Volume(fused.water, fused.grid))
    dicom, nrrd = series_as_itk_reads_it(tmp_path / "water"), sitk.ReadImage(str(tmp_path / "water.nrrd"))
    error = np.abs(values_at_voxels_of(dicom, fused.grid) - fused.water).max()
    assert error <= series.values.slope / 2 + 1e-4
    assert np.abs(sitk.GetArrayFromImage(nrrd) - fused.water).max() == 0
    if "flip_x" not in turned:  # ITK orders slices along row x column; a left-handed grid has the opposite order
        assert dicom.GetSize() == nrrd.GetSize()
        np.testing.assert_allclose(dicom.GetOrigin(), nrrd.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(dicom.GetDirection(), nrrd.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(dicom.GetSpacing(), nrrd.GetSpacing(), atol=1e-5)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_every_encoding_gives_the_same_values_back(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    fused = lopsided(box_body.grid())
    series = derive(fused, box_body.study_of(fused))
    paths = write_derived(tmp_path / "water", series, syntax)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    for k in (0, 17, 59):
        read = pydicom.dcmread(paths[k])
        assert np.array_equal(read.pixel_array, series.values.stored[k])
        assert (read.SOPInstanceUID, read.InstanceNumber) == (series.sop_instance_uids[k], k + 1)


def test_slices_off_the_millimetre_stay_exact(tmp_path: Path) -> None:
    affine = np.diag([2.2321428571, 2.2321428571, 2.9876543, 1.0])
    affine[:3, 3] = (-249.99107142857, -181.333333333, -1234.56789012)
    grid = Grid(box_body.SHAPE, affine)
    fused = lopsided(grid)
    paths = write_derived(tmp_path / "water", derive(fused, box_body.study_of(fused)))
    for k in (0, 31, 59):
        position = np.array(pydicom.dcmread(paths[k]).ImagePositionPatient, dtype=float)
        np.testing.assert_allclose(position, (affine @ [0, 0, k, 1])[:3], atol=1e-6)
    np.testing.assert_allclose(series_as_itk_reads_it(tmp_path / "water").GetSpacing(), grid.spacing_mm, atol=1e-6)


def test_images_say_that_they_are_derived_and_from_what() -> None:
    fused = lopsided(box_body.grid(), contrasts=tuple(Contrast))
    study = box_body.study_of(fused)
    for contrast in Contrast:
        series = derive(fused, study, contrast)
        stations = [s for s in fused.stations if s.contrast is contrast]
        named: dict[str, set[str]] = {}
        for header in series.headers:
            assert list(header.ImageType[:2]) == ["DERIVED", "SECONDARY"]
            assert {item.CodeValue for item in header.DerivationCodeSequence} == {"113090", "113085"}
            assert header.FrameOfReferenceUID == stations[0].frame_of_reference_uid
            assert header.StudyInstanceUID == study.study_uid
            assert (header.PatientName, header.PatientID) == ("Secretname^Anna", "SECRET-4711")
            by_series = {
                item.SeriesInstanceUID: [i.ReferencedSOPInstanceUID for i in item.ReferencedInstanceSequence]
                for item in header.ReferencedSeriesSequence
            }
            sources = [item.ReferencedSOPInstanceUID for item in header.SourceImageSequence]
            assert sorted(sources) == sorted(uid for some in by_series.values() for uid in some)
            for series_uid, some in by_series.items():
                named.setdefault(series_uid, set()).update(some)
        # Together, the images of the series refer to every image of every source series and to no other.
        assert named == {s.series_uid: set(s.sop_instance_uids) for s in stations}


def test_times_are_in_the_time_zone_that_the_source_states() -> None:
    """A server in UTC would else make results that seem older than the scan."""
    fused = box_body.fused_of(box_body.grid())
    study = box_body.study_of(fused)
    tokyo = dataclasses.replace(study, patient={**study.patient, "TimezoneOffsetFromUTC": "+0900"})
    header = derive(fused, tokyo, created=datetime(2026, 11, 27, 23, 55, tzinfo=UTC)).headers[0]
    assert (header.TimezoneOffsetFromUTC, header.ContentDate, header.SeriesTime) == ("+0900", "20261128", "085500")


def test_a_plane_names_the_slices_that_it_was_interpolated_from() -> None:
    fused = box_body.fused_of(box_body.grid())
    lower = fused.stations[1]  # slices 0 to 29 of the grid
    moved = lower.grid.affine.copy()
    moved[2, 3] += 0.25 * lower.grid.spacing_mm[2]
    shifted: Station = dataclasses.replace(lower, grid=Grid(lower.grid.shape, moved))
    assert [list(r) for r in source_slices(fused.grid, lower)[:3]] == [[0], [1], [2]]
    ranges = source_slices(fused.grid, shifted)
    assert [list(r) for r in ranges[:3]] == [[0], [0, 1], [1, 2]]
    assert list(ranges[29]) == [28, 29]
    assert list(ranges[31]) == []


def test_a_station_with_an_interpolated_slice_is_named_as_a_whole() -> None:
    fused = box_body.fused_of(box_body.grid())
    lower = dataclasses.replace(fused.stations[1], sop_instance_uids=fused.stations[1].sop_instance_uids[:-1])
    fused = dataclasses.replace(fused, stations=(fused.stations[0], lower))
    header = derive(fused, box_body.study_of(fused)).headers[3]
    assert [i.ReferencedSOPInstanceUID for i in header.SourceImageSequence] == list(lower.sop_instance_uids)


def test_an_enhanced_mr_source_is_named_once() -> None:
    fused = box_body.fused_of(box_body.grid())
    station = dataclasses.replace(
        fused.stations[0], sop_class_uid=ENHANCED_MR, sop_instance_uids=("1.2.826.0.1.3680043.10.99.5",)
    )
    fused = dataclasses.replace(fused, stations=(station,))
    header = derive(fused, box_body.study_of(fused)).headers[40]
    (item,) = header.SourceImageSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (ENHANCED_MR, station.sop_instance_uids[0])


def test_a_plane_names_the_frames_of_an_enhanced_mr(tmp_path: Path) -> None:
    """Without them it refers to every frame, those of the other contrasts and of other places too."""
    objects = {}
    for station in (0, 1):
        made = enhanced_header(station=station, number=50 + station)
        made.SeriesInstanceUID = "1.2.3.50"  # several objects in one series, as some scanners write them
        objects[str(made.SOPInstanceUID)] = made
        write(made, tmp_path / f"{station}.dcm")
    study = load_study(tmp_path)
    series = derive(fuse(study), study)
    for header in series.headers:
        for item in header.SourceImageSequence:
            groups = objects[item.ReferencedSOPInstanceUID].PerFrameFunctionalGroupsSequence
            numbers = item["ReferencedFrameNumber"].value
            for number in [numbers] if isinstance(numbers, int) else numbers:
                frame = groups[number - 1]
                assert frame.MRImageFrameTypeSequence[0].FrameType[3] == "WATER"
                distance = frame.PlanePositionSequence[0].ImagePositionPatient[2] - header.ImagePositionPatient[2]
                assert abs(distance) < SPACING[2]
        (referenced,) = header.ReferencedSeriesSequence
        named = [instance.ReferencedSOPInstanceUID for instance in referenced.ReferencedInstanceSequence]
        assert sorted(named) == sorted({item.ReferencedSOPInstanceUID for item in header.SourceImageSequence})
    assert max(len(header.SourceImageSequence) for header in series.headers) == 2  # where the stations overlap
    (path, *_) = write_derived(tmp_path / "water", series)
    assert errors(path) == []


def test_scan_attributes_are_copied_only_if_all_stations_agree() -> None:
    fused = box_body.fused_of(box_body.grid())
    said = {"ScanningSequence": "GR", "SequenceVariant": "SP\\OSP", "EchoTime": "4.77", "SyntheticData": "YES"}
    one = dataclasses.replace(fused.stations[0], acquisition={**said, "RepetitionTime": "6.53"})
    other = dataclasses.replace(fused.stations[1], acquisition={**said, "RepetitionTime": "7"})
    fused = dataclasses.replace(fused, stations=(one, other))
    header = derive(fused, box_body.study_of(fused)).headers[0]
    assert list(header.SequenceVariant) == ["SP", "OSP"]
    assert (header.ScanningSequence, float(header.EchoTime)) == ("GR", 4.77)
    assert header.RepetitionTime is None
    assert header.SyntheticData == "YES"
    assert "not a patient" in header.ImageComments


def test_a_series_made_of_lossy_images_is_lossy() -> None:
    fused = box_body.fused_of(box_body.grid())
    lossy = dataclasses.replace(fused.stations[0], acquisition={"LossyImageCompression": "01"})
    said = []
    for first in (fused.stations[0], lossy):
        made = dataclasses.replace(fused, stations=(first, *fused.stations[1:]))
        said.append(derive(made, box_body.study_of(made)).headers[0].LossyImageCompression)
    assert said == ["00", "01"]


@pytest.mark.parametrize("contrast", Contrast)
def test_the_loader_does_not_take_a_derived_series_for_a_station(contrast: Contrast) -> None:
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    image_type = list(derive(fused, box_body.study_of(fused), contrast).headers[0].ImageType)
    assert contrast_of_image_type(image_type) is contrast
    assert made_of(image_type) == "composed"


def test_uids_repeat_for_the_same_input_whenever_it_is_written_and_differ_for_another() -> None:
    fused = lopsided(box_body.grid())
    study = box_body.study_of(fused)
    first = derive(fused, study, created=datetime(2021, 3, 4))
    again = derive(fused, study, created=datetime(2022, 5, 6))
    assert first.series_uid == again.series_uid
    assert first.sop_instance_uids == again.sop_instance_uids
    assert len(set(first.sop_instance_uids)) == len(first.headers)
    changed = fused.water.copy()
    changed[30, 12, 40] += 50
    other = derive(dataclasses.replace(fused, water=changed), study)
    assert first.series_uid != other.series_uid
    assert not set(first.sop_instance_uids) & set(other.sop_instance_uids)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 40.0, 1e4])
def test_any_range_fits_fifteen_bits_with_a_fine_step(scale: float) -> None:
    grid = box_body.grid()
    rng = np.random.default_rng(1)
    signal = (rng.random(grid.shape, dtype=np.float32) * 1000 * scale).astype(np.float32)
    values = stored_values(Volume(signal, grid), np.ones(grid.shape, bool))
    assert values.stored.max() <= 32767
    assert values.slope == 2.0 ** round(np.log2(values.slope))
    back = values.stored * values.slope + values.intercept
    assert np.abs(back - signal).max() <= values.slope / 2 * 1.001
    assert values.slope <= max(signal.max() / 16383, 2.0**-10)


def test_scanner_integers_come_back_exactly_and_negative_values_too() -> None:
    grid = box_body.grid()
    signal = np.random.default_rng(2).integers(-20, 4096, grid.shape).astype(np.float32)
    values = stored_values(Volume(signal, grid), np.zeros(grid.shape, bool))
    assert np.array_equal(values.stored * values.slope + values.intercept, signal)


@pytest.mark.parametrize("lowest", [0.0, -0.3])
@pytest.mark.parametrize("highest", [20.0, 1.0, 1e-4, 3.7e-7])
def test_signal_on_a_small_scale_keeps_its_steps_and_its_window(tmp_path: Path, highest: float, lowest: float) -> None:
    """With a step of a thousandth, such images were black."""
    fused = box_body.fused_of(box_body.grid())
    shape = fused.water.shape
    water = np.linspace(lowest * highest, highest, fused.water.size, dtype=np.float32).reshape(shape)
    fused = dataclasses.replace(fused, water=water, body=np.ones(shape, bool))
    paths = write_derived(tmp_path / "water", derive(fused, box_body.study_of(fused)))
    assert errors(paths[0]) == []
    for k in (0, 30, 59):
        read = pydicom.dcmread(paths[k])
        signal = read.pixel_array * float(read.RescaleSlope) + float(read.RescaleIntercept)
        np.testing.assert_allclose(signal, water[k], rtol=0, atol=1e-4 * highest)
    low, high = np.percentile(water, (1, 99.5))
    assert float(read.WindowWidth) == pytest.approx(high - low, rel=0.01)
    assert float(read.WindowCenter) == pytest.approx((low + high) / 2, abs=0.01 * highest)


def test_a_shorter_series_leaves_nothing_of_a_longer_one_before(tmp_path: Path) -> None:
    fused = lopsided(box_body.grid())
    write_derived(tmp_path / "water", derive(fused, box_body.study_of(fused)))
    short = Grid((20, *box_body.SHAPE[1:]), fused.grid.affine)
    fused = dataclasses.replace(fused, grid=short, water=fused.water[:20], body=fused.body[:20])
    cut = {name: getattr(fused, name)[:20] for name in ("fat", "in_phase", "opposed", "fat_fraction")}
    write_derived(tmp_path / "water", derive(dataclasses.replace(fused, **cut), box_body.study_of(fused)))
    assert len(list((tmp_path / "water").iterdir())) == 20
    assert [p.name for p in tmp_path.iterdir()] == ["water"]


def test_a_series_that_cannot_be_written_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from operators.derived_series import series as module

    fused = lopsided(box_body.grid())
    made = derive(fused, box_body.study_of(fused))
    write_derived(tmp_path / "water", made)
    before = {p.name: p.read_bytes() for p in (tmp_path / "water").iterdir()}
    write, count = module.write_file, iter(range(100))

    def full_disk(*arguments: object, **options: object) -> None:
        if next(count) == 30:
            raise OSError(28, "No space left on device")
        write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_file", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_derived(tmp_path / "water", made)
    assert {p.name: p.read_bytes() for p in (tmp_path / "water").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["water"]


def test_a_skewed_grid_is_refused() -> None:
    grid = box_body.grid()
    affine = grid.affine.copy()
    affine[0, 1] = 1.0
    fused = dataclasses.replace(box_body.fused_of(grid), grid=Grid(grid.shape, affine))
    with pytest.raises(GeometryError, match="right angles"):
        derive(fused, box_body.study_of(fused))


def test_stations_without_uids_are_one_clear_error() -> None:
    fused = box_body.fused_of(box_body.grid())
    bare = tuple(dataclasses.replace(s, sop_instance_uids=()) for s in fused.stations)
    fused = dataclasses.replace(fused, stations=bare)
    with pytest.raises(OutputError, match="no SOP Instance UID"):
        derive(fused, box_body.study_of(fused))
