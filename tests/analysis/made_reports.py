"""Reports of studies, as small as the schema allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from operators.core.anatomy import STRUCTURES

__all__ = ["made_report", "write_report"]


def made_report(eid: str, version: str = "1.0.0") -> dict[str, Any]:
    """A report as the first version of the schema has it; the next one has the same keys."""
    structures = [
        {"index": s.index, "name": s.name, "display_name": s.display_name, "compartment": str(s.compartment)}
        | {"tissue": s.tissue.value, "volume_cm3": 10.0 * s.index, "left_cm3": 4.0 * s.index}
        | {"right_cm3": 6.0 * s.index, "fat_fraction_mean": 0.1, "cut_by_field_of_view": s.name == "femur"}
        for s in STRUCTURES
    ]
    names = [
        "tmv_cm3",
        "tmv_left_cm3",
        "tmv_right_cm3",
        "tvi_cm3_per_cm2",
        "pa_ratio",
        "pa_ratio_left",
        "pa_ratio_right",
        "lr_asymmetry",
        "thigh_left_cm3",
        "thigh_right_cm3",
        "quadriceps_cm3",
        "hamstrings_cm3",
        "anterior_cm3",
        "gluteal_cm3",
        "medial_cm3",
        "posterior_cm3",
        "core_cm3",
        "bone_cm3",
        "muscle_fat_fraction",
    ]
    flag = {"code": "missing-station", "severity": "warning", "message": "one"}
    return {
        "schema_version": version,
        "created_utc": "2026-01-01T00:00:00Z",
        "software": {"name": "sarcomap", "version": "0.1.0", "git": None},
        "model": {"name": "m", "version": "1", "sha256": "0" * 64, "training_data": "t", "intended_use": "u"}
        | {"synthetic_training": True},
        "study": {"study_uid": "1.2.3", "pseudonym": eid},
        "structures": structures,
        "phenotypes": dict.fromkeys(names, 0.5) | {"tvi_cm3_per_cm2": None},
        "quality": {"withheld": None, "not_given": {"tvi_cm3_per_cm2": "no height"}, "flags": [flag, flag]}
        | {"sides_from": "bones", "stations": [], "overlaps": []},
        "timings_s": dict.fromkeys(("load", "fuse", "segment", "write"), 1.0),
    }


def write_report(folder: Path, name: str, report: Any) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "report.json").write_text(report if isinstance(report, str) else json.dumps(report))
