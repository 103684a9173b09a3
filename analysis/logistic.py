"""Logistic regression with profile-likelihood intervals.

At the interval's ends, the profile deviance has risen by the chi-square quantile.
Newton's method on the likelihood's height and the other coefficients' scores
together finds an end in four or five steps (Venzon & Moolgavkar, Appl Stat
1988;37:87-94). Where it does not, the end is a bracketed root of the signed root
deviance, which is nearly a straight line. Each evaluation then fixes the coefficient
as an offset and refits the others, starting from the previous one. Results agree with R's ``glm`` and
``MASS::confint`` (tests/analysis).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from analysis.distributions import chi2_tail, normal_quantile, normal_tail
from analysis.threads import one_blas_thread

__all__ = ["LogisticFit", "fit_logistic", "likelihood_ratio_p", "profile_ends", "profile_interval", "refitted"]

Vector = NDArray[np.float64]

_MAX_STEPS = 60
# Newton decrement below which one more step is exact to rounding: its error is of the order of the decrement squared.
_DECREMENT = 1e-9
# A standard error this large per SD of a combination of regressors only arises if the
# likelihood is flat towards infinity, i.e. with separated data. Collinear regressors have large
# standard errors too, but not per SD of their combinations.
_SEPARATED_SE = 50.0
# Newton's method for an interval's end: the likelihood is this near the wanted height, and the others' scores to 0.
_END_STEPS, _END_TOLERANCE = 12, 1e-8
# Smallest eigenvalue of the regressors' correlations that is larger than any rounding error.
_COLLINEAR = 1e-11


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
    regressors: Vector, outcome: Vector, names: tuple[str, ...] | None = None, weights: Vector | None = None
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

    Raises
    ------
    numpy.linalg.LinAlgError
        If the regressors are collinear.
    """
    n, k = regressors.shape
    weights = np.ones(n) if weights is None else weights
    design, centre, scale = _standardise(regressors)
    shared = design @ design.T / n
    if np.linalg.eigvalsh(shared)[0] < _COLLINEAR:
        raise np.linalg.LinAlgError("collinear regressors")
    maximum = _maximise(design, outcome, weights, np.zeros(n), np.zeros(k + 1))
    _, fitted = _evaluate(maximum.coefficients @ design, outcome, weights)
    information = _information(design, weights * fitted * (1.0 - fitted))
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
        _, fitted = _evaluate(coefficients @ design, outcome, weights)
        information = _information(design, weights * fitted * (1.0 - fitted))
        coefficients = coefficients + np.linalg.solve(information, design @ (weights * (outcome - fitted)))
    return coefficients


@one_blas_thread
def profile_interval(
    fit: LogisticFit,
    regressors: Vector,
    outcome: Vector,
    term: int,
    level: float = 0.95,
    weights: Vector | None = None,
) -> tuple[float | None, float | None]:
    """Compute the profile-likelihood interval of one coefficient.

    Parameters
    ----------
    fit : LogisticFit
        Fit to the same data.
    regressors, outcome, weights
    The arguments of `fit_logistic`.
    term : int
        Column of ``regressors``.
    level : float

    Returns
    -------
    (low, high) : float or None
        None if the profile never falls far enough, so that the end is not finite.
    """
    n = len(outcome)
    weights = np.ones(n) if weights is None else weights
    fast = _both_ends(fit, regressors, outcome, term, normal_quantile(0.5 + level / 2), weights)
    if fast is not None:
        return fast
    column = regressors[:, term]
    centred = column - float(column.mean())
    others, centre, scale = _standardise(np.delete(regressors, term, axis=1))
    coefficients = np.delete(fit.coefficients[1:], term)
    intercept = fit.coefficients[0] + fit.coefficients[term + 1] * float(column.mean()) + coefficients @ centre
    estimate, error = float(fit.coefficients[term + 1]), float(fit.standard_errors[term + 1])
    path = [(estimate, np.concatenate([[intercept], coefficients * scale]))]

    def log_likelihood(value: float) -> float:
        # The other coefficients change almost linearly with this one, so the line through the last two points is a
        # good start.
        start = path[-1][1]
        if len(path) > 1 and path[-1][0] != path[-2][0]:
            slope = (path[-1][1] - path[-2][1]) / (path[-1][0] - path[-2][0])
            start = start + slope * (value - path[-1][0])
        maximum = _maximise(others, outcome, weights, value * centred, start)
        path.append((value, maximum.coefficients))
        return maximum.log_likelihood

    return profile_ends(log_likelihood, fit.log_likelihood, estimate, error, level)


def _both_ends(
    fit: LogisticFit, regressors: Vector, outcome: Vector, term: int, wanted: float, weights: Vector
) -> tuple[float, float] | None:
    """Both ends by Newton's method on all coefficients; None if an end is not found."""
    design, centre, scale = _standardise(regressors)
    start = np.concatenate([[fit.coefficients[0] + fit.coefficients[1:] @ centre], fit.coefficients[1:] * scale])
    height = fit.log_likelihood - wanted**2 / 2.0
    others = np.delete(np.arange(len(start)), term + 1)
    predictor = start @ design
    value, fitted = _evaluate(predictor, outcome, weights)
    at_estimate = (
        value,
        design @ (weights * (outcome - fitted)),
        _information(design, weights * fitted * (1 - fitted)),
    )
    ends = []
    for sign in (-1.0, 1.0):
        coefficients, (value, score, information) = start, at_estimate
        for _ in range(_END_STEPS):
            step = _end_step(value - height, score, information, term + 1, others, sign)
            if step is None:
                return None
            coefficients = coefficients + step
            value, fitted = _evaluate(coefficients @ design, outcome, weights)
            score = design @ (weights * (outcome - fitted))
            if abs(value - height) < _END_TOLERANCE and _decrement(score, information, others) < _END_TOLERANCE:
                break
            information = _information(design, weights * fitted * (1.0 - fitted))
        else:
            return None
        if sign * (coefficients[term + 1] - start[term + 1]) <= 0:
            return None
        ends.append(float(coefficients[term + 1] / scale[term]))
    return ends[0], ends[1]


def _end_step(
    above: float, score: Vector, information: Vector, term: int, others: NDArray[np.intp], sign: float
) -> Vector | None:
    """Newton's step to the profile's crossing of the wanted height, ``above`` below the present value."""
    inner = information[np.ix_(others, others)]
    cross = information[others, term]
    try:
        along, down = np.linalg.solve(inner, np.column_stack([score[others], cross])).T
    except np.linalg.LinAlgError:
        return None
    curvature = (information[term, term] - cross @ down) / 2.0
    slope = score[term] - cross @ along
    rest = above + score[others] @ along / 2.0
    discriminant = slope**2 + 4.0 * curvature * rest
    if curvature <= 0 or discriminant < 0:
        return None
    step = np.empty(len(score))
    step[term] = (slope + sign * np.sqrt(discriminant)) / (2.0 * curvature)
    step[others] = along - down * step[term]
    return step


def _decrement(score: Vector, information: Vector, others: NDArray[np.intp]) -> float:
    return float(score[others] @ np.linalg.solve(information[np.ix_(others, others)], score[others]))


def profile_ends(
    log_likelihood: Callable[[float], float], best: float, estimate: float, error: float, level: float
) -> tuple[float | None, float | None]:
    """Values below and above the estimate where ``2 (best - log_likelihood(value))`` is the chi-square quantile."""
    wanted = float(normal_quantile(0.5 + level / 2))

    def short_of(value: float) -> float:
        return float(np.sqrt(max(0.0, 2.0 * (best - log_likelihood(value))))) - wanted

    ends: list[float | None] = []
    for sign in (-1.0, 1.0):
        inner, outer = estimate, estimate + sign * wanted * error
        while short_of(outer) < 0.0:
            inner, outer = outer, outer + sign * wanted * error
            if abs(outer - estimate) > 12 * wanted * error:
                ends.append(None)
                break
        else:
            low, high = sorted((inner, outer))
            ends.append(float(brentq(short_of, low, high, xtol=1e-7 * max(error, 1e-300), rtol=1e-12)))
    return ends[0], ends[1]


def likelihood_ratio_p(fit: LogisticFit, without: LogisticFit) -> float:
    """p value of the terms that ``fit`` has and ``without`` lacks, by chi-square."""
    freedom = len(fit.names) - len(without.names)
    return float(chi2_tail(max(0.0, 2.0 * (fit.log_likelihood - without.log_likelihood)), freedom))


def _standardise(regressors: Vector) -> tuple[Vector, Vector, Vector]:
    """Intercept and regressors with mean 0 and SD 1, one row each, for a well-conditioned information matrix."""
    centre, scale = regressors.mean(axis=0), regressors.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    design = np.empty((regressors.shape[1] + 1, len(regressors)))
    design[0] = 1.0
    design[1:] = ((regressors - centre) / scale).T
    return design, centre, scale


def _evaluate(predictor: Vector, outcome: Vector, weights: Vector) -> tuple[float, Vector]:
    """Log likelihood and fitted shares, without overflow and with one exponential for both."""
    small = np.exp(-np.abs(predictor))
    fitted = np.where(predictor >= 0.0, 1.0, small) / (1.0 + small)
    softplus = np.log1p(small) + np.maximum(predictor, 0.0)
    return float(weights @ (outcome * predictor - softplus)), fitted


def _information(design: Vector, weights: Vector) -> Vector:
    scaled = design * np.sqrt(weights)
    return np.asarray(scaled @ scaled.T)


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


def _maximise(design: Vector, outcome: Vector, weights: Vector, offset: Vector, start: Vector) -> _Maximum:
    """Newton's method; ``design`` has shape (k, n), a row per coefficient."""
    coefficients = start
    predictor = offset + coefficients @ design
    value, fitted = _evaluate(predictor, outcome, weights)
    for _ in range(_MAX_STEPS):
        information = _information(design, weights * fitted * (1.0 - fitted))
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
            candidate_value, candidate_fitted = _evaluate(candidate_predictor, outcome, weights)
            if candidate_value >= value or size < 1e-6:
                break
            size /= 2.0
        coefficients, value, fitted = candidate, candidate_value, candidate_fitted
    return _Maximum(coefficients, value, False)
