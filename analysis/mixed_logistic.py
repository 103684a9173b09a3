"""Logistic regression with a random intercept for each centre, scanner or other group.

The likelihood of a group is integrated over its intercept by adaptive Gauss-Hermite quadrature, as R's
``lme4::glmer(nAGQ = 9)`` does (tests/analysis).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from analysis.distributions import normal_tail
from analysis.logistic import fit_logistic, standardise
from analysis.threads import one_blas_thread

__all__ = ["MixedLogisticFit", "fit_random_intercept"]

Vector = NDArray[np.float64]

_NODES = 9
_NEWTON_STEPS = 50
# Below this SD of the intercepts, the groups do not differ and the model is the one without them.
_NO_SPREAD = 1e-3
# An error or a spread this large only arises if the likelihood is flat towards infinity.
_SEPARATED_SE = 50.0


@dataclass(frozen=True)
class MixedLogisticFit:
    """A fitted logistic regression with random intercepts.

    Attributes
    ----------
    coefficients : ndarray, shape (k,)
        Log odds per unit, the intercept first.
    covariance : ndarray, shape (k, k)
    group_sd : float
        SD of the groups' intercepts, log odds. 0 if the groups do not differ.
    log_likelihood : float
    converged : bool
    n, groups : int
    """

    coefficients: Vector
    covariance: Vector
    group_sd: float
    log_likelihood: float
    converged: bool
    n: int
    groups: int

    @property
    def summary(self) -> pd.DataFrame:
        """One row per coefficient: log odds, standard error, odds ratio, Wald p."""
        errors = np.sqrt(np.diag(self.covariance))
        p_values = 2.0 * normal_tail(np.abs(self.coefficients / errors))
        return pd.DataFrame({"coefficient": self.coefficients, "standard_error": errors,
                             "odds_ratio": np.exp(self.coefficients), "p_value": p_values})  # fmt: skip


@dataclass(frozen=True)
class _Point:
    """The marginal likelihood at one point; derivatives are of coefficients, then of the SD."""

    value: float
    slope: Vector
    curvature: Vector


@one_blas_thread
def fit_random_intercept(regressors: Vector, outcome: Vector, group: NDArray[np.integer]) -> MixedLogisticFit:
    """Maximise the marginal likelihood.

    Parameters
    ----------
    regressors : ndarray, shape (n, k)
        Without an intercept, of full rank; any scale.
    outcome : ndarray, shape (n,)
        0 or 1.
    group : ndarray of int, shape (n,)

    Raises
    ------
    numpy.linalg.LinAlgError
        If the regressors are collinear.
    """
    plain = fit_logistic(regressors, outcome)
    order = np.argsort(group, kind="stable")
    standardised = standardise(regressors[order])
    design, centre, scale = standardised.design, standardised.centre, standardised.scale
    events = outcome[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(group[order]) != 0]))
    model = _Model(design, events, starts)
    n, k = len(events), len(design)
    first = np.concatenate([_standardised(plain.coefficients, centre, scale), [0.2]])
    # Divided by the information of one coefficient, so that the first step has the right size.
    unit = max(float(n * events.mean() * (1 - events.mean())), 1.0)

    def off(at: Vector) -> tuple[float, Vector]:
        point = model.at(at)
        return -point.value / unit, -point.slope / unit

    found = minimize(off, first, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 200})
    point, spread = model.at(found.x), abs(float(found.x[k]))
    back = np.diag(np.concatenate([[1.0], 1.0 / scale]))
    back[0, 1:] = -centre / scale
    if spread < _NO_SPREAD:
        information, spread = -point.curvature[:k, :k], 0.0
    else:
        information = -point.curvature
    try:
        covariance = np.linalg.inv(information)[:k, :k]
        errors = np.diag(covariance)
        sound = bool((errors > 0).all() and errors.max() < _SEPARATED_SE**2 and spread < _SEPARATED_SE)
    except np.linalg.LinAlgError:
        covariance, sound = np.full((k, k), np.nan), False
    return MixedLogisticFit(
        coefficients=back @ found.x[:k],
        covariance=back @ covariance @ back.T,
        group_sd=spread,
        log_likelihood=point.value,
        # BFGS reports a loss of precision where it has reached the limit of floating point numbers.
        converged=sound and not plain.separated and float(np.abs(point.slope).max()) / unit < 1e-5,
        n=n,
        groups=len(starts),
    )


class _Model:
    """The data, ordered by group."""

    def __init__(self, design: Vector, events: Vector, starts: NDArray[np.intp]) -> None:
        self.design, self.events, self.starts = design, events, starts
        self.sizes = np.diff(np.append(starts, len(events)))
        nodes, weights = np.polynomial.hermite.hermgauss(_NODES)
        self.nodes, self.log_weights = nodes, np.log(weights) + nodes**2

    def at(self, parameters: Vector) -> _Point:
        """Value, slope and curvature. The group's intercept is ``sd * u``, and u is standard normal."""
        k = len(parameters) - 1
        sd, fixed = float(parameters[k]), parameters[:k] @ self.design
        middle, width = self._modes(fixed, sd)
        u = middle + np.sqrt(2.0) * width * self.nodes[:, None]  # (nodes, groups)
        logs = np.empty_like(u)
        scores = np.empty((_NODES, k + 1, len(self.starts)))
        curvature = np.zeros((_NODES, len(self.events)))
        for node in range(_NODES):
            predictor = fixed + sd * self._spread_out(u[node])
            small = np.exp(-np.abs(predictor))
            chance = np.where(predictor >= 0, 1.0, small) / (1.0 + small)
            likelihood = self.events * predictor - np.log1p(small) - np.maximum(predictor, 0.0)
            logs[node] = np.add.reduceat(likelihood, self.starts) - u[node] ** 2 / 2
            rest = self.events - chance
            scores[node, :k] = np.add.reduceat(self.design * rest, self.starts, axis=1)
            scores[node, k] = u[node] * scores[node, 0]
            curvature[node] = chance * (1.0 - chance)
        logs += self.log_weights[:, None]
        top = logs.max(axis=0)
        share = np.exp(logs - top)
        total = share.sum(axis=0)
        share /= total
        value = float((top + np.log(total) + np.log(width) - np.log(np.pi) / 2).sum())
        mean = np.einsum("ng,npg->pg", share, scores)
        # Louis's identity: curvature of the complete data plus the variance of its slope, within each group.
        complete = np.zeros((k + 1, k + 1))
        for node in range(_NODES):
            weight = curvature[node] * self._spread_out(share[node])
            along = np.vstack([self.design, self._spread_out(u[node])])
            complete -= (along * weight) @ along.T
        variance = np.einsum("ng,npg,nqg->pq", share, scores, scores) - mean @ mean.T
        return _Point(value, mean.sum(axis=1), complete + variance)

    def _modes(self, fixed: Vector, sd: float) -> tuple[Vector, Vector]:
        """Most likely u of each group, and the width of its distribution."""
        u = np.zeros(len(self.starts))
        for _ in range(_NEWTON_STEPS):
            predictor = fixed + sd * self._spread_out(u)
            chance = 1.0 / (1.0 + np.exp(-np.clip(predictor, -700, 700)))
            slope = sd * np.add.reduceat(self.events - chance, self.starts) - u
            bend = sd**2 * np.add.reduceat(chance * (1 - chance), self.starts) + 1.0
            step = np.clip(slope / bend, -2.0, 2.0)
            u = u + step
            if np.abs(step).max() < 1e-9:
                break
        return u, 1.0 / np.sqrt(bend)

    def _spread_out(self, per_group: Vector) -> Vector:
        return np.repeat(per_group, self.sizes)


def _standardised(coefficients: Vector, centre: Vector, scale: Vector) -> Vector:
    return np.concatenate([[coefficients[0] + centre @ coefficients[1:]], coefficients[1:] * scale])
