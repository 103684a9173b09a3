"""Covariates as columns of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Covariates", "Design", "design_of", "variance_inflation"]

Vector = NDArray[np.float64]

_LEVELS = {"sex": ("F", "M"), "activity": ("low", "moderate", "high")}
# Share of a standardised column's variance that the others must leave, or the column follows from them.
# `analysis.logistic` calls regressors collinear at the same limit.
_COLLINEAR = 1e-11


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

    values: Vector
    names: tuple[str, ...]
    notes: tuple[str, ...]


class Covariates:
    """The covariates' columns of a whole table, made once and cut to the people of each model.

    Parameters
    ----------
    table : DataFrame
    covariates : sequence of str
        Columns. Text and categories become indicators against their first level.

    Attributes
    ----------
    names : tuple of str
    known : ndarray of bool, shape (n,)
        Who has every covariate.
    """

    def __init__(self, table: pd.DataFrame, covariates: Sequence[str]) -> None:
        columns: list[Vector] = []
        names: list[str] = []
        self.known: NDArray[np.bool_] = np.ones(len(table), dtype=bool)
        for covariate in covariates:
            column = table[covariate]
            self.known &= column.notna().to_numpy(dtype=bool)
            if pd.api.types.is_numeric_dtype(column) and covariate not in _LEVELS:
                columns.append(column.to_numpy(dtype=float, na_value=np.nan))
                names.append(covariate)
                continue
            for level in _levels(column, covariate)[1:]:
                columns.append((column == level).fillna(False).to_numpy(dtype=float))
                names.append(f"{covariate}={level}")
        self.names = tuple(names)
        self._values = np.column_stack(columns) if columns else np.empty((len(table), 0))

    def of(self, rows: NDArray[np.bool_]) -> Design:
        """The regressors of some people who have every covariate. Constant and collinear ones are dropped and noted."""
        values = self._values if rows.all() else self._values[rows]
        if not len(values):
            return Design(values[:, :0], (), tuple(f"{name} is constant: dropped" for name in self.names))
        varies = values.min(axis=0) < values.max(axis=0) if values.shape[1] else np.empty(0, dtype=bool)
        kept: list[int] = []
        notes = []
        spread = values.std(axis=0)
        scaled = (values - values.mean(axis=0)) / np.where(varies & (spread > 0), spread, 1.0)
        shared = scaled.T @ scaled / len(values)
        for index, name in enumerate(self.names):
            if not varies[index]:
                notes.append(f"{name} is constant: dropped")
            elif _unexplained(shared, index, kept) < _COLLINEAR:
                notes.append(f"{name} follows from the other covariates: dropped")
            else:
                kept.append(index)
        chosen = values if len(kept) == values.shape[1] else values[:, kept]
        return Design(chosen, tuple(self.names[index] for index in kept), tuple(notes))


def design_of(table: pd.DataFrame, covariates: Sequence[str]) -> Design:
    """Build the columns of a table without missing values among the covariates; see `Covariates`."""
    return Covariates(table, covariates).of(np.ones(len(table), dtype=bool))


def variance_inflation(column: Vector, others: Vector) -> float:
    """Variance inflation factor 1 / (1 - R²) of one regressor, given the others, shape (n, k)."""
    if not others.shape[1]:
        return 1.0
    regressors = np.column_stack([others, column])
    centred = regressors - regressors.mean(axis=0)
    scaled = centred / centred.std(axis=0)
    left = _unexplained(scaled.T @ scaled / len(column), others.shape[1], list(range(others.shape[1])))
    return float("inf") if left < _COLLINEAR else 1.0 / left


def _unexplained(shared: Vector, index: int, kept: Sequence[int]) -> float:
    """Share of a standardised column's variance that the kept columns do not explain, from the correlations."""
    if not kept:
        return 1.0
    cross = shared[np.ix_(kept, [index])][:, 0]
    return float(shared[index, index] - cross @ np.linalg.solve(shared[np.ix_(kept, kept)], cross))


def _levels(column: pd.Series, name: str) -> list[str]:
    """Levels of a factor, the reference first. People whose level is "missing" have an indicator of their own."""
    there = set(column.dropna().unique())
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [level for level in column.cat.categories if level in there]
    if name in _LEVELS:
        return [*_LEVELS[name]]
    return sorted(there - {"missing"})
