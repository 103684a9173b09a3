"""A study whose signal has another unit than the training's: labelled as if it had the same, or not at all."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from operators.core.errors import SegmentationError
from operators.core.volume import Contrast, Fused, Grid, Volume
from operators.phenotype_report import measure
from operators.segmentation import SegmentationModel, load_model, segment
from operators.segmentation.signal_scale import TrainingSignal, matching_scale, muscle_water
from operators.segmentation.study_signal import at_training_scale
from tests.segmentation.made_bundle import band_bundle, rewrite_card

GRID = Grid((24, 30, 36), np.diag([6.0, 6.0, 6.0, 1.0]))
TRAINING = {"muscle_water": 200, "low": 180, "high": 220}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = band_bundle(tmp_path_factory.mktemp("scale") / "bundle", spacing_mm=(6.0, 6.0, 6.0))
    rewrite_card(folder, training_signal=TRAINING)
    return folder


@pytest.fixture(scope="module")
def model(bundle: Path) -> SegmentationModel:
    return load_model(bundle, trusted=True)


def study(water_factor: float = 1.0, constant: float = 0.0) -> Fused:
    """A leg of lean muscle (water 200) within fat (fat 280), noise in the air."""
    _, y, x = np.indices(GRID.shape)
    radius = np.hypot(y - 14.5, x - 17.5)
    rng = np.random.default_rng(3)
    noise = np.abs(rng.normal(0, 5, (2, *GRID.shape)))
    water = np.where(radius < 8, 200.0, 20.0 * (radius < 12)) + noise[0]
    fat = np.where(radius < 8, 15.0, 280.0 * (radius < 12)) + noise[1]
    water, fat = (np.asarray(water_factor * image + constant, dtype=np.float32) for image in (water, fat))
    body = radius < 12
    fraction = np.where(body, fat / (water + fat), 0).astype(np.float32)
    return Fused(water, fat, water + fat, np.abs(water - fat), GRID, body, fraction, ())


def apart(found: Volume, expected: Volume) -> float:
    """Part of the voxels whose labels are more than one band apart."""
    return float((np.abs(found.voxels.astype(int) - expected.voxels.astype(int)) > 1).mean())


@pytest.mark.parametrize("factor", [0.1, 0.5, 3.0, 5.0, 10.0, 30.0, 1e6])
def test_labels_do_not_depend_on_the_unit_of_the_signal(model: SegmentationModel, factor: float) -> None:
    expected = segment(study(), model)
    found = segment(study(factor), model)
    assert expected.flags == ()
    assert [(flag.code, flag.severity) for flag in found.flags] == [("intensity-rescaled", "info")]
    # The network's bands are 5% of the signal wide; the typical level of training is 2% off this study's.
    assert apart(found, expected) < 0.001


def test_without_the_key_labels_depend_on_the_unit(model: SegmentationModel) -> None:
    expected = segment(study(), model)
    assert apart(segment(study(3.0), replace(model, training_signal=None)), expected) > 0.1


def test_a_study_within_the_training_range_is_shown_as_it_is() -> None:
    training = TrainingSignal(**TRAINING)
    assert matching_scale(study(), training) == (1.0, ())
    assert matching_scale(study(1.05), training) == (1.0, ())
    assert matching_scale(study(5.0), None) == (1.0, ())


def test_a_study_in_a_folder_without_fat_is_shown_as_it_is_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # MONAI's logging configuration, which other tests apply, disables the loggers that are there.
    monkeypatch.setattr(logging.getLogger(at_training_scale.__module__), "disabled", False)
    fused = study(5.0)
    image = tmp_path / "water.nrrd"
    assert at_training_scale(fused, image, (Contrast.WATER,), TrainingSignal(**TRAINING)) is fused
    assert "no fat.nrrd beside the images" in caplog.text
    both = at_training_scale(fused, image, (Contrast.WATER, Contrast.FAT), TrainingSignal(**TRAINING))
    level = muscle_water(both.water, both.fat, fused.body)
    assert level == pytest.approx(TRAINING["muscle_water"])


def test_the_level_is_that_of_muscle_however_much_fat_there_is() -> None:
    fused = study()
    lean = replace(fused, body=fused.body & (fused.fat < 100))
    assert muscle_water(lean.water, lean.fat, lean.body) == muscle_water(fused.water, fused.fat, fused.body)


def clipped() -> Fused:
    fused = study(30.0)
    return replace(fused, water=np.minimum(fused.water, 4095))


def no_muscle() -> Fused:
    fused = study()
    return replace(fused, water=fused.water * np.float32(0.05))


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [(clipped(), "cut off"), (study(5.0, constant=1000.0), "lean muscle|constant"), (no_muscle(), "no lean muscle")],
    ids=["clipped", "constant added", "no muscle"],
)
def test_signal_that_no_factor_puts_right_gives_no_phenotypes(
    model: SegmentationModel, spoilt: Fused, reason: str
) -> None:
    labels = segment(spoilt, model)
    assert not labels.voxels.any()
    ((code, severity),) = [(flag.code, flag.severity) for flag in labels.flags]
    assert (code, severity) == ("intensity-unmatched", "error")
    found = measure(labels, spoilt)
    assert found.withheld and re.search(reason, found.withheld)
    assert not any(found.phenotypes.values())
    assert [flag.code for flag in found.flags] == ["intensity-unmatched"]


@pytest.mark.parametrize(
    "wrong", [{"muscle_water": 200}, {**TRAINING, "low": 210}, {**TRAINING, "low": 0}, "bright", {"median": 3}]
)
def test_a_card_with_an_unusable_range_is_refused(tmp_path: Path, wrong: object) -> None:
    folder = band_bundle(tmp_path / "bundle", spacing_mm=(6.0, 6.0, 6.0))
    rewrite_card(folder, training_signal=wrong)
    with pytest.raises(SegmentationError, match="training_signal"):
        load_model(folder, trusted=True)


def test_bright_hands_in_masked_air_are_not_taken_for_a_constant() -> None:
    fused = study(0.5)
    water = np.where(fused.body, fused.water, 0).astype(np.float32)
    water[4:8, 2:5, 2:5] = 90  # a hand, which is not of the body mask
    factor, flags = matching_scale(replace(fused, water=water), TrainingSignal(200, 180, 220))
    assert factor == pytest.approx(2.0, rel=0.05)
    assert [flag.code for flag in flags] == ["intensity-rescaled"]


def test_the_median_is_exact_and_leaves_the_images_as_they_are() -> None:
    fused = study()
    water, fat = fused.water.copy(), fused.fat.copy()
    expected = float(np.median(water[fused.body & (fat < 0.25 * water)]))
    assert muscle_water(fused.water, fused.fat, fused.body) == expected
    np.testing.assert_array_equal(fused.water, water)
    np.testing.assert_array_equal(fused.fat, fat)
