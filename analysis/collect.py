"""Collect a folder of reports, one per study, into one table of phenotypes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jsonschema_rs import Draft202012Validator

from analysis.errors import DataError

__all__ = ["Collected", "collect_reports"]


@dataclass(frozen=True)
class Collected:
    """Phenotypes of many studies, and the reports that could not be used.

    Attributes
    ----------
    table : DataFrame
        One row per study, by ``eid``: phenotypes, in the columns that the
        report's schema lists; ``<structure>_cm3`` with
        ``_left`` and ``_right``, ``_fat_fraction`` and the fat measures of
        reports since 1.2.0 (``<structure>_dixon_fat_core`` with ``_left`` and
        ``_right``, ``_dixon_fat_infiltration``, ``_fat_free_cm3``); ``model_name,
        model_version, model_training_data, model_intended_use`` and
        ``model_trained_on_synthetic`` (0 or 1); ``quality_flags`` (codes
        joined by ``;``) and ``withheld``.
    left_out : tuple of (str, str)
        Path below the folder, and the reason.
    """

    table: pd.DataFrame
    left_out: tuple[tuple[str, str], ...]


_TEXTS = {"eid", "quality_flags", "withheld"} | {
    f"model_{key}" for key in ("name", "version", "training_data", "intended_use")
}


def collect_reports(
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    schema: Mapping[str, Any] | None = None,
) -> Collected:
    """Read every ``report.json`` below a folder and check it against the report's schema.

    Reports of earlier schema versions are read too. Phenotypes that were added
    later are missing in their rows.

        Parameters
        ----------
        folder : Path
        progress : callable
            Called with the number of reports read and the number of all.
        schema : mapping, optional
            JSON Schema of the reports. Default: SarcoMAP's own.

        Raises
        ------
        DataError
            If there is no report, none is usable, or two are about the same
            participant.
    """
    paths = sorted(folder.rglob("report.json")) if folder.is_dir() else []
    if not paths:
        raise DataError(
            folder.name, "no report.json in it or below", "the output of `python -m app`", "Check the path."
        )
    schema = _report_schema() if schema is None else schema
    columns = tuple(schema["properties"]["phenotypes"]["properties"])
    validators = {version: Draft202012Validator(_as_of(schema, version)) for version in schema["x-readable-versions"]}
    newest = Draft202012Validator(dict(schema))
    rows: list[dict[str, Any]] = []
    origins: dict[str, str] = {}
    left_out: list[tuple[str, str]] = []
    for done, path in enumerate(paths, 1):
        where = path.relative_to(folder).as_posix()
        try:
            report = json.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            left_out.append((where, f"not readable as JSON ({type(error).__name__})"))
            continue
        version = report.get("schema_version") if isinstance(report, dict) else None
        problem = next(iter(validators.get(str(version), newest).iter_errors(report)), None)
        if problem is not None:
            place = "/".join(str(part) for part in problem.instance_path) or "top level"
            left_out.append((where, f"does not match the report schema: {place}: {problem.message[:120]}"))
            continue
        eid = str(report["study"]["pseudonym"])
        if eid in origins:
            raise DataError(
                where,
                f"the same participant as in {origins[eid]}",
                "one report per participant",
                "Collect a folder that holds one imaging visit only.",
            )
        origins[eid] = where
        rows.append(_row(eid, report, columns))
        progress(done, len(paths))
    if not rows:
        raise DataError(folder.name, f"none of {len(paths)} reports is usable; the first: {left_out[0][1]}",
                        "reports of this version", "Run `python -m app` again.")  # fmt: skip
    table = pd.DataFrame(rows).sort_values("eid", kind="stable").reset_index(drop=True)
    numbers = [name for name in table.columns if name not in _TEXTS]
    return Collected(table.astype(dict.fromkeys(numbers, "float64")), tuple(left_out))


def _report_schema() -> Mapping[str, Any]:
    text = resources.files("operators.core").joinpath("schema/report.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _as_of(schema: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The schema for reports of an earlier version: it does not require later phenotypes."""
    earlier = copy.deepcopy(dict(schema))
    earlier["properties"]["schema_version"] = {"const": version}
    phenotypes = earlier["properties"]["phenotypes"]
    phenotypes["required"] = [
        key for key, about in phenotypes["properties"].items() if _number(about["x-since"]) <= _number(version)
    ]
    return earlier


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _row(eid: str, report: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {"eid": eid, **{key: report["phenotypes"].get(key) for key in columns}}
    for structure in report["structures"]:
        name = structure["name"]
        # The volume of a structure that the field of view cuts off is only a lower bound.
        whole = not structure["cut_by_field_of_view"]
        row[f"{name}_cm3"] = structure["volume_cm3"] if whole else None
        row[f"{name}_left_cm3"] = structure["left_cm3"] if whole else None
        row[f"{name}_right_cm3"] = structure["right_cm3"] if whole else None
        row[f"{name}_fat_fraction"] = structure["fat_fraction_mean"]
        if structure["tissue"] == "muscle":
            row |= _fat(name, structure.get("dixon_fat") or {}, whole)
    model = report["model"]
    row |= {f"model_{key}": model[key] for key in ("name", "version", "training_data", "intended_use")}
    row["model_trained_on_synthetic"] = float(model["synthetic_training"])
    row["quality_flags"] = ";".join(dict.fromkeys(flag["code"] for flag in report["quality"]["flags"]))
    row["withheld"] = report["quality"]["withheld"] or ""
    return row


def _fat(name: str, fat: dict[str, Any], whole: bool) -> dict[str, Any]:
    """Columns of a muscle's fat; empty for reports before 1.2.0."""
    both, left, right = (fat.get(side) or {} for side in ("both", "left", "right"))
    return {
        f"{name}_dixon_fat_core": both.get("core_fraction"),
        f"{name}_dixon_fat_core_left": left.get("core_fraction"),
        f"{name}_dixon_fat_core_right": right.get("core_fraction"),
        f"{name}_dixon_fat_infiltration": both.get("infiltration"),
        f"{name}_fat_free_cm3": both.get("fat_free_cm3") if whole else None,
    }
