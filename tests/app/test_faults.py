"""Faults of archives, through loading, fusing and measuring: each is refused or reported.

The labels are the true ones, so that the network cannot be the cause of missing or wrong values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from operators.core.errors import InputError
from operators.core.options import FusionOptions
from operators.core.volume import Fused, QualityFlag, Study, Volume
from operators.dicom_loader import load_study
from operators.phenotype_report import Measurements, measure
from operators.station_fusion import fuse
from phantom.faults import FAULTS
from phantom.header_faults import ONE_STATION, WHOLE_STUDY
from phantom.options import COMPRESSED
from phantom.truth import Truth
from tests.app.made_study import Scanned

REFUSED = {
    "missing-contrast": "fat",
    "missing-slice": "slice",
    "mixed-frame": "frame",
    "nan-spacing": "PixelSpacing",
    "thin-station": "slice",
    "truncated-file": ".dcm",
    "zero-byte-file": ".dcm",
}
HARMLESS = {"shuffled-slices": set(), "duplicate-station": {"duplicate-station"}, COMPRESSED: set()}
FLAGGED = {"wrong-description": {"contrast-disagreement"}}
WITHHELD = {"missing-station": {"station-gap"}, "no-knees": {"no-pelvis-to-knee-coverage"}}
#: Faults that the fusion may correct, work around or refuse, but must report.
SAID = {"shifted-station", "size-mismatch", "swapped-station"}


@dataclass(frozen=True)
class Outcome:
    """A study that was fused and measured with true labels."""

    study: Study
    fused: Fused
    truth: Truth

    @cached_property
    def measurements(self) -> Measurements:
        labels = Volume(self.truth.labels_on(self.fused.grid) * self.fused.body, self.fused.grid)
        return measure(labels, self.fused, self.study.height_m, self.study.flags)

    @property
    def flags(self) -> tuple[QualityFlag, ...]:
        return self.fused.flags

    @property
    def codes(self) -> set[str]:
        return {flag.code for flag in self.flags}


@pytest.fixture(scope="module")
def outcome_of(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    def outcome(*faults: str, stations: int = 4) -> Outcome:
        folder = scanned.write_folder(tmp_path_factory.mktemp("fault") / "dicom", faults, stations)
        study = load_study(folder)
        return Outcome(study, fuse(study, FusionOptions(device="cpu")), scanned.truth)

    return outcome


@pytest.fixture(scope="module")
def sound(outcome_of: Callable[..., Outcome]) -> Outcome:
    return outcome_of()


def test_every_fault_is_accounted_for() -> None:
    elsewhere = {*WHOLE_STUDY, *ONE_STATION}  # tests/phantom/test_header_faults.py
    known = [*REFUSED, *HARMLESS, *FLAGGED, *WITHHELD, *SAID, *elsewhere]
    assert sorted(known) == sorted([*FAULTS, COMPRESSED])


def test_a_sound_study_measures_the_truth(sound: Outcome, scanned: Scanned) -> None:
    assert not [flag for flag in sound.flags if flag.severity != "info"]
    assert sound.measurements.withheld is None
    phenotypes, truth = sound.measurements.phenotypes, scanned.truth.covered_volumes
    assert phenotypes.tmv_cm3 == pytest.approx(truth.tmv_cm3, rel=0.05)
    assert phenotypes.pa_ratio == pytest.approx(truth.pa_ratio, rel=0.05)


@pytest.mark.parametrize("fault", REFUSED)
def test_a_study_that_cannot_be_read_correctly_is_refused(scanned: Scanned, tmp_path: Path, fault: str) -> None:
    folder = scanned.write_folder(tmp_path / "dicom", [fault])
    with pytest.raises(InputError, match=REFUSED[fault]) as raised:
        fuse(load_study(folder), FusionOptions(device="cpu"))
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("fault", [name for name in HARMLESS if name != COMPRESSED])
def test_correctable_faults_give_the_images_of_the_intact_study(
    outcome_of: Callable[..., Outcome], sound: Outcome, fault: str
) -> None:
    outcome = outcome_of(fault)
    assert outcome.codes == HARMLESS[fault]
    np.testing.assert_array_equal(outcome.fused.water, sound.fused.water)


def test_a_description_that_contradicts_the_image_type_is_reported(
    outcome_of: Callable[..., Outcome], sound: Outcome
) -> None:
    outcome = outcome_of("wrong-description")
    assert outcome.codes == FLAGGED["wrong-description"]
    np.testing.assert_array_equal(outcome.fused.water, sound.fused.water)


@pytest.mark.parametrize("fault", WITHHELD)
def test_without_a_station_no_phenotype_is_given(outcome_of: Callable[..., Outcome], fault: str) -> None:
    outcome = outcome_of(fault)
    assert WITHHELD[fault] <= outcome.codes
    assert outcome.measurements.withheld
    assert not any(outcome.measurements.phenotypes.values())
    assert all(structure.volume_cm3 is None for structure in outcome.measurements.structures)


def test_a_gap_in_all_six_stations_is_found_too(outcome_of: Callable[..., Outcome]) -> None:
    """If the fifth of six stations is missing, there is a gap among the lowest four."""
    outcome = outcome_of("missing-station", stations=6)
    assert "station-gap" in outcome.codes and outcome.measurements.withheld


def test_all_six_stations_give_the_phenotypes_of_the_lower_four(
    scanned: Scanned, sound: Outcome, tmp_path: Path
) -> None:
    """Above the pelvis the network may label nothing: its muscles there would count as those of the hip."""
    study = load_study(scanned.write_folder(tmp_path / "dicom", stations=6))
    fused = fuse(study, FusionOptions(device="cpu", stations="all"))
    labels = scanned.truth.labels_on(fused.grid) * fused.body
    assert fused.label_slices is not None
    first, end = fused.label_slices
    labels[:first] = labels[end:] = 0
    phenotypes = measure(Volume(labels, fused.grid), fused, study.height_m, study.flags).phenotypes
    for key in ("tmv_cm3", "pa_ratio", "core_cm3"):
        assert phenotypes[key] == pytest.approx(sound.measurements.phenotypes[key], rel=0.02), key


def test_without_the_highest_station_muscles_of_the_trunk_are_not_given(
    outcome_of: Callable[..., Outcome], sound: Outcome
) -> None:
    """The iliopsoas lacks a fifth, and the TMV 7%; the thighs are whole."""
    outcome = outcome_of(stations=3)
    assert outcome.codes == {"short-trunk"} and outcome.measurements.withheld is None
    found, right = outcome.measurements.phenotypes, sound.measurements.phenotypes
    for key in ("tmv_cm3", "core_cm3"):
        assert found[key] is None and "Only a part" in outcome.measurements.not_given[key], key
    for key in ("pa_ratio", "lr_asymmetry", "quadriceps_cm3", "hamstrings_cm3"):
        assert found[key] == pytest.approx(right[key], rel=0.02, abs=0.01), key  # voxels of 9 mm


def test_knees_missing_from_all_six_stations_are_at_least_reported(outcome_of: Callable[..., Outcome]) -> None:
    """Five stations without the lowest look like five without the highest, so only a warning is possible so far."""
    outcome = outcome_of("no-knees", stations=6)
    assert {f.code for f in outcome.flags if f.severity == "warning"} >= {"station-count"}


@pytest.mark.parametrize("fault", sorted(SAID))
def test_no_wrong_value_is_reported_as_right(outcome_of: Callable[..., Outcome], fault: str) -> None:
    try:
        outcome = outcome_of(fault)
    except InputError:
        return
    assert [flag for flag in outcome.flags if flag.severity != "info"]
