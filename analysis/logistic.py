"""Logistic regression by maximum likelihood, in agreement with R's ``glm`` (tests/analysis)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.design import Standardised, standardise
from analysis.distributions import chi2_tail, normal_tail
from analysis.threads import one_blas_thread

__all__ = [
    "LogisticFit",
    "evaluate",
    "fit_logistic",
    "information_of",
    "likelihood_ratio_p",
    "maximise",
    "refitted",
]

Vector = NDArray[np.float64]

_MAX_STEPS = 60
# Newton decrement below which one more step is exact to rounding: its error is of the order of the decrement squared.
_DECREMENT = 1e-9
# A standard error this large per SD of a combination of regressors only arises if the
# likelihood is flat towards infinity, i.e. with separated data. Collinear regressors have large
# standard errors too, but not per SD of their combinations.
_SEPARATED_SE = 50.0
# Smallest eigenvalue of the regressors' correlations that is larger than any rounding error.
_COLLINEAR = 1e-11
# People at a time in the information matrix, so that the weighted block stays in the processor's cache.
_BLOCK = 4096
# Predictor beyond which a fitted share is 1 to the last digit; larger ones overflow the exponential.
_LARGEST_PREDICTOR = 700.0


@dataclass(frozen=True)
class LogisticFit:
    """A fitted logistic regression.

    Attributes
    ----------
    names : tuple of str
        ``intercept`` first.
    coefficients : ndarray, shape (k,)
        Log odds per unit.
    covariance : ndarray, shape (k, k)
    log_likelihood : float
    converged : bool
        Also False if the data are separated.
    separated : bool
        Whether a combination of regressors separates events from non-events, so
        that the maximum likelihood estimate is infinite.
    n, events : int
    """

    names: tuple[str, ...]
    coefficients: Vector
    covariance: Vector
    log_likelihood: float
    converged: bool
    separated: bool
    n: int
    events: float

    @property
    def standard_errors(self) -> Vector:
        """Square roots of the covariance's diagonal."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def p_values(self) -> Vector:
        """Two-sided Wald p values (chi-square with one degree of freedom)."""
        return np.asarray(2.0 * normal_tail(np.abs(self.coefficients / self.standard_errors)))

    @property
    def summary(self) -> pd.DataFrame:
        """One row per coefficient: log odds, standard error, odds ratio, Wald p."""
        return pd.DataFrame(
            {
                "coefficient": self.coefficients,
                "standard_error": self.standard_errors,
                "odds_ratio": np.exp(self.coefficients),
                "p_value": self.p_values,
            },
            index=pd.Index(self.names, name="term"),
        )


@dataclass(frozen=True)
class _Maximum:
    """Result of Newton's method."""

    coefficients: Vector
    log_likelihood: float
    converged: bool


@one_blas_thread
def fit_logistic(
    regressors: Vector,
    outcome: Vector,
    names: tuple[str, ...] | None = None,
    weights: Vector | None = None,
    start: Vector | None = None,
    standardised: Standardised | None = None,
) -> LogisticFit:
    """Fit by maximum likelihood, using Newton's method with halved steps.

    Parameters
    ----------
    regressors : ndarray, shape (n, k)
        Without an intercept, of full rank; any scale.
    outcome : ndarray, shape (n,)
        0 or 1. With weights: proportions.
    names : tuple of str, optional
        Of the regressors.
    weights : ndarray, shape (n,), optional
        Number of trials behind each row.
    start : ndarray, shape (k + 1,), optional
        Coefficients of a similar model, the intercept first. They save steps and do not change the result.
    standardised : Standardised, optional
        `analysis.design.standardise` of the same regressors, where several models share them.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the regressors are collinear.
    """
    n, k = regressors.shape
    weights = np.ones(n) if weights is None else weights
    standardised = standardise(regressors) if standardised is None else standardised
    design, centre, scale = standardised.design, standardised.centre, standardised.scale
    shared = standardised.correlations
    if np.linalg.eigvalsh(shared)[0] < _COLLINEAR:
        raise np.linalg.LinAlgError("collinear regressors")
    if start is None:
        share = float(np.clip(weights @ outcome / weights.sum(), 1e-9, 1 - 1e-9))
        begin = np.concatenate([[np.log(share / (1.0 - share))], np.zeros(k)])
    else:
        begin = np.concatenate([[start[0] + start[1:] @ centre], start[1:] * scale])
    maximum = maximise(design, outcome, weights, 0.0, begin)
    _, fitted = evaluate(maximum.coefficients @ design, outcome, weights)
    information = information_of(design, weights * fitted * (1.0 - fitted))
    covariance = np.linalg.pinv(information, hermitian=True)
    separated = not maximum.converged or _least_information(information, shared) < _SEPARATED_SE**-2
    # Convert back to the regressors' own units: b = T b_standardised.
    back = np.diag(np.concatenate([[1.0], 1.0 / scale]))
    back[0, 1:] = -centre / scale
    return LogisticFit(
        names=("intercept", *(names or tuple(f"x{index + 1}" for index in range(k)))),
        coefficients=back @ maximum.coefficients,
        covariance=back @ covariance @ back.T,
        log_likelihood=maximum.log_likelihood,
        converged=maximum.converged and not separated,
        separated=separated,
        n=int(weights.sum()),
        events=float((weights * outcome).sum()),
    )


def refitted(design: Vector, outcome: Vector, weights: Vector, start: Vector, steps: int = 2) -> Vector:
    """Coefficients for other weights of the same people, by a few Newton steps from a good start.

    A bootstrap moves the coefficients by a standard error, so that two steps are exact to its third power.

    Parameters
    ----------
    design : ndarray, shape (k, n)
        A row of ones for the intercept, and a row per regressor.
    outcome, weights : ndarray, shape (n,)
    start : ndarray, shape (k,)
    steps : int
    """
    coefficients = start
    for _ in range(steps):
        _, fitted = evaluate(coefficients @ design, outcome, weights)
        information = information_of(design, weights * fitted * (1.0 - fitted))
        score = design @ (weights * (outcome - fitted))
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:  # these people lack a level of a factor: its coefficient stays
            step = np.linalg.lstsq(information, score, rcond=None)[0]
        coefficients = coefficients + step
    return coefficients


def likelihood_ratio_p(fit: LogisticFit, without: LogisticFit) -> float:
    """p value of the terms that ``fit`` has and ``without`` lacks, by chi-square."""
    freedom = len(fit.names) - len(without.names)
    return float(chi2_tail(max(0.0, 2.0 * (fit.log_likelihood - without.log_likelihood)), freedom))


def evaluate(predictor: Vector, outcome: Vector, weights: Vector) -> tuple[float, Vector]:
    """Log likelihood and fitted shares, without overflow and with one exponential for both."""
    limited = np.minimum(predictor, _LARGEST_PREDICTOR)
    odds = np.exp(limited)
    either = 1.0 + odds
    limited *= outcome
    limited -= np.log(either)
    odds /= either
    return float(weights @ limited), odds


def information_of(design: Vector, weights: Vector) -> Vector:
    """Information matrix of the coefficients; ``weights`` are those of the likelihood's curvature."""
    information = np.zeros((len(design), len(design)))
    for begin in range(0, design.shape[1], _BLOCK):
        block = design[:, begin : begin + _BLOCK]
        information += (block * weights[begin : begin + _BLOCK]) @ block.T
    return information


def _least_information(information: Vector, shared: Vector) -> float:
    """Smallest information on any combination of the regressors that has an SD of 1.

    This tells separation (no information, because every fitted share is 0 or 1)
    from collinearity (a combination that hardly varies).
    """
    try:
        back = np.linalg.inv(np.linalg.cholesky(shared))
    except np.linalg.LinAlgError:
        return float(np.linalg.eigvalsh(information)[0])
    return float(np.linalg.eigvalsh(back @ information @ back.T)[0])


def maximise(design: Vector, outcome: Vector, weights: Vector, offset: Vector | float, start: Vector) -> _Maximum:
    """Newton's method; ``design`` has shape (k, n), a row per coefficient."""
    coefficients = start
    predictor = offset + coefficients @ design
    value, fitted = evaluate(predictor, outcome, weights)
    for _ in range(_MAX_STEPS):
        information = information_of(design, weights * fitted * (1.0 - fitted))
        score = design @ (weights * (outcome - fitted))
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:
            break
        decrement = float(score @ step)
        if decrement < _DECREMENT:
            return _Maximum(coefficients + step, value + decrement / 2.0, True)
        size = 1.0
        while True:
            candidate = coefficients + size * step
            candidate_predictor = offset + candidate @ design
            candidate_value, candidate_fitted = evaluate(candidate_predictor, outcome, weights)
            if candidate_value >= value or size < 1e-6:
                break
            size /= 2.0
        coefficients, value, fitted = candidate, candidate_value, candidate_fitted
    return _Maximum(coefficients, value, False)
