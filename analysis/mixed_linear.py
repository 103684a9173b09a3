"""Linear regression with a random intercept for each person, centre or scanner, by restricted maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

__all__ = ["MixedLinearFit", "fit_linear_mixed"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class MixedLinearFit:
    """A fitted linear mixed model with random intercepts.

    Attributes
    ----------
    coefficients, standard_errors : ndarray, shape (k,)
        The intercept first.
    between_sd, within_sd : float
        SD of the groups' intercepts, and of the residuals.
    n, groups : int
    """

    coefficients: Vector
    standard_errors: Vector
    between_sd: float
    within_sd: float
    n: int
    groups: int

    @property
    def share_between(self) -> float:
        """Share of the residual variance that lies between the groups (intraclass correlation)."""
        return self.between_sd**2 / (self.between_sd**2 + self.within_sd**2)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per coefficient."""
        return pd.DataFrame({"coefficient": self.coefficients, "standard_error": self.standard_errors})


def fit_linear_mixed(values: Vector, regressors: Vector, group: NDArray[np.integer]) -> MixedLinearFit:
    """Fit by restricted maximum likelihood, in agreement with R's ``nlme::lme`` and ``lme4::lmer``.

    Parameters
    ----------
    values : ndarray, shape (n,)
    regressors : ndarray, shape (n, k)
        Without an intercept, of full rank.
    group : ndarray of int, shape (n,)
        0 to groups - 1.
    """
    x = np.column_stack([np.ones(len(values)), regressors])
    every = np.column_stack([x, values])
    k = x.shape[1]
    counts = np.bincount(group).astype(float)
    sums = np.column_stack([np.bincount(group, column) for column in every.T])
    products = every.T @ every

    def fitted(ratio: float) -> tuple[float, Vector, Vector, float]:
        # The inverse of I + ratio J, for each group's block, is I - shrink J.
        shrink = ratio / (1 + ratio * counts)
        gram = products - (sums * shrink[:, None]).T @ sums
        information, right = gram[:k, :k], gram[:k, k]
        beta = np.linalg.solve(information, right)
        rest = float(gram[k, k] - right @ beta)
        variance = rest / (len(values) - k)
        deviance = (len(values) - k) * np.log(variance) + np.log1p(ratio * counts).sum()
        return float(deviance + np.linalg.slogdet(information)[1]), beta, np.linalg.inv(information), variance

    best = minimize_scalar(lambda log: fitted(float(np.exp(log)))[0], bounds=(-16, 12), method="bounded",
                           options={"xatol": 1e-8})  # fmt: skip
    ratio = float(np.exp(best.x))
    _, beta, inverse, variance = fitted(ratio)
    errors = np.sqrt(variance * np.diag(inverse))
    return MixedLinearFit(beta, errors, float(np.sqrt(ratio * variance)), float(np.sqrt(variance)),
                          len(values), len(counts))  # fmt: skip
