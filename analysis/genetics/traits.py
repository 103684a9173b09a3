"""Traits: which columns, their units and titles, and the rank-inverse-normal transform."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from analysis.collect import report_schema
from analysis.errors import DataError

__all__ = ["choose_traits", "describe", "rank_normal"]

_NOT_TRAITS = {"model_trained_on_synthetic", "visit", "seam_visibility_max", "overlap_difference_max", "synthetic"}
_ENDINGS = {"_cm3": "cm3", "_fat_fraction": "fraction"}
# Blom's offset, the usual one for genetic data.
_OFFSET = 3 / 8


def choose_traits(table: pd.DataFrame, names: str | None, where: str) -> list[str]:
    """The columns to export.

    Parameters
    ----------
    table : DataFrame
        Phenotypes.
    names : str or None
        Names separated by commas, ``all``, or None for the phenotypes of the report's schema.
    where : str
        File name, for messages.

    Raises
    ------
    DataError
        If a column is missing or not numeric, or none has a value.
    """
    numeric = [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name]) and name not in _NOT_TRAITS]
    if names is None:
        wanted = [name for name in report_schema()["properties"]["phenotypes"]["properties"] if name in numeric]
    elif names == "all":
        wanted = numeric
    else:
        wanted = [name.strip() for name in names.split(",") if name.strip()]
        unknown = [name for name in wanted if name not in numeric]
        if unknown:
            raise DataError(where, f"no numeric column {unknown[0]}", "columns of the table", "Correct --traits.")
    wanted = [name for name in wanted if table[name].notna().any()]
    if not wanted:
        raise DataError(where, "no trait with a value", "at least one", "Choose others with --traits.")
    return wanted


def describe(name: str) -> tuple[str, str]:
    """Title and unit of a trait."""
    phenotypes = report_schema()["properties"]["phenotypes"]["properties"]
    if name in phenotypes:
        return phenotypes[name]["title"], phenotypes[name]["x-unit"]
    unit = next((unit for ending, unit in _ENDINGS.items() if name.endswith(ending)), "")
    title = name.removesuffix("_cm3").replace("_", " ").capitalize()
    return title + (", volume" if unit == "cm3" else ""), unit


def rank_normal(values: pd.Series, groups: pd.Series | None = None) -> pd.Series:
    """Rank-inverse-normal transform with Blom's offset; ties get their mean rank, missing values stay missing.

    Parameters
    ----------
    values : Series of float
    groups : Series, optional
        Transform within each group. Missing where the group is missing.

    Examples
    --------
    >>> rank_normal(pd.Series([3.0, 1.0, 2.0])).round(3).tolist()
    [0.869, -0.869, 0.0]
    """
    if groups is None:
        return _ranked(values)
    return values.groupby(groups).transform(_ranked).where(groups.notna())


def _ranked(values: pd.Series) -> pd.Series:
    present = values.notna()
    count = int(present.sum())
    made = pd.Series(np.nan, index=values.index)
    if count:
        ranks = rankdata(values[present])
        made[present] = ndtri((ranks - _OFFSET) / (count + 1 - 2 * _OFFSET))
    return made
