"""Record of an analysis, so that it can be repeated exactly."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from analysis.amra import AMRA
from analysis.cohort import Cohort
from analysis.deaths import end_in_words
from analysis.options import Options
from analysis.tables import sha256_of

__all__ = ["provenance", "version_of"]

_LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib", "pyarrow")


def provenance(options: Options, cohort: Cohort) -> dict[str, Any]:
    """Software, inputs with their SHA-256, which column became what, and every option."""
    given = {
        "phenotypes": None if str(options.phenotypes) == AMRA else options.phenotypes,
        "participants": options.participants,
        "fields": options.fields,
        "withdrawn": options.withdrawn,
        "exclude": options.exclude,
    }
    inputs = {name: path for name, path in given.items() if path is not None}
    return {
        "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "software": {"sarcomap": version_of("sarcomap"), "python": platform.python_version()}
        | {name: version_of(name) for name in _LIBRARIES},
        "inputs": {
            name: {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for name, path in inputs.items()
        },
        "options": options.as_plain(),
        "columns": {name: list(columns) for name, columns in cohort.sources.items()},
        "deaths_known_until": (
            "unknown: no dates of death"
            if cohort.register.until is None
            else end_in_words(cohort.analysed["censor_date"], cohort.register)
        ),
        "random_numbers": f"seed {options.seed}" if options.full else "none",
        "participants_analysed": len(cohort.analysed),
        "warnings": list(cohort.warnings),
    }


def version_of(name: str) -> str | None:
    """Version of an installed package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
