"""Collect a folder of reports, one for each study, into one table of phenotypes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jsonschema_rs import Draft202012Validator

from analysis.errors import DataError
from analysis.report_files import find_reports, read_reports

__all__ = ["Collected", "collect_reports", "report_schema", "standard_error_column"]

_TEXTS = (
    "eid",
    "visit",
    "label_source",
    "model_name",
    "model_version",
    "model_sha256",
    "model_training_data",
    "model_intended_use",
    "schema_version",
    "software_version",
    "quality_flags",
    "withheld",
)
_FOLDER = "folder"
_NOTHING: Mapping[str, Any] = {}
# Rows are made into a frame in parts of this size, because a dictionary takes ten times the memory of its numbers.
_PART = 2000
#: UK Biobank names a bulk file <eid>_<field>_<instance>_<array>; the instance is the visit.
_BULK_NAME = re.compile(r"^(?P<eid>\d+)_20201_(?P<visit>\d+)(_\d+)?$")


@dataclass(frozen=True)
class Collected:
    """Phenotypes of many studies, and the reports that could not be used.

    Attributes
    ----------
    table : DataFrame
        One row for each study, by ``eid`` and ``visit``. Texts: ``eid``,
        ``visit`` (missing if it is not known), ``label_source`` (``automatic``,
        ``semiautomatic``, ``manual`` or ``made elsewhere``), ``model_name``,
        ``model_version``, ``model_sha256``, ``model_training_data``,
        ``model_intended_use``, ``schema_version``, ``software_version``,
        ``quality_flags`` (codes joined by ``;``) and ``withheld``. Numbers: the
        phenotypes that the report's schema lists; of each structure
        ``<structure>_cm3``, ``_left_cm3``, ``_right_cm3`` and
        ``_fat_fraction``, standard errors since 1.3.0 (``tmv_se_cm3``,
        ``pa_ratio_se``, ``<structure>_left_se_cm3``), and the fat measures of reports since 1.2.0
        (``<structure>_dixon_fat_core`` with ``_left`` and ``_right``,
        ``_dixon_fat_infiltration``, ``_fat_free_cm3``); ``seam_visibility_max``
        and ``overlap_difference_max``, the worst of the places where stations
        overlap; ``model_trained_on_synthetic`` (0 or 1).
    left_out : tuple of (str, str)
        Path below the folder, and the reason.
    folders : tuple of str
        Folder of the study of each row, below the folder that was collected.
    phenotypes : dict of str to dict
        For each phenotype's column what the schema says: ``title``, ``x-unit``.
    """

    table: pd.DataFrame
    left_out: tuple[tuple[str, str], ...]
    folders: tuple[str, ...]
    phenotypes: Mapping[str, Mapping[str, Any]]

    def write(self, path: Path) -> None:
        """Write the table; see `analysis.phenotype_files.write_phenotypes`."""
        from analysis.phenotype_files import write_phenotypes

        write_phenotypes(self, path)


def collect_reports(
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    schema: Mapping[str, Any] | None = None,
) -> Collected:
    """Read every ``report.json`` below a folder and check it against the report's schema.

    Reports of earlier schema versions are read too. Phenotypes that were added
    later are missing in their rows. In the output of a cohort run, eid and
    visit are those that the run recorded, from its manifest or the input's
    name; a study without an eid is called by its manifest's key, or by its
    pseudonym and date. Elsewhere the eid is the report's pseudonym, and the
    visit comes from the report or from a folder that is named like UK
    Biobank's zip.

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
        If there is no report, none is usable, or two are about the same visit
        of the same participant.
    """
    files = find_reports(folder)
    if not files:
        raise DataError(folder.name, "no report.json in it or below", "the output of `sarcomap run`", "Check the path.")
    schema = report_schema() if schema is None else schema
    reader = _Reader(schema)
    parts: list[pd.DataFrame] = []
    rows: list[dict[str, Any]] = []
    origins: dict[tuple[str, str | None], str] = {}
    left_out: list[tuple[str, str]] = []
    for done, (file, content, record) in enumerate(read_reports(files), 1):
        try:
            report = reader.report(content)
        except ValueError as error:
            left_out.append((file.where, str(error)))
            continue
        key = _key_of_study(file.folder, report, record)
        if key in origins:
            raise DataError(
                file.where,
                f"the same participant and visit as in {origins[key]}",
                "one report for each visit of a participant",
                "Remove one of them, or collect a folder that holds only one.",
            )
        origins[key] = file.where
        row = _row(*key, report, reader.columns)
        row[_FOLDER] = file.where.rpartition("/")[0]
        rows.append(row)
        if len(rows) == _PART:
            parts.append(_frame(rows))
            rows = []
        progress(done, len(files))
    if rows:
        parts.append(_frame(rows))
    if not parts:
        raise DataError(folder.name, f"none of {len(files)} reports is usable; the first: {left_out[0][1]}",
                        "reports of this version", "Run `sarcomap run` again.")  # fmt: skip
    table = pd.concat(parts, ignore_index=True).sort_values(["eid", "visit"], kind="stable").reset_index(drop=True)
    folders = tuple(table.pop(_FOLDER))
    return Collected(table, tuple(left_out), folders, schema["properties"]["phenotypes"]["properties"])


class _Reader:
    """Reads reports of every version that the schema can check."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        phenotypes = schema["properties"]["phenotypes"]["properties"]
        self.columns = tuple((key, standard_error_column(key)) for key in phenotypes)
        self.newest = Draft202012Validator(dict(schema))
        self.earlier = {
            version: Draft202012Validator(_as_of(schema, version)) for version in schema["x-readable-versions"]
        }

    def report(self, content: bytes | OSError) -> dict[str, Any]:
        """A checked report; `ValueError` says why it cannot be used."""
        try:
            if isinstance(content, OSError):
                raise content
            report = json.loads(content)
        except (OSError, ValueError) as error:
            raise ValueError(f"not readable as JSON ({type(error).__name__})") from None
        version = report.get("schema_version") if isinstance(report, dict) else None
        validator = self.earlier.get(str(version), self.newest)
        if not validator.is_valid(report):
            problem = next(iter(validator.iter_errors(report)))
            place = "/".join(str(part) for part in problem.instance_path) or "top level"
            raise ValueError(f"does not match the report schema: {place}: {problem.message[:120]}")
        checked: dict[str, Any] = report
        return checked


def report_schema() -> Mapping[str, Any]:
    """The JSON Schema of SarcoMAP's ``report.json``, with the title and unit (``x-unit``) of each phenotype."""
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


def _key_of_study(folder: Path, report: Mapping[str, Any], record: bytes | None) -> tuple[str, str | None]:
    """The eid and the visit."""
    pseudonym, visit = str(report["study"]["pseudonym"]), report["study"].get("visit")
    if record is not None:
        with suppress(ValueError, KeyError, TypeError):
            # A manifest may give another eid than the report, which knows only the input's own name.
            known = json.loads(record)
            if known["eid"]:
                return str(known["eid"]), known["visit"]
            name = folder.resolve().name
            if name.startswith(f"{pseudonym}_"):
                return pseudonym, name.removeprefix(f"{pseudonym}_")
            return (pseudonym if name == pseudonym else name), visit
    if visit is None and (named := _BULK_NAME.match(folder.resolve().name)) and named["eid"] == pseudonym:
        visit = named["visit"]
    return pseudonym, visit


def _row(eid: str, visit: str | None, report: dict[str, Any], columns: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    phenotypes, intervals = report["phenotypes"], report.get("uncertainty", {}).get("phenotypes", {})
    row: dict[str, Any] = {"eid": eid, "visit": visit}
    for key, _ in columns:
        row[key] = phenotypes.get(key)
    for key, error in columns:
        row[error] = intervals.get(key, _NOTHING).get("standard_error")
    for structure in report["structures"]:
        names = _names_of(structure["name"])
        # The volume of a structure that the field of view cuts off is only a lower bound.
        whole = not structure["cut_by_field_of_view"]
        for key, column in names.volumes:
            row[column] = structure.get(key) if whole else None
        row[names.fat_fraction] = structure["fat_fraction_mean"]
        if structure["tissue"] == "muscle":
            fat = structure.get("dixon_fat") or _NOTHING  # missing in reports before 1.2.0
            for side, key, column in names.fat:
                row[column] = (fat.get(side) or _NOTHING).get(key)
            row[names.fat_free] = (fat.get("both") or _NOTHING).get("fat_free_cm3") if whole else None
    overlaps = report["quality"]["overlaps"]
    row["seam_visibility_max"] = _largest(overlaps, "seam_visibility")
    row["overlap_difference_max"] = _largest(overlaps, "mean_absolute_difference")
    model = report["model"]
    row["label_source"] = "made elsewhere" if model.get("made_elsewhere") else model.get("made", "automatic")
    keys = ("name", "version", "sha256", "training_data", "intended_use")
    row |= {f"model_{key}": model[key] for key in keys}
    row["model_trained_on_synthetic"] = int(model["synthetic_training"])
    row["schema_version"] = report["schema_version"]
    row["software_version"] = report["software"]["version"]
    row["quality_flags"] = ";".join(dict.fromkeys(flag["code"] for flag in report["quality"]["flags"]))
    row["withheld"] = report["quality"]["withheld"] or ""
    return row


def standard_error_column(phenotype: str) -> str:
    """The column of a number's standard error; the unit stays at the end.

    Examples
    --------
    >>> standard_error_column("tmv_cm3"), standard_error_column("pa_ratio")
    ('tmv_se_cm3', 'pa_ratio_se')
    """
    match = re.fullmatch(r"(.*?)((?:_cm3|_cm2|_cm3_per_cm2)?)", phenotype)
    assert match is not None
    return f"{match[1]}_se{match[2]}"


@dataclass(frozen=True)
class _Names:
    """Columns of one structure: (key in the report, column), and for fat (side, key, column)."""

    volumes: tuple[tuple[str, str], ...]
    fat_fraction: str
    fat: tuple[tuple[str, str, str], ...]
    fat_free: str


@cache  # 40,000 reports have the same few structures, and making the names took a quarter of the time
def _names_of(name: str) -> _Names:
    return _Names(
        volumes=(
            ("volume_cm3", f"{name}_cm3"),
            ("left_cm3", f"{name}_left_cm3"),
            ("right_cm3", f"{name}_right_cm3"),
            ("volume_se_cm3", f"{name}_se_cm3"),
            ("left_se_cm3", f"{name}_left_se_cm3"),
            ("right_se_cm3", f"{name}_right_se_cm3"),
        ),
        fat_fraction=f"{name}_fat_fraction",
        fat=(
            ("both", "core_fraction", f"{name}_dixon_fat_core"),
            ("left", "core_fraction", f"{name}_dixon_fat_core_left"),
            ("right", "core_fraction", f"{name}_dixon_fat_core_right"),
            ("both", "infiltration", f"{name}_dixon_fat_infiltration"),
        ),
        fat_free=f"{name}_fat_free_cm3",
    )


def _largest(overlaps: list[dict[str, Any]], key: str) -> float | None:
    return max((one[key] for one in overlaps if one.get(key) is not None), default=None)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    types = {name: "string" if name in (*_TEXTS, _FOLDER) else "float64" for name in frame.columns}
    return frame.astype(types | {"model_trained_on_synthetic": "int8"})
