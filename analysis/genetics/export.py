"""Export phenotypes to a tool for genome-wide association studies."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.errors import DataError
from analysis.exclusions import choose_visit, consenting, instance_of, of_instance, read_exclusions
from analysis.genetics.covariates import for_regression, read_covariates
from analysis.genetics.files import example_command, write_covariates, write_traits
from analysis.genetics.options import ExportOptions
from analysis.genetics.traits import choose_traits, describe, rank_normal
from analysis.provenance import version_of
from analysis.tables import read_table, sha256_of, write_table, write_text
from analysis.values import is_yes

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    traits : DataFrame
        By identifier.
    covariates : DataFrame or None
    covariates_left_out : dict of str to str
        Covariates that were not written, and why.
    flow : tuple of (str, int)
        What was left out, and the number of participants after it.
    files : tuple of Path
    """

    traits: pd.DataFrame
    covariates: pd.DataFrame | None
    covariates_left_out: dict[str, str]
    flow: tuple[tuple[str, int], ...]
    files: tuple[Path, ...]


def export(phenotypes: Path, options: ExportOptions) -> Exported:
    """Write traits, covariates, the dictionary of traits and a record of the export.

    Parameters
    ----------
    phenotypes : Path
        Table of `analysis.collect`.
    options : ExportOptions

    Raises
    ------
    DataError
        If a table cannot be used, nobody is left, or a network trained on
        synthetic data has measured the traits and ``force`` is not set.
    """
    where = phenotypes.name
    table = choose_visit(read_table(phenotypes, ("eid", "visit")), options.visit, where)
    if "eid" not in table.columns or table["eid"].duplicated().any():
        raise DataError(where, "no eid, or an eid more than once", "one row for each participant", "Correct it.")
    synthetic = _refuse_synthetic(table, where, options.force)
    flow = [("in the table of phenotypes", len(table))]
    if (kept := consenting(table)) is not table:
        table = kept
        flow.append(("withdrawn (a negative identifier)", len(table)))
    if options.exclude is not None:
        table = _without(table, options.exclude, "rejected (--exclude)", flow)
    if options.withdrawn is not None:
        table = _without(table, options.withdrawn, "withdrawn", flow)
    people = None
    if options.participants is not None:
        instance = instance_of(table)
        table, elsewhere = of_instance(table, instance, where)
        if elsewhere:
            flow.append(("of another visit than the covariates", len(table)))
        people = read_covariates(options.participants, options.fields, instance)
        table = table[table["eid"].isin(people.index)]
        flow.append(("not in the participants table", len(table)))
    identifier = table["eid"].astype("string")
    if options.bridge is not None:
        identifier = identifier.map(_bridge(options.bridge))
        table, identifier = table[identifier.notna()], identifier[identifier.notna()]
        flow.append(("not in the bridge file", len(table)))
    if table.empty:
        reasons = "; ".join(f"{reason}: {left} left" for reason, left in flow)
        raise DataError(where, f"nobody left to export ({reasons})", "at least one participant", "Check the inputs.")
    names = choose_traits(table, options.traits, where)
    sex = None if people is None else people["sex_code"].reindex(table["eid"]).set_axis(table.index)
    traits = _traits(table, names, options, sex).set_axis(identifier, axis=0)
    covariates: pd.DataFrame | None = None
    left_out: dict[str, str] = {}
    about: dict[str, Any] = {}
    if people is not None:
        covariates, age, left_out = for_regression(people.reindex(table["eid"]).set_axis(identifier, axis=0))
        about = {"age_subtracted_years": age, "left_out": left_out}
    files = write_traits(options.tool, traits, options.out)
    if covariates is not None:
        files += write_covariates(options.tool, covariates, options.out)
    write_table(_dictionary(traits, table, synthetic), options.out / "traits.csv")
    record = _record(phenotypes, options, flow, synthetic, example_command(options.tool, names[0], covariates))
    record["covariates"] = about
    write_text(json.dumps(record, indent=2) + "\n", options.out / "export.json")
    files += [options.out / "traits.csv", options.out / "export.json"]
    return Exported(traits, covariates, left_out, tuple(flow), tuple(files))


def _refuse_synthetic(table: pd.DataFrame, where: str, force: bool) -> bool:
    if "model_trained_on_synthetic" not in table.columns:
        if not force:
            raise DataError(
                where,
                "no column model_trained_on_synthetic, so nobody knows what the network has seen",
                "a table of `sarcomap cohort collect`",
                "Collect the reports again, or export anyway with --force.",
            )
        return False
    rows = int(is_yes(table["model_trained_on_synthetic"]).sum())
    if rows and not force:
        raise DataError(
            where,
            f"{rows} of {len(table)} rows were measured by a network that was trained on synthetic images",
            "a network that was trained on people",
            "Train your own weights (docs/training.md), or export anyway with --force, for tests.",
        )
    return rows > 0


def _without(table: pd.DataFrame, path: Path, reason: str, flow: list[tuple[str, int]]) -> pd.DataFrame:
    kept = table[~read_exclusions(path).rows(table)]
    flow.append((reason, len(kept)))
    return kept


def _bridge(path: Path) -> pd.Series:
    """Identifier in the genetic data, by eid."""
    raw = read_table(path, ("eid",)).astype("string")
    if len(raw.columns) != 2 or "eid" not in raw.columns:
        raise DataError(path.name, f"columns {', '.join(raw.columns)}", "eid and one other column", "Correct it.")
    other = next(name for name in raw.columns if name != "eid")
    pairs = raw.assign(**{other: raw[other].str.strip().str.removesuffix(".0")}).dropna()
    for name in ("eid", other):
        twice = int(pairs[name].duplicated().sum())
        if twice:
            raise DataError(path.name, f"{twice} repeated values of {name}", "one row for each person", "Correct it.")
    return pairs.set_index("eid")[other]


def _traits(table: pd.DataFrame, names: list[str], options: ExportOptions, sex: pd.Series | None) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    for name in names:
        values = table[name].astype("float64")
        columns[name] = values
        if "sample" in options.rank_normal:
            columns[f"{name}_rint"] = rank_normal(values)
        if "sex" in options.rank_normal:
            columns[f"{name}_rint_by_sex"] = rank_normal(values, sex)
    return pd.DataFrame(columns)


def _dictionary(traits: pd.DataFrame, table: pd.DataFrame, synthetic: bool) -> pd.DataFrame:
    def said(column: str) -> str:
        return ";".join(sorted(table[column].dropna().astype(str).unique())) if column in table.columns else ""

    rows = []
    for name in traits.columns:
        by_sex, ranked = name.endswith("_rint_by_sex"), name.endswith(("_rint", "_rint_by_sex"))
        source = name.removesuffix("_by_sex").removesuffix("_rint")
        title, unit = describe(source)
        transform = "none" if not ranked else f"rank-inverse-normal within {'sex' if by_sex else 'the sample'}"
        rows.append(
            {
                "trait": name,
                "title": title,
                "unit": "SD" if ranked else unit,
                "transform": transform,
                "n": int(traits[name].notna().sum()),
                "mean": traits[name].mean(),
                "sd": traits[name].std(),
                "label_source": said("label_source"),
                "model": said("model_name"),
                "model_version": said("model_version"),
                "model_sha256": said("model_sha256"),
                "trained_on_synthetic": synthetic,
            }
        )
    return pd.DataFrame(rows)


def _record(
    phenotypes: Path, options: ExportOptions, flow: list[tuple[str, int]], synthetic: bool, command: str
) -> dict[str, Any]:
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
    return {
        "tool": options.tool,
        "trained_on_synthetic": synthetic,
        "flow": [{"reason": reason, "left": left} for reason, left in flow],
        "inputs": {
            name: {"file": path.name, "sha256": sha256_of(path)}
            for name, path in {"phenotypes": phenotypes, **options.files()}.items()
        },
        "options": plain,
        "software": {"sarcomap": version_of("sarcomap"), "python": platform.python_version()},
        "example": command,
    }
