"""A whole synthetic study on disk, and its truth."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from operators.core.anatomy import HAMSTRINGS, MUSCLES, QUADRICEPS, STRUCTURES, by_name
from operators.core.errors import OutputError, UsageError
from operators.core.options import OptionError
from operators.core.volume import Grid, Volume
from phantom.__main__ import main
from phantom.faults import FAULTS
from phantom.fused import fused_grid
from phantom.options import COMPRESSED, TMV_LIMITS_CM3, FaultName, StudyOptions
from phantom.participant import draw_participant
from phantom.planes import Plane
from phantom.station_geometry import archive_stations, coarser, coverage_mm, stations_of
from phantom.study import WrittenStudy, eid_of, write_study
from phantom.truth import Truth, count_volumes

COARSE = coarser(archive_stations(6))
SPACING_MM = (6.0, 6.0, 6.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    out = tmp_path_factory.mktemp("study")
    return write_study(out, seed=11, stations=COARSE, tissue_spacing_mm=SPACING_MM)


def facts(study: WrittenStudy) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((study.truth_folder / "truth.json").read_text(encoding="utf-8"))
    return loaded


def test_a_study_is_24_series_of_six_stations(study: WrittenStudy) -> None:
    assert len(list(study.dicom.iterdir())) == 24
    assert len(list(study.dicom.rglob("*.dcm"))) == 4 * sum(s.slices for s in COARSE)
    assert not [p for p in study.dicom.parent.iterdir() if p.name.startswith(".")]


def test_truth_volumes_are_the_voxels_of_the_label_file(study: WrittenStudy) -> None:
    image = sitk.ReadImage(str(study.truth_folder / "labels.seg.nrrd"))
    labels = sitk.GetArrayFromImage(image)
    voxel_cm3 = float(np.prod(image.GetSpacing())) / 1000
    truth = facts(study)
    for name in ("gluteus_maximus", "vastus_lateralis", "femur", "multifidus"):
        counted = np.argwhere(labels == by_name(name).index)
        sides = [image.TransformContinuousIndexToPhysicalPoint([float(i) for i in at[::-1]])[0] > 0 for at in counted]
        told = truth["volumes_cm3"][name]  # type: ignore[index]
        assert told["left"] == pytest.approx(sum(sides) * voxel_cm3)
        assert told["right"] == pytest.approx((len(sides) - sum(sides)) * voxel_cm3)
        assert told["total"] == pytest.approx(told["left"] + told["right"])


def test_all_27_structures_are_there_on_both_sides_and_sum_to_the_phenotypes(study: WrittenStudy) -> None:
    truth = facts(study)
    volumes = {name: v["total"] for name, v in truth["volumes_cm3"].items()}  # type: ignore[attr-defined]
    assert list(volumes) == [s.name for s in STRUCTURES]
    for structure in STRUCTURES:
        sides = study.truth.volumes.structures[structure.name]
        assert sides.left_cm3 and sides.right_cm3, structure.name
    assert truth["tmv_cm3"] == pytest.approx(sum(volumes[name] for name in MUSCLES))
    assert truth["pa_ratio"] == pytest.approx(sum(volumes[n] for n in HAMSTRINGS) / sum(volumes[n] for n in QUADRICEPS))
    assert sum(truth["compartments_cm3"].values()) == pytest.approx(sum(volumes.values()))  # type: ignore[attr-defined]
    assert set(truth["fat_fractions"]) == set(volumes)  # type: ignore[call-overload]


def test_covered_volumes_stop_where_the_four_fused_stations_stop(study: WrittenStudy) -> None:
    truth = study.truth
    assert truth.covered_volumes.z_mm == coverage_mm(archive_stations(4))
    for name, covered in truth.covered_volumes.structures.items():
        assert covered.total_cm3 <= truth.volumes.structures[name].total_cm3
    # Trunk muscles go on above the pelvis; thigh muscles do not.
    trunk, thigh = "multifidus", "vastus_medialis"
    top = truth.labels.grid.affine[2, 3] + np.argwhere(truth.labels.voxels == by_name(trunk).index)[-1][0] * 6.0
    if top > truth.covered_volumes.z_mm[1]:
        assert truth.covered_volumes.structures[trunk].total_cm3 < truth.volumes.structures[trunk].total_cm3
    assert truth.covered_volumes.structures[thigh] == truth.volumes.structures[thigh]


def test_the_water_image_shows_muscle_where_the_truth_has_muscle(study: WrittenStudy) -> None:
    folder = next(study.dicom.glob("*_Dixon_noBH_W"))
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    affine = np.eye(4)
    affine[:3, :3] = np.diag(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    water = sitk.GetArrayFromImage(image)
    labels = study.truth.labels_on(Grid(water.shape, affine))
    muscle = np.isin(labels, [by_name(name).index for name in MUSCLES])
    assert muscle.mean() > 0.05
    assert 170 < np.median(water[muscle]) < 320
    assert np.median(water[muscle]) > 3 * np.median(water[~muscle])


def test_the_truth_says_that_it_is_synthetic_and_whose_it_is(study: WrittenStudy) -> None:
    truth = facts(study)
    assert "not a patient" in str(truth["statement"])
    assert truth["eid"] == study.eid == eid_of(11) == "9000011"
    assert truth["participant"]["sex"] == study.participant.sex  # type: ignore[index]
    assert truth["faults"] == []
    assert len(truth["acquisition"]["stations"]) == 6  # type: ignore[index]


def test_the_same_seed_writes_the_same_bytes(study: WrittenStudy, tmp_path: Path) -> None:
    again = write_study(tmp_path, seed=11, stations=COARSE, tissue_spacing_mm=SPACING_MM)
    for first in sorted(study.dicom.parent.rglob("*")):
        if first.is_file() and first.suffix != ".nrrd":
            assert first.read_bytes() == (tmp_path / first.relative_to(study.dicom.parent)).read_bytes(), first.name
    np.testing.assert_array_equal(again.truth.labels.voxels, study.truth.labels.voxels)


def test_a_zip_is_named_as_the_archive_does_and_its_manifest_is_as_unreliable(
    study: WrittenStudy, tmp_path: Path
) -> None:
    zipped = write_study(
        tmp_path, seed=11, stations=COARSE, tissue_spacing_mm=SPACING_MM, zip_archive=True, compress=True
    )
    assert zipped.dicom.name == "9000011_20201_2_0.zip"
    with zipfile.ZipFile(zipped.dicom) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        header, *rows = archive.read("manifest.csv").decode().splitlines()
        with archive.open(names[0]) as file:
            first = pydicom.dcmread(file)
    assert len(names) == len(rows) + 1 == 1 + len(list(study.dicom.rglob("*.dcm")))
    assert {row.split(",")[0] for row in rows} == set(names) - {"manifest.csv"}
    assert len(rows[0].split(",")) == len(header.split(",")) + 1  # the date's comma is not quoted
    assert first.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    assert first.pixel_array.max() > 0


def test_faults_are_recorded_in_the_truth(tmp_path: Path) -> None:
    faulty = write_study(
        tmp_path, seed=11, stations=COARSE[2:], tissue_spacing_mm=SPACING_MM, faults=["missing-station", "compressed"]
    )
    assert [f["name"] for f in facts(faulty)["faults"]] == ["missing-station", "compressed"]  # type: ignore[attr-defined]
    assert len(list(faulty.dicom.iterdir())) == 12
    slice_file = next(faulty.dicom.rglob("*.dcm"))
    assert pydicom.dcmread(slice_file).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"


def test_an_unknown_fault_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing-station"):
        write_study(tmp_path / "out", faults=["no-such-fault"])
    assert not (tmp_path / "out").exists()


def test_an_existing_study_is_not_overwritten(study: WrittenStudy) -> None:
    before = sorted(study.dicom.parent.rglob("*"))
    with pytest.raises(OutputError, match="exists already"):
        write_study(study.dicom.parent, seed=12, stations=COARSE, tissue_spacing_mm=SPACING_MM)
    assert sorted(study.dicom.parent.rglob("*")) == before


def test_a_file_in_the_way_of_the_output_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_study(tmp_path / "file", seed=1, stations=COARSE[4:], tissue_spacing_mm=(12.0, 12.0, 12.0))
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_study_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 2 stations"):
        write_study(tmp_path, stations=COARSE[5:], tissue_spacing_mm=(12.0, 12.0, 12.0), faults=["missing-slice"])
    assert not list(tmp_path.iterdir())


def test_labels_on_the_grids_of_all_planes_have_the_same_phenotypes(study: WrittenStudy) -> None:
    """A difference between two legs shows what a few voxels at every border change."""
    planes: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
    grids = [fused_grid([station.grid for station in stations_of(4, plane)]) for plane in planes]
    axial, *others = (count_volumes(study.truth.labels_on(grid), grid) for grid in grids)
    for seen in others:
        assert seen.tmv_cm3 == pytest.approx(axial.tmv_cm3, rel=0.003)
        assert seen.pa_ratio == pytest.approx(axial.pa_ratio, rel=0.005)
        assert seen.lr_asymmetry == pytest.approx(axial.lr_asymmetry, abs=0.002)


def test_labels_end_where_the_truth_ends(study: WrittenStudy) -> None:
    own = study.truth.labels
    np.testing.assert_array_equal(study.truth.labels_on(own.grid), own.voxels)
    affine = own.grid.affine.copy()
    affine[2, 3] -= 60.0
    lower = study.truth.labels_on(Grid(own.grid.shape, affine))
    assert not lower[:10].any() and lower[10:].any()


def test_labels_on_another_grid_are_those_of_the_nearest_voxel_of_a_body_that_is_not_known() -> None:
    labels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    volumes = count_volumes(labels, Grid(labels.shape, affine))
    truth = Truth(Volume(labels, Grid(labels.shape, affine)), volumes, volumes, {})
    finer = np.diag([1.0, 1.0, 1.0, 1.0])
    finer[:3, 3] = (-1.4, 0.4, 0.4)  # the first column lies before the grid, the last beyond it
    seen = truth.labels_on(Grid((1, 1, 10), finer))[0, 0]
    assert seen.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 0]


def test_volumes_are_split_at_the_mid_plane_with_left_at_positive_x() -> None:
    labels = np.zeros((1, 1, 4), np.uint8)
    labels[0, 0] = [1, 0, 1, 1]
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[0, 3] = -15.0
    sartorius = count_volumes(labels, Grid(labels.shape, affine)).structures["sartorius"]
    assert (sartorius.right_cm3, sartorius.left_cm3) == pytest.approx((1.0, 2.0))


def test_the_command_line_says_which_wish_the_body_does_not_have(
    study: WrittenStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    volumes = study.truth.volumes
    assert volumes.pa_ratio is not None
    monkeypatch.setattr("phantom.study.write_study", lambda *_, **__: study)
    met = ["study", "--out", str(tmp_path), "--pa-ratio", f"{volumes.pa_ratio * 1.03:.3f}"]
    assert main([*met, "--tmv-cm3", f"{volumes.tmv_cm3 * 0.97:.0f}"]) == 0
    assert "asked for" not in capsys.readouterr().out
    assert main(["study", "--out", str(tmp_path), "--pa-ratio", "0.9", "--tmv-cm3", "2500"]) == 0
    asked = [line for line in capsys.readouterr().out.splitlines() if "asked for" in line]
    assert [line.split("asked for")[1].strip() for line in asked] == [
        "total muscle volume 2500 cm3: no body of this size has it",
        "P/A ratio 0.900: no body of this size has it",
    ]


@pytest.mark.slow
def test_the_command_line_makes_a_study_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["study", "--out", str(tmp_path / "one"), "--seed", "5", "--sex", "F", "--age", "70", "--stations", "1"]
    assert main([*arguments, "--zip", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "9000005_20201_2_0.zip" in printed and "woman, 70 years" in printed
    assert (tmp_path / "one" / "truth" / "truth.json").exists()
    assert main([*arguments, "--zip", "--quiet"]) == 5
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [["--age", "7"], ["--age", "nan"], ["--sex", "X"], ["--fault", "typo"], ["--stations", "9"], ["--seed", "-1"]],
)
def test_wrong_arguments_end_with_code_2_and_say_which(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "--out", str(tmp_path / "out"), *wrong]) == 2
    said, help_line = capsys.readouterr().err.splitlines()
    assert wrong[0] in said and "phantom study --help" in help_line
    assert not (tmp_path / "out").exists()


def test_bounds_hold_for_the_library_too() -> None:
    with pytest.raises(OptionError, match="age_years: 7 is outside 18 to 100"):
        StudyOptions(Path("out"), age_years=7)
    with pytest.raises(OptionError, match="Did you mean thin-station"):
        StudyOptions(Path("out"), faults=("thin-statoin",))  # type: ignore[arg-type]


def test_every_fault_that_can_be_named_can_be_made() -> None:
    assert set(get_args(FaultName)) == {*FAULTS, COMPRESSED}


def test_the_help_has_examples() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "phantom", "study", "--help"], capture_output=True, text=True, check=True
    )
    for word in ("Examples:", "--fault", "duplicate-station", "labels.seg.nrrd", "--pa-ratio"):
        assert word in done.stdout


def test_stating_one_parameter_leaves_the_others_as_the_seed_drew_them() -> None:
    drawn, stated = draw_participant(4), draw_participant(4, bmi=31.0)
    assert stated.bmi == 31.0
    assert (stated.sex, stated.age_years, stated.pa_ratio) == (drawn.sex, drawn.age_years, drawn.pa_ratio)


def test_drawn_muscle_volumes_are_those_that_can_be_asked_for() -> None:
    low, high = TMV_LIMITS_CM3
    short = [draw_participant(seed, sex="M", age_years=100, height_cm=130).tmv_cm3 for seed in range(40)]
    tall = [draw_participant(seed, sex="M", age_years=18, height_cm=215).tmv_cm3 for seed in range(40)]
    assert min(short) == low and max(tall) == high
    assert low < max(short) < min(tall) <= high
    assert draw_participant(4).tmv_cm3 == pytest.approx(13466.779)  # within them, as it was drawn
