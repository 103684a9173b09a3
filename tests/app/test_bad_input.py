"""Unusable input ends with one line that says what and where, the right exit code, and no output."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.app.made_study import NAME, PATIENT, Scanned, contents, linked_copy, run_app, run_here

Spoil = Callable[[Path, Path], Path]


def empty_folder(study: Path, scratch: Path) -> Path:
    (scratch / "nothing").mkdir()
    return scratch / "nothing"


def no_such_path(study: Path, scratch: Path) -> Path:
    return scratch / "nowhere"


def no_dixon_series(study: Path, scratch: Path) -> Path:
    image = pydicom.dcmread(next(study.rglob("*.dcm")))
    image.SeriesDescription = "t1_localizer"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    (scratch / "localizer").mkdir()
    image.save_as(scratch / "localizer" / "1.dcm")
    return scratch / "localizer"


def one_contrast_missing(study: Path, scratch: Path) -> Path:
    copy = linked_copy(study, scratch / "copy")
    for series in copy.glob("*_F"):
        shutil.rmtree(series)
    return copy


def one_contrast_missing_at_one_station(study: Path, scratch: Path) -> Path:
    copy = linked_copy(study, scratch / "copy")
    shutil.rmtree(sorted(copy.glob("*_F"))[1])
    return copy


def replaced(study: Path, scratch: Path, change: Callable[[bytes], bytes]) -> Path:
    """Change the bytes of one slice of the second water series."""
    copy = linked_copy(study, scratch / "copy")
    victim = sorted(sorted(copy.glob("*_W"))[1].iterdir())[4]
    before = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(change(before))
    return copy


def truncated_file(study: Path, scratch: Path) -> Path:
    return replaced(study, scratch, lambda content: content[: len(content) // 2])


def truncated_header(study: Path, scratch: Path) -> Path:
    return replaced(study, scratch, lambda content: content[:400])


def text_named_dcm(study: Path, scratch: Path) -> Path:
    return replaced(study, scratch, lambda content: b"This is not DICOM.\n")


def zero_byte_file(study: Path, scratch: Path) -> Path:
    return replaced(study, scratch, lambda content: b"")


def single_dicom_file(study: Path, scratch: Path) -> Path:
    return sorted(study.rglob("*.dcm"))[0]


def zip_that_climbs(study: Path, scratch: Path) -> Path:
    with zipfile.ZipFile(scratch / "climbs.zip", "w") as archive:
        archive.write(next(study.rglob("*.dcm")), "../../climbed.dcm")
    return scratch / "climbs.zip"


def zip_bomb(study: Path, scratch: Path) -> Path:
    with zipfile.ZipFile(scratch / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.dcm", bytes(32 * 2**20))
    return scratch / "bomb.zip"


def damaged_zip(study: Path, scratch: Path) -> Path:
    with zipfile.ZipFile(scratch / "damaged.zip", "w") as archive:
        for file in sorted(study.rglob("*.dcm"))[:20]:
            archive.write(file, file.name + file.parent.name)
    content = (scratch / "damaged.zip").read_bytes()
    (scratch / "damaged.zip").write_bytes(content[: len(content) * 2 // 3])
    return scratch / "damaged.zip"


def text_named_zip(study: Path, scratch: Path) -> Path:
    (scratch / "text.zip").write_text("Not found", encoding="utf-8")
    return scratch / "text.zip"


def lines_that_say_error(text: str) -> list[str]:
    return [line for line in text.splitlines() if "error:" in line.lower()]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty_folder, ["nothing", "no file"]),
        (no_such_path, ["nowhere", "cannot be read"]),
        (no_dixon_series, ["localizer", "Dixon"]),
        (one_contrast_missing, ["fat"]),
        (one_contrast_missing_at_one_station, ["fat", "series"]),
        (truncated_file, ["Dixon_noBH_W", ".dcm"]),
        (truncated_header, ["Dixon_noBH_W", ".dcm"]),
        (text_named_dcm, ["Dixon_noBH_W", ".dcm"]),
        (zero_byte_file, ["Dixon_noBH_W", ".dcm", "empty"]),
        (single_dicom_file, [".dcm", "Give the folder"]),
        (zip_that_climbs, ["climbs.zip", "outside"]),
        (zip_bomb, ["bomb.zip", "inflates"]),
        (damaged_zip, ["damaged.zip", "damaged"]),
        (text_named_zip, ["text.zip", "damaged"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_input_that_cannot_be_used_is_named_in_one_line(
    study: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Spoil, words: list[str]
) -> None:
    source = spoil(study, tmp_path)
    before = contents(tmp_path)
    assert run_here("-i", source, "-o", tmp_path / "out" / "one", "-m", bundle) == 3
    printed, errors = capfd.readouterr()
    assert printed == ""
    (line,) = lines_that_say_error(errors)
    assert line.startswith("error: ")
    assert errors.rstrip("\n").endswith(line)  # the last word
    for word in words:
        assert word in line, line
    assert "Traceback" not in errors
    assert NAME not in errors and PATIENT.eid not in errors
    assert contents(tmp_path) == before


def test_stations_of_different_frames_of_reference_are_refused(
    scanned: Scanned, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = scanned.write_folder(tmp_path / "dicom", ["mixed-frame"])
    assert run_here("-i", source, "-o", tmp_path / "out", "-m", bundle, "-q") == 3
    errors = capfd.readouterr().err
    assert len(errors.splitlines()) == 1 and errors.startswith("error: ") and "frame" in errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [0, 100])
@pytest.mark.slow
def test_constant_images_show_no_body(
    scanned: Scanned, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], value: int
) -> None:
    blank = [replace(one, voxels=np.full_like(one.voxels, value)) for one in scanned.series]
    source = replace(scanned, series=blank).write_folder(tmp_path / "dicom")
    assert run_here("-i", source, "-o", tmp_path / "out", "-m", bundle, "-q") == 4
    (line,) = lines_that_say_error(capfd.readouterr().err)
    assert "constant" in line and ("no body" in line or "one value" in line)
    assert not (tmp_path / "out").exists()


def test_results_of_an_earlier_run_survive_a_failure(
    study: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (out / "fused").mkdir(parents=True)
    (out / "report.json").write_text("{}", encoding="utf-8")
    (out / "fused" / "in.nrrd").write_text("earlier", encoding="utf-8")
    before = contents(out)
    assert run_here("-i", one_contrast_missing(study, tmp_path), "-o", out, "-m", bundle) == 3
    assert contents(out) == before


@pytest.mark.parametrize("in_the_way", ["out", "out/fused", "out/report.json/", "above/out"])
def test_an_output_that_cannot_be_written_is_found_before_the_work_begins(
    study: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], in_the_way: str
) -> None:
    if in_the_way.endswith("/"):
        (tmp_path / in_the_way).mkdir(parents=True)
    else:
        obstacle = tmp_path / ("above" if in_the_way.startswith("above") else in_the_way)
        obstacle.parent.mkdir(parents=True, exist_ok=True)
        obstacle.write_text("in the way", encoding="utf-8")
    before = contents(tmp_path)
    out = tmp_path / ("above/out" if in_the_way.startswith("above") else "out")
    assert run_here("-i", study, "-o", out, "-m", bundle) == 5
    errors = capfd.readouterr().err
    assert len(errors.splitlines()) == 1 and errors.startswith("error: ") and "out" in errors
    assert contents(tmp_path) == before


def test_weights_that_are_not_those_of_the_card_end_with_code_4(
    study: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spoilt = tmp_path / "bundle"
    shutil.copytree(bundle, spoilt)
    with (spoilt / "models" / "weights.pt").open("ab") as weights:
        weights.write(b"more")
    assert run_here("-i", study, "-o", tmp_path / "out", "-m", spoilt) == 4
    errors = capfd.readouterr().err
    assert len(errors.splitlines()) == 1 and errors.startswith("error: ") and "SHA-256" in errors
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_is_a_program_ends_with_code_4_unless_it_is_trusted(
    study: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bundle"
    shutil.copytree(bundle, program)
    with (program / "configs" / "changes.yaml").open("a", encoding="utf-8") as file:
        file.write("device: $torch.device('c' + 'pu')\n")
    assert run_here("-i", study, "-o", tmp_path / "out", "-m", program) == 4
    errors = capfd.readouterr().err
    assert len(errors.splitlines()) == 1 and errors.startswith("error: ")
    assert "key device" in errors and "--trust-bundle" in errors
    assert not (tmp_path / "out").exists()
    assert run_here("-i", study, "-o", tmp_path / "out", "-m", program, "--trust-bundle") == 0


def test_without_arguments_the_message_says_what_is_missing_and_where_help_is() -> None:
    done = run_app()
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ") and "--input" in done.stderr and "--help" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (["--device", "abacus"], "--device"),
        (["--spacing", "2", "2"], "--spacing"),
        (["--spacing", "0", "2", "2"], "spacing"),
        (["--spacing", "nan", "2", "2"], "spacing"),
        (["--stations", "none"], "--stations"),
        (["--log-level", "loud"], "--log-level"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_options_end_with_code_2_and_say_which(
    study: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], wrong: list[str], word: str
) -> None:
    assert run_here("-i", study, "-o", tmp_path / "out", "-m", bundle, "-q", *wrong) == 2
    errors = capfd.readouterr().err
    assert len(lines_that_say_error(errors)) == 1 and word in errors
    assert not (tmp_path / "out").exists()
