"""The lock files hold every package that an installation needs, within the ranges of pyproject.toml."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from container.lock_files import (
    LOCKS,
    PROJECT,
    VARIANTS,
    LockedPackage,
    cuda_libraries,
    declared_requirements,
    normalized_name,
    read_lock,
    requirement_lines,
    select,
)
from container.make_locks import EXTRAS
from operators.core.errors import UsageError

CPU, GPU = (read_lock(LOCKS / f"{variant}.txt") for variant in VARIANTS)
LOCKED = {"cpu": CPU, "gpu": GPU}
NOT_FOR_TABLES = {"torch", "monai", "pydicom", "highdicom", "numba", "holoscan-cu13", "simpleitk", "onnx", "nibabel"}


def names(packages: list[LockedPackage]) -> set[str]:
    return {each.name for each in packages}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_declared_package_is_locked_within_its_range(variant: str) -> None:
    versions = {each.name: each.version for each in LOCKED[variant]}
    declared = [Requirement(line) for line in declared_requirements(PROJECT, [variant, *EXTRAS])]
    assert len(declared) > 40
    wrong = [str(each) for each in declared if versions.get(normalized_name(each.name), "0") not in each.specifier]
    assert not wrong


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_line_has_a_digest_and_no_line_has_an_address(variant: str) -> None:
    text = (LOCKS / f"{variant}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted|@ file", text)
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for each in LOCKED[variant] for digest in each.digests)
    for each in LOCKED[variant]:
        Requirement(each.line().split(" --hash")[0])  # as pip reads it


def test_what_installed_packages_say_that_they_need_is_locked() -> None:
    """The needs are read from the packages themselves, not from the comments that `read_lock` reads."""
    checked, missing = 0, []
    for each in CPU:
        try:
            installed = metadata.distribution(each.name)
        except metadata.PackageNotFoundError:
            continue
        if installed.version.partition("+")[0] != each.version:
            continue
        for line in installed.requires or []:
            need = Requirement(line)
            if need.marker and not need.marker.evaluate({"extra": ""}):
                continue
            checked += 1
            found = [one for one in CPU if one.name == normalized_name(need.name) and one.version in need.specifier]
            if not found or each.name not in found[0].needed_by:
                missing.append(f"{each.name} needs {line}")
    assert checked > 150
    assert not missing


def test_both_variants_have_the_same_version_of_what_both_have() -> None:
    versions = {each.name: each.version for each in GPU}
    assert not [each.name for each in CPU if versions.get(each.name, each.version) != each.version]


def test_tables_alone_need_no_network_and_no_image() -> None:
    tables = names(select(CPU, declared_requirements(PROJECT)))
    assert {"pandas", "statsmodels", "cyclopts"} <= tables
    assert not tables & NOT_FOR_TABLES


def test_a_study_needs_no_holoscan() -> None:
    study = names(select(CPU, declared_requirements(PROJECT, ["cpu"])))
    assert {"torch", "monai", "highdicom", "openvino"} <= study
    assert not study & {"holoscan-cu13", "monai-deploy-app-sdk", "pynetdicom", "tensorboard", "pytest"}


def test_the_cpu_variant_is_without_the_cuda_libraries_of_torch() -> None:
    libraries = names(cuda_libraries(CPU, GPU))
    assert {"nvidia-cudnn-cu13", "nvidia-nccl-cu13", "triton"} <= libraries
    assert not libraries & names(CPU)
    torch = {each.name: each for each in (*GPU, *CPU)}["torch"]
    assert len(torch.digests) > len({each.name: each for each in GPU}["torch"].digests)  # and a build without CUDA


def test_leaving_a_package_out_also_drops_its_own_dependencies() -> None:
    whole, part = select(CPU, ["statsmodels", "numpy"]), select(CPU, ["statsmodels", "numpy"], ["patsy", "formulaic"])
    assert names(whole) - names(part) >= {"patsy", "formulaic", "narwhals"}
    assert {"statsmodels", "numpy"} <= names(part)


def test_missing_packages_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="left-pad"):
        select(CPU, ["left-pad"])
    with pytest.raises(UsageError, match="tpu"):
        declared_requirements(PROJECT, ["tpu"])
    with pytest.raises(UsageError, match="make lock"):
        requirement_lines("cpu", ["numpy"], folder=tmp_path)
    (tmp_path / "cpu.txt").write_text("numpy==2.0.0\n    # via scipy\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no digest of numpy"):
        read_lock(tmp_path / "cpu.txt")
