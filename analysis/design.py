"""Covariates as columns of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "Covariates",
    "Design",
    "Regressors",
    "Standardised",
    "beside",
    "exposure_sd",
    "in_sds",
    "standardise",
    "variance_inflation",
]

Vector = NDArray[np.float64]

_LEVELS = {"sex": ("F", "M"), "activity": ("low", "moderate", "high")}
# Share of a standardised column's variance that the others must leave, or the column follows from them.
# `analysis.logistic` calls regressors collinear at the same limit.
_COLLINEAR = 1e-11
_MOST_NAMED = 5


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
    _made: list[Regressors] = field(default_factory=list, compare=False, repr=False)

    def beside(self, exposure: Vector) -> Regressors:
        """The exposure, shape (n,), then the covariates. Those of the last exposure are kept for the next outcome."""
        if not self._made or not np.array_equal(self._made[0].exposure, exposure):
            self._made[:] = [Regressors(exposure, self.values)]
        return self._made[0]


@dataclass(frozen=True)
class Standardised:
    """Regressors with mean 0 and SD 1, for a well-conditioned information matrix.

    Attributes
    ----------
    design : ndarray, shape (k + 1, n)
        A row of ones for the intercept, and a row per regressor.
    centre, scale : ndarray, shape (k,)
        Means and standard deviations.
    """

    design: Vector
    centre: Vector
    scale: Vector

    @cached_property
    def correlations(self) -> Vector:
        """Of the rows, shape (k + 1, k + 1)."""
        return np.asarray(self.design @ self.design.T / self.design.shape[1])

    def without(self, term: int) -> Standardised:
        """The same without one regressor."""
        return Standardised(
            np.delete(self.design, term + 1, axis=0), np.delete(self.centre, term), np.delete(self.scale, term)
        )


class Regressors:
    """An exposure beside its covariates: the columns of one model, or of several models with other outcomes.

    Attributes
    ----------
    exposure : ndarray, shape (n,)
    values : ndarray, shape (n, k)
        The exposure first.
    """

    def __init__(self, exposure: Vector, covariates: Vector) -> None:
        self.exposure = exposure
        self.values = beside(exposure, covariates)

    @cached_property
    def standardised(self) -> Standardised:
        """The same with mean 0 and SD 1."""
        return standardise(self.values)

    @cached_property
    def inflation(self) -> float:
        """Variance inflation of the exposure."""
        return variance_inflation(self.exposure, self.values[:, 1:])


def standardise(regressors: Vector) -> Standardised:
    """Standardise regressors, shape (n, k)."""
    n, k = regressors.shape
    design = np.empty((k + 1, n))
    design[0] = 1.0
    rows = design[1:]  # a regressor a row: sums along a row are several times as fast as those over rows
    rows[:] = regressors.T
    centre = rows.mean(axis=1)
    rows -= centre[:, None]
    scale = np.sqrt(np.einsum("ij,ij->i", rows, rows) / n)
    scale = np.where(scale > 0, scale, 1.0)
    rows /= scale[:, None]
    return Standardised(design, centre, scale)


def beside(*columns: Vector) -> Vector:
    """Put columns, shape (n,) or (n, k), side by side; each column is contiguous, so that sums over people are fast."""
    return np.concatenate([np.atleast_2d(column.T) for column in columns]).T


def exposure_sd(exposure: Vector) -> float:
    """SD of an exposure, shape (n,), among everybody analysed who has it; NaN if fewer than two people or one value.

    Ratios per SD take it from here, whatever the outcome and the model, so that they are per the same difference.
    """
    known = exposure[np.isfinite(exposure)]
    sd = float(known.std(ddof=1)) if len(known) > 1 and np.ptp(known) > 0 else 0.0
    return sd if sd > 0 else float("nan")


def in_sds(exposure: Vector) -> Vector:
    """An exposure in units of its `exposure_sd`; as it is if that is unknown, which models refuse for no variation."""
    sd = exposure_sd(exposure)
    return exposure / sd if np.isfinite(sd) else exposure


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
        self._values = np.array(columns) if columns else np.empty((0, len(table)))  # a row per column of the design
        self._last: tuple[NDArray[np.bool_], Design] | None = None

    def of(self, rows: NDArray[np.bool_]) -> Design:
        """The regressors of some people who have every covariate. Constant and collinear ones are dropped and noted.

        The last design is kept, because most models of an exposure have the same people, whatever their outcome.
        """
        if self._last is None or not np.array_equal(self._last[0], rows):
            self._last = None  # its memory becomes free before the next one is made
            self._last = (rows, self._of(rows))
        return self._last[1]

    def _of(self, rows: NDArray[np.bool_]) -> Design:
        values = self._values if rows.all() else self._values.take(np.flatnonzero(rows), axis=1)
        n = values.shape[1]
        if not n:
            return Design(values[:0].T, (), tuple(f"{name} is constant: dropped" for name in self.names))
        varies = values.min(axis=1) < values.max(axis=1)
        kept: list[int] = []
        notes = []
        scaled = values - values.mean(axis=1)[:, None]
        spread = np.sqrt(np.einsum("ij,ij->i", scaled, scaled) / n)
        scaled /= np.where(varies & (spread > 0), spread, 1.0)[:, None]
        shared = scaled @ scaled.T / n
        explained = _Explained(len(self.names))
        follow = []
        for index, name in enumerate(self.names):
            if not varies[index]:
                notes.append(f"{name} is constant: dropped")
            elif not explained.add(shared[index, kept], shared[index, index]):
                follow.append(f"{name} follows from the other covariates: dropped")
            else:
                kept.append(index)
        if len(follow) > _MOST_NAMED:
            follow = [f"{len(follow)} covariates follow from the others: dropped"]
        notes += follow
        chosen = values if len(kept) == len(values) else values[kept]
        return Design(chosen.T, tuple(self.names[index] for index in kept), tuple(notes))


def variance_inflation(column: Vector, others: Vector) -> float:
    """Variance inflation factor 1 / (1 - R²) of one regressor, given the others, shape (n, k)."""
    if not others.shape[1]:
        return 1.0
    scaled = beside(others, column).T.copy()
    scaled -= scaled.mean(axis=1)[:, None]
    scaled /= np.sqrt(np.einsum("ij,ij->i", scaled, scaled) / len(column))[:, None]
    left = _unexplained(scaled @ scaled.T / len(column), others.shape[1], list(range(others.shape[1])))
    return float("inf") if left < _COLLINEAR else 1.0 / left


class _Explained:
    """What a growing set of standardised columns explains of the next one: Cholesky's method, a column at a time.

    With hundreds of covariates, solving anew for each of them takes minutes.
    """

    def __init__(self, most: int) -> None:
        self._inverse = np.zeros((most, most))  # of the Cholesky factor of the kept columns' correlations
        self._count = 0

    def add(self, cross: Vector, own: float) -> bool:
        """Keep a column with these correlations to the kept ones, unless they explain it."""
        k = self._count
        inverse = self._inverse[:k, :k]
        along = inverse @ cross
        left = float(own - along @ along)
        if left < _COLLINEAR:
            return False
        self._inverse[k, :k] = -(along @ inverse) / np.sqrt(left)
        self._inverse[k, k] = 1.0 / np.sqrt(left)
        self._count += 1
        return True


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
