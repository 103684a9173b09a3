"""Users' training data: segments by name or code, partial labels, folds without leaks, bad files refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK

from bundle.scripts import (
    LoadParticipantd,
    inverse_sqrt_frequency,
    labels_on_grid,
    list_pairs,
    read_datalist,
    read_labels,
    training_pairs,
    validation_pairs,
)
from bundle.scripts.datalist import main, make_datalist
from operators.core import anatomy
from operators.core.errors import GeometryError, InputError
from operators.core.image_channels import read_image
from operators.core.nrrd_files import read_volume, write_segmentation, write_volume
from operators.core.volume import Grid, Volume

GRID = Grid((4, 5, 6), np.array([[2.0, 0, 0, -7], [0, 2.0, 0, 11], [0, 0, 3.0, -400], [0, 0, 0, 1]]))
SARTORIUS, GRACILIS = anatomy.by_name("sartorius").index, anatomy.by_name("gracilis").index
TERMINOLOGY = "TerminologyEntry:Segmentation category and type~SCT^123037004^Anatomical Structure~{}~^^~Anatomic~^^~^^|"


def slicer_file(path: Path, voxels: np.ndarray, segments: list[dict[str, Any]], grid: Grid = GRID) -> Path:
    """Write a .seg.nrrd like 3D Slicer's; voxels (z, y, x) or, with layers, (layer, z, y, x)."""
    header: dict[str, Any] = {
        "space": "left-posterior-superior",
        "space directions": grid.affine[:3, :3].T,
        "space origin": grid.affine[:3, 3],
        "kinds": ["domain"] * 3,
    }
    data = voxels.transpose(2, 1, 0) if voxels.ndim == 3 else voxels.transpose(0, 3, 2, 1)
    if voxels.ndim == 4:
        header["kinds"] = ["list", "domain", "domain", "domain"]
        header["space directions"] = np.vstack([np.full(3, np.nan), header["space directions"]])
    for number, segment in enumerate(segments):
        for key, value in segment.items():
            header[f"Segment{number}_{key}"] = str(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    nrrd.write(str(path), np.asfortranarray(data), header)
    return path


def two_segments() -> np.ndarray:
    voxels = np.zeros(GRID.shape, np.uint8)
    voxels[1:3, 1:3, 1:3] = 1
    voxels[1:3, 1:3, 4] = 2
    return voxels


@pytest.mark.parametrize(
    "segment",
    [
        {"Name": "Gracilis", "ID": "Segment_1"},
        {"Name": "left_gracilis"},
        {"Name": "M. gracilis (R)"},
        {"Name": "Segment 1", "Tags": TERMINOLOGY.format("SCT^2577006^Structure of gracilis muscle")},
    ],
)
def test_a_segment_is_known_by_name_or_code_and_never_by_number(tmp_path: Path, segment: dict[str, Any]) -> None:
    first = {"LabelValue": 2, "Layer": 0, "Name": "Sartorius"}  # these numbers are not those of the label table
    path = slicer_file(tmp_path / "a.seg.nrrd", two_segments(), [first, {"LabelValue": 1, "Layer": 0, **segment}])
    read = read_labels(path)
    assert read.annotated == {SARTORIUS, GRACILIS}
    assert np.array_equal(read.labels.voxels == GRACILIS, two_segments() == 1)
    assert np.array_equal(read.labels.voxels == SARTORIUS, two_segments() == 2)
    assert read.labels.grid.same_as(GRID)


def test_layers_are_merged_and_overlaps_refused(tmp_path: Path) -> None:
    voxels = np.zeros((2, *GRID.shape), np.uint8)
    voxels[0, 1, 1, 1], voxels[1, 2, 2, 2] = 1, 1
    segments = [{"LabelValue": 1, "Layer": n, "Name": name} for n, name in enumerate(("Sartorius", "Gracilis"))]
    read = read_labels(slicer_file(tmp_path / "a.seg.nrrd", voxels, segments))
    assert read.labels.voxels[1, 1, 1] == SARTORIUS and read.labels.voxels[2, 2, 2] == GRACILIS
    voxels[1, 1, 1, 1] = 1
    with pytest.raises(InputError, match="1 voxels in both 'Sartorius' and 'Gracilis'"):
        read_labels(slicer_file(tmp_path / "b.seg.nrrd", voxels, segments))


def test_unknown_segment_is_named_with_file_and_nearest_name(tmp_path: Path) -> None:
    path = slicer_file(tmp_path / "p7" / "a.seg.nrrd", two_segments(), [{"LabelValue": 1, "Name": "Graciliss"}])
    with pytest.raises(InputError, match=r"p7/a\.seg\.nrrd: unknown segment 'Graciliss'.*Did you mean Gracilis\?"):
        read_labels(path)
    assert read_labels(path, ignore=["Graciliss"]).annotated == frozenset()


def test_name_and_code_that_disagree_are_refused(tmp_path: Path) -> None:
    tags = TERMINOLOGY.format("SCT^12595009^Structure of sartorius muscle")
    path = slicer_file(tmp_path / "a.seg.nrrd", two_segments(), [{"LabelValue": 1, "Name": "Gracilis", "Tags": tags}])
    with pytest.raises(InputError, match="'Gracilis' has the code of Sartorius"):
        read_labels(path)


def test_slicers_smaller_box_is_placed_on_the_image() -> None:
    box = two_segments()[1:3, 1:4, 1:6]
    affine = GRID.affine.copy()
    affine[:3, 3] = (GRID.affine @ [1, 1, 1, 1])[:3]
    placed = labels_on_grid(Volume(box, Grid(box.shape, affine)), GRID, "a")
    assert np.array_equal(placed, two_segments())


@pytest.mark.parametrize("shift_mm", [1.0, 4.0])
def test_labels_of_another_grid_are_refused(shift_mm: float) -> None:
    affine = GRID.affine.copy()
    affine[0, 3] += shift_mm * 2  # a shift of one voxel cuts off nothing; four voxels cut off labels
    affine[0, 0] = 2.5 if shift_mm == 1.0 else 2.0
    with pytest.raises(GeometryError, match="another grid|on a grid of|outside the image"):
        labels_on_grid(Volume(two_segments(), Grid(GRID.shape, affine)), GRID, "a")


@pytest.mark.parametrize(("voxel", "match"), [(np.nan, "NaN"), (np.inf, "infinite"), (None, "every voxel is 5")])
def test_images_without_information_are_refused(tmp_path: Path, voxel: float | None, match: str) -> None:
    voxels = np.full(GRID.shape, 5.0, np.float32)
    if voxel is not None:
        voxels[0, 0, 0] = voxel
    write_volume(tmp_path / "water.nrrd", Volume(voxels, GRID))
    with pytest.raises(InputError, match=match):
        read_image([tmp_path / "water.nrrd"])


def participant(folder: Path, seed: int, names: tuple[str, ...] = ("sartorius", "gracilis")) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name in ("water", "fat"):
        write_volume(folder / f"{name}.nrrd", Volume(rng.normal(100, 30, GRID.shape).astype(np.float32), GRID))
    labels = np.zeros(GRID.shape, np.uint8)
    for place, name in enumerate(names):
        labels[1 + place, 1:3, 1:3] = anatomy.by_name(name).index
    write_segmentation(folder / "segmentation.seg.nrrd", Volume(labels, GRID))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for seed, name in enumerate(("1000001_20201_2_0", "1000001_20201_3_0", "1000002_20201_2_0", "p3", "p4", "p5")):
        participant(folder / name, seed, ("sartorius",) if name == "p3" else ("sartorius", "gracilis"))
    return folder


def test_datalist_keeps_repeat_visits_in_one_fold_and_says_what_is_missing(study: Path) -> None:
    assert main([str(study), "--folds", "3", "--images", "water.nrrd", "fat.nrrd", "--weak-folder", "p4"]) == 0
    pairs = read_datalist(study / "datalist.json", ["water.nrrd", "fat.nrrd"])
    folds = {pair["label"].split("/")[-2]: pair["fold"] for pair in pairs}
    assert folds["1000001_20201_2_0"] == folds["1000001_20201_3_0"] and set(folds.values()) == {0, 1, 2}
    by_name = {pair["participant"]: pair for pair in pairs}
    assert np.flatnonzero(by_name["p3"]["annotated"]).tolist() == [0, SARTORIUS]
    assert [pair["participant"] for pair in pairs if pair["weak"]] == ["p4"]
    for fold in range(3):
        train, held_out = training_pairs(pairs, 0, fold), validation_pairs(pairs, 0, fold)
        assert not {p["participant"] for p in train} & {p["participant"] for p in held_out}
        assert not any(p["weak"] for p in held_out)
    annotated: dict[Hashable, Any] = {str(key): value for key, value in by_name["p3"].items()}
    item = LoadParticipantd()(annotated)
    assert item["image"].shape == (2, 6, 5, 4) and item["label"].shape == (1, 6, 5, 4)
    reference = SimpleITK.ReadImage(str(study / "p3" / "water.nrrd"))
    point = np.diag([-1, -1, 1, 1]) @ item["image"].affine.numpy() @ [5, 4, 3, 1]
    np.testing.assert_allclose(point[:3], reference.TransformIndexToPhysicalPoint((5, 4, 3)), atol=1e-6)
    assert float(item["image"][0, 5, 4, 3]) == pytest.approx(reference.GetPixel(5, 4, 3))
    weights = inverse_sqrt_frequency(pairs, anatomy.CHANNEL_COUNT)
    assert weights[SARTORIUS] > 0 and weights[anatomy.by_name("femur").index] == 0


def test_groups_of_a_table_stay_together(study: Path, tmp_path: Path) -> None:
    rows = ["folder,group", *(f"{f.name},{'family' if f.name[0] == 'p' else f.name[:7]}" for f in study.iterdir())]
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    content = make_datalist(study, tmp_path / "list.json", folds=3, group_by=str(tmp_path / "groups.csv"))
    assert len({e["fold"] for e in content["training"] if e["group"] == "family"}) == 1


def test_a_leak_between_folds_is_an_error(study: Path) -> None:
    make_datalist(study, study / "datalist.json", folds=3)
    content = json.loads((study / "datalist.json").read_text())
    first = next(e for e in content["training"] if e["participant"] == "1000001")
    first["fold"] = (first["fold"] + 1) % 3
    (study / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="in more than one fold"):
        read_datalist(study / "datalist.json")


def test_the_same_image_under_two_names_is_an_error(study: Path, tmp_path: Path) -> None:
    for number in range(8):  # at least one of these copies falls into another fold
        shutil.copytree(study / "p5", study / f"copy{number}")
        water = read_volume(study / f"copy{number}" / "water.nrrd")
        write_volume(study / f"copy{number}" / "water.nrrd", water)  # other bytes, because the file holds the date
    with pytest.raises(InputError, match="image.* in more than one fold"):
        make_datalist(study, tmp_path / "list.json", folds=3)
    assert not (tmp_path / "list.json").exists()


def test_a_datalist_that_lost_a_key_is_named_with_it(study: Path) -> None:
    make_datalist(study, study / "datalist.json", folds=3)
    content = json.loads((study / "datalist.json").read_text())
    del content["training"][2]["fold"]
    (study / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="entry 2 without fold"):
        read_datalist(study / "datalist.json")


def test_a_missing_weak_folder_is_refused(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study), "--weak-folder", "p44"]) == 2
    assert "--weak-folder p44" in capsys.readouterr().err


def test_a_plain_label_map_needs_its_scheme(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study), "--label", "labels.nrrd"]) == 2
    assert "--scheme" in capsys.readouterr().err


def test_datalist_of_other_channels_is_refused(study: Path) -> None:
    make_datalist(study, study / "datalist.json", folds=2)
    with pytest.raises(InputError, match="channels water.nrrd"):
        read_datalist(study / "datalist.json", ["water.nrrd", "fat.nrrd"])


def test_folders_without_a_datalist_are_split_by_count(tmp_path: Path) -> None:
    for seed in range(3):
        participant(tmp_path / str(seed), seed)
    pairs = list_pairs(tmp_path, label="segmentation.seg.nrrd")
    assert len(training_pairs(pairs, 1)) == 2 and validation_pairs(pairs, 1) == pairs[-1:]


def test_a_split_that_leaves_nobody_to_train_on_is_refused() -> None:
    pairs: list[dict[str, Any]] = [{}, {}, {}]
    for count in (3, 8, -1):
        with pytest.raises(InputError, match=f"validation_count: {count} of 3 participants; expected 0 to 2"):
            training_pairs(pairs, count)
    assert len(validation_pairs(pairs, 8)) == 3  # an evaluation trains on nobody
    with pytest.raises(InputError, match="no participant to train on"):
        training_pairs([{"fold": 0, "weak": False}], 1, 0)


def test_a_label_map_without_a_label_is_refused(tmp_path: Path) -> None:
    participant(tmp_path / "1", 1)
    (found,) = list_pairs(tmp_path, label="segmentation.seg.nrrd")
    pair: dict[Hashable, Any] = {"image": found["image"], "label": str(tmp_path / "1" / "labels.nrrd")}
    write_volume(tmp_path / "1" / "labels.nrrd", Volume(np.zeros(GRID.shape, np.uint8), GRID))
    with pytest.raises(InputError, match=r"1/labels.nrrd: no labelled voxel"):
        LoadParticipantd()(pair)


def test_label_maps_of_another_tool_are_weak_and_read_by_its_scheme(tmp_path: Path) -> None:
    from operators.core.label_schemes import load_scheme

    scheme = load_scheme("musclemap")
    names = scheme.structures["sartorius"]  # left and right
    left = next(number for number, label in scheme.labels.items() if label == names[0])
    for number in range(2):
        folder = tmp_path / "data" / str(number)
        participant(folder, number)
        labels = np.zeros(GRID.shape, np.uint16)
        labels[1, 1, 1] = left
        finer = np.kron(labels, np.ones((1, 2, 1), np.uint16))  # the tool's own grid: half the spacing along y
        affine = GRID.affine @ np.diag([1.0, 0.5, 1.0, 1.0])
        affine[:3, 3] -= GRID.affine[:3, 1] / 4
        nibabel.save(nibabel.Nifti1Image(finer.T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine), folder / "map.nii.gz")
    given = [str(tmp_path / "data"), "--folds", "2", "--label", "map.nii.gz", "--scheme", "musclemap"]
    assert main(given) == 0
    pairs = read_datalist(tmp_path / "data" / "datalist.json")
    assert all(pair["weak"] for pair in pairs)
    first: dict[Hashable, Any] = {str(key): value for key, value in pairs[0].items()}
    assert np.argwhere(LoadParticipantd()(first)["label"].numpy()).tolist() == [[0, 1, 1, 1]]
    assert np.flatnonzero(pairs[0]["annotated"]).tolist() == [0, SARTORIUS]
