"""Covariates as columns of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Design", "design_of"]

_LEVELS = {"sex": ("F", "M"), "activity": ("low", "moderate", "high")}


@dataclass(frozen=True)
class Design:
    """Regressors of the covariates, without intercept.

    Attributes
    ----------
    values : ndarray, shape (n, k)
    names : tuple of str
        Names of the columns. Factors appear as ``activity=high`` against their first level.
    notes : tuple of str
        Covariates that were dropped because they are constant or determined by the others.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def design_of(table: pd.DataFrame, covariates: Sequence[str]) -> Design:
    """Build the columns. Constant and collinear ones are dropped and noted.

    Parameters
    ----------
    table : DataFrame
        Table without missing values among the covariates.
    covariates : sequence of str
        Columns of measurements. ``sex`` and ``activity`` become indicators.
    """
    columns: list[NDArray[np.float64]] = []
    names: list[str] = []
    notes: list[str] = []
    for covariate in covariates:
        if covariate in _LEVELS:
            values = table[covariate].to_numpy()
            made = [(f"{covariate}={level}", (values == level).astype(float)) for level in _LEVELS[covariate][1:]]
        else:
            made = [(covariate, table[covariate].to_numpy(dtype=float))]
        for name, column in made:
            if len(column) == 0 or np.ptp(column) == 0:
                notes.append(f"{name} is constant: dropped")
            elif _follows_from(column, columns):
                notes.append(f"{name} follows from the other covariates: dropped")
            else:
                columns.append(column)
                names.append(name)
    values = np.column_stack(columns) if columns else np.empty((len(table), 0))
    return Design(values, tuple(names), tuple(notes))


def _follows_from(column: NDArray[np.float64], others: list[NDArray[np.float64]]) -> bool:
    centred = column - column.mean()
    if not others:
        return False
    stacked = np.column_stack(others)
    stacked = (stacked - stacked.mean(axis=0)) / stacked.std(axis=0)
    rest = centred - stacked @ np.linalg.lstsq(stacked, centred)[0]
    return bool(np.linalg.norm(rest) < 1e-8 * np.linalg.norm(centred))
