"""Every fault of the phantom, from DICOM to the fused study: what is flagged and what is refused.

The body is scanned once, coarsely. Each fault is applied to its series, and
the study is packed as in the archive.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from operators.core.errors import InputError
from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Fused
from operators.dicom_loader import load_study
from operators.station_fusion import fuse, stations_to_fuse
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_tissues
from phantom.archive import write_zip
from phantom.dicom_files import dicom_files
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.faults import FAULTS, apply_faults
from phantom.header_faults import ONE_STATION, WHOLE_STUDY
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations, coarser

SEED = 5
STATIONS = coarser(archive_stations(6), in_plane=2, through_plane=3)
VICTIM = 5  # the second station from below

Fusing = Callable[..., Fused]


@pytest.fixture(scope="module")
def sound() -> list[Series]:
    person = draw_participant(SEED)
    tissues = build_tissues(person, body_grid(person, (8.0, 8.0, 8.0)))
    # Without motion, the body is exactly at its true position.
    options = AcquisitionOptions(shift_sd_mm=0.0, breathing_sd_mm=0.0)
    return series_of_study(acquire_study(tissues, STATIONS, options, SEED), SEED)


@pytest.fixture
def archive(sound: list[Series], tmp_path: Path) -> Callable[..., Path]:
    """The study as a zip: the lower four stations (all six on request) with some faults."""

    def pack(*faults: str, stations: int = 4) -> Path:
        series = [s for s in sound if s.station > 6 - stations]
        faulty, _ = apply_faults(series, [f for f in faults if f != "compressed"], SEED)
        patient = Patient("9000005", "F", 70.0, 160.0, 62.0)
        files = (file for s in faulty for file in dicom_files(s, patient, compress="compressed" in faults))
        path = tmp_path / f"{'-'.join(faults) or 'sound'}.zip"
        if not path.exists():
            write_zip(files, path)
        return path

    return pack


@pytest.fixture
def fused(archive: Callable[..., Path]) -> Fusing:
    def run(*faults: str, stations: int = 4, allow_missing_slices: bool = False, **options: object) -> Fused:
        study = load_study(archive(*faults, stations=stations), allow_missing_slices=allow_missing_slices)
        return fuse(study, FusionOptions(**options))  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="module")
def reference(sound: list[Series], tmp_path_factory: pytest.TempPathFactory) -> Fused:
    """The intact study, fused."""
    path = tmp_path_factory.mktemp("sound") / "sound.zip"
    patient = Patient("9000005", "F", 70.0, 160.0, 62.0)
    write_zip((file for s in sound if s.station > 2 for file in dicom_files(s, patient)), path)
    return fuse(load_study(path))


def numbers(sound: list[Series], *contrasts: Contrast) -> list[int]:
    """The victim's series."""
    return sorted(s.number for s in sound if s.station == VICTIM and s.contrast in (contrasts or tuple(Contrast)))


def flags(result: Fused) -> dict[str, str]:
    return {flag.code: flag.severity for flag in result.flags}


def message(result: Fused, code: str) -> str:
    (found,) = [flag.message for flag in result.flags if flag.code == code]
    return found


def test_a_sound_study_has_no_flag(reference: Fused) -> None:
    assert reference.flags == ()
    assert [pair["shift_mm"] < 3.0 for pair in reference.overlaps] == [True] * 3


@pytest.mark.parametrize("fault", ["shuffled-slices", "compressed"])
def test_order_and_compression_change_nothing(fused: Fusing, reference: Fused, fault: str) -> None:
    result = fused(fault)
    assert result.flags == ()
    np.testing.assert_array_equal(result.water, reference.water)


#: Series that are not decoded: above the pelvis, or rescanned.
SPARED = {
    ("pelvis-to-knee", "compressed"): 8,
    ("pelvis-to-knee", "duplicate-station"): 8,
    ("pelvis-to-knee", "missing-station"): 4,
    ("pelvis-to-knee", "size-mismatch"): 8,
    ("all", "duplicate-station"): 0,
    ("all", "compressed"): 0,
}


@pytest.mark.parametrize(("choice", "fault"), SPARED)
def test_decoding_only_what_is_fused_changes_nothing(archive: Callable[..., Path], choice: str, fault: str) -> None:
    path = archive(fault, stations=6)
    options = FusionOptions(stations=choice)  # type: ignore[arg-type]
    whole = fuse(load_study(path), options)
    study = load_study(path, select=partial(stations_to_fuse, choice=options.stations))
    result = fuse(study, options)
    spared = sum(not station.decoded for station in study.stations)
    assert spared == SPARED[choice, fault]
    assert (result.flags, result.overlaps) == (whole.flags, whole.overlaps)
    for contrast in ("water", "fat", "opposed", "in_phase", "body"):
        np.testing.assert_array_equal(getattr(result, contrast), getattr(whole, contrast))


def test_the_rescanned_station_is_used(fused: Fusing, reference: Fused) -> None:
    result = fused("duplicate-station")
    assert flags(result) == {"duplicate-station": "info"}
    np.testing.assert_array_equal(result.water, reference.water)


def test_a_missing_station_is_a_gap(fused: Fusing) -> None:
    result = fused("missing-station", stations=6)
    assert flags(result) == {"station-count": "warning", "station-gap": "error"}
    assert (result.water.max(axis=(1, 2)) == 0).sum() > 5


def test_missing_knees_are_noticed_though_four_stations_remain(fused: Fusing) -> None:
    result = fused("no-knees", stations=6)
    assert flags(result) == {"station-count": "warning", "no-knee-coverage": "error"}


def test_three_stations_do_not_cover_pelvis_to_knee(fused: Fusing) -> None:
    assert flags(fused("no-knees")) == {"no-pelvis-to-knee-coverage": "error", "no-knee-coverage": "error"}


def test_a_swapped_station_is_flagged_and_left_alone(fused: Fusing, reference: Fused, sound: list[Series]) -> None:
    result = fused("swapped-station")
    assert flags(result) == {"water-fat-swap": "error"}
    assert ", ".join(map(str, numbers(sound))) in message(result, "water-fat-swap")
    assert np.abs(result.water - reference.water).max() > 100


def test_a_swapped_station_is_corrected_on_request(fused: Fusing, reference: Fused, sound: list[Series]) -> None:
    result = fused("swapped-station", fix_swaps=True)
    assert flags(result) == {"water-fat-swap": "warning"}
    for contrast in ("water", "fat", "opposed", "in_phase"):
        np.testing.assert_array_equal(getattr(result, contrast), getattr(reference, contrast))
    # Sources are stated correctly: this station's water is in the series that is labelled fat.
    (water,) = [s for s in result.stations if s.contrast is Contrast.WATER and s.series_number in numbers(sound)]
    assert water.series_number == numbers(sound, Contrast.FAT)[0]


def test_matrices_of_different_size_are_cropped(fused: Fusing, reference: Fused) -> None:
    result = fused("size-mismatch")
    assert flags(result) == {"contrast-grid-mismatch": "warning", "contrast-cropped": "warning"}
    # The last rows and columns are cut; stations begin at different rows.
    np.testing.assert_array_equal(result.water[:, :70, :100], reference.water[:, :70, :100])


def test_a_shifted_station_is_named_with_its_displacement(fused: Fusing, sound: list[Series]) -> None:
    result = fused("shifted-station")
    assert flags(result) == {"shifted-station": "warning"}
    text = message(result, "shifted-station")
    assert ", ".join(map(str, numbers(sound))) in text
    moved = 5 * STATIONS[0].in_plane_mm
    shifts = [pair["shift_x_mm"] for pair in result.overlaps]
    assert shifts[0] == pytest.approx(0, abs=1.5)
    assert shifts[1] == pytest.approx(moved, abs=1.5)
    assert shifts[2] == pytest.approx(-moved, abs=1.5)


def test_a_missing_slice_is_refused_and_on_request_interpolated(
    archive: Callable[..., Path], fused: Fusing, reference: Fused
) -> None:
    with pytest.raises(InputError, match="1 missing slice, at z = .* allow missing slices"):
        load_study(archive("missing-slice"))
    result = fused("missing-slice", allow_missing_slices=True)
    assert flags(result) == {"missing-slice": "warning"}
    assert result.grid.same_as(reference.grid)
    difference = np.abs(result.water - reference.water).max(axis=(1, 2))
    assert 0 < (difference > 1).sum() <= 6


def test_a_wrong_description_is_flagged_and_ignored(fused: Fusing, reference: Fused) -> None:
    result = fused("wrong-description")
    assert flags(result) == {"contrast-disagreement": "warning"}
    np.testing.assert_array_equal(result.water, reference.water)


REFUSED = {
    "missing-contrast": "no fat at any table position",
    "mixed-frame": "2 frames of reference",
    "nan-spacing": "PixelSpacing",
    "thin-station": "1 slice;",
    "truncated-file": "truncated|damaged|ends",
    "zero-byte-file": "an empty file",
}


@pytest.mark.parametrize(("fault", "found"), REFUSED.items(), ids=REFUSED.keys())
def test_studies_that_cannot_be_fused_correctly_are_refused(
    archive: Callable[..., Path], fault: str, found: str
) -> None:
    with pytest.raises(InputError, match=found) as caught:
        load_study(archive(fault))
    assert caught.value.remedy


def test_every_fault_is_tried_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    elsewhere = {*WHOLE_STUDY, *ONE_STATION}  # tests/phantom/test_header_faults.py
    assert [fault for fault in FAULTS if fault not in elsewhere and f'"{fault}"' not in text] == []
