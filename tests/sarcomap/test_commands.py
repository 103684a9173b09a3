"""The `sarcomap` command: what it shows, what it refuses, and that it does so without slow imports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.made_study import NAME, PATIENT, ROOT, clean_environment, contents

#: Packages that take long to import.
HEAVY = {"torch", "monai", "numba", "pydicom", "highdicom", "pandas", "statsmodels", "matplotlib", "scipy", "openvino"}


def sarcomap(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sarcomap", *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def followed(*arguments: object) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """The command as it ended, and the heavy packages that it had imported by then."""
    code = (
        "import sys\nfrom sarcomap.__main__ import main\ncode = main(sys.argv[1:])\n"
        "print(*{name.split('.')[0] for name in sys.modules})\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done, set(done.stdout.splitlines()[-1].split()) & HEAVY


def commands() -> list[str]:
    from sarcomap.__main__ import COMMANDS

    return sorted(COMMANDS)


@pytest.mark.parametrize("command", [[], *([name] for name in commands())], ids=lambda words: " ".join(words) or "none")
def test_help_appears_without_heavy_imports(command: list[str]) -> None:
    done, heavy = followed(*command, "--help")
    assert done.returncode == 0 and done.stderr == "" and heavy == set()
    assert done.stdout.startswith(f"Usage: sarcomap {' '.join(command)}".rstrip())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["rum"], 2, ["unknown command 'rum'", "did you mean run?", "sarcomap --help"]),
        (["run", "x.zip", "-o", "out", "--blnd", "average"], 2, ["--blnd", "--blend", "sarcomap run --help"]),
        (["run", "x.zip", "-o", "out", "--blend", "linaer"], 2, ["--blend", "linear", "sarcomap run --help"]),
        (["run", "x.zip"], 2, ["--output", "sarcomap run --help"]),
        (["run", "x.zip", "-o", "out", "--trim-slices", "-1"], 2, ["--trim-slices: -1"]),
        (["run", "x.zip", "-o", "out", "--pseudonym", "P1"], 2, ["--pseudonym", "--deidentify"]),
        (["run", "-o", "out"], 2, ["no study given", "study.zip"]),
        (["run", "/nowhere/x.zip", "-o", "out"], 3, ["x.zip", "No such file"]),
        (["run", ".", "-o", "/proc/nothing/out"], 5, ["/proc/nothing/out"]),
        (["run", ".", "-o", "out", "--device", "cuda"], 2, ["--device", "CUDA"]),
        (["run", ".", "-o", "out", "-m", "docs"], 4, ["models/shipped.json", "docs"]),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, list) else str(value),
)
def test_unusable_arguments_are_refused_in_two_lines_before_heavy_imports(
    arguments: list[str], code: int, words: list[str]
) -> None:
    done, heavy = followed(*arguments)
    assert heavy <= {"pydicom", "scipy", "numba"}  # pydicom tells whether a folder can be read
    said = [line for line in done.stderr.splitlines() if not line.startswith("SarcoMAP:")]
    assert done.returncode == code and len(said) <= 2 and said[0].startswith("error: ")
    for word in words:
        assert word in done.stderr, done.stderr
    assert not (ROOT / "out").exists()


@pytest.mark.slow
def test_one_study_shows_that_it_started_one_line_of_progress_and_three_numbers(
    study: Path, bundle: Path, tmp_path: Path
) -> None:
    done = sarcomap("run", study, "-o", tmp_path / "out", "-m", bundle)
    assert done.returncode == 0, done.stderr
    started, progress = done.stderr.splitlines()
    assert started == f"SarcoMAP: {study.name}"
    assert len(re.findall(r"\d s\b", progress)) == 5 and "Reading DICOM" in progress
    for word in ("Total muscle volume", "P/A ratio", "Left-right asymmetry", "report.html"):
        assert word in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    for flag in report["quality"]["flags"]:
        assert flag["message"] in done.stdout
    assert NAME not in done.stdout + done.stderr and PATIENT.eid not in done.stdout + done.stderr


def test_one_failing_study_does_not_stop_the_others(study: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "empty").mkdir(parents=True)
    for name in ("a", "b"):
        shutil.copytree(study, tmp_path / "in" / name)
    studies = [tmp_path / "in" / name for name in ("a", "empty", "b")]
    done = sarcomap("run", *studies, "-o", tmp_path / "out", "--fuse-only", "-q")
    assert done.returncode == 3
    assert "empty" in done.stderr and "1 of 3 studies failed" in done.stderr
    files = contents(tmp_path / "out")
    assert files is not None
    written = {name for name in files if files[name]}
    fused = {f"fused/{stem}.nrrd" for stem in ("in", "opp", "water", "fat", "fat_fraction", "body")}
    assert written == {f"{name}/{file}" for name in ("a", "b") for file in fused}


def test_two_studies_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    done = sarcomap("run", "a/one.zip", "b/one.zip", "-o", tmp_path / "out")
    assert done.returncode == 2 and "one" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_report_records_every_option_and_no_secret(study: Path, bundle: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret", encoding="utf-8")
    done = sarcomap(
        *("run", study, "-o", tmp_path / "out", "-m", bundle, "-q", "--blend", "linear", "--spacing", 9, 9, 8),
        *("--deidentify", "--deidentify-key", key, "--derived", "water", "fat"),
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "report.json").read_text(encoding="utf-8")
    options = json.loads(text)["options"]
    assert options["fusion"]["blend"] == "linear" and options["fusion"]["spacing_mm"] == [9.0, 9.0, 8.0]
    assert options["dicom"]["derived"] == ["water", "fat"] and options["reading"]["allow_missing_slices"] is False
    assert options["deidentification"]["deidentify_key"] is True
    assert "a secret" not in text and str(tmp_path) not in text


def test_the_doctor_names_packages_backends_and_the_model(tmp_path: Path) -> None:
    done = sarcomap("doctor")
    assert done.returncode == 0, done.stdout
    for word in ("torch", "fusion", "OpenVINO", "sarcomap_demo_unetr", "synthetic", "free"):
        assert word.lower() in done.stdout.lower()
    broken = sarcomap("doctor", "-m", tmp_path)
    assert broken.returncode == 1 and "NO model" in broken.stdout


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert sarcomap("--version").stdout == f"sarcomap {version('sarcomap')}\n"


@pytest.mark.parametrize("existing", ["a folder of somebody", "a file"])
def test_the_demo_removes_nothing_that_it_did_not_make(existing: str, tmp_path: Path) -> None:
    place = tmp_path / "project"
    if existing == "a file":
        place.write_text("precious", encoding="utf-8")
    else:
        for name in ("study", "thesis"):
            (place / name).mkdir(parents=True)
            (place / name / "precious.txt").write_text("precious", encoding="utf-8")
    before = contents(tmp_path)
    done = sarcomap("demo", "--out", place)
    assert done.returncode == 2 and "not an earlier demo" in done.stderr
    assert contents(tmp_path) == before


def test_an_empty_word_is_no_path(study: Path) -> None:
    done = sarcomap("run", study, "-o", "")
    assert done.returncode == 2 and "an empty word after -o" in done.stderr
    assert not (ROOT / "fused").exists()


def test_a_fraction_is_not_rounded_to_a_whole_number(study: Path, tmp_path: Path) -> None:
    done = sarcomap("run", study, "-o", tmp_path / "out", "--fuse-only", "--trim-slices", "1.5")
    assert done.returncode == 2 and "--trim-slices" in done.stderr and "whole number" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_reader_that_ends_early_is_no_defect() -> None:
    command = f"{sys.executable} -m sarcomap doctor | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert "sarcomap" in done.stdout and "defect" not in done.stderr and "Traceback" not in done.stderr
