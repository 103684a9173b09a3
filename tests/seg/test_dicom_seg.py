"""The DICOM-SEG says voxel for voxel, and in patient coordinates, what the label map says."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from operators.anatomy import ADIPOSE_INDEX, STRUCTURES
from operators.dicom_seg_writer import make_seg, write_seg
from operators.errors import GeometryError, OutputError
from operators.volume import Contrast, Grid, Volume
from tests import box_body
from tests.dciodvfy import errors


def labels_at_patient_positions(path: Path, grid: Grid) -> NDArray[np.uint8]:
    """The labels of a SEG file at the voxel centres of ``grid``, by the file's own positions."""
    seg = hd.seg.segread(path)
    volume = seg.get_volume(combine_segments=True)
    # highdicom's affine takes (slice, row, column) to LPS.
    back = np.linalg.inv(volume.affine) @ grid.affine
    k, j, i = np.indices(grid.shape).reshape(3, -1)
    index = back @ np.stack([i, j, k, np.ones_like(i)])
    assert np.abs(index - np.round(index)).max() < 1e-3
    at = np.round(index[:3]).astype(int)
    inside = ((at >= 0) & (at < np.array(volume.array.shape)[:, None])).all(axis=0)
    found = np.zeros(k.size, dtype=np.uint8)
    found[inside] = volume.array[tuple(at[:, inside])]
    return found.reshape(grid.shape)


@pytest.mark.parametrize(
    "turned",
    [{}, {"rotation_z_degrees": 12.0, "tilt_degrees": -7.0}, {"flip_x": True}],
    ids=["axis-aligned", "oblique", "x-runs-right"],
)
def test_labels_read_back_voxel_for_voxel_where_they_were(tmp_path: Path, turned: dict[str, float]) -> None:
    grid = box_body.grid(**turned)  # type: ignore[arg-type]
    labels, _ = box_body.box_labels(left_scale=0.6)
    assert not np.array_equal(labels, labels[:, :, ::-1])  # so that a mirrored result cannot pass
    fused = box_body.fused_of(grid)
    path = write_seg(
        tmp_path / "segmentation.dcm", Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL
    )
    assert np.array_equal(labels_at_patient_positions(path, grid), labels)


def test_slice_spacing_is_the_fused_grids_when_the_stations_is_coarser(tmp_path: Path) -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(grid)
    coarse = []
    for station in fused.stations:
        affine = station.grid.affine.copy()
        affine[:3, 2] *= 1.5
        coarse.append(dataclasses.replace(station, grid=Grid(station.grid.shape, affine)))
    fused = dataclasses.replace(fused, stations=tuple(coarse))
    path = write_seg(tmp_path / "s.dcm", Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL)
    measures = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(grid.spacing_mm[2])
    assert np.array_equal(labels_at_patient_positions(path, grid), labels)


@pytest.mark.parametrize("empty", [False, True], ids=["all-structures", "nothing-labelled"])
def test_dciodvfy_finds_no_error(tmp_path: Path, empty: bool) -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(grid)
    labels = np.zeros_like(labels) if empty else labels
    path = write_seg(tmp_path / "s.dcm", Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL)
    assert errors(path) == []


def test_segments_carry_codes_colours_and_the_network(tmp_path: Path) -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels()
    labels[-1] = ADIPOSE_INDEX
    fused = box_body.fused_of(grid)
    path = write_seg(tmp_path / "s.dcm", Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL)
    seg = hd.seg.segread(path)
    assert seg.segment_numbers == [*(s.index for s in STRUCTURES), ADIPOSE_INDEX]
    for structure in STRUCTURES:
        described = seg.get_segment_description(structure.index)
        assert described.segment_label == structure.display_name
        assert described.segmented_property_type.value == structure.code
        assert described.segmented_property_type.scheme_designator == structure.scheme
        colour = hd.color.CIELabColor.from_dicom_value(described.RecommendedDisplayCIELabValue)
        assert np.abs(np.array(colour.to_rgb()) - structure.colour_rgb).max() <= 2
        algorithm = described.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmName == box_body.MODEL.name
        assert box_body.MODEL.sha256 in algorithm.AlgorithmParameters
    assert "synthetic" in seg.SeriesDescription


def test_source_images_are_those_of_the_water_stations(tmp_path: Path) -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(grid, contrasts=(Contrast.WATER, Contrast.FAT))
    path = write_seg(tmp_path / "s.dcm", Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL)
    named = {item.ReferencedSOPInstanceUID for item in pydicom.dcmread(path).SourceImageSequence}
    water = [s for s in fused.stations if s.contrast is Contrast.WATER]
    assert named == {uid for station in water for uid in station.sop_instance_uids}


def test_enhanced_mr_source_is_referenced(tmp_path: Path) -> None:
    grid = box_body.grid(rotation_z_degrees=4.0)
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(grid)
    station = dataclasses.replace(
        fused.stations[0],
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4.1",
        sop_instance_uids=("1.2.826.0.1.3680043.10.99.5",),
    )
    fused = dataclasses.replace(fused, stations=(station,))
    path = write_seg(tmp_path / "s.dcm", Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL)
    assert errors(path) == []
    source = pydicom.dcmread(path).SourceImageSequence
    assert [item.ReferencedSOPInstanceUID for item in source] == ["1.2.826.0.1.3680043.10.99.5"]
    assert np.array_equal(labels_at_patient_positions(path, grid), labels)


def test_uids_repeat_for_the_same_input_and_differ_for_other_labels() -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels(left_scale=0.8)
    fused = box_body.fused_of(grid)
    study = box_body.study_of(fused)
    first, again = (make_seg(Volume(labels, grid), fused, study, box_body.MODEL) for _ in range(2))
    other = make_seg(Volume(labels[:, :, ::-1], grid), fused, study, box_body.MODEL)

    def uids(dataset: pydicom.Dataset) -> list[str]:
        return [str(element.value) for element in dataset.iterall() if element.VR == "UI"]

    assert uids(first) == uids(again)
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID


def test_a_participant_sized_label_map_takes_seconds() -> None:
    shape = (140, 174, 224)
    affine = np.diag([2.232, 2.232, 3.0, 1.0])
    grid = Grid(shape, affine)
    labels = np.zeros(shape, dtype=np.uint8)
    for structure in STRUCTURES:
        labels[:, 6 * structure.index : 6 * structure.index + 5, 20:200] = structure.index
    fused = box_body.fused_of(grid)
    start = time.perf_counter()
    make_seg(Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL)
    assert time.perf_counter() - start < 15


def test_unwritable_place_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(grid)
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="taken"):
        write_seg(tmp_path / "taken" / "s.dcm", Volume(labels, grid), fused, box_body.study_of(fused), box_body.MODEL)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_labels_of_another_grid_are_refused() -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    with pytest.raises(GeometryError, match="fused"):
        make_seg(Volume(labels, box_body.grid(tilt_degrees=3.0)), fused, box_body.study_of(fused), box_body.MODEL)
