"""`report.json`, which the cohort analysis reads for each study (docs/architecture.md, "The files of one study")."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from numbers import Integral
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

from operators.core import clock
from operators.core.dicom_objects.dates import NO_DATE
from operators.core.errors import InternalError
from operators.core.model_card import ModelCard
from operators.core.options import RunOptions, recorded
from operators.core.output_files import replacing
from operators.core.phenotypes import MuscleFat
from operators.core.report_schema import report_schema, schema_version
from operators.core.software import software
from operators.core.volume import Fused, QualityFlag, Station, Study
from operators.phenotype_report.measurements import Measurements, StructureMeasure, Uncertainty
from operators.phenotype_report.touched import doubting, touched

__all__ = ["build_report", "unique_flags", "validate", "write_report"]

_STAGES = ("load", "fuse", "segment", "write")
_DECIMALS = 6
_SAME_PLACE_MM = 1.0


def build_report(
    measurements: Measurements,
    fused: Fused,
    study: Study,
    model: ModelCard,
    timings_s: Mapping[str, float],
    options: RunOptions | Mapping[str, Any] | None = None,
    created: datetime | None = None,
    *,
    labels_sha256: str | None = None,
    station_table: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Build the content of ``report.json``, in JSON types.

    Parameters
    ----------
    measurements : Measurements
    fused : Fused
    study : Study
        Only its UID, pseudonym, visit, flags and de-identification are read, so
        no patient attribute can get into the report.
    model : ModelCard
    timings_s : mapping of str to float
        Seconds of the stages ``load``, ``fuse``, ``segment``, ``write``. A stage
        that is missing becomes null; other stages are kept.
    options : RunOptions or mapping, optional
        Options of the run, or their record in an earlier report; by default,
        the default options.
    created : datetime, optional
        With time zone; now by default. A de-identified study always has `NO_DATE`.
    labels_sha256 : str, optional
        `label_digest` of the labels that were measured.
    station_table : sequence of mapping, optional
        The station table of an earlier report, for when the stations are no
        longer available. By default it is made from ``fused.stations``.
    """
    # Where studies are processed as they arrive, the time of the report is close to the time of the scan.
    created = NO_DATE.replace(tzinfo=UTC) if study.deidentified else created or clock.now()
    flags = unique_flags(study, fused, measurements)
    phenotypes = {name: _number(value) for name, value in measurements.phenotypes.items()}
    return {
        "schema_version": schema_version(),
        "created_utc": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "software": software(),
        "model": model.facts(),
        "options": dict(options) if isinstance(options, Mapping) else recorded(options or RunOptions()),
        "study": {"study_uid": study.study_uid, "pseudonym": study.pseudonym, "visit": study.visit},
        "structures": [
            _structure(m, doubting(m.structure.name, flags, measurements.z_ranges_mm)) for m in measurements.structures
        ],
        "phenotypes": phenotypes,
        "uncertainty": _uncertainty(measurements.uncertainty),
        "calibration": None if model.calibration is None else model.calibration.record(),
        "quality": {
            "withheld": measurements.withheld,
            "not_given": dict(measurements.not_given),
            "flags": [_flag(flag, measurements) for flag in flags],
            "sides_from": _sides_from(measurements),
            "stations": _station_table(fused.stations) if station_table is None else list(station_table),
            "noise": {
                "water_sd": _number(measurements.noise.water_sd or None),
                "fat_sd": _number(measurements.noise.fat_sd or None),
            },
            "overlaps": [{key: _number(value) for key, value in overlap.items()} for overlap in fused.overlaps],
        },
        "fusion": {"engine": fused.engine or None},
        "segmentation": {"engine": measurements.engine or None, "labels_sha256": labels_sha256},
        "timings_s": {
            **{stage: _number(timings_s.get(stage)) for stage in _STAGES},
            **{stage: _number(value) for stage, value in timings_s.items() if stage not in _STAGES},
        },
    }


def unique_flags(study: Study, fused: Fused, measurements: Measurements) -> tuple[QualityFlag, ...]:
    """Flags of loading, fusing and measuring, each once, most severe first."""
    gravity = {"error": 0, "warning": 1, "info": 2}
    flags = dict.fromkeys((*study.flags, *fused.flags, *measurements.flags))
    return tuple(sorted(flags, key=lambda flag: gravity[flag.severity]))


def validate(report: Mapping[str, Any]) -> None:
    """Check a report against the schema.

    Raises
    ------
    InternalError
        When the report does not fit; the error names the first wrong entry.
    """
    error = next(Draft202012Validator(report_schema()).iter_errors(dict(report)), None)
    if error is not None:
        raise InternalError(
            f"report.json, {'/'.join(map(str, error.instance_path)) or 'top level'}",
            error.message[:200],
            f"an entry that fits version {schema_version()} of its schema",
        )


def write_report(path: Path | str, report: Mapping[str, Any]) -> Path:
    """Validate and write ``report.json``.

    Raises
    ------
    InternalError
        When the report does not fit the schema.
    OutputError
        When the file cannot be written.
    """
    validate(report)
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _sides_from(measurements: Measurements) -> str | None:
    if any(flag.code == "sides-of-labels" for flag in measurements.flags):
        return "labels"
    return measurements.mid_surface.source if measurements.mid_surface else None


def _structure(measure: StructureMeasure, in_doubt: Sequence[str]) -> dict[str, Any]:
    structure = measure.structure
    return {
        "index": structure.index,
        "name": structure.name,
        "display_name": structure.display_name,
        "compartment": str(structure.compartment),
        "tissue": structure.tissue.value,
        "volume_cm3": _number(measure.volume_cm3),
        "left_cm3": _number(measure.left_cm3),
        "right_cm3": _number(measure.right_cm3),
        "fat_fraction_mean": _number(measure.fat_fraction_mean),
        "dixon_fat": None if measure.fat is None else _dixon_fat(measure),
        "cut_by_field_of_view": measure.cut_by_field_of_view,
        "in_doubt": list(in_doubt),
        **({} if measure.confidence_mean is None else _confidence(measure)),
        "volume_se_cm3": _number(measure.volume_se_cm3),
        "left_se_cm3": _number(measure.left_se_cm3),
        "right_se_cm3": _number(measure.right_se_cm3),
    }


def _confidence(measure: StructureMeasure) -> dict[str, Any]:
    return {
        "confidence_mean": _number(measure.confidence_mean),
        "confidence_low": _number(measure.confidence_low),
    }


def _uncertainty(uncertainty: Uncertainty) -> dict[str, Any]:
    return {
        "level": _number(uncertainty.level),
        "reason": uncertainty.reason,
        "phenotypes": {
            key: {
                "standard_error": _number(interval.standard_error),
                "low": _number(interval.low),
                "high": _number(interval.high),
            }
            for key, interval in uncertainty.intervals.items()
        },
        "not_given": dict(uncertainty.not_given),
    }


def _flag(flag: QualityFlag, measurements: Measurements) -> dict[str, Any]:
    return {
        "code": flag.code,
        "severity": flag.severity,
        "message": flag.message,
        "z_mm": None if flag.z_mm is None else [_number(mm) for mm in flag.z_mm],
        "structures": list(flag.structures),
        "quantities": list(flag.quantities),
        "touches": list(touched(flag, measurements)),
    }


def _dixon_fat(measure: StructureMeasure) -> dict[str, Any]:
    assert measure.fat is not None
    left, right = measure.fat
    return {
        "both": _fat(left + right),
        "left": None if measure.left_cm3 is None else _fat(left),
        "right": None if measure.right_cm3 is None else _fat(right),
    }


def _fat(fat: MuscleFat) -> dict[str, Any]:
    low, high = fat.core_quartiles or (None, None)
    return {
        "core_fraction": _number(fat.core_fraction),
        "core_lower_quartile": _number(low),
        "core_upper_quartile": _number(high),
        "core_cm3": _number(fat.core_cm3),
        "whole_fraction": _number(fat.whole_fraction),
        "infiltration": _number(fat.infiltration),
        "fat_free_cm3": _number(fat.fat_free_cm3),
    }


def _station_table(stations: Sequence[Station]) -> list[dict[str, Any]]:
    """One row for each table position, superior to inferior, with its series."""
    rows: list[dict[str, Any]] = []
    for station in stations:
        low, high = station.z_range_mm
        series = {
            "contrast": station.contrast.value,
            "series_number": station.series_number,
            "series_description": station.series_description,
            "contrast_told_by": station.contrast_told_by,
            "contrast_evidence": dict(station.contrast_evidence),
            **({"contrast_agent": station.contrast_agent} if station.contrast_agent else {}),
            **({} if station.private_scale is None else {"private_scale": _number(station.private_scale)}),
        }
        place = next((row for row in rows if _same_place(row, low, high)), None)
        if place is not None:
            place["series"].append(series)
            continue
        # Images of coronal and sagittal acquisitions show z along their rows' index.
        depth = station.grid.shape[station.slice_axis]
        height, width = (size for axis, size in enumerate(station.grid.shape) if axis != station.slice_axis)
        rows.append(
            {
                "index": len(rows),
                "z_low_mm": _number(low),
                "z_high_mm": _number(high),
                "slices": depth,
                "rows": height,
                "columns": width,
                "spacing_mm": [_number(v) for v in station.grid.spacing_mm],
                "series": [series],
            }
        )
    return rows


def _same_place(row: Mapping[str, Any], low: float, high: float) -> bool:
    return bool(abs(row["z_low_mm"] - low) < _SAME_PLACE_MM and abs(row["z_high_mm"] - high) < _SAME_PLACE_MM)


def _number(value: float | None) -> float | int | None:
    """A JSON number, rounded; None for a value that JSON cannot represent."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, Integral) else round(float(value), _DECIMALS)
