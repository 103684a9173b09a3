"""The container's manifests follow the MAP specification and are true of this project."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from container.lock_files import CPU_BUILD, LOCKS, PROJECT, read_lock
from container.manifests import app_manifest, package_manifest, read_map, requirements
from operators.core.errors import UsageError

ROOT = Path(__file__).parents[2]
MAP = ROOT / "MAP.yaml"


def test_required_fields_of_the_specification_are_there() -> None:
    app, package = app_manifest(read_map(MAP), "4.0.0"), package_manifest(read_map(MAP), "cpu")
    assert app["command"] and app["input"]["formats"] == ["file"] and app["output"]["format"] == "file"
    assert app["type"] in ("service", "application")
    assert app["workingDirectory"].startswith("/")
    assert package["applicationRoot"] == "/opt/holoscan/app/"
    for manifest in (app, package):
        for key in ("apiVersion", "version"):
            assert re.fullmatch(r"\d+\.\d+\.\d+", manifest[key])


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    assert app_manifest(read_map(MAP))["version"] == project["version"]


def test_the_gpu_variant_asks_for_a_gpu_and_the_cpu_variant_does_not() -> None:
    description = read_map(MAP)
    assert package_manifest(description, "cpu")["resources"]["gpu"] == 0
    assert "gpuMemory" not in package_manifest(description, "cpu")["resources"]
    assert package_manifest(description, "gpu")["resources"]["gpu"] == 1
    assert package_manifest(description, "gpu")["resources"]["gpuMemory"].endswith("Gi")


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_the_container_installs_what_is_locked_and_nothing_of_the_tests(variant: str) -> None:
    shipped = [line.split(" ")[0] for line in requirements(read_map(MAP), variant)]
    locked = {f"{each.name}=={each.version}" for each in read_lock(LOCKS / f"{variant}.txt")}
    assert {line.replace("+cpu", "").replace("===", "==") for line in shipped} <= locked
    names = {line.split("=")[0] for line in shipped}
    assert {"torch", "monai", "holoscan-cu13", "pynetdicom"} <= names
    assert not names & {"pytest", "pandas", "pyarrow", "tensorboard", "statsmodels", "patsy"}
    assert ("onnxruntime-gpu" in names) == (variant == "gpu")
    assert ("cupy-cuda13x" in names) == (variant == "gpu")


def test_the_cpu_image_asks_for_the_build_of_torch_without_cuda_unless_told_otherwise() -> None:
    def torch(variant: str, build: str = CPU_BUILD) -> str:
        return next(line for line in requirements(read_map(MAP), variant, build) if line.startswith("torch="))

    assert re.match(r"torch==[\d.]+\+cpu --hash=sha256:", torch("cpu"))
    assert re.match(r"torch===[\d.]+ --hash", torch("cpu", ""))
    assert re.match(r"torch===[\d.]+ --hash", torch("gpu"))
    plain, without_cuda = requirements(read_map(MAP), "cpu", ""), requirements(read_map(MAP), "cpu")
    assert any(line.startswith("nvidia-cudnn") for line in plain)
    assert not any(line.startswith("nvidia-cudnn") for line in without_cuda)


def test_every_package_that_the_application_imports_is_in_the_container() -> None:
    """Imports are found in the source, so that none is forgotten here."""
    imports = set()
    for room in ("app", "operators", "bundle"):
        for file in (ROOT / room).rglob("*.py"):
            if file.is_relative_to(ROOT / "app" / "cohort"):
                continue  # the container processes single studies; cohorts need the analysis, which it does not hold
            # Module level only: imports inside functions are needed only when these are called (figures, training).
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Import):
                    imports |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    imports.add(node.module.split(".")[0])
    distribution = {
        "PIL": "pillow", "cuda": "cuda-pathfinder", "holoscan": "monai-deploy-app-sdk", "ignite": "pytorch-ignite",
        "nrrd": "pynrrd", "yaml": "pyyaml", "llvmlite": "numba",
    }  # fmt: skip
    ours = {"app", "operators", "bundle"}
    needed = {distribution.get(name, name.replace("_", "-")) for name in imports - ours - sys.stdlib_module_names}
    shipped = {line.split("=")[0] for line in requirements(read_map(MAP), "cpu")}
    assert not needed - shipped


@pytest.mark.parametrize(
    ("where", "value", "named"),
    [
        (("application", "version"), "1.0", "application.version"),
        (("application", "title"), "", "application.title"),
        (("application", "inputFormats"), "file", "application.inputFormats"),
        (("application", "timeout"), -1, "application.timeout"),
        (("resources", "memory"), "4 GB", "resources.memory"),
        (("resources", "memory"), "4.25Gi", "resources.memory"),
        (("resources", "cpu"), 0, "resources.cpu"),
        (("resources", "cpu"), True, "resources.cpu"),
        (("resources", "cpus"), 2, "cpus"),
        (("models",), [{"name": "two words"}], "models.name"),
        (("pipPackages", "all"), [], "pipPackages"),
        (("pipPackages", "extras"), "deploy", "extras"),
        (("pipPackages", "leaveOut", "tpu"), [], "pipPackages.leaveOut"),
    ],
)
def test_what_the_specification_forbids_is_refused_by_name(
    tmp_path: Path, where: tuple[str, ...], value: Any, named: str
) -> None:
    content = yaml.safe_load(MAP.read_text())
    place = content
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    changed = tmp_path / "MAP.yaml"
    changed.write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=re.escape(named)):
        read_map(changed)


@pytest.mark.parametrize("packages", [{"extras": ["left-pad"]}, {"leaveOut": {"all": ["left-pad"]}}])
def test_an_extra_or_a_package_that_is_not_there_is_refused(packages: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="left-pad"):
        requirements(dict(read_map(MAP)) | {"pipPackages": packages}, "cpu")


def test_the_command_prints_json_and_ends_with_2_on_a_bad_file(tmp_path: Path) -> None:
    good = subprocess.run(
        [sys.executable, "-m", "container.manifests", "pkg", "--variant", "gpu"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(good.stdout)["resources"]["gpu"] == 1
    (tmp_path / "MAP.yaml").write_text("application: [")
    bad = subprocess.run(
        [sys.executable, "-m", "container.manifests", "app", "--map", str(tmp_path / "MAP.yaml")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: MAP.yaml") and len(bad.stderr.splitlines()) == 1
