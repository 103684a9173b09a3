"""The DICOM-SEG equals the label map voxel for voxel, in patient coordinates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from operators.core.anatomy import ADIPOSE_INDEX, STRUCTURES
from operators.core.deidentification import deidentify
from operators.core.errors import InternalError, OutputError
from operators.core.options import Deidentification, DicomOptions, SegType
from operators.core.volume import Contrast, Fused, Grid, Study, Volume
from operators.derived_series import DerivedSeries, derive
from operators.dicom_seg_writer import make_seg, write_dicom, write_seg
from tests import box_body

BOTH_TYPES = pytest.mark.parametrize("seg_type", ["binary", "labelmap"])


def written(
    path: Path, labels: NDArray[np.uint8], fused: Fused, options: DicomOptions | None = None
) -> tuple[Path, DerivedSeries]:
    study = box_body.study_of(fused)
    series = derive(fused, study)
    options = options or DicomOptions()
    return write_seg(path, Volume(labels, fused.grid), [series], study, box_body.MODEL, options), series


def labels_at_patient_positions(path: Path, grid: Grid) -> NDArray[np.uint8]:
    """The labels of a SEG file at the voxel centres of ``grid``, by the file's own positions."""
    seg = hd.seg.segread(path)
    volume = seg.get_volume(combine_segments=True)
    # highdicom's affine maps (slice, row, column) to LPS.
    back = np.linalg.inv(volume.affine) @ grid.affine
    k, j, i = np.indices(grid.shape).reshape(3, -1)
    index = back @ np.stack([i, j, k, np.ones_like(i)])
    assert np.abs(index - np.round(index)).max() < 1e-3
    at = np.round(index[:3]).astype(int)
    inside = ((at >= 0) & (at < np.array(volume.array.shape)[:, None])).all(axis=0)
    found = np.zeros(k.size, dtype=np.uint8)
    found[inside] = volume.array[tuple(at[:, inside])]
    return found.reshape(grid.shape)


@BOTH_TYPES
@pytest.mark.parametrize(
    "turned",
    [{}, {"rotation_z_degrees": 12.0, "tilt_degrees": -7.0}, {"flip_x": True}],
    ids=["axis-aligned", "oblique", "x-runs-right"],
)
def test_labels_read_back_voxel_for_voxel_where_they_were(
    tmp_path: Path, turned: dict[str, float], seg_type: SegType
) -> None:
    grid = box_body.grid(**turned)  # type: ignore[arg-type]
    labels, _ = box_body.box_labels(left_scale=0.6)
    # The labels have no symmetry, so that a mirrored result cannot pass.
    assert all(not np.array_equal(labels, np.flip(labels, axis)) for axis in range(3))
    fused = box_body.fused_of(grid)
    path, _ = written(tmp_path / "s.dcm", labels, fused, DicomOptions(seg_type=seg_type))
    assert np.array_equal(labels_at_patient_positions(path, grid), labels)


@pytest.mark.parametrize("compression", ["none", "rle", "jpeg-ls"])
def test_compressed_label_map_is_lossless(tmp_path: Path, compression: str) -> None:
    labels, _ = box_body.box_labels(left_scale=0.6)
    fused = box_body.fused_of(box_body.grid())
    options = DicomOptions(seg_type="labelmap", compression=compression)  # type: ignore[arg-type]
    path, _ = written(tmp_path / "s.dcm", labels, fused, options)
    read = pydicom.dcmread(path)
    assert read.file_meta.TransferSyntaxUID == options.seg_transfer_syntax
    assert read.SegmentationType == "LABELMAP"
    assert np.array_equal(labels_at_patient_positions(path, fused.grid), labels)


def test_binary_stays_uncompressed_because_one_bit_has_no_rle(tmp_path: Path) -> None:
    labels, _ = box_body.box_labels()
    path, _ = written(tmp_path / "s.dcm", labels, box_body.fused_of(box_body.grid()), DicomOptions(compression="rle"))
    read = pydicom.dcmread(path, stop_before_pixels=True)
    assert (read.file_meta.TransferSyntaxUID, read.BitsAllocated) == (pydicom.uid.ExplicitVRLittleEndian, 1)


@BOTH_TYPES
def test_frames_without_a_voxel_are_left_out(tmp_path: Path, seg_type: SegType) -> None:
    labels, _ = box_body.box_labels()
    labels[:5] = 0
    fused = box_body.fused_of(box_body.grid())
    path, _ = written(tmp_path / "s.dcm", labels, fused, DicomOptions(seg_type=seg_type))
    frames = pydicom.dcmread(path, stop_before_pixels=True).NumberOfFrames
    if seg_type == "binary":
        assert frames == sum(np.unique(plane[plane > 0]).size for plane in labels)
    else:
        assert frames == sum(bool(plane.any()) for plane in labels)


@BOTH_TYPES
def test_every_frame_names_the_derived_image_that_it_covers(tmp_path: Path, seg_type: SegType) -> None:
    labels, _ = box_body.box_labels(left_scale=0.6)
    fused = box_body.fused_of(box_body.grid(rotation_z_degrees=12.0, tilt_degrees=-7.0))
    path, series = written(tmp_path / "s.dcm", labels, fused, DicomOptions(seg_type=seg_type))
    seg = pydicom.dcmread(path)
    assert [s.SeriesInstanceUID for s in seg.ReferencedSeriesSequence] == [series.series_uid]
    assert seg.FrameOfReferenceUID == series.headers[0].FrameOfReferenceUID
    named = [i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence]
    assert named == list(series.sop_instance_uids)
    for number, frame in enumerate(seg.PerFrameFunctionalGroupsSequence):
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        k = series.sop_instance_uids.index(source.ReferencedSOPInstanceUID)
        assert frame.PlanePositionSequence[0].ImagePositionPatient == series.headers[k].ImagePositionPatient
        expected = labels[k]
        if seg_type == "binary":
            expected = expected == frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        if number % 40 == 0:
            assert np.array_equal(seg.pixel_array[number], expected)


@BOTH_TYPES
def test_segments_carry_codes_sides_colours_and_the_network(tmp_path: Path, seg_type: SegType) -> None:
    labels, _ = box_body.box_labels()
    labels[-1] = ADIPOSE_INDEX
    fused = box_body.fused_of(box_body.grid())
    path, _ = written(tmp_path / "s.dcm", labels, fused, DicomOptions(seg_type=seg_type))
    seg = hd.seg.segread(path)
    numbers = [n for n in seg.segment_numbers if n > 0]  # a label map also describes its background
    assert numbers == [*(s.index for s in STRUCTURES), ADIPOSE_INDEX]
    assert len({seg.get_segment_description(n).tracking_uid for n in numbers}) == len(numbers)
    for structure in STRUCTURES:
        described = seg.get_segment_description(structure.index)
        assert described.segment_label == structure.display_name
        assert described.segmented_property_type.value == structure.code
        assert described.segmented_property_type.scheme_designator == structure.scheme
        kind = described.SegmentedPropertyTypeCodeSequence[0]
        sides = [str(m.CodeValue) for m in kind.get("SegmentedPropertyTypeModifierCodeSequence", [])]
        assert sides == ([codes.SCT.RightAndLeft.value] if structure.paired else [])
        colour = hd.color.CIELabColor.from_dicom_value(described.RecommendedDisplayCIELabValue)
        assert np.abs(np.array(colour.to_rgb()) - structure.colour_rgb).max() <= 2
        algorithm = described.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmName == box_body.MODEL.name
        assert box_body.MODEL.sha256 in algorithm.AlgorithmParameters
    assert "synthetic" in seg.SeriesDescription
    assert seg.ContentQualification == "RESEARCH"


def test_nothing_labelled_is_written_as_one_empty_frame(tmp_path: Path) -> None:
    fused = box_body.fused_of(box_body.grid())
    path, _ = written(tmp_path / "s.dcm", np.zeros(fused.grid.shape, np.uint8), fused)
    read = pydicom.dcmread(path)
    assert not read.pixel_array.any()
    assert read.NumberOfFrames == len(STRUCTURES)


def test_network_of_two_contrasts_has_both_derived_series_named(tmp_path: Path) -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    study = box_body.study_of(fused)
    options = DicomOptions(derived=tuple(Contrast))
    read_by_network = (Contrast.WATER, Contrast.FAT)
    files = write_dicom(tmp_path, Volume(labels, fused.grid), fused, study, box_body.MODEL, read_by_network, options)
    series = {s.contrast: s.series_uid for s in files.derived}
    seg = pydicom.dcmread(box_body.present(files.segmentation), stop_before_pixels=True)
    named = {s.SeriesInstanceUID for s in seg.ReferencedSeriesSequence}
    assert named == {series[Contrast.WATER], series[Contrast.FAT]}
    assert sorted(p.name for p in (tmp_path / "derived").iterdir()) == ["fat", "in", "opp", "water"]


def uids(dataset: pydicom.Dataset) -> list[str]:
    return [str(element.value) for element in dataset.iterall() if element.VR == "UI"]


@BOTH_TYPES
def test_uids_repeat_for_the_same_input_and_differ_for_other_labels(seg_type: SegType) -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels(left_scale=0.8)
    fused = box_body.fused_of(grid)
    study = box_body.study_of(fused)

    def made(voxels: NDArray[np.uint8], options: DicomOptions) -> pydicom.Dataset:
        return make_seg(Volume(voxels, grid), [derive(fused, study)], study, box_body.MODEL, options)

    options = DicomOptions(seg_type=seg_type)
    first, again = made(labels, options), made(labels.copy(), options)
    other = made(labels[:, :, ::-1], options)
    assert uids(first) == uids(again)
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID
    compressed = made(labels, DicomOptions(seg_type=seg_type, compression="jpeg-ls"))
    assert uids(first) == uids(compressed)  # equal values are the same object in any encoding


@pytest.mark.parametrize(
    "card",
    [{"made": "manual"}, {"name": "another_tool"}, {"training_data": "People.", "synthetic_training": False}],
    ids=["made-otherwise", "another-tool", "another-card"],
)
def test_the_same_labels_with_other_statements_about_them_are_another_object(card: dict[str, str | bool]) -> None:
    """A PACS keeps the first object of a UID, so a corrected statement would never arrive."""
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    study, volume = box_body.study_of(fused), Volume(labels, fused.grid)
    first, other = (
        make_seg(volume, [derive(fused, study)], study, model)
        for model in (box_body.MODEL, dataclasses.replace(box_body.MODEL, **card))  # type: ignore[arg-type]
    )
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID


@pytest.mark.parametrize(
    ("other", "one_study"),
    [(Deidentification("P-2", "key"), False), (Deidentification("P-1", "key", keep_characteristics=True), True)],
    ids=["another-pseudonym", "characteristics-kept"],
)
def test_other_words_about_the_patient_of_a_deidentified_study_are_in_other_objects(
    other: Deidentification, one_study: bool
) -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    made = []
    for how in (Deidentification("P-1", "key"), other):
        study = deidentify(box_body.study_of(fused), how)
        series = derive(dataclasses.replace(fused, stations=study.stations), study)
        made.append((make_seg(Volume(labels, fused.grid), [series], study, box_body.MODEL), series.headers[0]))
    for first, second in zip(*made, strict=True):
        assert first.SOPInstanceUID != second.SOPInstanceUID
        assert (first.StudyInstanceUID == second.StudyInstanceUID) == one_study


def test_the_two_types_are_two_objects() -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(grid)
    study = box_body.study_of(fused)
    made = [
        make_seg(Volume(labels, grid), [derive(fused, study)], study, box_body.MODEL, DicomOptions(seg_type=t))
        for t in ("binary", "labelmap")
    ]
    assert made[0].SOPInstanceUID != made[1].SOPInstanceUID
    assert made[0].SeriesInstanceUID != made[1].SeriesInstanceUID  # a series has one kind of object


def test_unwritable_place_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    labels, _ = box_body.box_labels()
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="taken"):
        written(tmp_path / "taken" / "s.dcm", labels, box_body.fused_of(box_body.grid()))
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_labels_of_another_grid_are_refused() -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    study: Study = box_body.study_of(fused)
    with pytest.raises(InternalError, match="fused"):
        make_seg(Volume(labels, box_body.grid(tilt_degrees=3.0)), [derive(fused, study)], study, box_body.MODEL)
