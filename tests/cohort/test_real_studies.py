"""The real stages, run by `sarcomap cohort run` and `python -m app.cohort`."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from app.cohort.__main__ import main as module_main
from sarcomap.__main__ import main
from tests.app.conftest import bundle, scanned
from tests.app.made_study import NAME, Scanned

__all__ = ["bundle", "scanned"]


@pytest.fixture(scope="module")
def inputs(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    first = scanned.write_zip(folder / "1000001_20201_2_0.zip")
    (folder / "1000002_20201_2_0.zip").write_bytes(first.read_bytes()[:3000])
    return folder


def test_fused_volumes_of_a_whole_study_a_damaged_zip_and_a_bomb(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, bomb = tmp_path / "out", tmp_path / "1000003_20201_2_0.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.dcm", bytes(60 << 20))
    words = ["-i", str(inputs), "-i", str(bomb), "-o", str(out), "--fuse-only", "--workers", "1"]
    assert module_main(words) == 0
    assert (out / "studies" / "1000001_2" / "fused" / "water.nrrd").is_file()
    assert main(["cohort", "status", str(out), "--failures"]) == 0
    said = capsys.readouterr().out
    assert "1 done, 2 refused" in said
    assert "1000003_2 refused (attempt 1): 1000003_20201_2_0.zip" in said and "at most 200-fold" in said
    assert "1000002_2 refused (attempt 1): 1000002_20201_2_0.zip: damaged zip archive" in said
    assert main(["cohort", "status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"]["refused"] == 2
    assert main(["cohort", "status", str(inputs)]) == 3


@pytest.mark.slow
def test_reports_labels_and_thumbnails_are_kept_and_a_changed_option_is_said(
    inputs: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["cohort", "run", str(inputs), "-o", str(out), "-m", str(bundle), "--workers", "1"]
    assert main([*words, "--keep", "minimal"]) == 0
    kept = {file.name for file in (out / "studies" / "1000001_2").iterdir()}
    assert kept == {
        "attempt.json",
        "report.html",
        "report.json",
        "report.sr.dcm",
        "segmentation.seg.nrrd",
        "thumbnail.jpg",
    }
    assert (out / "phenotypes.parquet").is_file()
    assert main([*words, "--keep", "minimal"]) == 0
    assert "2 have their outcome, 0 to process" in capsys.readouterr().err
    assert main(words) == 0
    assert "2 again: options changed" in capsys.readouterr().err
    assert (out / "studies" / "1000001_2" / "fused" / "water.nrrd").is_file()


@pytest.mark.slow
def test_nothing_names_the_participant_where_this_was_asked_for(inputs: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "in").mkdir()
    shutil.copy(inputs / "1000001_20201_2_0.zip", tmp_path / "in")
    words = ["cohort", "run", str(tmp_path / "in"), "-o", str(out), "-m", str(bundle), "--deidentify", "--workers", "1"]
    assert main(words) == 0
    (study,) = (out / "studies").iterdir()
    assert study.name.endswith("_2") and "1000001" not in study.name
    for file in filter(Path.is_file, study.rglob("*")):
        assert NAME.encode() not in file.read_bytes() and b"1000001" not in file.read_bytes(), file.name
    assert pd.read_parquet(out / "phenotypes.parquet")["eid"].tolist() == [study.name.removesuffix("_2")]


def test_a_run_without_inputs_or_with_one_pseudonym_for_all_is_refused(
    tmp_path: Path, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cohort", "run", "-o", str(tmp_path / "o")]) == 2
    words = ["cohort", "run", str(inputs), "-o", str(tmp_path / "o"), "--deidentify", "--pseudonym", "A"]
    assert main(words) == 2
    assert main(["cohort", "run", str(inputs), "-o", str(tmp_path / "o"), "-m", str(tmp_path)]) == 4
    assert "one pseudonym for many studies" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
