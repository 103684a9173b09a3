"""The files of each tool.

Sources: regenie, "Options" (covariate and phenotype file format); PLINK 2.0,
"Standard data input", --pheno and --covar, its help for --missing-catname, and
"Association analysis", --glm (sex on the X chromosome, --vif); BOLT-LMM manual 2.4,
sections 5.2 to 5.4, and its help for --phenoFile and --covarUseMissingIndic; GCTA,
"GREML analysis", --pheno, --covar and --qcovar, which fastGWA shares, and its source
for categories of one level.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.genetics.covariates import CATEGORICAL, QUANTITATIVE
from analysis.genetics.options import Tool
from analysis.tables import write_text

__all__ = ["example_command", "write_covariates", "write_traits"]

_MISSING = "NA"
# In a column of categories PLINK 2 would take NA for a category.
_MISSING_CATEGORY = {"plink2": "NONE"}
_DIGITS = 7
_HEADER_START = {"plink2": "#FID", "regenie": "FID", "bolt": "FID"}  # GCTA's files have no header
_SEPARATOR = {"plink2": "\t", "regenie": "\t", "bolt": " ", "fastgwa": " "}


def write_traits(tool: Tool, traits: pd.DataFrame, out: Path) -> list[Path]:
    """Write the file of traits; for fastGWA also the names of its columns.

    Parameters
    ----------
    tool : str
    traits : DataFrame
        By identifier.
    out : Path
        Folder.
    """
    files = [_write(tool, traits, out / "traits.txt")]
    if tool == "fastgwa":
        lines = [f"{number} {name}" for number, name in enumerate(traits.columns, start=1)]
        write_text("\n".join(lines) + "\n", out / "traits.columns.txt")
        files.append(out / "traits.columns.txt")
    return files


def write_covariates(tool: Tool, covariates: pd.DataFrame, out: Path) -> list[Path]:
    """Write the covariates; for fastGWA quantitative and categorical ones in files of their own.

    regenie removes whoever has a missing covariate, so its file has complete rows only.
    """
    quantitative, categorical = _present(covariates)
    if not quantitative and not categorical:
        return []
    if tool == "fastgwa":
        files = []
        if quantitative:
            files.append(_write(tool, covariates[quantitative], out / "covariates.quantitative.txt"))
        if categorical:
            files.append(_write(tool, covariates[categorical], out / "covariates.categorical.txt"))
        return files
    chosen = covariates[[*quantitative, *categorical]]
    return [_write(tool, chosen.dropna() if tool == "regenie" else chosen, out / "covariates.txt")]


def example_command(tool: Tool, trait: str, covariates: pd.DataFrame | None) -> str:
    """How the tool reads the files. Genotypes and everything else are the user's."""
    quantitative, categorical = ([], []) if covariates is None else _present(covariates)
    words: list[str]
    if tool == "regenie":
        words = ["regenie --step 1 --qt --phenoFile traits.txt --phenoCol", trait]
        if quantitative or categorical:
            words += ["--covarFile covariates.txt --covarColList", ",".join([*quantitative, *categorical])]
        if categorical:
            words += ["--catCovarList", ",".join(categorical)]
    elif tool == "plink2":
        # Sex is a covariate on all chromosomes. PLINK 2 would add it a second time on X, and the regression would fail.
        on_x = " no-x-sex" if "sex" in quantitative else ""
        words = [f"plink2 --glm hide-covar{on_x} --pheno traits.txt --pheno-name", trait]
        if quantitative or categorical:
            words += ["--covar covariates.txt --covar-variance-standardize"]
    elif tool == "bolt":
        words = ["bolt --lmm --phenoFile=traits.txt --phenoCol=" + trait]
        if quantitative or categorical:
            words += ["--covarFile=covariates.txt", *(f"--qCovarCol={name}" for name in quantitative)]
            words += [f"--covarCol={name}" for name in categorical]
    else:
        words = ["gcta64 --fastGWA-mlm --pheno traits.txt --mpheno 1"]
        if quantitative:
            words += ["--qcovar covariates.quantitative.txt"]
        if categorical:
            words += ["--covar covariates.categorical.txt"]
    return " ".join([*words, "..."])


def _present(covariates: pd.DataFrame) -> tuple[list[str], list[str]]:
    quantitative = [name for name in QUANTITATIVE if name in covariates.columns]
    return quantitative, [name for name in CATEGORICAL if name in covariates.columns]


def _write(tool: Tool, table: pd.DataFrame, path: Path) -> Path:
    separator = _SEPARATOR[tool]
    lines = []
    if tool in _HEADER_START:
        lines.append(separator.join([_HEADER_START[tool], "IID", *table.columns]))
    texts = [_texts(table[name], _MISSING_CATEGORY.get(tool, _MISSING)) for name in table.columns]
    for identifier, *values in zip(table.index, *texts, strict=True):
        lines.append(separator.join([identifier, identifier, *values]))
    write_text("\n".join(lines) + "\n", path)
    return path


def _texts(values: pd.Series, missing: str) -> Sequence[str]:
    if not pd.api.types.is_numeric_dtype(values):
        return [missing if pd.isna(value) else str(value) for value in values]
    return [_number(value) for value in values.to_numpy(dtype=np.float64)]


def _number(value: float) -> str:
    """Seven significant digits without an exponent, which not every tool reads, and no minus before a zero."""
    if not np.isfinite(value):
        return _MISSING
    return np.format_float_positional(value + 0.0, precision=_DIGITS, unique=False, fractional=False, trim="-")
