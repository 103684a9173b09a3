"""Imports run one way between the packages (docs/architecture.md, "Packages"); `.importlinter` has the contracts."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "app", "bundle", "operators", "phantom", "sarcomap")
NOT_IMPORTED = {"tests", "benchmarks", "container", "examples"}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages below ``root``, with the contracts of this repository."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    # import-linter does not allow optional root packages: leave out those that do not exist.
    packages = [name for name in contracts["importlinter"]["root_packages"].split() if (root / name).is_dir()]
    contracts["importlinter"]["root_packages"] = "\n" + "\n".join(packages)
    with (root / ".importlinter_of_the_test").open("w", encoding="utf-8") as file:
        contracts.write(file)
    command = (
        "import sys; from importlinter.cli import lint_imports as lint; sys.exit(lint(sys.argv[1], no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", command, ".importlinter_of_the_test"],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def package_files(root: Path) -> list[Path]:
    return [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the modules of every package and nothing else, for tests to change."""
    for file in package_files(ROOT):
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return tmp_path


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("phantom/study.py", "import app.run", "imports run downwards between packages"),
        ("phantom/study.py", "import analysis.tables", "imports run downwards between packages"),
        ("app/application.py", "import sarcomap", "imports run downwards between packages"),
        ("operators/pipeline.py", "import operators.segmentation.operator", "an operator is imported by"),
        ("operators/core/volume.py", "import operators.dicom_loader", "imports run downwards inside operators"),
        ("operators/unplaced.py", "", "imports run downwards inside operators"),
        ("app/run.py", "import bundle.scripts", "app imports operators"),
        ("app/run.py", "import analysis.collect", "app imports operators"),
        ("analysis/tables.py", "import operators.core.volume", "analysis imports nothing of ours"),
        ("bundle/scripts/data.py", "import operators.segmentation", "bundle imports operators.core only"),
        ("phantom/study.py", "import holoscan", "need no Holoscan"),
        ("operators/station_fusion/fuse.py", "import operators.deploy", "operators.deploy is imported by"),
        ("operators/station_fusion/fuse.py", "import operators.station_fusion.operator", "an operator is imported by"),
    ],
)
def test_an_import_that_runs_the_wrong_way_is_found(copy: Path, file: str, line: str, contract: str) -> None:
    with (copy / file).open("a", encoding="utf-8") as opened:
        opened.write(f"\n\ndef _later() -> None:\n    {line or 'pass'}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = re.findall(r"^(.*) BROKEN", done.stdout, flags=re.M)
    assert any(contract in name for name in broken), done.stdout


def imported_names(file: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def importers(root: Path, *modules: str) -> set[str]:
    """Files of the packages that import one of the modules or a part of it."""
    return {
        str(file.relative_to(root))
        for file in package_files(root)
        if any(name == module or name.startswith(f"{module}.") for name in imported_names(file) for module in modules)
    }


def test_only_one_package_imports_monai_deploy_and_holoscan() -> None:
    found = importers(ROOT, "monai.deploy", "holoscan")
    assert "operators/deploy/__init__.py" in found
    assert {file for file in found if not file.startswith("operators/deploy/")} == set()


def test_no_package_imports_tests_benchmarks_or_the_container() -> None:
    assert importers(ROOT, *NOT_IMPORTED) == set()
