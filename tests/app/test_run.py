"""``python -m app`` as a command: one study gives every output file."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from operators.core.anatomy import CHANNEL_COUNT, MUSCLES, STRUCTURES
from operators.core.output_folder import OUTPUT_FILES
from phantom.study import write_study
from tests import dciodvfy
from tests.app.made_study import NAME, PATIENT, ROOT, Scanned, clean_environment, contents, run_app
from tests.real_data import real_dixon_folder

SCHEMA = json.loads((ROOT / "operators" / "core" / "schema" / "report.schema.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Run:
    """A successful run."""

    out: Path
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads((self.out / "report.json").read_text(encoding="utf-8"))
        return loaded

    def image(self, name: str) -> sitk.Image:
        return sitk.ReadImage(str(self.out / name))


def run(out: Path, *arguments: object, environment: dict[str, str] | None = None) -> Run:
    done = run_app(*arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    return Run(out, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def first(study: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("first") / "above" / "out"
    return run(out, "-i", study, "-o", out, "-m", bundle)


def test_every_planned_file_exists_and_nothing_else(first: Run) -> None:
    files = {p.relative_to(first.out).as_posix() for p in first.out.rglob("*") if p.is_file()}
    planned = {f"fused/{stem}.nrrd" for stem in ("in", "opp", "water", "fat", "fat_fraction", "body")}
    planned |= {"segmentation.seg.nrrd", "segmentation.dcm", "report.sr.dcm", "report.json", "report.html"}
    derived = {name for name in files if name.startswith("derived/")}
    assert files - derived == planned == set(OUTPUT_FILES)
    slices = first.image("fused/water.nrrd").GetDepth()
    assert derived == {f"derived/water/{k + 1:04d}.dcm" for k in range(slices)}


def test_simpleitk_reads_every_volume_on_one_grid_around_the_body(first: Run, scanned: Scanned) -> None:
    water = first.image("fused/water.nrrd")
    for name in (*(n for n in OUTPUT_FILES if n.startswith("fused/")), "segmentation.seg.nrrd"):
        image = first.image(name)
        assert image.GetSize() == water.GetSize(), name
        assert image.GetSpacing() == pytest.approx(water.GetSpacing())
        assert image.GetOrigin() == pytest.approx(water.GetOrigin())
        assert image.GetDirection() == pytest.approx(np.eye(3).ravel())
    assert water.GetSpacing() == pytest.approx((8.928572, 8.928572, 7.0), abs=1e-4)  # the finest of the stations
    muscle = np.isin(scanned.truth.labels.voxels, [s.index for s in STRUCTURES if s.name in MUSCLES])
    affine = scanned.truth.labels.grid.affine
    seen = []
    for k, j, i in np.argwhere(muscle)[::501]:
        point = [float(v) for v in (affine @ [i, j, k, 1.0])[:3]]
        inside = water.TransformPhysicalPointToContinuousIndex(point)
        if all(0 <= v <= n - 1 for v, n in zip(inside, water.GetSize(), strict=True)):
            seen.append(water.EvaluateAtContinuousIndex(inside))
    assert len(seen) > 20 and 150 < np.median(seen) < 350  # muscle is bright where the truth has it


def test_labels_are_in_the_body_and_name_structures(first: Run) -> None:
    labels = sitk.GetArrayFromImage(first.image("segmentation.seg.nrrd"))
    fraction = sitk.GetArrayFromImage(first.image("fused/fat_fraction.nrrd"))
    assert labels.max() <= STRUCTURES[-1].index and len(np.unique(labels)) > 2
    assert (fraction[labels > 0] > 0).mean() > 0.99


def test_the_report_keeps_its_schema_and_says_what_was_done(first: Run) -> None:
    report = first.report
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(report)
    assert report["model"]["name"] == "made_for_tests"  # type: ignore[index]
    timings = report["timings_s"]
    assert all(timings[stage] > 0 for stage in ("load", "fuse", "segment", "write"))  # type: ignore[index]
    assert len(report["quality"]["stations"]) == 4  # type: ignore[index]


@pytest.mark.parametrize("name", ["segmentation.dcm", "report.sr.dcm"])
def test_dicom_objects_are_valid_and_belong_to_the_patient(first: Run, study: Path, name: str) -> None:
    assert dciodvfy.errors(first.out / name) == []
    made = pydicom.dcmread(first.out / name, stop_before_pixels=True)
    source = pydicom.dcmread(next(study.rglob("*.dcm")), stop_before_pixels=True)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        assert made[keyword].value == source[keyword].value


def test_the_terminal_shows_the_stages_and_neither_noise_nor_the_patient(first: Run) -> None:
    assert first.stdout == ""
    for stage in ("Reading DICOM", "Fusing stations", "Segmenting", "Writing DICOM", "Measuring"):
        assert stage in first.stderr
    (line,) = [line for line in first.stderr.splitlines() if "Fusing" in line]  # one line of progress
    assert len(re.findall(r"\d s\b", line)) == 5
    for noise in ("Traceback", "Warning:", "[info]", "[warning]", "gxf", "olosca", "MONAI", "monai", "CUDA"):
        assert noise not in first.stderr
    assert NAME not in first.stderr and PATIENT.eid not in first.stderr
    assert str(first.out) in first.stderr


def test_reports_for_people_do_not_name_the_patient(first: Run) -> None:
    for name in ("report.json", "report.html"):
        text = (first.out / name).read_text(encoding="utf-8")
        assert NAME not in text and PATIENT.eid not in text


def parts(run: Run) -> int:
    """Connected parts of all labels."""
    labels = run.image("segmentation.seg.nrrd")
    return sum(
        int(sitk.GetArrayFromImage(sitk.ConnectedComponent(labels == index)).max())
        for index in np.unique(sitk.GetArrayFromImage(labels))[1:].tolist()
    )


@pytest.mark.slow
def test_a_second_run_with_options_replaces_the_first_and_takes_paths_from_the_environment(
    first: Run, scanned: Scanned, bundle: Path, tmp_path: Path
) -> None:
    archive = scanned.write_zip(tmp_path / f"{PATIENT.eid}_20201_2_0.zip")
    out = tmp_path / "out"
    stale = (
        "derived/water/9999.dcm",
        "derived/fat/0001.dcm",
    )  # of an earlier, longer series, or one that is no longer written
    for folder in ("fused", "derived/water", "derived/fat"):
        (out / folder).mkdir(parents=True)
    for name in (*OUTPUT_FILES, *stale, "notes.txt"):
        (out / name).write_text("earlier", encoding="utf-8")
    paths = {"INPUT": archive, "OUTPUT": out, "MODEL": bundle}
    environment = {f"HOLOSCAN_{name}_PATH": str(path) for name, path in paths.items()}
    second = run(out, "-q", "--mirror", "--clean-up", "--confidence", environment=environment)
    assert second.stdout == second.stderr == ""
    files = contents(out)
    assert files is not None
    planned = {*OUTPUT_FILES, "segmentation_confidence.nrrd", "fused", "notes.txt"}
    assert {name for name in files if not name.startswith("derived")} == planned
    assert [name for name, content in files.items() if content == b"earlier"] == ["notes.txt"]
    assert second.report["study"]["pseudonym"] == PATIENT.eid  # type: ignore[index]
    confidence, labels = (
        sitk.GetArrayFromImage(second.image(f"segmentation{suffix}.nrrd")) for suffix in ("_confidence", ".seg")
    )
    assert (confidence[labels > 0] > 1 / CHANNEL_COUNT).all() and confidence.max() <= 1
    assert parts(second) < parts(first) / 2  # islands are gone


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing_behind(
    study: Path, bundle: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    arguments = ["-i", str(study), "-o", str(tmp_path / "above" / "out"), "-m", str(bundle)]
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments], cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    shown = b""
    while b"Segmenting" not in shown and (more := os.read(process.stderr.fileno(), 4096)):
        shown += more
    assert list((tmp_path / "above" / "out").glob(".sarcomap-*/fused/*.nrrd"))  # there is something to remove
    sent = time.monotonic()
    process.send_signal(number)
    shown += process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert time.monotonic() - sent < 10
    assert b"interrupted" in shown and b"Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_the_help_has_examples_and_does_not_wait_for_torch() -> None:
    started = time.monotonic()
    done = run_app("--help")
    assert done.returncode == 0 and done.stderr == ""
    for word in ("Examples:", "Exit codes:", "-i", "-o", "-m", "HOLOSCAN_INPUT_PATH", "zip", "pelvis-to-knee"):
        assert word in done.stdout
    assert time.monotonic() - started < 10


@pytest.mark.real_data
def test_real_legs_give_images_and_say_that_they_are_not_pelvis_to_knee(bundle: Path, tmp_path: Path) -> None:
    folder = real_dixon_folder()
    real = run(tmp_path / "out", "-i", folder, "-o", tmp_path / "out", "-m", bundle)
    report = real.report
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(report)
    flags = {flag["code"]: flag["severity"] for flag in report["quality"]["flags"]}  # type: ignore[index]
    assert flags["no-pelvis-to-knee-coverage"] == "error"
    assert set(report["phenotypes"].values()) == {None}  # type: ignore[attr-defined]
    assert "No phenotypes are given" in real.stderr

    source = sitk.ReadImage(str(next(folder.glob("018_*_W")) / "image0001.dcm"))
    x, y, z = source.GetSize()
    for stem in ("in", "opp", "water", "fat"):
        fused = real.image(f"fused/{stem}.nrrd")
        assert fused.GetSpacing() == pytest.approx(source.GetSpacing(), abs=1e-3)
        for corner in ((0, 0, 0), (x - 1, 0, 0), (0, y - 1, 0), (0, 0, z - 1), (x - 1, y - 1, z - 1)):
            index = fused.TransformPhysicalPointToContinuousIndex(source.TransformIndexToPhysicalPoint(corner))
            assert index == pytest.approx(corner, abs=0.2), stem
    water = sitk.GetArrayFromImage(real.image("fused/water.nrrd"))
    assert np.corrcoef(water[::5].ravel(), sitk.GetArrayFromImage(source)[::5].ravel())[0, 1] > 0.999
    fraction = sitk.GetArrayFromImage(real.image("fused/fat_fraction.nrrd"))[60:90]
    inside = fraction[water[60:90] + fraction > 60]  # where there is water signal: mostly muscle
    assert 0.0 < np.median(inside) < 0.15
    assert fraction.min() >= 0 and 0.8 < fraction.max() <= 1
    assert not sitk.GetArrayFromImage(real.image("segmentation.seg.nrrd")).any()


@pytest.mark.slow
def test_the_shipped_model_measures_a_participant_it_has_not_seen(tmp_path: Path) -> None:
    participant = write_study(tmp_path / "made", seed=20_261_122, zip_archive=True, compress=True)
    measured = run(tmp_path / "out", "-i", participant.dicom, "-o", tmp_path / "out")
    report, truth = measured.report, participant.truth.covered_volumes
    assert all((measured.out / name).is_file() for name in (*OUTPUT_FILES, "derived/water/0001.dcm"))
    assert report["quality"]["withheld"] is None  # type: ignore[index]
    phenotypes = report["phenotypes"]
    assert phenotypes["tmv_cm3"] == pytest.approx(truth.tmv_cm3, rel=0.15)  # type: ignore[index]
    assert phenotypes["pa_ratio"] == pytest.approx(truth.pa_ratio, rel=0.30)  # type: ignore[index]
    for name in ("segmentation.dcm", "report.sr.dcm"):
        assert dciodvfy.errors(measured.out / name) == []
    assert (
        "synthetic" in measured.stderr.lower() or "demonstration" in (measured.out / "report.html").read_text().lower()
    )
