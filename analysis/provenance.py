"""Record of an analysis, so that it can be repeated exactly."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from analysis.options import Options
from analysis.tables import sha256_of

__all__ = ["provenance", "version_of"]

_LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib", "pyarrow")


def provenance(options: Options, n: int) -> dict[str, Any]:
    """Software, inputs with their SHA-256, and every option. The analysis uses no random numbers."""
    inputs = {"phenotypes": options.phenotypes, "participants": options.participants}
    if options.fields is not None:
        inputs["fields"] = options.fields
    if options.exclude is not None:
        inputs["exclude"] = options.exclude
    return {
        "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "software": {"sarcomap": version_of("sarcomap"), "python": platform.python_version()}
        | {name: version_of(name) for name in _LIBRARIES},
        "inputs": {
            name: {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for name, path in inputs.items()
        },
        "options": options.as_plain(),
        "random_numbers": "none",
        "participants_analysed": n,
    }


def version_of(name: str) -> str | None:
    """Version of an installed package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
