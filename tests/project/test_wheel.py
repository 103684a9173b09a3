"""A wheel holds the whole product and nothing else, and works in an otherwise empty environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from container.lock_files import LOCKS, PROJECT, read_lock
from phantom.table import draw_cohort, write_cohort

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PACKAGES = ("analysis", "app", "bundle", "operators", "phantom", "sarcomap")
NOT_PRODUCT = shutil.ignore_patterns("__pycache__", "checkpoints", "data", "eval")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the wheel's sources, so that the build leaves nothing in the work tree and finds no old files."""
    folder = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(PROJECT.parent / name, folder / name, ignore=NOT_PRODUCT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT.parent / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source)
    (file,) = out.glob("sarcomap-*.whl")
    return file


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment with nothing in it."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin" / "python"


def run(*command: object, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed and that does not import the work tree."""
    without = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(each) for each in command], cwd=cwd, env=without, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def install(python: Path, requirement: str, scratch: Path) -> None:
    """Install from the wheel's own ranges, as users do, but with the locked versions, so that this is repeatable."""
    locked = scratch / "constraints.txt"
    locked.write_text("".join(f"{each.name}=={each.version}\n" for each in read_lock(LOCKS / "cpu.txt")))
    run(python, "-m", "pip", "install", "--quiet", "--constraint", locked, requirement)


def importable(python: Path, name: str) -> bool:
    return run(python, "-c", f"import importlib.util as u; print(u.find_spec({name!r}) is not None)").strip() == "True"


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(source: Path, wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    made = {file.relative_to(source).as_posix() for name in PACKAGES for file in (source / name).rglob("*")}
    expected = {name for name in made if (source / name).is_file()}
    print("\n".join(sorted(held)))
    assert held == expected
    for needed in (
        "analysis/templates/cohort_page.html.j2",
        "operators/phenotype_report/templates/study_page.html.j2",
        "operators/core/schema/report.schema.json",
        "operators/core/anatomy/structures.csv",
        "bundle/configs/inference.yaml",
        "bundle/models/shipped.json",
        *(f"{name}/py.typed" for name in PACKAGES),
    ):
        assert needed in held
    card = json.loads((source / "bundle/models/shipped.json").read_text(encoding="utf-8"))
    assert f"bundle/models/{Path(card['weights']).name}" in held


def test_without_extras_the_analysis_runs_and_with_cpu_the_demo_does(wheel: Path, python: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "tables", draw_cohort(600, seed=5))
    install(python, str(wheel), tmp_path)
    assert not any(importable(python, name) for name in ("torch", "monai", "pydicom", "pytest"))
    sarcomap = python.parent / "sarcomap"
    tables = ["--phenotypes", "tables/phenotypes.csv", "--participants", "tables/participants.csv"]
    run(sarcomap, "analysis", "run", *tables, "--out", "results", cwd=tmp_path)
    assert (tmp_path / "results" / "report.html").stat().st_size > 10_000

    install(python, f"sarcomap[cpu] @ {wheel.as_uri()}", tmp_path)
    assert importable(python, "torch") and not importable(python, "holoscan")
    run(sarcomap, "demo", "--out", "demo", cwd=tmp_path)
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in (tmp_path / "demo").rglob("report.json")]
    assert any((report.get("phenotypes") or {}).get("tmv_cm3", 0) > 1000 for report in reports)
