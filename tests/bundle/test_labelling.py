"""`inference.yaml` labels fused studies with the application's engine and gives MONAI's labels on each image's grid."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from bundle.scripts import list_images
from operators.core import anatomy
from operators.core.errors import InputError, SegmentationError, UsageError
from operators.core.nrrd_files import read_segmentation, read_volume, write_volume
from operators.core.volume import Volume
from operators.segmentation.signal_scale import muscle_water
from operators.station_fusion.body import body_mask
from tests.bundle.tiny import ROOT, run_bundle, write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    write_weights(path, "inference.yaml")
    return path


@pytest.fixture
def studies(pairs: Path, tmp_path: Path) -> Path:
    """Two fused studies, one of them one folder deeper, as the application writes it."""
    folder = tmp_path / "studies"
    shutil.copytree(pairs / "000000", folder / "a" / "fused")
    shutil.copytree(pairs / "000001", folder / "b")
    return folder


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def label(studies: Path, out: Path, weights: Path, *arguments: str, config: str = "inference.yaml") -> None:
    paths = ["--dataset_dir", str(studies), "--output_dir", str(out), "--weights", str(weights)]
    run_bundle(config, arguments=[*paths, *arguments])


def refused(kind: type[Exception], studies: Path, out: Path, weights: Path, *arguments: str) -> str:
    """Text of our error, which MONAI wraps if a config's component raises it."""
    with pytest.raises((RuntimeError, kind)) as raised:
        label(studies, out, weights, *arguments)
    error: BaseException | None = raised.value
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return str(error)


@pytest.mark.parametrize("interpolate", ["scores", "probabilities"])
def test_labels_are_those_of_monais_evaluator_on_the_images_grid(
    studies: Path, tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str], interpolate: str
) -> None:
    label(studies, tmp_path / "ours", weights, "--interpolate", interpolate)
    assert "2/2" in capfd.readouterr().err  # the progress bar
    label(studies, tmp_path / "monais", weights, "--interpolate", interpolate, "--run", "['$@evaluator.run()']")
    for folder in ("a/fused", "b"):
        ours = nibabel.Nifti1Image.from_filename(tmp_path / "ours" / folder / "water_labels.nii.gz")
        monais = nibabel.Nifti1Image.from_filename(tmp_path / "monais" / folder / "water_labels.nii.gz")
        found, expected = (np.asarray(image.dataobj).squeeze() for image in (ours, monais))
        assert ours.get_data_dtype() == np.uint8
        expected[expected == anatomy.ADIPOSE_INDEX] = 0
        assert len(np.unique(expected)) > 3
        assert (found == expected).mean() >= 0.999
        np.testing.assert_allclose(ours.affine, monais.affine, atol=1e-4)
        image = SimpleITK.ReadImage(str(studies / folder / "water.nrrd"))
        labels = SimpleITK.ReadImage(str(tmp_path / "ours" / folder / "water_labels.nii.gz"))
        assert labels.GetSize() == image.GetSize()
        np.testing.assert_allclose(labels.GetOrigin(), image.GetOrigin(), atol=1e-3)
        np.testing.assert_allclose(labels.GetSpacing(), image.GetSpacing(), rtol=1e-5)
        np.testing.assert_allclose(labels.GetDirection(), image.GetDirection(), atol=1e-5)


def test_the_body_mask_limits_labels_and_the_options_choose_the_output(
    studies: Path, tmp_path: Path, weights: Path
) -> None:
    water = read_volume(studies / "b" / "water.nrrd")
    body = np.zeros(water.grid.shape, dtype=np.uint8)
    body[4:20, 6:18, 8:20] = 1
    write_volume(studies / "b" / "body.nrrd", Volume(body, water.grid))
    arguments = ["--output_format", ".seg.nrrd", "--options#backend", "torch", "--options#confidence", "True"]
    label(studies, tmp_path / "out", weights, *arguments)
    labels = read_segmentation(tmp_path / "out" / "b" / "water_labels.seg.nrrd")
    confidence = read_volume(tmp_path / "out" / "b" / "water_confidence.nrrd").voxels
    assert labels.grid.same_as(water.grid)
    assert labels.voxels.any() and not labels.voxels[body == 0].any()
    assert (confidence[body == 1] >= 1 / anatomy.CHANNEL_COUNT).all() and not confidence[body == 0].any()


def write_card(weights: Path, **training_signal: float) -> None:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = {"sha256": digest, "training_signal": training_signal}
    (weights.parent / "shipped.json").write_text(json.dumps(card), encoding="utf-8")


def signal(path: Path) -> NDArray[np.float32]:
    return np.asarray(read_volume(path).voxels, dtype=np.float32)


def multiply(folder: Path, factor: float) -> None:
    for name in ("water", "fat"):
        path = folder / f"{name}.nrrd"
        write_volume(path, Volume(signal(path) * np.float32(factor), read_volume(path).grid))


def test_signal_of_another_scale_gives_the_labels_of_the_trainings_scale(studies: Path, tmp_path: Path) -> None:
    weights = tmp_path / "tiny.pt"
    write_weights(weights, "inference.yaml")
    torch_only = ("--options#backend", "torch")
    shutil.rmtree(studies / "a")
    grid = read_volume(studies / "b" / "water.nrrd").grid
    water, fat = (signal(studies / "b" / f"{name}.nrrd") for name in ("water", "fat"))
    level = muscle_water(water, fat, body_mask(water, fat, grid))
    assert level is not None
    write_card(weights, muscle_water=level, low=level * 0.99, high=level * 1.01)
    label(studies, tmp_path / "one", weights, *torch_only)
    multiply(studies / "b", 5.0)
    label(studies, tmp_path / "five", weights, *torch_only)
    (weights.parent / "shipped.json").unlink()
    label(studies, tmp_path / "no_card", weights, *torch_only)
    one, five, no_card = (
        np.asarray(nibabel.Nifti1Image.from_filename(tmp_path / name / "b" / "water_labels.nii.gz").dataobj)
        for name in ("one", "five", "no_card")
    )
    assert len(np.unique(one)) > 3
    np.testing.assert_array_equal(five, one)
    assert (no_card != one).mean() > 0.05


def test_signal_that_no_factor_helps_is_not_labelled(studies: Path, tmp_path: Path) -> None:
    weights = tmp_path / "tiny.pt"
    write_weights(weights, "inference.yaml")
    write_card(weights, muscle_water=200, low=190, high=210)
    path = studies / "b" / "fat.nrrd"
    write_volume(path, Volume(signal(path) + np.float32(900), read_volume(path).grid))
    said = refused(SegmentationError, studies, tmp_path / "out", weights, "--options#backend", "torch")
    assert "1 of 2 studies: not labelled (first b:" in said and "no lean muscle" in said


def test_a_study_that_cannot_be_labelled_is_named_and_the_others_are_labelled(
    studies: Path, tmp_path: Path, weights: Path
) -> None:
    water = read_volume(studies / "a" / "fused" / "water.nrrd")
    water.voxels[3, 4, 5] = np.nan
    write_volume(studies / "a" / "fused" / "water.nrrd", water)
    said = refused(SegmentationError, studies, tmp_path / "out", weights, "--options#backend", "torch")
    assert "1 of 2 studies: not labelled (first a/fused: fused/water.nrrd: voxels that are NaN" in said
    assert [path.name for path in tmp_path.glob("out/**/*.gz")] == ["water_labels.nii.gz"]
    assert (tmp_path / "out" / "b" / "water_labels.nii.gz").is_file()


def test_two_channels_are_read_in_the_order_of_the_config(studies: Path, tmp_path: Path) -> None:
    configs = ("inference.yaml", "overrides/water_fat.yaml")
    write_weights(tmp_path / "two.pt", *configs)
    shutil.rmtree(studies / "a")
    paths = ["--dataset_dir", str(studies), "--weights", str(tmp_path / "two.pt"), "--options#backend", "torch"]
    run_bundle(*configs, arguments=[*paths, "--output_dir", str(tmp_path / "as_is")])
    water, fat = (studies / "b" / f"{name}.nrrd" for name in ("water", "fat"))
    other = water.rename(studies / "other.nrrd")
    fat.rename(water)
    other.rename(fat)
    run_bundle(*configs, arguments=[*paths, "--output_dir", str(tmp_path / "swapped")])
    found = [
        np.asarray(nibabel.Nifti1Image.from_filename(tmp_path / name / "b" / "water_labels.nii.gz").dataobj)
        for name in ("as_is", "swapped")
    ]
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output_format", ".dcm"], "output_format"),
        (["--options#backend", "tensorflow"], "backend: "),
        (["--options#colour", "red"], "colour"),
        (["--inferer", "$monai.inferers.SimpleInferer()"], "a SlidingWindowInferer"),
        (["--runner#images", "['t1.nrrd']"], "t1"),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_written(
    studies: Path, tmp_path: Path, weights: Path, arguments: list[str], said: str
) -> None:
    assert said in refused(UsageError, studies, tmp_path / "out", weights, *arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_studies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder with water\.nrrd"):
        list_images(tmp_path)
