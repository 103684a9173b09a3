"""``python -m container.manifests``: the two manifests of a MONAI Application Package, from ``MAP.yaml``.

MONAI Deploy App SDK 4.0 no longer has the packager that made them. The fields
follow the MAP specification 1.0.0 (MONAI Deploy Working Group, "MONAI
Application Package", tables of the Application and Package Manifest).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from container.lock_files import CPU_BUILD, LOCKS, PROJECT, VARIANTS, declared_requirements, requirement_lines
from operators.core.errors import SarcoMapError, UsageError

__all__ = ["MapDescription", "app_manifest", "main", "package_manifest", "read_map", "requirements"]

API_VERSION = "1.0.0"
COMMAND = "/var/holoscan/tools run"
ENVIRONMENT = {
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input/",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output/",
    "HOLOSCAN_WORKDIR": "/var/holoscan/",
    "HOLOSCAN_MODEL_PATH": "/opt/holoscan/models/",
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
    "HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
    "HOLOSCAN_DOCS": "/opt/holoscan/docs/",
    "HOLOSCAN_LOGS": "/var/holoscan/logs/",
}
"""The specification's table of environment variables, with its defaults."""

_SEMANTIC_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_MEMORY = re.compile(r"\d+(\.\d)?(Mi|Gi)")
_MODEL_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,128}")
_COUNTS = frozenset({"cpu", "cpuLimit", "gpu", "gpuLimit"})
_MEMORIES = frozenset({"memory", "memoryLimit", "gpuMemory", "gpuMemoryLimit", "sharedMemory", "sharedMemoryLimit"})

MapDescription = Mapping[str, Any]
"""Checked content of ``MAP.yaml``, as `read_map` returns it."""


def read_map(path: Path) -> MapDescription:
    """Read ``MAP.yaml`` and check it against the specification.

    Raises
    ------
    UsageError
        Names the first key that cannot be used.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(path.name, f"not readable ({type(error).__name__})", "a YAML file", "Correct it.") from error
    found = _mapping(content, path.name)
    application = _mapping(found.get("application"), "application")
    if not isinstance(application.get("title"), str) or not application["title"].strip():
        raise _wrong("application.title", application.get("title"), "a text")
    if not _SEMANTIC_VERSION.fullmatch(str(application.get("version"))):
        raise _wrong("application.version", application.get("version"), "a semantic version such as 1.2.3")
    for key in ("inputFormats", "outputFormats"):
        formats = application.get(key)
        if not isinstance(formats, list) or not formats or not all(isinstance(each, str) for each in formats):
            raise _wrong(f"application.{key}", formats, "a list such as [file]")
    timeout = application.get("timeout", 0)
    if not _is_integer(timeout) or timeout < 0:
        raise _wrong("application.timeout", timeout, "seconds, or 0 for none")
    for group in ("resources", "gpuResources"):
        _check_resources(group, _mapping(found.get(group, {}), group))
    models = found.get("models", [])
    if not isinstance(models, list):
        raise _wrong("models", models, "a list")
    for model in models:
        name = _mapping(model, "models").get("name")
        if not isinstance(name, str) or not _MODEL_NAME.fullmatch(name):
            raise _wrong("models.name", name, "up to 128 characters without spaces")
    packages = _mapping(found.get("pipPackages"), "pipPackages")
    _check_names("pipPackages", packages, {"extras", "leaveOut"})
    left_out = _mapping(packages.get("leaveOut", {}), "pipPackages.leaveOut")
    _check_names("pipPackages.leaveOut", left_out, {"all", *VARIANTS})
    for key, value in {"extras": packages.get("extras", []), **left_out}.items():
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise _wrong(f"pipPackages, {key}", value, "a list of names")
    return found


def app_manifest(description: MapDescription, sdk_version: str = "0.0.0") -> dict[str, Any]:
    """``/etc/holoscan/app.json``: how the application is run.

    Parameters
    ----------
    description : MapDescription
    sdk_version : str
        Installed version of ``monai-deploy-app-sdk``.
    """
    application = description["application"]
    return {
        "apiVersion": API_VERSION,
        "type": "application",
        "command": COMMAND,
        "environment": dict(ENVIRONMENT),
        "input": {"path": "input/", "formats": list(application["inputFormats"])},
        "output": {"path": "output/", "format": application["outputFormats"][0]},
        "readiness": {"type": "command", "command": ["/var/holoscan/tools", "health"], "timeoutSeconds": 10},
        "liveness": {"type": "command", "command": ["/var/holoscan/tools", "health"], "timeoutSeconds": 10},
        "sdk": "monai-deploy-app-sdk",
        "sdkVersion": sdk_version,
        "timeout": application.get("timeout", 0),
        "version": application["version"],
        "workingDirectory": ENVIRONMENT["HOLOSCAN_WORKDIR"],
    }


def package_manifest(description: MapDescription, variant: str) -> dict[str, Any]:
    """``/etc/holoscan/pkg.json``: paths and resource needs.

    Parameters
    ----------
    description : MapDescription
    variant : {"cpu", "gpu"}
    """
    resources = dict(description.get("resources", {}))
    if variant == "gpu":
        resources |= description.get("gpuResources", {})
    return {
        "apiVersion": API_VERSION,
        "applicationRoot": "/opt/holoscan/app/",
        "modelRoot": ENVIRONMENT["HOLOSCAN_MODEL_PATH"],
        "models": [
            {"name": model["name"], "path": model.get("path", model["name"])} for model in description["models"]
        ],
        "resources": {"cpu": 1, "gpu": 0, "memory": "1Gi", "sharedMemory": "64Mi"} | resources,
        "version": description["application"]["version"],
    }


def requirements(
    description: MapDescription,
    variant: str,
    torch_build: str = CPU_BUILD,
    project: Path = PROJECT,
    locks: Path = LOCKS,
) -> list[str]:
    """Lines of a requirements file: a variant's packages at their locked versions, with the digests of their files.

    Parameters
    ----------
    description : MapDescription
    variant : {"cpu", "gpu"}
    torch_build : str
        See `container.lock_files.requirement_lines`.
    project, locks : Path
        ``pyproject.toml`` and the folder of the lock files.

    Raises
    ------
    UsageError
        If ``MAP.yaml`` names an extra that ``pyproject.toml`` does not have, or a package that is not locked.
    """
    packages = description["pipPackages"]
    wanted = declared_requirements(project, [variant, *packages.get("extras", [])])
    left_out = packages.get("leaveOut", {})
    leave_out = [*left_out.get("all", []), *left_out.get(variant, [])]
    return requirement_lines(variant, wanted, leave_out, torch_build, locks)


def main(argv: list[str] | None = None) -> int:
    """Print one manifest or the requirements; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m container.manifests", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["app", "pkg", "requirements"])
    parser.add_argument("--map", type=Path, default=Path("MAP.yaml"))
    parser.add_argument(
        "--torch-build", default=CPU_BUILD, help="torch build of the CPU variant; empty: the public index's"
    )
    parser.add_argument("--variant", choices=VARIANTS, default="cpu")
    parser.add_argument("--sdk-version", default="0.0.0", help="version of monai-deploy-app-sdk")
    arguments = parser.parse_args(argv)
    try:
        description = read_map(arguments.map)
        if arguments.what == "requirements":
            print("\n".join(requirements(description, arguments.variant, arguments.torch_build)))
            return 0
        if arguments.what == "app":
            manifest = app_manifest(description, arguments.sdk_version)
        else:
            manifest = package_manifest(description, arguments.variant)
    except SarcoMapError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(manifest, indent=2))
    return 0


def _check_resources(group: str, resources: Mapping[str, Any]) -> None:
    for key, value in resources.items():
        if key in _COUNTS:
            # The specification requires a positive number with at most one decimal.
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0 or round(value, 1) != value:
                raise _wrong(f"{group}.{key}", value, "a positive number with at most one decimal")
        elif key in _MEMORIES:
            if not isinstance(value, str) or not _MEMORY.fullmatch(value):
                raise _wrong(f"{group}.{key}", value, "a size such as 512Mi or 1.5Gi")
        else:
            raise _wrong(group, key, ", ".join(sorted(_COUNTS | _MEMORIES)))


def _check_names(where: str, found: Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := set(found) - set(known):
        raise _wrong(where, ", ".join(sorted(map(str, unknown))), ", ".join(sorted(known)))


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, value, "keys with values")
    return value


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(where: str, found: object, expected: str) -> UsageError:
    return UsageError(f"MAP.yaml, {where}", repr(found), expected, "Correct it in MAP.yaml.")


if __name__ == "__main__":
    sys.exit(main())
