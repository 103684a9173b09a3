"""Independent readers (SimpleITK, slicerio and pynrrd) read our NRRD files correctly."""

from __future__ import annotations

from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.core.anatomy import ADIPOSE_INDEX, CHANNEL_COUNT, STRUCTURES
from operators.core.errors import InputError, InternalError, OutputError
from operators.core.nrrd_files import read_segmentation, read_volume, write_segmentation, write_volume, write_volumes
from operators.core.volume import Grid, Volume
from tests.station_fusion.made_stations import make_grid, rotation_about

OBLIQUE = make_grid((5, 6, 7), (2.232143, 2.232143, 3.5), (-250.0, -180.5, -931.25), rotation_about((1, 2, 3), 11.0))


def noise(grid: Grid) -> Volume:
    return Volume(np.random.default_rng(0).normal(100, 30, grid.shape).astype(np.float32), grid)


def table_labels() -> Volume:
    grid = make_grid((3, 4, 5))
    voxels = (np.arange(60) % ADIPOSE_INDEX).astype(np.uint8).reshape(grid.shape)
    return Volume(voxels, grid)


def test_simpleitk_sees_the_same_values_at_the_same_places(tmp_path: Path) -> None:
    volume = noise(OBLIQUE)
    write_volume(tmp_path / "water.nrrd", volume)
    image = sitk.ReadImage(str(tmp_path / "water.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.voxels)
    assert image.GetPixelID() == sitk.sitkFloat32
    for i, j, k in [(0, 0, 0), (6, 0, 0), (0, 5, 0), (0, 0, 4), (3, 2, 1), (6, 5, 4)]:
        ours = OBLIQUE.affine @ [i, j, k, 1.0]
        assert image.TransformIndexToPhysicalPoint((i, j, k)) == pytest.approx(tuple(ours[:3]), abs=1e-9)
        assert image.GetPixel((i, j, k)) == volume.voxels[k, j, i]  # type: ignore[index]


@settings(max_examples=25, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.3, 8.0)] * 3),
    origin=st.tuples(*[st.floats(-1500, 1500)] * 3),
    axis=st.tuples(st.floats(0.1, 1), st.floats(-1, 1), st.floats(-1, 1)),
    degrees=st.floats(-180, 180),
)
def test_any_affine_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    axis: tuple[float, float, float],
    degrees: float,
) -> None:
    path = tmp_path_factory.mktemp("nrrd") / "volume.nrrd"
    grid = make_grid((2, 3, 4), spacing, origin, rotation_about(axis, degrees))
    write_volume(path, noise(grid))
    np.testing.assert_array_equal(read_volume(path).grid.affine, grid.affine)


def test_values_and_type_survive_the_round_trip(tmp_path: Path) -> None:
    for volume in (noise(OBLIQUE), table_labels()):
        write_volume(tmp_path / "volume.nrrd", volume)
        back = read_volume(tmp_path / "volume.nrrd")
        np.testing.assert_array_equal(back.voxels, volume.voxels)
        assert back.voxels.dtype == volume.voxels.dtype


@pytest.mark.parametrize(
    ("space", "x", "y"), [("right-anterior-superior", -1, -1), ("RAS", -1, -1), ("left-anterior-superior", 1, -1)]
)
def test_a_file_in_another_patient_space_is_read_into_lps(tmp_path: Path, space: str, x: int, y: int) -> None:
    header = {
        "space": space,
        "space directions": np.diag([2.0 * x, 3.0 * y, 4.0]),
        "space origin": [10.0, 20.0, 30.0],
        "kinds": ["domain"] * 3,
    }
    nrrd.write(str(tmp_path / "other.nrrd"), np.zeros((2, 3, 4), np.float32), header, index_order="C")
    grid = read_volume(tmp_path / "other.nrrd").grid
    np.testing.assert_array_equal(grid.affine[:3], [[2, 0, 0, 10 * x], [0, 3, 0, 20 * y], [0, 0, 4, 30]])


def test_several_volumes_are_written_by_name(tmp_path: Path) -> None:
    volumes = {name: noise(make_grid()) for name in ("in", "opp", "water")}
    paths = write_volumes(tmp_path / "new" / "fused", volumes)
    assert [path.name for path in paths] == ["in.nrrd", "opp.nrrd", "water.nrrd"]
    assert sorted(path.name for path in (tmp_path / "new" / "fused").iterdir()) == sorted(p.name for p in paths)


def test_slicer_reads_names_colours_and_codes(tmp_path: Path) -> None:
    labels = table_labels()
    path = tmp_path / "segmentation.seg.nrrd"
    write_segmentation(path, labels)
    segmentation = slicerio.read_segmentation(str(path))
    np.testing.assert_array_equal(segmentation["voxels"].transpose(2, 1, 0), labels.voxels)
    assert len(segmentation["segments"]) == len(STRUCTURES)
    for segment, structure in zip(segmentation["segments"], STRUCTURES, strict=True):
        assert segment["name"] == structure.display_name
        assert segment["labelValue"] == structure.index
        assert np.round(np.array(segment["color"]) * 255).tolist() == list(structure.colour_rgb)
        assert segment["terminology"]["type"] == [structure.scheme, structure.code, structure.meaning]
        assert segment["terminology"]["category"][1] == "123037004"


def test_simpleitk_sees_the_labels_at_the_same_places(tmp_path: Path) -> None:
    labels = table_labels()
    write_segmentation(tmp_path / "segmentation.seg.nrrd", labels)
    image = sitk.ReadImage(str(tmp_path / "segmentation.seg.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), labels.voxels)
    assert image.GetOrigin() == pytest.approx(tuple(labels.grid.origin_mm))
    assert image.GetSpacing() == pytest.approx(labels.grid.spacing_mm)


def test_segmentation_survives_the_round_trip_with_adipose_tissue(tmp_path: Path) -> None:
    labels = table_labels()
    labels.voxels[0, 0, 0] = ADIPOSE_INDEX  # type: ignore[index]
    write_segmentation(tmp_path / "a.seg.nrrd", labels)
    back = read_segmentation(tmp_path / "a.seg.nrrd")
    np.testing.assert_array_equal(back.voxels, labels.voxels)
    assert back.grid.same_as(labels.grid)


def test_segments_renumbered_in_slicer_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "edited.seg.nrrd"
    write_segmentation(path, table_labels())
    voxels, header = nrrd.read(str(path), index_order="C")
    last = len(STRUCTURES)
    header |= {"Segment0_LabelValue": str(last), f"Segment{last - 1}_LabelValue": "1"}
    swapped = voxels.copy()
    swapped[voxels == 1], swapped[voxels == last] = last, 1
    nrrd.write(str(path), swapped, header, index_order="C")
    np.testing.assert_array_equal(read_segmentation(path).voxels, table_labels().voxels)


def test_a_segment_renamed_in_slicer_is_found_by_its_code(tmp_path: Path) -> None:
    path = tmp_path / "edited.seg.nrrd"
    write_segmentation(path, table_labels())
    voxels, header = nrrd.read(str(path), index_order="C")
    header |= {"Segment0_ID": "Segment_1", "Segment0_Name": "Schneidermuskel"}
    nrrd.write(str(path), voxels, header, index_order="C")
    np.testing.assert_array_equal(read_segmentation(path).voxels, table_labels().voxels)


def test_segment_outside_the_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "edited.seg.nrrd"
    write_segmentation(path, table_labels())
    voxels, header = nrrd.read(str(path), index_order="C")
    header |= {"Segment0_ID": "Segment_1", "Segment0_Name": "lesion", "Segment0_Tags": ""}
    nrrd.write(str(path), voxels, header, index_order="C")
    with pytest.raises(InputError, match="unknown segment 'lesion'"):
        read_segmentation(path)


def test_a_plain_volume_is_not_a_segmentation(tmp_path: Path) -> None:
    write_volume(tmp_path / "water.nrrd", noise(OBLIQUE))
    with pytest.raises(InputError, match="no segments"):
        read_segmentation(tmp_path / "water.nrrd")


def test_unknown_label_is_refused(tmp_path: Path) -> None:
    labels = table_labels()
    labels.voxels[0, 0, 0] = CHANNEL_COUNT  # type: ignore[index]
    with pytest.raises(InternalError, match=f"labels up to {CHANNEL_COUNT}"):
        write_segmentation(tmp_path / "a.seg.nrrd", labels)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "water.nrrd").mkdir()
    with pytest.raises(OutputError, match=r"water\.nrrd: cannot be written"):
        write_volume(tmp_path / "water.nrrd", noise(OBLIQUE))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_volume(tmp_path / "file" / "water.nrrd", noise(OBLIQUE))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "water.nrrd"]


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "no-space"])
def test_damaged_file_is_an_input_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "water.nrrd"
    write_volume(path, noise(OBLIQUE))
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[: len(whole) - 200],
        "text": b"not an image\n",
        "empty": b"",
        "no-space": whole.replace(b"space: left-posterior-superior\n", b"space dimension: 3\n"),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(InputError, match=r"water\.nrrd"):
        read_volume(path)


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not readable"):
        read_volume(tmp_path / "nowhere.nrrd")
