"""A missing package is told with the extra that brings it, and is no defect."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from container.lock_files import PROJECT, declared_requirements, normalized_name
from operators.core.extras import EXTRAS, extra_of

ROOT = Path(__file__).parents[2]
#: Distributions whose module has another name, or that bring it.
NAMED = {
    "PIL": "pillow",
    "docx": "python-docx",
    "holoscan": "monai-deploy-app-sdk",
    "ignite": "pytorch-ignite",
    "monai.deploy": "monai-deploy-app-sdk",
    "nrrd": "pynrrd",
}
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from {module} import main
sys.exit(main(sys.argv[1:]))
"""


def without(names: set[str], *arguments: object, module: str = "sarcomap.__main__") -> subprocess.CompletedProcess[str]:
    """A command where packages are not installed."""
    code = WITHOUT.format(names=names, module=module)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        ("torch", ["bundle", "check", "bundle"], "cpu"),
        ("isal", ["serve", "--help"], "cpu"),
        ("pydicom", ["phantom", "study", "--out", "OUT"], "cpu"),
    ],
)
def test_a_missing_package_is_told_with_its_extra(
    absent: str, arguments: list[str], extra: str, tmp_path: Path
) -> None:
    done = without({absent}, *(str(tmp_path / "out") if word == "OUT" else word for word in arguments))
    assert "defect" not in done.stderr and "Traceback" not in done.stderr
    assert done.returncode == 2
    assert f"the package {absent} is not installed" in done.stderr and f'"sarcomap[{extra}]"' in done.stderr


def test_the_service_started_as_a_module_tells_it_too() -> None:
    done = without({"isal"}, "--help", module="app.serve.__main__")
    assert done.returncode == 2 and "the extra cpu" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_table_names_what_the_project_declares(extra: str) -> None:
    declared = {normalized_name(each) for each in declared_requirements(PROJECT, [extra])}
    named = {normalized_name(NAMED.get(module, module)) for module in EXTRAS[extra]}
    assert named <= declared


def test_every_package_that_the_code_imports_is_of_the_base_or_in_the_table() -> None:
    base = {normalized_name(each) for each in declared_requirements(PROJECT)} | {"yaml"}
    unknown = set()
    for folder in ("app", "bundle", "operators", "phantom", "sarcomap"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = {each.name for each in node.names}
                else:
                    names = {node.module} if isinstance(node, ast.ImportFrom) and node.module else set()
                for name in names:
                    top = name.partition(".")[0]
                    known = top in sys.stdlib_module_names or (ROOT / top).is_dir() or normalized_name(top) in base
                    if not known and extra_of(name) is None and find_spec(top) is not None:
                        unknown.add(top)
    with_others = {"cuda", "cupy", "llvmlite", "rich", "tensorrt", "urllib3"}  # what we declare brings them
    assert unknown <= with_others, "add it to operators/core/extras.py"
