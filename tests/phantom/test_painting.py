"""A label map becomes a body: its anatomy is kept, and what lies between is filled with the right tissue."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import painted_picture
from bundle.scripts import list_pairs
from operators.core import anatomy
from operators.core.command_line import run_command
from operators.core.errors import InputError
from operators.core.nrrd_files import read_volume, write_segmentation
from operators.core.volume import Grid, Volume
from phantom.commands import commands
from phantom.mapped_body import read_body
from phantom.painted import map_name, painted_pair, write_painted_set, write_painted_study
from phantom.painting import LabelledBody, paint
from tests.phantom.thigh_maps import FEMUR, HAMSTRINGS, QUADRICEPS, SCHEME, thighs


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The map as NIfTI (x, y, z), with x towards the patient's right, and the scheme."""
    affine = np.diag([2.0, -2.0, 8.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(thighs().transpose(2, 1, 0), affine), tmp_path / "map.nii.gz")
    (tmp_path / "scheme.yaml").write_text(SCHEME)
    return tmp_path / "map.nii.gz", tmp_path / "scheme.yaml"


def body(labels: NDArray[np.uint8]) -> LabelledBody:
    affine = np.diag([2.0, 2.0, 4.0, 1.0])
    table = np.array([0, FEMUR, QUADRICEPS, HAMSTRINGS], np.uint8)
    nothing = np.zeros(labels.shape, np.bool_)
    return LabelledBody(Grid(labels.shape, affine), table[labels], nothing, nothing)  # type: ignore[arg-type]


def test_muscle_is_lean_skin_surrounds_fat_and_air_stays_empty() -> None:
    source = body(thighs())
    tissues = paint(source, 1)
    total = tissues.water + tissues.fat
    fraction = np.divide(tissues.fat, total, out=np.zeros_like(total), where=total > 0)
    muscle = np.isin(source.labels, [QUADRICEPS, HAMSTRINGS])
    assert np.median(fraction[muscle]) < 0.25 and np.median(tissues.water[muscle]) > 180
    around = (source.labels == 0) & (total > 0)
    assert around.any() and np.median(fraction[around]) > 0.85
    assert total[:, 0, 0].max() == 0  # air
    centre = (slice(None), 30, 28)
    assert fraction[centre].min() > 0.6 and total[centre].min() > 200  # yellow marrow
    assert np.array_equal(tissues.labels, source.labels)


def test_fat_parts_muscles_that_touch() -> None:
    source, excess = body(thighs((6, 60, 100))), []
    for seed in range(4):
        tissues = paint(source, seed)
        fraction = (tissues.fat / np.maximum(tissues.water + tissues.fat, 1))[..., 16:23]
        excess.append(fraction[:, 29:31].mean() - fraction[:, [26, 27, 32, 33]].mean())
    assert min(excess) > 0.02 and np.mean(excess) > 0.08


def test_an_outline_decides_how_thick_the_fat_is() -> None:
    labels = thighs()
    wide = np.zeros(labels.shape, np.bool_)
    wide[:, 2:58, 2:98] = True
    source = body(labels)
    drawn = LabelledBody(source.grid, source.labels, source.other_muscle, source.other_bone, wide)
    assert ((paint(drawn, 1).fat > 0) == wide).mean() > 0.99


def test_a_map_is_read_in_its_own_terms(files: tuple[Path, Path]) -> None:
    labels, scheme = files
    found = read_body(labels, str(scheme))
    assert found.annotated == {"femur", "biceps_femoris", "vastus_lateralis", "vastus_intermedius"}
    assert found.merged == {"vastus_intermedius": "vastus_lateralis"}
    ours = found.body.labels
    assert set(np.unique(ours)) == {0, FEMUR, QUADRICEPS, HAMSTRINGS}
    rows = {value: np.nonzero(ours == value)[1].mean() for value in (QUADRICEPS, HAMSTRINGS)}
    assert rows[QUADRICEPS] < rows[HAMSTRINGS]  # +y is posterior
    z, y, x = found.body.grid.affine[[2, 1, 0], [2, 1, 0]]
    assert (x, y) == (2.0, 2.0) and z > 0


def test_an_empty_map_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    empty = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    nibabel.save(empty, tmp_path / "empty.nii.gz")
    with pytest.raises(InputError, match="no label"):
        read_body(tmp_path / "empty.nii.gz", str(files[1]))


def test_training_pairs_say_what_was_drawn_together(files: tuple[Path, Path], tmp_path: Path) -> None:
    source = read_body(files[0], str(files[1]))
    write_painted_set(tmp_path / "set", source, "thighs", [4, 5], spacing_mm=(8.0, 8.0, 12.0), water_alone=True)
    assert json.loads((tmp_path / "set/thighs-0004/classes.json").read_text())["merged"] == source.merged
    first, second = list_pairs(tmp_path / "set", ["water.nrrd", "fat.nrrd"])
    assert first["labelled_as"][anatomy.by_name("vastus_intermedius").index] == QUADRICEPS
    assert first["labelled_as"][anatomy.by_name("gracilis").index] == 0
    water, fat = (np.asarray(read_volume(Path(path)).voxels) for path in second["image"])
    labels = np.asarray(read_volume(Path(second["label"])).voxels)
    assert fat[labels == QUADRICEPS].mean() < 0.25 * water[labels == QUADRICEPS].mean()  # stands in: dark in muscle


def test_a_picture_shows_labels_water_and_fat(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "painted.png"
    words = ["", "--labels", str(files[0]), "--scheme", str(files[1]), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    painted_picture.main()
    labels, water, fat = np.split(np.asarray(Image.open(out), int)[:100], 3, axis=1)
    muscle = (labels == anatomy.by_name("biceps_femoris").colour_rgb).all(axis=2)
    assert 0.02 < muscle.mean() < 0.6
    assert np.median(water[muscle]) > 110 > 60 > np.median(fat[muscle])
    around = (labels.sum(axis=2) == 0) & (fat[..., 0] > 0)
    assert np.median(fat[around]) > 110


def test_maps_have_names_of_their_own_that_tell_no_file_name(files: tuple[Path, Path]) -> None:
    one, two = (map_name(path) for path in files)
    assert one == map_name(files[0]) != two and re.fullmatch(r"painted-[0-9a-f]{8}", one)


@pytest.mark.slow
def test_pairs_of_several_maps_lie_in_one_folder(files: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other" / files[0].name
    other.parent.mkdir()
    nibabel.save(nibabel.Nifti1Image(thighs((16, 60, 100)).transpose(2, 1, 0), np.diag([2, -2, 8, 1])), other)
    for labels in (files[0], other, files[0]):  # again: kept
        arguments = ["paint", "--labels", str(labels), "--scheme", str(files[1]), "--out", str(tmp_path / "pairs")]
        assert run_command(commands("phantom"), [*arguments, "--n", "1", "--spacing", "12", "12", "16"]) == 0
    found = sorted(path.name for path in (tmp_path / "pairs").iterdir())
    assert len(found) == 2 and all(re.fullmatch(r"painted-[0-9a-f]{8}-0000", name) for name in found)


def test_a_painted_study_has_the_maps_volumes_as_its_truth(files: tuple[Path, Path], tmp_path: Path) -> None:
    source = read_body(files[0], str(files[1]))
    written = write_painted_study(tmp_path / "study", source)
    expected = np.isin(source.body.labels, [QUADRICEPS, HAMSTRINGS]).sum() * source.body.grid.voxel_volume_mm3 / 1000
    assert written.truth.volumes.tmv_cm3 == pytest.approx(expected)
    assert len(list(written.dicom.iterdir())) % 4 == 0


def test_pairs_are_reproducible(files: tuple[Path, Path]) -> None:
    source = read_body(files[0], str(files[1]))
    one, two = (painted_pair(source, 3, (10.0, 10.0, 12.0)) for _ in range(2))
    np.testing.assert_array_equal(one.water.voxels, two.water.voxels)
    assert one.water.grid.same_as(one.labels.grid)


def test_segments_that_slicer_numbered_anew_are_told_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "edited.seg.nrrd"
    voxels = np.where(thighs((6, 60, 100)) == 3, HAMSTRINGS, 0).astype(np.uint8)
    write_segmentation(path, Volume(voxels, Grid(voxels.shape, np.diag([2.0, 2.0, 4.0, 1.0]))))  # type: ignore[arg-type]
    data, header = nrrd.read(str(path))
    for key, value in list(header.items()):
        if key.endswith("_LabelValue") and int(value) != HAMSTRINGS:
            header[key] = str(100 + int(value))
        elif key.endswith("_LabelValue"):
            header[key] = "1"
    nrrd.write(str(path), np.where(data == HAMSTRINGS, 1, 0).astype(np.uint8), header)
    assert read_body(path, "ours").annotated == {"biceps_femoris"}
